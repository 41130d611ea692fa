"""PostgreSQL servers as plain processes of this machine, where there is no Docker engine.

The programs come from `wheels`. PostgreSQL refuses to run as root, so root starts it as another user.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg

from support.engines.wheels import programs
from support.servers.postgres import FAST, PASSWORD, USER, Server
from support.servers.reaper import Reaper

__all__ = ["serve_embedded"]

_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class _Account:
    """Who runs the server: None is whoever runs the tests."""

    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """The programs of one major and the folder of one server."""

    programs: Path
    folder: Path
    account: _Account

    @property
    def environment(self) -> dict[str, str]:
        # dblink, postgres_fdw and replication look for libpq where the linker looks.
        return {**os.environ, "LD_LIBRARY_PATH": str(self.programs / "lib"), "LC_ALL": "C.UTF-8"}

    def start(self, *command: str | Path, output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self.programs / "bin" / command[0], *command[1:]],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=self.account.uid,
            group=self.account.gid,
            extra_groups=None if self.account.uid is None else [],
        )


@contextmanager
def serve_embedded(major: int, reaper: Reaper) -> Iterator[Server]:
    """Start a server of that major, stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix=f"dlbackup-pg{major}-"))
    try:
        place = _Place(programs(major), folder, _account())
        _init(place)
        process, port = _start(place, reaper)
        try:
            run = partial(_run_program, place, port)
            yield Server(major, "embedded", "127.0.0.1", port, USER, PASSWORD, "tests", run)
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _account() -> _Account:
    if os.geteuid() != 0:
        return _Account()
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return _Account(entry.pw_uid, entry.pw_gid)
    raise RuntimeError("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _init(place: _Place) -> None:
    data, password = place.folder / "data", place.folder / "password"
    data.mkdir(mode=0o700)
    password.write_text(PASSWORD + "\n")
    if place.account.uid is not None and place.account.gid is not None:
        for path in (place.folder, data, password):
            os.chown(path, place.account.uid, place.account.gid)
    options: list[str | Path] = [
        "-U",
        USER,
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--no-sync",
        "--pwfile",
        password,
    ]
    with place.start("initdb", "-D", data, *options, output=subprocess.PIPE) as initdb:
        said, _ = initdb.communicate(timeout=_START_TIMEOUT_S)
    if initdb.returncode:
        raise RuntimeError(f"initdb: {said.decode(errors='replace')}")


def _start(place: _Place, reaper: Reaper) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(5):  # somebody else may take the free port first
        port = _free_port()
        process = _postgres(place, port)
        reaper.watch_process(process.pid, "postgres", place.folder)
        if _comes_up(process, port):
            return process, port
        process.kill()
        process.wait()
        said = (place.folder / "log").read_text(errors="replace")
        if "Address already in use" not in said:
            raise RuntimeError(f"PostgreSQL did not start:\n{said[-1500:]}")
    raise RuntimeError("PostgreSQL found no free port in five attempts")


def _postgres(place: _Place, port: int) -> subprocess.Popen[bytes]:
    # Without a socket file, whose path would have to be short.
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", **FAST}
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with (place.folder / "log").open("wb") as log:
        return place.start("postgres", "-D", place.folder / "data", *words, output=log.fileno())


def _comes_up(process: subprocess.Popen[bytes], port: int) -> bool:
    url = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute("create database tests")
                return True
        except psycopg.OperationalError:
            time.sleep(0.03)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGQUIT)  # immediate shutdown
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run_program(place: _Place, port: int, *command: str, stdin: bytes = b"") -> bytes:
    connection = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": USER, "PGPASSWORD": PASSWORD}
    done = subprocess.run(
        [str(place.programs / "bin" / command[0]), *command[1:]],
        env={**place.environment, **connection},
        input=stdin,
        capture_output=True,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.decode(errors='replace')}")
    return done.stdout
