"""Timeouts and settings that a server, a database or a role may have: overridden, or refused with the reason."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from support.changes import everything, set_for
from support.cli import Cli
from support.comparison import contents, dumped, execute, server_digests, settle
from support.faults.failures import failure
from support.faults.faults import nothing_left, started
from support.lakes.lakes import Lake, Lakes
from support.longer import all_together
from support.servers.servers import Server, Servers, majors, server_kind
from support.waiting import blocked, wait_until

from dlbackup import dump, verify
from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.postgres.sessions import connect

_REPLACE = ("--replace", "--ignore-clients", "--drop-replaced", "--metadata-schema", "public")

# Settings with which everything works all the same.
_OVERRIDDEN = {
    "short timeouts": {
        "statement_timeout": "'100ms'",
        "lock_timeout": "'50ms'",
        "idle_in_transaction_session_timeout": "'20ms'",
        "idle_session_timeout": "'700ms'",
        "tcp_user_timeout": "'500ms'",
    },
    "transactions of another kind": {
        "default_transaction_isolation": "serializable",
        "default_transaction_deferrable": "on",
        "session_replication_role": "replica",
        "row_security": "off",
    },
    "other ways to print": {
        "datestyle": "'SQL, DMY'",
        "timezone": "'Asia/Kathmandu'",
        "intervalstyle": "'sql_standard'",
        "bytea_output": "'escape'",
        "extra_float_digits": "'-5'",
        "client_encoding": "'LATIN1'",
        "quote_all_identifiers": "on",
        "standard_conforming_strings": "off",
        "array_nulls": "off",
    },
    "little memory": {"work_mem": "'64kB'", "maintenance_work_mem": "'1MB'", "temp_buffers": "'800kB'"},
    "another search path": {"search_path": "planted"},
}
_PLANTED = """
    create schema planted;
    create table planted.ducklake_snapshot (snapshot_id bigint);
    create table planted.ducklake_tag (x text);
    insert into planted.ducklake_snapshot values (9999);
"""


@pytest.mark.parametrize("names", all_together(_OVERRIDDEN))
def test_settings_of_the_server_change_no_job(plain: Lake, cli: Cli, tmp_path: Path, names: tuple[str, ...]) -> None:
    """Whatever these settings are, every command does its work and comes to the same result."""
    backup = dump(plain.url, tmp_path).path
    execute(plain.url, _PLANTED)
    set_for(plain, **{name: value for each in names for name, value in _OVERRIDDEN[each].items()})

    for words in (
        ["info", plain.url],
        ["check", plain.url],
        ["plan", plain.url],
        ["dump", plain.url, "-o", "again.sql.zst"],
    ):
        done = cli(*words)
        assert done.exit_code == 0, done
    assert contents(tmp_path / "again.sql.zst") == contents(backup)
    assert verify(tmp_path / "again.sql.zst").ok
    for place in (("--metadata-schema", "other"), _REPLACE):
        done = cli("restore", backup, plain.url, *place)
        assert done.exit_code == 0, done
    assert dumped(plain.url, tmp_path, "other") == dumped(plain.url, tmp_path, "public") == contents(backup)
    done = cli("migrate", plain.url, "--metadata-schema", "public", "--json", "--ignore-clients")
    assert (done.exit_code, done.json()["outcome"]) == (0, "migrated"), done
    assert contents(tmp_path / done.json()["backup"]) == contents(backup)
    assert dumped(plain.url, tmp_path, "other") == contents(backup)


@pytest.mark.parametrize(("asked", "used"), [("off", "local"), ("remote_write", "remote_write")])
def test_what_is_said_to_be_done_is_on_the_disk(plain: Lake, asked: str, used: str) -> None:
    """Where commits don't wait for the disk, ours do: a crash would take back what was said to be done."""
    set_for(plain, synchronous_commit=asked)
    with closing(connect(parse_address(plain.url))) as session:
        assert session.execute("show synchronous_commit").fetchone() == (used,)


_WAITED = """
    select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = '{}'
    and clock_timestamp() - query_start > '400ms' and application_name like 'dlbackup%'
"""


@pytest.mark.parametrize("command", ["dump", "restore", "migrate"])
def test_wait_for_a_lock_outlives_the_timeouts_of_the_server(
    plain: Lake, cli: Cli, tmp_path: Path, command: str
) -> None:
    """A job, or its engine, that waits for a lock longer than the server's timeouts goes on when it gets the lock."""
    backup = dump(plain.url, tmp_path).path
    words: dict[str, list[str]] = {
        "dump": ["dump", plain.url, "-o", "again.sql.zst"],
        "restore": ["restore", backup, plain.url, *_REPLACE],
        "migrate": ["migrate", plain.url, "--ignore-clients", "--no-rehearsal"],
    }
    mode = "access share" if command == "migrate" else "access exclusive"
    with psycopg.connect(plain.url) as other:
        set_for(plain, **_OVERRIDDEN["short timeouts"])
        other.execute(f"lock table ducklake_delete_file in {mode} mode".encode())
        with started(cli, *words[command]) as running:
            wait_until(lambda: execute(plain.server.url, _WAITED.format(plain.dbname)) == [(1,)])
            other.rollback()
            done = running.end()

    assert done.exit_code == 0, done


def test_transaction_timeout_ends_no_job_of_ours(servers: Servers, lakes: Lakes, cli: Cli, tmp_path: Path) -> None:
    """A transaction timeout ends neither dump nor restore; an engine that it ends changes nothing."""
    (major, *_) = [major for major in majors() if major >= 17] or [0]
    if not major:
        pytest.skip("no PostgreSQL from 17 on among PG_TEST_MAJORS: older ones have no transaction_timeout")
    with lakes.copy("plain", "0.3", servers[major], "public") as made:
        backup = dump(made.url, tmp_path).path
        rows = "select md5(i::text) || md5((-i)::text) as x from generate_series(1, 120000) i"
        execute(made.url, f"create table ducklake_aa_large as {rows}")
        set_for(made, transaction_timeout="'100ms'")

        large = cli("dump", made.url, "-o", "large.sql.zst")
        assert large.exit_code == 0, large
        assert cli("restore", "large.sql.zst", made.url, "--metadata-schema", "other").exit_code == 0
        assert cli("restore", backup, made.url, *_REPLACE).exit_code == 0
        execute(made.url, f"alter database {made.dbname} reset transaction_timeout")
        before = everything(made)
        set_for(made, transaction_timeout="'5ms'")
        done = cli("migrate", made.url, "--metadata-schema", "public", "--ignore-clients")

        failure(done, 1)
        settle(made.server, made.url)
        with psycopg.connect(made.server.url, autocommit=True) as admin:
            admin.execute(f"alter database {made.dbname} reset transaction_timeout".encode())
        assert everything(made) == before


def test_read_only_database_is_only_read(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """Where transactions are read-only by default, what reads works, and the rest is refused at once."""
    backup = dump(plain.url, tmp_path).path
    set_for(plain, default_transaction_read_only="on")
    before = everything(plain)

    for words in (["info", plain.url], ["check", plain.url], ["dump", plain.url, "-o", "again.sql.zst"]):
        assert cli(*words).exit_code == 0
    assert contents(tmp_path / "again.sql.zst") == contents(backup)
    planned = cli("plan", plain.url, "--json")
    refused = cli("migrate", plain.url)
    restored = [cli("restore", backup, plain.url, *words) for words in (_REPLACE, ("--metadata-schema", "new"))]

    assert planned.exit_code == 4
    assert "can only read" in planned.json()["blockers"][0]["message"]
    failure(refused, 4, "can only read", "default_transaction_read_only", hint="primary")
    for done in restored:
        failure(done, 1, "read-only transaction", hint="default_transaction_read_only")
    assert everything(plain) == before


def test_functions_in_the_search_path_are_not_called(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """Functions that stand before PostgreSQL's own in the server's search path are not run by dlbackup."""
    backup = dump(plain.url, tmp_path).path
    names = {
        "pg_backend_pid()": "integer",
        "pg_try_advisory_lock(bigint)": "boolean",
        "current_database()": "name",
        "pg_get_userbyid(oid)": "name",
        "has_schema_privilege(oid, text)": "boolean",
    }
    execute(plain.url, "create schema planted; create sequence planted.ran")
    for name, kind in names.items():
        body = f"begin perform nextval('planted.ran'); return null::{kind}; end"
        execute(plain.url, f"create function planted.{name} returns {kind} language plpgsql as $${body}$$")
    set_for(plain, search_path="planted, pg_catalog")

    for words in (
        ["info", plain.url],
        ["check", plain.url],
        ["dump", plain.url, "-o", "again.sql.zst"],
        ["plan", plain.url],
        ["restore", backup, plain.url, "--metadata-schema", "other"],
        ["restore", backup, plain.url, *_REPLACE],
    ):
        assert cli(*words).exit_code == 0, words

    assert execute(plain.url, "select is_called from planted.ran") == [(False,)]


@pytest.mark.parametrize("command", ["dump", "restore"])
def test_cancelled_statement_is_said_to_be_one(plain: Lake, cli: Cli, tmp_path: Path, command: str) -> None:
    """A statement that somebody cancels ends the job with that reason, not with a lost connection."""
    backup = dump(plain.url, tmp_path).path
    before = everything(plain)
    words = {"dump": ["dump", plain.url, "-o", "again.sql.zst"], "restore": ["restore", backup, plain.url, *_REPLACE]}
    cancel = "select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'dlbackup' and datname = "
    with psycopg.connect(plain.url) as other:
        other.execute("lock table ducklake_view in access exclusive mode")
        with started(cli, *words[command]) as running:
            wait_until(lambda: blocked(plain.server, plain.dbname) == 1)
            execute(plain.server.url, f"{cancel} '{plain.dbname}'")
            done = running.end()
        other.rollback()

    failure(done, 1, "due to user request", hint="cancelled")
    nothing_left(plain)
    assert everything(plain) == before
    assert not (tmp_path / "again.sql.zst").exists()


@pytest.fixture(scope="module")
def small_disk(servers: Servers) -> Iterator[Server]:
    """A server with a tablespace `small` on a disk of 10 MB of its own."""
    if server_kind() != "docker":
        pytest.skip("a server's disk of a given size needs a container: PG_TEST_ENGINE=docker")
    with servers.with_disk(majors()[-1], "/small", "size=10m") as server:
        server.run("sh", "-c", "mkdir /small/space && chown postgres /small/space")
        execute(server.url, "create tablespace small location '/small/space'")
        yield server


def test_full_disk_of_the_server_changes_nothing(small_disk: Server, cli: Cli, tmp_path: Path) -> None:
    """A restore and a rehearsal that fill the server's disk say so, and leave nothing of their own."""
    with Lakes(tmp_path / "lakes").copy("plain", "0.3", small_disk, "public") as made:
        rows = "select md5(i::text) || md5((-i)::text) as x from generate_series(1, 120000) i"
        execute(made.url, f"create table ducklake_aa_large as {rows}")
        backup = dump(made.url, tmp_path).path
        set_for(made, default_tablespace="small")
        before = everything(made)

        done = [cli("restore", backup, made.url, *words) for words in (_REPLACE, ("--metadata-schema", "new"))]
        rehearsed = cli("migrate", made.url)

        for each in done:
            failure(each, 1, "No space left on device", hint="the server's disk is full")
        failure(rehearsed, 1, "the rehearsal failed", "No space left on device", hint="disk is full")
        settle(small_disk, made.url)
        assert everything(made) == before
        execute(made.url, "drop table ducklake_aa_large")
        good = server_digests(made.url)
        path = dump(made.url, tmp_path).path
        assert cli("restore", path, made.url, *_REPLACE).exit_code == 0
        assert server_digests(made.url) == good
