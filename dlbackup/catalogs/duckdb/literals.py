"""Rows of a DuckDB file as the texts between the parentheses of a VALUES list, and which values no literal can hold."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from dlbackup.catalogs.duckdb.child import ALIAS
from dlbackup.catalogs.duckdb.process import FileProcess
from dlbackup.errors import DlbackupError, Unsupported, listed
from dlbackup.lake.inlined import Row, called
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.quoting import quote_identifier, quote_literal
from dlbackup.tables.types import written_as

_TEXTS = ("character varying", "VARCHAR", "JSON")
_SAFE = ("uuid", "UUID", "BLOB")
"""Types, beside integers and booleans, whose values their texts always give back, and hold no NUL."""
_NESTED = re.compile(r"STRUCT\(|MAP\(|\[")
_VARIANT = re.compile(r"\bVARIANT\b")
_COLUMNS_AT_ONCE = 500
"""How many columns one query asks."""
_FLUSH = "have DuckLake write the inlined rows into files: CALL ducklake_flush_inlined_data('lake')"


def place(schema: str, table: str) -> str:
    """Return the name of a table in queries."""
    return f"{ALIAS}.{quote_identifier(schema)}.{quote_identifier(table)}"


def with_marks(process: FileProcess, schema: str, tables: Sequence[Table]) -> Iterator[Table]:
    """
    Yield the tables with the columns marked whose texts hold NUL.

    Raises:
        Unsupported: a value would not be the same when its text is read again; asked of every value.
    """
    run: list[Table] = []
    columns = 0
    for table in tables:
        run.append(table)
        columns += len(table.columns)
        if columns >= _COLUMNS_AT_ONCE:
            yield from _marked(process, schema, run)
            run, columns = [], 0
    yield from _marked(process, schema, run)


def _marked(process: FileProcess, schema: str, tables: Sequence[Table]) -> Iterator[Table]:
    """Yield some tables, all of which are asked in one query but for what a wide one has more of columns."""
    asked = {table.name: [column for column in table.columns if _is_asked(column)] for table in tables}
    found = dict.fromkeys(asked, "")
    for first in range(0, max(map(len, asked.values()), default=0), _COLUMNS_AT_ONCE):
        queries = [
            f"select {quote_literal(name)}, concat({', '.join(flag for it in some for flag in _flags(it))})"
            f" from {place(schema, name)}"
            for name, columns in asked.items()
            if (some := columns[first : first + _COLUMNS_AT_ONCE])
        ]
        for name, flags in process.ask(" union all ".join(queries)).rows:
            found[name] += flags
    for table in tables:
        flags = found[table.name]
        lost = [it.name for it, flag in zip(asked[table.name], flags[1::2], strict=True) if flag == "1"]
        if lost:
            raise Unsupported(
                f"{_called(process, schema, table)} holds values whose text DuckDB does not read as the same value,"
                f" in column {listed(lost, separator=', ')}",
                _FLUSH,
            )
        encoded = {it.name for it, flag in zip(asked[table.name], flags[::2], strict=True) if flag == "1"}
        if encoded:
            table = replace(table, columns=tuple(replace(it, encoded=it.name in encoded) for it in table.columns))
        yield table


def _called(process: FileProcess, schema: str, table: Table) -> str:
    """Return what users call a table; the inlined one's own name where the catalog can't be asked."""

    def rows(name: str, columns: str) -> list[Row]:
        with suppress(DlbackupError):
            found = process.ask(
                f"select begin_snapshot::bigint as begin_snapshot, {columns} from {place(schema, name)}"
            )
            return [dict(zip(found.columns, row, strict=True)) for row in found.rows]
        return []

    tables = rows("ducklake_table", "table_id, schema_id, table_name")
    return called(table, tables, rows("ducklake_schema", "schema_id, schema_name"))


def _is_asked(column: Column) -> bool:
    return written_as(column.type) == "text" and column.type not in _SAFE


def _flags(column: Column) -> Iterator[str]:
    """Yield for the two marks of a column an expression that is 1 where a value has it, and else 0."""
    for mark in _marks(column):
        yield "'0'" if mark == "false" else f"cast(coalesce(bool_or({mark}), false) as integer)"


def _marks(column: Column) -> tuple[str, str]:
    """Return the conditions that a value's text holds NUL, and that the text doesn't give the value back."""
    name = quote_identifier(column.name)
    text = f"cast({name} as varchar)"
    if _VARIANT.search(column.type):
        return "false", f"{name} is not null"
    has_nul = f"contains({text}, chr(0))" if column.type in _TEXTS or _NESTED.search(column.type) else "false"
    is_lost = "false" if column.type in _TEXTS else f"try_cast({text} as {column.type}) is distinct from {name}"
    return has_nul, is_lost


def row_query(schema: str, table: Table) -> str:
    """Return the query for a table's rows, each as one text that ends with a line feed."""
    # One call, whatever the number of columns: DuckDB takes no expression of more than 1,000 operators.
    values = ", ',', ".join(map(_value, table.columns))
    return f"select concat({values}, chr(10)) from {place(schema, table.name)}"


def _value(column: Column) -> str:
    name = quote_identifier(column.name)
    if written_as(column.type) != "text":
        return f"coalesce(cast({name} as varchar), 'NULL')"
    text = f"cast(encode(cast({name} as varchar)) as varchar)" if column.encoded else f"cast({name} as varchar)"
    return f"coalesce('''' || replace({text}, '''', '''''') || '''', 'NULL')"
