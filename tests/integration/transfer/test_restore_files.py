"""Backups of catalogs in DuckDB files restored: into new files, and in the place of others, which are never lost."""

import errno
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from support.backups import Json, assemble, take_apart
from support.cli import Cli
from support.engines.engines import engine
from support.files import beside, contents, execute_in, storage_of
from support.lakes.in_files import FileLake, FileLakes
from support.lakes.lakes import LakeKind
from support.longer import long

import dlbackup
from dlbackup import RestoreOptions, errors
from dlbackup.runtime.handing import Handed

_LAKES: list[tuple[LakeKind, str]] = [("inlined", "1.5.5")]
_MORE: list[tuple[LakeKind, str]] = [
    *(("plain", "1.3.2"), ("zoo", "1.3.2"), ("plain", "1.4.4"), ("zoo", "1.4.4"), ("inlined", "1.4.4")),
    *(("plain", "1.5.1"), ("inlined", "1.5.1"), ("plain", "1.5.5")),
]
_KILLS = 1
_KILLS_OF_NEW = 1
_KIND_OF = {"ducklake": "duckdb", "sqlite": "sqlite"}
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
    return file_lakes.copy(kind, version, tmp_path)


@pytest.fixture
def one(file_lakes: FileLakes, tmp_path: Path) -> FileLake:
    """A small lake."""
    return file_lakes.copy("plain", "1.4.4", tmp_path)


@pytest.fixture
def backup(one: FileLake, tmp_path: Path) -> Path:
    """A backup of it; since then the lake has had another commit."""
    made = Path(dlbackup.dump(str(one.path), tmp_path / "b.sql.zst").path)
    execute_in(
        one.path,
        "insert into ducklake_snapshot select max(snapshot_id) + 1, now(), 1, 100, 100 from ducklake_snapshot",
        "insert into ducklake_tag values (1, 1, null, 'after', 'the backup')",
    )
    return made


def test_restored_file_is_what_was_dumped(lake: FileLake, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Definitions, rows, storage version, and what the engine that made the lake reads, are as before."""
    backup = Path(dlbackup.dump(str(lake.path), tmp_path / "b.sql.zst").path)
    new = tmp_path / "a new lake's.ducklake"

    restored = dlbackup.restore(backup, str(new))

    assert (restored.replaced, restored.schema, restored.missing_data_files) == (None, "main", 0)
    assert contents(new) == contents(backup)
    assert new.stat().st_mode & 0o777 == 0o600
    assert storage_of(new) == storage_of(lake.path)
    at = None if pytestconfig.option.long else ("first", "last")
    assert lake.read_by(at, new) == lake.read_by(at)
    assert beside(new) == set()
    assert dlbackup.check(str(new)).findings == dlbackup.check(str(lake.path)).findings


def test_replaced_file_is_kept_and_comes_back(one: FileLake, backup: Path, cli: Cli) -> None:
    """The old file is as it was, commits in its WAL included, and the way back that is printed works."""
    one.path.chmod(0o640)
    program = "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute(sys.argv[2]); os._exit(9)"
    last = "insert into ducklake_tag values (1, 1, null, 'in', 'the WAL')"
    subprocess.run([sys.executable, "-c", program, str(one.path), last], check=False)
    assert beside(one.path) == {"lake.ducklake.wal"}
    before = contents(one.path)

    with pytest.raises(errors.NewerSnapshots):
        dlbackup.restore(backup, str(one.path), RestoreOptions(replace=True))
    restored = dlbackup.restore(backup, str(one.path), REPLACE)

    assert restored.replaced is not None
    assert contents(one.path) == contents(backup)
    assert contents(Path(restored.replaced)) == before
    assert beside(one.path) == {Path(restored.replaced).name}
    assert one.path.stat().st_mode & 0o777 == 0o640
    assert restored.way_back is not None
    command = restored.way_back.command.replace("dlbackup ", f"{shlex.quote(sys.executable)} -m dlbackup ")
    subprocess.run(command, shell=True, check=True, capture_output=True)  # noqa: S602 - as a user pastes it
    assert contents(one.path) == before


def test_replaced_file_is_dropped_where_that_is_wanted(one: FileLake, backup: Path, cli: Cli) -> None:
    """With --drop-replaced the old file is gone."""
    done = cli("restore", backup, one.path, "--replace", "--discard-newer", "--drop-replaced")

    assert (done.exit_code, beside(one.path)) == (0, set())
    assert f"into the file {one.path}" in done.stdout


def test_what_would_be_lost_is_refused_by_name(one: FileLake, backup: Path, tmp_path: Path) -> None:
    """A catalog, another lake's, other things in the file, and what is no catalog stay until the user says so."""
    with pytest.raises(errors.NotEmpty, match="already holds 22 catalog tables") as caught:
        dlbackup.restore(backup, str(one.path))
    assert "--replace" in caught.value.hint
    execute_in(one.path, "create table mine (i int)", "create view seen as from mine", "create macro twice(x) as x * 2")
    with pytest.raises(errors.HasDependents, match="table mine; view seen; macro twice"):
        dlbackup.restore(backup, str(one.path), REPLACE)

    plain, text, stale = tmp_path / "plain.duckdb", tmp_path / "text.duckdb", tmp_path / "gone.duckdb"
    execute_in(plain, "create table mine (i int)")
    text.write_text("words")
    Path(f"{stale}.wal").write_text("a WAL whose file is gone")
    link = tmp_path / "link.duckdb"
    link.symlink_to("nowhere.duckdb")
    Path(f"{link}.wal").write_text("a WAL of what was opened by this name")
    for path, words in (
        *((plain, "table main.mine"), (text, "no DuckDB file"), (stale, "WAL of the restored file")),
        (link, "link.duckdb.wal stands there"),
    ):
        before = path.read_bytes() if path.exists() else None
        with pytest.raises(errors.NotEmpty, match=words):
            dlbackup.restore(backup, str(path), REPLACE)
        assert (path.read_bytes() if path.exists() else None) == before
    assert [path for path in tmp_path.iterdir() if "restoring" in path.name] == []


def test_empty_file_may_be_filled(backup: Path, tmp_path: Path) -> None:
    """A DuckDB file with nothing in it is as good as none."""
    path = tmp_path / "empty.duckdb"
    with duckdb.connect(str(path)):
        pass

    dlbackup.restore(backup, str(path))

    assert contents(path) == contents(backup)


def test_other_lake_is_not_taken_for_this_one(backup: Path, file_lakes: FileLakes, tmp_path: Path) -> None:
    """A file of another lake is replaced only where that is accepted."""
    (tmp_path / "other").mkdir()
    other = file_lakes.copy("plain", "1.5.5", tmp_path / "other")

    with pytest.raises(errors.OtherLake):
        dlbackup.restore(backup, str(other.path), REPLACE)
    dlbackup.restore(backup, str(other.path), RestoreOptions(replace=True, other_lake=True))
    assert contents(other.path) == contents(backup)


def test_held_file_is_not_replaced(one: FileLake, backup: Path) -> None:
    """As long as anybody has it open, also only for reading, the file stays."""
    before = one.path.read_bytes()
    for read_only in (True, False):
        with duckdb.connect(str(one.path), read_only=read_only), pytest.raises(errors.Locked, match=str(os.getpid())):
            dlbackup.restore(backup, str(one.path), REPLACE)
    assert (one.path.read_bytes(), beside(one.path)) == (before, set())


def test_only_one_restores_a_file(one: FileLake, backup: Path) -> None:
    """While one restores a file, another is refused; its lock doesn't outlive it."""
    lock = Path(f"{one.path}.dlbackup-lock")
    program = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(errors.MigratorRuns):
            dlbackup.restore(backup, str(one.path), REPLACE)
        holder.kill()

    dlbackup.restore(backup, str(one.path), REPLACE)
    assert not lock.exists()


def test_storage_version_can_be_chosen(backup: Path, tmp_path: Path, cli: Cli) -> None:
    """A file can be made for newer DuckDBs only; a version that nobody knows is refused before anything is made."""
    new = tmp_path / "new.ducklake"

    refused = cli("restore", backup, new, "--storage-version", "v9.9.9'")
    assert (refused.exit_code, new.exists()) == (1, False)
    assert "--storage-version" in refused.stderr
    assert cli("restore", backup, new, "--storage-version", "v1.5.0").exit_code == 0
    assert storage_of(new) == "v1.5.0+"


def test_data_path_is_moved(backup: Path, tmp_path: Path) -> None:
    """With a new data path the restored catalog names that."""
    new = tmp_path / "new.ducklake"
    dlbackup.restore(backup, str(new), RestoreOptions(data_path=tmp_path / "elsewhere", data_files=False))

    found = dlbackup.info(str(new)).lake
    assert found is not None
    assert found.data_path == f"{tmp_path}/elsewhere/"


def test_backup_from_standard_input(backup: Path, tmp_path: Path, cli: Cli) -> None:
    """A backup that is piped in is restored too."""
    new = tmp_path / "new.ducklake"
    assert cli("restore", "-", new, stdin=backup.read_bytes()).exit_code == 0
    assert contents(new) == contents(backup)


def test_place_that_can_not_be_written_to(backup: Path, tmp_path: Path) -> None:
    """A folder that isn't there is named, and nothing is left."""
    with pytest.raises(errors.StorageError, match="absent"):
        dlbackup.restore(backup, str(tmp_path / "absent" / "new.ducklake"))


def test_no_room_is_said_and_nothing_is_left(one: FileLake, backup: Path, tmp_path: Path) -> None:
    """Where a file can't become as large as it has to be, the old one stays, and what was begun is gone."""
    before = contents(one.path)
    limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20));"
    limited += " sys.argv[0] = 'dlbackup'; runpy.run_module('dlbackup', run_name='__main__')"
    command = [sys.executable, "-c", limited, "restore", str(backup), str(one.path), "--replace", "--discard-newer"]

    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 1
    assert "can't be written" in done.stderr
    assert (contents(one.path), beside(one.path)) == (before, set())


def test_no_room_for_rows_on_their_way(
    one: FileLake, backup: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the folder for temporary files is full, that folder is named."""

    def full(handed: Handed, parts: list[bytes]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Handed, "holding", full)
    with pytest.raises(errors.StorageError, match="no room for rows") as caught:
        dlbackup.restore(backup, str(tmp_path / "new.ducklake"))
    assert "TMPDIR" in caught.value.hint


@pytest.mark.parametrize("number", [signal.SIGINT, long(signal.SIGTERM)])
def test_interrupted_restore_leaves_nothing(number: signal.Signals, one: FileLake, backup: Path) -> None:
    """Asked to stop, it ends with 130; the file is as it was, and nothing lies beside it."""
    before = contents(one.path)
    command = [sys.executable, "-m", "dlbackup", "restore", str(backup), str(one.path), "--replace", "--discard-newer"]
    with subprocess.Popen([*command, "--max-rate", "1k"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("restore:"))  # it has begun to load rows
        process.send_signal(number)
        assert process.wait() == 130

    assert (contents(one.path), beside(one.path)) == (before, set())


def test_kinds_are_not_mixed(backup: Path, tmp_path: Path, cli: Cli) -> None:
    """A backup of a file is tried in a file only; only a restore takes it to PostgreSQL."""
    refused = cli("verify", backup, "--rehearse", "postgres:host=/nonexistent dbname=lake")
    assert refused.exit_code == 2
    assert "of a catalog in a DuckDB file" in refused.stderr
    assert cli("restore", backup, "postgres:host=/nonexistent dbname=lake").exit_code == 1  # there is no server


def test_symbolic_link_stays_one(one: FileLake, backup: Path, tmp_path: Path) -> None:
    """What a link points to is replaced, and its WAL is found; the link stays."""
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "lake.ducklake"
    one.path.rename(real)
    one.path.symlink_to(real)
    program = "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute(sys.argv[2]); os._exit(9)"
    last = "insert into ducklake_tag values (1, 1, null, 'in', 'the WAL')"
    subprocess.run([sys.executable, "-c", program, str(real), last], check=False)

    assert contents(one.path) == contents(real)
    dlbackup.restore(backup, str(one.path), REPLACE)

    assert one.path.is_symlink()
    assert contents(real) == contents(backup)


@pytest.mark.parametrize("kind", ["type", "statement", "row", "default"])
def test_forged_backup_is_refused_and_nothing_of_it_runs(kind: str, backup: Path, tmp_path: Path) -> None:
    """A type, a statement, a row or a default that would do something is not executed, and no file is made."""
    planted = tmp_path / "planted.duckdb"
    texts, manifest = take_apart(backup)
    record: Json = manifest["tables"][0]["table"]["columns"][0]
    attach = f"ATTACH '{planted}' AS planted"
    if kind == "type":
        record["type"] = f"BIGINT); {attach}; --"
    elif kind == "default":
        record["default"] = "nextval('x')"
    elif kind == "statement":
        texts[0] = texts[0].replace(b"BEGIN;\n", f"BEGIN;\n{attach};\n".encode())
    else:
        texts[0] = texts[0].replace(b"\n0,'", b"\nabs(0),'", 1)
        assert b"abs(0)" in texts[0]
    backup.write_bytes(assemble(texts, manifest))

    with pytest.raises(errors.BackupError):
        dlbackup.restore(backup, str(tmp_path / "new.ducklake"))
    assert not planted.exists()
    assert not (tmp_path / "new.ducklake").exists()
    assert [path.name for path in tmp_path.iterdir() if "restoring" in path.name] == []


def test_killed_at_any_point_old_or_new_is_there(one: FileLake, backup: Path, pytestconfig: pytest.Config) -> None:
    """Wherever a restore is killed, the file is the old one or the new one, whole; the next restore cleans up."""
    old, new = contents(one.path), contents(backup)
    points = random.Random(pytestconfig.option.seed)
    command = [sys.executable, "-m", "dlbackup", "-q", "restore", str(backup), str(one.path), "--replace"]
    begun = time.monotonic()
    subprocess.run([*command, "--discard-newer"], check=True, capture_output=True)
    longest = time.monotonic() - begun
    kept = one.path.with_name("kept")
    (next(path for path in one.path.parent.iterdir() if ".replaced-" in path.name)).rename(kept)
    outcomes = set()
    for _ in range(pytestconfig.option.kill_points or _KILLS):
        kept_copy = kept.read_bytes()
        one.path.write_bytes(kept_copy)
        process = subprocess.Popen([*command, "--discard-newer"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(points.uniform(0.2, longest))
        process.send_signal(signal.SIGKILL)
        process.wait()
        there = _eventually(one.path)
        assert there in (old, new)
        outcomes.add(there == new)
        for left in one.path.parent.glob("*.replaced-*"):
            assert contents(left) == old
            left.unlink()
    dlbackup.restore(backup, str(one.path), REPLACE)
    assert contents(one.path) == new
    assert {name.partition(".replaced-")[0] for name in beside(one.path)} == {"lake.ducklake"}


@pytest.mark.long
@pytest.mark.parametrize("ending", ["ducklake", "sqlite"])
def test_killed_at_any_point_a_new_file_is_there_or_none(
    ending: str, file_lakes: FileLakes, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Wherever a restore into a free place is killed, nothing has the name or the whole catalog; the next clears up."""
    lake = file_lakes.copy("plain", "1.4.4", tmp_path, ending)
    backup = Path(dlbackup.dump(str(lake.path), tmp_path / "b.sql.zst").path)
    new = tmp_path / "new" / f"lake.{ending}"
    new.parent.mkdir()
    points, expected = random.Random(pytestconfig.option.seed), contents(backup)
    command = [sys.executable, "-m", "dlbackup", "-q", "restore", str(backup), f"{_KIND_OF[ending]}:{new}"]
    begun = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    longest = time.monotonic() - begun
    for _ in range(pytestconfig.option.kill_points or _KILLS_OF_NEW):
        new.unlink(missing_ok=True)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(points.uniform(0.2, longest))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not new.exists() or _eventually(new) == expected
    new.unlink(missing_ok=True)
    subprocess.run(command, check=True, capture_output=True)
    assert contents(new) == expected
    assert [path.name for path in new.parent.iterdir()] == [new.name]


def _eventually(path: Path) -> dict[str, object]:
    """Return what is in a file once the processes of a killed one have noticed."""
    for _ in range(100):
        try:
            return contents(path)
        except errors.Locked:
            time.sleep(0.1)
    raise AssertionError("somebody holds the file for ever")


def test_old_engine_opens_what_a_newer_one_restored(file_lakes: FileLakes, tmp_path: Path) -> None:
    """A file of 1.3.2 is restored by DuckDB 1.5 as one that 1.3.2 still opens and writes to."""
    old = file_lakes.copy("plain", "1.3.2", tmp_path)
    backup = dlbackup.dump(str(old.path), tmp_path / "b.sql.zst")
    new = tmp_path / "new.ducklake"
    dlbackup.restore(backup, str(new))

    engine("1.3.2").run(str(new), "main", ["create table lake.again as select 42 as i"])
    assert engine("1.3.2").run(str(new), "main", ["from lake.again"]) == [[[42]]]


def test_backup_is_proved_by_a_trial(file_lakes: FileLakes, tmp_path: Path, cli: Cli) -> None:
    """A trial restores into a file of its own, reads it back and opens it, and touches nothing else."""
    lake = file_lakes.copy("inlined", "1.5.5", tmp_path)
    backup = dlbackup.dump(str(lake.path), tmp_path / "b.sql.zst")
    before = lake.path.read_bytes()

    passed = cli("verify", backup.path, "--rehearse", lake.path, "--json")
    assert (passed.exit_code, passed.json()["rehearsal"], passed.json()["findings"]) == (0, "passed", [])
    with duckdb.connect(str(lake.path)):  # held by somebody: it is not that file that is needed
        report = dlbackup.verify(backup, rehearse=str(lake.path), engine=engine("1.4.4").python)
    assert report.rehearsal == "not-opened"
    assert "1.4.4" in report.findings[0].message
    assert (lake.path.read_bytes(), sorted(tmp_path.iterdir())) == (before, [tmp_path / "b.sql.zst", lake.path])

    mixed = cli("verify", backup.path, "--rehearse", "postgres:host=/nonexistent dbname=x")
    assert mixed.exit_code == 2


def test_half_made_file_is_nobody_else_s(one: FileLake, backup: Path) -> None:
    """While it is made, the new file can be read by its owner only, whatever may be read in the end."""
    one.path.chmod(0o644)
    command = [sys.executable, "-m", "dlbackup", "restore", str(backup), str(one.path), "--replace", "--discard-newer"]
    with subprocess.Popen([*command, "--max-rate", "1k"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("restore:"))
        (made,) = [path for path in one.path.parent.iterdir() if path.name.startswith(".lake.ducklake.restoring-")]
        mode = made.stat().st_mode & 0o777
        process.send_signal(signal.SIGINT)

    assert mode == 0o600
