"""
A fresh start for clients that were attached to a catalog before another was put in its place.

A client remembers what a schema version means, and asks no more (tried with DuckDB 1.3.2 to 1.5.5, also after its
session was ended). Where a restore takes back a schema version and somebody else makes one of that number, it writes
rows of the table it remembers into another table of the same id, and is told that they are committed. So the restored
catalog gets one snapshot more, without any change: its number and its counters come after all that were ever seen, as
if every table had been altered. Whoever looks next forgets what it remembered, and a table that is gone is an error.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlbackup.catalogs.postgres.sessions import one
from dlbackup.tables.definition import Table, by_name
from dlbackup.tables.quoting import qualified

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dlbackup.catalogs.postgres.sessions import Session

_COUNTERS = ("snapshot_id", "schema_version", "next_catalog_id", "next_file_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """How far a catalog has counted; no client has seen more."""

    snapshot_id: int
    schema_version: int
    next_catalog_id: int
    next_file_id: int

    @classmethod
    def of(cls, session: "Session", schema: str, tables: "Iterable[Table]") -> "Counters | None":
        """Return the largest numbers of a catalog; None where its tables don't say."""
        snapshots = by_name(tables).get("ducklake_snapshot")
        if snapshots is None or not set(_COUNTERS) <= set(snapshots.column_names):
            return None
        largest = ", ".join(f"coalesce(max({name}), 0)" for name in _COUNTERS)
        values = one(session, f"select {largest} from {qualified(schema, snapshots.name)}")
        return cls(**dict(zip(_COUNTERS, values, strict=True)))

    def beside(self, other: "Counters") -> "Counters":
        """Return the larger ones of two catalogs."""
        return Counters(**{name: max(getattr(self, name), getattr(other, name)) for name in _COUNTERS})


def start_afresh(session: "Session", schema: str, tables: "Iterable[Table]", seen: Counters) -> None:
    """
    Append a snapshot to a restored catalog, in the session's open transaction.

    Args:
        tables: the restored catalog's.
        seen: the counters of the catalog that it replaces.
    """
    there = by_name(tables)
    own = Counters.of(session, schema, there.values())
    if own is None:
        return
    past = own.beside(seen)
    session.execute(
        f"""
        insert into {_target(schema, "ducklake_snapshot")}
            (snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id)
        values (%s, now(), %s, %s, %s)
        """.encode(),
        [past.snapshot_id + 1, past.schema_version + 1, past.next_catalog_id, past.next_file_id],
    )
    _say_why(session, schema, there, past.snapshot_id + 1, own.snapshot_id)
    _version_tables(session, schema, there, past.snapshot_id + 1, past.schema_version + 1)


def _say_why(session: "Session", schema: str, there: dict[str, Table], snapshot_id: int, restored: int) -> None:
    """Record that the snapshot changed nothing, and who made it, where the catalog has room for that."""
    values: dict[str, object] = {"snapshot_id": snapshot_id, "changes_made": ""}
    if "author" in there["ducklake_snapshot_changes"].column_names:
        values |= {"author": "dlbackup", "commit_message": f"restored to snapshot {restored}"}
    marks = ", ".join(["%s"] * len(values))
    session.execute(
        f"insert into {_target(schema, 'ducklake_snapshot_changes')} ({', '.join(values)}) values ({marks})".encode(),
        list(values.values()),
    )


def _version_tables(
    session: "Session", schema: str, there: dict[str, Table], snapshot_id: int, schema_version: int
) -> None:
    """Record the schema version as engines do: from 0.4 on for each table, in 0.3 once, in 0.2 not at all."""
    versions = there.get("ducklake_schema_versions")
    if versions is None:
        return
    if "table_id" in versions.column_names:
        source = f"select %s, %s, table_id from {_target(schema, 'ducklake_table')} where end_snapshot is null"
        columns = "begin_snapshot, schema_version, table_id"
    else:
        source, columns = "values (%s, %s)", "begin_snapshot, schema_version"
    query = f"insert into {_target(schema, versions.name)} ({columns}) {source}"
    session.execute(query.encode(), [snapshot_id, schema_version])


def _target(schema: str, table: str) -> str:
    return qualified(schema, table).replace("%", "%%")  # it stands beside parameters
