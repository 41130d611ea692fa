"""
Tenants of one database, alike in the first 60 bytes of their names, that do everything at once and are killed.

`--kill-points N` lets ten of them go N rounds each.
"""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.cli import Cli, Finished
from support.comparison import contents, dumped, execute, schemas
from support.engines.engines import engine_of
from support.faults.faults import one
from support.servers.servers import Server, Servers, middle_major, server_kind
from support.waiting import PATIENCE_S

_TENANTS, _MANY = 2, 10
_ALIKE = "tenant_550e8400_e29b_41d4_a716_446655440000_of_the_north_sea"
_INLINED_TABLES = 40
"""So many that no restore of a tenant goes into one transaction."""
_KILLED_WITHIN_S = 4.0
_PAUSE_S = 0.2


@pytest.fixture(scope="module")
def tight(servers: Servers) -> Iterator[Server]:
    """A server with few locks, but for many clients."""
    if server_kind() != "docker":
        pytest.skip("a server with settings of its own needs a container: PG_TEST_ENGINE=docker")
    with servers.with_settings(middle_major(), max_locks_per_transaction="10", max_connections="100") as server:
        yield server


def _backup(server: Server, cli: Cli, folder: Path) -> str:
    """Return a backup of a lake of 0.3 with many inlined tables."""
    statements = []
    for number in range(_INLINED_TABLES):
        statements.append(f"create table lake.t{number} (i integer, v varchar)")
        statements.append(rf"insert into lake.t{number} values ({number}, 'C:\{number}')")
    with server.database() as url:
        limit = {"DATA_INLINING_ROW_LIMIT": 10}
        engine_of("0.3").run(url, None, statements, data_path=folder, options=limit, timeout_s=2 * PATIENCE_S)
        return str(cli("dump", url, "--json").json()["path"])


def _to_its_end(cli: Cli, chance: random.Random, *words: str) -> Finished:
    """
    Run a command, or kill it once and run it again.

    What a killed one leaves may be in the way for as long as the server needs to notice that it is gone.
    """
    if chance.random() < 0.5:
        with cli.started(*words) as process:
            time.sleep(chance.uniform(0, _KILLED_WITHIN_S))
            process.kill()
    until = time.monotonic() + PATIENCE_S
    while True:
        done = cli.apart(*words)
        if done.exit_code == 0 or done.json()["error"]["type"] not in ("MigratorRuns", "Locked"):
            return done
        assert time.monotonic() < until, done.stderr
        time.sleep(_PAUSE_S)


def _tenant(url: str, cli: Cli, folder: Path, chance: random.Random, rounds: int) -> Callable[[str], None]:
    """Return what a tenant does: migrate, rehearse and roll back, so many times."""

    def work(schema: str) -> None:
        own = folder / schema
        own.mkdir()
        where = ["--metadata-schema", schema]
        for _ in range(rounds):
            before = dumped(url, own, schema)
            words = ["--backup-dir", str(own), "--ignore-clients", "--json"]
            migrated = _to_its_end(cli, chance, "migrate", url, *where, *words)
            assert migrated.exit_code == 0, migrated.stderr
            assert one(url, f"select value from \"{schema}\".ducklake_metadata where key = 'version'") == "1.0"
            checked = cli.apart("check", url, *where, "--json")
            assert checked.exit_code == 0, checked.stderr
            backup = next(path for path in own.glob("*.zst") if contents(path) == before)
            verified = cli.apart("verify", str(backup), "--rehearse", url, "--json")
            assert verified.exit_code == 0, verified.stderr
            back = ["--replace", "--drop-replaced", "--ignore-clients", "--no-data-files", "--json"]
            restored = _to_its_end(cli, chance, "restore", str(backup), url, *where, *back)
            assert restored.exit_code == 0, restored.stderr
            assert dumped(url, own, schema) == before
            for path in own.glob("*.zst"):
                path.unlink()

    return work


def test_each_tenant_ends_as_it_would_alone(
    tight: Server, cli: Cli, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Whatever the others do, the next run finishes a killed one, and nobody touches the tables of others."""
    points = pytestconfig.getoption("--kill-points")
    tenants = [f"{_ALIKE}_{number}" for number in range(_MANY if points else _TENANTS)]
    chance = random.Random(pytestconfig.getoption("--seed"))
    backup = _backup(tight, cli, tmp_path / "data")
    with tight.database() as url:
        execute(url, "drop schema public")
        for schema in tenants:
            made = cli("restore", backup, url, "--metadata-schema", schema, "--no-data-files")
            assert made.exit_code == 0, made.stderr
        with ThreadPoolExecutor(len(tenants)) as pool:
            list(pool.map(_tenant(url, cli, tmp_path, chance, points or 1), tenants))
        assert schemas(url) == set(tenants)
