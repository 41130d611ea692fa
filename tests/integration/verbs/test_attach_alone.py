"""Attaching without a server: options, the one ATTACH statement, equal attachments, and threads that wait."""

import importlib
import json
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

import dlbackup
from dlbackup.addresses.address import parse_address
from dlbackup.addresses.libpq import conninfo
from dlbackup.engine.connection import Attachment, attachment, engine_of, open_lake
from dlbackup.engine.options import AttachOption, checked_options
from dlbackup.engine.statements import Opening, attach_statement
from dlbackup.errors import EngineError, MigratorRuns, NotALake, UsageError

# By this way, since dlbackup.attach is the function of that name.
_VERB = importlib.import_module("dlbackup.verbs.attach")
_TEXT = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=20)


def test_every_option_of_every_extension_version_is_known() -> None:
    """All that the ducklake extensions from 1.3 to main take is taken, but for what attach itself decides."""
    given: dict[str, AttachOption] = {
        "data_path": Path("/a b"),
        "OVERRIDE_DATA_PATH": True,
        "METADATA_CATALOG": "meta",
        "METADATA_PARAMETERS": {"isolation_level": "serializable", "schema": "s"},
        "ENCRYPTED": False,
        "DATA_INLINING_ROW_LIMIT": 0,
        "SNAPSHOT_VERSION": 4,
        "SNAPSHOT_TIME": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "META_BUSY_TIMEOUT": 7,
        "WRITE_DELETION_VECTORS": False,
        "BUSY_TIMEOUT": 1,
        "DUCKLAKE_VERSION": "1.0",
        "READ_ONLY": True,
    }

    found = checked_options(given)

    assert found == {
        "DATA_PATH": "/a b",
        "OVERRIDE_DATA_PATH": True,
        "METADATA_CATALOG": "meta",
        "META_ISOLATION_LEVEL": "serializable",
        "META_SCHEMA": "s",
        "ENCRYPTED": False,
        "DATA_INLINING_ROW_LIMIT": 0,
        "SNAPSHOT_VERSION": 4,
        "SNAPSHOT_TIME": "2026-01-02T03:04:05+00:00",
        "META_BUSY_TIMEOUT": 7,
        "WRITE_DELETION_VECTORS": False,
        "BUSY_TIMEOUT": 1,
        "DUCKLAKE_VERSION": "1.0",
        "READ_ONLY": True,
    }


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"DATA_PAHT": "x"}, "unknown option DATA_PAHT", "DATA_PATH"),
        ({"DATA_PATH = '', x": "x"}, "unknown option", "DATA_PATH"),
        ({"META_X) --": "x"}, "unknown option", "META_"),
        ({"metadata_path": "x"}, "metadata_path is no option", "address"),
        ({"META_TYPE": "postgres"}, "no option", "address"),
        ({"META_SECRET": "mine"}, "no option", "password"),
        ({"META_ENCRYPTION_KEY": "k"}, "no option", "shown"),
        ({"METADATA_PARAMETERS": {"secret": "mine"}}, "no option", "password"),
        ({"METADATA_PARAMETERS": "secret"}, "unknown option METADATA_PARAMETERS", ""),
        ({"METADATA_SCHEMA": "s"}, "no option", "metadata_schema="),
        ({"CREATE_IF_NOT_EXISTS": True}, "no option", "create=True"),
        ({"AUTOMATIC_MIGRATION": True}, "no option", "migrate='backup-first'"),
        ({"migrate_if_required": False}, "no option", "migrate='backup-first'"),
        ({"SNAPSHOT_VERSION": "4"}, "SNAPSHOT_VERSION can't be of type str", ""),
        ({"SNAPSHOT_VERSION": True}, "can't be of type bool", ""),
        ({"READ_ONLY": "true"}, "can't be of type str", ""),
        ({"DATA_PATH": 4}, "can't be of type int", ""),
    ],
)
def test_other_options_are_refused(options: dict[str, AttachOption], message: str, hint: str) -> None:
    """A misspelt option, one of another type, and one that would go around attach are refused with what to do."""
    with pytest.raises(UsageError, match=re.escape(message)) as refused:
        checked_options(options)

    assert hint in refused.value.hint


@given(user=_TEXT, dbname=_TEXT, schema=_TEXT, alias=_TEXT.filter(bool), path=_TEXT, password=_TEXT)
def test_any_text_survives_both_levels_of_quoting(
    user: str, dbname: str, schema: str, alias: str, path: str, password: str
) -> None:
    """Any user, database, schema, alias and path comes out of the statement as it went in; the password isn't there."""
    parameters = {"user": user, "dbname": dbname, "password": f"s3cr3t{password}"}
    opening = Opening(parse_address(f"postgres:{conninfo(parameters)}"), schema, "name_of_secret")

    statement = attach_statement(opening, {"DATA_PATH": path}, alias)

    assert "s3cr3t" not in statement
    name = ' AS "' + alias.replace('"', '""') + '" (CREATE_IF_NOT_EXISTS FALSE, '
    before, _, after = statement.partition(name)
    literals = [text[1:-1].replace("''", "'") for text in re.findall(r"'(?:[^']|'')*'", before + after)]
    found = conninfo_to_dict(literals[0].removeprefix("ducklake:postgres:"))
    assert (found.get("user", ""), found.get("dbname", "")) == (user, dbname)
    assert literals[1:] == [schema, schema, "name_of_secret", path]
    assert "MIGRATION" not in statement


def test_statement_of_duckdb_takes_it(tmp_path: Path) -> None:
    """DuckDB's own parser takes the statement for hostile names as one statement."""
    opening = Opening(parse_address(r"postgres:user='a b\'c\\d' dbname=';--'"), 'it\'s "odd"', "secret")

    statement = attach_statement(opening, {"DATA_PATH": "x'); --", "READ_ONLY": True}, 'a"b; --', create=True)

    assert len(duckdb.extract_statements(statement)) == 1
    assert "(CREATE_IF_NOT_EXISTS TRUE, " in statement


def test_secrets_leave_the_path() -> None:
    """Everything that is secret goes into the DuckDB secret, and the path is the same for equal addresses."""
    uri = Opening(parse_address("postgresql://me:s3cr3t@h:1/db?sslpassword=s3cr3t2"), "public")
    words = Opening(parse_address("ducklake:postgres:dbname=db user=me port=1 host=h password=other"), "public")

    assert uri.secrets() == {"password": "s3cr3t", "sslpassword": "s3cr3t2"}
    assert uri.path == words.path
    assert "s3cr3t" not in uri.path
    assert "fallback_application_name='ducklake public'" in uri.path
    assert Opening(words.address, "other").path != words.path
    assert Opening(parse_address("some/lake.ducklake"), None).path == "duckdb:some/lake.ducklake"


_LAKE = Opening(parse_address("postgres:dbname=db"), "public")
_LISTED = {"metadata_schema": "public", "meta_secret": "x", "busy_timeout": "5000", "create_if_not_exists": "false"}


@pytest.mark.parametrize(
    ("read_only", "listed", "asked", "same"),
    [
        (False, {}, {}, True),
        (False, {"create_if_not_exists": "true", "data_path": "/d"}, {}, True),
        (False, {}, {"DATA_PATH": "/d", "BUSY_TIMEOUT": 1}, True),
        (
            False,
            {"data_path": "/d", "override_data_path": "true"},
            {"DATA_PATH": "/d", "OVERRIDE_DATA_PATH": True},
            True,
        ),
        (
            False,
            {"data_path": "/d", "override_data_path": "true"},
            {"DATA_PATH": "/e", "OVERRIDE_DATA_PATH": True},
            False,
        ),
        (False, {"data_path": "/d", "override_data_path": "true"}, {"DATA_PATH": "/d"}, False),
        (True, {}, {}, False),
        (False, {}, {"READ_ONLY": True}, False),
        (True, {}, {"READ_ONLY": True}, True),
        (True, {"snapshot_version": "4"}, {"READ_ONLY": True}, False),
        (True, {"snapshot_version": "4"}, {"SNAPSHOT_VERSION": 4}, True),
        (True, {"snapshot_version": "4"}, {"SNAPSHOT_VERSION": 5}, False),
        (False, {"encrypted": "True"}, {"ENCRYPTED": True}, True),
        (False, {"data_inlining_row_limit": "5"}, {"DATA_INLINING_ROW_LIMIT": 50}, False),
        (False, {"metadata_schema": "other"}, {}, False),
    ],
)
def test_what_is_the_same_attachment(
    read_only: bool, listed: dict[str, str], asked: dict[str, str | int | bool], same: bool
) -> None:
    """An alias is the wished one when catalog, mode and all options that change what is seen are the same."""
    found = Attachment(_LAKE.path, read_only, {**_LISTED, **listed})

    assert found.is_of(_LAKE, asked) == same
    assert not Attachment("postgres:dbname=other", read_only, found.options).is_of(_LAKE, asked)


def test_engine_that_lists_no_options_is_not_trusted_with_time_travel() -> None:
    """Before DuckDB 1.5 catalog and mode can be compared, and a snapshot can't: then the alias counts as taken."""
    assert Attachment(_LAKE.path, True, None).is_of(_LAKE, {"READ_ONLY": True})
    assert not Attachment(_LAKE.path, True, None).is_of(_LAKE, {"SNAPSHOT_VERSION": 4})


def test_connection_says_what_it_writes() -> None:
    """The connection's own engine is asked, once, and nothing of the question stays attached."""
    with duckdb.connect() as connection:
        engine = engine_of(connection, "duckdb")

        assert (engine.duckdb_version, engine.spec_version) == ("1.5.5", "1.0")
        assert engine_of(connection, "postgres") == engine
        names = [name for (name,) in connection.execute("select database_name from duckdb_databases()").fetchall()]
        assert [name for name in names if "probe" in name] == []
        assert attachment(connection, "lake") is None
        assert attachment(connection, "MEMORY") is not None


def test_secret_goes_when_attaching_fails() -> None:
    """When the engine can't attach, the error says so and the secret is dropped."""
    address = parse_address("postgres:host=127.0.0.1 port=1 dbname=db password='it\\'s s3cr3t'")
    with duckdb.connect() as connection:
        engine = engine_of(connection, "postgres")
        with pytest.raises(
            EngineError, match=r"attaching postgres:host=127\.0\.0\.1 port=1 dbname=db as lake"
        ) as failed:
            open_lake(connection, Opening(address, "public"), "lake", {}, engine)

        assert "s3cr3t" not in str(failed.value)
        assert connection.execute("select count(*) from duckdb_secrets()").fetchone() == (0,)


def test_closed_connection_is_an_error() -> None:
    """A closed connection is one of dlbackup's errors."""
    connection = duckdb.connect()
    connection.close()

    with pytest.raises(EngineError, match="closed"):
        dlbackup.attach(connection, "postgres:dbname=x")


def test_what_makes_no_sense_is_refused_first() -> None:
    """A word for `migrate` that isn't one, an address that isn't one, and a file that isn't there are refused."""
    with duckdb.connect() as connection:
        with pytest.raises(UsageError, match="migrate is 'always'"):
            dlbackup.attach(connection, "postgres:dbname=x", migrate="always")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="can't be understood"):
            dlbackup.attach(connection, "nonsense")
        with pytest.raises(NotALake, match="no file"):
            dlbackup.attach(connection, "sqlite:nowhere/lake.sqlite")


def test_threads_wait_for_one_another_no_longer_than_allowed(tmp_path: Path) -> None:
    """While another thread opens the same lake a call waits, up to its bound; another lake is opened at once."""
    mine, other = tmp_path / "mine.ducklake", tmp_path / "other.ducklake"
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with duckdb.connect() as connection:
            dlbackup.attach(connection, str(mine), create=True)
            engine = engine_of(connection, "duckdb")
            wish = _VERB.Wish(
                address=parse_address(str(mine)),
                alias="lake",
                schema=None,
                options={},
                create=False,
                migration=None,
                until=0.0,
                on_event=print,
                text=str(mine),
            )
            with _VERB._catalogs.alone(wish.catalog(engine), time.monotonic() + 5):
                begun.set()
                go_on.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert begun.wait(30)
    with duckdb.connect() as connection:
        with pytest.raises(MigratorRuns, match="another thread"):
            dlbackup.attach(connection, str(mine), wait_s=0.1)
        assert dlbackup.attach(connection, str(other), create=True, wait_s=0).created
        go_on.set()
        holder.join()
        assert dlbackup.attach(connection, str(mine), alias="mine").spec_version == "1.0"


_FORKS = """
import importlib, json, os
verb = importlib.import_module("dlbackup.verbs.attach")
with verb._catalogs.alone(("x",), 0.0):
    child = os.fork()
    if not child:
        with verb._catalogs.alone(("x",), 0.0):
            print(json.dumps("free"), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_forked_process_does_not_wait_for_threads_that_it_hasn_t() -> None:
    """A process forked while a thread opened a lake starts with nothing held."""
    done = subprocess.run([sys.executable, "-c", _FORKS], capture_output=True, text=True, timeout=60)

    assert json.loads(done.stdout or "null") == "free", done.stderr
