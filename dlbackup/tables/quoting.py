"""
Names and values as SQL text: everything that comes into a statement goes through here.
"""

from collections.abc import Iterable


def quote_identifier(name: str) -> str:
    """Return `name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Return `text` as a standard SQL literal (read with standard_conforming_strings on)."""
    return "'" + text.replace("'", "''") + "'"


def quote_pairs(pairs: Iterable[tuple[int, int]]) -> str:
    """Return pairs of numbers as a table of two columns, which every backend understands."""
    return "values " + ", ".join(f"({int(one)}, {int(two)})" for one, two in pairs)


def qualified(schema: str, name: str) -> str:
    """Return the quoted, schema-qualified name of a table or index."""
    return f"{quote_identifier(schema)}.{quote_identifier(name)}"


def placed(schema: str | None, name: str) -> str:
    """Return a name, with its schema where there is one."""
    return quote_identifier(name) if schema is None else qualified(schema, name)
