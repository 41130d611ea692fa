"""Inlined tables on PostgreSQL: those of 1.4 hold text where newer engines write bytes, and newer engines make more."""

from typing import Any

from dlbackup.catalogs.contract import Mending
from dlbackup.lake.answers import Answers, rows_of
from dlbackup.lake.inlined import CONVERSIONS, CURRENT, LIMIT, MOST_COLUMNS
from dlbackup.migration.losses.current import REGISTRY, Current, current_tables
from dlbackup.tables.definition import by_name
from dlbackup.tables.quoting import quote_literal, quote_pairs


def old_inlined_tables(answers: Answers) -> list[Any]:
    """
    Return (table, [(column, type, conversion)]) for the inlined tables that new rows would go into.

    Not of those that are outdated: what is a text there may be another column than the one of that name now.
    """
    tables = by_name(answers.tables)
    found = []
    for current in current_tables(answers):
        types = {name: type_ for _, name, type_, parent in current.then if parent is None}
        conversions = [
            (column.name, column.type, CONVERSIONS[types[column.name], column.type])
            for column in tables[current.name].columns
            if (types.get(column.name, ""), column.type) in CONVERSIONS
        ]
        if conversions and not current.is_outdated:
            found.append((current.name, conversions))
    return found


def wide_tables(answers: Answers) -> list[Any]:
    """Return the tables that are too wide to be inlined, where no option forbids it."""
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
          and {LIMIT} <> '0'
        order by 1
        """,
    )


def empty_outdated_tables(answers: Answers) -> list[Any]:
    """Return (lake table, name, schema version) of the outdated inlined tables that hold no rows."""
    return [(it.table, it.name, it.version) for it in _getting_rows(answers) if not _has_rows(answers, it.name)]


def filled_outdated_tables(answers: Answers) -> list[Any]:
    """Return those that hold rows."""
    return [it.name for it in _getting_rows(answers) if _has_rows(answers, it.name)]


def _getting_rows(answers: Answers) -> list[Current]:
    return [it for it in current_tables(answers) if it.is_outdated and not it.forbidden]


def _has_rows(answers: Answers, name: str) -> bool:
    return bool(rows_of(answers, f"select 1 from {{s}}.{name} limit 1"))


def unregister(mending: Mending, found: list[Any]) -> int:
    """Take inlined tables from the registry, so that engines make new ones; they stay, empty, and nobody reads them."""
    pairs = quote_pairs((table, version) for table, _, version in found)
    return mending.execute(
        f"""
        with x (table_id, version) as ({pairs})
        delete from {{s}}.{REGISTRY} as i
        where exists (select 1 from x where x.table_id = i.table_id and x.version = i.schema_version)
        """
    )


def registered(found: list[Any]) -> dict[str, list[bytes]]:
    """Return the rows that `unregister` takes away, by table."""
    return {REGISTRY: [f"{table},{quote_literal(name)},{version}\n".encode() for table, name, version in found]}


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
