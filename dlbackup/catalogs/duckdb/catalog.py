"""An open catalog in a DuckDB file: the process that has it open, its schema, and snapshots of it."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access, Existing, Mending, Replacement, Terms
from dlbackup.catalogs.duckdb.existing import look_at
from dlbackup.catalogs.duckdb.introspection import DEFAULT_SCHEMA, find_schema
from dlbackup.catalogs.duckdb.mending import mending
from dlbackup.catalogs.duckdb.process import FileProcess, opened
from dlbackup.catalogs.duckdb.replacement import replacing
from dlbackup.catalogs.duckdb.snapshot import FileSnapshot, reading
from dlbackup.catalogs.exchange import drop_left
from dlbackup.catalogs.in_files import InFile
from dlbackup.errors import NotALake
from dlbackup.runtime.progress import OnEvent, ignore

_Open = tuple[FileProcess, dict[str, Any]]


class FileCatalog(InFile):
    """
    One catalog: a schema of a DuckDB file. Closed by `with`.

    Args:
        open_already: the process that has the file open for reading; None where it is opened when it is needed.
    """

    def __init__(self, address: Address, schema: str, access: Access, open_already: _Open | None = None) -> None:
        super().__init__(address, schema)
        self._access, self._open = access, open_already

    @classmethod
    @contextmanager
    def open(cls, address: Address, schema: str | None = None, access: Access | None = None) -> Iterator["FileCatalog"]:
        """Open the file and find the catalog; see `catalogs.open.open_catalog`."""
        access = access or Access()
        with opened(address, access) as (process, about):
            yield cls(address, find_schema(process, schema), access, (process, about))

    @classmethod
    @contextmanager
    def open_for_restore(
        cls, address: Address, wanted: str | None, own: str, access: Access | None = None, *, replace: bool
    ) -> Iterator["FileCatalog"]:
        """Choose the schema that a backup goes into; see `catalogs.open.open_for_restore`."""
        access = access or Access()
        schema = wanted or own or DEFAULT_SCHEMA
        if wanted is None and replace and os.path.lexists(address.path):
            with suppress(NotALake), opened(address, access) as (process, _):  # what it is then, the replacement says
                schema = find_schema(process, None)
        yield cls(address, schema, access)

    @contextmanager
    def snapshot(self, *, share: bool = False) -> Iterator[FileSnapshot]:
        """Open one consistent view."""
        with self._reading() as (process, about):
            yield reading(process, about, self.schema, self._access, share=share)

    def replacement(self, tables: int, terms: Terms, on_event: OnEvent = ignore) -> AbstractContextManager[Replacement]:
        """Begin to put a backup in the file's place."""
        return replacing(self.address, self._access, self.schema, terms)

    @contextmanager
    def looked_at(self) -> Iterator[Existing]:
        """Look at what stands in the file."""
        with self._reading() as (process, _):
            yield look_at(process, self.schema)

    def surroundings(self) -> tuple[list[str], list[str]]:
        """Return that the file itself becomes another; a file has nothing around it."""
        with self._reading() as (_, about):
            storage = about["storage_version"]
        text = (
            f"the file has storage version {storage}, which DuckDB 1.5 and later raise to their newest when DuckLake"
            " writes to it: older DuckDBs can't open the file then, whatever spec version it has"
        )
        return [text], []

    def mending(self) -> AbstractContextManager[Mending]:
        """Put right what an engine's migration lost; the file must not be open."""
        return mending(self.address, self._access, self.schema)

    def drop_left(self) -> None:
        """Drop what a restore left that was killed."""
        drop_left(Path(os.path.realpath(self.address.path)))

    def _reading(self) -> AbstractContextManager[_Open]:
        if self._open is not None:
            return nullcontext(self._open)
        return opened(self.address, self._access)
