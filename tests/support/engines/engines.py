"""The DuckDB engines that made and opened lakes over the years, one per spec version.

Each is a virtual environment in a cache folder with duckdb and its extensions from PyPI, and works in
a child process: a crash of the engine, or its own idea of a library, never reaches the tests.
"""

import atexit
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from dlbackup.runtime.child import Child
from support.cache import made_once, private_cache
from support.engines.quoting import text_literal

__all__ = [
    "ENGINES",
    "UNSIGNED",
    "Engine",
    "EngineError",
    "Options",
    "Step",
    "duckdb_cli",
    "engine",
    "engine_of",
    "newest_duckdb",
    "with_httpfs",
    "with_mysql",
    "with_quack",
    "with_sqlite",
]

# DuckDB version: the spec version that it writes.
ENGINES = {"1.3.2": "0.2", "1.4.4": "0.3", "1.5.1": "0.4", "1.5.5": "1.0"}
CHILD = Path(__file__).with_name("engine_program.py")
UNSIGNED = CHILD.with_name("unsigned")
"""On PYTHONPATH, lets engines start in a quarter of the time."""

Options = Mapping[str, str | int | bool]


class EngineError(Exception):
    """The engine refused; the text is its own, with the kind of exception in front."""


@dataclass(frozen=True, slots=True)
class Step:
    """A script of SQL statements; each commits by itself unless the script says begin and commit."""

    name: str
    script: str


@dataclass(frozen=True, slots=True)
class Engine:
    """One DuckDB with the ducklake and postgres extensions."""

    version: str
    spec: str
    python: Path

    def attach_statement(
        self,
        url: str,
        metadata_schema: str | None = None,
        *,
        data_path: Path | str | None = None,
        options: Options | None = None,
    ) -> str:
        """Return the ATTACH that opens the lake as `lake`, and creates it only where there is a data path.

        Never migrates, unless `options` asks for it; they win over what is set here.
        """
        path = f"postgres:{url}" if url.startswith("postgresql://") else url
        words: dict[str, str | int | bool] = {}
        if metadata_schema is not None and not url.startswith("sqlite:"):  # which has no schemas
            words["METADATA_SCHEMA"] = metadata_schema
        if data_path is None:
            words["CREATE_IF_NOT_EXISTS"] = False
        else:
            words["DATA_PATH"] = f"{data_path}/"
        if self.spec == "0.3":
            words["MIGRATE_IF_REQUIRED"] = False
        words.update(options or {})
        listed = ", ".join(f"{name} {_literal(value)}" for name, value in words.items())
        return f"ATTACH {_literal(f'ducklake:{path}')} AS lake ({listed})"

    def run(
        self,
        url: str,
        metadata_schema: str | None,
        statements: Sequence[str],
        *,
        data_path: Path | str | None = None,
        options: Options | None = None,
        timeout_s: float = 60,
    ) -> list[list[list[Any]]]:
        """Execute statements with the lake attached as `lake`; return the rows of each.

        Raises EngineError with the engine's words, and subprocess.TimeoutExpired.
        """
        attach = self.attach_statement(url, metadata_schema, data_path=data_path, options=options)
        result = self.job("run", {"attach": attach, "statements": list(statements)}, timeout_s)
        return [list(rows) for rows in result]

    def take(self, attach: str, steps: Sequence[Step], *, timeout_s: float = 60) -> None:
        """Take the steps one after the other; raise EngineError, naming the step that failed."""
        self.job("steps", {"attach": attach, "steps": [asdict(step) for step in steps]}, timeout_s)

    def script(self, code: str | Path, *args: str, timeout_s: float = 60) -> str:
        """Run Python code, or the file at a path, in this engine; return its standard output.

        It may `import engine_program` for `connect()`. Raises EngineError with what it wrote to standard error.
        """
        command = [str(code)] if isinstance(code, Path) else ["-c", code]
        done = subprocess.run(
            [str(self.python), *command, *args],
            env={**os.environ, "PYTHONPATH": f"{CHILD.parent}:{UNSIGNED}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        if done.returncode:
            raise EngineError(done.stderr)
        return done.stdout

    def job(self, kind: str, job: Mapping[str, object], timeout_s: float, *, child: Path = CHILD) -> Any:
        """Have `engine_program`, or another program that answers like it, do a job of that kind; return its result."""
        with _worker(self.python, child) as worker:
            return worker.job(kind, job, timeout_s)


class _Worker:
    """A process of an engine's Python that does jobs, each in a fork of its own."""

    def __init__(self, python: Path, program: Path) -> None:
        self._child = Child([str(python), str(program), "jobs"])
        self._text = b""

    def job(self, kind: str, job: Mapping[str, object], timeout_s: float) -> Any:
        """Have it do a job; raise EngineError with the engine's words, or TimeoutExpired."""
        self._child.say(json.dumps([kind, job]).encode() + b"\n")
        answer = self._line(kind, timeout_s)
        if "ended" in answer:
            raise EngineError(f"exit status {answer['ended']}, without an answer")
        self._line(kind, timeout_s)
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer["result"]

    def is_there(self) -> bool:
        """Tell whether it has not ended."""
        return self._child.is_there()

    def end(self) -> None:
        """End it and what it is doing."""
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.end()

    def _line(self, kind: str, timeout_s: float) -> dict[str, Any]:
        until = time.monotonic() + timeout_s
        while b"\n" not in self._text:
            try:
                piece = self._child.hear(until, 1 << 20)
            except TimeoutError:
                raise subprocess.TimeoutExpired(kind, timeout_s) from None
            if not piece:
                raise EngineError(f"the engine {self._child.ended()}")
            self._text += piece
        line, _, self._text = self._text.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said


_idle: dict[tuple[Path, Path], list[_Worker]] = {}
"""Of each engine and program; several where jobs are done side by side."""


@contextmanager
def _worker(python: Path, program: Path) -> Iterator[_Worker]:
    """Yield a process that nobody else uses; it is kept for the next job unless one was cut off."""
    idle = _idle.setdefault((python, program), [])
    worker = idle.pop() if idle else _Worker(python, program)
    try:
        yield worker
    except BaseException as error:
        if not isinstance(error, EngineError):
            worker.end()
        raise
    finally:
        if worker.is_there():
            idle.append(worker)


@atexit.register
def _end_workers() -> None:
    for worker in (each for idle in _idle.values() for each in idle):
        worker.end()


def _literal(value: str | int | bool) -> str:
    # 1.3 takes 1 for a true option, but not TRUE.
    return text_literal(value) if isinstance(value, str) else str(int(value))


@cache
def engine(version: str) -> Engine:
    """Return the engine of that DuckDB version, installed at the first call on this machine."""
    target = private_cache() / "engines" / version
    made_once(target, lambda folder: _install(version, folder), intact=lambda folder: _python(folder).exists())
    return Engine(version, ENGINES[version], _python(target))


def engine_of(spec: str) -> Engine:
    """Return the engine that writes that spec version."""
    (version,) = (version for version, written in ENGINES.items() if written == spec)
    return engine(version)


def with_httpfs(plain: Engine) -> Engine:
    """Return an engine with the extension for object storage too, which the plain one lacks; fetched once."""
    return _with_extension(plain, "httpfs", "duckdb-extension-httpfs")


def with_sqlite(plain: Engine) -> Engine:
    """Return an engine with the extension for SQLite files too, which the plain one lacks; fetched once."""
    return _with_extension(plain, "sqlite", "duckdb-extension-sqlite-scanner")


def with_quack(plain: Engine) -> Engine:
    """Return an engine with the extension for Quack servers too, and that for http; fetched once."""
    return _with_extension(plain, "quack", "duckdb-extension-quack", "duckdb-extension-httpfs")


def with_mysql(plain: Engine) -> Engine:
    """Return an engine with the extension for MySQL too, which the plain one lacks; fetched once."""
    return _with_extension(plain, "mysql", "duckdb-extension-mysql-scanner")


def _with_extension(plain: Engine, name: str, *packages: str) -> Engine:
    add = partial(_add_extensions, plain, packages)
    return replace(plain, python=made_once(private_cache() / "engines" / f"{name}-{plain.version}", add) / "python")


def duckdb_cli() -> Path:
    """Return DuckDB's own command line, fetched once."""
    return made_once(private_cache() / "engines" / "cli-1.5.6", _add_cli) / "duckdb_cli" / "duckdb"


def newest_duckdb() -> Path:
    """Return the folder of a newer DuckDB than that of the tests, which no DuckLake is for yet; for PYTHONPATH."""
    return made_once(private_cache() / "engines" / "core-2.0.1", lambda target: _add(target, "duckdb==2.0.1"))


def _add(target: Path, package: str) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:"]
    _must_run(*pip, "--target", str(target), package)


def _add_cli(target: Path) -> None:
    _add(target, "duckdb-cli==1.5.6")
    (target / "duckdb_cli" / "duckdb").chmod(0o755)


def _add_extensions(plain: Engine, packages: tuple[str, ...], target: Path) -> None:
    for package in packages:
        _add(target, f"{package}=={plain.version}")
    wrapper = target / "python"
    wrapper.write_text(
        "#!/bin/sh\n"
        f'PYTHONPATH="$(dirname "$0")${{PYTHONPATH:+:$PYTHONPATH}}" exec {shlex.quote(str(plain.python))} "$@"\n'
    )
    wrapper.chmod(0o755)


def _python(folder: Path) -> Path:
    # A link, broken when the Python that made the environment was removed since.
    return folder / "bin" / "python"


def _install(version: str, target: Path) -> None:
    packages = [f"{name}=={version}" for name in ("duckdb", "duckdb-extension-ducklake")]
    packages.append(f"duckdb-extension-postgres-scanner=={version}")
    _must_run(sys.executable, "-m", "venv", "--without-pip", str(target))
    pip = [sys.executable, "-m", "pip", "--python", str(_python(target))]
    _must_run(*pip, "install", "-q", "--only-binary=:all:", *packages)


def _must_run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr[-2000:]}")
