"""
The types that a column of a catalog in a DuckDB file may have, as DuckDB prints them; a closed grammar.

A type stands in a statement as it is, unquoted: what is not one of these, and no list, struct or map of them, is
refused.
"""

import re
from itertools import count

STANDARD = {
    "BIGINT": "bigint",
    "BOOLEAN": "boolean",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "UUID": "uuid",
    "VARCHAR": "character varying",
}
"""
The types of fixed tables, by the names that every backend knows: so all look alike.

Columns of inlined tables have DuckDB's own names: PostgreSQL stores a lake's types otherwise.
"""
_PLAIN = re.compile(
    r"TIMESTAMP(?: WITH TIME ZONE|_NS|_MS|_S)?|DATE|TIME(?: WITH TIME ZONE|_NS)?|INTERVAL|BOOLEAN|UUID"
    r"|U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\([0-9]{1,2},[0-9]{1,2}\)"
    r"|VARCHAR|BLOB|JSON|VARIANT|GEOMETRY"
)
_LISTS = re.compile(r"(?:\[[0-9]{0,6}\])*+")
_NAME = re.compile(r'(?:"(?:[^"\0\ud800-\udfff]|"")++"|[A-Za-z_][A-Za-z0-9_]*+) ')
_DEEPEST = 100


def is_type(text: str) -> bool:
    """Tell whether a text is one of the types."""
    return text in STANDARD.values() or _end(text, 0, 0) == len(text)


def _end(text: str, at: int, depth: int) -> int:
    """Return where the type ends that begins there; -1 where none does."""
    if depth > _DEEPEST:
        return -1
    if text.startswith("STRUCT(", at):
        end, _ = _end_of_list(text, at + len("STRUCT("), depth, named=True)
    elif text.startswith("MAP(", at):
        end, types = _end_of_list(text, at + len("MAP("), depth, named=False)
        end = end if types == 2 else -1
    else:
        match = _PLAIN.match(text, at)
        end = match.end() if match else -1
    lists = _LISTS.match(text, end) if end >= 0 else None
    return lists.end() if lists else -1


def _end_of_list(text: str, at: int, depth: int, *, named: bool) -> tuple[int, int]:
    """Return where a list of types ends with its parenthesis, or -1, and how many there are."""
    for types in count(1):
        if named:
            name = _NAME.match(text, at)
            if name is None:
                break
            at = name.end()
        at = _end(text, at, depth + 1)
        if at >= 0 and text.startswith(")", at):
            return at + 1, types
        if at < 0 or not text.startswith(", ", at):
            break
        at += len(", ")
    return -1, 0
