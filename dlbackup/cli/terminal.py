"""
What a person reads: text without what would steer a terminal, and progress while a job runs.

Names and values in a catalog or a backup may hold control characters; on a terminal they become `?`. What
goes to a file or a pipe is left as it is. On a terminal progress is a bar that stays in its line, elsewhere
it is plain lines, at first one a second, then always fewer.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TextIO

from dlbackup.errors import StorageError
from dlbackup.runtime.people import printable
from dlbackup.runtime.progress import Event

_BAR = 20
_LINE_S = 1.0
_LINE_SHARE = 0.1
"""Seconds between two plain lines at least, and the share of a stage's time so far: an hour gives 70 lines."""


def say(text: str, stream: TextIO | None = None) -> None:
    """Print text that may hold names from a catalog or a backup; what the stream's encoding hasn't, as an escape."""
    stream = stream or sys.stdout
    text = printable(text)
    if not _can_be_written(text, stream, stream.errors):
        text = text.encode(stream.encoding, "backslashreplace").decode(stream.encoding)
    print(text, file=stream)


def say_as_json(answer: object, stream: TextIO) -> None:
    """Print one JSON object, in letters that the stream's encoding has; names of files may be no text at all."""
    text = json.dumps(answer, ensure_ascii=False)
    print(text if _can_be_written(text, stream, "strict") else json.dumps(answer), file=stream)


def _can_be_written(text: str, stream: TextIO, errors: str | None) -> bool:
    try:
        text.encode(stream.encoding or "utf-8", errors or "strict")
    except UnicodeEncodeError:
        return False
    return True


def is_one_place() -> bool:
    """Tell whether standard output and standard error are the same terminal, pipe or file, so that one reads both."""
    try:
        output, errors = (os.fstat(stream.fileno()) for stream in (sys.stdout, sys.stderr))
    except OSError:
        return False
    return (output.st_dev, output.st_ino) == (errors.st_dev, errors.st_ino)


class Output:
    """Standard output as a place for UTF-8 text that is somebody's data."""

    def __init__(self) -> None:
        self._masked = sys.stdout.isatty()
        self._stream = sys.stdout.buffer

    def write(self, data: bytes) -> int:
        """
        Write whole characters; a pipe that nobody reads any more is a BrokenPipeError.

        Raises:
            StorageError: no room, or the like.
        """
        if self._masked:
            data = printable(data.decode()).encode()
        with written():
            self._stream.write(data)
        return len(data)


@contextmanager
def written() -> Iterator[None]:
    """
    Write to standard output inside the block.

    Raises:
        StorageError: as `Output.write`.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise StorageError(
            f"can't write standard output: {exc.strerror or exc}", "what was written is incomplete"
        ) from exc


class Screen:
    """
    Shows events on standard error, or another stream. Close it with `with`, so that no bar is left behind.

    A stream that nobody reads any more ends the showing, and not the job.

    Args:
        quiet: warnings only.
    """

    def __init__(
        self, *, quiet: bool = False, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._quiet, self._clock = quiet, clock
        self._is_terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = 0  # length of the bar's line
        self._stage = ""
        self._begun = self._due = 0.0

    def __enter__(self) -> "Screen":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(self._cleared())

    def show(self, event: Event) -> None:
        """Take an event."""
        if event.warning:
            self._line(f"warning: {event.message}")
        elif self._quiet:
            return
        elif not event.is_progress:
            self._line(f"{event.stage}: {event.message}")
        elif self._is_terminal:
            self._draw(event)
        elif self._is_due(event):
            self._line(f"{event.stage}: {event.message}")

    def _is_due(self, event: Event) -> bool:
        now = self._clock()
        if event.stage != self._stage:
            self._stage, self._begun, self._due = event.stage, now, now + _LINE_S
        if now < self._due:
            return False
        self._due = now + max(_LINE_S, _LINE_SHARE * (now - self._begun))
        return True

    def _draw(self, event: Event) -> None:
        text = f"{event.stage}: {event.message}"
        share = event.share if event.share is not None else event.done / event.total if event.total else None
        if share is not None:
            text = f"{event.stage} [{'#' * int(share * _BAR):.<{_BAR}}] {min(int(share * 100), 99):2} % {event.message}"
        text = printable(text).replace("\n", " ")[: self._width() - 1]
        self._write("\r" + text + " " * (self._drawn - len(text)))
        self._drawn = len(text)

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def _line(self, text: str) -> None:
        self._write(self._cleared() + printable(text) + "\n")

    def _cleared(self) -> str:
        drawn, self._drawn = self._drawn, 0
        return "\r" + " " * drawn + "\r" if drawn else ""

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._quiet = True
