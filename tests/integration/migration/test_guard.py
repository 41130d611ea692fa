"""Migrations beside live clients: who waits at the fence, who sits in a transaction, who comes back."""

import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from support.cli import Cli
from support.comparison import execute
from support.engines.engines import EngineError, engine_of
from support.faults.faults import engine_that, failed, nothing_left, one, pause, started, state
from support.faults.writers import Writer, attached, writer
from support.lakes.lakes import Lake
from support.waiting import wait_until

_AT_THE_FENCE = (
    "select count(*) from pg_locks l join pg_stat_activity a using (pid)"
    " where l.relation = 'ducklake_snapshot'::regclass and not l.granted and a.application_name !~ '^dlbackup'"
)
_QUICK = ("--no-rehearsal", "--json")


def _rows(made: Lake, table: str) -> Counter[int]:
    """Return how often each number is in a writer's table, as the newest engine reads it."""
    (rows,) = engine_of("1.0").run(made.url, None, [f"select i from lake.{table}"])
    return Counter(row[0] for row in rows)


def _nothing_lost(made: Lake, table: str, running: Writer) -> None:
    """Check that every acknowledged row is there, and none twice."""
    found = _rows(made, table)
    assert set(running.acknowledged) <= set(found)
    assert set(found.values()) == {1}


@pytest.mark.long
def test_writers_in_a_loop_do_not_stop_the_migration(plain: Lake, cli: Cli) -> None:
    """Beside two writers that reconnect whenever they are ended, migrate succeeds, and no acknowledged row is lost."""
    with ExitStack() as stack:
        running = [stack.enter_context(writer(engine_of("0.3"), plain.url, table=f"w{number}")) for number in range(2)]
        for one_of_them in running:
            one_of_them.wait_for(5)
        done = cli("migrate", plain.url, *_QUICK, "--terminate-clients")

    assert done.exit_code == 0, done.stderr
    assert done.json()["writer_pause_seconds"] < 10
    for number, one_of_them in enumerate(running):
        _nothing_lost(plain, f"w{number}", one_of_them)
    nothing_left(plain)


@pytest.mark.long
def test_commit_that_waited_never_reaches_the_migrated_catalog(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """A commit that was planned against the old catalog and waited at the fence is ended, not let through."""
    marker, go = tmp_path / "marker", tmp_path / "go"
    engine = engine_that(tmp_path, before=pause(marker, go))
    with writer(engine_of("0.3"), plain.url, table="w") as running:
        running.wait_for(3)
        words = ("--terminate-clients", "--engine", engine)
        with started(cli, "migrate", plain.url, *_QUICK, *words) as migration:
            wait_until(marker.exists)
            wait_until(lambda: one(plain.url, _AT_THE_FENCE))
            head = one(plain.url, "select max(snapshot_id) from ducklake_snapshot")
            go.touch()
            done = migration.end()

    assert done.exit_code == 0, done.stderr
    assert done.json()["snapshot_id"] == head
    _nothing_lost(plain, "w", running)


def test_client_that_waits_at_the_fence_ends_an_attach_that_may_not_end_it(
    plain: Lake, cli: Cli, tmp_path: Path
) -> None:
    """With --ignore-clients, a writer that waits at the fence ends the attach at once: exit 5, and it is named."""
    marker, go = tmp_path / "marker", tmp_path / "go"
    engine = engine_that(tmp_path, before=pause(marker, go))
    with writer(engine_of("0.3"), plain.url, table="w") as running:
        running.wait_for(3)
        words = ("--ignore-clients", "--lock-timeout", "60", "--engine", engine)
        with started(cli, "migrate", plain.url, *_QUICK, *words) as migration:
            wait_until(marker.exists)
            wait_until(lambda: one(plain.url, _AT_THE_FENCE))
            begun = time.monotonic()
            go.touch()
            done = migration.end()
            assert time.monotonic() - begun < 30
        running.wait_for(3)  # what waited goes on: the catalog is the one that it knows

    message = failed(done, 5, "Unchanged", "unchanged")
    assert "because of other clients: pid " in message
    assert one(plain.url, "select value from ducklake_metadata where key = 'version'") == "0.3"


def test_guard_ends_an_idle_transaction_that_came_meanwhile(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """With --terminate-clients, whoever begins a transaction while the engine works is ended, not waited for."""
    marker, go = tmp_path / "marker", tmp_path / "go"
    engine = engine_that(tmp_path, before=pause(marker, go))
    words = ("--terminate-clients", "--lock-timeout", "60", "--engine", engine)
    with started(cli, "migrate", plain.url, *_QUICK, *words) as migration:
        wait_until(marker.exists)
        client = psycopg.connect(plain.url)
        client.execute("select count(*) from ducklake_data_file")
        go.touch()
        done = migration.end()

    with pytest.raises(psycopg.OperationalError):
        client.execute("select 1")
    assert done.json()["outcome"] == "migrated"
    assert done.json()["writer_pause_seconds"] < 30


def test_bars_turn_silent_damage_into_errors(plain: Lake, cli: Cli) -> None:
    """With the bar every commit of a stale client fails cleanly, plain inserts too; unbar takes it away."""
    with attached(engine_of("0.3"), plain.url) as stale:
        stale.say("create table lake.before (i int)")
        stale.say("insert into lake.before values (1)")
        done = cli("migrate", plain.url, "--json", "--ignore-clients", "--bar-stale-clients")
        assert done.exit_code == 0, done.stderr
        assert done.json()["barred"] is True
        assert [client["application"] for client in done.json()["stale_clients"]] != []
        for statement in (
            "create table lake.made_by_a_stale_client (i int)",
            "alter table lake.before add column j int",
            "insert into lake.before values (2)",
        ):
            with pytest.raises(EngineError, match="dlbackup_bar_snapshot_changes"):
                stale.say(statement)

    assert _rows(plain, "before") == Counter([1])
    checked = cli("check", plain.url, "--json")
    assert checked.exit_code == 0, checked.stderr
    backup = cli("dump", plain.url, "--json").json()["path"]
    assert cli("verify", backup).exit_code == 0
    barred = state(plain.url)
    engine_of("1.0").run(
        plain.url,
        None,
        [
            "create table lake.made_later (i int)",
            "insert into lake.made_later select range from range(100)",
            "alter table lake.made_later add column j int",
            "call ducklake_merge_adjacent_files('lake')",
            "drop table lake.before",
        ],
    )

    removed = cli("unbar", plain.url, "--json")
    assert removed.json() == {"removed": ["dlbackup_bar_snapshot_changes"]}
    assert cli("unbar", plain.url, "--json").json() == {"removed": []}
    restored = cli("restore", backup, plain.url, "--replace", "--discard-newer", "--drop-replaced")
    assert restored.exit_code == 0, restored.stderr
    assert state(plain.url) == barred


@pytest.mark.long
def test_without_bars_a_stale_client_does_damage_that_check_finds(plain: Lake, cli: Cli) -> None:
    """What the bars are for: without them a stale client's CREATE TABLE succeeds, and check names the damage."""
    with attached(engine_of("0.3"), plain.url) as stale:
        stale.say("create table lake.before (i int)")
        assert cli("migrate", plain.url, *_QUICK, "--ignore-clients").exit_code == 0
        stale.say("create table lake.made_by_a_stale_client (i int)")

    checked = cli("check", plain.url, "--json")
    assert checked.exit_code == 3
    assert "ducklake_schema_versions" in checked.stdout


@pytest.mark.usefixtures("impatient")
def test_unbar_needs_its_locks(plain: Lake, cli: Cli) -> None:
    """Where somebody holds a table, unbar says so and takes nothing away."""
    assert cli("migrate", plain.url, *_QUICK, "--bar-stale-clients").exit_code == 0
    with psycopg.connect(plain.url) as client:
        client.execute("select count(*) from ducklake_snapshot_changes")
        refused = cli("unbar", plain.url, "--json")
    assert (refused.exit_code, refused.json()["error"]["type"]) == (4, "Locked")
    assert len(cli("unbar", plain.url, "--json").json()["removed"]) == 1


def test_unbar_takes_away_what_is_there(plain: Lake, cli: Cli) -> None:
    """Where only one bar stands, or one of another condition, unbar takes that one away by its name."""
    assert cli("migrate", plain.url, *_QUICK).exit_code == 0
    execute(plain.url, "alter table ducklake_data_file add constraint dlbackup_bar_data_file check (true)")
    assert cli("unbar", plain.url, "--json").json() == {"removed": ["dlbackup_bar_data_file"]}
