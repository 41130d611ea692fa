"""Faults from outside for migrations, and what shows afterwards that they did no harm.

An engine that misbehaves is a real one behind a wrapper: its `duckdb` is the real module, whose
connections do something else before or after one statement. Roles that may do less than a superuser,
commands stopped at a stage, and a catalog's whole state at one moment are here too.
"""

import re
import secrets
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import psycopg
from psycopg import sql

from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.contract import Head
from dlbackup.catalogs.open import open_catalog
from dlbackup.catalogs.reading import contents
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Rows
from support.cli import Cli, Finished
from support.engines.quoting import quoted
from support.lakes.lakes import Lake
from support.waiting import PATIENCE_S, wait_until

__all__ = [
    "MIGRATES",
    "OPENS",
    "Running",
    "State",
    "children",
    "engine_that",
    "failed",
    "is_running",
    "new_role",
    "nothing_left",
    "one",
    "pause",
    "role_of",
    "sessions",
    "sql_commits",
    "started",
    "state",
]

MIGRATES = "AUTOMATIC_MIGRATION TRUE"
OPENS = "SNAPSHOT_VERSION"

_MODULE = """
import importlib, os, signal, sys, time
from pathlib import Path

sys.path.remove({here!r})
del sys.modules["duckdb"]
real = importlib.import_module("duckdb")
connect = real.connect

class Connection:
    def __init__(self, connection):
        self.connection = connection

    def execute(self, statement):
        if {statement!r} not in statement:
            return self.connection.execute(statement)
        {before}
        result = self.connection.execute(statement).fetchall()
        {after}
        return Result(result)

class Result:
    def __init__(self, rows):
        self.rows = rows

    def fetchall(self):
        return self.rows

real.connect = lambda *words, **named: Connection(connect(*words, **named))
"""


def engine_that(
    folder: Path,
    *,
    before: str = "pass",
    after: str = "pass",
    statement: str = MIGRATES,
    python: str | Path = sys.executable,
) -> Path:
    """Return the python of an engine that runs lines of Python `before` or `after` a statement that holds a text."""
    here = folder / f"engine-{secrets.token_hex(4)}"
    here.mkdir()
    code = {"before": before, "after": after}
    indented = {name: lines.replace("\n", "\n        ") for name, lines in code.items()}
    (here / "duckdb.py").write_text(_MODULE.format(here=str(here), statement=statement, **indented))
    wrapper = here / "python"
    words = f"PYTHONPATH={shlex.quote(str(here))}${{PYTHONPATH:+:$PYTHONPATH}} exec {shlex.quote(str(python))}"
    wrapper.write_text(f'#!/bin/sh\n{words} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def pause(marker: Path, until: Path | None = None) -> str:
    """Return lines for an engine that makes a file and then waits for another, or for ever."""
    wait = f"while not Path({str(until)!r}).exists(): time.sleep(0.02)" if until else "time.sleep(600)"
    return f"Path({str(marker)!r}).touch()\n{wait}"


def sql_commits(url: str, statements: str) -> str:
    """Return lines for an engine that commits statements on a session of its own."""
    return f"""
import psycopg
with psycopg.connect({url!r}, autocommit=True, application_name="fault") as other:
    other.execute("set lock_timeout = '5s'")
    other.execute({statements!r})
""".strip()


State = tuple[Head, tuple[Table, ...], dict[str, Rows]]


def state(url: str, schema: str = "public") -> State:
    """Return all that a catalog is: what it says of itself, its definitions, and digests of its rows."""
    with open_catalog(parse_address(url), schema) as catalog, catalog.snapshot() as snapshot:
        return snapshot.head, snapshot.tables, contents(snapshot)


def one(url: str, query: str) -> object:
    """Return the one value that a query gives."""
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def sessions(url: str) -> list[str]:
    """Return who else is connected to the database or holds an advisory lock in it, by application name."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select coalesce(a.application_name, '') from pg_stat_activity a where a.datname = current_database()"
            " and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()"
            " union all select 'advisory lock' from pg_locks l where l.locktype = 'advisory'"
            " and l.database = (select oid from pg_database where datname = current_database())"
        ).fetchall()
    return [row[0] for row in rows]


@contextmanager
def new_role(made: Lake, password: str, *, owner: bool) -> Iterator[str]:
    """
    Yield the URL of a lake's database for a new role that is no superuser.

    It has every privilege on database, schema and tables, and owns the tables if `owner`.
    """
    role = f"role {secrets.token_hex(4)}"
    name, schema = sql.Identifier(role), sql.Identifier(made.schema)
    with psycopg.connect(made.url, autocommit=True) as admin:
        admin.execute(sql.SQL("create role {} login password {}").format(name, sql.Literal(password)))
        admin.execute(sql.SQL("grant all on database {} to {}").format(sql.Identifier(made.dbname), name))
        admin.execute(sql.SQL("grant all on schema {} to {}").format(schema, name))
        admin.execute(sql.SQL("grant all on all tables in schema {} to {}").format(schema, name))
        if owner:
            for (table,) in admin.execute("select tablename from pg_tables where schemaname = %s", [made.schema]):
                admin.execute(sql.SQL("alter table {}.{} owner to {}").format(schema, sql.Identifier(table), name))
    try:
        yield re.sub(r"//[^@]*@", lambda _: f"//{quote(role)}:{quote(password, safe='')}@", made.url)
    finally:
        with psycopg.connect(made.url, autocommit=True) as admin:
            for statement in ("reassign owned by {} to current_user", "drop owned by {}", "drop role {}"):
                admin.execute(sql.SQL(statement).format(name))


def role_of(url: str) -> str:
    """Return the role of a URL as a quoted SQL identifier."""
    return quoted(unquote(urlsplit(url).username or ""))


@dataclass(frozen=True, slots=True)
class Running:
    """A command under way, whose stages can be waited for."""

    process: "subprocess.Popen[bytes]"

    def reach(self, stage: str) -> None:
        """Wait until it says that it is at a stage."""
        lines = []
        for line in self.process.stderr or ():
            lines.append(line.decode())
            if lines[-1].startswith(f"{stage}:"):
                return
        raise AssertionError(f"it never came to {stage}: {lines}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it, and to none of its children."""
        self.process.send_signal(number)

    def kill(self) -> list[int]:
        """Kill it as if the machine had lost it; return the processes that were its children."""
        orphans = children(self.process.pid)
        self.process.kill()
        self.process.wait()
        return orphans

    def end(self, timeout_s: float = PATIENCE_S) -> Finished:
        """Wait for its end; standard error is what was not read before."""
        output, errors = self.process.communicate(timeout=timeout_s)
        return Finished(self.process.returncode, output, errors.decode())


@contextmanager
def started(
    cli: Cli, *arguments: str | Path, env: Mapping[str, str | None] | None = None, first: str = ""
) -> Iterator[Running]:
    """Start a command; killed when the block ends or the time is up."""
    with cli.started(*arguments, env=env, first=first) as process:
        timer = threading.Timer(2 * PATIENCE_S, process.kill)
        timer.start()
        try:
            yield Running(process)
        finally:
            timer.cancel()


def children(pid: int) -> list[int]:
    """Return the processes that another one started."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [line.split() for line in listed.stdout.splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid]


def is_running(pid: int) -> bool:
    """Tell whether a process is there; one that has ended and waits to be collected is not."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return not listed.stdout.strip().startswith(("Z", "X")) and bool(listed.stdout.strip())


def failed(done: Finished, exit_code: int, error: str, outcome: str) -> str:
    """Check what a failed migration says of itself; return the message."""
    assert done.exit_code == exit_code, done.stderr
    answer = done.json()
    assert (answer["exit_code"], answer["error"]["type"], answer["outcome"]) == (exit_code, error, outcome)
    assert (answer["from_version"], answer["to_version"]) == ("0.3", "0.3")
    assert answer["writer_pause_seconds"] > 0
    assert "Traceback" not in done.stderr
    message: str = answer["error"]["message"]
    return message


def nothing_left(made: Lake) -> None:
    """Wait until no session and no lock of dlbackup or its engine is left."""
    wait_until(lambda: not sessions(made.url))
