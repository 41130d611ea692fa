"""A catalog that is open, and what can be asked of it and done with it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract.clients import Client
from dlbackup.catalogs.contract.replacement import Existing, Replacement, Terms
from dlbackup.catalogs.contract.snapshot import Snapshot
from dlbackup.runtime.progress import OnEvent, ignore


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """
    How to come by a catalog in a file that one program at a time can have open; a server needs none of it.

    Args:
        wait_s: for how long to wait for who holds it.
        engine: the Python of an environment whose DuckDB reads it; None for this one.
    """

    wait_s: float = 0.0
    engine: Path | None = None

    @classmethod
    def of(cls, wait: float, engine: str | Path | None) -> "Access":
        """Return it as a user says it."""
        return cls(wait_s=wait, engine=None if engine is None else Path(engine))


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Another catalog of the same lake, which has data files of it: where it is, and its newest snapshot."""

    schema: str
    snapshot_id: int


Retyped = Sequence[tuple[str, Sequence[tuple[str, str, str]]]]
"""Inlined tables by name, with columns, their types, and the new ones as `lake.inlined` says them."""


class Mending(Protocol):
    """A catalog that an engine has migrated, to be put right in one transaction."""

    def execute(self, sql: str) -> int:
        """Execute a statement in which `{s}` stands for the quoted schema; return how many rows it touched."""

    def retype(self, tables: Retyped) -> None:
        """Give columns of inlined tables the types of newer engines; not those that have another by now."""

    def bar(self, version: str) -> None:
        """Bar clients that know an older version, where the backend can."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which catalog: the server's system identifier (empty where the role may not read it), database, schema."""

    server: str
    database: str
    schema: str


class Mark(Protocol):
    """
    The mark that a migration leaves beside the catalog while it is under way: it points to the journal.

    Whoever finds it knows that the catalog may be half done, even where the journal's folder is out of reach.
    """

    @property
    def catalog(self) -> Identity:
        """Return which catalog it is a mark of, as journals have it."""

    @property
    def name(self) -> str:
        """What a person would have to take away by hand."""

    def read(self) -> tuple[Path, str] | None:
        """Return the journal and the version that the mark names; None where there is none."""

    def leave(self, journal: Path, from_version: str) -> bool:
        """Leave the mark; False where the user has no right to, so that only the journal is there."""

    def take_away(self) -> None:
        """Take the mark away, if there is one."""


@dataclass(frozen=True, slots=True)
class Locks:
    """About how many locks a transaction would need, and how many there are for all together."""

    needed: int
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """
    Where a new lake is to be made.

    Args:
        schema: of its catalog; None in a file.
        taken: somebody has made one there; a file is not looked into.
    """

    schema: str | None
    taken: bool = False


class Catalog(Protocol):
    """One catalog, open; closed by the `with` of `open_catalog`."""

    @property
    def address(self) -> Address:
        """The address by which the catalog was opened."""

    @property
    def schema(self) -> str:
        """The schema that holds its tables; empty in a file."""

    def snapshot(self, *, share: bool = False) -> AbstractContextManager[Snapshot]:
        """
        Open one consistent view; errors of the backend inside the block are translated.

        Args:
            share: other processes may join it, where the backend lets them.
        """

    @property
    def place(self) -> str:
        """What it is called in messages, such as `schema public`."""

    @property
    def mark(self) -> Mark:
        """The mark of a migration that is under way, or was cut off."""

    @property
    def engines(self) -> str:
        """How the names begin that engines have which work for the catalog: the next migrator finds them by it."""

    def replacement(self, tables: int, terms: Terms, on_event: OnEvent = ignore) -> AbstractContextManager[Replacement]:
        """
        Begin to put a backup of so many tables in the catalog's place; errors of the backend are translated.

        Raises:
            TooManyLocks: it can be done neither in one transaction nor by an exchange.
            NeedsPerson: the connection was lost at the commit, and whether that was done can't be found out.
        """

    def for_engines(self) -> AbstractContextManager[Address]:
        """Give an address by which engines read the catalog in the block, so that no commit waits for them."""

    def doing(self, what: str) -> AbstractContextManager[None]:
        """Translate errors of the backend inside the block, as what went wrong while doing that."""

    def turn(self) -> AbstractContextManager[None]:
        """
        Be the only one who migrates or restores the catalog, in the block.

        Raises:
            MigratorRuns: somebody else is at it.
            Pooled: nobody can tell.
        """

    def settle_clients(self, *, ignore: bool, terminate: bool) -> tuple["Client", ...]:
        """
        Refuse, end or accept other clients, as the user chose; return those that were there.

        Raises:
            ClientsConnected: there are some, and the user chose nothing.
        """

    def making_way(self) -> AbstractContextManager[None]:
        """End clients, in the block, that hold what the catalog's session waits for; also those that come back."""

    def where_kept(self, replaced: str) -> tuple[Address, str]:
        """Return by which address and schema a catalog is opened that was replaced and kept."""

    def said_of_kept(self, replaced: str) -> str:
        """Say where it is kept, and how it is taken away by hand."""

    def end_engine(self, name: str) -> None:
        """End what the engine of that name may have left, so that it does nothing more to the catalog."""

    def mending(self) -> AbstractContextManager[Mending]:
        """Put right, in one transaction, what an engine's migration lost."""

    def tables_at_once(self) -> int:
        """Return how many tables one transaction may change."""

    def drop_left(self) -> None:
        """Drop what a restore left that was killed, or that had no time to drop what it replaced."""

    def refuse_pooler(self) -> None:
        """Raise Pooled where somebody is between us and the catalog, so that no lock in it can be trusted."""

    def looked_at(self) -> AbstractContextManager[Existing]:
        """Look, without a lock, at what stands in the catalog's place as something that may be replaced."""

    def copies(self) -> tuple[Copy, ...]:
        """Return the other catalogs of the same lake that stand beside this one."""

    def surroundings(self) -> tuple[list[str], list[str]]:
        """Return what a migration does to others, or lacks, without being refused for it; and what can't be seen."""

    def clients(self) -> tuple["Client", ...]:
        """Return who else is connected, oldest first, without other processes of dlbackup's."""

    def may_end(self, clients: Sequence["Client"]) -> bool:
        """Tell whether the user may end all of these."""

    def locks(self, tables: int) -> Locks:
        """Return what restoring so many tables in one transaction needs, and what there is."""
