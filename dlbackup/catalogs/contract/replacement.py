"""How a backup becomes a catalog, in place of what stands there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from dlbackup.backupfile.manifest import Entry
from dlbackup.catalogs.contract.clients import Client
from dlbackup.catalogs.contract.snapshot import Head
from dlbackup.lake.answers import Answers
from dlbackup.lake.lineage import Lineage
from dlbackup.tables.definition import Constraint, Table
from dlbackup.tables.digest import Block
from dlbackup.tables.shapes import Body


class Existing(Protocol):
    """What stands in a place where something is to be put."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """The catalog tables; none where the place is free."""

    @property
    def head(self) -> Head:
        """What they say of themselves."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """What belongs to them and would be lost or broken with them, by name."""

    @property
    def place(self) -> str:
        """What the place is called in messages, such as `schema public`."""

    @property
    def another(self) -> str:
        """How a user names another one: the end of a hint."""

    @property
    def is_new(self) -> bool:
        """Whether there was no such place."""

    @property
    def beside(self) -> Mapping[str, str]:
        """What bears a catalog table's name and is none: of which kind, by name. It stays where it is."""

    def newer_snapshots(self, than: int | None) -> str:
        """Say what was committed after a snapshot: how many, from when, by whom."""

    def lineage(self) -> Lineage:
        """Return which lake it is of, and all its snapshots."""

    def scheduled_for_deletion(self) -> list[tuple[int, str]]:
        """Return the data files that the catalog wants to be rid of, and since when."""


Rewrite = Callable[[Body], bytes]
"""Turns checked rows into the form that `Place.load` takes; a module's function, so that a child process has it too."""


class Place(Protocol):
    """Where tables are made and filled; nobody else sees them yet."""

    @property
    def schema(self) -> str:
        """Where they are for now; empty in a file."""

    def create(self, tables: Sequence[Table]) -> None:
        """Create tables without what `finish` adds."""

    def load(self, table: Table, texts: Iterable[bytes]) -> int:
        """Load rows in the form of the backend's `Rewrite`; return how many it says it took."""

    def finish(self, tables: Sequence[Table], *, privileges: bool, row_security: bool = False) -> None:
        """
        Make keys, indexes, comments, owners and grants of tables that are loaded.

        Args:
            privileges: what the place grants by default is taken away.
            row_security: row-level security that the place switches on by itself is switched off.
        """

    def open_schema(self, statements: Sequence[str]) -> list[int]:
        """Execute statements that give the schema away; return the numbers of those that the place doesn't take."""

    def shut_out(self, tables: Iterable[Table]) -> list[tuple[str, list[str]]]:
        """Return the roles that own tables, or were granted something, and which privileges on the schema they lack."""

    def definitions(self) -> tuple[Table, ...]:
        """Return all catalog tables of the place as the backend has them now."""

    def read_back(self, counts: Sequence[tuple[Table, int]]) -> Iterator[tuple[Table, Iterator[Block]]]:
        """Yield tables with their rows as `Snapshot.each` does; `counts` are of rows, and say how much will come."""

    def set_data_path(self, path: str) -> int:
        """Change the lake's data path; return how many rows of ducklake_metadata that were."""

    def answers(self, tables: Sequence[Table]) -> AbstractContextManager[Answers]:
        """Let the tables answer SQL inside the block."""


@dataclass(frozen=True, slots=True)
class Part:
    """
    Some tables of a backup, and where they are made.

    Args:
        whole: once this part is filled, the place holds all tables of the backup.
    """

    place: Place
    entries: Sequence[Entry]
    whole: bool


@dataclass(frozen=True, slots=True)
class Encoding:
    """
    How a backend keeps texts.

    Args:
        name: as the backend names it.
        converts: it converts texts from and to UTF-8 for its clients.
    """

    name: str
    converts: bool = False


class Replacement(Protocol):
    """
    The block in which a backup becomes a catalog: at its end that is there, whole, and before or without that, nothing.

    Without parts the block changes nothing. What was replaced is kept aside or dropped, as the `Terms` say, and was
    locked when it was accepted.
    """

    @property
    def existing(self) -> Existing:
        """What stands in the place."""

    @property
    def replaced(self) -> str | None:
        """Where that is kept after the block; None where it is not."""

    @property
    def came(self) -> tuple["Client", ...]:
        """Who else was connected when the block ended."""

    def missing_roles(self, names: Iterable[str]) -> list[str]:
        """Return which of the roles the backend doesn't have."""

    @property
    def encoding(self) -> Encoding:
        """How texts will be kept."""

    def missing_storage(self, tables: Sequence[Table]) -> tuple[frozenset[str], frozenset[str]]:
        """Return the tablespaces, and the access methods, of tables that the user can't have here."""

    def unknown_privileges(self) -> frozenset[str]:
        """Return which of the privileges that a backup may grant the backend doesn't know."""

    def unknown_options(self, tables: Sequence[Table]) -> frozenset[tuple[str, str]]:
        """Return the storage parameters of tables, with their values, that the backend doesn't take."""

    def unknown_keys(self, tables: Sequence[Table]) -> frozenset[Constraint]:
        """Return the constraints of tables that the backend doesn't know."""

    def missing_collations(self, tables: Sequence[Table]) -> frozenset[str]:
        """Return the collations of columns that the backend doesn't have."""

    def parts(self, entries: Sequence[Entry]) -> Iterator[AbstractContextManager[Part]]:
        """
        Yield the parts in which these tables are made, in their order; each is filled in its own block, and all are.

        The last part is whole. Where the tables don't go into one part, it has no entries: it is there for what is to
        be proved and done once all of them are made.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    On which terms something may be put in a place.

    Args:
        accept: raises if what stands there must not be replaced; asked when it is locked, at the latest.
        replace: something may stand there.
        drop_replaced: that is dropped in the end instead of being kept aside.
        scratch: nobody but us knows the place, so its tables need not appear at once.
        bar: the spec version of what is put there, where stale clients are to be barred; those that remember what is
            replaced are made to forget it, by a snapshot more. Empty: they are not.
        ends_waiting: clients that wait for what is replaced are ended; otherwise they go on with what is there then.
        exact: tables that were kept as by default are, whatever the user's own defaults are.
        storage_version: of a new DuckDB file; empty: one that all DuckDBs read.
        frozen: a new file is for reading only.
        secret: and for nobody but its owner, since it holds keys.
    """

    accept: Callable[[Existing], None]
    replace: bool = False
    drop_replaced: bool = False
    scratch: bool = False
    bar: str = ""
    ends_waiting: bool = False
    exact: bool = False
    storage_version: str = ""
    frozen: bool = False
    secret: bool = False
