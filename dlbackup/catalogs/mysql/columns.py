"""Columns of a catalog in MySQL, and how DuckDB 1.5 would have stored their values in a SQLite file."""

import re
import sqlite3
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from dlbackup.errors import Unsupported
from dlbackup.lake.layouts import TABLES, Layouts, folded
from dlbackup.tables.definition import Column, Table, inlined_table_id, is_inlined
from dlbackup.tables.quoting import quote_identifier

_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_FLOATS = frozenset({"float", "double"})
_TIMES = frozenset({"datetime", "timestamp"})
_TEXTS = frozenset(
    {"decimal", "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "json", "time", "date", "uuid"}
)
_BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_KEY = "PRI"
_FRACTION = re.compile(r"\.?0*$")
_WITH_ZONE = "TIMESTAMP WITH TIME ZONE"
_HUGE = "HUGEINT"


@dataclass(frozen=True, slots=True, kw_only=True)
class MysqlColumn:
    """
    A column: as MySQL has it, and how DuckDB would have declared it in a SQLite file.

    Args:
        value_type: DuckDB's type of the values, where it counts and is known.
    """

    name: str
    type: str
    declared: str
    is_key: bool
    is_nullable: bool
    value_type: str

    @property
    def asked(self) -> str:
        """What is asked for: of a FLOAT all digits, and not six."""
        name = "`" + self.name.replace("`", "``") + "`"
        return f"CAST({name} AS DOUBLE)" if self.type == "float" else name

    def stored(self, value: str | bytes | None) -> object:
        """Return the value as DuckDB would have stored it."""
        if value is None or self.declared == "BLOB":
            return value.encode() if isinstance(value, str) else value
        text = value.decode() if isinstance(value, bytes) else value
        if self.declared == "BIGINT":
            return int(text)
        if self.type in _FLOATS:
            return str(int(float(text))) if self.value_type == _HUGE else repr(float(text))
        if self.type in _TIMES:
            text = _FRACTION.sub("", text) if "." in text else text
            return f"{text}+00" if self.value_type == _WITH_ZONE else text
        return text


def definitions_of(columns: Sequence[MysqlColumn]) -> str:
    """Return what stands in the parentheses of CREATE TABLE."""
    keys = [quote_identifier(column.name) for column in columns if column.is_key]
    found = []
    for column in columns:
        key = " PRIMARY KEY" if column.is_key and len(keys) == 1 else "" if column.is_nullable else " NOT NULL"
        found.append(f"{quote_identifier(column.name)} {column.declared}{key}")
    return ", ".join([*found, *([f"PRIMARY KEY ({', '.join(keys)})"] if len(keys) > 1 else [])])


def column_of(table: str, name: str, kind: str, whole: str, nullable: str, key: str) -> MysqlColumn:
    """
    Return a column, as information_schema describes it.

    Raises:
        Unsupported: nobody makes such a one.
    """
    kind = kind.lower()
    if kind in _INTEGERS:
        declared = "VARCHAR" if kind == "bigint" and "unsigned" in whole else "BIGINT"
    elif kind in _BYTES:
        declared = "BLOB"
    elif kind in _TEXTS | _FLOATS | _TIMES:
        declared = "VARCHAR"
    else:
        raise Unsupported(f"column {name} of table {table} is of type {whole}, which no engine makes in MySQL")
    return MysqlColumn(
        name=name,
        type=kind,
        declared=declared,
        is_key=key == _KEY,
        is_nullable=nullable == "YES",
        value_type=_WITH_ZONE if kind in _TIMES and not is_inlined(table) else "",
    )


def told(copy: sqlite3.Connection, tables: Mapping[str, Sequence[MysqlColumn]]) -> dict[str, list[MysqlColumn]]:
    """
    Return inlined tables with the types of values that MySQL has no type for, as far as the lake's own tables tell.

    MySQL has neither a HUGEINT, which is a DOUBLE there and read as the integer that this is, nor a time with a zone.

    Args:
        copy: has the fixed tables by now.
    """
    asked = {of for name, columns in tables.items() if any(map(_hides, columns)) and (of := inlined_table_id(name))}
    layouts = _layouts(copy, asked) if asked else None
    found = {}
    for name, columns in tables.items():
        layout = _layout(layouts, name, columns)
        found[name] = [_told(column, layout) for column in columns]
    return found


def _hides(column: MysqlColumn) -> bool:
    return column.type == "double" or column.type in _TIMES


def _layouts(copy: sqlite3.Connection, lake_tables: Container[int]) -> Layouts | None:
    there = {name for (name,) in copy.execute("select name from sqlite_master where type = 'table'")}
    with suppress(KeyError, ValueError):  # of a damaged catalog
        return Layouts({name: _rows(copy, name) for name in TABLES if name in there}, lake_tables)
    return None


def _layout(layouts: Layouts | None, name: str, columns: Sequence[MysqlColumn]) -> Mapping[str, str]:
    if layouts is None or inlined_table_id(name) is None:
        return {}
    table = Table(name=name, columns=tuple(Column(name=it.name, type=it.declared) for it in columns))
    return layouts.of(table, lambda column, value_type: True) or {}


def _told(column: MysqlColumn, layout: Mapping[str, str]) -> MysqlColumn:
    return replace(column, value_type=layout.get(folded(column.name), "")) if _hides(column) else column


def _rows(copy: sqlite3.Connection, table: str) -> Iterator[dict[str, Any]]:
    found = copy.execute(f"select * from {quote_identifier(table)}")
    names = [column for column, *_ in found.description]
    return (dict(zip(names, row, strict=True)) for row in found)
