"""
What every backend promises of a catalog (`dlbackup.catalogs.contract`), shown for each in the same words.

A new backend needs a class like `_Postgres` and one line in `BACKENDS`.
"""

import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest
from support.backups import HEADER, METADATA, SNAPSHOT, row, write_backup
from support.comparison import execute
from support.engines.engines import engine, with_quack
from support.longer import long
from support.servers.postgres import Server
from support.servers.quack import QuackServer, serving
from support.servers.servers import Servers, majors, middle_major, server_kind

from dlbackup.addresses.address import Address, parse_address
from dlbackup.backupfile.manifest import Entry, Header
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Catalog, Existing, Identity, Pages, Part, Snapshot, Terms
from dlbackup.catalogs.open import is_in_file, making_lake, open_catalog, open_for_restore, rewrite_for, trying
from dlbackup.catalogs.reading import contents
from dlbackup.errors import MigratorRuns, NotALake
from dlbackup.lake.answers import rows_of
from dlbackup.stores.folder import local
from dlbackup.tables.definition import Column, Index, Table
from dlbackup.tables.digest import Block
from dlbackup.transfer.feed import feeding

_BIG = "ducklake_inlined_data_100_1"
_ROWS = {
    METADATA.name: [row("version", "1.0", None, None), row("data_path", "/old/", None, None)],
    SNAPSHOT.name: [row(0, "2026-03-23 17:50:00+00"), row(7, "2026-03-23 17:51:00+00")],
    _BIG: [row(number, f"it's, \\ {number}".ljust(60, "é")) for number in range(2000)],
}


Maker = Callable[[str], Table]
"""Makes an inlined table of a name as a backend has it."""


def _of_postgres(name: str) -> Table:
    columns = (Column(name="row_id", type="bigint"), Column(name="text", type="character varying"))
    return Table(name=name, columns=columns, indexes=(Index(name=f"{name}_idx", definition="USING btree (row_id)"),))


def _of_duckdb(name: str) -> Table:
    return Table(name=name, columns=(Column(name="row_id", type="bigint"), Column(name="text", type="VARCHAR")))


def _tables(make: Maker) -> list[Table]:
    """Return more tables than go into one part where a place is tight; in the order of their names."""
    return [*(make(f"ducklake_inlined_data_{number}_1") for number in range(100, 122)), METADATA, SNAPSHOT]


TightServers = Callable[[int], Server]
"""Gives a server of a major, with so few locks that the backup doesn't go into one transaction."""


class Backend(Protocol):
    """
    What the suite needs of a backend beside what it promises.

    Args:
        tables: those of the catalog that the suite puts there.
        header: of the backup of them.
    """

    @property
    def tables(self) -> list[Table]:
        """Return them in the order of their names."""

    @property
    def header(self) -> Header:
        """Return it."""

    def place(self, servers: Servers, folder: Path) -> AbstractContextManager[str]:
        """Make a place without a catalog; return its address."""

    def tight(self, servers: TightServers) -> AbstractContextManager[str]:
        """Make one in which the tables don't go into one part; skip the test where there is no such thing."""

    def execute(self, address: str, sql: str) -> bool:
        """Execute and commit a statement, as somebody else; False where who reads the place keeps others out."""


@dataclass(frozen=True, slots=True)
class _Postgres:
    major: int
    tables: list[Table] = field(default_factory=lambda: _tables(_of_postgres))
    header: Header = HEADER

    def place(self, servers: Servers, folder: Path) -> AbstractContextManager[str]:
        return servers[self.major].database()

    def tight(self, servers: TightServers) -> AbstractContextManager[str]:
        if server_kind() != "docker":
            pytest.skip("a server with settings of its own needs a container: PG_TEST_ENGINE=docker")
        return servers(self.major).database()

    def execute(self, address: str, sql: str) -> bool:
        execute(address, sql)
        return True


_HEADER_OF_DUCKDB = replace(HEADER, format=2, dialect="duckdb", source=replace(HEADER.source, schema="main"))


@dataclass(frozen=True, slots=True)
class _DuckDBFile:
    tables: list[Table] = field(default_factory=lambda: _tables(_of_duckdb))
    header: Header = _HEADER_OF_DUCKDB

    @contextmanager
    def place(self, servers: Servers, folder: Path) -> Iterator[str]:
        yield str(folder / "a lake's.ducklake")

    def tight(self, servers: TightServers) -> AbstractContextManager[str]:
        pytest.skip("a file takes any number of tables")

    def execute(self, address: str, sql: str) -> bool:
        program = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute(sys.argv[2])"
        command = [sys.executable, "-c", program, address, sql]
        done = subprocess.run(command, capture_output=True, text=True)  # a process of its own, as for every DuckDB file
        assert not done.returncode or "Could not set lock" in done.stderr
        return not done.returncode


def _of_sqlite(name: str) -> Table:
    return _declared(_of_duckdb(name))


def _declared(table: Table) -> Table:
    """Return a table as it is in a SQLite file."""
    numbers = ("bigint", "boolean")
    columns = (replace(it, declared="BIGINT" if it.type in numbers else "VARCHAR") for it in table.columns)
    return replace(table, columns=tuple(columns))


def _tables_of_sqlite() -> list[Table]:
    return [table if table.columns[0].declared else _declared(table) for table in _tables(_of_sqlite)]


_HEADER_OF_SQLITE = replace(_HEADER_OF_DUCKDB, dialect="sqlite")


@dataclass(frozen=True, slots=True)
class _SqliteFile:
    tables: list[Table] = field(default_factory=_tables_of_sqlite)
    header: Header = _HEADER_OF_SQLITE

    @contextmanager
    def place(self, servers: Servers, folder: Path) -> Iterator[str]:
        yield str(folder / "a lake's.sqlite")

    def tight(self, servers: TightServers) -> AbstractContextManager[str]:
        pytest.skip("a file takes any number of tables")

    def execute(self, address: str, sql: str) -> bool:
        with closing(sqlite3.connect(address)) as connection, connection:
            connection.execute(sql)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served(_DuckDBFile):
    """A file behind a server, which is only read."""

    server: QuackServer

    def execute(self, address: str, sql: str) -> bool:
        return self.server.execute(sql) is not None


BACKENDS: dict[str, Backend] = {
    **{f"postgres{major}": _Postgres(major) for major in majors()},
    "duckdb-file": _DuckDBFile(),
    "sqlite-file": _SqliteFile(),
}
_OTHER_MAJORS = [f"postgres{major}" for major in majors() if major != middle_major()]
_EVERY = [long(name) if name in _OTHER_MAJORS else name for name in BACKENDS]


@dataclass(frozen=True, slots=True)
class Scene:
    """A place of one backend, and a backup to be put there."""

    backend: Backend
    url: str
    reader: BackupReader
    texts: dict[str, list[bytes]]

    @property
    def address(self) -> Address:
        """Where it is."""
        return parse_address(self.url)

    @property
    def tables(self) -> list[Table]:
        """The tables of the backup, as the backend has them."""
        return self.backend.tables

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The tables of the backup."""
        return self.reader.manifest.tables

    def open_place(self, *, replace: bool = False) -> AbstractContextManager[Catalog]:
        """Open the place to restore to."""
        return open_for_restore(self.address, None, self.backend.header.source.schema, replace=replace)

    def fill(self, part: Part, entries: Sequence[Entry] | None = None) -> None:
        """Make a part's tables, or some of them."""
        entries = part.entries if entries is None else entries
        tables = [entry.table for entry in entries]
        part.place.create(tables)
        for table in tables:
            assert part.place.load(table, self.texts[table.name]) == len(_ROWS.get(table.name, ()))
        part.place.finish(tables, privileges=True)

    def put(self, catalog: Catalog, terms: Terms | None = None) -> str | None:
        """Put the backup in a catalog's place."""
        with catalog.replacement(len(self.entries), terms or _terms()) as replacement:
            for opened in replacement.parts(self.entries):
                with opened as part:
                    self.fill(part)
        return replacement.replaced

    def is_free(self) -> bool:
        """Tell whether nothing of a catalog stands there."""
        with self.open_place() as catalog, catalog.replacement(1, _terms()) as replacement:
            return not replacement.existing.tables


def _terms(accept: Callable[[Existing], None] = lambda existing: None, *, replace: bool = False) -> Terms:
    return Terms(accept=accept, replace=replace)


@contextmanager
def _scene(backend: Backend, url: str, folder: Path) -> Iterator[Scene]:
    tables = backend.tables
    write_backup(folder / "backup", [(table, _ROWS.get(table.name, [])) for table in tables], backend.header)
    texts: dict[str, list[bytes]] = {table.name: [] for table in tables}
    with BackupReader(local(folder / "backup")) as reader:
        with feeding(reader, rewrite_for(parse_address(url), reader.manifest.header.dialect), child=False) as feed:
            for item in feed:
                if isinstance(item, Entry):
                    name = item.table.name
                else:
                    texts[name].append(item.text)
        yield Scene(backend, url, reader, texts)


@pytest.fixture(scope="module")
def tight_servers(servers: Servers) -> Iterator[TightServers]:
    """One server for each major that asks for it."""
    few = {"max_locks_per_transaction": "10", "max_connections": "10"}
    with ExitStack() as running:
        yield cache(lambda major: running.enter_context(servers.with_settings(major, **few)))


@pytest.fixture(params=_EVERY)
def scene(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Iterator[Scene]:
    """A place without a catalog, of each backend."""
    backend = BACKENDS[request.param]
    with backend.place(servers, tmp_path) as url, _scene(backend, url, tmp_path) as scene:
        yield scene


@pytest.fixture(params=_EVERY)
def tight(request: pytest.FixtureRequest, tight_servers: TightServers, tmp_path: Path) -> Iterator[Scene]:
    """A place of each backend in which the backup doesn't go into one part."""
    backend = BACKENDS[request.param]
    with backend.tight(tight_servers) as url, _scene(backend, url, tmp_path) as scene:
        yield scene


@pytest.fixture
def full(scene: Scene) -> Scene:
    """A place with a catalog."""
    with scene.open_place() as catalog:
        scene.put(catalog)
    return scene


@contextmanager
def _readable(name: str, servers: Servers, folder: Path) -> Iterator[Scene]:
    backend = BACKENDS["duckdb-file" if name == "quack" else name]
    with backend.place(servers, folder) as url, _scene(backend, url, folder) as scene:
        with scene.open_place() as catalog:
            scene.put(catalog)
        if name != "quack":
            yield scene
            return
        by = engine("1.5.5")
        with serving(Path(url), by) as server, pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(with_quack(by).python.parent)
            patch.setenv("DLBACKUP_QUACK_TOKEN", server.token)
            yield replace(scene, backend=_Served(server=server), url=server.url)


@pytest.fixture(params=[*_EVERY, "quack"])
def readable(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Iterator[Scene]:
    """A catalog, also behind a server where nothing can be put."""
    with _readable(request.param, servers, tmp_path) as scene:
        yield scene


@pytest.fixture(params=[*_EVERY, long("quack")])
def opened(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Iterator[Scene]:
    """The same for what is asked of a catalog once it is opened: by then one behind a server is a copy in a file."""
    with _readable(request.param, servers, tmp_path) as scene:
        yield scene


def _as_made(table: Table) -> Table:
    return table.without_owner().without_grants()


def _lines(blocks: Iterator[Block]) -> list[bytes]:
    return sorted(bytes(line) for block in blocks for line in block)


def _is_catalog(snapshot: Snapshot, scene: Scene) -> bool:
    """Tell whether a snapshot is what was put there: definitions and rows."""
    rows = {table.name: _lines(blocks) for table, blocks in snapshot.each(snapshot.tables)}
    return [_as_made(table) for table in snapshot.tables] == scene.tables and rows == {
        table.name: sorted(_ROWS.get(table.name, [])) for table in scene.tables
    }


def test_tables_come_in_the_order_of_their_names(opened: Scene) -> None:
    """A snapshot has the definitions as they were made, in the order of their names' bytes, and the newest head."""
    with open_catalog(opened.address) as catalog, catalog.snapshot() as snapshot:
        assert [_as_made(table) for table in snapshot.tables] == opened.tables
        assert (snapshot.head.spec_version, snapshot.head.snapshot_id) == ("1.0", 7)
        assert snapshot.left_out == ()
        assert snapshot.source.schema == catalog.schema
        assert snapshot.missing_rights(rehearsal=True) == []


def test_all_ways_to_read_give_the_same_rows(readable: Scene) -> None:
    """Tables together, each alone, one by itself and one in pieces: always the rows that were loaded."""
    with open_catalog(readable.address) as catalog, catalog.snapshot() as snapshot:
        together = {table.name: _lines(blocks) for table, blocks in snapshot.each(snapshot.tables)}
        alone = {table.name: _lines(blocks) for table, blocks in snapshot.each(snapshot.tables, alone=True)}
        big = next(table for table in snapshot.tables if table.name == _BIG)
        middle = snapshot.pages()[_BIG] // 2
        pieces = [_lines(snapshot.rows(big, pages)) for pages in (Pages(0, middle), Pages(middle, None))]

        assert together == alone == {table.name: sorted(_ROWS.get(table.name, [])) for table in readable.tables}
        assert _lines(snapshot.rows(big)) == together[_BIG]
        assert all(pieces)
        assert sorted(pieces[0] + pieces[1]) == together[_BIG]


def test_what_is_counted_is_what_is_there(opened: Scene) -> None:
    """Counts are those of the rows, pages are told of every table, and the tables take some room."""
    with open_catalog(opened.address) as catalog, catalog.snapshot() as snapshot:
        assert snapshot.counts(snapshot.tables) == {
            table.name: len(_ROWS.get(table.name, ())) for table in opened.tables
        }
        assert snapshot.pages().keys() == {table.name for table in opened.tables}
        assert snapshot.densities().keys() <= snapshot.pages().keys()
        assert snapshot.size_bytes() > 100_000


def test_snapshot_and_who_joins_it_see_no_later_commit(readable: Scene) -> None:
    """After a commit, an open snapshot and one that joins it have the rows from before; a new one has the new rows."""
    with open_catalog(readable.address) as catalog, catalog.snapshot(share=True) as snapshot:
        before = contents(snapshot)
        joinable = snapshot.joinable(snapshot.tables)
        committed = readable.backend.execute(readable.url, f"insert into {_BIG} values (-1, 'later')")
        assert readable.backend.execute(readable.url, f"delete from {SNAPSHOT.name}") == committed

        assert joinable is not None
        with pickle.loads(pickle.dumps(joinable)).join() as joined:  # noqa: S301 - our own
            assert contents(joined) == contents(snapshot) == before
            assert (joined.tables, joined.head) == (snapshot.tables, snapshot.head)
    with open_catalog(readable.address) as catalog, catalog.snapshot() as later:
        assert later.counts(later.tables)[_BIG] == before[_BIG].count + committed


def test_nobody_joins_a_snapshot_that_was_not_opened_for_it(opened: Scene) -> None:
    """A snapshot that is not to be shared has nothing to be joined by."""
    with open_catalog(opened.address) as catalog, catalog.snapshot() as snapshot:
        assert snapshot.joinable(snapshot.tables) is None


def test_snapshot_answers_sql(opened: Scene) -> None:
    """Questions are answered at once or row by row, one after the other; then the snapshot is read on."""
    with open_catalog(opened.address) as catalog, catalog.snapshot() as snapshot:
        with snapshot.answers() as answers:
            said = answers.ask(f"select count(*) as many, max(row_id) as most from {answers.schema}.{_BIG}")
            assert (said.columns, said.rows) == (("many", "most"), [(2000, 1999)])
            streamed = answers.stream(f"select row_id from {answers.schema}.{_BIG} order by 1")
            assert list(streamed) == [(number,) for number in range(2000)]
            assert rows_of(answers, "select snapshot_id from {s}.ducklake_snapshot order by 1") == [(0,), (7,)]
            assert answers.tables == snapshot.tables

        assert _is_catalog(snapshot, opened)


def test_engines_read_the_same_and_no_commit_waits(readable: Scene) -> None:
    """Where engines read a catalog, all of it is, and who reads there keeps nobody else from writing."""
    with (
        open_catalog(readable.address) as catalog,
        catalog.for_engines() as there,
        open_catalog(there, catalog.schema) as again,
        again.snapshot() as snapshot,
    ):
        assert _is_catalog(snapshot, readable)
        readable.backend.execute(readable.url, "update ducklake_metadata set value = 'x' where key = 'data_path'")
        assert _is_catalog(snapshot, readable)


def test_nothing_is_there_before_the_end_of_the_block(scene: Scene) -> None:
    """A place gives back the definitions and rows that it was given; others see none of it until the block ends."""
    with scene.open_place() as catalog:
        with catalog.replacement(len(scene.entries), _terms()) as replacement:
            (opened,) = replacement.parts(scene.entries)
            with opened as part:
                assert (part.whole, list(part.entries)) == (True, list(scene.entries))
                scene.fill(part)
                found = [_as_made(table) for table in part.place.definitions()]
                counts = [(entry.table, entry.rows) for entry in part.entries if entry.rows]
                rows = {table.name: _lines(blocks) for table, blocks in part.place.read_back(counts)}
                with pytest.raises(NotALake), open_catalog(scene.address):
                    pass

        assert (found, rows) == (scene.tables, {name: sorted(lines) for name, lines in _ROWS.items()})
    with open_catalog(scene.address) as catalog, catalog.snapshot() as snapshot:
        assert _is_catalog(snapshot, scene)


def test_block_that_fails_leaves_nothing(scene: Scene) -> None:
    """After an error in a part, there is no table of it, and the next one finds the place free."""
    with scene.open_place() as catalog:
        replacing = catalog.replacement(len(scene.entries), _terms())
        with pytest.raises(ZeroDivisionError), replacing as replacement:
            for opened in replacement.parts(scene.entries):
                with opened as part:
                    scene.fill(part)
                    raise ZeroDivisionError

    with pytest.raises(NotALake), open_catalog(scene.address):
        pass
    assert scene.is_free()


def test_place_that_is_filled_can_be_changed_and_asked(scene: Scene) -> None:
    """In a place that is not committed yet, the data path is changed in one row, and SQL sees it."""
    with scene.open_place() as catalog, catalog.replacement(len(scene.entries), _terms()) as replacement:
        for opened in replacement.parts(scene.entries):
            with opened as part:
                scene.fill(part)
                assert part.place.set_data_path("/new/") == 1
                with part.place.answers(scene.tables) as answers:
                    query = "select value from {s}.ducklake_metadata where key = 'data_path'"
                    assert rows_of(answers, query) == [("/new/",)]

    with open_catalog(scene.address) as catalog, catalog.snapshot() as snapshot, snapshot.answers() as answers:
        assert rows_of(answers, query) == [("/new/",)]


def test_what_is_replaced_is_kept_aside(full: Scene) -> None:
    """What stands there is told and accepted before it makes room, and afterwards is where the block says, whole."""
    asked: list[tuple[int, int | None, str]] = []

    def accept(existing: Existing) -> None:
        asked.append((len(existing.tables), existing.head.snapshot_id, existing.newer_snapshots(0)[:1]))

    full.backend.execute(full.url, f"delete from {METADATA.name} where key = 'data_path'")
    with full.open_place(replace=True) as catalog:
        aside = full.put(catalog, _terms(accept, replace=True))

        assert asked == [(len(full.tables), 7, "1")]
        with catalog.snapshot() as snapshot:
            assert _is_catalog(snapshot, full)
        assert aside is not None
        where = catalog.where_kept(aside)
    with open_catalog(*where) as old, old.snapshot() as snapshot:
        assert snapshot.counts(snapshot.tables)[METADATA.name] == 1


def test_what_is_dropped_is_nowhere(full: Scene) -> None:
    """What was replaced and dropped is not kept, and the block says so."""
    with full.open_place(replace=True) as catalog:
        terms = Terms(accept=lambda existing: None, replace=True, drop_replaced=True)
        assert full.put(catalog, terms) is None
        catalog.drop_left()

    with open_catalog(full.address) as catalog, catalog.snapshot() as snapshot:  # one only, or it were ambiguous
        assert _is_catalog(snapshot, full)


def test_what_is_not_accepted_stays(full: Scene) -> None:
    """Where what stands there is not accepted, nothing is touched."""

    def refuse(existing: Existing) -> None:
        raise ZeroDivisionError

    with full.open_place(replace=True) as catalog:
        with pytest.raises(ZeroDivisionError):
            full.put(catalog, _terms(refuse, replace=True))
        with catalog.snapshot() as snapshot:
            assert _is_catalog(snapshot, full)


def test_several_parts_make_the_same_catalog(tight: Scene) -> None:
    """Where tables don't go into one part, each is in one of several; the last part has none, and holds them all."""
    asked: list[int] = []
    parts: list[list[str]] = []
    with tight.open_place() as catalog:
        terms = _terms(lambda existing: asked.append(len(existing.tables)))
        with catalog.replacement(len(tight.entries), terms) as replacement:
            for opened in replacement.parts(tight.entries):
                with opened as part:
                    tight.fill(part)
                    parts.append([entry.table.name for entry in part.entries])
                    assert part.whole == (not part.entries)
                    with pytest.raises(NotALake), open_catalog(tight.address):
                        pass
            whole = part.place

        assert len(parts) > 2
        assert [name for names in parts for name in names] == [table.name for table in tight.tables]
        assert asked == [0, 0]  # when it was begun, and again when it was locked
        assert whole.schema != catalog.schema
        with catalog.snapshot() as snapshot:
            assert _is_catalog(snapshot, tight)


def test_several_parts_that_fail_leave_nothing(tight: Scene) -> None:
    """An error in a later part takes away what the parts before have made; what stood there stays."""
    with tight.open_place() as catalog:
        tight.put(catalog)
    with tight.open_place(replace=True) as catalog:
        with pytest.raises(ZeroDivisionError), ExitStack() as stack:
            terms = _terms(replace=True)
            replacement = stack.enter_context(catalog.replacement(len(tight.entries), terms))
            for number, opened in enumerate(replacement.parts(tight.entries)):
                with opened as part:
                    tight.fill(part)
                    if number == 2:
                        made = part.place.schema
                        raise ZeroDivisionError
        with catalog.snapshot() as snapshot:
            assert _is_catalog(snapshot, tight)
    with pytest.raises(NotALake), open_catalog(tight.address, made):
        pass


def test_roles_that_are_missing_are_named(scene: Scene) -> None:
    """Of roles that nobody made it is said that they are missing."""
    with scene.open_place() as catalog, catalog.replacement(1, _terms()) as replacement:
        assert sorted(replacement.missing_roles({"nor that", "nobody by that"})) == ["nobody by that", "nor that"]
        assert replacement.missing_roles(()) == []


def test_one_has_the_turn(full: Scene) -> None:
    """While one migrates or restores a catalog, another can't begin; afterwards it can."""
    with open_catalog(full.address) as one, open_catalog(full.address) as other:
        with one.turn(), pytest.raises(MigratorRuns), other.turn():
            pass
        with other.turn():
            other.refuse_pooler()


def test_what_is_tried_is_whole_and_gone_at_the_end(full: Scene) -> None:
    """A backup is tried in a place beside the catalog, which stays as it is; after an error, too, nothing is left."""
    with open_catalog(full.address) as catalog:
        schema = catalog.schema
    with pytest.raises(ZeroDivisionError), trying(full.address, schema) as trial:
        with trial.blamed(full.backend.header.source.server_version):
            full.put(trial.catalog, replace(_terms(), scratch=True))
        trial.filled([METADATA.name, SNAPSHOT.name])
        with trial.catalog.snapshot() as snapshot:
            assert _lines(snapshot.rows(METADATA)) == sorted(_ROWS[METADATA.name])
            assert len(snapshot.tables) == len(full.tables)
        place = (trial.catalog.address, trial.catalog.schema)
        raise ZeroDivisionError

    assert place != (full.address, schema)
    with pytest.raises(NotALake), open_catalog(*place):
        pass
    with open_catalog(full.address) as catalog, catalog.snapshot() as snapshot:
        assert _is_catalog(snapshot, full)


def test_one_alone_makes_a_lake(scene: Scene) -> None:
    """On a server one has the site of a new lake for himself, and who comes later is told of his; a file is no site."""
    with making_lake(scene.address, None) as site:
        assert not site.taken
        if not is_in_file(scene.address):
            with pytest.raises(MigratorRuns), making_lake(scene.address, site.schema):
                pass
    with scene.open_place() as catalog:
        scene.put(catalog)

    with making_lake(scene.address, None) as site:
        assert site.taken is not is_in_file(scene.address)


def test_mark_is_left_and_taken_away(full: Scene, tmp_path: Path) -> None:
    """A mark is found by others with what it says, names its catalog, and is gone once it is taken away."""
    with open_catalog(full.address) as one, open_catalog(full.address) as other:
        assert one.mark.read() is None
        assert one.mark.leave(tmp_path / "journal", "0.3")

        assert other.mark.read() == (tmp_path / "journal", "0.3")
        assert other.mark.catalog == one.mark.catalog
        assert isinstance(one.mark.catalog, Identity)
        other.mark.take_away()
        other.mark.take_away()
        assert one.mark.read() is None


def test_who_else_is_there_is_told(full: Scene) -> None:
    """Other processes of dlbackup are no clients, and locks are told for any number of tables."""
    with open_catalog(full.address) as catalog, open_catalog(full.address):
        assert catalog.clients() == catalog.settle_clients(ignore=False, terminate=False) == ()
        assert catalog.locks(20).needed == 2 * catalog.locks(10).needed
