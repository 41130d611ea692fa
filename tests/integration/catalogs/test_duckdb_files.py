"""Catalogs in DuckDB files: read as they are, or refused by name; nothing touches the file but a process of ours."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import zstandard
from support.cli import Cli
from support.engines.engines import duckdb_cli, engine
from support.files import contents, execute_in, held, is_healthy
from support.lakes.in_files import FileLake, FileLakes
from support.lakes.lakes import LakeKind
from support.longer import long

import dlbackup
from dlbackup import errors
from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Access
from dlbackup.catalogs.duckdb.catalog import FileCatalog
from dlbackup.catalogs.duckdb.child import ALIAS
from dlbackup.catalogs.duckdb.process import FileProcess
from dlbackup.stores.folder import local

_LAKES: list[tuple[LakeKind, str]] = [("zoo", "1.4.4"), ("inlined", "1.5.5")]
_MORE: list[tuple[LakeKind, str]] = [
    *(
        ("plain", "1.3.2"),
        ("zoo", "1.3.2"),
        ("plain", "1.4.4"),
        ("inlined", "1.4.4"),
        ("plain", "1.5.1"),
        ("inlined", "1.5.1"),
    ),
    ("plain", "1.5.5"),
]
"""The zoos of 1.5 have inlined values of type VARIANT, which are refused."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests with a lake on a few kinds, or with --long on all."""
    if "lake" in metafunc.fixturenames:
        lakes = _LAKES + (_MORE if metafunc.config.option.long else [])
        metafunc.parametrize("lake", lakes, ids=lambda lake: "-".join(lake), indirect=True)


@pytest.fixture
def lake(request: pytest.FixtureRequest, file_lakes: FileLakes, tmp_path: Path) -> FileLake:
    """A lake of each kind in turn."""
    kind, version = request.param
    return file_lakes.copy(kind, version, tmp_path)


@pytest.fixture
def one(file_lakes: FileLakes, tmp_path: Path) -> FileLake:
    """A lake of today."""
    return file_lakes.copy("inlined", "1.5.5", tmp_path)


def _text(backup: Path) -> bytes:
    with backup.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()


def test_backup_is_good_and_says_what_the_file_is(lake: FileLake, tmp_path: Path) -> None:
    """What is dumped verifies, means what the file means, is healthy where that is, and leaves the file as it was."""
    before = lake.path.read_bytes()

    backup = dlbackup.dump(str(lake.path), tmp_path / "b.sql.zst")

    assert dlbackup.verify(backup).ok
    there, taken = dlbackup.info(str(lake.path), fingerprint=True), dlbackup.info(backup.path)
    assert (there.fingerprint, there.rows, there.lake) == (taken.fingerprint, taken.rows, taken.lake)
    assert (taken.dialect, taken.spec_version, taken.server_version) == (
        *("duckdb", lake.engine.spec, lake.engine.version),
    )
    assert taken.storage_version == ("v1.5.0" if lake.engine.version >= "1.5" else "v1.0.0")
    live, stored = dlbackup.check(str(lake.path)), dlbackup.check(backup.path)
    assert live.findings == stored.findings
    assert is_healthy(live)
    assert (lake.path.read_bytes(), sorted(tmp_path.iterdir())) == (before, [tmp_path / "b.sql.zst", lake.path])


def test_duckdb_restores_it_without_dlbackup(lake: FileLake, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """`zstd -dc BACKUP | duckdb NEW` makes the same catalog, which the engine reads as before."""
    backup = Path(dlbackup.dump(str(lake.path), tmp_path / "b.sql.zst").path)
    new = tmp_path / "new.ducklake"
    execute_in(new, "select 1")
    new.unlink()
    with duckdb.connect() as connection:  # a file that old engines open too
        connection.execute(f"attach '{new}' as new (storage_version 'v1.0.0')")

    subprocess.run([duckdb_cli(), "-bail", str(new)], input=_text(backup), check=True, capture_output=True)

    again = Path(dlbackup.dump(str(new), tmp_path / "again.sql.zst").path)
    assert contents(again) == contents(backup)
    at = None if pytestconfig.option.long else ("first", "last")
    assert lake.read_by(at, new) == lake.read_by(at)


def test_cat_prints_rows_of_a_file(one: FileLake, tmp_path: Path, cli: Cli) -> None:
    """A table of a backup can be read as CSV, JSON lines and SQL."""
    backup = dlbackup.dump(str(one.path), tmp_path / "b.sql.zst")

    rows = cli("cat", backup.path, "ducklake_metadata", "--format", "jsonl").stdout.splitlines()

    assert {"key": "version", "value": "1.0", "scope": None, "scope_id": None} in map(json.loads, rows)
    assert ("version", "1.0", None, None) in dlbackup.cat(backup, "ducklake_metadata")


def test_what_is_only_in_the_wal_is_there(one: FileLake, tmp_path: Path) -> None:
    """Commits that no checkpoint has put into the file yet are dumped, and the WAL stays."""
    statement = "insert into ducklake_tag values (1, 1, null, 'in', 'the WAL')"
    with held(one.path, statement):
        pass  # killed: only the WAL has it
    wal = Path(f"{one.path}.wal")
    assert wal.exists()

    backup = dlbackup.dump(str(one.path), tmp_path / "b.sql.zst")

    assert (1, 1, None, "in", "the WAL") in dlbackup.cat(backup, "ducklake_tag")
    assert wal.exists()


def test_file_that_somebody_holds_is_refused_by_name(one: FileLake, tmp_path: Path, cli: Cli) -> None:
    """Who has it open for writing is named with program and pid, and can be waited for."""
    with held(one.path) as holder:
        refused = cli("dump", one.path, "-o", tmp_path / "b.sql.zst", "--json")
        assert refused.exit_code == 4
        assert (refused.json()["error"]["type"], refused.json()["transient"]) == ("Locked", True)
        assert f"pid {holder.pid}" in refused.json()["error"]["message"]
        assert "--wait" in refused.json()["error"]["hint"]
        assert not (tmp_path / "b.sql.zst").exists()
        with pytest.raises(errors.Locked):
            dlbackup.info(str(one.path), wait=0.3)

        waiting = subprocess.Popen(
            [sys.executable, "-m", "dlbackup", "info", str(one.path), "--wait", "60"], stdout=subprocess.PIPE, text=True
        )
        assert holder.stdin is not None
        holder.stdin.close()
        assert "catalog of DuckLake 1.0" in waiting.communicate(timeout=60)[0]
        assert waiting.returncode == 0


def test_file_that_this_program_holds_stays_locked(one: FileLake) -> None:
    """A program that has the file open itself is told so; its lock is still there afterwards."""
    with duckdb.connect(str(one.path)):
        with pytest.raises(errors.Locked, match=rf"held by this program itself .pid {os.getpid()}"):
            dlbackup.info(str(one.path))

        with pytest.raises(errors.Locked):  # another process is kept out all the same
            dlbackup.check(str(one.path))


def test_readers_go_together(one: FileLake, tmp_path: Path) -> None:
    """Whoever only reads the file keeps nobody from reading it."""
    with duckdb.connect(str(one.path), read_only=True):
        assert dlbackup.verify(dlbackup.dump(str(one.path), tmp_path / "b.sql.zst")).ok


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("absent.ducklake", errors.NotALake, "no file"),
        ("folder.ducklake", errors.NotALake, "is a folder"),
        ("empty.ducklake", errors.NotALake, "no DuckDB file"),
        ("text.ducklake", errors.NotALake, "no DuckDB file"),
        ("sqlite.ducklake", errors.Unsupported, "SQLite"),
        ("plain.ducklake", errors.NotALake, "holds no DuckLake catalog"),
        ("short.ducklake", errors.CatalogError, "can't be read"),
        ("cut.ducklake", errors.CatalogError, "can't be read"),
        ("flipped.ducklake", errors.CatalogError, "can't be read"),
    ],
)
def test_what_is_no_catalog_is_refused(
    name: str, kind: type[Exception], words: str, one: FileLake, tmp_path: Path
) -> None:
    """Each file that holds no catalog, or a damaged one, is refused in words, and nothing is written."""
    whole = bytearray(one.path.read_bytes())
    flipped = bytearray(whole)
    flipped[20_000:] = bytes(byte ^ 0x55 for byte in flipped[20_000:])
    contents: dict[str, bytes] = {
        "empty.ducklake": b"",
        "text.ducklake": b"words " * 5000,
        "sqlite.ducklake": b"SQLite format 3\0" + bytes(5000),
        "short.ducklake": bytes(whole[:20]),
        "cut.ducklake": bytes(whole[: len(whole) // 2]),
        "flipped.ducklake": bytes(flipped),
    }
    path = tmp_path / name
    if name == "folder.ducklake":
        path.mkdir()
    elif name == "plain.ducklake":
        execute_in(path, "create table t (i int)")
    elif name in contents:
        path.write_bytes(contents[name])

    with pytest.raises(kind, match=words):
        dlbackup.dump(str(path), tmp_path / "b.sql.zst")
    assert not (tmp_path / "b.sql.zst").exists()


def test_newer_file_is_read_by_the_engine_that_is_named(one: FileLake, file_lakes: FileLakes, tmp_path: Path) -> None:
    """A DuckDB that is too old says so, with the way out; each engine's Python reads what that engine made."""
    with pytest.raises(errors.Unsupported, match="newer DuckDB") as caught:
        dlbackup.info(str(one.path), engine=engine("1.4.4").python)
    assert "--engine" in caught.value.hint

    (tmp_path / "old").mkdir()
    old = file_lakes.copy("plain", "1.3.2", tmp_path / "old")
    by_old = dlbackup.dump(str(old.path), tmp_path / "1.sql.zst", engine=engine("1.3.2").python)
    by_new = dlbackup.dump(str(old.path), tmp_path / "2.sql.zst")
    assert contents(Path(by_old.path)) == contents(Path(by_new.path))


def test_read_only_folder_is_no_hindrance(one: FileLake, tmp_path: Path) -> None:
    """Reading makes no file beside the catalog's, also where it has a WAL."""
    folder = tmp_path / "read only"
    folder.mkdir()
    path = folder / "it's a # lake?.ducklake"
    shutil.copy(one.path, path)
    with held(path, "insert into ducklake_tag values (1, 1, null, 'k', 'v')"):
        pass
    folder.chmod(0o555)
    try:
        backup = dlbackup.dump(str(path), tmp_path / "b.sql.zst")
    finally:
        folder.chmod(0o755)
    assert dlbackup.verify(backup).ok


def test_hard_values_are_the_same_again(one: FileLake, tmp_path: Path) -> None:
    """
    NUL in texts, also in nested ones, infinities, dates before Christ: what DuckDB replays is what was there.

    Lines that its command line would do are part of their text.
    """
    nul = "'a' || chr(0) || 'b'"
    dots = f"\n.shell touch {tmp_path / 'planted'}\n''\n;\n.shell touch {tmp_path / 'planted'}\n"
    execute_in(
        one.path,
        "create table ducklake_inlined_data_77_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint, s varchar,"
        ' n struct("it\'s "" x" varchar, b varchar[])[], d date, f float, h uhugeint, e decimal(38,10), b blob)',
        f"insert into ducklake_inlined_data_77_1 values (0, 1, null, {nul}, [{{'a': {nul}, 'b': [chr(0), null]}}],"
        " '-infinity', 'nan', 340282366920938463463374607431768211455, 1e27, 'a\\x00\\xFF''\\x5Cx41')",
        "insert into ducklake_inlined_data_77_1 values (1, 1, null, 'NULL', [], '0044-03-15 (BC)', -0.0, 0, 0, '')",
        "insert into ducklake_inlined_data_77_1 values (2, 1, null, '', null, '294247-01-10', 1e-45, null, null, null)",
        f"insert into ducklake_inlined_data_77_1 (row_id, s) values (3, '{dots}')",
        f"comment on table ducklake_tag is '{dots}'",
    )
    backup = Path(dlbackup.dump(str(one.path), tmp_path / "b.sql.zst").path)
    new = tmp_path / "new.ducklake"

    subprocess.run([duckdb_cli(), "-bail", str(new)], input=_text(backup), check=True, capture_output=True)

    rows = "select * from {}.ducklake_inlined_data_77_1"
    with duckdb.connect() as connection:
        connection.execute(f"attach '{new}' as new (read_only)")
        connection.execute(f"attach '{one.path}' as old (read_only)")
        differ = f"({rows.format('old')} except all {rows.format('new')})"
        assert connection.execute(f"select count(*) from {differ}").fetchall() == [(0,)]
    assert not (tmp_path / "planted").exists()
    assert contents(Path(dlbackup.dump(str(new), tmp_path / "again.sql.zst").path)) == contents(backup)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("variant", "42::variant"),
        # 2.0 gives it back, so that nothing is to be refused.
        pytest.param(
            "struct(a struct(b varchar), c varchar)", "{'a': {'b': '}'}, 'c': ''}", marks=pytest.mark.duckdb_1_5
        ),
    ],
)
def test_value_that_its_text_does_not_give_back_is_refused(
    type_: str, value: str, one: FileLake, tmp_path: Path
) -> None:
    """Where a value would be another one after a restore, nothing is written, and the way out is named."""
    execute_in(
        one.path,
        "create table ducklake_inlined_data_77_1"
        f" (row_id bigint, begin_snapshot bigint, end_snapshot bigint, v {type_})",
        f"insert into ducklake_inlined_data_77_1 values (0, 1, null, {value})",
    )

    with pytest.raises(errors.Unsupported, match=r"ducklake_inlined_data_77_1.*column v") as caught:
        dlbackup.dump(str(one.path), tmp_path / "b.sql.zst")
    assert "ducklake_flush_inlined_data" in caught.value.hint


def test_what_else_is_in_the_file_is_named(one: FileLake, tmp_path: Path) -> None:
    """Tables, views, macros, indexes and the like are not in a backup, and each is named; none can lie to us."""
    execute_in(
        one.path,
        "create table mine (i int)",
        "create view ducklake_v as select 1",
        "create macro count(x) as 666",
        "create macro coalesce_(x) as 'planted'",
        "create sequence s",
        "create type mood as enum ('a')",
        "create schema other; create table other.ducklake_snapshot (i int)",
        "create index own on ducklake_tag (object_id)",
        "create table ducklake_unknown (i int)",
        "comment on table ducklake_tag is 'it''s ours'",
        "alter table ducklake_tag alter column value set default 'x' || 'y'",
        "alter table ducklake_tag alter column key set default 'k'",
    )

    found = dlbackup.info(str(one.path))

    assert set(found.left_out) == {
        *("table mine", "view ducklake_v", "macro count", "macro coalesce_", "sequence s", "type mood"),
        *("table other.ducklake_snapshot", "index own of table ducklake_tag", "table ducklake_unknown"),
        "default of column value of table ducklake_tag",
    }
    backup = dlbackup.dump(str(one.path), tmp_path / "b.sql.zst")
    assert (backup.left_out, dlbackup.verify(backup).ok) == (found.left_out, True)
    text = _text(Path(backup.path))
    assert b"""COMMENT ON TABLE "ducklake_tag" IS 'it''s ours';""" in text
    assert b"\"key\" character varying DEFAULT 'k'" in text
    assert dlbackup.check(str(one.path)).ok


def test_wide_table_has_room(tmp_path: Path) -> None:
    """Of one of 1,500 columns each value is asked for what a backup can't hold, in little memory."""
    path = _lake_of(1, 1500, tmp_path)

    backup = dlbackup.dump(path, tmp_path / "b.sql.zst")

    assert dlbackup.verify(backup).ok
    execute_in(path, "update ducklake_inlined_data_1_1 set c1499 = 'a' || chr(0) where c0 = '1'")
    with BackupReader(local(Path(dlbackup.dump(path, tmp_path / "c.sql.zst").path))) as reader:
        columns = [column for entry in reader.manifest.tables for column in entry.table.columns]
    assert [column.name for column in columns if column.encoded] == ["c1499"]


@pytest.mark.parametrize(("tables", "columns"), [(30, 100), long(300, 20), long(1, 1500)])
def test_many_columns_are_restored(tables: int, columns: int, tmp_path: Path) -> None:
    """However many tables have inlined rows, and however wide they are: a new file takes them in little memory."""
    path, new = _lake_of(tables, columns, tmp_path), tmp_path / "new" / "lake.ducklake"
    new.parent.mkdir()
    execute_in(path, "update ducklake_inlined_data_1_1 set c1 = 'a' || chr(0)")

    dlbackup.restore(dlbackup.dump(path, tmp_path / "b.sql.zst"), str(new))

    assert contents(new) == contents(path)
    assert sorted(new.parent.iterdir()) == [new]


def test_backup_with_many_inlined_rows_is_checked(tmp_path: Path) -> None:
    """All rules about them are asked in little memory, and the file itself is found as good."""
    path = tmp_path / "lake.ducklake"
    made = (f"create table lake.t{number} as select * from range(1000)" for number in range(100))
    options = {"DATA_INLINING_ROW_LIMIT": 10_000}
    statements = ["begin", *made, "commit"]
    engine("1.5.5").run(str(path), "main", statements, data_path=tmp_path / "data", options=options)

    stored = dlbackup.check(dlbackup.dump(path, tmp_path / "b.sql.zst").path)

    assert is_healthy(stored)
    assert stored.findings == dlbackup.check(str(path)).findings


def _lake_of(tables: int, columns: int, folder: Path) -> Path:
    """Make a lake of tables with so many columns, of each of which there are two inlined rows."""
    names = ", ".join(f"c{number} varchar" for number in range(columns))
    values = ", ".join("range" for _ in range(columns))
    made = [f"create table lake.t{number} ({names})" for number in range(tables)]
    filled = [f"insert into lake.t{number} select {values} from range(2)" for number in range(tables)]
    path, options = folder / "lake.ducklake", {"DATA_INLINING_ROW_LIMIT": 10}
    statements = ["begin", *made, *filled, "commit"]
    engine("1.5.5").run(str(path), "main", statements, data_path=folder / "data", options=options)
    return path


def test_two_catalogs_in_one_file(one: FileLake) -> None:
    """Where a file holds several, one has to be named."""
    execute_in(one.path, "create schema b", "create table b.ducklake_metadata as from main.ducklake_metadata")

    with pytest.raises(errors.Ambiguous, match="b, main"):
        dlbackup.info(str(one.path))
    assert dlbackup.info(str(one.path), metadata_schema="main").schema == "main"
    with pytest.raises(errors.NotALake, match="'c'"):
        dlbackup.info(str(one.path), metadata_schema="c")


def test_file_is_the_same_whatever_jobs(one: FileLake, tmp_path: Path) -> None:
    """A large table is read by several processes, and the backup has the same frames as by one."""
    execute_in(
        one.path,
        "insert into ducklake_file_column_stats"
        " select range, 1, 1, 100, 10, 0, 'it''s ' || range, range::varchar, false, null from range(600000)",
    )
    one_job = dlbackup.dump(str(one.path), tmp_path / "1.sql.zst", jobs=1)
    three = dlbackup.dump(str(one.path), tmp_path / "3.sql.zst", jobs=4)

    assert one_job.contents == three.contents
    with BackupReader(local(tmp_path / "1.sql.zst")) as a, BackupReader(local(tmp_path / "3.sql.zst")) as b:
        digests = [[frame.sha256 for frame in reader.manifest.frames[1:-1]] for reader in (a, b)]
        assert digests[0] == digests[1]  # the first has the time that it was made in its header
        assert len(digests[0]) > 10


def test_column_may_be_called_as_row_ids_are(one: FileLake, tmp_path: Path) -> None:
    """Of an inlined table with a column named `rowid`, as lakes may have, all rows are there."""
    execute_in(
        one.path,
        "create table ducklake_inlined_data_900_1"
        ' (row_id bigint, begin_snapshot bigint, end_snapshot bigint, "RowId" bigint)',
        "insert into ducklake_inlined_data_900_1 select i, 1, null, nullif(i, 7) - 9 from range(130000) t(i)",
    )

    backup = dlbackup.dump(str(one.path), tmp_path / "b.sql.zst", jobs=1)

    assert backup.contents["ducklake_inlined_data_900_1"].count == 130_000


def test_file_that_becomes_another_is_not_read_on(one: FileLake, tmp_path: Path) -> None:
    """Helpers of a dump open a file by its name; where another got that meanwhile, they refuse it."""
    other = tmp_path / "other"
    shutil.copy(one.path, other)
    address = parse_address(str(one.path))
    with FileCatalog.open(address) as catalog, catalog.snapshot(share=True) as snapshot:
        shared = snapshot.joinable(snapshot.tables)
        assert shared is not None
        with shared.join() as joined:
            assert joined.counts(joined.tables) == snapshot.counts(snapshot.tables)
        other.rename(one.path)

        with pytest.raises(errors.CatalogError, match="became another file"), shared.join():
            pass


def test_what_duckdb_prints_is_no_answer(one: FileLake) -> None:
    """A progress bar, or whatever comes on standard output, doesn't come between answers."""
    with FileProcess(parse_address(str(one.path)), Access()) as process:
        process.open()
        process.do("execute", statements=["set enable_progress_bar = true", "set progress_bar_time = 0"])
        slow = f"select count(*) from {ALIAS}.main.ducklake_tag a, range(30000000) r where hash(r.range) = 0"

        assert len(process.ask(slow).rows) == 1
        assert process.ask("select 42 as i").rows == [(42,)]


@pytest.mark.parametrize("version", ["1.4.4", pytest.param("1.5.5", marks=pytest.mark.duckdb_1_5)])
def test_program_dumps_what_it_has_attached(version: str, file_lakes: FileLakes, tmp_path: Path) -> None:
    """A program that holds a lake's file dumps it over its own connection, and keeps it; what is committed counts."""
    lake = file_lakes.copy("inlined", version, tmp_path)
    plain = Path(dlbackup.dump(str(lake.path), tmp_path / "plain.sql.zst").path)
    program = f"""
import json, sys
sys.path += {[str(Path(dlbackup.__file__).parents[1]), *sys.path]!r}
import duckdb, dlbackup
from dlbackup.engine import child
connection = duckdb.connect()
child.load(connection, "ducklake")
never = "" if duckdb.__version__ >= "1.5" else ", MIGRATE_IF_REQUIRED false"
connection.execute("attach 'ducklake:{lake.path}' as my_lake (CREATE_IF_NOT_EXISTS false" + never + ")")
connection.execute("begin; create table my_lake.uncommitted (i int)")
backup = dlbackup.dump(connection, {str(tmp_path / "own.sql.zst")!r}, catalog="my_lake")
connection.execute("rollback")
try:
    dlbackup.dump(connection, catalog="other")
except dlbackup.NotALake as exc:
    said = str(exc)
print(json.dumps([backup.spec_version, said, duckdb.__version__]))
connection.execute("create table my_lake.afterwards (i int); detach my_lake")
"""
    ran = subprocess.run([engine(version).python, "-c", program], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    spec, said, used = json.loads(ran.stdout)
    assert (spec, "as other" in said, used) == (lake.engine.spec, True, version)
    assert contents(tmp_path / "own.sql.zst") == contents(plain)
    with BackupReader(local(tmp_path / "own.sql.zst")) as own, BackupReader(local(plain)) as other:
        one, two = own.manifest.header.source, other.manifest.header.source
        assert (one.database, one.schema, one.storage_version) == (two.database, two.schema, two.storage_version)
