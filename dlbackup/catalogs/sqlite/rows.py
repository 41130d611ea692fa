"""Rows of a SQLite file as the texts between the parentheses of a VALUES list."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, Protocol, TypeVar

from dlbackup.errors import CatalogError
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.digest import Block
from dlbackup.tables.quoting import quote_identifier
from dlbackup.tables.sqlitetypes import real_literal, text_literal
from dlbackup.tables.types import Written, written_as

_Part = TypeVar("_Part")


class Cursor(Protocol):
    """What a statement gave, as of sqlite3."""

    @property
    def rowcount(self) -> int:
        """How many rows it touched."""
        ...

    def fetchone(self) -> Any:
        """Return the next row; None where there is none."""
        ...

    def fetchmany(self, size: int, /) -> list[Any]:
        """Return as many of the next rows as there are."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A file that is open, in this process or in another; texts come as `Text`."""

    def execute(self, sql: str, /) -> Cursor:
        """Execute a statement."""
        ...

    def close(self) -> None:
        """Roll back what is open, and let go of the file."""
        ...


ROWS_AT_ONCE = 2_000
_MOST_IN_SQL = 200
"""So many columns SQLite joins itself, which takes a quarter of the time; more would be too deep an expression."""
_MOST_ARGUMENTS = 50
"""So many values one call of printf gets, where SQLite takes 100."""
_BY_SQLITE: dict[Written, tuple[str, str]] = {
    "integer": ("%s", "ifnull({c}, 'NULL')"),
    "boolean": ("%s", "case {c} when 1 then 'true' when 0 then 'false' else 'NULL' end"),
    "text": ("%Q", "{c}"),
    "bytes": ("%s", "quote({c})"),
}
"""How printf writes a value, and what of it; `%Q` is `quote` of texts that hold no NUL, as these, and of NULL."""
_NUL = "instr({c}, char(0)) > 0"
_LINE_END = "instr({c}, char(13, 10)) > 0"
"""Of texts that hold it, the command line of SQLite would change the line ends when it reads a script."""
_ENCODED = ("%s", f"case when {_NUL} or {_LINE_END} then 'x''' || hex({{c}}) || '''' else quote({{c}}) end")


def row_texts(connection: Connection, table: Table, where: str = "") -> Iterator[Block]:
    """
    Yield the texts of a table's rows in blocks, in the order in which SQLite keeps them.

    Args:
        connection: gives texts as bytes.
        where: which rows; empty for all.
    """
    columns = [quote_identifier(column.name) for column in table.columns]
    name = quote_identifier(table.name)
    encoding = bytes(connection.execute("pragma encoding").fetchone()[0])
    ways = [_way(column, encoding) for column in table.columns]
    if len(columns) <= _MOST_IN_SQL and all(ways):
        parts = [(way[0], way[1].replace("{c}", column)) for way, column in zip(ways, columns, strict=True) if way]
        cursor = connection.execute(f"select {_joined(parts)} || char(10) from {name}{where}")
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield _checked([row for (row,) in rows], table)
        return
    writers = [_writer(column) for column in table.columns]
    cursor = connection.execute(f"select {', '.join(columns)} from {name}{where}")
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        texts = [b",".join(write(value) for write, value in zip(writers, row, strict=True)) + b"\n" for row in rows]
        yield _checked(texts, table)


def _way(column: Column, encoding: bytes) -> tuple[str, str] | None:
    """Return the SQL for a column's texts; None where there is none, as for UTF-8 of a file that is in UTF-16."""
    if column.encoded:
        return _ENCODED if encoding == b"UTF-8" else None
    return _BY_SQLITE.get(written_as(column.type))


def _joined(parts: Sequence[tuple[str, str]]) -> str:
    return " || ',' || ".join(
        f"printf('{','.join(how for how, _ in run)}', {', '.join(what for _, what in run)})"
        for run in _runs(parts, _MOST_ARGUMENTS)
    )


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


_ODD = {
    **dict.fromkeys(("BIGINT", "INTEGER"), "typeof({c}) <> 'integer' and {c} is not null"),
    **dict.fromkeys(
        ("VARCHAR", "TEXT"), f"case typeof({{c}}) when 'text' then {_NUL} or {_LINE_END} else {{c}} is not null end"
    ),
}
"""Whether a value is not what columns that are declared so usually hold; that takes a quarter of asking for all."""
Flags = tuple[bool, ...]
"""Whether a column holds integers, other ones than 0 and 1, reals, texts, bytes, a NUL in a text, CR LF in one."""


def flags(connection: Connection, table: str, declared: Mapping[str, str]) -> Mapping[str, Flags]:
    """Return what the columns of a table hold; `declared` are their types, by name."""
    usual = {name: type_ for name, type_ in declared.items() if type_ in _ODD}
    odd = [_ODD[type_].replace("{c}", quote_identifier(name)) for name, type_ in usual.items()]
    if any(_is_there(connection, table, " or ".join(run)) for run in _runs(odd, _MOST_IN_SQL)):
        usual = {}
    found = {name: _usual_flags(connection, table, name, type_) for name, type_ in usual.items()}
    return found | dict(_all_flags(connection, table, [name for name in declared if name not in usual]))


def _usual_flags(connection: Connection, table: str, name: str, declared: str) -> Flags:
    column = quote_identifier(name)
    there = _is_there(connection, table, f"{column} is not null")
    if declared in ("VARCHAR", "TEXT"):
        return (False, False, False, there, False, False, False)
    others = _is_there(connection, table, f"{column} not in (0, 1)")
    return (there, others, False, False, False, False, False)


def _is_there(connection: Connection, table: str, condition: str) -> bool:
    """Tell whether a row fulfills a condition; no more rows are read than that takes."""
    query = f"select exists (select 1 from {quote_identifier(table)} where {condition})"
    return bool(connection.execute(query).fetchone()[0])


def _all_flags(connection: Connection, table: str, columns: Sequence[str]) -> Iterator[tuple[str, Flags]]:
    asked = (
        "max(typeof({c}) = 'integer'), max(typeof({c}) = 'integer' and {c} not in (0, 1)), max(typeof({c}) = 'real'),"
        " max(typeof({c}) = 'text'), max(typeof({c}) = 'blob'),"
        f" max(typeof({{c}}) = 'text' and {_NUL}), max(typeof({{c}}) = 'text' and {_LINE_END})"
    )
    for run in _runs(columns, _MOST_IN_SQL):
        query = ", ".join(asked.replace("{c}", quote_identifier(name)) for name in run)
        found = connection.execute(f"select {query} from {quote_identifier(table)}").fetchone()
        answers = zip(*repeat(iter(found), asked.count("max(")), strict=True)
        for name, its in zip(run, answers, strict=True):
            yield name, tuple(map(bool, its))


def _runs(parts: Sequence[_Part], most: int) -> Iterator[Sequence[_Part]]:
    for first in range(0, len(parts), most):
        yield parts[first : first + most]
