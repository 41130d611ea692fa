"""
The dlbackup command, with its output and exit code.

`cli(...)` runs it in the test's own process, which saves the start of an interpreter and every import, most of the
time that a small command takes. `cli.redirected(...)` and `cli.forked(...)` run it in a fork, with standard streams of
its own: for what is closed, full or gone. `cli.apart(...)` and `cli.started(...)` are processes as a user has them: for
what is killed or signalled, and once for each command.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dlbackup.cli.command import main
from dlbackup.runtime.signals import ASKED
from support.engines import forked
from support.waiting import PATIENCE_S

__all__ = ["CAPTURED", "TOGETHER", "Cli", "Finished", "signals_kept"]

CAPTURED: Final = -1
"""A stream that is read to its end."""
TOGETHER: Final = -2
"""Standard error that goes where standard output goes."""

_MAIN = "import sys; from dlbackup.cli.command import main; sys.exit(main(sys.argv[1:]))"
_FOREIGN = ("PG", "AWS_", "AZURE_", "GOOGLE_", "DLBACKUP_")


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended and what it wrote."""

    exit_code: int
    output: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        """Standard output as text."""
        return self.output.decode()

    def json(self) -> Any:
        """Return the one JSON value that standard output holds."""
        try:
            return json.loads(self.output)
        except ValueError:
            said = f"exit code {self.exit_code}, output {self.output[-500:]!r}, errors: {self.stderr[-2000:]}"
            raise AssertionError(f"standard output is no JSON: {said}") from None


@dataclass(frozen=True, slots=True)
class Cli:
    """Runs commands in a folder, without the variables for servers and stores of whoever runs the tests."""

    cwd: Path

    def __call__(
        self,
        *arguments: str | Path,
        env: Mapping[str, str | None] | None = None,
        timeout_s: float = 2 * PATIENCE_S,
        stdin: bytes = b"",
    ) -> Finished:
        """
        Run a command to its end, in this process where nothing of it can tell; `env` is as for `apart`.

        Variables that an interpreter reads when it starts, and threads, which no signal reaches, need one of their own.
        """
        alone = threading.current_thread() is threading.main_thread()
        if not alone or not all(name.startswith(_FOREIGN) for name in env or ()):
            return self.apart(*arguments, env=env, timeout_s=timeout_s, stdin=stdin)
        output, errors = io.BytesIO(), io.BytesIO()
        with _in_place(self.cwd, _environment(env), stdin), _texts(output, errors):
            try:
                code = main(list(map(str, arguments)))
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 1
        return Finished(code, output.getvalue(), errors.getvalue().decode())

    def apart(
        self,
        *arguments: str | Path,
        env: Mapping[str, str | None] | None = None,
        timeout_s: float = 2 * PATIENCE_S,
        stdin: bytes = b"",
    ) -> Finished:
        """
        Run a command to its end as a user does; `env` adds to the environment, or takes away where it says None.

        Raises subprocess.TimeoutExpired.
        """
        done = subprocess.run(
            _command(arguments),
            cwd=self.cwd,
            env=_environment(env),
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
        )
        return Finished(done.returncode, done.stdout, done.stderr.decode())

    def redirected(
        self,
        *arguments: str | Path,
        env: Mapping[str, str | None] | None = None,
        stdout: int | None = CAPTURED,
        stderr: int | None = CAPTURED,
        stdin: bytes | None = b"",
    ) -> Finished:
        """Run a command to its end in a fork, with these descriptors as its streams; None is a closed one."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            given.write(stdin or b"")
            given.seek(0)
            out = output.fileno() if stdout == CAPTURED else stdout
            err = {CAPTURED: errors.fileno(), TOGETHER: out}.get(stderr, stderr) if stderr is not None else None
            with self.forked(*arguments, env=env, streams=(None if stdin is None else given.fileno(), out, err)) as it:
                code = it.wait()
            output.seek(0)
            errors.seek(0)
            return Finished(code, output.read(), errors.read().decode())

    @contextmanager
    def forked(
        self,
        *arguments: str | Path,
        env: Mapping[str, str | None] | None = None,
        streams: tuple[int | None, int | None, int | None],
    ) -> Iterator[forked.Process]:
        """Start a command in a fork, with these descriptors as its standard streams; None is a closed one."""
        there = {number: stream for number, stream in enumerate(streams) if stream is not None}
        with forked.command(list(map(str, arguments)), there, _environment(env), self.cwd) as process:
            yield process

    @contextmanager
    def started(
        self, *arguments: str | Path, env: Mapping[str, str | None] | None = None, first: str = ""
    ) -> Iterator[subprocess.Popen[bytes]]:
        """
        Start a command for a test that signals or kills it; killed at the end if it still runs.

        Args:
            first: lines of Python that its process runs before.
        """
        with subprocess.Popen(
            [sys.executable, "-c", f"{first}\n{_MAIN}", *map(str, arguments)] if first else _command(arguments),
            cwd=self.cwd,
            env=_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def _command(arguments: tuple[str | Path, ...]) -> list[str]:
    return [sys.executable, "-m", "dlbackup", *map(str, arguments)]


def _environment(changes: Mapping[str, str | None] | None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    merged = {**inherited, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}


@contextmanager
def _in_place(folder: Path, environment: Mapping[str, str], stdin: bytes) -> Iterator[None]:
    """Give this process, for a while, the folder, environment, standard input and signals that a command has."""
    before, variables, words = Path.cwd(), dict(os.environ), sys.stdin
    with signals_kept():
        try:
            os.chdir(folder)
            _set_environment(environment)
            sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
            yield
        finally:
            sys.stdin = words
            _set_environment(variables)
            os.chdir(before)


@contextmanager
def signals_kept() -> Iterator[None]:
    """Give the signals that a command takes back at the end of the block."""
    handlers = {number: signal.getsignal(number) for number in ASKED}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _set_environment(wanted: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


@contextmanager
def _texts(output: io.BytesIO, errors: io.BytesIO) -> Iterator[None]:
    with (
        redirect_stdout(io.TextIOWrapper(output, encoding="utf-8", write_through=True)) as out,
        redirect_stderr(io.TextIOWrapper(errors, encoding="utf-8", write_through=True)) as err,
    ):
        try:
            yield
        finally:
            out.detach()
            err.detach()
