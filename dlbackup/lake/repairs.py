"""
Which changes of a catalog are repairs that the migration to DuckLake 1.1 makes by itself, and no loss.

By its specification it adds missing `ducklake_schema_versions` rows, gives renamed struct fields the defaults again
that they had, and clears bounds of columns that are stored with the wrong type. Whatever else is other in those tables
than before is a loss as ever. Rows are compared as digests of eight bytes, so memory grows by those.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from typing import Literal

import xxhash

from dlbackup.lake.canonical import canonical_layout
from dlbackup.lake.differences import Reading
from dlbackup.lake.fingerprint import part_of
from dlbackup.tables.definition import Table
from dlbackup.tables.rows import parse

_Row = dict[str, str | None]
_Says = Literal["stays", "may come", "may go"]
_BOUNDS = ("min_value", "max_value")
_DEFAULTS = ("initial_default", "default_value")
_OF_DEFAULTS = (*_DEFAULTS, "default_value_type", "default_value_dialect")
_NO_DEFAULT = (None, "NULL")


def _schema_version(row: _Row) -> Iterator[tuple[_Says, object]]:
    yield "may come", sorted(row.items())


def _column(row: _Row) -> Iterator[tuple[_Says, object]]:
    """Yield what a column is; a field of a struct may get defaults."""
    if row["parent_column"] is None:
        yield "stays", sorted(row.items(), key=str)
        return
    yield "stays", [(name, value) for name, value in row.items() if name not in _OF_DEFAULTS]
    key = (row["table_id"], row["column_id"], row["begin_snapshot"])
    for name in _DEFAULTS:
        if row[name] not in _NO_DEFAULT:
            yield "may come", (key, name, row[name])


def _bounds(*keys: str, whole: bool) -> Callable[[_Row], Iterator[tuple[_Says, object]]]:
    """
    Return what statistics say, whose bounds may go.

    Args:
        whole: and they themselves: no statistics of a table's column say the same as some without bounds.
    """

    def of(row: _Row) -> Iterator[tuple[_Says, object]]:
        key = [row[name] for name in keys]
        yield "may go" if whole else "stays", [(name, value) for name, value in row.items() if name not in _BOUNDS]
        for name in _BOUNDS:
            if row[name] is not None:
                yield "may go", (key, name, row[name])

    return of


_REPAIRED: dict[str, Callable[[_Row], Iterator[tuple[_Says, object]]]] = {
    "ducklake_schema_versions": _schema_version,
    "ducklake_column": _column,
    "ducklake_file_column_stats": _bounds("data_file_id", "column_id", whole=False),
    "ducklake_table_column_stats": _bounds("table_id", "column_id", whole=True),
}


class _Facts:
    """What the rows of some tables say, as digests."""

    def __init__(self, parts: Collection[str]) -> None:
        self._parts = parts
        self._found: defaultdict[tuple[str, _Says], array[int]] = defaultdict(lambda: array("Q"))

    def seen(self, table: Table, text: bytes, _: bytes) -> None:
        """Take a row."""
        part = part_of(table)
        if part in self._parts:
            names = canonical_layout()[part].column_names
            for says, fact in _REPAIRED[part](dict(zip(names, parse(text), strict=True))):
                self._found[part, says].append(xxhash.xxh3_64_intdigest(repr(fact).encode()))

    def of(self, part: str, says: _Says) -> list[int]:
        """Return the digests of one kind, in order."""
        return sorted(self._found[part, says])


def repaired(parts: Collection[str], before: Reading, after: Reading) -> frozenset[str]:
    """
    Return those parts of a fingerprint in which two catalogs differ by repairs alone.

    Args:
        parts: in which they differ.
    """
    wanted = _REPAIRED.keys() & set(parts)
    if not wanted:
        return frozenset()
    was, is_now = _Facts(wanted), _Facts(wanted)
    before(was.seen)
    after(is_now.seen)
    return frozenset(
        part
        for part in wanted
        if was.of(part, "stays") == is_now.of(part, "stays")
        and _are_among(was.of(part, "may come"), is_now.of(part, "may come"))
        and _are_among(is_now.of(part, "may go"), was.of(part, "may go"))
    )


def _are_among(some: list[int], others: list[int]) -> bool:
    """Tell whether each of some is among others, as often; both are in order."""
    there = iter(others)
    return all(one in there for one in some)
