"""
Rows of one table as values of DuckDB, made of their texts and turned into other texts, without a file of anybody's.

What is done to them is said in SQL over columns `c0`, `c1` and so on, the texts, and `v0`, `v1`, the values.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import duckdb

from dlbackup.catalogs.loaded_backup import CHUNK_BYTES, allow, in_process, insert_made_of, room
from dlbackup.catalogs.long_rows import LongRows
from dlbackup.runtime.handing import Handed
from dlbackup.tables.digest import Block

_VALUES_AT_ONCE = 200_000
"""Of as many rows as that makes; at most so many as DuckDB has ready at once."""
_ROWS_AT_ONCE = 2_000
_MOST_COLUMNS = 100
"""A table of more is one of lists: DuckDB reserves 256 KiB for each column of a table, and again for each insert."""
_COLUMN_KIB = 256
"""What it takes for each column of a query, however few rows there are; 130 to 205 KiB were measured."""
Texts = tuple[str | None, ...]
"""The values of a row, None for NULL."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """Where the rows of one table at a time are."""

    connection: duckdb.DuckDBPyConnection
    handed: Handed

    def printed_type(self, text: str) -> str | None:
        """Return a type as DuckDB prints it; None where it has no such type."""
        with room(), suppress(duckdb.Error):
            found = self.connection.execute(f"select typeof(cast(null as {text}))").fetchone()
            return str(found[0]) if found else None
        return None

    def load(self, readings: Sequence[str], blocks: Iterable[Block]) -> None:
        """
        Take the rows of a table in the place of those that were there.

        Args:
            readings: for each column the SQL that makes a value of its text.
        """
        types = {f"c{number}": "VARCHAR" for number in range(len(readings))}
        with room():
            self.connection.execute("drop view if exists value_table; drop table if exists texts")
            allow(self.connection, len(types) * _COLUMN_KIB)
            columns, made, source = self._layout(list(types))
            self.connection.execute(f"create table texts ({columns})")
            values = ", ".join(f"try({sql}) as v{number}" for number, sql in enumerate(readings))
            self.connection.execute(f"create view value_table as select *, {values} from {source}")
            long = LongRows()
            for rows in _chunks(blocks):
                long.count(rows)
                allow(self.connection, len(types) * _COLUMN_KIB + long.memory_kib)
                insert_made_of(self.connection, "texts", made, types, rows, self.handed)

    @staticmethod
    def _layout(names: Sequence[str]) -> tuple[str, str, str]:
        """Return how the table of texts is declared, what it takes of their columns, and what gives these back."""
        made = ", ".join(names)
        if len(names) <= _MOST_COLUMNS:
            return ", ".join(f"{name} varchar" for name in names), made, "texts"
        taken = ", ".join(f"texts[{number}] as {name}" for number, name in enumerate(names, 1))
        return "texts varchar[]", f"[{made}]", f"(select {taken} from texts)"

    def any(self, conditions: Sequence[str]) -> list[bool]:
        """Tell for each condition whether a row fulfils it."""
        if not conditions:
            return []
        asked = ", ".join(f"coalesce(bool_or({sql}), false)" for sql in conditions)
        with room():
            return list(map(bool, self.connection.execute(f"select {asked} from value_table").fetchall()[0]))

    def rows(self, texts: Sequence[str]) -> Iterator[list[Texts]]:
        """Yield the rows, made of the SQL for the text of each column, in their order and some at a time."""
        most = min(_ROWS_AT_ONCE, max(1, _VALUES_AT_ONCE // len(texts)))
        with room():
            found = self.connection.execute(f"select {', '.join(texts)} from value_table")
            while rows := found.fetchmany(most):
                yield rows


def _chunks(blocks: Iterable[Block]) -> Iterator[list[bytes | memoryview]]:
    pending: list[bytes | memoryview] = []
    size = 0
    for block in blocks:
        pending += block
        size += sum(map(len, block))
        if size >= CHUNK_BYTES:
            yield pending
            pending, size = [], 0
    if pending:
        yield pending


@contextmanager
def workbench() -> Iterator[Workbench]:
    """Open one for the block."""
    with in_process() as (connection, handed):
        with room():
            connection.execute("set preserve_insertion_order = true")
            connection.execute("set timezone = 'UTC'")
        yield Workbench(connection, handed)
