"""Who is in the way is named: process, user, place, program, since when, and whether it comes back; and what helps."""

import re
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from support.cli import Cli, Finished
from support.faults.failures import failure
from support.lakes.lakes import Lake

from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.postgres import sessions
from dlbackup.catalogs.postgres.catalog import PostgresCatalog

_SINCE = r"for \d+ s, since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def app(plain: Lake) -> Iterator[psycopg.Connection]:
    """A session of some program that has a name."""
    with closing(psycopg.connect(plain.url, application_name="their app")) as session:
        yield session


def _is_named(done: Finished, session: psycopg.Connection, exit_code: int, *, hint: str) -> None:
    error = failure(done, exit_code, f"pid {session.info.backend_pid}: {session.info.user}", hint=hint)
    assert "(their app)" in error
    assert re.search(_SINCE, error), error
    assert "comes back" not in error


def test_who_holds_the_fence_up_is_named(plain: Lake, cli: Cli, app: psycopg.Connection) -> None:
    """An open commit that keeps the fence away is named, with what ends it or waits longer; who only reads is not."""
    app.execute("lock table ducklake_snapshot in row exclusive mode")
    with psycopg.connect(plain.url, application_name="reader") as reader:
        reader.execute("select count(*) from ducklake_snapshot")

        done = cli("migrate", plain.url, "--ignore-clients", "--no-rehearsal", "--lock-timeout", "0.5")

    _is_named(done, app, 4, hint="--terminate-clients, or give --lock-timeout")
    assert "reader" not in done.stderr.partition("error: ")[2]


def test_who_writes_into_a_table_that_an_undo_would_replace_is_named(
    plain: Lake, cli: Cli, app: psycopg.Connection
) -> None:
    """So is who writes into a table that the engine doesn't know."""
    app.execute("create table ducklake_other (i int)")
    app.commit()
    app.execute("insert into ducklake_other values (1)")

    done = cli("migrate", plain.url, "--ignore-clients", "--no-rehearsal", "--lock-timeout", "0.5")

    _is_named(done, app, 4, hint="--terminate-clients")
    assert "ducklake_other" in done.stderr


def test_who_holds_the_engine_up_is_named(plain: Lake, cli: Cli, app: psycopg.Connection) -> None:
    """The guard names who keeps a lock that the engine needs."""
    app.execute("select count(*) from ducklake_column")

    done = cli("migrate", plain.url, "--ignore-clients", "--no-rehearsal", "--lock-timeout", "1")

    error = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert done.exit_code == 5
    assert f"pid {app.info.backend_pid}: " in error
    assert re.search(rf"\(their app\).*{_SINCE}", error), error


def test_who_reads_what_a_restore_replaces_is_named(
    plain: Lake, cli: Cli, app: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore waits for its tables, and then names who has them."""
    waits = sessions.LOCAL_SETTINGS.replace("10000", "1500")
    monkeypatch.setattr(sessions, "LOCAL_SETTINGS", waits)
    backup = cli("dump", plain.url, "--json").json()["path"]
    app.execute("select count(*) from ducklake_column")

    done = cli("restore", backup, plain.url, "--replace", "--ignore-clients")

    _is_named(done, app, 4, hint="--terminate-clients")
    assert cli("restore", backup, plain.url, "--replace", "--terminate-clients").exit_code == 0


def test_who_migrates_or_restores_already_is_named(plain: Lake, cli: Cli) -> None:
    """The other dlbackup is named with its process on the server, so that one finds it on another machine."""
    with PostgresCatalog.open(parse_address(plain.url)) as catalog, catalog.turn():
        done = cli("migrate", plain.url)

        error = failure(done, 4, f"pid {catalog.session.info.backend_pid}: ", "(dlbackup)", hint="wait")

    assert re.search(_SINCE, error), error


@pytest.mark.parametrize(("name", "comes_back"), [("", True), ("ducklake public", True), ("psql", False)])
def test_who_comes_back_is_told_apart(plain: Lake, cli: Cli, name: str, *, comes_back: bool) -> None:
    """DuckDB gives no name of an application and connects again when it is ended; `attach` names its sessions."""
    with psycopg.connect(plain.url, application_name=name):
        done = cli("migrate", plain.url, "--json")
        (client,) = cli("plan", plain.url, "--json").json()["clients"]

    assert (done.exit_code, done.json()["error"]["type"]) == (4, "ClientsConnected")
    assert ("comes back by itself" in done.json()["error"]["message"]) is comes_back
    assert client["comes_back"] is comes_back
    assert client["since"].startswith("20")
