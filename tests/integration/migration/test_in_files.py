"""Migrations of catalogs in files: whatever happens, the old file is there, or the new one, migrated and proved."""

import random
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.cli import Cli
from support.engines.engines import engine, with_sqlite
from support.faults.failures import json_failure
from support.faults.faults import engine_that
from support.files import beside, held, is_healthy
from support.lakes.in_files import FileLake, FileLakes, Hashes
from support.lakes.lakes import LakeKind

import dlbackup
from dlbackup import errors
from dlbackup.migration.losses.known import RULES

_LAKES: list[tuple[LakeKind, str]] = [("zoo", "1.4.4")]
_MORE: list[tuple[LakeKind, str]] = [
    *(("zoo", "1.3.2"), ("inlined", "1.5.1")),
    *(("plain", "1.3.2"), ("plain", "1.4.4"), ("inlined", "1.4.4"), ("plain", "1.5.1")),
]
_KILLS = 1


def _as_param(lake: tuple[LakeKind, str]) -> Any:
    return pytest.param(lake, id="-".join(lake), marks=[pytest.mark.long] if lake in _MORE else [])


@pytest.fixture(params=[_as_param(lake) for lake in _LAKES + _MORE])
def lake(request: pytest.FixtureRequest, file_lakes: FileLakes, tmp_path: Path) -> FileLake:
    """A lake of each kind in turn."""
    kind, version = request.param
    return file_lakes.copy(kind, version, tmp_path)


@pytest.fixture
def one(file_lakes: FileLakes, tmp_path: Path) -> FileLake:
    """A small lake of 0.3."""
    return file_lakes.copy("plain", "1.4.4", tmp_path)


def _read(hashes: Hashes) -> Hashes:
    """Return what an engine could read: the older ones fail over inlined rows of columns that were renamed since."""
    found = {table: said for table, said in hashes.items() if " rows, " in said}
    assert len(found) >= len(hashes) - 2
    return found


def test_every_snapshot_reads_as_before_and_the_way_back_is_walked(
    lake: FileLake, cli: Cli, pytestconfig: pytest.Config
) -> None:
    """A lake of each old version reads alike at every snapshot, and so does, by its own engine, what is put back."""
    at = None if pytestconfig.option.long else ("first", "last")
    before, bytes_before = lake.read_by(at), lake.path.read_bytes()
    losses = {loss.rule for loss in dlbackup.plan(str(lake.path)).losses}

    done = cli("migrate", lake.path, "--json")

    result = done.json()
    assert (done.exit_code, result["outcome"], result["to_version"]) == (0, "migrated", "1.0")
    assert {mend["rule"] for mend in result["mends"] if mend["rows"]} == losses
    assert [stage["stage"] for stage in result["stages"]] == (
        ["look", "check", "dump", "verify", "same-state", "attach", "mend", "post-check"]
    )
    assert lake.read_by(at, reader=engine("1.5.5")).items() >= _read(before).items()
    assert dlbackup.check(str(lake.path)).ok
    assert Path(result["replaced"]).read_bytes() == bytes_before
    assert lake.read_by(at, path=Path(result["replaced"])) == before
    assert beside(lake.path) == {Path(result["replaced"]).name}

    pasted = cli(*shlex.split(result["way_back"]["command"])[1:])

    assert pasted.exit_code == 0, pasted.stderr
    assert lake.read_by(at) == before
    assert cli("migrate", lake.path, "--json").json()["outcome"] == "migrated"
    assert cli("migrate", lake.path, "--json").json()["outcome"] == "current"


def test_what_the_engine_loses_is_planned_or_refused(file_lakes: FileLakes, cli: Cli, tmp_path: Path) -> None:
    """Losses are planned or refused as on a server; those of PostgreSQL's types are none of a file."""
    lake = file_lakes.copy("zoo", "1.4.4", tmp_path)
    before = lake.path.read_bytes()

    planned = cli("plan", lake.path, "--json").json()
    refused = cli("migrate", lake.path, "--no-mend", "--json")

    losses = {loss["rule"] for loss in planned["losses"]}
    assert losses >= {"partial-file-lists", "unknown-statistics"}
    assert losses & {rule.name for rule in RULES if rule.dialects == ("postgres",)} == set()
    assert (planned["blockers"], planned["locks_available"]) == ([], 0)
    assert "older DuckDBs can't open the file" in " ".join(planned["warnings"])
    json_failure(refused, 4, "partial-file-lists")
    assert (lake.path.read_bytes(), beside(lake.path)) == (before, set())


@pytest.mark.long
def test_two_steps_by_two_engines(file_lakes: FileLakes, cli: Cli, tmp_path: Path) -> None:
    """A lake of 0.2 may also go over 0.3 by the engine that is named; the backup is that from before both."""
    lake = file_lakes.copy("plain", "1.3.2", tmp_path)
    before = lake.read_by(("first", "last"))

    result = cli("migrate", lake.path, "--engine", engine("1.4.4").python, "--json").json()

    assert (result["from_version"], result["to_version"]) == ("0.2", "1.0")
    assert dlbackup.info(str(cli.cwd / result["backup"])).spec_version == "0.2"
    assert lake.read_by(("first", "last"), reader=engine("1.5.5")) == before


_FAULTS = {
    "ends": ("import os; os._exit(9)", "ended"),
    "fails": ("raise RuntimeError('no such luck')", "no such luck"),
    "loses rows": (
        "self.connection.execute('delete from __ducklake_metadata_lake.ducklake_data_file')",
        "not what it should be",
    ),
}


@pytest.mark.parametrize(
    ("ending", "fault"),
    [
        ("ducklake", "ends"),
        pytest.param("ducklake", "fails", marks=pytest.mark.long),
        ("ducklake", "loses rows"),
        pytest.param("sqlite", "loses rows", marks=pytest.mark.long),
    ],
)
def test_engine_that_fails_has_changed_nothing(
    ending: str, fault: str, file_lakes: FileLakes, cli: Cli, tmp_path: Path
) -> None:
    """Whatever an engine does to its copy, the file is as it was, byte for byte; exit 5 says that, with the backup."""
    after, words = _FAULTS[fault]
    one = file_lakes.copy("plain", "1.4.4", tmp_path, ending)
    before = one.path.read_bytes()

    done = cli("migrate", one.path, "--engine", engine_that(tmp_path, after=after), "--json")

    failed = json_failure(done, 5, words)
    assert failed["outcome"] == "unchanged"
    assert dlbackup.verify(cli.cwd / failed["backup"]).ok
    assert (one.path.read_bytes(), beside(one.path)) == (before, set())


def test_held_file_is_waited_for_and_other_things_in_it_are_kept(one: FileLake, cli: Cli) -> None:
    """Who has the file open is named, --wait waits for that, and what else is in the file goes with it."""
    with duckdb.connect(str(one.path), config={"storage_compatibility_version": "v1.0.0"}) as connection:
        connection.execute("create schema mine; create table mine.t as select 42 as i; create macro f() as 43")
    with held(one.path) as holder:
        json_failure(cli("migrate", one.path, "--json"), 4, f"pid {holder.pid}")
        json_failure(cli("plan", one.path, "--json"), 4, f"pid {holder.pid}")
        begun = time.monotonic()
        json_failure(cli("migrate", one.path, "--wait", "1", "--json"), 4, f"pid {holder.pid}")
        assert time.monotonic() - begun >= 1
    assert cli("migrate", one.path).exit_code == 0
    with duckdb.connect(str(one.path)) as connection:
        assert connection.execute("select i, f() from mine.t").fetchall() == [(42, 43)]


def test_commit_between_backup_and_migration_is_in_the_backup(one: FileLake, tmp_path: Path) -> None:
    """Who commits after the backup was made has another one made."""
    commit = "insert into ducklake_snapshot select max(snapshot_id) + 1, now(), 1, 100, 100 from ducklake_snapshot"
    stages = []

    def commits_once(event: dlbackup.Event) -> None:
        stages.append(event.stage)
        if event.stage == "verify" and stages.count("verify") == 1:
            with duckdb.connect(str(one.path)) as connection:
                connection.execute(commit)
                connection.execute("checkpoint")

    head = dlbackup.info(str(one.path)).snapshot_id
    assert head is not None
    migrated = dlbackup.migrate(str(one.path), dlbackup.MigrateOptions(backup_dir=tmp_path), on_event=commits_once)

    assert migrated.snapshot_id == head + 1
    assert dlbackup.info(str(migrated.backup)).snapshot_id == head + 1
    assert dlbackup.info(str(one.path)).snapshot_id == head + 1


def test_bars_are_refused(one: FileLake, cli: Cli) -> None:
    """Nobody is attached to a file while it is migrated: there is nobody to be barred."""
    for verb in ("plan", "migrate"):
        assert "no stale clients" in cli(verb, one.path, "--bar-stale-clients").stderr
    assert cli("unbar", one.path).exit_code == 2


@pytest.mark.parametrize(
    "way", ["ducklake", *(pytest.param(it, marks=pytest.mark.long) for it in ("sqlite", "sqlite --staged"))]
)
def test_killed_at_any_point_old_or_new_is_there(
    way: str, file_lakes: FileLakes, tmp_path: Path, cli: Cli, pytestconfig: pytest.Config
) -> None:
    """Wherever a migration is killed, the file is the old one or the new one, whole; the next one cleans up."""
    ending, *options = way.split()
    one = file_lakes.copy("plain", "1.4.4", tmp_path, ending)
    points = random.Random(pytestconfig.option.seed)
    command = [sys.executable, "-m", "dlbackup", "-q", "migrate", str(one.path), "--backup-dir", str(cli.cwd), *options]
    kept, meant = one.path.read_bytes(), dlbackup.info(str(one.path), fingerprint=True).fingerprint
    begun = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    longest = time.monotonic() - begun
    for _ in range(pytestconfig.option.kill_points or _KILLS):
        for name in beside(one.path):
            if name.endswith(("-journal", "-wal", "-shm")):  # of a file that is about to be another
                one.path.with_name(name).unlink()
        one.path.write_bytes(kept)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(points.uniform(0.2, longest))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if _version_of(one.path) == "0.3":
            assert dlbackup.info(str(one.path), fingerprint=True).fingerprint == meant
            assert ending == "sqlite" or one.path.read_bytes() == kept  # SQLite rolls back what was begun
        else:
            assert _version_of(one.path) == "1.0"
            assert dlbackup.check(str(one.path)).ok
    one.path.write_bytes(kept)
    dlbackup.migrate(str(one.path), dlbackup.MigrateOptions(backup_dir=cli.cwd))
    assert {name.partition(".replaced-")[0] for name in beside(one.path)} == {one.path.name}


def _version_of(path: Path) -> str:
    """Return the version of a file once the processes of a killed one have noticed."""
    for _ in range(100):
        try:
            return dlbackup.info(str(path)).spec_version
        except errors.Locked:
            time.sleep(0.1)
    raise AssertionError("somebody holds the file for ever")


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM])
def test_interrupted_migration_leaves_nothing(number: signal.Signals, one: FileLake, cli: Cli, tmp_path: Path) -> None:
    """A signal while the engine is at work ends it with exit 130; the file is as it was, with nothing beside it."""
    before = one.path.read_bytes()
    slow = engine_that(tmp_path, after="import time; time.sleep(60)")
    command = [sys.executable, "-m", "dlbackup", "migrate", str(one.path), "--engine", str(slow)]
    with subprocess.Popen([*command, "--backup-dir", str(cli.cwd)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("attach:"))
        process.send_signal(number)
        process.stderr.read()  # to its end: what can't be said any more would be another exit code

    assert process.returncode == 130
    assert (one.path.read_bytes(), beside(one.path)) == (before, set())


@pytest.mark.parametrize("ending", ["ducklake", pytest.param("sqlite", marks=pytest.mark.long)])
def test_attach_migrates_a_file(ending: str, file_lakes: FileLakes, tmp_path: Path) -> None:
    """A program that opens its lake has it migrated where that is allowed, and goes on with it."""
    one = file_lakes.copy("plain", "1.4.4", tmp_path, ending)
    before = one.read_by(("last",))
    with duckdb.connect() as connection:
        with pytest.raises(errors.MigrationNeeded):
            dlbackup.attach(connection, one.path)
        attached = dlbackup.attach(connection, one.path, migrate="backup-first", backup_dir=tmp_path)
        assert attached.migration is not None
        assert (attached.spec_version, attached.migration.from_version) == ("1.0", "0.3")
        connection.execute("create table lake.more as select 42 as i")
        assert not dlbackup.attach(connection, one.path).migration
    at = attached.migration.snapshot_id
    assert at is not None
    assert one.read_by((at,), reader=with_sqlite(engine("1.5.5"))) == before


def test_next_migration_is_rehearsed_on_a_scratch_file(file_lakes: FileLakes, cli: Cli, tmp_path: Path) -> None:
    """A backup of a file is restored into a scratch file and migrated there; what would be mended is said."""
    lake = file_lakes.copy("zoo", "1.4.4", tmp_path)
    backup = dlbackup.dump(str(lake.path), tmp_path / "b.sql.zst").path
    before = lake.path.read_bytes()

    verified = cli("verify", backup, "--rehearse", lake.path, "--json").json()

    assert verified["rehearsal"] == "passed"
    assert {finding["rule"] for finding in verified["findings"] if finding["mended"]} >= {"partial-file-lists"}
    assert (lake.path.read_bytes(), beside(lake.path)) == (before, set())


@pytest.mark.parametrize("verb", ["verify", pytest.param("drill", marks=pytest.mark.long)])
def test_next_migration_of_a_sqlite_file_is_rehearsed(
    verb: str, file_lakes: FileLakes, cli: Cli, tmp_path: Path
) -> None:
    """From 0.2 it goes over a DuckDB file, as `migrate` does."""
    lake = file_lakes.copy("plain", "1.3.2", tmp_path, "sqlite")
    backup = dlbackup.dump(str(lake.path), tmp_path / "b.sql.zst").path
    before = lake.path.read_bytes()

    where, said = ([lake.path], ("rehearsal", "passed")) if verb == "verify" else ([], ("rehearsed_to", "1.0"))
    done = cli(verb, backup, "--rehearse", *where, "--json").json()

    assert done["ok"]
    assert said in done.items()
    assert (lake.path.read_bytes(), beside(lake.path)) == (before, set())


@pytest.mark.parametrize("version", ["1.4.4", *(pytest.param(it, marks=pytest.mark.long) for it in ("1.3.2", "1.5.1"))])
def test_live_sqlite_file_is_migrated(
    version: str, file_lakes: FileLakes, cli: Cli, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The migrated tables come into the live file by one commit, which who has it open sees; other tables stay."""
    lake = file_lakes.copy("plain", version, tmp_path, "sqlite")
    at = None if pytestconfig.option.long else ("first", "last")
    before = lake.read_by(at)
    with closing(sqlite3.connect(lake.path)) as client:
        client.execute("create table mine as select 42 as i")
        client.commit()
        (old,) = client.execute("select value from ducklake_metadata where key = 'version'").fetchone()

        planned, done = cli("plan", lake.path, "--json").json(), cli("migrate", lake.path, "--json")

        result = done.json()
        assert (done.exit_code, result["from_version"], result["to_version"]) == (0, old, "1.0"), done.stderr
        assert client.execute("select value from ducklake_metadata where key = 'version'").fetchone() == ("1.0",)
        assert client.execute("select i from mine").fetchone() == (42,)
    assert planned["blockers"] == []
    assert lake.read_by(at, reader=with_sqlite(engine("1.5.5"))) == before
    assert dlbackup.check(str(lake.path)).ok
    assert beside(lake.path) == {Path(result["replaced"]).name}

    pasted = cli(*shlex.split(result["way_back"]["command"])[1:])

    assert pasted.exit_code == 0, pasted.stderr
    assert lake.read_by(at) == before


@pytest.mark.long
def test_zoo_in_a_sqlite_file(file_lakes: FileLakes, cli: Cli, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """
    A lake with everything of 0.3, doubles in rows too, reads alike at every snapshot, migrated.

    There is none of 0.2: DuckDB 1.3.2 ends in an error of its own when it reads what it has inlined in a SQLite file.
    """
    lake = file_lakes.copy("zoo", "1.4.4", tmp_path, "sqlite")
    at = None if pytestconfig.option.long else ("first", "last")
    before = lake.read_by(at)

    done = cli("migrate", lake.path, "--staged", "--json")

    assert (done.exit_code, done.json()["to_version"]) == (0, "1.0"), done.stderr
    assert lake.read_by(at, reader=with_sqlite(engine("1.5.5"))).items() >= _read(before).items()
    assert is_healthy(dlbackup.check(str(lake.path)))


def test_sqlite_file_that_a_migration_would_damage(file_lakes: FileLakes, cli: Cli, tmp_path: Path) -> None:
    """Doubles with rows are refused."""
    doubles = file_lakes.copy("inlined", "1.4.4", tmp_path, "sqlite")
    bytes_before = doubles.path.read_bytes()
    json_failure(cli("migrate", doubles.path, "--json"), 4, "inlined-double-rows")
    assert (doubles.path.read_bytes(), beside(doubles.path)) == (bytes_before, set())


def test_doubles_of_1_4_in_a_sqlite_file(cli: Cli, tmp_path: Path) -> None:
    """SQLite makes the newer engine's NaN a NULL where the older one made the column: only a mended one keeps it."""
    old, new, path = with_sqlite(engine("1.4.4")), with_sqlite(engine("1.5.5")), tmp_path / "lake.sqlite"
    made = (
        "create table lake.emptied (d double, e float)",
        "create table lake.filled (d double, e float)",
        "insert into lake.emptied values (1, 2)",
        "call ducklake_flush_inlined_data('lake')",
        "insert into lake.filled values (1, 2)",
    )
    old.run(f"sqlite:{path}", None, made, data_path=tmp_path / "data", options={"DATA_INLINING_ROW_LIMIT": 10})
    accept = ("--accept-loss", "inlined-double-rows")

    refused = json_failure(cli("migrate", path, "--no-mend", *accept, "--json"), 4, "inlined-doubles: 1 inlined table")
    mended = cli("migrate", path, *accept, "--json").json()["mends"]

    assert "filled" not in refused["error"]["message"]
    assert mended == [{"rule": "inlined-doubles", "rows": 1}]
    written = [f"insert into lake.{table} values ('nan', '-inf')" for table in ("emptied", "filled")]
    read = [
        f"select d::varchar, e::varchar from lake.{table} where d > 2 or d is null" for table in ("emptied", "filled")
    ]
    assert new.run(f"sqlite:{path}", None, [*written, *read])[-2:] == [[["nan", "-inf"]], [[None, "-inf"]]]


def test_sqlite_file_is_migrated_over_a_duckdb_file(file_lakes: FileLakes, cli: Cli, tmp_path: Path) -> None:
    """Inlined rows of every type become what the new engine writes, so that a NaN stays one."""
    lake, new = file_lakes.copy("inlined", "1.4.4", tmp_path, "sqlite"), with_sqlite(engine("1.5.5"))
    before = lake.read_by(("first", "last"))
    nan = ["insert into lake.every_type (c12) values ('nan')", "select count(*) from lake.every_type where isnan(c12)"]

    planned = cli("plan", lake.path, "--staged", "--json").json()
    done = cli("migrate", lake.path, "--staged", "--json")

    assert planned["blockers"] == []
    assert any("in a scratch DuckDB file" in step for step in planned["steps"])
    assert done.json()["outcome"] == "migrated", done.stderr
    assert dlbackup.check(str(lake.path)).ok
    assert lake.read_by(("first", "last"), reader=new) == before
    assert new.run(lake.url, "main", nan)[-1] == [[1]]


@pytest.mark.long
def test_engine_that_fails_on_a_scratch_duckdb_file_costs_nothing(
    file_lakes: FileLakes, cli: Cli, tmp_path: Path
) -> None:
    """What fails there is exit 1, and the file is as it was."""
    lake = file_lakes.copy("inlined", "1.4.4", tmp_path, "sqlite")
    before = lake.path.read_bytes()
    fails = engine_that(tmp_path, after="raise RuntimeError('no more')")

    failed = cli("migrate", lake.path, "--staged", "--engine", fails, "--json")

    json_failure(failed, 1, "no more")
    assert (lake.path.read_bytes(), beside(lake.path)) == (before, set())


def test_reader_in_a_transaction_keeps_a_migrated_sqlite_file_away(
    file_lakes: FileLakes, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the default journal mode the last commit waits for such a reader, and then fails: nothing was changed."""
    monkeypatch.setattr("dlbackup.catalogs.sqlite.replacement.LEAST_WAIT_S", 0.5)
    lake = file_lakes.copy("plain", "1.5.1", tmp_path, "sqlite")
    before = lake.path.read_bytes()
    with closing(sqlite3.connect(lake.path, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select count(*) from ducklake_snapshot").fetchone()

        failed = cli("migrate", lake.path, "--json")

    assert json_failure(failed, 5, "is locked by a program")["outcome"] == "unchanged"
    assert (lake.path.read_bytes(), beside(lake.path)) == (before, set())
    assert cli("migrate", lake.path).exit_code == 0
