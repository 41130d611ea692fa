"""Tables made and filled in a new DuckDB file, which nobody else knows yet."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dlbackup.catalogs.duckdb.answers import FileAnswers
from dlbackup.catalogs.duckdb.introspection import read_definitions
from dlbackup.catalogs.duckdb.literals import place, row_query
from dlbackup.catalogs.duckdb.process import FileProcess
from dlbackup.catalogs.long_rows import LongRows
from dlbackup.errors import StorageError
from dlbackup.tables.definition import Column, Table, by_name
from dlbackup.tables.digest import Block
from dlbackup.tables.quoting import quote_identifier, quote_literal
from dlbackup.tables.statements import ENCODED_TYPE, definition, finishing

CHUNK_BYTES = 8 << 20
"""Text that goes into DuckDB at once."""
_LINE_BYTES = 2 << 20
_TMPDIR = "set TMPDIR to a folder with more room"


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A schema of a file to be filled, in open transactions of the process that made it, one after the other."""

    process: FileProcess
    schema: str

    def create(self, tables: Sequence[Table]) -> None:
        """Create tables with their keys."""
        self.process.do("execute", statements=[definition(table) for table in tables])

    def load(self, table: Table, texts: Iterable[bytes]) -> int:
        """Load rows that are CSV; return how many DuckDB says it took."""
        taken = size = 0
        pending: list[bytes] = []
        for text in texts:
            pending.append(text)
            size += len(text)
            if size >= CHUNK_BYTES:
                taken += self._insert(table, pending)
                pending, size = [], 0
        return taken + (self._insert(table, pending) if pending else 0)

    def _insert(self, table: Table, texts: list[bytes]) -> int:
        """Insert rows, each value as DuckDB reads it from its text."""
        line = max(_LINE_BYTES, *map(len, texts))
        names = [f"c{number}" for number in range(len(table.columns))]
        values = (f"CAST({name} AS {_type(column)})" for name, column in zip(names, table.columns, strict=True))
        columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
        insert = (
            f"INSERT INTO {quote_identifier(table.name)} SELECT {', '.join(values)}"
            f" FROM read_csv({quote_literal(self.process.handed.path)}, auto_detect = false, header = false,"
            f" columns = {{{columns}}}, delim = ',', quote = '''', escape = '''', nullstr = 'NULL',"
            f" allow_quoted_nulls = false, new_line = '\\n', parallel = false,"
            f" max_line_size = {line}, buffer_size = {2 * line})"
        )
        long = LongRows()
        long.count(texts)
        try:
            with self.process.handed.holding(texts):
                said = self.process.do(
                    "fill", statements=[insert], columns=len(table.columns), more_kib=long.memory_kib
                )
        except OSError as exc:
            raise StorageError(f"no room for rows in {self.process.folder}: {exc.strerror}", _TMPDIR) from exc
        return int(said["said"][0])

    def finish(self, tables: Sequence[Table], *, privileges: bool, row_security: bool = False) -> None:
        """Make what encoded texts are, and comments; a file has no owners, grants or row-level security."""
        for table in tables:
            if statements := list(finishing(table)):
                self.process.do("fill", statements=statements, columns=len(table.columns))

    def open_schema(self, statements: Sequence[str]) -> list[int]:
        """Return that none of the statements is taken: nobody owns a schema of a file."""
        return list(range(len(statements)))

    def shut_out(self, tables: Iterable[Table]) -> list[tuple[str, list[str]]]:
        """Return nobody: a file has no roles."""
        return []

    def definitions(self) -> tuple[Table, ...]:
        """Return all catalog tables of the place as DuckDB has them now."""
        return read_definitions(self.process, self.schema).tables

    def read_back(self, counts: Sequence[tuple[Table, int]]) -> Iterator[tuple[Table, Iterator[Block]]]:
        """Yield tables with their rows; those of each must be read before the next."""
        self.process.do("settle")
        for table, _ in counts:
            yield table, self.process.texts(row_query(self.schema, table))

    def set_data_path(self, path: str) -> int:
        """Change the lake's data path; return how many rows of ducklake_metadata that were."""
        metadata = by_name(self.definitions())["ducklake_metadata"]
        scope = " and scope is null" if "scope" in metadata.column_names else ""
        where = f"WHERE key = 'data_path'{scope}"
        update = f"UPDATE {place(self.schema, metadata.name)} SET value = {quote_literal(path)} {where}"
        return int(self.process.do("execute", statements=[update])["said"][0])

    @contextmanager
    def answers(self, tables: Sequence[Table]) -> Iterator[FileAnswers]:
        """Let the tables answer SQL inside the block."""
        yield FileAnswers(self.process, self.schema, tuple(tables))


def _type(column: Column) -> str:
    return ENCODED_TYPE if column.encoded else column.type
