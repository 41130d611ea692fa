"""Which columns a lake's table had when an inlined table was made for it, and of which types."""

import string
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from dlbackup.lake.columntypes import duckdb_type
from dlbackup.lake.inlined import INLINED_COLUMNS, lake_table_id
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.quoting import quote_identifier

Layout = dict[str, str]
"""
DuckDB's types by the names of columns as `folded`, since engines store some in small letters; empty where DuckDB has
no such type.
"""
TABLES = ("ducklake_column", "ducklake_schema_versions", "ducklake_snapshot")
"""Whose rows say it."""
_SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_WITHOUT_TEXT = {"variant": "VARIANT", "geometry": "GEOMETRY"}


def folded(name: str) -> str:
    """Return a name in small letters as far as DuckDB takes these for the same: `a` is `A`, but `ä` is not `Ä`."""
    return name.translate(_SMALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """A column of a lake's table, from one snapshot to before another."""

    column: int
    begin: int
    end: int | None
    order: int
    name: str
    type: str
    parent: int | None

    def is_there(self, snapshot: int) -> bool:
        return self.begin <= snapshot and (self.end is None or snapshot < self.end)


class Layouts:
    """
    The layouts that a lake's tables have had.

    Args:
        rows: of the tables that `TABLES` names, as far as the catalog has them; each is read once.
        tables: the ids of the lake's tables that somebody will ask for.
    """

    def __init__(self, rows: Mapping[str, Iterable[Mapping[str, str | None]]], tables: Container[int]) -> None:
        self._columns: dict[int, list[_Version]] = {}
        for row in rows.get("ducklake_column", ()):
            if (of := int(row["table_id"] or 0)) in tables:
                self._columns.setdefault(of, []).append(_version(row))
        self._begins: dict[tuple[int, int | None], int] = {}  # by schema version, and table where that is said
        for name, snapshot in (("ducklake_snapshot", "snapshot_id"), ("ducklake_schema_versions", "begin_snapshot")):
            for row in rows.get(name, ()):
                table = row.get("table_id")
                version = int(row["schema_version"] or 0), None if table is None else int(table)
                begin = int(row[snapshot] or 0)
                self._begins[version] = min(begin, self._begins.get(version, begin))

    def of(self, table: Table, may_store: Callable[[Column, str], bool]) -> Layout | None:
        """
        Return the layout of the rows in an inlined table; None where several could be meant, or none.

        Args:
            may_store: tells whether a column can hold values of a DuckDB type.
        """
        lake_table, version = lake_table_id(table), int(table.name.rpartition("_")[2])
        begin = self._begins.get((version, lake_table), self._begins.get((version, None)))
        if begin is not None and _fits(table, found := self._at(lake_table, begin), may_store):
            return found
        # Its snapshot has expired, or the table has come to inlined rows later: what was there at any time.
        changes = sorted(
            {at for it in self._columns.get(lake_table, ()) for at in (it.begin, it.end) if at is not None}
        )
        possible = [found for at in changes if _fits(table, found := self._at(lake_table, at), may_store)]
        return possible[0] if possible and all(found == possible[0] for found in possible) else None

    def knows(self, table: Table) -> bool:
        """Tell whether the lake has had a table that an inlined one is of: when it has expired, none reads its rows."""
        return lake_table_id(table) in self._columns

    def _at(self, table: int, snapshot: int) -> Layout:
        there = [it for it in self._columns.get(table, ()) if it.is_there(snapshot)]
        return {folded(it.name): _type(it, there) for it in there if it.parent is None}


def _fits(table: Table, layout: Layout, may_store: Callable[[Column, str], bool]) -> bool:
    columns = table.columns[len(INLINED_COLUMNS["inlined-data"]) :]
    return {folded(column.name) for column in columns} == layout.keys() and all(
        may_store(column, layout[folded(column.name)]) for column in columns
    )


def _version(row: Mapping[str, str | None]) -> _Version:
    def number(name: str) -> int | None:
        value = row.get(name)
        return None if value is None else int(value)

    return _Version(
        column=number("column_id") or 0,
        begin=number("begin_snapshot") or 0,
        end=number("end_snapshot"),
        order=number("column_order") or 0,
        name=row["column_name"] or "",
        type=row["column_type"] or "",
        parent=number("parent_column"),
    )


def _type(column: _Version, there: list[_Version]) -> str:
    """Return the DuckDB type of a column, made of those of its own columns; empty where there is none."""
    children = sorted((it for it in there if it.parent == column.column), key=lambda it: it.order)
    types = [_type(child, there) for child in children]
    kind = column.type.lower()
    if not all(types):
        return ""
    if kind == "list" and len(types) == 1:
        return f"{types[0]}[]"
    if kind == "map" and len(types) == 2:
        return f"MAP({types[0]}, {types[1]})"
    if kind == "struct" and types:
        fields = (f"{quote_identifier(child.name)} {type_}" for child, type_ in zip(children, types, strict=True))
        return f"STRUCT({', '.join(fields)})"
    return duckdb_type(column.type) or _WITHOUT_TEXT.get(kind, "")
