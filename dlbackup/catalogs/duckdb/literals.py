"""Rows of a DuckDB file as the texts between the parentheses of a VALUES list, and which values no literal can hold."""

import re
from dataclasses import replace

from dlbackup.catalogs.duckdb.child import ALIAS
from dlbackup.catalogs.duckdb.process import FileProcess
from dlbackup.errors import Unsupported, listed
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.quoting import quote_identifier
from dlbackup.tables.types import written_as

_TEXTS = ("character varying", "VARCHAR", "JSON")
_SAFE = ("uuid", "UUID", "BLOB")
"""Types, beside integers and booleans, whose values their texts always give back, and hold no NUL."""
_NESTED = re.compile(r"STRUCT\(|MAP\(|\[")
_VARIANT = re.compile(r"\bVARIANT\b")
_FLUSH = "have DuckLake write the inlined rows into files: CALL ducklake_flush_inlined_data('lake')"


def place(schema: str, table: str) -> str:
    """Return the name of a table in queries."""
    return f"{ALIAS}.{quote_identifier(schema)}.{quote_identifier(table)}"


def with_marks(process: FileProcess, schema: str, table: Table) -> Table:
    """
    Return a table with the columns marked whose texts hold NUL.

    Raises:
        Unsupported: a value would not be the same when its text is read again; asked of every value.
    """
    asked = [column for column in table.columns if written_as(column.type) == "text" and column.type not in _SAFE]
    if not asked:
        return table
    marks = ", ".join(f"coalesce(bool_or({mark}), false)" for column in asked for mark in _marks(column))
    (found,) = process.ask(f"select {marks} from {place(schema, table.name)}").rows
    lost = [column.name for column, is_lost in zip(asked, found[1::2], strict=True) if is_lost]
    if lost:
        raise Unsupported(
            f"table {table.name} holds values whose text DuckDB does not read as the same value, in column"
            f" {listed(lost, separator=', ')}",
            _FLUSH,
        )
    encoded = {column.name for column, has_nul in zip(asked, found[::2], strict=True) if has_nul}
    return replace(table, columns=tuple(replace(it, encoded=it.name in encoded) for it in table.columns))


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
    values = " || ',' || ".join(map(_value, table.columns))
    return f"select {values} || chr(10) from {place(schema, table.name)}"


def _value(column: Column) -> str:
    name = quote_identifier(column.name)
    if written_as(column.type) != "text":
        return f"coalesce(cast({name} as varchar), 'NULL')"
    text = f"cast(encode(cast({name} as varchar)) as varchar)" if column.encoded else f"cast({name} as varchar)"
    return f"coalesce('''' || replace({text}, '''', '''''') || '''', 'NULL')"
