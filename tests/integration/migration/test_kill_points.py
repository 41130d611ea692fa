"""Kills at points spread over the whole of restore and migrate: the catalog is the old or the new one, and the next
run finishes the job.

`--kill-points N` strikes at N points in each test, `--seed S` at others; without them there are 200 in all.
"""

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from support.cli import Cli
from support.faults.faults import State, children, is_running, nothing_left, one, started, state
from support.lakes.lakes import Lake, LakeFactory, Lakes
from support.servers.servers import Servers, middle_major
from support.waiting import wait_until

from dlbackup import verify

_POINTS = {
    "test_killed_restore_leaves_old_or_new": 80,
    "test_killed_migrate_leaves_old_or_new": 60,
    "test_migrate_whose_engine_is_killed_ends_in_a_known_state": 30,
    "test_migrate_whose_sessions_are_ended_ends_in_a_known_state": 30,
}
_OF_US = (
    "select pid from pg_stat_activity where datname = current_database() and application_name like 'dlbackup%'"
    " and pid <> pg_backend_pid() order by pid"
)
_LEFT = "select count(*) from pg_namespace where nspname like 'dlbackup%'"
_EXITS = {"migrated": (0,), "unchanged": (5,), "rolled-back": (6,), "needs-person": (7,)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Spread the points of each test evenly, each at a random place of its share."""
    name = metafunc.function.__name__
    if name in _POINTS:
        count = metafunc.config.getoption("--kill-points") or _POINTS[name]
        place = random.Random(f"{metafunc.config.getoption('--seed')} {name}")
        points = [(number + place.random()) / count for number in range(count)]
        metafunc.parametrize("point", points, ids=[f"{point:.4f}" for point in points])


@dataclass(frozen=True)
class Usual:
    """What an undisturbed run does: the states before and after it, how long it takes, and what it is given."""

    before: State
    after: State
    seconds: float
    words: tuple[str | Path, ...] = ()


@pytest.fixture(scope="module")
def usual_migrate(lakes: Lakes, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Usual:
    """A migration of the inlined lake, which needs mends."""
    with lakes.copy("inlined", "0.3", servers[middle_major()], "public") as made:
        before = state(made.url)
        begun = time.monotonic()
        done = Cli(tmp_path_factory.mktemp("usual"))("migrate", made.url, "--no-rehearsal")
        assert done.exit_code == 0, done.stderr
        return Usual(before, state(made.url), time.monotonic() - begun)


@pytest.fixture(scope="module")
def usual_restore(lakes: Lakes, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Usual]:
    """A restore of the inlined lake of 0.3 in the place of the plain one of 1.0."""
    server = servers[middle_major()]
    cli = Cli(tmp_path_factory.mktemp("usual"))
    with lakes.copy("inlined", "0.3", server, "public") as wanted:
        backup = cli.cwd / cli("dump", wanted.url, "--json").json()["path"]
    words = ("--replace", "--drop-replaced", "--discard-newer", "--no-data-files")
    with lakes.copy("plain", "1.0", server, "public") as made:
        before = state(made.url)
        begun = time.monotonic()
        done = cli("restore", backup, made.url, *words)
        assert done.exit_code == 0, done.stderr
        yield Usual(before, state(made.url), time.monotonic() - begun, (backup, made.url, *words))


def _version(made: Lake) -> object:
    return one(made.url, "select value from ducklake_metadata where key = 'version'")


def _finish(cli: Cli, made: Lake, usual: Usual) -> None:
    """Migrate again, whatever was left; the result is what an undisturbed migration makes, and nothing else is left."""
    again = cli("migrate", made.url, "--json", "--no-rehearsal")
    assert again.exit_code == 0, again.stderr
    assert state(made.url) == usual.after
    assert one(made.url, _LEFT) == 0
    for backup in cli.cwd.glob("*.zst"):
        assert verify(backup).ok


def test_killed_restore_leaves_old_or_new(lake: LakeFactory, cli: Cli, usual_restore: Usual, point: float) -> None:
    """A restore that is killed has replaced the catalog or not touched it; the next one replaces it."""
    made = lake("plain", "1.0")
    backup, _, *words = usual_restore.words
    with started(cli, "restore", backup, made.url, *words) as running:
        time.sleep(point * usual_restore.seconds)
        running.kill()
    nothing_left(made)

    assert state(made.url) in (usual_restore.before, usual_restore.after)
    assert one(made.url, _LEFT) == 0
    again = cli("restore", backup, made.url, *words)
    assert again.exit_code == 0, again.stderr
    assert state(made.url) == usual_restore.after


def test_killed_migrate_leaves_old_or_new(lake: LakeFactory, cli: Cli, usual_migrate: Usual, point: float) -> None:
    """A migration that is killed leaves the old catalog, or the new one; the next run mends what is missing."""
    made = lake("inlined", "0.3")
    with started(cli, "migrate", made.url, "--no-rehearsal") as running:
        time.sleep(point * usual_migrate.seconds)
        orphans = running.kill()
        wait_until(lambda: not any(map(is_running, orphans)))
    nothing_left(made)

    if _version(made) == "0.3":
        assert state(made.url) == usual_migrate.before
    else:
        journals = [json.loads(path.read_text()) for path in cli.cwd.glob("*.journal.json")]
        assert state(made.url) == usual_migrate.after or journals[0]["progress"] != "migrated"
    _finish(cli, made, usual_migrate)


def _struck(cli: Cli, made: Lake, usual: Usual, point: float, strike: Callable[[int], None]) -> None:
    """Strike a migration at a point; check that what it says of its end is true, and finish it."""
    with started(cli, "migrate", made.url, "--no-rehearsal", "--json") as running:
        time.sleep(point * usual.seconds)
        strike(running.process.pid)
        done = running.end()
    nothing_left(made)
    answer = done.json()
    outcome = answer.get("outcome")
    if outcome is None:  # before the attach: an error that has changed nothing
        assert done.exit_code in (1, 4), done.stderr
    else:
        assert done.exit_code in _EXITS[outcome], done.stderr
    assert "Traceback" not in done.stderr
    found = state(made.url)
    if outcome == "migrated":
        assert found == usual.after
    elif outcome != "needs-person" or _version(made) == "0.3":
        assert found == usual.before
    _finish(cli, made, usual)


def test_migrate_whose_engine_is_killed_ends_in_a_known_state(
    lake: LakeFactory, cli: Cli, usual_migrate: Usual, point: float
) -> None:
    """Whenever the engine is killed, as for its memory, the end that migrate names is the catalog's."""

    def kill_the_children(pid: int) -> None:
        for child in children(pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    _struck(cli, lake("inlined", "0.3"), usual_migrate, point, kill_the_children)


def test_migrate_whose_sessions_are_ended_ends_in_a_known_state(
    lake: LakeFactory, cli: Cli, usual_migrate: Usual, point: float
) -> None:
    """Whenever the server ends one of the sessions, ours or the engine's, the end that migrate names is true."""
    made = lake("inlined", "0.3")

    def end_a_session(pid: int) -> None:
        with psycopg.connect(made.url, autocommit=True) as admin:
            pids = [row[0] for row in admin.execute(_OF_US)]
            if pids:
                admin.execute("select pg_terminate_backend(%s)", [pids[int(point * 1e6) % len(pids)]])

    _struck(cli, made, usual_migrate, point, end_a_session)
