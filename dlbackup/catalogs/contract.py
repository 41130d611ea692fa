"""
What every backend promises of a catalog that it holds; nothing above this room knows which backend that is.

A `Catalog` is opened by `catalogs.open`. A `Snapshot` is one consistent view for reading, which other processes enter
by a `Joinable`, and which answers SQL by `lake.answers.Answers`. A `Replacement` puts a backup where a catalog is or
will be: in parts, each of which has a `Place` to be filled. Each promise is shown for each backend by
`tests/integration/catalogs/test_contract.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dlbackup.addresses.address import Address
from dlbackup.backupfile.manifest import Entry, Source
from dlbackup.backupfile.origin import Moment, Origin
from dlbackup.errors import ClientsConnected, DlbackupError, listed
from dlbackup.lake.answers import Answers
from dlbackup.lake.lineage import Lineage
from dlbackup.runtime.progress import OnEvent, ignore
from dlbackup.tables.definition import Constraint, Table
from dlbackup.tables.digest import Block
from dlbackup.tables.shapes import Body
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
    """

    table: Table
    origin: Origin
    rows: int
    pages: Pages | None = None
    may_have_more_columns: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """How many rows came and went at most since an earlier snapshot; one that was updated did both."""

    added: int
    removed: int

    def __bool__(self) -> bool:
        """Tell whether anything may have changed."""
        return bool(self.added or self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Another catalog of the same lake, which has data files of it: where it is, and its newest snapshot."""

    schema: str
    snapshot_id: int


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

    def counts(self) -> dict[str, int]:
        """Return the number of rows by table name, counted by the backend."""

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


class Mending(Protocol):
    """A catalog that an engine has migrated, to be put right in one transaction."""

    def execute(self, sql: str) -> int:
        """Execute a statement in which `{s}` stands for the quoted schema; return how many rows it touched."""

    def retype(self, tables: Sequence[tuple[str, Sequence[tuple[str, str, str]]]]) -> None:
        """
        Give columns of inlined tables the types that newer engines write; those that have another by now are left.

        Args:
            tables: by name, with column, its type, and the new one as `lake.inlined` says it.
        """

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


class Trial(Protocol):
    """A scratch place beside a catalog, which nobody else knows, for a backup to be restored into and tried."""

    @property
    def catalog(self) -> Catalog:
        """What is restored there."""

    def blamed(self, version: str) -> AbstractContextManager[None]:
        """
        Restore in the block; where tables come to be others by the place's doing, say so: it is no fault of the backup.

        Args:
            version: of the server that the backup is from.

        Raises:
            CatalogError: instead of RestoredOtherwise.
        """

    def filled(self, tables: Sequence[str]) -> None:
        """Get ready to answer questions about tables that were just loaded."""


class Remake(Protocol):
    """
    A catalog that is held, so that nobody else uses it, and a copy for an engine to migrate, which nobody else knows.

    The catalog itself is not changed before the exchange.
    """

    @property
    def held(self) -> Catalog:
        """The catalog as it is."""

    @property
    def copy(self) -> Catalog:
        """Its copy, which is not open, once that is made."""

    def make_copy(self) -> None:
        """Copy all that is there, also what is not the catalog's."""

    def exchange(self) -> str | None:
        """Put the copy, all of it on the disk, in the place of the catalog; return where that is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """
    Another session on the catalog's database.

    Args:
        connected_s: for how many seconds.
        uses_catalog: it holds a lock on a catalog table.
        since: when it connected, UTC, ISO 8601; empty where that isn't known.
        comes_back: it may be an attached DuckDB, which connects again when its session is ended: these give no name
            of an application, unless the program does.
    """

    pid: int
    user: str
    application: str
    address: str
    state: str
    connected_s: float
    uses_catalog: bool
    since: str = ""
    comes_back: bool = False

    def __str__(self) -> str:
        where = f" from {self.address}" if self.address else ""
        what = f" ({self.application})" if self.application else ""
        since = f", since {self.since}" if self.since else ""
        back = ", comes back by itself if it is a DuckDB" if self.comes_back else ""
        age = f"for {self.connected_s:.0f} s{since}{back}"
        return f"pid {self.pid}: {self.user}{where}{what}, {self.state or 'active'}, {age}"


def clients_connected(clients: tuple[Client, ...]) -> ClientsConnected:
    """Return the refusal because of other clients."""
    count = "1 other client is" if len(clients) == 1 else f"{len(clients)} other clients are"
    return ClientsConnected(
        f"{count} connected to the database: {listed(clients)}",
        "close them, or end them with --terminate-clients, or accept with --ignore-clients that attached"
        " DuckLake clients go on with a stale view of the catalog",
    )
