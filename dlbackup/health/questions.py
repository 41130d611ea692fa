"""A rule becomes SQL that can be asked: placeholders filled, several rules in one question."""

import re
from collections.abc import Iterable, Mapping, Sequence

from dlbackup.health.evidence import EVIDENCE
from dlbackup.lake.inlined import INLINED_COLUMNS, SUSPECT_TYPES, lake_table_id
from dlbackup.tables.definition import Table
from dlbackup.tables.quoting import quote_literal

_SHORTEST_CUT = 60
"""Names are cut to 63 bytes, before the character that would be cut through; one has up to four bytes."""
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def first_rows(query: str, number: int = 0) -> str:
    """Return a query for the first rows of another, each with the number of all rows and a mark in front."""
    mark = f"count(*) over () as row_total, {number} as rule_number"
    return f"select {mark}, q.* from ({query}) q order by q limit {EVIDENCE}"


def filled(text: str, names: Mapping[str, str]) -> str:
    """Fill in placeholders, in one pass: what is filled in may look like one."""
    return _PLACEHOLDER.sub(lambda match: names.get(match[1], match[0]), text)


def present(tables: Iterable[Table]) -> str:
    """Return a relation of the inlined tables that there are."""
    rows = [(str(lake_table_id(table)), table.name) for table in tables if table.kind != "fixed"]
    return _relation(("table_id", "name"), rows)


def suspects(tables: Iterable[Table]) -> str:
    """Return a relation of the inlined columns whose type is not what engines of today make."""
    rows = [
        (str(lake_table_id(table)), table.name, column.name, column.type)
        for table in tables
        for column in table.columns[len(INLINED_COLUMNS["inlined-data"]) :]
        if column.type in SUSPECT_TYPES
    ]
    return _relation(("table_id", "name", "column_name", "type"), rows)


def cut(tables: Iterable[Table]) -> str:
    """Return a relation of the inlined columns with names so long that the server may have cut them."""
    rows = [
        (str(lake_table_id(table)), table.name, column.name)
        for table in tables
        for column in table.columns[len(INLINED_COLUMNS["inlined-data"]) :]
        if table.kind == "inlined-data" and len(column.name.encode()) >= _SHORTEST_CUT
    ]
    return _relation(("table_id", "name", "column_name"), rows)


def _relation(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a relation of texts, whose first column is a number."""
    if not rows:
        empty = ", ".join(f"cast(null as {'varchar' if i else 'bigint'}) as {c}" for i, c in enumerate(columns))
        return f"(select {empty} where false)"
    listed = ", ".join(f"({row[0]}, {', '.join(map(quote_literal, row[1:]))})" for row in rows)
    return f"(select * from (values {listed}) listed ({', '.join(columns)}))"
