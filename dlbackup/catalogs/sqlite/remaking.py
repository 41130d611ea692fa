"""
A catalog in a SQLite file is migrated: an engine works on a copy, whose tables come into the live file at the end.

The file is held meanwhile by a write transaction: other commits fail at once or wait for it, as they do for any other,
and readers go on. In that transaction the old tables make way for the migrated ones; its commit is the exchange.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access
from dlbackup.catalogs.exchange import beside, drop
from dlbackup.catalogs.sqlite.catalog import SqliteCatalog
from dlbackup.catalogs.sqlite.copying import copied, translated
from dlbackup.catalogs.sqlite.introspection import SCHEMA, opened, read_definitions
from dlbackup.catalogs.sqlite.live import LiveFile
from dlbackup.catalogs.sqlite.place import FilePlace
from dlbackup.catalogs.sqlite.replacement import hold, keep
from dlbackup.catalogs.sqlite.rows import row_texts
from dlbackup.errors import MigratedOtherwise, NeedsPerson, NotALake, StorageError
from dlbackup.runtime.memory import collector_paused
from dlbackup.runtime.signals import signals_held
from dlbackup.tables.digest import summed
from dlbackup.tables.quoting import quote_identifier
from dlbackup.tables.rows import SEPARATOR, statements_of


@dataclass(frozen=True, slots=True)
class FileRemake:
    """
    A file that is held, and its copy; see `contract.Remake`.

    Args:
        live: the connection that holds it.
    """

    held: SqliteCatalog
    copy: SqliteCatalog
    live: LiveFile
    path: Path

    def make_copy(self) -> None:
        """Copy the file; only we can read the copy, since a lake's encryption keys are in its catalog."""
        new = Path(self.copy.address.path)
        try:
            new.touch(mode=0o600, exist_ok=False)
        except OSError as exc:
            raise StorageError(
                f"can't make a copy beside {self.path}: {exc.strerror}", "the engine works on a copy in the same folder"
            ) from exc
        with translated(self.copy.address):
            self.live.copy_to(new)

    def exchange(self) -> str | None:
        """Put the copy's tables in the place of the catalog's, read them back, and commit."""
        with translated(self.held.address), closing(opened(self.copy.address.path)) as new:
            aside = keep(self.path, self.live)
            try:
                self._take_in(new)
                with signals_held(too_late=True):
                    self.live.commit()
            except NeedsPerson:
                raise  # what was replaced then is not to be lost
            except BaseException:
                self._hold_again()
                drop(aside)
                raise
            return str(aside)

    def _take_in(self, new: sqlite3.Connection) -> None:
        tables = read_definitions(new).tables
        for table in read_definitions(self.live).tables:
            self.live.execute(f"drop table {quote_identifier(table.name)}")
        place = FilePlace(self.live, SCHEMA)
        with collector_paused():
            place.create(tables)
            for table in tables:
                place.load(table, (SEPARATOR.join(block) for block in statements_of(row_texts(new, table))))
            place.finish(tables, privileges=False)
            if place.definitions() != tables:
                raise MigratedOtherwise("SQLite made other tables than those of the migrated copy")
            for table in tables:
                if summed(row_texts(self.live, table)) != summed(row_texts(new, table)):
                    raise MigratedOtherwise(f"table {table.name}: SQLite gives back other rows than it was given")

    def _hold_again(self) -> None:
        """
        Give up what was done; a commit that failed for a reader keeps new readers out until then.

        Where there was no room, SQLite has done so by itself.
        """
        if self.live.in_transaction:
            self.live.execute("rollback")
        with suppress(sqlite3.Error):
            self.live.execute("begin immediate")


@contextmanager
def remaking(address: Address, schema: str, access: Access) -> Iterator[FileRemake]:
    """
    Hold the file in the block, at whose end the copy is gone.

    Raises:
        Locked: somebody writes to it.
        NotALake: it is gone.
    """
    path = Path(os.path.realpath(address.path))
    with ExitStack() as held, translated(address):
        live, _ = hold(address, access, path, held)
        if live is None:
            raise NotALake(f"the file {path} is gone", "somebody has moved it in this moment: look again")
        new = beside(path)
        held.callback(drop, new)
        copy = held.enter_context(copied(address, access))
        yield FileRemake(
            held=SqliteCatalog(address, schema, access, copy),
            copy=SqliteCatalog(Address(address.kind, path=str(new)), schema, access),
            live=live,
            path=path,
        )
