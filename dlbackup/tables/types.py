"""
What a column's type says of its values: how a row writes them, and what a lake's own stand for.

Types have the names that PostgreSQL's `format_type` prints; what is only DuckDB's has the name that DuckDB prints, and
what is only SQLite's one that says how its values are stored. What is not named here is text.
"""

from typing import Literal

Dialect = Literal["postgres", "duckdb", "sqlite"]
"""Whose SQL a backup's statements are, and so which backend it is of."""
TIMES_ARE_TEXTS: frozenset[str] = frozenset({"sqlite"})
"""In whose catalogs times are texts, which DuckDB compares as such in its own clean-up."""
Written = Literal["integer", "boolean", "text", "real", "bytes", "any"]
"""
How a value stands in a row: a bare number, `true` or `false`, or a literal.

Only SQLite's values are also reals (`1.5e+300`, bare), bytes (`X'00FF'`), or any of these in one column.
"""
Stored = Literal["alike", "decimal", "interval", "single", "double", "bytes", "escaped", "text"]
"""
What the text of an inlined value is made of; every engine stores values of types that are `alike` in that type.

DuckDB's intervals and decimals are PostgreSQL's, but printed otherwise.
"""
_WRITTEN: dict[str, Written] = {
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "boolean": "boolean",
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT"), "integer"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER"), "integer"),
    "BOOLEAN": "boolean",
    "REAL": "real",
    "BYTES": "bytes",
    "ANY": "any",
}
_STORED: dict[str, Stored] = {
    **dict.fromkeys(_WRITTEN, "alike"),
    "numeric": "alike",
    "uuid": "alike",
    "interval": "alike",
    "real": "single",
    "double precision": "double",
    "bytea": "bytes",
    "UUID": "alike",
    "INTERVAL": "interval",
    "FLOAT": "single",
    "DOUBLE": "double",
    "BLOB": "escaped",
    "REAL": "double",
    "BYTES": "bytes",
    "ANY": "text",
}


def written_as(column_type: str) -> Written:
    """Return how the values of a column stand in a row."""
    return _WRITTEN.get(column_type, "text")


def stored_as(column_type: str) -> Stored:
    """Return what the values of a column of an inlined table are stored as."""
    if column_type.startswith("DECIMAL(") and column_type.endswith(")"):
        return "decimal"
    return _STORED.get(column_type, "text")
