"""Catalogs in SQLite files: dumped beside writers, restored as they were, replaced in the live file."""

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zstandard
from support.backups import assemble, take_apart
from support.cli import Cli
from support.disks import small_disk
from support.faults.failures import failure
from support.files import beside, contents, is_healthy
from support.lakes.in_files import FileLake, FileLakes
from support.lakes.lakes import LakeKind

import dlbackup
from dlbackup import Event, RestoreOptions, errors
from dlbackup.catalogs.sqlite import copying

_LAKES: list[tuple[LakeKind, str]] = [("inlined", "1.5.5")]
_MORE: list[tuple[LakeKind, str]] = [
    *(
        ("plain", "1.3.2"),
        ("zoo", "1.4.4"),
        ("inlined", "1.4.4"),
        ("plain", "1.5.1"),
        ("inlined", "1.5.1"),
        ("zoo", "1.5.5"),
    ),
]
_KILLS = 1
_COMMIT = (
    "insert into ducklake_snapshot"
    " select max(snapshot_id) + 1, '2026-11-29 00:00:00+00', 1, 100, 100 from ducklake_snapshot"
)
REPLACE = RestoreOptions(replace=True, discard_newer=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests with a lake on a few kinds, or with --long on all."""
    if "lake" in metafunc.fixturenames:
        lakes = _LAKES + (_MORE if metafunc.config.option.long else [])
        metafunc.parametrize("lake", lakes, ids=lambda lake: "-".join(lake), indirect=True)


@pytest.fixture
def lake(request: pytest.FixtureRequest, file_lakes: FileLakes, tmp_path: Path) -> FileLake:
    """A lake of each kind in turn."""
    kind, version = request.param
    return file_lakes.copy(kind, version, tmp_path, "sqlite")


@pytest.fixture
def one(file_lakes: FileLakes, tmp_path: Path) -> FileLake:
    """A lake of today."""
    return file_lakes.copy("inlined", "1.5.5", tmp_path, "sqlite")


@pytest.fixture
def backup(one: FileLake, tmp_path: Path) -> Path:
    """A backup of it."""
    return Path(dlbackup.dump(str(one.path), tmp_path / "b.sql.zst").path)


def _execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def _replay(text: bytes, into: Path) -> None:
    """Let SQLite's command line execute a backup; where there is none, the module that Python has of it."""
    if shutil.which("sqlite3"):
        subprocess.run(["sqlite3", "-bail", into], input=text, check=True)
        return
    with closing(sqlite3.connect(into)) as connection:
        connection.executescript(text.decode())


def _text(backup: Path) -> bytes:
    with backup.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()


def test_what_was_dumped_is_restored(lake: FileLake, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Dump, restore, dump: the same definitions and digests; the engine reads the same; `sqlite3` restores it too."""
    at = None if pytestconfig.option.long else ("first", "last")
    before = lake.path.read_bytes()
    backup = Path(dlbackup.dump(str(lake.path), tmp_path / "b.sql.zst").path)

    assert dlbackup.verify(backup).ok
    info = dlbackup.info(backup)
    assert (info.dialect, info.spec_version, info.fingerprint) == (
        *("sqlite", lake.engine.spec),
        dlbackup.info(str(lake.path), fingerprint=True).fingerprint,
    )
    live, stored = dlbackup.check(str(lake.path)), dlbackup.check(backup)
    assert live.findings == stored.findings
    assert is_healthy(live)
    new, replayed = tmp_path / "new.sqlite", tmp_path / "replayed.sqlite"
    dlbackup.restore(backup, str(new))
    _replay(_text(backup), replayed)
    assert contents(new) == contents(replayed) == contents(backup)
    assert lake.read_by(at, path=new) == lake.read_by(at, path=replayed) == lake.read_by(at)
    assert new.stat().st_mode & 0o777 == 0o600
    assert (lake.path.read_bytes(), beside(lake.path)) == (before, set())


def test_values_that_sqlite_keeps_otherwise_than_declared(one: FileLake, tmp_path: Path) -> None:
    """
    NUL in texts, reals, bytes, and other kinds of values than a column was declared for come back as they were.

    By `sqlite3` too, for which a line that it would do is part of its text.
    """
    table = "ducklake_inlined_data_900_1"
    dots = f"\n.shell touch {tmp_path / 'planted'}\n''\n;\n.shell touch {tmp_path / 'planted'}\n"
    _execute(
        one.path,
        f"create table {table} (row_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, n VARCHAR, r DOUBLE, b BLOB,"
        " mixed VARCHAR)",
        f"insert into {table} values (0, 1, null, 'a' || char(0) || 'b', 1e300, x'00ff27', 1)",
        f"insert into {table} values (1, 1, null, 'it''s', 9e999, x'', 'x'), (2, 1, null, null, -0.1, null, 2.5),"
        f" (3, 1, null, '', -9e999, null, x'41'), (4, 1, null, '{dots}', null, null, null)",
    )
    kinds = f"select row_id, typeof(n), hex(n), typeof(r), r, typeof(b), hex(b), typeof(mixed), mixed from {table}"
    backup, new = dlbackup.dump(str(one.path), tmp_path / "b.sql.zst"), tmp_path / "new.sqlite"

    dlbackup.restore(backup, str(new))
    _replay(_text(Path(backup.path)), tmp_path / "replayed.sqlite")

    with closing(sqlite3.connect(one.path)) as before:
        expected = before.execute(kinds).fetchall()
    for path in (new, tmp_path / "replayed.sqlite"):
        with closing(sqlite3.connect(path)) as after:
            assert after.execute(kinds).fetchall() == expected
    assert not (tmp_path / "planted").exists()
    assert any(f"{table}.mixed" in what for what in backup.left_out)


def test_column_may_be_called_as_row_ids_are(one: FileLake, tmp_path: Path) -> None:
    """Rows of inlined tables with columns named `rowid`, `_rowid_` and `oid`, as lakes may have, are all there."""
    own = "row_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT"
    _execute(
        one.path,
        f"create table ducklake_inlined_data_900_1 ({own}, RowId BIGINT)",
        "insert into ducklake_inlined_data_900_1 values (0, 1, null, null), (1, 1, null, 200000), (2, 1, null, -7)",
        f"create table ducklake_inlined_data_901_1 ({own}, rowid VARCHAR, _rowid_ VARCHAR, oid VARCHAR)",
        "insert into ducklake_inlined_data_901_1 values (0, 1, null, 'x', 'y', 'z')",
    )

    backup = dlbackup.dump(str(one.path), tmp_path / "b.sql.zst")

    assert [backup.contents[f"ducklake_inlined_data_{number}_1"].count for number in (900, 901)] == [3, 1]
    dlbackup.restore(backup, str(tmp_path / "new.sqlite"))
    assert contents(tmp_path / "new.sqlite") == contents(Path(backup.path))


def test_reals_are_restored_to_the_last_bit(one: FileLake, tmp_path: Path) -> None:
    """SQLite, up to which version so ever, reads the constants of some reals as the number beside."""
    table = "ducklake_inlined_data_900_1"
    reals = [0.69739894226436, 9.32767607844005e-296, -5e-324, 1e300, float("-inf")]
    _execute(
        one.path, f"create table {table} (row_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, r DOUBLE, a TEXT)"
    )
    with closing(sqlite3.connect(one.path)) as connection, connection:
        rows = [(number, 1, real, f"'{real!r}'") for number, real in enumerate(reals)]
        connection.executemany(f"insert into {table} values (?, ?, null, ?, ?)", rows)
    backup, new = dlbackup.dump(str(one.path), tmp_path / "b.sql.zst"), tmp_path / "new.sqlite"

    dlbackup.restore(backup, str(new))

    with closing(sqlite3.connect(new)) as connection:
        found = connection.execute(f"select r, a from {table} order by row_id").fetchall()
    assert found == [(real, f"'{real!r}'") for real in reals]


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_file_in_another_encoding_holds_the_same(encoding: str, one: FileLake, tmp_path: Path) -> None:
    """SQLite can keep texts in UTF-16; those with NUL and CR LF too are what they are in UTF-8."""
    table = "ducklake_inlined_data_900_1"
    _execute(
        one.path,
        f"create table {table} (row_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, t VARCHAR, plain VARCHAR)",
        f"insert into {table} values (0, 1, null, 'ä' || char(0) || 'b', 'ü'), (1, 1, null, 'ö' || char(13, 10), '')",
    )
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(one.path)) as live, closing(sqlite3.connect(other)) as copy:
        copy.execute(f"pragma encoding = '{encoding}'")
        for (statement,) in live.execute("select sql from sqlite_master where type = 'table'").fetchall():
            copy.execute(statement)
        for (name,) in live.execute("select name from sqlite_master where type = 'table'").fetchall():
            rows = live.execute(f"select * from {name}").fetchall()
            if rows:
                copy.executemany(f"insert into {name} values ({', '.join('?' * len(rows[0]))})", rows)
        copy.commit()

    assert contents(other) == contents(one.path)


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_no_commit_fails_beside_a_dump(journal: str, one: FileLake, tmp_path: Path) -> None:
    """A writer commits in a loop while dumps are made: none of its commits fails, each dump is one state."""
    _execute(one.path, f"pragma journal_mode = {journal}", "create table mine (i int)")
    longest, failed, done = 0.0, [], threading.Event()

    def commit() -> None:
        nonlocal longest
        with closing(sqlite3.connect(one.path, timeout=2, isolation_level=None)) as connection:
            while not done.is_set():
                begun = time.monotonic()
                try:
                    connection.execute("begin immediate")
                    connection.execute(_COMMIT)
                    connection.execute(
                        "insert into ducklake_tag select max(snapshot_id), 1, null, 'k', 'v' from ducklake_snapshot"
                    )
                    connection.execute("commit")
                except sqlite3.OperationalError as exc:
                    failed.append(str(exc))
                longest = max(longest, time.monotonic() - begun)
                time.sleep(0.002)

    writer = threading.Thread(target=commit)
    writer.start()
    try:
        backups = [dlbackup.dump(str(one.path), tmp_path / f"{number}.sql.zst") for number in range(5)]
    finally:
        done.set()
        writer.join()

    assert (failed, longest < 2) == ([], True)
    for made in backups:
        assert dlbackup.verify(made).spec_version == "1.0"
        head, tags = (made.contents[name].count for name in ("ducklake_snapshot", "ducklake_tag"))
        assert head - tags == backups[0].contents["ducklake_snapshot"].count - backups[0].contents["ducklake_tag"].count


@pytest.mark.parametrize("ahead", ["nothing", "a part", "other pages", "more"])
def test_what_changes_while_a_file_is_copied_is_copied_again(
    ahead: str, one: FileLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was copied before there was a lock, the copy is the file as it is then."""
    data, copy = one.path.read_bytes(), tmp_path / "copy"
    copied = {"nothing": b"", "a part": data[:5000], "other pages": bytes(len(data)), "more": data + bytes(1_000_000)}
    monkeypatch.setattr(copying, "copyfile", lambda source, target: Path(target).write_bytes(copied[ahead]))

    assert copying.make_copy(str(one.path), str(copy), 0) == {}
    assert copy.read_bytes() == data


def test_a_file_that_gets_another_journal_while_it_is_copied_is_copied_by_sqlite(
    one: FileLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In WAL mode, what is in the file is not the whole."""
    copy = tmp_path / "copy"
    with closing(sqlite3.connect(one.path)) as writer:

        def meanwhile(source: str, target: str) -> None:
            Path(target).write_bytes(b"x" * 10_000)
            writer.execute("pragma journal_mode = wal")
            writer.execute(_COMMIT)
            writer.commit()

        monkeypatch.setattr(copying, "copyfile", meanwhile)
        assert copying.make_copy(str(one.path), str(copy), 0) == {}
        found = writer.execute("select * from ducklake_snapshot").fetchall()

    with closing(sqlite3.connect(copy)) as copied:
        assert copied.execute("select * from ducklake_snapshot").fetchall() == found


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_no_room_for_the_copy_is_said(journal: str, one: FileLake, tmp_path: Path, cli: Cli) -> None:
    """Whoever copies the file: what is full is the folder for temporary files, and the catalog is as it was."""
    _execute(one.path, f"pragma journal_mode = {journal}", "create table mine as select zeroblob(3000000) as b")
    with small_disk(tmp_path / "small", 1) as disk:
        done = cli("dump", one.path, "-o", tmp_path / "b.sql.zst", env={"TMPDIR": str(disk.path)})
        failure(done, 1, "no room", hint="TMPDIR")
        assert disk.names() == set()
    assert not (tmp_path / "b.sql.zst").exists()


def test_live_file_is_replaced_for_all_who_have_it_open(one: FileLake, backup: Path, cli: Cli) -> None:
    """Who has the file open sees the old catalog until the commit, and then the new; other tables stay."""
    with closing(sqlite3.connect(one.path)) as client:
        old = client.execute("select max(snapshot_id) from ducklake_snapshot").fetchone()
        client.execute("create table mine as select 42 as i")
        client.execute(_COMMIT)
        client.commit()

        refused = cli("restore", backup, one.path, "--replace")
        done = cli("restore", backup, one.path, "--replace", "--discard-newer", "--json")

        assert client.execute("select max(snapshot_id) from ducklake_snapshot").fetchone() == old
        assert client.execute("select i from mine").fetchall() == [(42,)]
    failure(refused, 4, "has snapshots that the backup has not")
    assert contents(one.path) == contents(backup)
    kept = Path(done.json()["replaced"])
    with closing(sqlite3.connect(kept)) as before:
        assert before.execute("select max(snapshot_id) from ducklake_snapshot").fetchone() == (old[0] + 1,)
    assert beside(one.path) == {kept.name}


def test_reader_in_a_transaction_keeps_the_old_state(one: FileLake, backup: Path) -> None:
    """A reader in the default journal mode makes the replacement wait, and then fail, with nothing changed."""
    before = contents(one.path)
    with closing(sqlite3.connect(one.path, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select count(*) from ducklake_snapshot").fetchone()
        with pytest.raises(errors.Locked):
            dlbackup.restore(backup, str(one.path), REPLACE)
    assert contents(one.path) == before
    assert beside(one.path) == set()


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_readers_go_on_while_much_is_written(journal: str, one: FileLake, tmp_path: Path) -> None:
    """
    More than SQLite keeps in its cache is put in the place of a catalog: who reads meanwhile is not kept out.

    In WAL mode it isn't kept in memory for that, but goes to the log, which nobody reads before the commit.
    """
    _execute(
        one.path,
        f"pragma journal_mode = {journal}",
        "create table ducklake_inlined_data_900_1"
        " (row_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, t VARCHAR)",
        "insert into ducklake_inlined_data_900_1 with recursive n(i) as (select 0 union all select i + 1 from n"
        " where i < 3999) select i, 1, null, replace(hex(zeroblob(1000)), '0', 'x') from n",
    )
    backup = dlbackup.dump(str(one.path), tmp_path / "b.sql.zst")
    read, log_sizes = [], [0]
    log = Path(f"{one.path}-wal")

    def look(event: Event) -> None:
        if log.exists():
            log_sizes.append(log.stat().st_size)
        with closing(sqlite3.connect(one.path, timeout=0)) as reader:
            read.append(reader.execute("select count(*) from ducklake_inlined_data_900_1").fetchone())

    with closing(sqlite3.connect(one.path)) as keeps_the_log:
        keeps_the_log.execute("select 1 from ducklake_snapshot").fetchone()
        dlbackup.restore(backup, str(one.path), REPLACE, on_event=look)

    assert set(read) == {(4000,)}
    assert (max(log_sizes) > 4_000_000) == (journal == "wal")


_MANY_STATEMENTS = """
import pathlib, sys
from dlbackup.catalogs.sqlite.introspection import opened
def anonymous():
    return int(pathlib.Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0])
file = opened(sys.argv[1])
file.execute("begin")
file.execute("create table many (a, b, c, d, e, f, g, h, i, j)")
before = anonymous()
for number in range(150):
    file.execute("insert into many values " + ", ".join([f"({number}, 2, 3, 4, 5, 6, 7, 8, 9, 'text')"] * 1000))
print(anonymous() - before)
"""


def test_statements_are_not_kept(tmp_path: Path) -> None:
    """A restore executes thousands of long ones, of which sqlite3 would keep 128, which take 80 MB."""
    command = [sys.executable, "-c", _MANY_STATEMENTS, str(tmp_path / "many.sqlite")]
    grown_kib = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert int(grown_kib) < 20_000


def test_writer_is_waited_for_and_named(one: FileLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is locked for longer than a commit takes is refused in words."""
    monkeypatch.setattr("dlbackup.catalogs.sqlite.copying.LEAST_WAIT_S", 1.0)
    with closing(sqlite3.connect(one.path, isolation_level=None)) as writer:
        writer.execute("begin exclusive")
        with pytest.raises(errors.Locked, match="is locked by a program"):
            dlbackup.dump(str(one.path), tmp_path / "b.sql.zst")
    assert list(tmp_path.glob("*.zst")) == []


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


def test_what_is_no_sqlite_file_is_not_restored_over(backup: Path, tmp_path: Path) -> None:
    """Words in a file of that name, and a folder: nobody is told to restore a backup of it."""
    words, folder = tmp_path / "words.sqlite", tmp_path / "folder.sqlite"
    words.write_text("words of somebody")
    folder.mkdir()
    before = set(tmp_path.iterdir())

    for path, said in ((words, "is no SQLite file"), (folder, "is a folder")):
        with pytest.raises(errors.NotEmpty, match=f"{said}.* would be replaced") as refused:
            dlbackup.restore(backup, f"sqlite:{path}")
        assert "name another file" in refused.value.hint

    assert words.read_text() == "words of somebody"
    assert set(tmp_path.iterdir()) == before


def test_what_is_no_catalog_is_refused_in_words(one: FileLake, tmp_path: Path, cli: Cli) -> None:
    """Absent, empty, another kind of file, no catalog, damaged: each is said, and nothing is written."""
    empty, text, other, damaged = (tmp_path / f"{name}.sqlite" for name in ("empty", "text", "other", "damaged"))
    empty.touch()
    text.write_text("words " * 200)
    _execute(other, "create table t (i int)")
    damaged.write_bytes(one.path.read_bytes())
    for page in range(2, 8):
        _flip(damaged, page * 4096 + 3)

    failure(cli("dump", tmp_path / "gone.sqlite"), 1, "there is no file")
    failure(cli("dump", f"sqlite:{empty}"), 1, "is empty")
    failure(cli("dump", f"sqlite:{text}"), 1, "no SQLite file")
    failure(cli("dump", other), 1, "holds no DuckLake catalog")
    failure(cli("dump", damaged), 1, "can't be read")
    failure(cli("dump", one.path, "--metadata-schema", "other"), 1, "no schemas")
    assert list(tmp_path.glob("*.zst")) == []


@pytest.mark.parametrize("kind", ["statement", "row", "bytes"])
def test_forged_backup_is_refused_and_nothing_of_it_runs(kind: str, backup: Path, tmp_path: Path) -> None:
    """A smuggled ATTACH, a function among values, and bytes that end early are refused; no file is made."""
    planted = tmp_path / "planted.sqlite"
    texts, manifest = take_apart(backup)
    if kind == "statement":
        texts[0] = texts[0].replace(b"BEGIN;\n", f"BEGIN;\nATTACH '{planted}' AS x;\n".encode())
    else:
        forged = b"\n0,'" if kind == "row" else b",'"
        wanted = b"\nabs(0),'" if kind == "row" else b",X'4',(select 1),'"
        place = next(number for number, text in enumerate(texts) if forged in text)
        texts[place] = texts[place].replace(forged, wanted, 1)
    backup.write_bytes(assemble(texts, manifest))

    with pytest.raises(errors.BackupError):
        dlbackup.restore(backup, str(tmp_path / "new.sqlite"))
    assert not planted.exists()
    assert not (tmp_path / "new.sqlite").exists()
    assert [path.name for path in tmp_path.iterdir() if "restoring" in path.name] == []


def test_killed_at_any_point_old_or_new_is_there(one: FileLake, backup: Path, pytestconfig: pytest.Config) -> None:
    """Wherever a restore into a live file is killed, what is read then is the old catalog or the new one, whole."""
    new = contents(backup)
    _execute(one.path, _COMMIT)
    kept, old = one.path.read_bytes(), contents(one.path)
    points = random.Random(pytestconfig.option.seed)
    command = [sys.executable, "-m", "dlbackup", "-q", "restore", str(backup), str(one.path), "--replace"]
    command.append("--discard-newer")
    begun = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    longest = time.monotonic() - begun
    for _ in range(pytestconfig.option.kill_points or _KILLS):
        for ending in ("-journal", "-wal", "-shm"):
            Path(f"{one.path}{ending}").unlink(missing_ok=True)
        one.path.write_bytes(kept)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(points.uniform(0.3, longest))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert contents(one.path) in (old, new)


@pytest.fixture
def odd(tmp_path: Path, one: FileLake) -> Iterator[Path]:
    """The same lake by a name that means something to SQLite, to DuckDB and to a shell."""
    folder = tmp_path / "a b?mode#'%41é"
    folder.mkdir()
    path = folder / "it's;.db"
    path.write_bytes(one.path.read_bytes())
    yield path


def test_file_is_known_by_its_first_bytes(odd: Path, one: FileLake, tmp_path: Path, cli: Cli) -> None:
    """Whatever its name: a SQLite file is one, also where the address says DuckDB."""
    for address in (odd, f"sqlite:{odd}", f"duckdb:{odd}", f"ducklake:sqlite:{odd}"):
        info = cli("info", address, "--json")
        assert (info.exit_code, info.json()["dialect"]) == (0, "sqlite"), info.stderr
    backup = dlbackup.dump(str(odd), tmp_path / "odd.sql.zst")
    new = odd.with_name("new one?.sqlite")
    dlbackup.restore(backup, str(new))
    assert contents(new) == contents(tmp_path / "odd.sql.zst")
