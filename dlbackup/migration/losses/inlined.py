"""Inlined tables on PostgreSQL: those of 1.4 hold text where newer engines write bytes, and newer engines make more."""

from typing import Any

from dlbackup.catalogs.contract import Mending
from dlbackup.lake.answers import Answers, rows_of
from dlbackup.lake.inlined import CONVERSIONS, CURRENT, MOST_COLUMNS
from dlbackup.tables.definition import by_name, inlined_table_id


def old_inlined_tables(answers: Answers) -> list[Any]:
    """Return (table, [(column, type, conversion)]) for the inlined tables that new rows would go into."""
    tables = by_name(answers.tables)
    current = rows_of(answers, CURRENT + " order by i.table_id")
    columns = rows_of(
        answers,
        """
        select table_id, column_name, column_type
        from {s}.ducklake_column
        where end_snapshot is null and parent_column is null
        """,
    )
    types = {(table, name): type_ for table, name, type_ in columns}
    found = []
    for name in (row[0] for row in current if row[0] in tables):
        table_id = inlined_table_id(name)
        conversions = [
            (column.name, column.type, CONVERSIONS[types[table_id, column.name], column.type])
            for column in tables[name].columns
            if (types.get((table_id, column.name), ""), column.type) in CONVERSIONS
        ]
        if conversions:
            found.append((name, conversions))
    return found


def wide_tables(answers: Answers) -> list[Any]:
    """Return the tables that are too wide to be inlined, and whose lake, schema and own options don't forbid it."""
    return rows_of(
        answers,
        f"""
        select t.table_id
        from {{s}}.ducklake_table t
        where t.end_snapshot is null
          and {MOST_COLUMNS} < (
              select count(*) from {{s}}.ducklake_column c
              where c.table_id = t.table_id and c.end_snapshot is null and c.parent_column is null
          )
          and not exists (
              select 1 from {{s}}.ducklake_metadata m
              where m.key = 'data_inlining_row_limit' and m.value = '0'
                and (m.scope is null or m.scope = 'schema' and m.scope_id = t.schema_id
                     or m.scope = 'table' and m.scope_id = t.table_id)
          )
        order by 1
        """,
    )


def empty_double_tables(answers: Answers) -> list[Any]:
    """Return (table, [(column, type, new type)]) for the empty ones that new rows would go into as doubles."""
    return [(name, columns) for name, columns, rows in _double_tables(answers) if not rows]


def filled_double_tables(answers: Answers) -> list[Any]:
    """Return those of such inlined tables that hold rows."""
    return [name for name, _, rows in _double_tables(answers) if rows]


def _double_tables(answers: Answers) -> list[Any]:
    current = {row[0] for row in rows_of(answers, CURRENT + " order by i.table_id")}
    found = []
    for table in answers.tables:
        columns = [(column.name, column.type, "VARCHAR") for column in table.columns if column.declared == "DOUBLE"]
        if table.name in current and columns:
            ((rows,),) = rows_of(answers, f"select count(*) from {{s}}.{table.name}")
            found.append((table.name, columns, rows))
    return found


def convert_inlined(mending: Mending, found: list[Any]) -> int:
    """Give the columns the types that newer engines write."""
    mending.retype(found)
    return len(found)
