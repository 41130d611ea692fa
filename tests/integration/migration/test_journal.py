"""Migrations that are killed between the engine's commit and the mends: the next run finishes or undoes them."""

import json
import signal
from pathlib import Path

import psycopg
import pytest
from support.cli import Cli
from support.comparison import execute
from support.engines.engines import engine_of
from support.faults.faults import State, engine_that, nothing_left, one, pause, started, state
from support.lakes.lakes import Lake, LakeFactory, Lakes
from support.servers.servers import Servers, middle_major
from support.waiting import wait_until

from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.postgres.clients.connected import engine_name
from dlbackup.catalogs.postgres.mark import PostgresMark
from dlbackup.catalogs.postgres.sessions import connect

_MARKS = "select count(*) from pg_namespace where nspname like 'dlbackup%'"


@pytest.fixture
def inlined(lake: LakeFactory) -> Lake:
    """A lake of 0.3 whose migration needs mends."""
    return lake("inlined", "0.3")


def _killed_after_the_engine(cli: Cli, made: Lake, tmp_path: Path) -> Path:
    """Kill a migration when its engine has committed and nothing is mended; return the journal."""
    marker = tmp_path / "marker"
    words = ("--no-rehearsal", "--engine", engine_that(tmp_path, after=pause(marker)))
    with started(cli, "migrate", made.url, *words) as running:
        wait_until(marker.exists)
        running.kill()
    nothing_left(made)
    assert one(made.url, "select value from ducklake_metadata where key = 'version'") == "1.0"
    (journal,) = cli.cwd.glob("*.journal.json")
    return journal


@pytest.fixture(scope="module")
def good(lakes: Lakes, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> State:
    """The state that an undisturbed migration of the same lake leads to."""
    with lakes.copy("inlined", "0.3", servers[middle_major()], "public") as made:
        done = Cli(tmp_path_factory.mktemp("good"))("migrate", made.url, "--no-rehearsal")
        assert done.exit_code == 0, done.stderr
        return state(made.url)


@pytest.mark.parametrize("where", [pytest.param("same-folder", marks=pytest.mark.long), "another-folder"])
def test_next_run_mends_what_the_killed_one_did_not(
    inlined: Lake, good: State, cli: Cli, tmp_path: Path, where: str
) -> None:
    """The next migrate finds the journal, in its folder or by the mark in the database, mends, proves, and says so."""
    journal = _killed_after_the_engine(cli, inlined, tmp_path)
    assert json.loads(journal.read_text())["progress"] == "attaching"
    assert one(inlined.url, _MARKS) == 3  # beside the mark, tables with other types, and where the others were to go
    words: list[str | Path] = []
    if where == "another-folder":
        (tmp_path / "other").mkdir()
        words = ["--backup-dir", tmp_path / "other"]

    planned = cli("plan", inlined.url, "--json", *words).json()
    assert (planned["needed"], planned["blockers"]) == (True, [])
    assert "cut off" in planned["steps"][0]

    done = cli("migrate", inlined.url, "--json", *words)

    assert done.exit_code == 0, done.stderr
    answer = done.json()
    assert answer["outcome"] == "migrated"
    assert "inlined-types" in [mend["rule"] for mend in answer["mends"]]
    assert (
        f"{answer['backup']}.journal.json" == str(journal.relative_to(cli.cwd)) or Path(answer["backup"]).is_absolute()
    )
    assert json.loads(journal.read_text())["progress"] == "migrated"
    assert one(inlined.url, _MARKS) == 0
    assert state(inlined.url) == good
    assert cli("migrate", inlined.url, "--json").json()["outcome"] == "current"


def test_killed_after_its_mends_nothing_is_mended_twice(inlined: Lake, good: State, cli: Cli, tmp_path: Path) -> None:
    """A run that is killed after its mends were committed is finished without harm: mends are safe to repeat."""
    marker = tmp_path / "marker"
    words = ("--engine", engine_that(tmp_path, before=pause(marker), statement="SNAPSHOT_VERSION"))
    with started(cli, "migrate", inlined.url, "--no-rehearsal", *words) as running:
        wait_until(marker.exists)
        running.kill()
    nothing_left(inlined)
    (journal,) = cli.cwd.glob("*.journal.json")
    said = json.loads(journal.read_text())
    assert said["progress"] == "mended"
    journal.write_text(json.dumps(said | {"progress": "attached"}))  # as if killed before that was on disk

    assert cli("migrate", inlined.url, "--json").json()["outcome"] == "migrated"
    assert state(inlined.url) == good


def test_lost_journal_is_refused_with_the_way_on(inlined: Lake, cli: Cli, tmp_path: Path) -> None:
    """Where the journal is gone, a catalog whose mends are missing isn't taken for a finished one."""
    journal = _killed_after_the_engine(cli, inlined, tmp_path)
    journal.unlink()
    before = state(inlined.url)
    assert [blocker["type"] for blocker in cli("plan", inlined.url, "--json").json()["blockers"]] == ["CutOff"]

    done = cli("migrate", inlined.url, "--json")

    assert (done.exit_code, done.json()["error"]["type"]) == (4, "CutOff")
    assert str(journal.resolve()) in done.json()["error"]["message"]
    assert "drop the schema dlbackup_migrating_efa1f375d761" in done.json()["error"]["hint"]
    assert state(inlined.url) == before


@pytest.mark.parametrize("harm", ["gone", *(pytest.param(it, marks=pytest.mark.long) for it in ("damaged", "another"))])
def test_without_its_backup_a_cut_off_migration_needs_a_person(
    inlined: Lake, cli: Cli, tmp_path: Path, harm: str
) -> None:
    """With a backup that is damaged, gone or another nothing can be proved: exit 7, and the catalog is left alone."""
    other = tmp_path / "other.zst"
    assert cli("dump", inlined.url, "-o", other, "--level", "2").exit_code == 0
    _killed_after_the_engine(cli, inlined, tmp_path)
    (backup,) = cli.cwd.glob("ducklake-*.zst")
    if harm == "gone":
        backup.unlink()
    elif harm == "another":
        other.replace(backup)
    else:
        content = bytearray(backup.read_bytes())
        content[len(content) // 2] ^= 1
        backup.write_bytes(content)
    before = state(inlined.url)

    done = cli("migrate", inlined.url, "--json")

    assert (done.exit_code, done.json()["outcome"]) == (7, "needs-person"), done.stderr
    assert state(inlined.url) == before


def test_commit_since_the_kill_needs_a_person(inlined: Lake, cli: Cli, tmp_path: Path) -> None:
    """Who has committed since to the unmended catalog is not overwritten: exit 7, and nothing is changed."""
    _killed_after_the_engine(cli, inlined, tmp_path)
    engine_of("1.0").run(inlined.url, None, ["create table lake.since (i int)"])
    before = state(inlined.url)

    done = cli("migrate", inlined.url, "--json")

    assert (done.exit_code, done.json()["outcome"]) == (7, "needs-person"), done.stderr
    assert "snapshot" in done.json()["error"]["message"]
    assert state(inlined.url) == before


def test_restore_settles_what_was_cut_off(inlined: Lake, cli: Cli, tmp_path: Path) -> None:
    """After a restore of the backup nothing is left of the killed migration, and the next one begins afresh."""
    before = state(inlined.url)
    journal = _killed_after_the_engine(cli, inlined, tmp_path)
    (backup,) = cli.cwd.glob("*.zst")

    restored = cli("restore", backup, inlined.url, "--replace", "--drop-replaced")

    assert restored.exit_code == 0, restored.stderr
    assert state(inlined.url) == before
    assert json.loads(journal.read_text())["progress"] == "replaced"
    assert one(inlined.url, _MARKS) == 0
    assert cli("migrate", inlined.url, "--json").json()["outcome"] == "migrated"


def test_journal_tells_how_a_migration_ended(inlined: Lake, cli: Cli, tmp_path: Path) -> None:
    """Beside each backup of a migration is its journal, readable by its owner only, with the end that it came to."""
    done = cli(
        "migrate", inlined.url, "--json", "--engine", engine_that(tmp_path, before="os.abort()"), "--no-rehearsal"
    )
    assert done.exit_code == 5
    assert cli("migrate", inlined.url, "--json", "--no-rehearsal").exit_code == 0

    journals = sorted(cli.cwd.glob("*.journal.json"))
    assert [json.loads(path.read_text())["progress"] for path in journals] == ["unchanged", "migrated"]
    assert {path.stat().st_mode & 0o777 for path in journals} == {0o600}
    assert one(inlined.url, _MARKS) == 0


def test_backends_that_a_killed_engine_left_are_ended(inlined: Lake, cli: Cli, tmp_path: Path) -> None:
    """A backend of an engine whose migrator is dead, still holding its locks, is ended by the next migrate."""
    marker = tmp_path / "marker"
    words = ("--no-rehearsal", "--engine", engine_that(tmp_path, before=pause(marker)))
    with started(cli, "migrate", inlined.url, *words) as running:
        wait_until(marker.exists)
        running.kill()
    nothing_left(inlined)
    name = engine_name("public")
    with psycopg.connect(inlined.url, application_name=name) as left:
        left.execute("lock table ducklake_data_file in access exclusive mode")
        done = cli("migrate", inlined.url, "--json", "--no-rehearsal")
        assert done.exit_code == 0, done.stderr
        with pytest.raises(psycopg.OperationalError):
            left.execute("select 1")


def test_journal_that_is_none_is_named(inlined: Lake, cli: Cli) -> None:
    """A file with a journal's name that is none is an error with the file's name, before anything is done."""
    (cli.cwd / "x.journal.json").write_text('{"format": 99}')
    done = cli("migrate", inlined.url, "--json")
    assert (done.exit_code, done.json()["error"]["type"]) == (1, "StorageError")
    assert "x.journal.json" in done.json()["error"]["message"]


def test_disk_that_is_full_for_the_journal_stops_before_the_attach(inlined: Lake, cli: Cli, tmp_path: Path) -> None:
    """Where the journal can't be written, the engine isn't let near the catalog."""
    before = state(inlined.url)
    with started(cli, "migrate", inlined.url, "--json", "--no-rehearsal") as running:
        running.reach("verify")
        running.process.send_signal(signal.SIGSTOP)
        for backup in cli.cwd.glob("*.zst"):
            (cli.cwd / f"{backup.name}.journal.json").mkdir()
        running.process.send_signal(signal.SIGCONT)
        done = running.end()
    assert (done.exit_code, done.json()["outcome"]) == (5, "unchanged"), done.stderr
    assert state(inlined.url) == before
    execute(inlined.url, "select 1")


def test_mark_that_outlived_its_migration_is_taken_away(inlined: Lake, cli: Cli) -> None:
    """A migration that was killed after its last word, before it took the mark away, leaves nothing for ever."""
    assert cli("migrate", inlined.url, "--no-rehearsal").exit_code == 0
    (journal,) = cli.cwd.glob("*.journal.json")
    with connect(parse_address(inlined.url)) as session:
        PostgresMark(session, "public").leave(journal, "0.3")
    assert one(inlined.url, _MARKS) == 1

    again = cli("migrate", inlined.url, "--json")

    assert (again.exit_code, again.json()["outcome"]) == (0, "current")
    assert one(inlined.url, _MARKS) == 0
