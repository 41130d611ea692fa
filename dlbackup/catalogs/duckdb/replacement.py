"""
A backup becomes a catalog in a DuckDB file.

It is made in a new file beside, which takes the file's name once all of it is proved and on the disk; `exchange` says
how.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

from dlbackup.addresses.address import Address
from dlbackup.backupfile.manifest import Entry
from dlbackup.catalogs.contract import Access, Client, Part, Terms
from dlbackup.catalogs.duckdb.existing import look_at
from dlbackup.catalogs.duckdb.place import FilePlace
from dlbackup.catalogs.duckdb.process import FileProcess, opened
from dlbackup.catalogs.exchange import beside, drop, refuse_wal, take_free_place, take_place
from dlbackup.catalogs.existing_file import FileExisting
from dlbackup.catalogs.in_files import FileTerms
from dlbackup.errors import CatalogError, NotALake, NotEmpty, UsageError, listed
from dlbackup.tables.quoting import quote_identifier

OLDEST_STORAGE = "v1.0.0"
"""Every DuckDB since 0.10 reads it."""
_FROZEN, _SECRET = 0o444, 0o400


@contextmanager
def replacing(address: Address, access: Access, schema: str, terms: Terms) -> Iterator["FileReplacement"]:
    """Put a backup in a file's place; `Catalog.replacement` says what holds for that."""
    if terms.bar:
        raise UsageError(
            "a catalog in a file has no stale clients to be barred: nobody has it open while it is replaced"
        )
    path = Path(os.path.realpath(address.path))
    with ExitStack() as held:
        there = _hold(address, access, path, schema, held)
        replacement = FileReplacement(address, access, path, there, terms, held)
        yield replacement
        replacement.publish()


def _hold(address: Address, access: Access, path: Path, schema: str, held: ExitStack) -> FileExisting:
    """
    Keep everybody else from the file that stands there.

    Raises:
        Locked: somebody has it open.
        NotEmpty: it is no catalog, and would be lost.
    """
    if not os.path.lexists(path):
        refuse_wal(path, Path(address.path).absolute())
        return FileExisting(path=address.path, schema=schema)
    try:
        process, _ = held.enter_context(opened(address, access, exclusively=True))
    except NotALake as exc:
        raise NotEmpty(f"{exc.message}, and would be replaced", "name another file, or move that one away") from exc
    refuse_wal(path)
    there = look_at(process, schema)
    if not there.tables and there.left_out:
        raise NotEmpty(
            f"the file {address.path} holds no catalog in schema {schema}, but other things, which would be replaced:"
            f" {listed(there.left_out)}",
            "name a new file",
        )
    return there


class FileReplacement(FileTerms):
    """What is made in a new file; what stands in its place is held already."""

    def __init__(
        self, address: Address, access: Access, path: Path, there: FileExisting, terms: Terms, held: ExitStack
    ) -> None:
        self.existing = there
        self.replaced: str | None = None
        self.came: tuple[Client, ...] = ()
        self._address, self._access, self._path = address, access, path
        self._terms, self._held = terms, held
        self._made: FileProcess | None = None
        self._new = beside(path)

    def parts(self, entries: Sequence[Entry]) -> Iterator[AbstractContextManager[Part]]:
        """Yield one part, in a new file."""
        self._terms.accept(self.existing)
        self._held.callback(drop, self._new)
        process = self._held.enter_context(FileProcess(self._address, self._access, "written"))
        process.do(
            "create",
            path=str(self._new),
            folder=process.folder,
            storage_version=self._terms.storage_version or OLDEST_STORAGE,
            schema=quote_identifier(self.existing.schema),
        )
        yield nullcontext(Part(FilePlace(process, self.existing.schema), entries, whole=True))
        self._made = process

    def publish(self) -> None:
        """Give the new file the name of the old one; the block is over without an error."""
        if self._made is None:  # nobody has asked for parts, or they were not made
            return
        if self._made.do("finish", path=str(self._new))["has_wal"]:
            raise CatalogError(
                f"DuckDB has left a WAL beside the new file {self._new}", "report it; nothing was changed"
            )
        self._made.__exit__()
        mode = (_SECRET if self._terms.secret else _FROZEN) if self._terms.frozen else None
        if self.existing.is_new:
            take_free_place(self._new, self._path, mode)
        else:
            self.replaced = take_place(self._new, self._path, mode, keep=not self._terms.drop_replaced)
