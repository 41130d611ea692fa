"""Behind a pooler in transaction mode: what only reads works, what changes a catalog is refused with the reason."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from support.cli import Cli, Finished
from support.comparison import contents, dumped, execute
from support.faults.failures import failure
from support.faults.faults import state
from support.lakes.lakes import Lake
from support.servers.pooler import Pooler
from support.servers.proxy import Proxy
from support.servers.servers import Server

from dlbackup import dump, verify

_POOLED = "a transaction-pooling proxy"


@pytest.fixture
def pooler(server: Server) -> Iterator[Pooler]:
    """A pooler before the server."""
    with Pooler(server) as pooler:
        yield pooler


def test_pooler_is_one(plain: Lake, pooler: Pooler) -> None:
    """Clients of the pooler are told another process id, share server sessions, and inherit each other's settings."""
    url = pooler.url_of(plain.url)
    with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url, autocommit=True) as two:
        one.execute("set work_mem = '123kB'")
        told = one.info.backend_pid
        with one.transaction():
            (first,) = one.execute("select pg_backend_pid()").fetchone() or (0,)
            (second,) = two.execute("select pg_backend_pid()").fetchone() or (0,)
        settings = {two.execute("select current_setting('work_mem')").fetchone() for _ in range(4)}

    assert told not in (first, second)
    assert first != second
    assert ("123kB",) in settings


def test_reading_works_behind_a_pooler(plain: Lake, pooler: Pooler, cli: Cli, tmp_path: Path) -> None:
    """info, check, dump and plan give the same behind a pooler, and the backup verifies."""
    url = pooler.url_of(plain.url)

    for command in ("info", "check"):
        assert cli(command, url, "--json").json() == cli(command, plain.url, "--json").json()
    done = cli("dump", url, "-o", "backup.sql.zst")

    assert done.exit_code == 0, done
    assert verify(tmp_path / "backup.sql.zst").ok
    assert contents(tmp_path / "backup.sql.zst") == dumped(plain.url, tmp_path)


def test_dump_leaves_no_setting_behind(plain: Lake, pooler: Pooler, tmp_path: Path) -> None:
    """What a dump sets is gone with its transaction, so that whoever shares its session does not meet it."""
    url = pooler.url_of(plain.url)
    query = (
        "select name, setting from pg_settings where source = 'session' and name !~ '^transaction_'"
        " and name not in ('application_name', 'client_encoding')"
    )

    dump(url, tmp_path)

    with psycopg.connect(url, autocommit=True) as client:
        for _ in range(4):
            assert client.execute(query).fetchall() == []


def test_large_table_passes_a_pooler(plain: Lake, pooler: Pooler, tmp_path: Path) -> None:
    """A table of several megabytes comes through whole."""
    rows = "select md5(i::text) || md5((-i)::text) as x from generate_series(1, 60000) i"
    execute(plain.url, f"create table ducklake_aa_large as {rows}")

    assert dumped(pooler.url_of(plain.url), tmp_path) == dumped(plain.url, tmp_path)


def _changes(url: str, backup: str) -> dict[str, list[str]]:
    return {
        "migrate": ["migrate", url],
        "migrate, whoever is connected": ["migrate", url, "--ignore-clients"],
        "restore into an empty schema": ["restore", backup, url, "--metadata-schema", "new"],
        "restore in place": ["restore", backup, url, "--replace", "--ignore-clients"],
    }


@pytest.mark.parametrize("job", _changes("", ""))
def test_changing_is_refused_behind_a_pooler(plain: Lake, pooler: Pooler, cli: Cli, tmp_path: Path, job: str) -> None:
    """What holds locks of a session is refused with the reason before anything is written, exit 4."""
    before = state(plain.url)
    backup = dump(plain.url, tmp_path).path
    files = set(tmp_path.iterdir())

    done = cli(*_changes(pooler.url_of(plain.url), backup)[job])

    failure(done, 4, _POOLED, "PgBouncer", hint="connect to the server itself")
    assert "dump:" not in done.stderr
    assert state(plain.url) == before
    assert set(tmp_path.iterdir()) == files
    assert execute(plain.url, "select nspname from pg_namespace where nspname in ('new')") == []


def test_a_proxy_that_makes_up_pids_is_no_pooler(plain: Lake, server: Server, cli: Cli, tmp_path: Path) -> None:
    """Behind a proxy that only tells other process ids, everything works as without it."""
    with Proxy(server.host, server.port, own_pids=True) as proxy:
        url = proxy.url_of(plain.url)
        with psycopg.connect(url) as told:
            assert told.execute("select pg_backend_pid()").fetchone() != (told.info.backend_pid,)
        before = dumped(plain.url, tmp_path)
        assert cli("plan", url, "--json").json()["blockers"] == []
        done = cli("migrate", url, "--json")
        assert done.exit_code == 0, done.stderr
        assert done.json()["stale_clients"] == []
        with psycopg.connect(plain.url):
            refused = cli("restore", done.json()["backup"], url, "--replace", "--json")
            assert refused.json()["error"]["type"] == "ClientsConnected"
            words = ["--replace", "--terminate-clients", "--json"]
            restored = cli("restore", done.json()["backup"], url, *words)
            assert restored.exit_code == 0, restored.stderr
        assert dumped(plain.url, tmp_path) == before


def _blockers(done: Finished) -> list[str]:
    return [blocker["type"] for blocker in done.json()["blockers"]]


def test_plan_names_the_pooler(plain: Lake, pooler: Pooler, cli: Cli) -> None:
    """The plan of a migration behind a pooler has it as a blocker, since migrate refuses for it."""
    done = cli("plan", pooler.url_of(plain.url), "--json", "--ignore-clients")

    assert _blockers(done) == ["Pooled"]


def test_startup_parameter_that_a_pooler_refuses(plain: Lake, pooler: Pooler, cli: Cli) -> None:
    """Parameters of the user's own that a pooler does not take are named; dlbackup's own connection has none."""
    url = pooler.url_of(plain.url)

    for done in (
        cli("info", f"{url}?options=-csearch_path%3Dpublic"),
        cli("info", url, env={"PGOPTIONS": "-c lock_timeout=1s"}),
    ):
        failure(done, 1, "unsupported startup parameter: options", hint="")
    assert cli("info", url, env={"PGAPPNAME": "mine", "PGCLIENTENCODING": "LATIN1"}).exit_code == 0


def test_wrong_password_at_a_pooler(plain: Lake, pooler: Pooler, cli: Cli) -> None:
    """A pooler's own refusal of a password is as clear as the server's."""
    done = cli("info", pooler.url_of(plain.url).replace(plain.server.password, "wrong"))

    failure(done, 1, "password authentication failed", hint="PGPASSWORD")
    assert "wrong" not in done.stderr


def test_reading_beside_other_clients_of_the_pooler(plain: Lake, pooler: Pooler, cli: Cli, tmp_path: Path) -> None:
    """A dump shares the pooler with clients in the middle of transactions, whose work goes on."""
    url = pooler.url_of(plain.url)
    with psycopg.connect(url) as one, psycopg.connect(url) as two:
        one.execute("create table mine as select 1 as x")
        two.execute("select count(*) from ducklake_snapshot")

        assert cli("dump", url, "-o", "backup.sql.zst").exit_code == 0

        assert one.execute("select x from mine").fetchone() == (1,)
    assert execute(plain.url, "select x from mine") == [(1,)]
    assert verify(tmp_path / "backup.sql.zst").ok
