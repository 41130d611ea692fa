"""
What a place for backups has to do, and how a file in it is named to another process.

A store holds files by name, without folders. What varies (retrying, encrypting, limiting) is done by wrapping one.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Sink(Protocol):
    """Where a new file's bytes go."""

    def write(self, data: bytes, /) -> int:
        """Write all of `data`."""


class Readable(Protocol):
    """
    An open file, to be read anywhere in it and by several threads.

    It stays the one that was opened; where a store can't keep that, it can't be read any more once it was replaced.
    """

    @property
    def size(self) -> int:
        """Its size in bytes."""

    def read_at(self, offset: int, size: int) -> bytes:
        """
        Return `size` bytes from `offset` on, fewer only where the file ends.

        Raises:
            StorageError: they can't be read.
        """


@dataclass(frozen=True, slots=True)
class Blob:
    """A file in a store; `modified` is in UTC."""

    name: str
    size: int
    modified: datetime


class Store(Protocol):
    """
    Files that appear whole or not at all.

    Pickled, it is the same store in another process: helpers and the child of a restore open backups there again.
    """

    def create(self, name: str) -> AbstractContextManager[Sink]:
        """
        Open a new file that is there when the block ends without an error, and not at all otherwise.

        Raises:
            StorageError: the name is taken, before or after the block; or the store can't be written to.
        """

    def open(self, name: str) -> AbstractContextManager[Readable]:
        """
        Open a file.

        Raises:
            StorageError: there is none of that name, or it can't be read.
        """

    def list(self, beside: str = "") -> Iterator[Blob]:
        """
        Yield the files that are there, by name; none that is being written.

        Args:
            beside: only those whose names begin so and go on, without reading what all others are.

        Raises:
            StorageError: the store can't be read.
        """

    def delete(self, name: str) -> None:
        """
        Take a file away.

        Raises:
            StorageError: there is none of that name, or it stays.
        """

    def shown(self, name: str) -> str:
        """Return how a user names this file."""


def goes_on(name: str, beginning: str) -> bool:
    """Tell whether a name begins so and goes on; any does where the beginning is empty."""
    return name.startswith(beginning) and name != beginning


@dataclass(frozen=True, slots=True)
class Where:
    """A file of a store; picklable, so that a process of ours can open it again. As text, it is the user's name."""

    store: Store
    name: str

    def open(self) -> AbstractContextManager[Readable]:
        """Open it; raises as `Store.open`."""
        return self.store.open(self.name)

    def __str__(self) -> str:
        return self.store.shown(self.name)
