"""What stands in a SQLite file before something is put in its place."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from dlbackup.catalogs.contract import Head
from dlbackup.catalogs.sqlite.introspection import NOTHING, Definitions, read_definitions, read_head, rows_of
from dlbackup.lake.lineage import Lineage, microseconds
from dlbackup.tables.definition import Table, by_name


@dataclass(frozen=True, slots=True, kw_only=True)
class FileExisting:
    """
    The catalog in a file, and what it says of itself.

    Args:
        connection: None where there is no such file.
    """

    connection: sqlite3.Connection | None
    path: str
    definitions: Definitions
    head: Head

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables' definitions, in the order of their names' bytes."""
        return self.definitions.tables

    @property
    def left_out(self) -> tuple[str, ...]:
        """What hangs on the tables and would be lost with them; what else is in the file stays."""
        return self.definitions.left_out

    @property
    def place(self) -> str:
        """What the place is called in messages."""
        return f"the file {self.path}"

    @property
    def another(self) -> str:
        """How a user names another one."""
        return "name another file"

    @property
    def is_new(self) -> bool:
        """Whether there was no such file."""
        return self.connection is None

    @property
    def beside(self) -> Mapping[str, str]:
        """What bears a catalog table's name and is none."""
        return self.definitions.beside

    def newer_snapshots(self, than: int | None) -> str:
        """Say what the existing catalog has committed after a snapshot: how many, from when, by whom."""
        if self.connection is None:
            return "0"
        where = f"where snapshot_id > {-1 if than is None else than}"
        query = f"select count(*), min(snapshot_time), max(snapshot_time) from ducklake_snapshot {where}"
        ((count, first, last),) = rows_of(self.connection, query)
        authors: list[str] = []
        if self._has("ducklake_snapshot_changes", "author"):
            query = f"select distinct author from ducklake_snapshot_changes {where} and author is not null order by 1"
            authors = [str(name) for (name,) in rows_of(self.connection, query)]
        said = f"{count}, committed from {first} to {last}"
        return f"{said} by {', '.join(authors)[:200]}" if authors else said

    def lineage(self) -> Lineage:
        """Return which lake it is of, and all its snapshots; what the tables don't say counts as none."""
        uuid = self._first("ducklake_schema", "schema_uuid", "schema_id", "schema_id = 0")
        path = self._first("ducklake_metadata", "value", "key", "key = 'data_path'")
        snapshots: list[tuple[int, int | None]] = []
        if self.connection is not None and self._has("ducklake_snapshot", "snapshot_id", "snapshot_time"):
            rows = rows_of(self.connection, "select snapshot_id, snapshot_time from ducklake_snapshot")
            snapshots = [(int(str(number)), microseconds(None if time is None else str(time))) for number, time in rows]
        return Lineage(uuid, path, snapshots)

    def scheduled_for_deletion(self) -> list[tuple[int, str]]:
        """Return the data files that the existing catalog wants to be rid of, and since when."""
        name = "ducklake_files_scheduled_for_deletion"
        if self.connection is None or not self._has(name, "data_file_id", "schedule_start"):
            return []
        rows = rows_of(self.connection, f"select data_file_id, schedule_start from {name} order by 2")
        return [(int(str(number)), str(time)) for number, time in rows]

    def _has(self, table: str, *columns: str) -> bool:
        there = by_name(self.tables).get(table)
        return there is not None and set(columns) <= set(there.column_names)

    def _first(self, table: str, value: str, column: str, condition: str) -> str | None:
        if self.connection is None or not self._has(table, value, column):
            return None
        rows = rows_of(self.connection, f"select {value} from {table} where {condition} limit 1")
        return None if not rows or rows[0][0] is None else str(rows[0][0])


def nothing(path: str) -> FileExisting:
    """Return what stands where there is no file."""
    return FileExisting(connection=None, path=path, definitions=NOTHING, head=Head((), None, None))


def look_at(connection: sqlite3.Connection, path: str) -> FileExisting:
    """Look at what stands in a file that is open."""
    definitions = read_definitions(connection)
    head = read_head(connection, definitions)
    return FileExisting(connection=connection, path=path, definitions=definitions, head=head)
