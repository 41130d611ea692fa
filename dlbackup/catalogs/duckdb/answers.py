"""A DuckDB file answers SQL."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dlbackup.catalogs.duckdb.child import ALIAS
from dlbackup.catalogs.duckdb.literals import place
from dlbackup.catalogs.duckdb.process import FileProcess
from dlbackup.lake.answers import ALL_RULES, Answer, Row
from dlbackup.lake.inlined import INLINED_COLUMNS, lake_table_id
from dlbackup.tables.definition import Table
from dlbackup.tables.quoting import quote_identifier, quote_literal

TABLES_AT_ONCE = 50
"""How many inlined tables one query reads."""


@dataclass(frozen=True, slots=True)
class FileAnswers:
    """A catalog in a file that a process has open."""

    process: FileProcess
    in_file: str
    tables: tuple[Table, ...]
    rules_at_once: int = ALL_RULES

    @property
    def schema(self) -> str:
        """The quoted name of the schema, with that of the file."""
        return f"{ALIAS}.{quote_identifier(self.in_file)}"

    def ask(self, sql: str) -> Answer:
        """Return what a query says."""
        return self.process.ask(sql)

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield the rows of a query that may have many."""
        return self.process.rows(sql)

    def inlined(self, tables: Sequence[Table], registered: frozenset[str]) -> Iterator[str]:
        """Yield queries for the rows of inlined tables, some tables in each."""
        for first in range(0, len(tables), TABLES_AT_ONCE):
            run = tables[first : first + TABLES_AT_ONCE]
            yield " union all ".join(_rows_of(self.in_file, table, table.name in registered) for table in run)


def _rows_of(schema: str, table: Table, registered: bool) -> str:
    """Return a query for what rules ask of the rows in one inlined table; its texts are what they were."""
    first = ", ".join(
        f"{quote_identifier(column.name)} as {name}"
        for column, name in zip(table.columns, INLINED_COLUMNS[table.kind], strict=False)
    )
    about = f", {str(registered).lower()} as registered, false as hexadecimal" if table.kind == "inlined-data" else ""
    return (
        f"select cast({lake_table_id(table)} as bigint) as table_id, {quote_literal(table.name)} as name,"
        f" {first}{about} from {place(schema, table.name)}"
    )
