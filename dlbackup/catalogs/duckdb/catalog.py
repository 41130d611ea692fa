"""An open catalog in a DuckDB file: the process that has it open, its schema, and snapshots of it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access, Existing, Mark, Replacement, Terms
from dlbackup.catalogs.duckdb.introspection import find_schema
from dlbackup.catalogs.duckdb.process import FileProcess, opened
from dlbackup.catalogs.duckdb.snapshot import FileSnapshot, reading
from dlbackup.catalogs.in_files import InFile
from dlbackup.errors import Unsupported
from dlbackup.runtime.progress import OnEvent, ignore


class FileCatalog(InFile):
    """One catalog: a schema of a DuckDB file that a process of ours has open for reading. Closed by `with`."""

    def __init__(self, process: FileProcess, about: dict[str, Any], schema: str, access: Access) -> None:
        self.address, self.schema = process.address, schema
        self._process, self._about, self._access = process, about, access

    @classmethod
    @contextmanager
    def open(cls, address: Address, schema: str | None = None, access: Access | None = None) -> Iterator["FileCatalog"]:
        """Open the file and find the catalog; see `catalogs.open.open_catalog`."""
        access = access or Access()
        with opened(address, access) as (process, about):
            yield cls(process, about, find_schema(process, schema), access)

    @classmethod
    def open_for_restore(
        cls, address: Address, wanted: str | None, own: str, *, replace: bool
    ) -> AbstractContextManager["FileCatalog"]:
        """Refuse: see `_no_restore`."""
        raise _no_restore(address)

    def snapshot(self, *, share: bool = False) -> AbstractContextManager[FileSnapshot]:
        """Open one consistent view."""
        return reading(self._process, self._about, self.schema, self._access, share=share)

    def replacement(self, tables: int, terms: Terms, on_event: OnEvent = ignore) -> AbstractContextManager[Replacement]:
        """Refuse: see `_no_restore`."""
        raise _no_restore(self.address)

    def looked_at(self) -> AbstractContextManager[Existing]:
        """Refuse: see `_no_restore`."""
        raise _no_restore(self.address)

    def doing(self, what: str) -> AbstractContextManager[None]:
        """Do nothing: the process's errors are ours already."""
        return nullcontext()

    def turn(self) -> AbstractContextManager[None]:
        """Refuse: see `_no_restore`."""
        raise _no_restore(self.address)

    def drop_left(self) -> None:
        """Do nothing: nothing is left by anybody."""

    @property
    def mark(self) -> Mark:
        """Refuse: see `_no_restore`."""
        raise _no_restore(self.address)


def _no_restore(address: Address) -> Unsupported:
    return Unsupported(f"this version of dlbackup writes no DuckDB files: {address}")
