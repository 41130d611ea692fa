"""Migrations that are killed or interrupted: the catalog is the old or the new one, and the next run goes on."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from support.cli import Cli
from support.faults.faults import (
    OPENS,
    State,
    children,
    engine_that,
    failed,
    is_running,
    nothing_left,
    one,
    pause,
    started,
    state,
)
from support.lakes.lakes import Lake, Lakes
from support.servers.servers import Servers, middle_major
from support.waiting import wait_until

_WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and application_name like '{}'"


@pytest.fixture(scope="module")
def good(lakes: Lakes, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> tuple[State, State]:
    """A plain lake of 0.3 as it is before and after a migration that nothing disturbs."""
    with lakes.copy("plain", "0.3", servers[middle_major()], "public") as made:
        before = state(made.url)
        done = Cli(tmp_path_factory.mktemp("good"))("migrate", made.url)
        assert done.exit_code == 0, done.stderr
        return before, state(made.url)


_SLOWLY = ["--max-rate", "1K"]
_UNFINISHED = ".*"


@dataclass(frozen=True)
class Moment:
    """Where a migration is stopped: at a stage, and then where an engine, a lock or its own slowness holds it."""

    name: str
    stage: str
    engine: Callable[[Path, str], dict[str, str]] | None = None
    locked: str = ""
    slow: bool = False
    waits: str = "dlbackup%"
    migrated: bool | None = False
    is_between: bool = False
    """Tried in long runs only: between two others that end alike."""


def _paused(where: str, statement: str = "") -> Callable[[Path, str], dict[str, str]]:
    more = {"statement": statement} if statement else {}
    return lambda marker, url: {where: pause(marker)} | more


def _partial(marker: Path, url: str) -> dict[str, str]:
    return {"after": "raise real.IOException('too late')"}


_MOMENTS = [
    Moment("look", "look", is_between=True),
    Moment("dump-begins", "dump", is_between=True),
    Moment("dump-in-the-middle", "dump", slow=True),
    Moment("verify", "verify", is_between=True),
    Moment("same-state", "same-state", is_between=True),
    # The engine stands ready, and may be done before it is killed.
    Moment("attach-begins", "attach", migrated=None, is_between=True),
    Moment("before-the-engine-migrates", "attach", _paused("before"), is_between=True),
    Moment("while-the-engine-migrates", "attach", locked="ducklake_delete_file", waits="dlbackup-engine-%"),
    Moment("after-the-engine-migrated", "attach", _paused("after"), migrated=True),
    Moment("post-check", "post-check", migrated=True, is_between=True),
    Moment("while-the-engine-opens", "post-check", _paused("before", OPENS), migrated=True, is_between=True),
    Moment("undo", "undo", _partial, migrated=None, is_between=True),
]


@pytest.mark.parametrize(
    "moment", [pytest.param(it, id=it.name, marks=[pytest.mark.long] if it.is_between else []) for it in _MOMENTS]
)
def test_kill_leaves_the_old_or_the_new_catalog(
    plain: Lake, cli: Cli, tmp_path: Path, good: tuple[State, State], moment: Moment
) -> None:
    """Killed anywhere, dlbackup leaves exactly the old or the new catalog, nothing running, and a way on."""
    marker = tmp_path / "marker"
    words: list[str | Path] = ["--no-rehearsal", "--ignore-clients"]
    if moment.engine:
        words += ["--engine", engine_that(tmp_path, **moment.engine(marker, plain.url))]
    words += _SLOWLY if moment.slow else []
    with psycopg.connect(plain.url) as client, started(cli, "migrate", plain.url, *words) as running:
        if moment.locked:
            mode = "access share" if moment.stage == "attach" else "access exclusive"
            client.execute(f"lock table {moment.locked} in {mode} mode".encode())
        running.reach(moment.stage)
        if moment.locked:
            wait_until(lambda: one(plain.url, _WAITING.format(moment.waits)))
        elif moment.slow:
            wait_until(lambda: any(cli.cwd.glob(_UNFINISHED)))
        elif moment.engine and moment.stage != "undo":
            wait_until(marker.exists)
        orphans = running.kill()
        wait_until(lambda: not any(map(is_running, orphans)))
        client.rollback()

    nothing_left(plain)
    left = state(plain.url)
    expected = {False: good[:1], True: good[1:], None: good}[moment.migrated]
    assert left in expected
    assert orphans or not moment.engine or moment.name == "undo"
    backups = list(cli.cwd.glob("ducklake-*.zst"))
    assert bool(backups) == (moment.stage not in ("look", "dump"))
    assert all(cli("verify", backup).exit_code == 0 for backup in backups)
    again = cli("migrate", plain.url, "--json", "--no-rehearsal")
    assert again.json()["outcome"] == "migrated" or moment.migrated is None
    assert state(plain.url) == good[1]
    assert cli("migrate", plain.url, "--json").json()["outcome"] == "current"


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_signal_in_the_dump_leaves_no_file(plain: Lake, cli: Cli, number: signal.Signals) -> None:
    """Interrupted in the dump, migrate ends with 130; no file is left under any name."""
    before = state(plain.url)
    with started(cli, "migrate", plain.url, "--json", *_SLOWLY) as running:
        running.reach("dump")
        wait_until(lambda: any(cli.cwd.glob(_UNFINISHED)))
        running.signal(number)
        done = running.end()

    assert (done.exit_code, done.json()["error"]["type"]) == (130, "Interrupted")
    assert list(cli.cwd.iterdir()) == []
    assert state(plain.url) == before
    nothing_left(plain)


def test_signal_at_the_fence_is_heard(plain: Lake, cli: Cli) -> None:
    """Interrupted while it waits for the fence, migrate ends at once, and the catalog was not touched."""
    before = state(plain.url)
    with psycopg.connect(plain.url) as client:
        client.execute("lock table ducklake_snapshot in row exclusive mode")
        words = ("migrate", plain.url, "--json", "--no-rehearsal", "--ignore-clients", "--lock-timeout", "600")
        with started(cli, *words) as running:
            running.reach("verify")
            wait_until(lambda: one(plain.url, _WAITING.format("dlbackup-fence")))
            running.signal(signal.SIGTERM)
            done = running.end()

    assert (done.exit_code, done.json()["error"]["type"]) == (130, "Interrupted")
    assert state(plain.url) == before
    nothing_left(plain)


def test_signal_under_the_fence_is_heard(plain: Lake, cli: Cli) -> None:
    """Interrupted while it compares the catalog with the backup, migrate ends with 130 and no other error."""
    before = state(plain.url)
    with psycopg.connect(plain.url) as writer, psycopg.connect(plain.url) as client:
        writer.execute("lock table ducklake_snapshot in row exclusive mode")
        with started(cli, "migrate", plain.url, "--json", "--no-rehearsal", "--ignore-clients") as running:
            running.reach("verify")
            wait_until(lambda: one(plain.url, _WAITING.format("dlbackup-fence")))
            client.execute("lock table ducklake_metadata in access exclusive mode")
            writer.rollback()
            running.reach("same-state")
            wait_until(lambda: one(plain.url, _WAITING.format("dlbackup")))
            running.signal(signal.SIGINT)
            done = running.end()

    assert (done.exit_code, done.json()["error"]["type"]) == (130, "Interrupted")
    assert state(plain.url) == before
    nothing_left(plain)


@pytest.mark.parametrize(
    ("where", "stage", "exit_code", "error", "outcome"),
    [
        ("before", "attach", 5, "Unchanged", "unchanged"),
        ("after", "attach", 6, "RolledBack", "rolled-back"),
    ],
)
def test_signal_in_the_attach_ends_in_a_proved_state(
    plain: Lake, cli: Cli, tmp_path: Path, where: str, stage: str, exit_code: int, error: str, outcome: str
) -> None:
    """Interrupted while the engine works, migrate ends the engine, proves or restores the old state, and says so."""
    before = state(plain.url)
    marker = tmp_path / "marker"
    engine = engine_that(tmp_path, **{where: pause(marker)})
    with started(cli, "migrate", plain.url, "--json", "--no-rehearsal", "--engine", engine) as running:
        running.reach(stage)
        wait_until(marker.exists)
        engines = children(running.process.pid)
        running.signal(signal.SIGTERM)
        done = running.end()

    assert "SIGTERM" in failed(done, exit_code, error, outcome)
    assert engines
    assert not any(map(is_running, engines))
    assert state(plain.url) == before
    nothing_left(plain)


@pytest.mark.parametrize("where", [pytest.param("before", marks=pytest.mark.long), "after"])
def test_signal_in_the_undo_does_not_hide_the_outcome(plain: Lake, cli: Cli, tmp_path: Path, where: str) -> None:
    """A signal that comes while a failure is being dealt with waits until the outcome is known and told."""
    before = state(plain.url)
    engine = engine_that(tmp_path, **{where: "os.abort()"})
    with started(cli, "migrate", plain.url, "--json", "--no-rehearsal", "--engine", engine) as running:
        running.reach("undo")
        running.signal(signal.SIGINT)
        done = running.end()

    if where == "before":
        failed(done, 5, "Unchanged", "unchanged")
    else:
        failed(done, 6, "RolledBack", "rolled-back")
    assert state(plain.url) == before
