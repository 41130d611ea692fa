"""Children of dlbackup's own, for commands that a test runs in its own process: forks, instead of new interpreters.

To start an interpreter and import what a child needs takes 0.2 s of processor time, a fork 0.01 s, and who reads or
writes a DuckDB file has some children. A child that a command in a process of its own starts is as users have it.
A command whose streams are a matter of its process is a fork too, which takes 0.02 s instead of 0.4 s.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlbackup.runtime import child
from dlbackup.runtime.child import Child
from support.engines.engines import UNSIGNED

__all__ = ["STARTERS", "Process", "command", "end", "start"]

STARTERS = (
    *("dlbackup.catalogs.duckdb.process.start", "dlbackup.catalogs.sqlite.copying.start"),
    "dlbackup.catalogs.sqlite.live.start",
    *("dlbackup.catalogs.quack.copying.start", "dlbackup.runtime.workers.start", "dlbackup.transfer.feed.start"),
)
"""The names by which children are started."""
_MESSAGE_BYTES = 1 << 16
_PROGRAM = (
    "import sys, json; sys.path[:] = json.loads(sys.argv.pop())\n"
    "from support.engines.forked_program import main; main()"
)


def _places() -> list[str]:
    return [place for place in sys.path if isinstance(place, str)]


class _Forks:
    """The process that forks, which is there until it is ended."""

    def __init__(self) -> None:
        self.places = _places()
        self._asks, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._turn = threading.Lock()
        with theirs:
            words = (str(theirs.fileno()), json.dumps([str(UNSIGNED), *self.places]))
            command = [sys.executable, "-P", "-c", _PROGRAM, *words]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),))

    def ask(self, job: dict[str, Any], given: tuple[int, ...] = ()) -> dict[str, Any]:
        """Have it do something; return what it says."""
        with self._turn:
            socket.send_fds(self._asks, [json.dumps(job).encode()], given)
            answer: dict[str, Any] = json.loads(self._asks.recv(_MESSAGE_BYTES))
        return answer

    def end(self) -> None:
        """Let it end, which it does when nobody can ask it any more."""
        self._asks.close()
        self._process.wait()


_forks: _Forks | None = None
_first = threading.Lock()


def end() -> None:
    """End the process that forks, if there is one."""
    global _forks
    if _forks is not None:
        _forks.end()
        _forks = None


def _there() -> _Forks:
    """Return the process that forks, which the first who needs it starts."""
    global _forks
    with _first:
        if _forks is None:
            _forks = _Forks()
        return _forks


@contextmanager
def command(
    arguments: list[str], streams: Mapping[int, int], environment: Mapping[str, str], folder: Path
) -> Iterator["Process"]:
    """
    Run `python -m dlbackup` in a fork; killed at the end of the block if it still runs.

    Args:
        streams: the descriptors that are its standard streams 0, 1 and 2; what is not named is closed.
    """
    forks = _there()
    job = {
        "module": "dlbackup.__main__",
        "name": "program",
        "arguments": ["dlbackup", *arguments],
        "environment": dict(environment),
        "umask": _umask(),
        "folder": str(folder),
        "numbers": list(streams),
        "places": _places(),
    }
    process = Process(forks, forks.ask(job, tuple(streams.values()))["pid"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _umask() -> int:
    os.umask(mask := os.umask(0o077))
    return mask


def start(main: Callable[[], None], handed: tuple[int, ...] = ()) -> Child:
    """Stand in for `dlbackup.runtime.child.start`, but where another DuckDB is found since, or one as it is shipped."""
    forks = _there()
    added = [place for place in _places() if place not in forks.places]
    as_shipped = str(UNSIGNED) not in os.environ.get("PYTHONPATH", "")
    if as_shipped or any(Path(place, name).exists() for place in added for name in ("duckdb", "duckdb.py", "dlbackup")):
        return child.start(main, handed)
    return _Forked(forks, main, handed)


class _Forked(Child):
    """A child that is no child of this process's, but can be told, heard, waited for and killed like one."""

    def __init__(self, forks: _Forks, main: Callable[[], None], handed: tuple[int, ...]) -> None:
        its_input, told = os.pipe()
        says, its_output = os.pipe()
        job = {
            "module": main.__module__,
            "name": main.__qualname__,
            "environment": dict(os.environ),
            "umask": _umask(),
            "folder": str(Path.cwd()),
            "numbers": [0, 1, 2, *handed],
            "places": _places(),
        }
        self.pid = forks.ask(job, (its_input, its_output, 2, *handed))["pid"]
        os.close(its_input)
        os.close(its_output)
        self._process: Any = Process(forks, self.pid)
        self._told, self.says = os.fdopen(told, "wb"), os.fdopen(says, "rb")


class Process:
    """What is asked of a process that is no child of this one's."""

    def __init__(self, forks: _Forks, pid: int) -> None:
        self._forks, self.pid = forks, pid
        self._handle = os.pidfd_open(pid)
        self._code: int | None = None
        self._turn = threading.Lock()

    def poll(self) -> int | None:
        """Return its exit code, or None while it is there."""
        return self._ended(0)

    def wait(self) -> int:
        """Return its exit code when it has ended."""
        code = self._ended(None)
        assert code is not None
        return code

    def kill(self) -> None:
        """Kill it if it is still there."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal if it is still there."""
        with self._turn:
            if self._code is None:
                signal.pidfd_send_signal(self._handle, number)

    def _ended(self, wait_s: float | None) -> int | None:
        if self._code is None and select.select([self._handle], [], [], wait_s)[0]:
            with self._turn:
                if self._code is None:
                    self._code = int(self._forks.ask({"wait": self.pid})["exit_code"])
                    os.close(self._handle)
        return self._code
