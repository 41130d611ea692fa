"""Changes to a lake's database, and what no command may change without saying so: its every row and definition."""

import re

from support.comparison import execute, server_digests
from support.lakes.lakes import Lake

__all__ = ["NEXT_SNAPSHOT", "Everything", "change", "everything", "set_for"]

Everything = tuple[bytes, dict[str, str]]
NEXT_SNAPSHOT = (
    "insert into ducklake_snapshot (snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id)"
    " select snapshot_id + 1, now(), schema_version, next_catalog_id, next_file_id"
    " from ducklake_snapshot order by snapshot_id desc limit 1"
)
"""Adds the row by which a commit makes a snapshot."""


def change(url: str) -> None:
    """Change one value of the catalog, so that it is another one than the backup's."""
    execute(url, "update ducklake_metadata set value = 'changed' where key = 'created_by'")


def everything(made: Lake) -> Everything:
    """Return all that pg_dump says of the database, and the server's own digests of the catalog's rows."""
    text = made.server.run("pg_dump", "-d", made.dbname)
    return re.sub(rb"(?m)^\\(un)?restrict .*$", b"", text), server_digests(made.url, made.schema)


def set_for(made: Lake, **settings: str) -> None:
    """Give whoever connects to the lake's database these settings from the server."""
    for name, value in settings.items():
        execute(made.url, f"alter database {made.dbname} set {name} = {value}")
