"""
Bars against stale clients: two CHECK constraints that turn an old client's silent damage into an error.

A client that attached before a migration goes on writing what its own spec version wants; from 0.4 on that
leaves NULL in `ducklake_schema_versions.table_id` and mapping ids in `ducklake_data_file.partial_max`. With
the bars its CREATE, ALTER, DROP and add_data_files fail; its plain inserts pass, also one of text with backslashes
into a converted inlined table, which reads otherwise afterwards (not barred yet). DuckDB 1.5.5 does everything with
them in place. They are no part of DuckLake's layout: left by choice, taken away by `unbar`.
"""

from typing import TYPE_CHECKING

from dlbackup.lake import spec
from dlbackup.tables.quoting import qualified, quote_identifier

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres.sessions import Session


BARS = {
    "ducklake_schema_versions": ("dlbackup_bar_schema_versions", "table_id IS NOT NULL"),
    "ducklake_data_file": ("dlbackup_bar_data_file", "partial_max IS NULL OR partial_max >= begin_snapshot"),
}
"""Names and conditions of the constraints, by table."""


def bars_exist_for(version: str) -> bool:
    """Tell whether catalogs of a spec version have the columns that the bars are about."""
    return not spec.is_older(version, "0.4")


def bar(session: "Session", schema: str) -> None:
    """Put up the bars in the session's open transaction; those that stand already are made again."""
    remove_bars(session, schema)
    for table, (name, condition) in BARS.items():
        action = f"ADD CONSTRAINT {quote_identifier(name)} CHECK ({condition})"
        session.execute(f"ALTER TABLE {qualified(schema, table)} {action}".encode())


def remove_bars(session: "Session", schema: str) -> tuple[str, ...]:
    """Drop the bars of a catalog; return the tables that had one."""
    found = session.execute(
        """
        select t.relname, c.conname
        from pg_constraint c
        join pg_class t on t.oid = c.conrelid
        join pg_namespace n on n.oid = t.relnamespace
        where n.nspname = %s and c.conname = any(%s)
        order by 2
        """,
        [schema, [name for name, _ in BARS.values()]],
    ).fetchall()
    for table, name in found:
        session.execute(f"ALTER TABLE {qualified(schema, table)} DROP CONSTRAINT {quote_identifier(name)}".encode())
    return tuple(name for _, name in found)
