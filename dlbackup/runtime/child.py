"""
Processes of our own: started, told, heard and ended in one way, whatever they do.

What a child is to know comes on its standard input, so that nothing of it stands in a process list. Each is in a
session of its own: a terminal's interrupt is for us, and we end it. Should we be killed, its pipes break: a child
has to read or write them to notice, and ends then.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

_PROGRAM = (
    "import sys, json, importlib; sys.path[:] = json.loads(sys.stdin.buffer.readline())\n"
    "with importlib.import_module('dlbackup.runtime.memory').collector_of_a_program():"
    " getattr(importlib.import_module(sys.argv[1]), sys.argv[2])()"
)
_SIGNALS = {number.value: number.name for number in signal.Signals}


class Child:
    """
    A process and the two pipes to it. Close it with `with`: no child outlives the block.

    Args:
        command: what to start; seen by everybody on the machine.
        quiet: whether what it writes to standard error is thrown away.
        handed: open descriptors that it gets, with their numbers.

    Raises:
        OSError: it can't be started.
    """

    def __init__(self, command: list[str], *, quiet: bool = False, handed: tuple[int, ...] = ()) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            start_new_session=True,
            pass_fds=handed,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("both are pipes")
        self.pid = self._process.pid
        self._told: IO[bytes] = self._process.stdin
        self.says: IO[bytes] = self._process.stdout

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def say(self, words: bytes) -> None:
        """Tell it something; what a child that is gone had to say before can still be heard."""
        with suppress(BrokenPipeError):
            self._told.write(words)
            self._told.flush()

    def hear(self, until: float, most: int) -> bytes:
        """
        Return what it says next, and nothing once it has ended; not to be mixed with reading `says`.

        Raises:
            TimeoutError: `time.monotonic()` has come to `until`.
        """
        rest_s = until - time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self.says, selectors.EVENT_READ)
            if rest_s <= 0 or not selector.select(rest_s):
                raise TimeoutError
        return os.read(self.says.fileno(), most)

    def is_there(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill it if it is still there, and let others notice."""
        self._process.kill()

    def finish(self) -> None:
        """Tell it that nothing follows, and wait until it has ended in order."""
        self._close(self._told)
        self._process.wait()

    def end(self) -> None:
        """Kill it if it is still there, and collect it."""
        self._process.kill()
        self._process.wait()
        self._close(self._told)
        self.says.close()

    def ended(self) -> str:
        """Return how it ended, in words that follow its name; one that only fell silent is killed."""
        self._process.kill()
        status = self._process.wait()
        if status < 0:
            return f"was ended by {_SIGNALS.get(-status, f'signal {-status}')}"
        return f"ended with status {status} and no answer"

    @staticmethod
    def _close(pipe: IO[bytes]) -> None:
        with suppress(BrokenPipeError):
            pipe.close()


def start(main: Callable[[], None], handed: tuple[int, ...] = ()) -> Child:
    """
    Start this Python, with our `sys.path`, and have it call a module's function; raises as `Child` does.

    The working directory is not searched while it begins: no `json.py` that lies there is taken for Python's.
    """
    child = Child([sys.executable, "-P", "-c", _PROGRAM, main.__module__, main.__qualname__], handed=handed)
    child.say(json.dumps([place for place in sys.path if isinstance(place, str)]).encode() + b"\n")
    return child


def start_file(python: Path, program: str, handed: tuple[int, ...] = ()) -> Child:
    """Start a file in the Python of any environment, without what it says of itself; raises as `Child` does."""
    return Child([str(python), program], quiet=True, handed=handed)
