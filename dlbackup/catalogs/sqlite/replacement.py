"""
A backup becomes a catalog in a SQLite file.

A new file is made beside and gets its name when all of it is proved and on the disk. In a file that is there, all is
done in one write transaction: other clients read the old catalog until its commit and the new one afterwards, and what
else is in the file stays. What was there is kept as a copy, `<name>.replaced-<time>`.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from dlbackup.addresses.address import Address
from dlbackup.backupfile.manifest import Entry
from dlbackup.catalogs.contract import Access, Client, Part, Terms
from dlbackup.catalogs.exchange import beside, drop, let_at_as, take_free_place
from dlbackup.catalogs.existing_file import FileExisting
from dlbackup.catalogs.in_files import FileTerms
from dlbackup.catalogs.sqlite.copying import LEAST_WAIT_S, translated
from dlbackup.catalogs.sqlite.existing import look_at
from dlbackup.catalogs.sqlite.introspection import SCHEMA, opened
from dlbackup.catalogs.sqlite.live import LiveFile
from dlbackup.catalogs.sqlite.place import FilePlace
from dlbackup.catalogs.sqlite.rows import Connection
from dlbackup.errors import NeedsPerson, NotEmpty, StorageError, UsageError
from dlbackup.runtime.signals import signals_held
from dlbackup.stores.files import sync_folder
from dlbackup.tables.quoting import quote_identifier

_ANOTHER = "name another file, or move that one away"


@contextmanager
def replacing(address: Address, access: Access, terms: Terms) -> Iterator["FileReplacement"]:
    """Put a backup in a file's place; `Catalog.replacement` says what holds for that."""
    if terms.bar:
        raise UsageError("a catalog in a SQLite file has no bars against stale clients")
    path = Path(os.path.realpath(address.path))
    with translated(address), ExitStack() as held:
        connection, existing = hold(address, access, path, held)
        replacement = FileReplacement(path, connection, existing, terms, held)
        yield replacement
        replacement.publish()


def hold(address: Address, access: Access, path: Path, held: ExitStack) -> tuple[LiveFile | None, FileExisting]:
    """
    Begin to write to the file that stands there, so that nobody else does, until `held` is closed or a commit.

    Returns:
        The connection in its transaction, if there is a file, and what is there.

    Raises:
        NotEmpty: what is there is no SQLite file, and would be lost.
    """
    if not os.path.lexists(path):
        for ending in ("-journal", "-wal"):
            if os.path.lexists(f"{path}{ending}"):
                raise NotEmpty(
                    f"{path}{ending} stands there, which SQLite would take for the restored file's",
                    "move it away: its file is gone",
                )
        return None, FileExisting(path=address.path, schema=SCHEMA)
    if path.is_dir():
        raise NotEmpty(f"{address.path} is a folder, and would be replaced", _ANOTHER)
    connection = held.enter_context(closing(LiveFile(path, max(access.wait_s, LEAST_WAIT_S))))
    try:
        if not _is_in_wal_mode(connection):
            connection.execute("pragma cache_spill = off")  # what is written early locks readers out, or waits for each
        connection.execute("begin immediate")
    except sqlite3.DatabaseError as exc:
        if "not a database" not in str(exc):
            raise
        raise NotEmpty(f"{address} is no SQLite file, or an encrypted one, and would be replaced", _ANOTHER) from exc
    return connection, look_at(connection, address.path)


def _is_in_wal_mode(connection: LiveFile) -> bool:
    """Tell it of a file, which then stays so for as long as the connection is open."""
    return bool(connection.execute("pragma journal_mode").fetchmany(1)[0][0] == b"wal")


def keep(path: Path, live: LiveFile) -> Path:
    """Copy the whole file as it is, beside it; that it is held keeps nobody from reading it."""
    aside = path.with_name(f"{path.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
    try:
        aside.touch(0o600, exist_ok=False)
        let_at_as(aside, path)
    except OSError as exc:
        raise StorageError(f"can't keep what is replaced as {aside}: {exc.strerror}") from exc
    try:
        live.copy_to(aside)
    except BaseException:
        drop(aside)
        raise
    return aside


class FileReplacement(FileTerms):
    """What is made in a file; what stands in its place is held already."""

    def __init__(
        self, path: Path, connection: LiveFile | None, existing: FileExisting, terms: Terms, held: ExitStack
    ) -> None:
        self.existing = existing
        self.replaced: str | None = None
        self.came: tuple[Client, ...] = ()
        self._path, self._live, self._terms, self._held = path, connection, terms, held
        self._new: Path | None = None
        self._made: Connection | None = None
        self._is_published = False

    def parts(self, entries: Sequence[Entry]) -> Iterator[AbstractContextManager[Part]]:
        """Yield one part, in a new file, or in the one that is there, without the tables that it had."""
        self._terms.accept(self.existing)
        if self._live is None:
            self._new = beside(self._path)
            self._held.callback(drop, self._new)
            self._new.touch(0o600, exist_ok=False)  # a lake's encryption keys are in its catalog
            made: Connection = self._held.enter_context(closing(opened(str(self._new))))
            made.execute("pragma synchronous = off")
            made.execute("begin")
        else:
            made = self._live
            if self.existing.tables and not self._terms.drop_replaced:
                aside = keep(self._path, self._live)
                self._held.callback(self._drop_unless_published, aside)
                self.replaced = str(aside)
            for table in self.existing.tables:
                made.execute(f"drop table {quote_identifier(table.name)}")
        yield nullcontext(Part(FilePlace(made, SCHEMA), entries, whole=True))
        self._made = made

    def _drop_unless_published(self, aside: Path) -> None:
        if not self._is_published:  # SQLite ends a transaction by itself that has no room
            drop(aside)

    def _commit(self, made: Connection) -> None:
        try:
            if self._live is None:
                made.execute("commit")
            else:
                self._live.commit()
        except NeedsPerson:
            self._is_published = True  # it may be: what was replaced then is not to be lost
            raise
        self._is_published = True

    def publish(self) -> None:
        """Commit, or give the new file its name; the block is over without an error."""
        if self._made is None:  # nobody has asked for parts, or they were not made
            return
        with signals_held(too_late=True):
            self._commit(self._made)
            if self._new is not None:
                self._made.close()
                number = os.open(self._new, os.O_RDWR)
                os.fsync(number)
                os.close(number)
                take_free_place(self._new, self._path)
            sync_folder(self._path.parent)
