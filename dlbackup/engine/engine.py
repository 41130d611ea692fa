"""
DuckDB engines: asking what one can do, and the one place that builds ATTACH statements.

An engine runs in a child process, with a deadline for each job. The process that was asked what it can do does the
jobs too, so that none is started where waiting for it would cost writers time. The password goes to it on standard
input and into libpq's environment there, for as long as the job takes, so that it stands in no statement, process
list or error. Only `attach_migrating` lets DuckLake migrate, and it asks for a VerifiedBackup.
"""

import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from dlbackup.addresses.address import scrub
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.engine.process import EngineProcess
from dlbackup.engine.statements import Option, Target, attach_statement, probe_statements
from dlbackup.engine.storage import extensions_for, installing
from dlbackup.errors import AttachFailed, EngineError
from dlbackup.runtime.scratch import scratch_folder

PROBE_TIMEOUT_S = 60.0
OPEN_TIMEOUT_S = 30.0
"""
For opening a catalog old and new, while commits may wait: 5,000 tables take 0.4 s. A rehearsal, which has the same
deadline, shows before that a lake takes longer.
"""
_EXTENSIONS = ("ducklake", "postgres")


@dataclass(slots=True, kw_only=True)
class Engine:
    """
    A DuckDB with its DuckLake extension, and its process, which ends with the block of a `with`.

    Args:
        python: the interpreter of the environment that it is in.
        duckdb_version: e.g. `1.5.5`.
        spec_version: that of lakes that it makes, which is the newest it can migrate to; see `spec.opened_by`.
    """

    python: Path
    duckdb_version: str
    spec_version: str
    _process: EngineProcess | None = field(default=None, repr=False, compare=False)
    _extensions: tuple[str, ...] = field(default=_EXTENSIONS, repr=False, compare=False)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.end()

    def stand_by(self) -> None:
        """
        See that a process waits for jobs, so that its start takes no time when it counts (0.4 s).

        One that can't be started does no harm here: its job says why.
        """
        with suppress(AttachFailed):
            self._there().wait_until_ready(time.monotonic() + PROBE_TIMEOUT_S)

    def reach(self, data_paths: Iterable[str]) -> None:
        """
        Load what a lake with these data paths takes to be attached, also in processes that are started later.

        Raises:
            EngineError: an extension can't be had.
        """
        for name in extensions_for(data_paths):
            if name in self._extensions:
                continue
            try:
                self._there().run(job({}, [], (name,)), PROBE_TIMEOUT_S)
            except AttachFailed as exc:
                raise EngineError(
                    f"data files of this lake are where DuckDB {self.duckdb_version} needs its extension {name}, which"
                    f" {self.python} does not have: {exc.message}",
                    installing(name, self.duckdb_version),
                ) from exc
            self._extensions += (name,)

    def run(self, target: Target, statements: list[str], deadline_s: float) -> list[Any]:
        """
        Do a job in the process that waits, or in a new one where that is gone.

        Raises:
            AttachFailed: it failed; that process does nothing more.
        """
        try:
            extensions = ("sqlite",) if target.address.kind == "sqlite" else ()
            return self._there().run(job(target.secrets(), statements, extensions), deadline_s)
        except AttachFailed as exc:
            raise AttachFailed(scrub(exc.message, target.address), exc.hint) from exc.__cause__

    def _there(self) -> EngineProcess:
        if self._process is not None and self._process.is_there():
            return self._process
        if self._process is not None:
            self._process.end()
        self._process = EngineProcess(self.python, self._extensions)
        return self._process


def probe(python: str | Path | None = None) -> Engine:
    """
    Ask an engine which spec version it writes, by letting it make a lake in a temporary folder.

    Returns:
        The engine, whose process waits for jobs. Close it with `with`.

    Raises:
        EngineError: no duckdb there, or no ducklake extension to be had.
    """
    interpreter = Path(python or sys.executable)
    with scratch_folder("dlbackup-probe-") as folder, ExitStack() as undo:
        statements = [*probe_statements(str(folder)), "DETACH probe"]
        try:
            process = undo.enter_context(EngineProcess(interpreter, _EXTENSIONS))
            results = process.run(job({}, statements), PROBE_TIMEOUT_S)
        except AttachFailed as exc:
            raise EngineError(
                f"no usable DuckLake engine at {interpreter}: {exc.message}",
                "install one that brings its extensions: pip install 'dlbackup[engine]'",
            ) from exc
        engine = Engine(
            python=interpreter, duckdb_version=results[0][0], spec_version=results[2][0][0], _process=process
        )
        undo.pop_all()
    return engine


def attach_migrating(
    engine: Engine, backup: VerifiedBackup, target: Target, deadline_s: float, *, to: str | None = None
) -> None:
    """
    Attach with AUTOMATIC_MIGRATION TRUE, in a child process.

    Args:
        backup: the proof that the catalog can be restored.
        deadline_s: seconds after which the engine is killed.
        to: where the migration is to stop; by default at what the engine makes new lakes of.

    Raises:
        AttachFailed: the engine failed, crashed or took too long; says nothing about the catalog.
    """
    if type(backup) is not VerifiedBackup:
        raise TypeError("attaching with migration needs a VerifiedBackup")
    # 1.4 migrates unless told not to; 1.5 renamed the option.
    option = "MIGRATE_IF_REQUIRED" if _is_older_than_1_5(engine) else "AUTOMATIC_MIGRATION"
    options: dict[str, Option] = {option: True}
    if to not in (None, engine.spec_version):
        options["DUCKLAKE_VERSION"] = str(to)
    statement = attach_statement(target, options)
    engine.run(target, [statement, 'DETACH "lake"'], deadline_s)


def _is_older_than_1_5(engine: Engine) -> bool:
    return engine.duckdb_version.startswith(("1.3.", "1.4."))


def never_migrating(engine: Engine) -> dict[str, Option]:
    """Return the options with which ATTACH never migrates: 1.4 does unless told otherwise, 1.3 has no such option."""
    return {"MIGRATE_IF_REQUIRED": False} if engine.duckdb_version.startswith("1.4.") else {}


def check_opens(
    engine: Engine, target: Target, snapshot_ids: tuple[int, ...], deadline_s: float = OPEN_TIMEOUT_S
) -> None:
    """
    Let the engine open the catalog, read-only, at each of some snapshots, and load its tables there.

    Its schemas are asked for, since an engine loads every table with the first question and binds no view for this
    one. To bind a view it opens what that reads, which may never answer: so do `duckdb_columns()` and
    `information_schema.columns` of all engines, and before DuckDB 1.5 whatever else lists tables or views.

    Raises:
        AttachFailed: it can't be opened.
    """
    options: dict[str, Option] = {**never_migrating(engine), "READ_ONLY": True}
    statements = []
    for snapshot_id in dict.fromkeys(snapshot_ids):
        statements += [
            attach_statement(target, {**options, "SNAPSHOT_VERSION": snapshot_id}),
            "SELECT count(*) FROM duckdb_schemas() WHERE database_name = 'lake'",
            'DETACH "lake"',
        ]
    engine.run(target, statements, deadline_s)


def job(environment: dict[str, str], statements: list[str], extensions: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a job as `child` takes it."""
    return {"extensions": extensions, "environment": environment, "statements": statements}
