"""Clears up after a test process that was killed: its containers, its servers and their folders.

A second process, started with the first server, holds the reading end of a pipe. When the test
process is gone, however it went, the pipe ends and the reaper removes what it was told about. After
an ordinary end nothing is left for it to do.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["LABEL", "Reaper", "remove_containers"]

LABEL = "dlbackup-tests.run"
_PATIENCE_S = 10


class Reaper:
    """The test process's end of the pipe."""

    def __init__(self) -> None:
        # Its own session: Ctrl-C and the end of a terminal reach the tests only.
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def watch_containers(self, run: str) -> None:
        """Have the containers with this run's label removed."""
        self._tell(f"containers {run}")

    def watch_process(self, pid: int, program: str, folder: Path) -> None:
        """Have this process ended, if it still is that program, and its folder removed."""
        self._tell(f"process {pid} {program} {folder}")

    def _tell(self, line: str) -> None:
        if self._process.stdin is None:
            raise RuntimeError("the reaper has no pipe")
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def remove_containers(run: str) -> None:
    """Remove every container with this run's label, and its anonymous volumes."""
    import docker

    with contextlib.closing(docker.from_env()) as engine:
        for container in engine.containers.list(all=True, filters={"label": f"{LABEL}={run}"}):
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)


def _runs(pid: int, program: str) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == program
    except OSError:
        return False


def _end(pid: int, program: str) -> None:
    for sign in (signal.SIGQUIT, signal.SIGKILL):
        if not _runs(pid, program):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
        deadline = time.monotonic() + _PATIENCE_S
        while _runs(pid, program) and time.monotonic() < deadline:
            time.sleep(0.05)


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines = [line.rstrip("\n").split(" ", 1) for line in sys.stdin]
    for what, rest in lines:
        if what == "process":
            pid, program, folder = rest.split(" ", 2)
            _end(int(pid), program)
            shutil.rmtree(folder, ignore_errors=True)
    for what, rest in lines:
        if what == "containers":
            remove_containers(rest)


if __name__ == "__main__":
    _main()
