"""Rows of a SQLite file as the texts between the parentheses of a VALUES list."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat

from dlbackup.errors import CatalogError
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.digest import Block
from dlbackup.tables.quoting import quote_identifier
from dlbackup.tables.sqlitetypes import real_literal, text_literal
from dlbackup.tables.types import Written, written_as

ROWS_AT_ONCE = 2_000
_MOST_IN_SQL = 200
"""So many columns SQLite joins itself, which takes half of the time; more would be too deep an expression."""
_BY_SQLITE: dict[Written, str] = {
    "integer": "ifnull({c}, 'NULL')",
    "boolean": "case {c} when 1 then 'true' when 0 then 'false' else 'NULL' end",
    "text": "quote({c})",
    "bytes": "quote({c})",
}
_NUL = "instr(cast({c} as blob), x'00') > 0"
_LINE_END = "instr(cast({c} as blob), x'0d0a') > 0"
"""Of texts that hold it, the command line of SQLite would change the line ends when it reads a script."""
_ENCODED = f"case when {_NUL} or {_LINE_END} then 'x''' || hex({{c}}) || '''' else quote({{c}}) end"


def row_texts(connection: sqlite3.Connection, table: Table, where: str = "") -> Iterator[Block]:
    """
    Yield the texts of a table's rows in blocks, in the order in which SQLite keeps them.

    Args:
        connection: gives texts as bytes.
        where: which rows; empty for all.
    """
    columns = [quote_identifier(column.name) for column in table.columns]
    name = quote_identifier(table.name)
    ways = [_way(column) for column in table.columns]
    if len(columns) <= _MOST_IN_SQL and all(ways):
        parts = (way.replace("{c}", column) for way, column in zip(ways, columns, strict=True) if way)
        joined = " || ',' || ".join(parts)
        cursor = connection.execute(f"select {joined} || char(10) from {name}{where}")
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield _checked([row for (row,) in rows], table)
        return
    writers = [_writer(column) for column in table.columns]
    cursor = connection.execute(f"select {', '.join(columns)} from {name}{where}")
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        texts = [b",".join(write(value) for write, value in zip(writers, row, strict=True)) + b"\n" for row in rows]
        yield _checked(texts, table)


def _way(column: Column) -> str:
    return _ENCODED if column.encoded else _BY_SQLITE.get(written_as(column.type), "")


def _writer(column: Column) -> Callable[[object], bytes]:
    if written_as(column.type) == "boolean":
        return lambda value: b"NULL" if value is None else b"true" if value else b"false"
    return _odd_or_literal if column.encoded else _literal


def _odd_or_literal(value: object) -> bytes:
    return text_literal(bytes(value)) if isinstance(value, Text) else _literal(value)


def _literal(value: object) -> bytes:
    """Return a constant of the storage class that a value has; texts come as bytes, bytes as memory views."""
    match value:
        case None:
            return b"NULL"
        case int():
            return b"%d" % value
        case float():
            return real_literal(value).encode()
        case Text():
            return b"'" + bytes(value).replace(b"'", b"''") + b"'"
        case bytes():
            return b"X'" + value.hex().upper().encode() + b"'"
    raise AssertionError(f"SQLite has no {type(value).__name__}")


class Text(bytes):
    """A text's bytes, told from a BLOB's."""


def _checked(rows: list[bytes], table: Table) -> list[bytes]:
    """Refuse texts that no backup can hold."""
    text = b"".join(rows)
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError as exc:
            raise CatalogError(
                f"table {table.name} holds text that is not UTF-8: {text[max(0, exc.start - 20) : exc.start + 20]!r}",
                "no DuckDB reads it; mend the value with sqlite3",
            ) from exc
    return rows


def flags(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> Iterator[tuple[bool, ...]]:
    """Yield of each column whether it holds integers, other ones than 0 and 1, reals, texts, bytes, NUL, CR LF."""
    asked = (
        "max(typeof({c}) = 'integer'), max(typeof({c}) = 'integer' and {c} not in (0, 1)), max(typeof({c}) = 'real'),"
        " max(typeof({c}) = 'text'), max(typeof({c}) = 'blob'),"
        f" max(typeof({{c}}) = 'text' and {_NUL}), max(typeof({{c}}) = 'text' and {_LINE_END})"
    )
    for first in range(0, len(columns), _MOST_IN_SQL):
        run = columns[first : first + _MOST_IN_SQL]
        query = ", ".join(asked.replace("{c}", quote_identifier(name)) for name in run)
        found = connection.execute(f"select {query} from {quote_identifier(table)}").fetchone()
        for answers in zip(*repeat(iter(found), asked.count("max(")), strict=True):
            yield tuple(bool(it) for it in answers)
