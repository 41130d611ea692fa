"""The dlbackup command as a user runs it: a process of its own, with its output and exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.waiting import PATIENCE_S

__all__ = ["Cli", "Finished"]


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
    """Runs commands in a folder, without the PG* variables of whoever runs the tests."""

    cwd: Path

    def __call__(
        self,
        *arguments: str | Path,
        env: Mapping[str, str | None] | None = None,
        timeout_s: float = 2 * PATIENCE_S,
        stdin: bytes = b"",
    ) -> Finished:
        """Run a command to its end; `env` adds to the environment, or takes away where it says None.

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

    @contextmanager
    def started(
        self, *arguments: str | Path, env: Mapping[str, str | None] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command for a test that signals or kills it; killed at the end if it still runs."""
        with subprocess.Popen(
            _command(arguments),
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
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    merged = {**inherited, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}
