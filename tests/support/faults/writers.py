"""Clients that stay attached: one that commits row after row, and one that does what it is told."""

import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from support.engines.engines import CHILD, Engine, EngineError, Options

__all__ = ["Client", "Writer", "attached", "writer"]

_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 60


class Writer:
    """A running writer. After an error it goes on with the next number, unless its engine is dead."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._changed = threading.Condition()
        self._ready = False
        self._ended = False
        self._numbers: list[int] = []
        self._errors: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def acknowledged(self) -> Sequence[int]:
        """The numbers whose commits were acknowledged so far; each is a row `i` of its table."""
        with self._changed:
            return tuple(self._numbers)

    @property
    def errors(self) -> Sequence[str]:
        """What its engine said to the commits that failed."""
        with self._changed:
            return tuple(self._errors)

    def wait_for(self, count: int, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Wait until `count` more commits are acknowledged."""
        with self._changed:
            wanted = len(self._numbers) + count
            if not self._changed.wait_for(lambda: len(self._numbers) >= wanted, timeout_s):
                raise TimeoutError(f"{len(self._numbers)} of {wanted} commits; errors: {self._errors[-3:]}")

    def begin(self, job: str) -> None:
        """Hand it its job and wait until it has attached the lake and made its table."""
        if self._process.stdin is not None:
            self._process.stdin.write(job + "\n")
            self._process.stdin.flush()
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended, _START_TIMEOUT_S)
            if not self._ready:
                raise EngineError(f"the writer did not start: {self._errors}")

    def stop(self, timeout_s: float = _STOP_TIMEOUT_S) -> int:
        """End it after the commit that is under way; return how many were acknowledged.

        A commit that takes longer than the timeout, at a fence for example, is cut off.
        """
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join()
        return len(self.acknowledged)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self.stop()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            said = json.loads(line)
            with self._changed:
                if "ready" in said:
                    self._ready = True
                elif "error" in said:
                    self._errors.append(said["error"])
                else:
                    self._numbers.append(said["acknowledged"])
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


@contextmanager
def writer(
    engine: Engine,
    url: str,
    metadata_schema: str | None = None,
    *,
    table: str = "written",
    pause_s: float = 0.0,
    create: bool = True,
    options: Options | None = None,
) -> Iterator[Writer]:
    """Start a writer into `table`, a new one unless `create` is false; stopped at the end of the block."""
    job = {
        "attach": engine.attach_statement(url, metadata_schema, options=options),
        "table": f'lake."{table}"',
        "create": create,
        "pause_s": pause_s,
    }
    command = [str(engine.python), str(CHILD), "write"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        running = Writer(process)
        try:
            running.begin(json.dumps(job))
            yield running
        finally:
            running.stop()


class Client:
    """An engine that has attached the lake as `lake` and stays attached."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def say(self, statement: str) -> list[list[Any]]:
        """Execute a statement; return its rows, or raise EngineError with the engine's words."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("the process has pipes")
        self._process.stdin.write(json.dumps(statement) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "the engine is gone"}')
        if "error" in answer:
            raise EngineError(answer["error"])
        return list(answer["rows"])


@contextmanager
def attached(
    engine: Engine, url: str, metadata_schema: str | None = None, *, options: Options | None = None
) -> Iterator[Client]:
    """Start a client; killed at the end of the block."""
    command = [str(engine.python), str(CHILD), "talk"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            client = Client(process)
            client.say(engine.attach_statement(url, metadata_schema, options=options))
            yield client
        finally:
            process.kill()
