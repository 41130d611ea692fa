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
from dlbackup.address import Address, conninfo, scrub
from dlbackup.backupfile import VerifiedBackup
from dlbackup.catalogs.sessions import parameters_for
from dlbackup.errors import EngineError

Option = str | int | bool

PROBE_TIMEOUT_S = 60.0
_ANSWER_BYTES = 1 << 20


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
        parameters["options"] = f"{options} -c lock_timeout={self.lock_timeout_ms}".strip()
        parameters["application_name"] = self.name
        return conninfo(parameters)

    def secrets(self) -> dict[str, str]:
        """Return the environment that carries what `conninfo` leaves out."""
        names = {"password": "PGPASSWORD", "passfile": "PGPASSFILE"}
        given = self.address.parameters
        return {variable: given[key] for key, variable in names.items() if given.get(key)}


def attach_statement(target: Target, options: Mapping[str, Option], alias: str = "lake") -> str:
    """
    Return the ATTACH statement: never creates a lake, never holds a password.

    Args:
        options: of DuckLake, e.g. `{"READ_ONLY": True, "SNAPSHOT_VERSION": 4}`.
    """
    words = ["METADATA_SCHEMA " + _literal(target.schema), "CREATE_IF_NOT_EXISTS FALSE"]
    for name, value in options.items():
        words.append(f"{name} {str(value).upper() if isinstance(value, bool | int) else _literal(value)}")
    path = _literal("ducklake:postgres:" + target.conninfo())
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
        statements = [
            f"ATTACH {_literal(f'ducklake:{folder}/probe.ducklake')} AS probe (DATA_PATH {_literal(folder + '/data')})",
            "SELECT value FROM __ducklake_metadata_probe.ducklake_metadata WHERE key = 'version'",
        ]
        job = {"extensions": ["ducklake", "postgres"], "environment": {}, "statements": statements}
        try:
            results = _run(interpreter, job, PROBE_TIMEOUT_S)
        except AttachFailed as exc:
            raise EngineError(
                f"no usable DuckLake engine at {interpreter}: {exc.message}",
                "install one that brings its extensions: pip install 'dlbackup[engine]'",
            ) from exc
    return Engine(interpreter, results[0][0], results[2][0][0])


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


def check_opens(engine: Engine, target: Target, snapshot_ids: tuple[int, ...], deadline_s: float) -> None:
    """
    Let the engine open the catalog, read-only, at each of some snapshots, and load its tables there.

    Raises:
        AttachFailed: it can't be opened.
    """
    options: dict[str, Option] = {"MIGRATE_IF_REQUIRED": False} if _is_older_than_1_5(engine) else {}
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
            raise AttachFailed(scrub(message, target.address) if target else message)
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
