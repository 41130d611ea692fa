"""
The types that a column of a catalog in a SQLite file may be declared with, and what each can hold.

SQLite stores any value in any column; a declared type only says what it tries to make of one. A column's `type` is what
its values are: what the lake has there, where all of them fit that, how SQLite stores them, or `ANY` of these.
"""

import re

_NUMBERS = frozenset({"bigint", "boolean", "BOOLEAN", "ANY"})
_TEXTS = frozenset(
    {
        *("character varying", "timestamp with time zone", "uuid"),
        *("VARCHAR", "UUID", "INTERVAL", "FLOAT", "DOUBLE", "ANY"),
    }
)
_DECIMAL = re.compile(r"DECIMAL\(\d{1,2},\d{1,2}\)")
_TYPES = {
    "BIGINT": _NUMBERS,
    "INTEGER": _NUMBERS,
    "VARCHAR": _TEXTS,
    "TEXT": _TEXTS,
    "DOUBLE": frozenset({"REAL", "ANY"}),
    "BLOB": frozenset({"BYTES", "ANY"}),
}
"""What a column can be, by its declared type: DuckDB declares BIGINT, VARCHAR, DOUBLE and BLOB, and reads them all."""
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_KEPT = {
    "BOOLEAN": "BOOLEAN",
    "UUID": "UUID",
    "INTERVAL": "INTERVAL",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    **dict.fromkeys(_INTEGERS, "bigint"),
    **dict.fromkeys(("BLOB", "VARIANT", "GEOMETRY"), "BYTES"),
}
"""What the column for values of a DuckDB type is; for all others it is text."""
_DECLARED = {"bigint": "BIGINT", "boolean": "BIGINT", "BOOLEAN": "BIGINT", "REAL": "DOUBLE", "BYTES": "BLOB"}


def real_literal(value: float) -> str:
    """Return the constant that SQLite takes for that number; it has no infinity by name, and no NaN."""
    return {float("inf"): "9e999", float("-inf"): "-9e999"}.get(value) or repr(value)


def text_literal(text: bytes) -> bytes:
    """Return a constant for a text: its bytes, where a script can't hold it, since sqlite3 changes line ends there."""
    if b"\0" in text or b"\r\n" in text:
        return b"x'" + text.hex().upper().encode() + b"'"
    return b"'" + text.replace(b"'", b"''") + b"'"


def can_be(declared: str, column_type: str) -> bool:
    """Tell whether the values of a column that is declared so can be of a type."""
    types = _TYPES.get(declared, ())
    return column_type in types or ("VARCHAR" in types and _DECIMAL.fullmatch(column_type) is not None)


def declared_for(column_type: str) -> str:
    """Return how DuckDB declares a column of that type."""
    return _DECLARED.get(column_type, "VARCHAR")


def types_for(value_type: str) -> tuple[str, ...]:
    """Return what a column for inlined values of a DuckDB type is: made by DuckDB 1.5, then by 1.4 if that differs."""
    if _DECIMAL.fullmatch(value_type):
        return (value_type,)
    kept = _KEPT.get(value_type, "VARCHAR")
    return (kept, "REAL") if kept in ("FLOAT", "DOUBLE") else (kept,)
