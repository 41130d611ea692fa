"""
DuckDB engines: asking what one can do, and the one place that builds ATTACH statements.

An engine runs in a child process with a deadline, which may be started ahead where waiting for it would cost
writers time. The password goes to it on standard input and into libpq's environment there, so that it stands
in no statement, process list or error. Only `attach_migrating` lets DuckLake migrate, and it asks for a
VerifiedBackup.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dlbackup.addresses.address import Address, scrub
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.engine.process import EngineProcess, engine_process
from dlbackup.engine.statements import Option, Target, attach_statement, literal, probe_statements
from dlbackup.errors import AttachFailed, EngineError, NotALake

PROBE_TIMEOUT_S = 60.0
_EXTENSIONS = ("ducklake", "postgres")


@dataclass(frozen=True, slots=True)
class Engine:
    """
    A DuckDB with its DuckLake extension.

    Args:
        python: the interpreter of the environment that it is in.
        duckdb_version: e.g. `1.5.5`.
        spec_version: the spec version that it writes, which is the newest it can migrate to.
        standby: its processes that wait for a job already.
    """

    python: Path
    duckdb_version: str
    spec_version: str
    standby: list[EngineProcess] = field(default_factory=list, repr=False, compare=False)


def probe(python: Path | None = None) -> Engine:
    """
    Ask an engine which spec version it writes, by letting it make a lake in a temporary folder.

    Raises:
        EngineError: no duckdb there, or no ducklake extension to be had.
    """
    interpreter = python or Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="dlbackup-probe-") as folder:
        statements = probe_statements(folder)
        try:
            results = _run_new(interpreter, _EXTENSIONS, _job({}, statements), PROBE_TIMEOUT_S)
        except AttachFailed as exc:
            raise EngineError(
                f"no usable DuckLake engine at {interpreter}: {exc.message}",
                "install one that brings its extensions: pip install 'dlbackup[engine]'",
            ) from exc
    return Engine(interpreter, results[0][0], results[2][0][0])


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
        f"ATTACH {literal(address.path)} AS file (READ_ONLY)",
        "SELECT value FROM file.ducklake_metadata WHERE key = 'version' ORDER BY 1",
    ]
    try:
        return tuple(row[0] for row in _run_new(Path(sys.executable), (), _job({}, statements), PROBE_TIMEOUT_S)[2])
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
    _run(engine, target, [statement, 'DETACH "lake"'], deadline_s)


def _is_older_than_1_5(engine: Engine) -> bool:
    return engine.duckdb_version.startswith(("1.3.", "1.4."))


def never_migrating(engine: Engine) -> dict[str, Option]:
    """Return the options with which ATTACH never migrates: 1.4 does so unless told otherwise."""
    return {"MIGRATE_IF_REQUIRED": False} if _is_older_than_1_5(engine) else {}


def check_opens(engine: Engine, target: Target, snapshot_ids: tuple[int, ...], deadline_s: float) -> None:
    """
    Let the engine open the catalog, read-only, at each of some snapshots, and load its tables there.

    Their columns are asked for: `duckdb_tables()` reads the statistics of each table too, one after the other, which
    took 56 s for 20,000 tables instead of 0.4 s.

    Raises:
        AttachFailed: it can't be opened.
    """
    options = never_migrating(engine)
    statements = []
    for snapshot_id in dict.fromkeys(snapshot_ids):
        statements += [
            attach_statement(target, {**options, "SNAPSHOT_VERSION": snapshot_id}),
            "SELECT count(*) FROM duckdb_columns() WHERE database_name = 'lake'",
            'DETACH "lake"',
        ]
    _run(engine, target, statements, deadline_s)


@contextmanager
def standing_by(engine: Engine, count: int) -> Iterator[Engine]:
    """
    Start processes of an engine ahead, so that their start takes no time when it counts (0.4 s each).

    Yields:
        The engine, whose next jobs are done by these processes. One that is gone, or could not be started, does no
        harm: its job is done by a new one, as without this. Those not needed end with the block.
    """
    with ExitStack() as ended:
        waiting = []
        for _ in range(count):
            with suppress(AttachFailed):
                waiting.append(ended.enter_context(engine_process(engine.python, _EXTENSIONS)))
        until = time.monotonic() + PROBE_TIMEOUT_S
        for process in waiting:
            with suppress(AttachFailed):
                process.wait_until_ready(until)
        yield replace(engine, standby=waiting)


def _job(environment: dict[str, str], statements: list[str]) -> dict[str, Any]:
    return {"environment": environment, "statements": statements}


def _run(engine: Engine, target: Target, statements: list[str], deadline_s: float) -> list[Any]:
    """Do a job in a process that stands by, or in a new one."""
    job = _job(target.secrets(), statements)
    try:
        while engine.standby:
            process = engine.standby.pop(0)
            if process.is_there():
                return process.run(job, deadline_s)
        return _run_new(engine.python, _EXTENSIONS, job, deadline_s)
    except AttachFailed as exc:
        raise AttachFailed(scrub(exc.message, target.address)) from exc.__cause__


def _run_new(python: Path, extensions: tuple[str, ...], job: dict[str, Any], deadline_s: float) -> list[Any]:
    with engine_process(python, extensions) as process:
        return process.run(job, deadline_s)
