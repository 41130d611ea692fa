"""
A backup becomes a catalog in a DuckDB file.

It is made in a new file beside, `.<name>.restoring-<random>`, which takes the file's name in one step once all of it is
proved and on the disk. What stands there is held meanwhile, so that nobody commits to it or looks at it, and keeps a
name of its own, `<name>.replaced-<time>`. It has no WAL any more then: that would be taken for the new file's. Killed
at any point, the old file is there or the new one.
"""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path

from dlbackup.addresses.address import Address
from dlbackup.backupfile.manifest import Entry
from dlbackup.catalogs.contract import Access, Client, Encoding, Part, Terms
from dlbackup.catalogs.duckdb.existing import FileExisting, look_at, nothing
from dlbackup.catalogs.duckdb.place import FilePlace
from dlbackup.catalogs.duckdb.process import FileProcess, opened
from dlbackup.errors import CatalogError, NotALake, NotEmpty, StorageError, UsageError, listed
from dlbackup.runtime.signals import signals_held
from dlbackup.stores.files import NO_LINKS, publish, sync_folder
from dlbackup.tables.definition import Table
from dlbackup.tables.quoting import quote_identifier

OLDEST_STORAGE = "v1.0.0"
"""Every DuckDB since 0.10 reads it."""
_RESTORING = ".{name}.restoring-"


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
        _refuse_wal(path)
        return nothing(address.path, schema)
    try:
        process, _ = held.enter_context(opened(address, access, exclusively=True))
    except NotALake as exc:
        raise NotEmpty(f"{exc.message}, and would be replaced", "name another file, or move that one away") from exc
    _refuse_wal(path)
    there = look_at(process, schema)
    if not there.tables and there.left_out:
        raise NotEmpty(
            f"the file {address.path} holds no catalog in schema {schema}, but other things, which would be replaced:"
            f" {listed(there.left_out)}",
            "name a new file",
        )
    return there


def _refuse_wal(path: Path) -> None:
    if os.path.lexists(f"{path}.wal"):
        raise NotEmpty(
            f"{path}.wal stands there, which DuckDB would take for the WAL of the restored file",
            "move it away: its file is gone, or is opened by another name",
        )


class FileReplacement:
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
        self._new = path.with_name(_RESTORING.format(name=path.name) + secrets.token_hex(4))

    def missing_roles(self, names: Iterable[str]) -> list[str]:
        """Return all of them: a file has no roles."""
        return sorted(names)

    @property
    def encoding(self) -> Encoding:
        """DuckDB has one."""
        return Encoding("UTF8")

    def missing_storage(self, tables: Sequence[Table]) -> tuple[frozenset[str], frozenset[str]]:
        """Return nothing: there is one way to keep a table."""
        return frozenset(), frozenset()

    def unknown_privileges(self) -> frozenset[str]:
        """Return nothing: there are none."""
        return frozenset()

    def parts(self, entries: Sequence[Entry]) -> Iterator[AbstractContextManager[Part]]:
        """Yield one part, in a new file."""
        self._terms.accept(self.existing)
        self._held.callback(self._drop_new)
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
        try:
            with signals_held():
                if self.existing.process is None:
                    publish(self._new, self._path)
                else:
                    self._exchange()
                sync_folder(self._path.parent)
        except FileExistsError:
            raise NotEmpty(f"the file {self._path} has come meanwhile", "name another file") from None
        except OSError as exc:
            raise StorageError(f"can't put the new file in the place of {self._path}: {exc.strerror}") from exc

    def _exchange(self) -> None:
        was = self._path.stat()
        self._new.chmod(was.st_mode & 0o7777)
        with suppress(PermissionError):
            os.chown(self._new, was.st_uid, was.st_gid)
        if not self._terms.drop_replaced:
            aside = self._path.with_name(f"{self._path.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
            try:
                os.link(self._path, aside)
            except OSError as exc:
                if exc.errno not in NO_LINKS:
                    raise
                shutil.copy2(self._path, aside)
            self.replaced = str(aside)
        self._new.rename(self._path)

    def _drop_new(self) -> None:
        for ending in ("", ".wal"):
            Path(f"{self._new}{ending}").unlink(missing_ok=True)


def drop_left(path: Path) -> None:
    """Drop what a restore left that was killed; nobody else restores to this file now."""
    for left in path.parent.iterdir():
        if left.name.startswith(_RESTORING.format(name=path.name)):
            left.unlink(missing_ok=True)
