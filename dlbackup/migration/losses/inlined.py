"""Inlined tables on PostgreSQL: those of 1.4 hold text where newer engines write bytes, and newer engines make more."""

from typing import TYPE_CHECKING, Any

from dlbackup.lake.answers import Answers, rows_of
from dlbackup.lake.inlined import CONVERSIONS, CURRENT, MOST_COLUMNS
from dlbackup.tables.definition import by_name, inlined_table_id
from dlbackup.tables.quoting import quote_identifier

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres.sessions import Session


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
              select from {{s}}.ducklake_metadata m
              where m.key = 'data_inlining_row_limit' and m.value = '0'
                and (m.scope is null or m.scope = 'schema' and m.scope_id = t.schema_id
                     or m.scope = 'table' and m.scope_id = t.table_id)
          )
        order by 1
        """,
    )


def _types(session: "Session", schema: str, tables: list[str]) -> dict[tuple[str, str], str]:
    """Return the types of the columns of some tables, by table and name."""
    rows = session.execute(
        """
        select c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
        from pg_attribute a
        join pg_class c on c.oid = a.attrelid
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = %s and c.relname = any(%s)
        """,
        [schema, tables],
    )
    return {(table, name): type_ for table, name, type_ in rows}


def convert_inlined(session: "Session", schema: str, found: list[Any]) -> int:
    """Give the columns the types that newer engines write."""
    from dlbackup.catalogs.postgres.locks import AT_ONCE
    from dlbackup.catalogs.postgres.sessions import AS_STORED

    # What engines read is UTF-8: as it is stored, or as the server converts it for them, and for the session.
    as_stored = session.info.parameter_status("client_encoding") == AS_STORED
    there = _types(session, schema, [table for table, _ in found])
    statements = []
    for table, conversions in found:
        actions = ", ".join(
            f"ALTER COLUMN {quote_identifier(name)} TYPE {how.format(c=quote_identifier(name))}"
            for name, old_type, how in conversions
            if there.get((table, name)) == old_type  # done already, when a migration that was cut off is finished
        )
        if as_stored:
            actions = actions.replace("::text, 'UTF8')", f"::text, '{AS_STORED}')")
        if actions:
            statements.append(f"ALTER TABLE {quote_identifier(schema)}.{quote_identifier(table)} {actions}")
    for begin in range(0, len(statements), AT_ONCE):
        session.execute("; ".join(statements[begin : begin + AT_ONCE]).encode())
    return len(found)
