"""
The types that a column of a catalog in a SQLite file may be declared with, and what each can hold.

SQLite stores any value in any column; a declared type only says what it tries to make of one. A column's `type` is what
its values are: what the lake has there, where all of them fit that, how SQLite stores them, or `ANY` of these.
"""

_NUMBERS = frozenset({"bigint", "boolean", "BOOLEAN", "ANY"})
_TEXTS = frozenset(
    {"character varying", "timestamp with time zone", "uuid", "VARCHAR", "UUID", "FLOAT", "DOUBLE", "ANY"}
)
TYPES = {
    "BIGINT": _NUMBERS,
    "INTEGER": _NUMBERS,
    "VARCHAR": _TEXTS,
    "TEXT": _TEXTS,
    "DOUBLE": frozenset({"REAL", "ANY"}),
    "BLOB": frozenset({"BYTES", "ANY"}),
}
"""What a column can be, by its declared type: DuckDB declares BIGINT, VARCHAR, DOUBLE and BLOB, and reads them all."""
