"""Which spec version a catalog has, and its newest snapshot."""

from dlbackup.catalogs.contract import Head
from dlbackup.catalogs.postgres.introspection import Definitions
from dlbackup.catalogs.postgres.sessions import Session
from dlbackup.tables.quoting import qualified


def read_head(session: Session, schema: str, definitions: Definitions) -> Head:
    """Read version and newest snapshot in the session's transaction; tolerate what a damaged catalog lacks."""
    columns = {table.name: table.column_names for table in definitions.tables}
    versions: tuple[str, ...] = ()
    if {"key", "value"} <= set(columns.get("ducklake_metadata", ())):
        scope = " and scope is null" if "scope" in columns["ducklake_metadata"] else ""
        metadata = qualified(schema, "ducklake_metadata")
        rows = session.execute(f"select value from {metadata} where key = 'version'{scope} order by 1".encode())
        versions = tuple(row[0] for row in rows)
    snapshot_id = snapshot_time = None
    if {"snapshot_id", "snapshot_time"} <= set(columns.get("ducklake_snapshot", ())):
        newest = session.execute(
            f"""
            select snapshot_id, to_char(snapshot_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
            from {qualified(schema, "ducklake_snapshot")}
            order by snapshot_id desc
            limit 1
            """.encode()
        ).fetchone()
        snapshot_id, snapshot_time = newest or (None, None)
    return Head(versions, snapshot_id, snapshot_time)
