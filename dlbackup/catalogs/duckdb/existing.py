"""What stands in a DuckDB file before something is put in its place."""

from collections.abc import Mapping
from dataclasses import dataclass

from dlbackup.catalogs.contract import Head
from dlbackup.catalogs.duckdb.introspection import Definitions, catalog_schemas, others_in_file, read_definitions
from dlbackup.catalogs.duckdb.literals import place
from dlbackup.catalogs.duckdb.process import FileProcess
from dlbackup.catalogs.duckdb.snapshot import read_head
from dlbackup.lake.lineage import Lineage, microseconds
from dlbackup.tables.definition import Table, by_name

_NOTHING = Definitions(tables=(), sizes={}, left_out=(), strangers=(), beside={})


@dataclass(frozen=True, slots=True, kw_only=True)
class FileExisting:
    """
    The catalog in a file that is open, and what it says of itself.

    Args:
        process: None where there is no such file.
    """

    process: FileProcess | None
    path: str
    schema: str
    definitions: Definitions
    head: Head

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables' definitions, in the order of their names' bytes."""
        return self.definitions.tables

    @property
    def left_out(self) -> tuple[str, ...]:
        """All else that is in the file, which would be replaced with it."""
        return (*self.definitions.left_out, *self.definitions.strangers)

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
        return self.process is None

    @property
    def beside(self) -> Mapping[str, str]:
        """Return nothing: what is no table of the catalog doesn't stay beside a new one."""
        return {}

    def newer_snapshots(self, than: int | None) -> str:
        """Say what the existing catalog has committed after a snapshot: how many, from when, by whom."""
        if self.process is None:
            return "0"
        where = f"where snapshot_id > {-1 if than is None else than}"
        changes = by_name(self.tables).get("ducklake_snapshot_changes")
        authors = "null"
        if changes is not None and "author" in changes.column_names:
            names = "string_agg(distinct author, ', ' order by author)"
            authors = f"(select {names} from {place(self.schema, changes.name)} {where})"
        ((count, first, last, names),) = self.process.ask(
            "select count(*), min(snapshot_time)::varchar, max(snapshot_time)::varchar,"
            f" {authors} from {place(self.schema, 'ducklake_snapshot')} {where}"
        ).rows
        return f"{count}, committed from {first} to {last}" + (f" by {names[:200]}" if names else "")

    def lineage(self) -> Lineage:
        """Return which lake it is of, and all its snapshots; what the tables don't say counts as none."""
        uuid = self._first("ducklake_schema", "schema_uuid", "schema_id", "schema_id = 0")
        path = self._first("ducklake_metadata", "value", "key", "key = 'data_path'")
        snapshots: list[tuple[int, int | None]] = []
        if self.process is not None and self._has("ducklake_snapshot", "snapshot_id", "snapshot_time"):
            query = f"select snapshot_id, snapshot_time::varchar from {place(self.schema, 'ducklake_snapshot')}"
            snapshots = [(number, microseconds(time)) for number, time in self.process.rows(query)]
        return Lineage(uuid, path, snapshots)

    def scheduled_for_deletion(self) -> list[tuple[int, str]]:
        """Return the data files that the existing catalog wants to be rid of, and since when."""
        name = "ducklake_files_scheduled_for_deletion"
        if self.process is None or not self._has(name, "data_file_id", "schedule_start"):
            return []
        query = f"select data_file_id, schedule_start::varchar from {place(self.schema, name)} order by 2"
        return [(number, time) for number, time in self.process.rows(query)]

    def _has(self, table: str, *columns: str) -> bool:
        there = by_name(self.tables).get(table)
        return there is not None and set(columns) <= set(there.column_names)

    def _first(self, table: str, value: str, column: str, condition: str) -> str | None:
        if self.process is None or not self._has(table, value, column):
            return None
        query = f"select {value}::varchar from {place(self.schema, table)} where {condition} limit 1"
        rows = self.process.ask(query).rows
        return rows[0][0] if rows else None


def nothing(path: str, schema: str) -> FileExisting:
    """Return what stands where there is no file."""
    return FileExisting(process=None, path=path, schema=schema, definitions=_NOTHING, head=Head((), None, None))


def look_at(process: FileProcess, schema: str) -> FileExisting:
    """Look at what stands in a file that is open; a catalog in another schema of it is something else in it."""
    if schema in catalog_schemas(process):
        definitions = read_definitions(process, schema, values=False)
    else:
        definitions = Definitions(
            tables=(), sizes={}, left_out=(), strangers=tuple(others_in_file(process, None)), beside={}
        )
    head = read_head(process, schema, definitions)
    return FileExisting(process=process, path=process.path, schema=schema, definitions=definitions, head=head)
