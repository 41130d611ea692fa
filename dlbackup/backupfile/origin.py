"""
Where the rows of a backup come from, exactly enough for their server to prove later that they are still the same.

A snapshot can be held against an earlier one, `Moment`, and its tables against what was found in them then, `Origin`:
a table, or some of its pages, that has the same rows needs not be read again. `catalogs.contract.Snapshot.since` is
the proof, and knows what the numbers mean; here they are only kept.
"""

from dataclasses import dataclass
from typing import ClassVar

from dlbackup.tables.digest import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """
    When a snapshot was taken, in the history of one server.

    Args:
        server: its system identifier; empty where the role may not read it.
        started: when the server process was started; UTC, ISO 8601.
        counts_from: since when it counts its statistics, which it begins anew after a crash; as `started`.
        timeline: of its write-ahead log.
        database: its number (oid).
        oldest: the oldest transaction that was still running, as the 64 bits of `xid8`: all older ones had ended.
        position: of the write-ahead log, past all that the snapshot sees.
    """

    IGNORES_LATER_KEYS: ClassVar = True
    server: str
    started: str
    counts_from: str
    timeline: int
    database: int
    oldest: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """
    The rows of some pages, in frames of their own.

    Args:
        digest: of the rows, as a table's.
        meaning_rows, meaning_digest: what they give to the fingerprint, where that is not just their own.
        first_frame: the number of the first of their frames.
        frames: how many there are; none where there are no rows.
    """

    IGNORES_LATER_KEYS: ClassVar = True
    rows: int
    digest: str
    first_frame: int
    frames: int
    meaning_rows: int | None = None
    meaning_digest: str = ""

    @classmethod
    def of(cls, rows: Rows, meaning: Rows, first_frame: int, frames: int) -> "Stretch":
        """Return the record of rows, and of what they mean."""
        alike = meaning == rows
        return cls(
            rows=rows.count,
            digest=f"{rows.digest:016x}",
            first_frame=first_frame,
            frames=frames,
            meaning_rows=None if alike else meaning.count,
            meaning_digest="" if alike else f"{meaning.digest:016x}",
        )

    @property
    def content(self) -> Rows:
        """The rows as a comparable record."""
        return Rows(self.rows, int(self.digest, 16))

    @property
    def meaning(self) -> Rows:
        """What the rows give to the fingerprint."""
        if self.meaning_rows is None:
            return self.content
        return Rows(self.meaning_rows, int(self.meaning_digest, 16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """
    What a table was, beyond its definition.

    Args:
        oid: the number of the table.
        filenode: that of the file with its rows; another one later: they were written anew, in another order perhaps.
        attributes: number, type and modifier of each column that it has or had, and what rows without it hold.
        stretch_pages: how many pages each stretch has.
        stretches: of a table that was read in pieces, from its first page to its last.
    """

    IGNORES_LATER_KEYS: ClassVar = True
    oid: int
    filenode: int
    attributes: str
    stretch_pages: int = 0
    stretches: tuple[Stretch, ...] = ()


def parted(then: Moment, now: Moment) -> str:
    """Say why one moment tells nothing of another; empty where it does: the same history, and later in it."""
    if (then.server, then.database) != (now.server, now.database):
        return "it is of another server or database"
    if then.timeline != now.timeline:
        return "the server has gone on from another point of its history since (another timeline)"
    if then.started != now.started:
        return "the server was started again since"
    if then.counts_from != now.counts_from:
        return "the server has crashed since, or its statistics were reset"
    if then.position > now.position or then.oldest > now.oldest:
        return "the server is at an earlier point of its history"
    return ""
