"""
One consistent view of a catalog in a DuckDB file.

As long as a process has the file open for reading, nobody can open it for writing: all who read it see the same.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlbackup.addresses.address import Address
from dlbackup.backupfile.manifest import Source
from dlbackup.catalogs.contract import Access, Head, Pages
from dlbackup.catalogs.duckdb.answers import FileAnswers
from dlbackup.catalogs.duckdb.introspection import Definitions, head_of, read_definitions
from dlbackup.catalogs.duckdb.literals import place, row_query
from dlbackup.catalogs.duckdb.process import FileProcess, opened
from dlbackup.catalogs.in_files import FileView
from dlbackup.errors import CatalogError
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Block
from dlbackup.tables.types import Dialect

PAGE_ROWS = 60
"""How many rows are a page, by their row ids: 2,048 pages are one of DuckDB's row groups, which it reads by itself."""
_TABLES_AT_ONCE = 100
"""How many tables are asked for in one question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSnapshot(FileView):
    """A `Snapshot` in a process that has the file open."""

    process: FileProcess
    schema: str
    source: Source
    head: Head
    definitions: Definitions
    size: int
    file: list[int]
    access: Access
    shared: bool = False

    @property
    def readers(self) -> int:
        """This process, and the one that has the file open and makes texts of rows."""
        return 2

    @property
    def dialect(self) -> Dialect:
        """In whose words its backups are written."""
        return "duckdb"

    @property
    def may_go_over_a_file(self) -> bool:
        """It needs no other way."""
        return False

    @property
    def adds_columns_with_defaults(self) -> bool:
        """It does: DuckDB's own tables take them."""
        return True

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables' definitions, in the order of their names' bytes."""
        return self.definitions.tables

    @property
    def left_out(self) -> tuple[str, ...]:
        """What is in the file and not in a backup."""
        return (*self.definitions.left_out, *self.definitions.strangers)

    @property
    def dependents(self) -> tuple[str, ...]:
        """What belongs to the tables but is not in their records."""
        return self.definitions.left_out

    def rows(self, table: Table, pages: Pages | None = None) -> Iterator[Block]:
        """Yield a table's rows in blocks of any size: all, or those on some pages."""
        query = row_query(self.schema, table)
        if pages is not None:
            query += f" where rowid >= {pages.first * PAGE_ROWS}"
            query += "" if pages.end is None else f" and rowid < {pages.end * PAGE_ROWS}"
        return self.process.texts(query)

    def each(self, tables: Sequence[Table], *, alone: bool = False) -> Iterator[tuple[Table, Iterator[Block]]]:
        """Yield tables with their rows, one after the other; those of each must be read before the next."""
        size = 1 if alone else _TABLES_AT_ONCE
        for first in range(0, len(tables), size):
            run = tables[first : first + size]
            queries = [row_query(self.schema, table) for table in run]
            yield from zip(run, self.process.texts_of_each(queries), strict=True)

    def pages(self) -> dict[str, int]:
        """Return how many pages each table has, by the rows that DuckDB says it has; one that hides row ids is one."""
        hiding = {table.name for table in self.tables if _hides_row_ids(table)}
        sizes = self.definitions.sizes.items()
        return {name: 1 if name in hiding else -(-rows // PAGE_ROWS) for name, rows in sizes}

    def densities(self) -> dict[str, float]:
        """Return how many rows a page holds: the same in all tables."""
        return dict.fromkeys(self.definitions.sizes, float(PAGE_ROWS))

    def counts(self, tables: Sequence[Table]) -> dict[str, int]:
        """Return the number of rows by table name."""
        counts: dict[str, int] = {}
        for first in range(0, len(tables), _TABLES_AT_ONCE):
            run = tables[first : first + _TABLES_AT_ONCE]
            queries = (f"select {n}, count(*) from {place(self.schema, table.name)}" for n, table in enumerate(run))
            found: dict[int, int] = dict(self.process.ask(" union all ".join(queries)).rows)
            counts |= {table.name: found[number] for number, table in enumerate(run)}
        return counts

    def size_bytes(self) -> int:
        """Return the size of the file, with what is in its WAL."""
        return self.size

    @contextmanager
    def answers(self) -> Iterator[FileAnswers]:
        """Let the view answer SQL inside the block."""
        yield FileAnswers(self.process, self.schema, self.tables)

    def joinable(self, tables: Sequence[Table]) -> "SharedFile | None":
        """Return what another process needs to read these tables; None where the snapshot is not to be shared."""
        if not self.shared:
            return None
        definitions = Definitions(
            tables=tuple(tables),
            sizes={table.name: self.definitions.sizes[table.name] for table in tables},
            left_out=(),
            strangers=(),
            beside={},
        )
        return SharedFile(
            address=self.process.address,
            access=self.access,
            schema=self.schema,
            source=self.source,
            head=self.head,
            definitions=definitions,
            size=self.size,
            file=self.file,
        )


def _hides_row_ids(table: Table) -> bool:
    """Tell whether a column has the name that DuckDB's own numbers of rows have."""
    return any(name.lower() == "rowid" for name in table.column_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFile:
    """
    What another process needs to read what a snapshot reads: as long as that is open, nobody writes.

    Args:
        file: which one it is; another may have got its name.
    """

    address: Address
    access: Access
    schema: str
    source: Source
    head: Head
    definitions: Definitions
    size: int
    file: list[int]

    @contextmanager
    def join(self) -> Iterator[FileSnapshot]:
        """
        Have a process of its own open the file.

        Raises:
            CatalogError: it is another by now.
        """
        with opened(self.address, self.access) as (process, about):
            if about["file"] != self.file:
                raise CatalogError(f"{self.address} became another file while it was read", "try again")
            yield FileSnapshot(
                process=process,
                schema=self.schema,
                source=self.source,
                head=self.head,
                definitions=self.definitions,
                size=self.size,
                file=self.file,
                access=self.access,
            )


def reading(process: FileProcess, about: dict[str, Any], schema: str, access: Access, *, share: bool) -> FileSnapshot:
    """Return the view of the catalog in a schema of a file that is open."""
    definitions = read_definitions(process, schema)
    return FileSnapshot(
        process=process,
        schema=schema,
        source=Source(
            database=Path(process.path).stem,
            schema=schema,
            server_version=str(about["written_by"]),
            storage_version=str(about["storage_version"]),
        ),
        head=head_of(process, schema, definitions.tables),
        definitions=definitions,
        size=int(str(about["bytes"])),
        file=about["file"],
        access=access,
        shared=share,
    )
