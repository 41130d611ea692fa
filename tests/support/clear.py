"""Looking for what must not stand in a file of a folder, while a command works."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import zstandard

__all__ = ["in_clear", "watched"]

_PAUSE_S = 0.005
_DUCKDB = slice(8, 12)
_EMPTY_BYTES = 12288
"""A database without tables: three headers."""


def in_clear(folder: Path, marker: bytes) -> set[str]:
    """Return the files below a folder that hold a text, in clear or packed; databases of DuckDB's hold anything."""
    found = set()
    # Path.rglob fails where a folder goes meanwhile; os.walk passes by.
    for path in (Path(below, name) for below, _, names in os.walk(folder) for name in names):
        with suppress(OSError):
            data = path.read_bytes()
            is_filled = data[_DUCKDB] == b"DUCK" and len(data) > _EMPTY_BYTES
            if is_filled or marker in data or marker in _unpacked(data):
                found.add(path.name)
    return found


def _unpacked(data: bytes) -> bytes:
    if not data.startswith(zstandard.FRAME_HEADER):
        return b""
    with suppress(zstandard.ZstdError), zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as it:
        return it.read()
    return b""


@contextmanager
def watched(folder: Path, marker: bytes) -> Iterator[set[str]]:
    """Yield what `in_clear` finds, again and again until the end of the block."""
    found: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(_PAUSE_S):
            found.update(in_clear(folder, marker))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()
