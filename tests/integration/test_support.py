"""The fixtures of the integration tests, tried on their own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from support.cli import Cli
from support.engines.engines import EngineError, engine, engine_of
from support.faults.faults import one
from support.faults.writers import writer
from support.lakes.lakes import LakeFactory, LakeKind, hash_lake
from support.longer import long
from support.servers.postgres import Server
from support.servers.servers import majors, server_kind
from support.waiting import wait_until

_VERSION = "select value from ducklake_metadata where key = 'version'"
_SNAPSHOTS = "select count(*) from ducklake_snapshot"
_INLINED = "select count(*) from pg_class where relname ~ '^ducklake_inlined_data_[0-9]'"
_END_WAITING = """
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'
"""
# Starts a server, says where, and waits to be killed.
_HOLDER = """
import signal
from support.servers.servers import Servers, middle_major
with Servers() as servers:
    print(servers[middle_major()].url, flush=True)
    signal.pause()
"""


@pytest.mark.every_major
def test_server_is_of_its_major(server: Server, database: str) -> None:
    """Each server, its clients included, is of the major and the kind that are asked for."""
    assert server.kind == server_kind()
    assert server.major in majors()
    assert one(database, "select current_setting('server_version_num')::int / 10000") == server.major
    assert f" {server.major}." in server.run("pg_dump", "--version").decode()


def test_client_programs_read_standard_input(server: Server, database: str) -> None:
    """A client program of the server reads what a test hands it and is connected to that server."""
    name = database.rpartition("/")[2]

    said = server.run("psql", "-XAt", "-d", name, stdin=b"select current_database(), 'it''s'")

    assert said.decode() == f"{name}|it's\n"


def test_failed_client_program_is_an_error(server: Server) -> None:
    """A client program that fails is an error with its own words."""
    with pytest.raises(RuntimeError, match="no_such_database"):
        server.run("psql", "-d", "no_such_database", "-c", "select 1")


def test_killed_run_leaves_no_server() -> None:
    """A test run that is killed leaves no server behind."""
    support = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(support)}
    with subprocess.Popen([sys.executable, "-c", _HOLDER], env=environment, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        url = run.stdout.readline().decode().strip()
        assert one(url, "select 1") == 1

        run.send_signal(signal.SIGKILL)

        deadline = time.monotonic() + 120  # a Docker engine of a busy machine takes its time
        with pytest.raises(psycopg.OperationalError):
            while time.monotonic() < deadline:
                assert one(url, "select 1") == 1
                time.sleep(0.1)


@pytest.mark.parametrize("spec", [long("0.2"), "0.3", long("0.4"), "1.0"])
def test_plain_lake_has_the_spec_version_of_its_engine(lake: LakeFactory, spec: str) -> None:
    """Each engine builds the plain lake in its own spec version, and reads all of it back."""
    made = lake("plain", spec)

    tables = hash_lake(made.engine, made.url, made.schema, at=["first", 9, 20, "last"])
    assert one(made.url, _VERSION) == spec
    assert tables[20, "sales", "orders"].startswith("209 rows, ")
    assert [digest for digest in tables.values() if " rows, " not in digest] == []


@pytest.mark.parametrize("kind, spec, inlined", [("plain", "0.3", False), ("inlined", "0.3", True)])
def test_rows_are_inlined_where_the_kind_says_so(lake: LakeFactory, kind: LakeKind, spec: str, inlined: bool) -> None:
    """The inlined lake has inlined tables, the plain one of an old version has none."""
    made = lake(kind, spec)

    assert bool(one(made.url, _INLINED)) == inlined


def test_old_spec_inlines_nothing(lake: LakeFactory) -> None:
    """There is no inlined lake of a version that can't inline on PostgreSQL."""
    with pytest.raises(ValueError, match=r"0\.2 inlines no rows"):
        lake("inlined", "0.2")


@pytest.mark.parametrize("spec", ["0.2", long("0.3"), long("0.4"), long("1.0")])
def test_zoo_has_a_hundred_snapshots(lake: LakeFactory, spec: str) -> None:
    """Each engine builds the zoo and reads its newest snapshot."""
    made = lake("zoo", spec)

    tables = hash_lake(made.engine, made.url, made.schema, at=["last"])
    assert one(made.url, _SNAPSHOTS) in range(100, 150)
    assert len(tables) >= 10
    assert "1 rows" in tables[max(tables)[0], "main", "t_last"]


def test_copies_are_independent(lake: LakeFactory) -> None:
    """What a test does to its copy of a lake is not in the next copy."""
    first = lake("plain", "1.0", schema='odd "Schema" it\'s')
    before = hash_lake(first.engine, first.url, first.schema)
    first.engine.run(first.url, first.schema, ["drop table lake.sales.orders"])

    second = lake("plain", "1.0", schema='odd "Schema" it\'s')
    assert second.url != first.url
    assert second.schema == first.schema
    assert hash_lake(second.engine, second.url, second.schema) == before
    assert hash_lake(first.engine, first.url, first.schema) != before


def test_engine_does_not_migrate_or_create_unasked(lake: LakeFactory, database: str) -> None:
    """An engine refuses a lake of another version and one that isn't there, unless told otherwise."""
    old = lake("plain", "0.2")
    for version in ("1.4.4", "1.5.1", "1.5.5"):
        with pytest.raises(EngineError):
            engine(version).run(old.url, old.schema, [])
        with pytest.raises(EngineError, match="does not exist"):
            engine(version).run(database, None, [])
    assert one(old.url, _VERSION) == "0.2"

    engine_of("0.3").run(old.url, old.schema, [], options={"MIGRATE_IF_REQUIRED": True})
    assert one(old.url, _VERSION) == "0.3"


def test_engine_returns_rows_of_each_statement(lake: LakeFactory) -> None:
    """An engine returns the rows of each statement and raises with the words of one that fails."""
    made = lake("plain", "1.0")
    statements = ["select 1, 'it''s', null", "select count(*) from lake.sales.customers", "select 1 where false"]

    assert made.engine.run(made.url, made.schema, statements) == [[[1, "it's", None]], [[22]], []]
    with pytest.raises(EngineError, match="no_such_table"):
        made.engine.run(made.url, made.schema, ["from lake.no_such_table"])


def test_cli_returns_what_a_user_sees(cli: Cli, database: str) -> None:
    """A command's exit code, its output and its JSON come back, and the environment is the test's own."""
    host = database.partition("@")[2].partition(":")[0]
    refused = cli("info", "--json", "postgres:dbname=nowhere", env={"PGHOST": host, "PGPORT": "1"})

    assert cli("--help").stdout.startswith("usage: dlbackup")
    assert cli("no-such-command").exit_code == 2
    assert (refused.exit_code, refused.json()["exit_code"]) == (1, 1)


def test_script_runs_in_the_engine() -> None:
    """A script runs in the engine's own Python, with its arguments and its extensions."""
    code = (
        "import sys, engine_program\n"
        "print(engine_program.connect().execute('select version()').fetchone(), sys.argv[1])"
    )

    assert engine("1.4.4").script(code, "one two") == "('v1.4.4',) one two\n"
    with pytest.raises(EngineError, match="ZeroDivisionError"):
        engine("1.4.4").script("1 / 0")


@pytest.mark.parametrize("spec", [long("0.2"), "0.3", long("0.4"), "1.0"])
def test_writer_counts_what_was_acknowledged(lake: LakeFactory, spec: str) -> None:
    """Every row that a writer counts is in its table after it was stopped."""
    made = lake("plain", spec)
    with writer(made.engine, made.url, made.schema) as writing:
        writing.wait_for(3)
        count = writing.stop()

    rows = made.engine.run(made.url, made.schema, ["select i from lake.written order by i"])[0]
    assert count >= 3
    assert [i for (i,) in rows] == list(writing.acknowledged)
    assert writing.errors == ()


def test_writer_goes_on_after_an_error(lake: LakeFactory) -> None:
    """A writer whose connection is ended in mid-commit reports that and goes on."""
    made = lake("plain", "1.0")
    with writer(made.engine, made.url, made.schema) as writing:
        writing.wait_for(1)
        with psycopg.connect(made.url) as fence:
            fence.execute("lock table ducklake_snapshot in share mode")
            wait_until(lambda: one(made.url, _END_WAITING))
        writing.wait_for(3)

    assert len(writing.errors) == 1
    assert len(writing.acknowledged) == writing.acknowledged[-1] - 1


def test_writer_that_cannot_start_says_why(database: str) -> None:
    """A writer without a lake fails at once with its engine's words."""
    with pytest.raises(EngineError, match="does not exist"), writer(engine("1.5.5"), database):
        pass
