"""An open catalog in a SQLite file: copies of it that are read, and the file itself, which is written."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access, Existing, Mending, Replacement, Terms
from dlbackup.catalogs.exchange import drop_left
from dlbackup.catalogs.in_files import InFile
from dlbackup.catalogs.sqlite.copying import copied, translated
from dlbackup.catalogs.sqlite.existing import look_at
from dlbackup.catalogs.sqlite.introspection import SCHEMA, opened, refuse_no_catalog
from dlbackup.catalogs.sqlite.mending import mending
from dlbackup.catalogs.sqlite.replacement import replacing
from dlbackup.catalogs.sqlite.snapshot import FileSnapshot, reading
from dlbackup.errors import NotALake
from dlbackup.runtime.progress import OnEvent, ignore


class SqliteCatalog(InFile):
    """
    One catalog: a SQLite file. Closed by `with`.

    Args:
        copy: of the file as it was when the catalog was opened, for the first who reads it; later ones make their own.
    """

    def __init__(self, address: Address, schema: str, access: Access, copy: Path | None = None) -> None:
        super().__init__(address, schema)
        self._access, self._copy = access, copy

    @classmethod
    @contextmanager
    def open(
        cls, address: Address, schema: str | None = None, access: Access | None = None
    ) -> Iterator["SqliteCatalog"]:
        """Copy the file and find the catalog; see `catalogs.open.open_catalog`."""
        access = access or Access()
        _refuse_schema(address, schema)
        with copied(address, access) as copy:
            with translated(address), closing(opened(str(copy))) as connection:
                refuse_no_catalog(connection, address)
            yield cls(address, SCHEMA, access, copy)

    @classmethod
    @contextmanager
    def open_for_restore(
        cls, address: Address, wanted: str | None, own: str, access: Access | None = None, *, replace: bool
    ) -> Iterator["SqliteCatalog"]:
        """Open the place that a backup goes into; see `catalogs.open.open_for_restore`."""
        _refuse_schema(address, wanted)
        yield cls(address, SCHEMA, access or Access())

    @contextmanager
    def snapshot(self, *, share: bool = False) -> Iterator[FileSnapshot]:
        """Open one consistent view."""
        with self._reading() as copy, reading(self.address, copy, share=share) as snapshot:
            yield snapshot

    def replacement(self, tables: int, terms: Terms, on_event: OnEvent = ignore) -> AbstractContextManager[Replacement]:
        """Begin to put a backup in the file's place."""
        return replacing(self.address, self._access, terms)

    @contextmanager
    def looked_at(self) -> Iterator[Existing]:
        """Look at what stands in the file."""
        with self._reading() as copy, translated(self.address), closing(opened(str(copy))) as connection:
            yield look_at(connection, self.address.path)

    @contextmanager
    def for_engines(self) -> Iterator[Address]:
        """Give a copy: commits fail, and DuckLake doesn't recover from that, while somebody reads the file itself."""
        with self._reading() as copy:
            yield Address(self.address.kind, path=str(copy))

    def mending(self) -> AbstractContextManager[Mending]:
        """Put right what an engine's migration lost of a copy."""
        return mending(self.address)

    def drop_left(self) -> None:
        """Drop what a restore left that was killed."""
        drop_left(Path(os.path.realpath(self.address.path)))

    @contextmanager
    def _reading(self) -> Iterator[Path]:
        copy, self._copy = self._copy, None
        if copy is not None:
            yield copy
            return
        with copied(self.address, self._access) as fresh:
            yield fresh


def _refuse_schema(address: Address, schema: str | None) -> None:
    if schema not in (None, "", SCHEMA):
        raise NotALake(f"schema {schema!r} of {address}: a SQLite file has no schemas", "leave --metadata-schema out")
