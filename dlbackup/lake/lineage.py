"""
Which lake a catalog is of, and which way its history went.

Lakes are told apart by the uuid of schema 0, which is made once for each. Two catalogs of one lake may still have gone
different ways: after an old backup was restored, new commits take the numbers of those that it didn't have. So
snapshots are compared by number and time, not by the largest number.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import xxhash

Snapshot = tuple[int, int | None]
"""Its number, and its time in microseconds since 1970; None where that is no time between the years 1 and 9999."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """
    Args:
        uuid: of schema 0; None where the catalog doesn't say.
        data_path: where the lake's files are.
        snapshots: all that the catalog has.
    """

    uuid: str | None
    data_path: str | None
    snapshots: Iterable[Snapshot]

    def is_other_than(self, other: "Lineage") -> bool:
        """Tell whether these are two lakes; what doesn't say so counts as the same."""
        return self.uuid is not None and other.uuid is not None and self.uuid != other.uuid

    def __str__(self) -> str:
        return f"the lake {self.uuid or 'without uuid'} with data path {self.data_path or 'unknown'}"


class Known:
    """A set of snapshots in eight bytes for each."""

    def __init__(self, snapshots: Iterable[Snapshot]) -> None:
        self._digests = array("Q", sorted(map(_digest, snapshots)))

    def __contains__(self, snapshot: Snapshot) -> bool:
        digest = _digest(snapshot)
        at = bisect_left(self._digests, digest)
        return at < len(self._digests) and self._digests[at] == digest


def missing(there: Lineage, known: Known) -> list[int]:
    """Return the numbers of the snapshots of `there` that are not known, in order."""
    return sorted(snapshot[0] for snapshot in there.snapshots if snapshot not in known)


def microseconds(text: str | None) -> int | None:
    """Return a time as PostgreSQL prints it in UTC, as microseconds since 1970."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    since = time.replace(tzinfo=time.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _digest(snapshot: Snapshot) -> int:
    return xxhash.xxh3_64_intdigest(f"{snapshot[0]} {snapshot[1]}".encode())
