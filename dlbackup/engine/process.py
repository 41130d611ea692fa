"""
The process that a DuckDB engine runs in: started, made ready, given one job with a deadline, and ended.

It is started with `child.py` in the Python of any environment. Nothing it does, be it a crash, a
hang or an endless answer, takes dlbackup down; it ends with whoever started it.
"""

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dlbackup.engine import child as program
from dlbackup.errors import AttachFailed

_ANSWER_BYTES = 1 << 20
"""More than any answer; what never stops talking is ended."""


@contextmanager
def engine_process(python: Path, extensions: tuple[str, ...]) -> "Iterator[EngineProcess]":
    """Start a process of an engine; it is ended with the block, whatever it does."""
    try:
        child = subprocess.Popen(
            [str(python), program.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as exc:
        raise AttachFailed(f"can't start {python}: {exc.strerror}") from exc
    process = EngineProcess(child)
    try:
        process.say({"extensions": extensions})
        yield process
    finally:
        process.end()


class EngineProcess:
    """A process of an engine: makes itself ready, does one job, and ends."""

    def __init__(self, child: "subprocess.Popen[bytes]") -> None:
        if child.stdin is None or child.stdout is None:
            raise AssertionError("the child has pipes")
        self._child, self._stdin, self._stdout = child, child.stdin, child.stdout
        self._text = b""

    def say(self, words: dict[str, Any]) -> None:
        """Send a line; what a child that is gone had to say can still be read."""
        with suppress(BrokenPipeError):
            self._stdin.write(json.dumps(words).encode() + b"\n")
            self._stdin.flush()

    def wait_until_ready(self, until: float) -> None:
        """Wait until it has loaded its extensions, has ended, or the time is up."""
        while b"\n" not in self._text and self._hear(until):
            pass

    def is_there(self) -> bool:
        """Tell whether it has not ended."""
        return self._child.poll() is None

    def run(self, job: dict[str, Any], deadline_s: float) -> list[Any]:
        """
        Have it do its one job; return the results. It has ended then, whatever happened.

        Raises:
            AttachFailed: it failed, crashed, or took too long.
        """
        until = time.monotonic() + deadline_s
        try:
            self.say(job)
            while heard := self._hear(until):
                pass
        finally:
            status = self.end()
        if heard is None:
            raise AttachFailed(f"the engine did not answer within {deadline_s:g} s and was ended")
        match _parsed(self._text):
            case {"results": list(results)}:
                return results
            case {"error": {"type": str(kind), "message": str(message)}}:
                raise AttachFailed(" ".join(f"{kind}: {message}".split()))
        raise AttachFailed(f"the engine {_how_it_ended(status)}")

    def end(self) -> int:
        """Kill it if it is still there; return its status."""
        self._child.kill()
        status = self._child.wait()
        with suppress(BrokenPipeError):
            self._stdin.close()
        self._stdout.close()
        return status

    def _hear(self, until: float) -> bytes | None:
        """Take in what it says next: nothing when it has ended, None when the time is up."""
        rest_s = until - time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            if rest_s <= 0 or not selector.select(rest_s):
                return None
        piece = os.read(self._stdout.fileno(), _ANSWER_BYTES)
        self._text += piece
        if len(self._text) > _ANSWER_BYTES:
            raise AttachFailed(f"the engine answered more than {_ANSWER_BYTES} bytes and was ended")
        return piece


def _parsed(text: bytes) -> object:
    """Return the answer, which is the last line; the one before it says that the engine was ready."""
    try:
        return json.loads(text.rstrip().rpartition(b"\n")[2])
    except ValueError:
        return None


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status} and no answer"
