"""One consistent view of a catalog, and what it says of the past."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from dlbackup.backupfile.manifest import Source
from dlbackup.backupfile.origin import Moment, Origin
from dlbackup.errors import DlbackupError
from dlbackup.lake.answers import Answers
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Block
from dlbackup.tables.types import Dialect


@dataclass(frozen=True, slots=True)
class Head:
    """
    What a catalog says of itself.

    Args:
        versions: every value of `version` in ducklake_metadata; healthy catalogs have one.
        snapshot_id: the newest snapshot, None where there is none.
        snapshot_time: UTC, ISO 8601.
    """

    versions: tuple[str, ...]
    snapshot_id: int | None
    snapshot_time: str | None

    @property
    def spec_version(self) -> str:
        """The spec version; empty where the catalog names none, or several."""
        return self.versions[0] if len(self.versions) == 1 else ""


@dataclass(frozen=True, slots=True)
class Pages:
    """
    Pages of a table from the first to before the end; to its last where the end is None.

    What a page is, is the backend's affair: rows stay on theirs as long as a snapshot is open.
    """

    first: int
    end: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """
    That a table holds the rows that an earlier snapshot saw, to be proved.

    Args:
        table: as it is now.
        origin: what it was then.
        rows: how many there were then, on these pages.
        pages: None for the whole table.
        may_have_more_columns: columns that were added at the end since, with NULL for those rows, don't matter.
        columns: how many of its columns, from the first, have to be there still, where all others held NULL in each row
            and may be gone; None: all.
    """

    table: Table
    origin: Origin
    rows: int
    pages: Pages | None = None
    may_have_more_columns: bool = False
    columns: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """How many rows came and went at most since an earlier snapshot; one that was updated did both."""

    added: int
    removed: int

    def __bool__(self) -> bool:
        """Tell whether anything may have changed."""
        return bool(self.added or self.removed)


class Snapshot(Protocol):
    """One consistent view of a catalog."""

    @property
    def source(self) -> Source:
        """The database and schema that are read, and the server's version."""

    @property
    def readers(self) -> int:
        """How many processes of ours it takes to read it, this one included."""

    @property
    def dialect(self) -> Dialect:
        """In whose words its backups are written."""

    @property
    def may_go_over_a_file(self) -> bool:
        """Whether a migration that engines can't make where it is goes over a DuckDB file."""

    @property
    def adds_columns_with_defaults(self) -> bool:
        """Whether engines can add a column with a default to a table of it, which a migration from 0.2 does."""

    @property
    def head(self) -> Head:
        """What the catalog says of itself."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """The definitions, in the order of their names' bytes."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """What is not in a backup, by name: what hangs on the tables, and what bears a name like theirs."""

    @property
    def dependents(self) -> tuple[str, ...]:
        """What of that a migration's undo would lose or break."""

    def rows(self, table: Table, pages: Pages | None = None) -> Iterator[Block]:
        """Yield the texts of rows, all or those on some pages, in blocks of any size. Read it to its end."""

    def each(self, tables: Sequence[Table], *, alone: bool = False) -> Iterator[tuple[Table, Iterator[Block]]]:
        """Yield tables with all their rows, several asked for at once unless `alone`. Read each to its end."""

    def pages(self) -> dict[str, int]:
        """Return how many pages each table has."""

    def densities(self) -> dict[str, float]:
        """Return how many rows a page holds, of the tables that the server has statistics of."""

    def counts(self, tables: Sequence[Table]) -> dict[str, int]:
        """Return the number of rows of these tables, by name, counted by the backend."""

    def size_bytes(self) -> int:
        """Return how many bytes the tables take where they are, with their indexes."""

    def answers(self) -> AbstractContextManager[Answers]:
        """Let the view answer SQL inside the block; nothing else is asked of the snapshot meanwhile."""

    def missing_rights(self, *, rehearsal: bool) -> list[DlbackupError]:
        """Return what the user may not do that a migration needs, as errors to raise; a rehearsal needs more."""

    def undo_refused(self) -> list[DlbackupError]:
        """Return why a migration could not be taken back, beside `dependents`, as errors to raise."""

    def updates_refused(self) -> list[DlbackupError]:
        """Return why rows that an engine's migration updates can't be, as errors to raise."""

    def moment(self) -> Moment | None:
        """Return what a later snapshot can be held against; None where nothing could be proved from it."""

    def origins(self) -> dict[str, Origin]:
        """Return, by name, what tables are beyond their definitions, of those of which anything can be proved later."""

    def since(self, then: Moment, claims: Sequence[Claim]) -> list[Change | None]:
        """
        Return what became of rows that an earlier snapshot saw, without reading them.

        None where that can't be told: another history of the server, another table, a table that was written anew.
        A change may be told that is none; that there is none is always true.
        """

    def shows_what(self, earlier: "Snapshot") -> bool:
        """
        Tell whether it is proved that nothing was committed between an earlier snapshot, open or not, and this one.

        It takes no longer for a large catalog than for a small one. What can be wrong is only that it isn't proved.
        """

    def joinable(self, tables: Sequence[Table]) -> "Joinable | None":
        """
        Return what another process needs to read these tables, as long as this snapshot is open.

        None where nobody can join: the backend has no such thing, or the snapshot was not opened to be shared.
        """


class Joinable(Protocol):
    """The way into a snapshot for another process: can be pickled, and holds nothing open."""

    def join(self) -> AbstractContextManager[Snapshot]:
        """Open the same view with the tables that were named; errors of the backend in the block are translated."""
