"""Restores whose rows come from a child process: equal, or nothing changed; and rows of every hostile kind."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from support.backups import HEADER, METADATA, SNAPSHOT, Value, row, small, take_apart, write_backup
from support.cli import Cli
from support.comparison import contents, dumped, execute
from support.faults.failures import failure
from support.faults.faults import children, is_running, started
from support.faults.slowly import HOSTILE, shown
from support.faults.stops import stopped_at
from support.longer import long
from support.servers.postgres import Server
from support.waiting import blocked, wait_until

from dlbackup import RestoreOptions, restore
from dlbackup.tables.definition import Column, Table
from dlbackup.transfer.feed import CHILD_ROWS

_LARGE = replace(METADATA, name="ducklake_large")
_LAST = replace(SNAPSHOT, name="ducklake_zz_last", constraints=())
_HOSTILE = Table(
    name="ducklake_hostile",
    columns=(
        Column(name="n", type="bigint"),
        Column(name="t", type="text"),
        Column(name="b", type="boolean"),
        Column(name="v", type="character varying"),
    ),
)
_ALONE = Table(name="ducklake_alone", columns=(Column(name="t", type="text"),))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of so many rows that a child reads them, with small tables before and after."""
    path = tmp_path_factory.mktemp("large") / "backup"
    rows = [row("key", f"value {number}, {number}", None, number) for number in range(CHILD_ROWS)]
    write_backup(path, [(_LARGE, rows), *small(), (_LAST, [row(1, "2026-03-23 17:50:00+00")])])
    return path


_AT_LARGE = ("CREATE TABLE", _LARGE.name)
"""Where a restore waits while the child has rows that nobody takes."""


def _tables(url: str) -> object:
    return execute(url, "select count(*) from pg_class where relname like 'ducklake%'")


def test_rows_from_a_child_are_equal(server: Server, database: str, cli: Cli, large: Path, tmp_path: Path) -> None:
    """A large backup is restored and read back, and a dump has the same definitions and rows."""
    done = cli("restore", large, database, "--no-owner", "--no-privileges")

    assert done.exit_code == 0, done
    assert "reading every row back" in done.stderr
    found, wanted = dumped(database, tmp_path), contents(large)
    assert {name: rows for name, (_, rows) in found.items()} == {name: rows for name, (_, rows) in wanted.items()}


def test_child_that_is_killed_fails_the_restore(server: Server, database: str, cli: Cli, large: Path) -> None:
    """When the child is killed, the restore fails with exit code 1, says so, and has changed nothing."""
    with stopped_at(database, *_AT_LARGE) as stop, started(cli, "restore", large, database) as running:
        wait_until(lambda: blocked(server, database.rpartition("/")[2]) == 1)
        (child,) = children(running.process.pid)
        os.kill(child, signal.SIGKILL)
        stop.release()
        done = running.end()

    failure(done, 1, "the process that reads the backup was ended by SIGKILL", hint="memory")
    assert _tables(database) == [(0,)]


@pytest.mark.parametrize("number", [signal.SIGINT, long(signal.SIGTERM), signal.SIGKILL])
def test_signal_ends_parent_and_child(
    server: Server, database: str, cli: Cli, large: Path, number: signal.Signals
) -> None:
    """A restore that is interrupted or killed leaves no child and no table."""
    with stopped_at(database, *_AT_LARGE) as stop, started(cli, "restore", large, database) as running:
        wait_until(lambda: blocked(server, database.rpartition("/")[2]) == 1)
        (child,) = children(running.process.pid)
        running.signal(number)
        done = running.end()
        stop.release()

    assert done.exit_code == (130 if number != signal.SIGKILL else -number)
    wait_until(lambda: not is_running(child))
    wait_until(lambda: blocked(server, database.rpartition("/")[2]) == 0)
    assert _tables(database) == [(0,)]


def test_damage_at_the_end_is_found_before_the_commit(database: str, cli: Cli, large: Path, tmp_path: Path) -> None:
    """A bit that is flipped in the last frame of rows spoils the restore, also when nothing is read back."""
    bad = tmp_path / "bad"
    content = bytearray(large.read_bytes())
    last = take_apart(large)[1]["frames"][-1]
    content[last["offset"] + last["size"] // 2] ^= 1
    bad.write_bytes(content)

    failure(cli("restore", bad, database, "--no-read-back"), 3, "SHA-256")
    assert _tables(database) == [(0,)]


def _hostile_rows() -> list[tuple[Value, ...]]:
    texts = [*HOSTILE, "\\N", "\\NULL", ")", "(", ",", "\r", "\n", "\x01", None]
    random = Random(5)
    made: list[tuple[Value, ...]] = [(number, text, None, text) for number, text in enumerate(texts)]
    for _ in range(3000):
        mixed = "".join(random.choice("'\\N,UL()\n\r\t;ax0") for _ in range(random.randrange(12)))
        made.append((random.randrange(-(2**63), 2**63), mixed, random.random() < 0.5, random.choice(texts)))
    return made


@pytest.mark.every_major
def test_hostile_rows_reach_the_server_as_they_were(database: str, tmp_path: Path) -> None:
    """Rows of every hostile kind are in the server's tables, value for value, after a restore."""
    rows = _hostile_rows()
    alone = [values[1:2] for values in rows]
    path = tmp_path / "backup"
    tables = [(_ALONE, alone), (_HOSTILE, rows)]
    write_backup(path, [*((t, [row(*v) for v in values]) for t, values in tables), *small()], HEADER)

    restore(path, database, RestoreOptions(owner=False, privileges=False))

    for table, values in tables:
        columns = ", ".join(f"{name}::text" for name in table.column_names)
        found = execute(database, f"select {columns} from {table.name}")
        assert sorted(map(repr, found)) == sorted(repr(tuple(map(shown, each))) for each in values)


def test_name_of_the_process_is_no_secret(server: Server, database: str, cli: Cli, large: Path) -> None:
    """Neither password nor address nor the backup's place stands in the child's command line."""
    with stopped_at(database, *_AT_LARGE), started(cli, "restore", large, database) as running:
        wait_until(lambda: blocked(server, database.rpartition("/")[2]) == 1)
        (child,) = children(running.process.pid)
        line = Path(f"/proc/{child}/cmdline").read_bytes().decode()

    assert "feed_child" in line
    assert str(large) not in line
    assert server.password not in line
