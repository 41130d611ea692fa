"""
Connections cut, stalled and refused at points spread over dump, restore and migrate.

`--kill-points N` strikes at N points in each job, chosen by `--seed S`; engines connect through the proxy too.
"""

import random
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from support.changes import change
from support.cli import Cli, Finished
from support.comparison import dumped, execute, schemas
from support.faults.failures import failure
from support.faults.faults import State, nothing_left, started, state
from support.lakes.lakes import Lake, Lakes
from support.longer import long
from support.servers.postgres import PASSWORD
from support.servers.proxy import Direction, Fault, Proxy
from support.servers.servers import Servers, middle_major

from dlbackup import MigrateOptions, dump, migrate, plan, verify
from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.open import open_catalog
from dlbackup.errors import Unreachable

_FAULTS: tuple[Fault, ...] = ("one", "reset", "gone", "close")
_POINTS = {"dump": 4, "restore": 4, "migrate": 4, "rehearse": 1}
"""Without --kill-points: a job that takes longer gets its share of a test run's time, not more."""
_SOON = {"PGCONNECT_TIMEOUT": "2"}
"""So that who cleans up gives up a silent server in two seconds instead of ten."""
_OLD_AGAIN = (1, 4, 5, 6)
"""Exit codes that say that the catalog is as it was."""


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault, when that share of a job's bytes in one direction has passed."""

    fault: Fault
    direction: Direction
    share: float

    def __str__(self) -> str:
        return f"{self.fault}-{self.direction}-{self.share:.3f}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Spread each job's strikes evenly over its bytes, each somewhere in its own part."""
    job = metafunc.function.__name__.removeprefix("test_cut_")
    if "strike" not in metafunc.fixturenames or job not in _POINTS:
        return
    count = metafunc.config.getoption("--kill-points", None) or _POINTS[job]
    chance = random.Random(f"{metafunc.config.getoption('--seed', 1)} {job}")
    strikes = [
        Strike(_FAULTS[number % 4], ("up", "down")[number // 2 % 2], (number + chance.random()) / count)
        for number in range(count)
    ]
    metafunc.parametrize("strike", strikes, ids=str)


@dataclass(frozen=True, slots=True)
class Good:
    """Jobs that nothing disturbed: the states around a migration, a backup of the first, each job's bytes."""

    old: State
    new: State
    backup: Path
    passed: Mapping[str, dict[Direction, int]]

    def reach(self, job: str, strike: Strike) -> int:
        """Return after how many bytes a job is struck."""
        return max(1, int(self.passed[job][strike.direction] * strike.share))


def _words(job: str, url: str, backup: Path) -> list[str | Path]:
    words: dict[str, list[str | Path]] = {
        "dump": ["dump", url, "-o", "backup.sql.zst"],
        "restore": ["restore", backup, url, "--replace", "--drop-replaced", "--ignore-clients"],
        "migrate": ["migrate", url, "--ignore-clients", "--no-rehearsal"],
        "rehearse": ["migrate", url, "--ignore-clients"],
    }
    return words[job]


@contextmanager
def _proxy(made: Lake) -> Iterator[tuple[Proxy, str]]:
    with Proxy(made.server.host, made.server.port) as proxy:
        yield proxy, proxy.url_of(made.url)


@pytest.fixture(scope="module")
def good(lakes: Lakes, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Good:
    """Each job once, undisturbed."""
    folder = tmp_path_factory.mktemp("good")
    passed: dict[str, dict[Direction, int]] = {}
    for job in _POINTS:
        with lakes.copy("plain", "0.3", servers[middle_major()], "public") as made:
            old = state(made.url)
            backup = Path(dump(made.url, folder).path)
            with _proxy(made) as (proxy, url):
                done = Cli(tmp_path_factory.mktemp(job))(*_words(job, url, backup))
            assert done.exit_code == 0, done.stderr
            passed[job] = proxy.passed
            new = state(made.url)
    return Good(old, new, backup, passed)


def _struck(cli: Cli, made: Lake, good: Good, job: str, strike: Strike) -> Finished:
    """Run a job through a proxy that strikes; its words are checked, whatever its end is."""
    with _proxy(made) as (proxy, url):
        proxy.strike(strike.fault, strike.direction, good.reach(job, strike))
        done = cli(*_words(job, url, good.backup))
        assert proxy.struck.is_set()
    nothing_left(made)
    assert PASSWORD not in done.stdout + done.stderr
    if done.exit_code:
        assert not failure(done, done.exit_code).startswith("error: unexpected")
    return done


def test_cut_dump(plain: Lake, cli: Cli, tmp_path: Path, good: Good, strike: Strike) -> None:
    """A dump that loses its connection leaves no file and exits with 1; one that had all it needed is good."""
    done = _struck(cli, plain, good, "dump", strike)

    assert state(plain.url) == good.old
    if done.exit_code == 0:
        assert verify(tmp_path / "backup.sql.zst").ok
    else:
        assert done.exit_code == 1
        assert list(tmp_path.iterdir()) == []


def test_cut_restore(plain: Lake, cli: Cli, tmp_path: Path, good: Good, strike: Strike) -> None:
    """A restore that loses its connection leaves exactly the catalog that was there, and the next one works."""
    change(plain.url)
    before = state(plain.url)

    done = _struck(cli, plain, good, "restore", strike)

    assert done.exit_code in (0, 1)
    assert state(plain.url) == (good.old if done.exit_code == 0 else before)
    assert cli(*_words("restore", plain.url, good.backup)).exit_code == 0
    assert state(plain.url) == good.old
    assert schemas(plain.url) == {"public"}


def test_cut_migrate(plain: Lake, cli: Cli, tmp_path: Path, good: Good, strike: Strike) -> None:
    """A migration whose connections break ends with the old or the new catalog, as its exit code says."""
    done = _struck(cli, plain, good, "migrate", strike)

    _is_as_said(plain, done, good)
    _finish(plain, cli, good)


def test_cut_rehearse(plain: Lake, cli: Cli, tmp_path: Path, good: Good, strike: Strike) -> None:
    """The next run drops the scratch schema of a rehearsal that lost its connection."""
    done = _struck(cli, plain, good, "rehearse", strike)

    _is_as_said(plain, done, good)
    _finish(plain, cli, good, "--ignore-clients")


def _is_as_said(made: Lake, done: Finished, good: Good) -> None:
    found = state(made.url)
    assert found in (good.old, good.new)
    assert done.exit_code in (0, 7, *_OLD_AGAIN), done
    if done.exit_code != 7:
        assert found == (good.new if done.exit_code == 0 else good.old), done


def _finish(made: Lake, cli: Cli, good: Good, *words: str) -> None:
    """Migrate again: that brings the catalog to its new state, and leaves nothing of the run before."""
    again = cli("migrate", made.url, "--json", *(words or ("--no-rehearsal",)))

    assert (again.exit_code, again.json()["outcome"] in ("migrated", "current")) == (0, True), again
    assert state(made.url) == good.new
    assert again.json()["outcome"] == "current" or schemas(made.url) == {"public"}
    assert list(cli.cwd.glob(".*.part")) == []


@pytest.mark.parametrize(
    ("job", "step"),
    [(migrate, "catalogs.postgres.fence.settle_clients"), (plan, "catalogs.postgres.catalog.other_clients")],
)
def test_connection_lost_between_two_stages_is_said(
    plain: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: Callable[..., object], step: str
) -> None:
    """A connection that is lost outside of any snapshot is an error like any other, and changes nothing."""
    before = state(plain.url)

    def lost(session: psycopg.Connection[object], *_: object, **__: object) -> None:
        execute(plain.url, f"select pg_terminate_backend({session.info.backend_pid})")
        session.execute("select 1")

    monkeypatch.setattr(f"dlbackup.{step}", lost)
    with pytest.raises(Unreachable, match="terminating connection"):
        job(plain.url, MigrateOptions(backup_dir=tmp_path))

    assert state(plain.url) == before
    assert list(tmp_path.iterdir()) == []


def test_connection_lost_at_the_last_row_of_a_query_is_said(plain: Lake) -> None:
    """A query's cursor ends with its connection: psycopg's own would stay open when it fails to close."""
    others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    with (
        pytest.raises(Unreachable),
        open_catalog(parse_address(plain.url)) as catalog,
        catalog.snapshot() as snapshot,
        snapshot.answers() as answers,
    ):
        for _ in answers.stream(f"select 1 from {answers.schema}.ducklake_metadata limit 1"):
            execute(plain.url, f"select pg_terminate_backend(pid) {others}")


@pytest.mark.parametrize("to_the_end", [100, 140])
def test_lost_answer_to_the_commit_is_looked_up(plain: Lake, cli: Cli, good: Good, to_the_end: int) -> None:
    """When only the answer to a restore's COMMIT is lost, the restore finds out that it succeeded."""
    change(plain.url)
    share = 1 - to_the_end / good.passed["restore"]["down"]

    done = _struck(cli, plain, good, "restore", Strike("one", "down", share))

    assert state(plain.url) == good.old
    assert done.exit_code == 0


@pytest.mark.parametrize(("job", "share"), [long("dump", 0.2), long("dump", 0.6), ("restore", 0.8)])
def test_stalled_job_can_be_interrupted(
    plain: Lake, cli: Cli, tmp_path: Path, good: Good, job: str, share: float
) -> None:
    """A job that hears nothing any more from a server that is still connected ends soon after SIGINT."""
    change(plain.url)
    before = state(plain.url)
    with _proxy(plain) as (proxy, url):
        proxy.strike("stall", "down", good.reach(job, Strike("stall", "down", share)))
        with started(cli, *_words(job, url, good.backup), env=_SOON) as running:
            assert proxy.struck.wait(30)
            running.signal(signal.SIGINT)
            done = running.end()
        proxy.heal()

    assert failure(done, 130) == "error: interrupted by SIGINT"
    assert list(tmp_path.iterdir()) == []
    nothing_left(plain)
    assert state(plain.url) == before


def test_stalled_rows_can_be_interrupted(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """A dump that waits for the next rows of a large table hears SIGINT."""
    rows = "select md5(i::text) || md5((-i)::text) as x from generate_series(1, 50000) i"
    execute(plain.url, f"create table ducklake_aa_large as {rows}")
    with _proxy(plain) as (proxy, url):
        proxy.strike("stall", "down", 1_000_000)
        with started(cli, "dump", url) as running:
            assert proxy.struck.wait(30)
            running.signal(signal.SIGINT)
            done = running.end()
        proxy.heal()

    assert done.exit_code == 130
    assert list(tmp_path.iterdir()) == []
    nothing_left(plain)


@pytest.mark.parametrize("share", [0.6])
def test_stalled_migration_can_be_interrupted(plain: Lake, cli: Cli, good: Good, share: float) -> None:
    """A migration that hears nothing any more from the server ends after a second SIGINT at the latest."""
    with _proxy(plain) as (proxy, url):
        proxy.strike("stall", "up", good.reach("migrate", Strike("stall", "up", share)))
        with started(cli, *_words("migrate", url, good.backup), env=_SOON) as running:
            assert proxy.struck.wait(30)
            running.signal(signal.SIGINT)
            try:
                done = running.end(timeout_s=6)
            except subprocess.TimeoutExpired:
                running.signal(signal.SIGINT)
                done = running.end()
        proxy.heal()

    assert done.exit_code in (130, 5, 6, 7)
    nothing_left(plain)
    _is_as_said(plain, done, good)


def test_silent_server_is_given_up(plain: Lake, cli: Cli) -> None:
    """A server that takes the connection and says nothing is given up after the connect timeout, by every command."""
    with _proxy(plain) as (proxy, url):
        proxy.strike("stall", "up", 1)

        for words in (["info", url], ["migrate", url]):
            done = cli(*words, env={"PGCONNECT_TIMEOUT": "2"})

            failure(done, 1, "timeout expired", hint="check host and port")


def test_refused_connection_is_one_clear_line(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """Where nothing listens, every command says which server it could not reach."""
    with _proxy(plain) as (proxy, url):
        pass
    backup = dump(plain.url, tmp_path).path

    for words in (["info", url], ["dump", url], ["check", url], ["plan", url], ["migrate", url]):
        failure(cli(*words), 1, f"port={proxy.port}", "refused", hint="check host and port")
    failure(cli("restore", backup, url), 1, f"port={proxy.port}", "refused")


def test_proxy_changes_nothing(plain: Lake, tmp_path: Path) -> None:
    """A backup through a proxy that does not strike is the backup without it."""
    with _proxy(plain) as (_, url):
        assert dumped(url, tmp_path) == dumped(plain.url, tmp_path)
