"""Random histories by real engines: what a lake shows is the same after a migration, and stays so with use.

The lakes of old engines are compared with their own reading before, with a lake that the newest engine made by
the same steps, and with their restored backups. `support.histories.histories` says how to run more, and what is
left out.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, note
from support.cli import Cli
from support.engines.engines import EngineError, engine_of
from support.histories.histories import LEFT_OUT, History, examples, random_histories
from support.histories.runs import Shown, differences, is_logged, log, migrate_alone, read, take
from support.histories.steps import histories
from support.migrations import migrated
from support.servers.servers import Server

_TIMEOUT_S = 300
# Losses that are refused unless accepted; time travel isn't compared then.
_REFUSED = ("unordered-partial-files", "rewritten-partial-files")

pytestmark = pytest.mark.timeout(_TIMEOUT_S * (examples() + 1))


@dataclass(frozen=True, slots=True)
class _Run:
    """A history in the databases and folders that it runs in: one lake by the old engine, one by the newest."""

    history: History
    cli: Cli
    old: str
    born: str
    back: str
    alone: str

    @property
    def unfiltered(self) -> tuple[str, ...] | None:
        """The columns that the old engine isn't asked to filter by; None for all."""
        return None if self.history.inlining else self.history.unfiltered

    def data(self, name: str) -> Path:
        """Return the folder of a lake's data files."""
        return self.cli.cwd / name / self.history.folder


@contextmanager
def _running(history: History, server: Server) -> Iterator[_Run]:
    note(str(history))
    with (
        tempfile.TemporaryDirectory(prefix="dlbackup-history-") as folder,
        server.database() as old,
        server.database() as born,
        server.database() as back,
        server.database() as alone,
    ):
        run = _Run(history, Cli(Path(folder)), old, born, back, alone)
        for name in ("old", "born"):
            run.data(name).mkdir(parents=True)
        yield run


def _check(run: _Run, url: str) -> None:
    done = run.cli("check", url, timeout_s=_TIMEOUT_S)
    assert done.exit_code == 0, done.stdout


def _migrate(run: _Run) -> dict[str, Any]:
    words = ["--engine", str(engine_of("0.3").python)] if run.history.spec == "0.2" else []
    for rule in _REFUSED:
        words += ["--accept-loss", rule]
    return migrated(run.cli, run.old, *words, timeout_s=_TIMEOUT_S)


def _comparable(run: _Run, shown: Shown, mends: list[str], losses: list[str]) -> Shown:
    """Leave out time travel where the migration can't keep it, or where the old engine was wrong about it."""
    if losses or "flushed-partial-files" in mends:
        return {place: rows for place, rows in shown.items() if " at " not in place}
    return shown


def _losses(run: _Run) -> list[str]:
    """Return the losses of this lake that nothing mends."""
    if run.history.spec == "0.2":
        return []  # 1.3 neither rewrites nor flushes
    planned = run.cli("plan", run.old, "--json", timeout_s=_TIMEOUT_S)
    return [loss["rule"] for loss in planned.json()["losses"] if not loss["mended"]]


def _survives(run: _Run) -> None:
    """Write, migrate, restore and go on, comparing all that is read on the way."""
    history, oldest, newest = run.history, engine_of(run.history.spec), engine_of("1.0")
    take(oldest, run.old, run.data("old"), history.steps, inlining=history.inlining, create=True)
    before = read(oldest, run.old, unfiltered=run.unfiltered)
    _check(run, run.old)
    losses = _losses(run)
    assert set(losses) <= set(_REFUSED)
    answer = _migrate(run)
    mends = [mend["rule"] for mend in answer["mends"]]
    after = read(newest, run.old, unfiltered=run.unfiltered)
    assert differences(_comparable(run, before, mends, losses), _comparable(run, after, mends, losses)) == []
    _check(run, run.old)
    assert run.cli("restore", answer["backup"], run.back, timeout_s=_TIMEOUT_S).exit_code == 0
    assert differences(before, read(oldest, run.back, unfiltered=run.unfiltered)) == []
    alone = _goes_on_alone(run, answer["backup"], before) if is_logged() else None
    own = _goes_on(run)
    if alone is not None:
        differs = alone.differs_from(own)
        log({"spec": history.spec, "inlining": history.inlining, "mends": mends, "losses": losses, "alone": differs})


@dataclass(frozen=True, slots=True)
class _Alone:
    """What came of a lake that engines migrated by themselves: what differed at once, and what it showed with use."""

    differs: list[str]
    shown: dict[int, Shown]

    def differs_from(self, own: list[Shown]) -> list[str]:
        """Say what differs from the lake as it was, and with use from one that was always of the newest version."""
        later = [text for number, shown in self.shown.items() for text in differences(own[number], shown)]
        return [*self.differs, *later]


def _goes_on_alone(run: _Run, backup: str, before: Shown) -> _Alone:
    """Let the engines migrate the restored backup and go on, without dlbackup."""
    newest = engine_of("1.0")
    # It has its data files together with the other lake, which still needs them.
    later = {number: step for number, step in enumerate(run.history.later) if step.name != "clean up"}
    assert run.cli("restore", backup, run.alone, timeout_s=_TIMEOUT_S).exit_code == 0
    differs: list[str] = []
    try:
        migrate_alone(run.alone, run.history.spec)
        differs = differences(before, read(newest, run.alone, unfiltered=run.unfiltered))
        steps = list(later.values())
        taken = take(newest, run.alone, run.data("old"), steps, inlining=run.history.later_inlining)
    except EngineError as error:
        return _Alone([*differs, str(error)], {})
    return _Alone(differs, dict(zip(later, taken, strict=True)))


def _goes_on(run: _Run) -> list[Shown]:
    """Let the newest engine go on, on the migrated lake and on one of its own with the same history.

    Returns what its own lake shows after each step.
    """
    history, newest = run.history, engine_of("1.0")
    take(newest, run.born, run.data("born"), history.steps, inlining=history.inlining, create=True)
    migrated, own = (
        take(newest, url, run.data(name), history.later, inlining=history.later_inlining)
        for url, name in ((run.old, "old"), (run.born, "born"))
    )
    for step, one, two in zip(history.later, own, migrated, strict=True):
        assert (step, differences(one, two)) == (step, [])
    unfiltered = None if history.inlining or history.later_inlining else ()
    shown = [read(newest, url, unfiltered=unfiltered, snapshots=False) for url in (run.born, run.old)]
    assert differences(*shown) == []
    _check(run, run.old)
    return own


@random_histories
@given(history=histories("0.3"))
def test_lakes_of_0_3_show_the_same_for_ever(server: Server, history: History) -> None:
    """Whatever DuckDB 1.4 did to a lake: migrated, restored and used on, it shows what it should."""
    with _running(history, server) as run:
        _survives(run)


@pytest.mark.long
@random_histories
@given(history=histories("0.2"))
def test_lakes_of_0_2_show_the_same_for_ever(server: Server, history: History) -> None:
    """Whatever DuckDB 1.3 did to a lake: it goes over 0.3 in two steps and shows what it should."""
    with _running(history, server) as run:
        _survives(run)


def test_what_is_left_out_has_a_reason() -> None:
    """Each exclusion is by name, with what was seen."""
    assert all(len(entry.reason) > 40 for entry in LEFT_OUT.values())
