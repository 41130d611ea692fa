"""
The bar against stale clients: a CHECK constraint on `ducklake_snapshot_changes`, into which every commit inserts.

A client that attached before a migration, or before its undoing, goes on writing what its own spec version wants, also
after its session was ended, since it reconnects by itself. Between 0.3 and what came later that is silent damage: text,
dates and times in inlined tables that read otherwise or crash the reader, rows of `ducklake_schema_versions` without
a table, mapping ids among snapshots. What tells the two apart is the order of a commit (tried with DuckDB 1.3.1 to
1.5.5): from 1.5 on its message begins with the row of `ducklake_snapshot`; in 1.4.4 that row comes late in the message,
and up to 1.4.3 every table has a COPY of its own. PostgreSQL's `current_query()` is the whole message. The constraint
isn't on `ducklake_snapshot` itself, since the fence holds that.

With the bar the commits of the other side fail, all of them, and those of the catalog's own side pass, all of them.
Whoever writes in neither form passes, such as a restore. It is no part of DuckLake's layout: left by choice, taken away
by `unbar`. A client of the same generation needs no bar after a migration; `fresh_start` is for those that were
attached before a restore.
"""

from typing import TYPE_CHECKING

from dlbackup.lake import spec
from dlbackup.tables.bars import BAR_OF_NEWER, BAR_OF_OLDER, BAR_PREFIX, BAR_TABLE
from dlbackup.tables.quoting import qualified, quote_identifier
from dlbackup.tables.statements import adding

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres.sessions import Session


def bar(session: "Session", schema: str, spec_version: str) -> None:
    """Put up the bar for a spec version in the session's open transaction; what stands there goes."""
    remove_bars(session, schema)
    constraint = BAR_OF_NEWER if spec.is_older(spec_version, "0.4") else BAR_OF_OLDER
    session.execute(adding(qualified(schema, BAR_TABLE), constraint).encode())


def bars(session: "Session", schema: str) -> list[tuple[str, str]]:
    """Return table and name of the bars of a catalog, those of earlier versions of dlbackup too."""
    return session.execute(
        """
        select t.relname, c.conname
        from pg_constraint c
        join pg_class t on t.oid = c.conrelid
        join pg_namespace n on n.oid = t.relnamespace
        where n.nspname = %s and c.contype = 'c' and starts_with(c.conname, %s)
        order by 2
        """,
        [schema, BAR_PREFIX],
    ).fetchall()


def remove_bars(session: "Session", schema: str) -> tuple[str, ...]:
    """Drop the bars of a catalog; return their names."""
    found = bars(session, schema)
    for table, name in found:
        session.execute(f"ALTER TABLE {qualified(schema, table)} DROP CONSTRAINT {quote_identifier(name)}".encode())
    return tuple(name for _, name in found)
