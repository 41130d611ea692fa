"""
The process that a DuckDB engine runs in: started, made ready, given jobs with a deadline each, and ended.

It is started with `child.py` in the Python of any environment. Nothing it does, be it a crash, a
hang or an endless answer, takes dlbackup down; it ends with whoever started it. After a job that failed it has
ended: what its DuckDB is worth then, nobody knows.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from dlbackup.engine import child as program
from dlbackup.engine.errors import reason_first
from dlbackup.errors import AttachFailed
from dlbackup.runtime.child import start_file

_ANSWER_BYTES = 1 << 20
"""More than any answer; what never stops talking is ended."""
_FULL = re.compile(r"No space left on device|disk is full|disk full", re.IGNORECASE)
_MAKE_ROOM = "a disk is full: free some space where the catalog is, and where TMPDIR is, then try again"


class EngineProcess:
    """
    A process of an engine, started; it makes itself ready and then does jobs. Close it with `with`.

    Raises:
        AttachFailed: it can't be started.
    """

    def __init__(self, python: Path, extensions: tuple[str, ...]) -> None:
        try:
            self._child = start_file(python, program.__file__)
        except OSError as exc:
            raise AttachFailed(f"can't start {python}: {exc.strerror}") from exc
        self._text = b""
        self._is_ready = False
        self._say({"extensions": extensions})

    def __enter__(self) -> "EngineProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def wait_until_ready(self, until: float) -> None:
        """Wait until it has loaded its extensions, has ended, or the time is up."""
        with suppress(TimeoutError):
            while not self._is_ready and b"\n" not in self._text and len(self._text) < _ANSWER_BYTES:
                if not (piece := self._child.hear(until, _ANSWER_BYTES)):
                    return
                self._text += piece

    def is_there(self) -> bool:
        """Tell whether it has not ended."""
        return self._child.is_there()

    def run(self, job: dict[str, Any], deadline_s: float) -> list[Any]:
        """
        Have it do a job; return the results.

        Raises:
            AttachFailed: it failed, crashed, or took too long; it has ended then.
        """
        try:
            self._say(job)
            return self._answer(time.monotonic() + deadline_s)
        except TimeoutError:
            self.end()
            raise AttachFailed(f"the engine did not answer within {deadline_s:g} s and was ended") from None
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Kill it if it is still there; that may be said twice."""
        self._child.end()

    def _say(self, words: dict[str, Any]) -> None:
        self._child.say(json.dumps(words).encode() + b"\n")

    def _answer(self, until: float) -> list[Any]:
        for words in self._said(until):
            match words:
                case {"results": list(results)}:
                    self._is_ready = True
                    return results
                case {"error": {"type": str(kind), "message": str(message)}}:
                    text = " ".join(f"{kind}: {reason_first(message)}".split())
                    raise AttachFailed(text, _MAKE_ROOM if _FULL.search(message) else "")
        raise AttachFailed(f"the engine {self._child.ended()}")

    def _said(self, until: float) -> Iterator[object]:
        """Yield what it says, line by line, until it has ended; not all of it need be for us."""
        heard = 0
        while True:
            line, newline, rest = self._text.partition(b"\n")
            if newline:
                self._text = rest
                yield _parsed(line)
                continue
            piece = self._child.hear(until, _ANSWER_BYTES)
            if not piece:
                yield _parsed(line)
                return
            self._text += piece
            heard += len(piece)
            if heard > _ANSWER_BYTES:
                raise AttachFailed(f"the engine answered more than {_ANSWER_BYTES} bytes and was ended")


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None
