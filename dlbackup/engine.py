"""
DuckDB engines: asking what one can do, and the one place that builds ATTACH statements.

An engine runs in a child process with a deadline. The password goes to it on standard input and into
libpq's environment there, so that it stands in no statement, process list or error. Only
`attach_migrating` lets DuckLake migrate, and it asks for a VerifiedBackup.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlbackup import engine_child
from dlbackup.address import SECRET, Address, conninfo, scrub
from dlbackup.backupfile import VerifiedBackup
from dlbackup.catalogs.sessions import parameters_for
from dlbackup.errors import EngineError, NotALake

Option = str | int | bool

PROBE_TIMEOUT_S = 60.0
_ANSWER_BYTES = 1 << 20
_SWITCHED_OFF = ("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout")
"""Timeouts of the server that would end an engine in the middle; its deadline and lock timeout are ours."""


class AttachFailed(EngineError):
    """The engine failed, crashed or was ended while it was attached to the catalog."""


@dataclass(frozen=True, slots=True)
class Engine:
    """
    A DuckDB with its DuckLake extension.

    Args:
        python: the interpreter of the environment that it is in.
        duckdb_version: e.g. `1.5.5`.
        spec_version: the spec version that it writes, which is the newest it can migrate to.
    """

    python: Path
    duckdb_version: str
    spec_version: str


@dataclass(frozen=True, slots=True)
class Target:
    """
    The catalog as an engine sees it.

    Args:
        name: the application_name by which the engine's backends are found.
        lock_timeout_ms: how long the engine may wait for one lock.
    """

    address: Address
    schema: str
    name: str
    lock_timeout_ms: int
    environment: dict[str, str] = field(default_factory=dict, repr=False)

    def conninfo(self) -> str:
        """Return libpq's key=value form without any password."""
        parameters = parameters_for(self.address)
        parameters.pop("fallback_application_name")
        for secret in ("password", "passfile"):
            parameters.pop(secret, None)
        options = parameters.get("options", os.environ.get("PGOPTIONS", ""))
        ours = {**dict.fromkeys(_SWITCHED_OFF, 0), "lock_timeout": self.lock_timeout_ms}
        parameters["options"] = " ".join([options, *(f"-c {name}={value}" for name, value in ours.items())]).strip()
        parameters["application_name"] = self.name
        return conninfo(parameters)

    @property
    def path(self) -> str:
        """What comes after `ducklake:`."""
        return "postgres:" + self.conninfo()

    def secrets(self) -> dict[str, str]:
        """Return the environment that carries what `conninfo` leaves out."""
        names = {"password": "PGPASSWORD", "passfile": "PGPASSFILE"}
        given = self.address.parameters
        return {variable: given[key] for key, variable in names.items() if given.get(key)}


@dataclass(frozen=True, slots=True)
class Opening:
    """
    A catalog as a program's own DuckDB opens it.

    Args:
        schema: None for the default one of a catalog in a file.
        secret: the name of the DuckDB secret that holds what `path` leaves out.
    """

    address: Address
    schema: str | None
    secret: str = ""

    @property
    def path(self) -> str:
        """
        What comes after `ducklake:` and is shown in duckdb_databases(): no secret, and the same for equal addresses.

        The application_name must not be one of dlbackup's own, which a migration doesn't count as clients.
        """
        if self.address.kind != "postgres":
            return str(self.address)
        parameters = parameters_for(self.address, f"ducklake {self.schema}")
        return "postgres:" + conninfo({key: parameters[key] for key in sorted(parameters) if key not in SECRET})

    def secrets(self) -> dict[str, str]:
        """Return the libpq parameters that `path` leaves out."""
        return {key: value for key, value in self.address.parameters.items() if key in SECRET and value}


def attach_statement(
    target: Target | Opening, options: Mapping[str, Option], alias: str = "lake", *, create: bool = False
) -> str:
    """
    Return the ATTACH statement, which never holds a password.

    Args:
        options: of DuckLake, e.g. `{"READ_ONLY": True, "SNAPSHOT_VERSION": 4}`.
        create: make a lake where there is none; a misspelt name would otherwise do that.
    """
    words = [f"CREATE_IF_NOT_EXISTS {str(create).upper()}"]
    if target.schema is not None:
        words.append(f"METADATA_SCHEMA {_literal(target.schema)}")
    if isinstance(target, Opening) and target.secret:
        words.append(f"META_SECRET {_literal(target.secret)}")
    for name, value in options.items():
        words.append(f"{name} {str(value).upper() if isinstance(value, bool | int) else _literal(value)}")
    path = _literal("ducklake:" + target.path)
    alias = '"' + alias.replace('"', '""') + '"'
    return f"ATTACH {path} AS {alias} ({', '.join(words)})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def probe(python: Path | None = None) -> Engine:
    """
    Ask an engine which spec version it writes, by letting it make a lake in a temporary folder.

    Raises:
        EngineError: no duckdb there, or no ducklake extension to be had.
    """
    interpreter = python or Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="dlbackup-probe-") as folder:
        statements = probe_statements(folder)
        job = {"extensions": ["ducklake", "postgres"], "environment": {}, "statements": statements}
        try:
            results = _run(interpreter, job, PROBE_TIMEOUT_S)
        except AttachFailed as exc:
            raise EngineError(
                f"no usable DuckLake engine at {interpreter}: {exc.message}",
                "install one that brings its extensions: pip install 'dlbackup[engine]'",
            ) from exc
    return Engine(interpreter, results[0][0], results[2][0][0])


def probe_statements(folder: str, alias: str = "probe") -> list[str]:
    """Return statements that make a lake of the engine's own version in a folder; the second gives the version."""
    return [
        f"ATTACH {_literal(f'ducklake:{folder}/probe.ducklake')} AS {alias} (DATA_PATH {_literal(folder + '/data')})",
        f"SELECT value FROM __ducklake_metadata_{alias}.ducklake_metadata WHERE key = 'version'",
    ]


def file_versions(address: Address) -> tuple[str, ...]:
    """
    Return what a catalog in a DuckDB file names as its spec version, read by a plain DuckDB in a process of its own.

    Not in this process: closing a file would give up the locks that an engine in it holds on the same file.

    Raises:
        NotALake: no file, or no catalog in it.
        AttachFailed: it can't be read.
    """
    if not Path(address.path).exists():
        raise NotALake(f"there is no file {address.path}")
    statements = [
        f"ATTACH {_literal(address.path)} AS file (READ_ONLY)",
        "SELECT value FROM file.ducklake_metadata WHERE key = 'version' ORDER BY 1",
    ]
    job = {"extensions": [], "environment": {}, "statements": statements}
    try:
        return tuple(row[0] for row in _run(Path(sys.executable), job, PROBE_TIMEOUT_S)[2])
    except AttachFailed as exc:
        if "ducklake_metadata does not exist" in exc.message:
            raise NotALake(f"the file {address.path} holds no DuckLake catalog") from None
        raise


def attach_migrating(engine: Engine, backup: VerifiedBackup, target: Target, deadline_s: float) -> None:
    """
    Attach with AUTOMATIC_MIGRATION TRUE, in a child process.

    Args:
        backup: the proof that the catalog can be restored.
        deadline_s: seconds after which the engine is killed.

    Raises:
        AttachFailed: the engine failed, crashed or took too long; says nothing about the catalog.
    """
    if type(backup) is not VerifiedBackup:
        raise TypeError("attaching with migration needs a VerifiedBackup")
    # 1.4 migrates unless told not to; 1.5 renamed the option.
    option = "MIGRATE_IF_REQUIRED" if _is_older_than_1_5(engine) else "AUTOMATIC_MIGRATION"
    statement = attach_statement(target, {option: True})
    _run(engine.python, _job(target, [statement, 'DETACH "lake"']), deadline_s, target)


def _is_older_than_1_5(engine: Engine) -> bool:
    return engine.duckdb_version.startswith(("1.3.", "1.4."))


def never_migrating(engine: Engine) -> dict[str, Option]:
    """Return the options with which ATTACH never migrates: 1.4 does so unless told otherwise."""
    return {"MIGRATE_IF_REQUIRED": False} if _is_older_than_1_5(engine) else {}


def check_opens(engine: Engine, target: Target, snapshot_ids: tuple[int, ...], deadline_s: float) -> None:
    """
    Let the engine open the catalog, read-only, at each of some snapshots, and load its tables there.

    Raises:
        AttachFailed: it can't be opened.
    """
    options = never_migrating(engine)
    statements = []
    for snapshot_id in dict.fromkeys(snapshot_ids):
        statements += [
            attach_statement(target, {**options, "SNAPSHOT_VERSION": snapshot_id}),
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'lake'",
            'DETACH "lake"',
        ]
    _run(engine.python, _job(target, statements), deadline_s, target)


def _job(target: Target, statements: list[str]) -> dict[str, Any]:
    return {
        "extensions": ["ducklake", "postgres"],
        "environment": target.secrets(),
        "statements": statements,
    }


def _run(python: Path, job: dict[str, Any], deadline_s: float, target: Target | None = None) -> list[Any]:
    try:
        child = subprocess.Popen(
            [str(python), engine_child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as exc:
        raise AttachFailed(f"can't start {python}: {exc.strerror}") from exc
    try:
        text = _exchange(child, json.dumps(job).encode() + b"\n", deadline_s)
    finally:
        child.kill()
        status = child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                pipe.close()
    if text is None:
        raise AttachFailed(f"the engine did not answer within {deadline_s:g} s and was ended")
    match _parsed(text):
        case {"results": list(results)}:
            return results
        case {"error": {"type": str(kind), "message": str(message)}}:
            message = f"{kind}: {message}"
            message = scrub(message, target.address) if target else message
            raise AttachFailed(" ".join(message.split()))
    raise AttachFailed(f"the engine {_how_it_ended(status)}")


def _parsed(text: bytes) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _exchange(child: "subprocess.Popen[bytes]", job: bytes, deadline_s: float) -> bytes | None:
    """Send the job, return all that the child says; None when the time is up."""
    if child.stdin is None or child.stdout is None:
        raise AssertionError("the child has pipes")
    until = time.monotonic() + deadline_s
    try:
        child.stdin.write(job)
        child.stdin.flush()
    except BrokenPipeError:
        return b""
    text = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while len(text) <= _ANSWER_BYTES:
            rest_s = until - time.monotonic()
            if rest_s <= 0 or not selector.select(rest_s):
                return None
            piece = os.read(child.stdout.fileno(), _ANSWER_BYTES)
            if not piece:
                return text
            text += piece
    raise AttachFailed(f"the engine answered more than {_ANSWER_BYTES} bytes and was ended")


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status} and no answer"
