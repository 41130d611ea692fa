"""
A catalog in a DuckDB file is migrated: an engine works on a copy of the file, which takes its place when all is proved.

The copy holds all that the file does, also what is not the catalog's.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access
from dlbackup.catalogs.duckdb.catalog import FileCatalog
from dlbackup.catalogs.duckdb.process import opened
from dlbackup.catalogs.exchange import beside, drop, refuse_wal, take_place
from dlbackup.errors import StorageError


class FileRemake:
    """A file that is held, and its copy; see `contract.Remake`."""

    def __init__(self, held: FileCatalog, copy: FileCatalog, path: Path) -> None:
        self.held, self.copy = held, copy
        self._path = path

    def make_copy(self) -> None:
        """Copy the file; only we can read the copy, since a lake's encryption keys are in its catalog."""
        new = Path(self.copy.address.path)
        try:
            new.touch(mode=0o600, exist_ok=False)
            shutil.copyfile(self._path, new)
        except OSError as exc:
            raise StorageError(
                f"can't copy {self._path}, which is {self._path.stat().st_size} bytes: {exc.strerror}",
                "the engine works on a copy in the same folder: make room for it there",
            ) from exc

    def exchange(self) -> str | None:
        """Put the copy, all of it on the disk, in the file's place; return where the file is kept."""
        with self.copy.mending():
            pass  # whoever changed it last may have left a WAL
        return take_place(Path(self.copy.address.path), self._path, keep=True)


@contextmanager
def remaking(address: Address, schema: str, access: Access) -> Iterator[FileRemake]:
    """
    Hold the file in the block, at whose end the copy is gone unless it has taken the file's place.

    Raises:
        Locked: somebody has it open.
        NotALake: it is gone.
    """
    path = Path(os.path.realpath(address.path))
    with opened(address, access, exclusively=True) as at:
        refuse_wal(path)
        new = beside(path)
        try:
            yield FileRemake(
                FileCatalog(address, schema, access, at),
                FileCatalog(Address(address.kind, path=str(new)), schema, access),
                path,
            )
        finally:
            drop(new)
