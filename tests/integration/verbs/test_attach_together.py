"""Many programs that open one lake at once, or while it can't be reached: `attach` in threads and processes."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import duckdb
import psycopg
import pytest
from support.engines.programs import CUSTOMERS, connect, value
from support.faults.faults import one, sessions, state
from support.lakes.lakes import Lake, LakeFactory
from support.longer import long
from support.servers.servers import Server
from support.waiting import wait_until

import dlbackup
from dlbackup import errors
from dlbackup.catalogs.postgres.clients.advisory_lock import lock_key
from dlbackup.runtime.progress import Event


class Door:
    """A way to a server that counts who comes in, and can be shut."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.came = 0
        self.shut = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Let nobody in or through any more."""
        self._listener.close()
        for end in self._open:
            end.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.shut:
                    client.close()
                    continue
                self.came += 1
                server = socket.create_connection((self._server.host, self._server.port))
                self._open += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def door(server: Server) -> Iterator[Door]:
    """A door to the server."""
    made = Door(server)
    yield made
    made.close()


def _through(door: Door, made: Lake) -> str:
    return made.url.replace(f":{made.server.port}/", f":{door.port}/").replace(made.server.host, "127.0.0.1")


def test_lake_is_looked_at_once_in_a_process(lake: LakeFactory, door: Door) -> None:
    """The first attach of a lake looks at it and attaches; later ones, from any DuckDB, open only what DuckDB does."""
    url = _through(door, lake("plain", "1.0"))
    counts = []

    for alias in ("first", "second", "third"):
        with connect() as own:
            dlbackup.attach(own, url, alias=alias)
            assert value(own, CUSTOMERS.replace("lake.", f"{alias}.")) == 2
            counts.append(door.came)

    assert counts[0] - (counts[2] - counts[1]) == 1
    assert counts[1] - counts[0] == counts[2] - counts[1]


def test_lost_server_is_not_remembered(lake: LakeFactory, door: Door) -> None:
    """While the server can't be reached attaching fails, first or later, and works as soon as it can be again."""
    url = _through(door, lake("plain", "1.0"))

    with connect() as own:
        for alias in ("first", "second"):
            door.shut = True
            with pytest.raises(errors.Unreachable):
                dlbackup.attach(own, url, alias=alias)
            door.shut = False
            dlbackup.attach(own, url, alias=alias)
            assert value(own, CUSTOMERS.replace("lake.", f"{alias}.")) == 2


@pytest.mark.parametrize("many", [20, long(50)])
def test_threads_open_one_old_lake(lake: LakeFactory, tmp_path: Path, many: int) -> None:
    """Of many threads, cursors of one DuckDB and DuckDBs of their own, one migrates, and all end up attached."""
    made = lake("plain", "0.4")
    barrier = threading.Barrier(many)

    def open_it(own: duckdb.DuckDBPyConnection) -> tuple[dlbackup.Attached, object]:
        barrier.wait(60)
        attached = dlbackup.attach(own, made.url, migrate="backup-first", backup_dir=tmp_path)
        return attached, value(own, CUSTOMERS)

    with connect() as shared:
        others = [connect() for _ in range(5)]
        handles = [*others, *(shared.cursor() for _ in range(many - 5))]
        with ThreadPoolExecutor(many) as pool:
            results = list(pool.map(open_it, handles))
        for other in others:
            other.close()

    assert [rows for _, rows in results] == [2] * many
    assert len([attached for attached, _ in results if attached.migration]) == 1
    assert len(list(tmp_path.glob("*.zst"))) == 1
    assert state(made.url)[0].spec_version == "1.0"


_PROGRAM = """
import sys, json, duckdb, dlbackup
url, folder, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
connection = duckdb.connect(config={"threads": "1"})
sys.stdin.readline()
attached = dlbackup.attach(connection, url, migrate="backup-first", backup_dir=folder, **options)
rows = connection.execute("select count(*) from duckdb_tables() where database_name = 'lake'").fetchall()
print(json.dumps([attached.created, attached.migration is not None, rows[0][0]]), flush=True)
sys.stdin.readline()
"""


def _programs(count: int, url: str, folder: Path, **options: object) -> list[list[Any]]:
    """Start programs, let them attach at the same moment and stay attached until the last one is; return answers."""
    words = [sys.executable, "-c", _PROGRAM, url, str(folder), json.dumps(options)]
    running = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        for program in running:
            assert program.stdin is not None
            program.stdin.write("go\n")
            program.stdin.flush()
        said = [_answer(program) for program in running]
        done = [program.communicate("end\n", timeout=60) for program in running]
    finally:
        for program in running:
            program.kill()
    assert [program.returncode for program in running] == [0] * count, [errors for _, errors in done]
    return [json.loads(line) for line in said]


def _answer(program: "subprocess.Popen[str]") -> str:
    """Return the line that is a program's answer; DuckDB's progress bar may come before it."""
    return next((line for line in program.stdout or () if line.startswith("[")), "")


@pytest.mark.parametrize("many", [4, long(10)])
def test_processes_open_one_old_lake(lake: LakeFactory, tmp_path: Path, many: int) -> None:
    """Of several processes one migrates; those that wait are in nobody's way, and all end up attached."""
    made = lake("plain", "0.4")

    answers = _programs(many, made.url, tmp_path)

    assert sorted(migrated for _, migrated, _ in answers) == [False] * (many - 1) + [True]
    assert {tables for _, _, tables in answers} == {answers[0][2]}
    assert answers[0][2] > 2
    assert len(list(tmp_path.glob("*.zst"))) == 1


@pytest.mark.parametrize("many", [4, long(10)])
def test_processes_make_one_new_lake(database: str, tmp_path: Path, many: int) -> None:
    """Of several processes that would make a lake in an empty database, one does, and all end up attached."""
    answers = _programs(many, database, tmp_path, create=True, DATA_PATH=str(tmp_path))

    assert sorted(created for created, _, _ in answers) == [False] * (many - 1) + [True]
    assert one(database, "select count(*) from ducklake_snapshot") == 1


_DIES = """
import os, sys, duckdb, dlbackup
def die(event):
    if event.stage == "same-state":
        print("[]", flush=True)
        sys.stdin.readline()
        os.kill(os.getpid(), 9)
dlbackup.attach(duckdb.connect(), sys.argv[1], migrate="backup-first", backup_dir=sys.argv[2], on_event=die)
"""


def test_next_one_migrates_when_the_first_is_killed(lake: LakeFactory, tmp_path: Path) -> None:
    """When the process that migrates is killed before it holds the fence, one of those that wait migrates instead."""
    made = lake("plain", "0.4")
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    words = [sys.executable, "-c", _DIES, made.url, str(first)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as dying:
        assert _answer(dying) == "[]\n"
        with ThreadPoolExecutor(1) as pool:
            others = pool.submit(_programs, 3, made.url, second)
            wait_until(lambda: sessions(made.url).count("dlbackup") == 4)
            dying.communicate("die\n", timeout=60)
            answers = others.result(120)

    assert dying.returncode == -9
    assert sorted(migrated for _, migrated, _ in answers) == [False, False, True]
    assert state(made.url)[0].spec_version == "1.0"
    assert sessions(made.url) == []


@pytest.mark.parametrize("allowed", ["never", "backup-first"])
def test_waiting_has_a_bound(
    connection: duckdb.DuckDBPyConnection, lake: LakeFactory, tmp_path: Path, allowed: Literal["never", "backup-first"]
) -> None:
    """Behind a migration that doesn't end, a call gives up after `wait_s`, and works when it has ended."""
    made = lake("plain", "1.0" if allowed == "never" else "0.4")
    events: list[Event] = []
    attach = partial(
        dlbackup.attach, connection, made.url, migrate=allowed, backup_dir=tmp_path, on_event=events.append
    )

    with psycopg.connect(made.url, application_name="dlbackup") as migrator:
        migrator.execute("select pg_advisory_lock(%s)", [lock_key("public")])
        with pytest.raises(errors.MigratorRuns, match="schema public is still running"):
            attach(wait_s=0.5)
        assert [event.stage for event in events] == ["wait"]
        with ThreadPoolExecutor(1) as pool:
            later = pool.submit(attach, wait_s=60)
            wait_until(lambda: len(events) == 2)
            assert not later.done()
            migrator.close()
            attached = later.result(60)

    assert (attached.migration is not None) == (allowed == "backup-first")
