"""A local folder as a store; see `files` for how a file appears in it."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from dlbackup.errors import StorageError
from dlbackup.stores import files
from dlbackup.stores.contract import Blob, Readable, Where, goes_on


def local(path: str | Path) -> Where:
    """Return where a local file is, or is to be."""
    path = Path(path)
    return Where(Folder(path.parent), path.name)


def folder(path: str | Path) -> "Folder":
    """
    Return the store that a user names.

    Raises:
        StorageError: there is no such folder.
    """
    with _reading(Path(path)):
        is_there = Path(path).is_dir()
    if not is_there:
        raise StorageError(f"{path} is not a folder", "name the folder in which the backups are")
    return Folder(Path(path))


def is_folder(path: str | Path) -> bool:
    """Tell whether there is such a folder; what is wrong with a name, or a right that is lacking, others say."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a folder, those in folders below and hidden ones left out."""

    path: Path

    def create(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a new file; see `Store`."""
        return files.create(self._within(name))

    @contextmanager
    def open(self, name: str) -> Iterator[Readable]:
        """Open a file; see `Store`."""
        path = self.path / name
        with _reading(path):
            file = path.open("rb", buffering=0)
        with file:
            with _reading(path):
                size = file.seek(0, os.SEEK_END)  # which a pipe can't
            yield _LocalFile(path, file, size)

    def list(self, beside: str = "") -> Iterator[Blob]:
        """Yield the files; see `Store`."""
        with _reading(self.path), os.scandir(self.path) as found:
            entries = sorted((it for it in found if goes_on(it.name, beside)), key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith(".") or not _is_file(entry):
                continue
            with _reading(self.path / entry.name), suppress(FileNotFoundError):  # gone meanwhile
                status = entry.stat()
                yield Blob(entry.name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def delete(self, name: str) -> None:
        """Take a file away, durably; see `Store`."""
        files.remove(self._within(name))

    def shown(self, name: str) -> str:
        """Return the path as a user names it."""
        return str(self.path / name)

    def _within(self, name: str) -> Path:
        """Return the path of a file to be changed; it must not lead out of the folder."""
        if name in ("", ".", "..") or "/" in name:
            raise StorageError(f"{name!r} is no name for a file in {self.path}")
        return self.path / name


@dataclass(frozen=True, slots=True)
class _LocalFile:
    """An open file of a folder."""

    path: Path
    file: FileIO
    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Read without a position of its own; see `Readable`."""
        with _reading(self.path):
            number = self.file.fileno()  # a closed file has none
            data = os.pread(number, size, offset)
            while len(data) < size and (more := os.pread(number, size - len(data), offset + len(data))):
                data += more  # the system gives less at once than 2 GiB
        return data


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StorageError(f"can't read {path}: {exc.strerror}") from exc


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Tell whether it is a file, or a link to one; not where a link leads round in a circle, or to a closed folder."""
    try:
        return entry.is_file()
    except OSError:
        return False
