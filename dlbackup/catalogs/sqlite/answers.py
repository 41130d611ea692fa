"""
A SQLite file answers SQL: what is asked is written for other backends, so DuckDB answers.

A table goes into a DuckDB of our own when a question first names it. No extension is needed for that, and every value
comes as what it is.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dlbackup.catalogs.loaded_backup import LoadedBackup, Loading, loading
from dlbackup.catalogs.sqlite.rows import Connection, row_texts
from dlbackup.lake.answers import Answer, Row
from dlbackup.lake.inlined import begins_right
from dlbackup.tables.definition import Kind, Table, by_name

_NAME = re.compile(r"\bmain\.(ducklake_\w+)")


class FileAnswers:
    """A catalog in a SQLite file, its tables loaded as far as they were asked for."""

    schema = "main"
    rules_at_once = 1

    def __init__(self, connection: Connection, tables: tuple[Table, ...], loading: Loading) -> None:
        self.tables = tables
        self._connection, self._loading = connection, loading
        self._answers = LoadedBackup(loading.connection, tables)
        self._missing = by_name(tables)
        self._kinds: set[Kind] = set()

    def ask(self, sql: str) -> Answer:
        """Return what a query says."""
        self._load(sql)
        return self._answers.ask(sql)

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield the rows of a query that may have many."""
        self._load(sql)
        return self._answers.stream(sql)

    def inlined(self, tables: Sequence[Table], registered: frozenset[str]) -> Iterator[str]:
        """Yield one query for the rows of all inlined tables of the kind of these."""
        kind = tables[0].kind
        if kind not in self._kinds:
            self._kinds.add(kind)
            own = [table for table in self.tables if table.kind == kind and begins_right(table)]
            self._loading.inlined(kind, ((table, row_texts(self._connection, table)) for table in own))
            self._load("main.ducklake_inlined_data_tables")
        return self._answers.inlined(tables, registered)

    def _load(self, sql: str) -> None:
        for name in sorted(set(_NAME.findall(sql)) & self._missing.keys()):
            table = self._missing.pop(name)
            self._loading.fixed(table, row_texts(self._connection, table))


@contextmanager
def answering(connection: Connection, tables: tuple[Table, ...]) -> Iterator[FileAnswers]:
    """Let a file answer in the block."""
    with loading() as loaded:
        yield FileAnswers(connection, tables, loaded)
