"""
What a person reads: text without what would steer a terminal.

Names and values in a catalog or a backup may hold control characters; on a terminal they become `?`. What
goes to a file or a pipe is left as it is.
"""

import sys
from typing import TextIO

from dlbackup.errors import StorageError


def printable(text: str) -> str:
    """Return the text with `?` in the place of every character that is not to be seen."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)


def say(text: str, stream: TextIO | None = None) -> None:
    """Print text that may hold names from a catalog or a backup."""
    print(printable(text), file=stream or sys.stdout)


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
        try:
            self._stream.write(data)
        except BrokenPipeError:
            raise
        except OSError as exc:
            raise StorageError(
                f"can't write standard output: {exc.strerror or exc}", "what was written is incomplete"
            ) from exc
        return len(data)
