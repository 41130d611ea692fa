"""A store in memory, for tests and for backups that are used up at once."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from dlbackup.errors import StorageError
from dlbackup.stores.contract import Blob, Readable, Sink, goes_on


@dataclass(frozen=True, slots=True)
class Bytes:
    """Some bytes as an open file."""

    data: bytes

    @property
    def size(self) -> int:
        """Their number."""
        return len(self.data)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return some of them; see `Readable`."""
        return self.data[offset : offset + size]


class InMemory:
    """
    Files that are gone with their process.

    Pickled, it is a copy with all bytes: another process reads what was there, and what it changes nobody sees.
    """

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, datetime]] = {}

    @contextmanager
    def create(self, name: str) -> Iterator[Sink]:
        """Open a new file; see `Store`."""
        self._refuse_taken(name)
        file = io.BytesIO()
        yield file
        self._refuse_taken(name)
        self._files[name] = file.getvalue(), datetime.now(UTC)

    @contextmanager
    def open(self, name: str) -> Iterator[Readable]:
        """Open a file; see `Store`."""
        yield Bytes(self._found(name)[0])

    def list(self, beside: str = "") -> Iterator[Blob]:
        """Yield the files; see `Store`."""
        for name, (data, modified) in sorted(self._files.items()):
            if goes_on(name, beside):
                yield Blob(name, len(data), modified)

    def delete(self, name: str) -> None:
        """Take a file away; see `Store`."""
        self._found(name)
        del self._files[name]

    def shown(self, name: str) -> str:
        """Return the name, told from a path."""
        return f"memory:{name}"

    def _found(self, name: str) -> tuple[bytes, datetime]:
        if name not in self._files:
            raise StorageError(f"can't read {self.shown(name)}: there is no such file")
        return self._files[name]

    def _refuse_taken(self, name: str) -> None:
        if name in self._files:
            raise StorageError(f"{self.shown(name)} exists already", "name another file")
