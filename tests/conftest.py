"""What every test run says and checks first, where its PostgreSQL servers come from, and the command that tests run."""

import gc
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings
from support.cli import Cli
from support.engines import forked, kept
from support.engines.engines import UNSIGNED, newest_duckdb
from support.keys import identity_file
from support.servers import servers

from dlbackup.errors import EngineError
from dlbackup.stores.age.x25519 import SecretKey

# No test of ours is about time: machines are shared and noisy.
_ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("short", _ANY_MACHINE, max_examples=30)
settings.register_profile("long", _ANY_MACHINE)

_LONG_POINTS = 250
"""Of each of the four tests that kill; the soak goes as many rounds."""
_LONG_HISTORIES = 50
"""Of each of the two generations of engines."""
_MOST_WORKERS = 4
"""Of `-n auto`: each has servers of its own."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let anybody run the fault tests longer, and again with the same faults."""
    parser.addoption("--kill-points", type=int, metavar="N", help="points at which each fault test strikes")
    parser.addoption("--seed", type=int, metavar="S", help="what points and histories are chosen by (default: 1)")
    parser.addoption("--newest-duckdb", action="store_true", help="the tests' own process has the newest DuckDB")
    parser.addoption("--all", action="store_true", help="tests marked `long` too, with the numbers of an ordinary run")
    parser.addoption("--long", action="store_true", help="--all, and 1,000 kill points, 100 histories; a new seed")


def pytest_configure(config: pytest.Config) -> None:
    """Set the numbers of a long run, and refuse to run where the servers that were asked for can't be had."""
    options = config.option
    settings.load_profile("long" if options.all or options.long else "short")
    if options.newest_duckdb:
        sys.path.insert(0, str(newest_duckdb()))
    if options.long:
        options.seed = options.seed or secrets.randbelow(1 << 30)
        options.kill_points = options.kill_points or _LONG_POINTS
        os.environ.setdefault("DLBACKUP_HISTORIES", str(_LONG_HISTORIES))
        os.environ.setdefault("DLBACKUP_SEED", str(options.seed))
    options.seed = options.seed or 1
    try:
        servers.server_kind()
    except LookupError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what is marked `long` to runs of all tests, and what is of DuckDB 1.5 to those that have it."""
    if not (config.option.long or config.option.all):
        left = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
    if config.option.newest_duckdb:
        left = [item for item in items if item.get_closest_marker("duckdb_1_5")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def pytest_collection_finish() -> None:
    """Spare the collector of garbage all that was imported and collected, which stays to the end."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Beside a junit file, which has one time for each test, keep what `--durations=0` would print of its phases."""
    path = terminalreporter.config.option.xmlpath
    if path is None:
        return
    reports = [report for several in terminalreporter.stats.values() for report in several]
    timed = sorted((it for it in reports if hasattr(it, "duration")), key=lambda it: it.duration, reverse=True)
    lines = [f"{it.duration:.2f}s {it.when:<8} {it.nodeid}\n" for it in timed]
    Path(path).with_suffix(".durations.txt").write_text("".join(lines))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """
    Say how many workers `-n auto` starts: one more than cores, since an eighth of the tests' time is waiting.

    Unit tests wait for nothing, and to start a worker takes as long as a tenth of them.
    """
    waits = any("unit" not in Path(given).parts for given in config.args)
    return min((os.cpu_count() or 1) + waits, _MOST_WORKERS)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which servers the tests run on, and by which seed."""
    return [servers.describe(), f"faults and histories: seed {config.option.seed}"]


@pytest.fixture(scope="session", autouse=True)
def _quick_engines() -> Iterator[None]:
    """
    Engines that tests or commands start don't check the signatures of their extensions, but where `as_shipped`.

    Those of commands in the test's own process are kept for the next one, other children of such commands are forks,
    and what processes compile is kept too.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(UNSIGNED), prepend=os.pathsep)
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # each would compile dlbackup anew, for 0.2 s
        patch.setattr("dlbackup.engine.process.start_file", kept.KeptChild)
        for name in forked.STARTERS:
            patch.setattr(name, forked.start)
        yield
    kept.end_all()
    forked.end()


@pytest.fixture(scope="session", autouse=True)
def _copies_unread(pytestconfig: pytest.Config) -> Iterator[None]:
    """In the tests' own process no engine reads copies before they are published, but with --long and where asked."""

    def none(python: object) -> NoReturn:
        raise EngineError("tests of it have one")

    with pytest.MonkeyPatch.context() as patch:
        if not pytestconfig.option.long:
            patch.setattr("dlbackup.transfer.witness.probe", none)
        yield


@pytest.fixture
def as_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let engines start as users have them, with the check of their extensions' signatures."""
    words = os.environ["PYTHONPATH"].split(os.pathsep)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(word for word in words if word != str(UNSIGNED)))


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The dlbackup command, run in the test's own folder."""
    return Cli(tmp_path)


@pytest.fixture
def secret() -> SecretKey:
    """A new identity of age."""
    return SecretKey.generate()


@pytest.fixture
def identity(secret: SecretKey, tmp_path: Path) -> Path:
    """The file with it."""
    return identity_file(tmp_path, secret)
