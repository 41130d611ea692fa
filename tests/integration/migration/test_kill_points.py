"""
Kills at points spread over the whole of restore and migrate: the catalog is the old or the new one, and the next run
finishes the job.

A point is a message: before the server gets the one of that number, all stands still, and then something is killed.
So each place between two questions to the server is hit alike, be it short or long. What a kill leaves is of one of
a few kinds (the catalog old or new, schemas of ours, a journal and how far it says to be); that the next run finishes
the job is shown once for each.

`--kill-points N` strikes at N points in each test, `--seed S` at others.
"""

import json
import os
import random
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from support.cli import Cli, Finished
from support.faults.faults import Running, State, children, is_running, nothing_left, one, started, state
from support.lakes.lakes import Lake, LakeFactory, Lakes
from support.servers.proxy import Proxy
from support.servers.servers import Servers, middle_major
from support.waiting import wait_until

from dlbackup import verify

_POINTS = {
    "test_killed_restore_leaves_old_or_new": 3,
    "test_killed_migrate_leaves_old_or_new": 5,
    "test_killed_staged_migrate_leaves_old_or_new": 1,
    "test_staged_migrate_whose_sessions_are_ended_ends_in_a_known_state": 1,
    "test_migrate_whose_engine_is_killed_ends_in_a_known_state": 2,
    "test_migrate_whose_sessions_are_ended_ends_in_a_known_state": 2,
}
"""An inlined lake's migration has about 250 messages, half of them the engine's."""
_LONG = "test_staged_migrate_whose_sessions_are_ended_ends_in_a_known_state"
"""Runs with --all, and where a number of points is asked for."""
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
        asked = metafunc.config.getoption("--kill-points")
        count = asked or _POINTS[name]
        place = random.Random(f"{metafunc.config.getoption('--seed')} {name}")
        points = [(number + place.random()) / count for number in range(count)]
        marks = [pytest.mark.long] if name == _LONG and not asked else []
        metafunc.parametrize("point", [pytest.param(point, id=f"{point:.4f}", marks=marks) for point in points])


@dataclass(frozen=True)
class Usual:
    """What an undisturbed run does: what is there before and after it, its messages, and what it is given."""

    before: State
    version: object
    after: State
    messages: int
    words: tuple[str | Path, ...] = ()


_finished: set[tuple[object, ...]] = set()
"""What kills have left, by kind, that the next run is known to finish."""


@contextmanager
def _proxied(made: Lake) -> Iterator[tuple[Proxy, str]]:
    with Proxy(made.server.host, made.server.port) as proxy:
        yield proxy, proxy.url_of(made.url)


def _undisturbed(cli: Cli, made: Lake, *words: str | Path) -> Usual:
    before, version = state(made.url), _version(made)
    with _proxied(made) as (proxy, url):
        done = cli(*(url if word == made.url else word for word in words))
    assert done.exit_code == 0, done.stderr
    return Usual(before, version, state(made.url), proxy.messages, words)


@pytest.fixture(scope="module")
def usual_migrate(lakes: Lakes, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Usual:
    """A migration of the inlined lake, which needs mends."""
    with lakes.copy("inlined", "0.3", servers[middle_major()], "public") as made:
        return _undisturbed(Cli(tmp_path_factory.mktemp("usual")), made, "migrate", made.url, "--no-rehearsal")


@pytest.fixture(scope="module")
def usual_staged(lakes: Lakes, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Usual:
    """A migration over a file, whose result comes into the catalog's place in one transaction."""
    with lakes.copy("plain", "0.2", servers[middle_major()], "public") as made:
        return _undisturbed(Cli(tmp_path_factory.mktemp("usual")), made, "migrate", made.url)


@pytest.fixture(scope="module")
def usual_restore(lakes: Lakes, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Usual]:
    """A restore of the inlined lake of 0.3 in the place of the plain one of 1.0."""
    server = servers[middle_major()]
    cli = Cli(tmp_path_factory.mktemp("usual"))
    with lakes.copy("inlined", "0.3", server, "public") as wanted:
        backup = cli.cwd / cli("dump", wanted.url, "--json").json()["path"]
    words = ("--replace", "--drop-replaced", "--other-lake", "--no-data-files")
    with lakes.copy("plain", "1.0", server, "public") as made:
        yield _undisturbed(cli, made, "restore", backup, made.url, *words)


def _version(made: Lake) -> object:
    return one(made.url, "select value from ducklake_metadata where key = 'version'")


def _kind(cli: Cli, made: Lake, found: State, usual: Usual) -> tuple[object, ...]:
    """Return what kind of thing a kill has left."""
    journals = sorted(json.loads(path.read_text())["progress"] for path in cli.cwd.glob("*.journal.json"))
    with psycopg.connect(made.url) as connection:
        names = connection.execute("select nspname from pg_namespace where nspname like 'dlbackup%'").fetchall()
    schemas = sorted(re.sub("[0-9].*", "", name) for (name,) in names)
    return usual.words[0], found == usual.before, found == usual.after, *schemas, "journals", *journals


def _finish(cli: Cli, made: Lake, usual: Usual) -> None:
    """Migrate again, whatever was left; the result is what an undisturbed migration makes, and nothing else is left."""
    kind = _kind(cli, made, state(made.url), usual)
    if kind in _finished:
        return
    again = cli("migrate", made.url, "--json", *usual.words[2:])
    assert again.exit_code == 0, again.stderr
    assert state(made.url) == usual.after
    assert one(made.url, _LEFT) == 0
    for backup in cli.cwd.glob("*.zst"):
        assert verify(backup).ok
    _finished.add(kind)


def _stands_still(running: Running, proxy: Proxy) -> bool:
    """Wait until all stands still at the message that is asked for; False where the command had ended before."""
    wait_until(lambda: proxy.struck.is_set() or running.process.poll() is not None)
    return proxy.struck.is_set()


def _at(point: float, usual: Usual) -> int:
    return 1 + int(point * usual.messages)


def test_killed_restore_leaves_old_or_new(lake: LakeFactory, cli: Cli, usual_restore: Usual, point: float) -> None:
    """A restore that is killed has replaced the catalog or not touched it; the next one replaces it."""
    made = lake("plain", "1.0")
    _, backup, _, *words = usual_restore.words
    with _proxied(made) as (proxy, url):
        proxy.strike_at_message("stall", _at(point, usual_restore))
        with started(cli, "restore", backup, url, *words) as running:
            _stands_still(running, proxy)
            running.kill()
    nothing_left(made)

    found = state(made.url)
    assert found in (usual_restore.before, usual_restore.after)
    assert one(made.url, _LEFT) == 0
    kind = _kind(cli, made, found, usual_restore)
    if kind not in _finished:
        again = cli("restore", backup, made.url, *words)
        assert again.exit_code == 0, again.stderr
        assert state(made.url) == usual_restore.after
        _finished.add(kind)


def test_killed_migrate_leaves_old_or_new(lake: LakeFactory, cli: Cli, usual_migrate: Usual, point: float) -> None:
    """A migration that is killed leaves the old catalog, or the new one; the next run mends what is missing."""
    _killed(cli, lake("inlined", "0.3"), usual_migrate, point)


def test_killed_staged_migrate_leaves_old_or_new(
    lake: LakeFactory, cli: Cli, usual_staged: Usual, point: float
) -> None:
    """So does one over a file."""
    _killed(cli, lake("plain", "0.2"), usual_staged, point)


def _killed(cli: Cli, made: Lake, usual: Usual, point: float) -> None:
    with _proxied(made) as (proxy, url):
        proxy.strike_at_message("stall", _at(point, usual))
        with started(cli, "migrate", url, *usual.words[2:]) as running:
            _stands_still(running, proxy)
            orphans = running.kill()
            wait_until(lambda: not any(map(is_running, orphans)))
    nothing_left(made)

    if _version(made) == usual.version:
        assert state(made.url) == usual.before
    else:
        journals = [json.loads(path.read_text()) for path in cli.cwd.glob("*.journal.json")]
        assert state(made.url) == usual.after or journals[0]["progress"] != "migrated"
    _finish(cli, made, usual)


def _struck(cli: Cli, made: Lake, usual: Usual, point: float, strike: Callable[[int], None]) -> None:
    """Strike a migration at a point; check that what it says of its end is true, and finish it."""
    with _proxied(made) as (proxy, url):
        proxy.strike_at_message("stall", _at(point, usual))
        with started(cli, "migrate", url, *usual.words[2:], "--json") as running:
            if _stands_still(running, proxy):
                strike(running.process.pid)
                proxy.go_on()
            done = running.end()
    nothing_left(made)
    _is_as_said(made, usual, done)
    _finish(cli, made, usual)


def _is_as_said(made: Lake, usual: Usual, done: Finished) -> None:
    outcome = done.json().get("outcome")
    if outcome is None:  # before the attach: an error that has changed nothing
        assert done.exit_code in (1, 4), done.stderr
    else:
        assert done.exit_code in _EXITS[outcome], done.stderr
    assert "Traceback" not in done.stderr
    found = state(made.url)
    if outcome == "migrated":
        assert found == usual.after
    elif outcome != "needs-person" or _version(made) == usual.version:
        assert found == usual.before


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
    _with_a_session_ended(cli, lake("inlined", "0.3"), usual_migrate, point)


def test_staged_migrate_whose_sessions_are_ended_ends_in_a_known_state(
    lake: LakeFactory, cli: Cli, usual_staged: Usual, point: float
) -> None:
    """So is that of one over a file."""
    _with_a_session_ended(cli, lake("plain", "0.2"), usual_staged, point)


def _with_a_session_ended(cli: Cli, made: Lake, usual: Usual, point: float) -> None:
    def end_a_session(pid: int) -> None:
        with psycopg.connect(made.url, autocommit=True) as admin:
            pids = [row[0] for row in admin.execute(_OF_US)]
            if pids:
                admin.execute("select pg_terminate_backend(%s)", [pids[int(point * 1e6) % len(pids)]])

    _struck(cli, made, usual, point, end_a_session)
