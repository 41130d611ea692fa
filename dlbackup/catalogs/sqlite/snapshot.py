"""One consistent view of a catalog in a SQLite file: a private copy of it."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dlbackup.addresses.address import Address
from dlbackup.backupfile.manifest import Source
from dlbackup.catalogs.contract import Head, Pages
from dlbackup.catalogs.existing_file import read_head
from dlbackup.catalogs.in_files import FileView
from dlbackup.catalogs.sqlite.answers import FileAnswers, answering
from dlbackup.catalogs.sqlite.copying import translated
from dlbackup.catalogs.sqlite.introspection import (
    SCHEMA,
    Definitions,
    odd_columns,
    opened,
    read_definitions,
    rows_of,
)
from dlbackup.catalogs.sqlite.rows import row_texts
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Block
from dlbackup.tables.quoting import quote_identifier
from dlbackup.tables.types import Dialect

PAGE_ROWS = 60
"""How many row ids are a page."""
_ROW_IDS = ("rowid", "_rowid_", "oid")
"""What SQLite calls the number that it gives a row, unless a column is called so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSnapshot(FileView):
    """A `Snapshot` of a copy that is open."""

    address: Address
    connection: sqlite3.Connection
    copy: Path
    source: Source
    head: Head
    definitions: Definitions
    shared: bool = False

    @property
    def readers(self) -> int:
        """This process alone."""
        return 1

    @property
    def dialect(self) -> Dialect:
        """In whose words its backups are written."""
        return "sqlite"

    @property
    def may_go_over_a_file(self) -> bool:
        """What engines can't do in a SQLite file, they do in one of DuckDB's."""
        return True

    @property
    def adds_columns_with_defaults(self) -> bool:
        """DuckDB's connector does not let engines."""
        return False

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables' definitions, in the order of their names' bytes."""
        return self.definitions.tables

    @property
    def left_out(self) -> tuple[str, ...]:
        """What is in the file and not in a backup, and what is strange in what is."""
        return (*self.definitions.left_out, *self.definitions.strangers)

    @property
    def dependents(self) -> tuple[str, ...]:
        """What belongs to the tables but is not in their records."""
        return self.definitions.left_out

    def rows(self, table: Table, pages: Pages | None = None) -> Iterator[Block]:
        """Yield a table's rows in blocks of any size: all, or those on some pages."""
        where = []
        number = _row_id(table)
        if pages is not None and pages.first:
            where.append(f"{number} >= {pages.first * PAGE_ROWS}")
        if pages is not None and pages.end is not None:
            where.append(f"{number} < {pages.end * PAGE_ROWS}")
        with translated(self.address):
            yield from row_texts(self.connection, table, f" where {' and '.join(where)}" if where else "")

    def each(self, tables: Sequence[Table], *, alone: bool = False) -> Iterator[tuple[Table, Iterator[Block]]]:
        """Yield tables with their rows, one after the other."""
        for table in tables:
            yield table, self.rows(table)

    def pages(self) -> dict[str, int]:
        """Return how many pages each table has, by its largest row id; one that hides them all is one page."""
        return {table.name: self._pages(table) for table in self.tables}

    def _pages(self, table: Table) -> int:
        number = _row_id(table)
        return 1 + max(0, self._number(f"max({number})", table)) // PAGE_ROWS if number else 1

    def densities(self) -> dict[str, float]:
        """Return how many rows a page holds: the same in all tables."""
        return dict.fromkeys((table.name for table in self.tables), float(PAGE_ROWS))

    def counts(self, tables: Sequence[Table]) -> dict[str, int]:
        """Return the number of rows by table name."""
        return {table.name: self._number("count(*)", table) for table in tables}

    def _number(self, what: str, table: Table) -> int:
        with translated(self.address):
            (number,) = self.connection.execute(f"select {what} from {quote_identifier(table.name)}").fetchone()
        return int(number or 0)

    def size_bytes(self) -> int:
        """Return the size of the file, with what is in its WAL."""
        return self.copy.stat().st_size

    def answers(self) -> AbstractContextManager[FileAnswers]:
        """Let the view answer SQL inside the block."""
        return answering(self.connection, self.tables)

    def joinable(self, tables: Sequence[Table]) -> "SharedCopy | None":
        """Return what another process needs to read these tables; None where the snapshot is not to be shared."""
        if not self.shared:
            return None
        definitions = Definitions(tables=tuple(tables), left_out=(), strangers=(), beside={})
        return SharedCopy(
            address=self.address, copy=self.copy, source=self.source, head=self.head, definitions=definitions
        )


def _row_id(table: Table) -> str | None:
    """Return by which name a query gets at the numbers of a table's rows; None where columns have all names."""
    taken = {name.lower() for name in table.column_names}
    return next((name for name in _ROW_IDS if name not in taken), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCopy:
    """What another process needs to read what a snapshot reads: the copy, which is there as long as that is open."""

    address: Address
    copy: Path
    source: Source
    head: Head
    definitions: Definitions

    @contextmanager
    def join(self) -> Iterator[FileSnapshot]:
        """Open the copy."""
        with translated(self.address), closing(opened(str(self.copy))) as connection:
            yield FileSnapshot(
                address=self.address,
                connection=connection,
                copy=self.copy,
                source=self.source,
                head=self.head,
                definitions=self.definitions,
            )


@contextmanager
def reading(address: Address, copy: Path, *, share: bool) -> Iterator[FileSnapshot]:
    """Read a copy that was made of the file at an address."""
    with translated(address), closing(opened(str(copy))) as connection:
        definitions = read_definitions(connection)
        yield FileSnapshot(
            address=address,
            connection=connection,
            copy=copy,
            source=Source(database=copy.stem, schema=SCHEMA, server_version=sqlite3.sqlite_version),
            head=read_head(partial(rows_of, connection), quote_identifier, definitions.tables),
            definitions=Definitions(
                tables=definitions.tables,
                left_out=definitions.left_out,
                strangers=(*definitions.strangers, *odd_columns(definitions.tables)),
                beside=definitions.beside,
            ),
            shared=share,
        )
