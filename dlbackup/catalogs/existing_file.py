"""What stands in a file before something is put in its place, and what it says of itself: asked in any file's SQL."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dlbackup.catalogs.contract import Head
from dlbackup.lake.lineage import Lineage, microseconds
from dlbackup.tables.definition import Table, by_name

Ask = Callable[[str], Iterable[Sequence[Any]]]
"""Gives the rows of a query."""


_NO_HEAD = Head((), None, None)


def _plain(name: str) -> str:
    return name


def _nothing(query: str) -> Iterable[Sequence[Any]]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileExisting:
    """
    The catalog in a file that is open; by default there is no such file. It is what `contract.Existing` asks for.

    Args:
        ask: asks the file, as long as it is open.
        named: returns how a query names a table.
    """

    path: str
    schema: str
    is_new: bool = True
    tables: tuple[Table, ...] = ()
    left_out: tuple[str, ...] = ()
    beside: Mapping[str, str] = field(default_factory=dict)
    head: Head = _NO_HEAD
    ask: Ask = _nothing
    named: Callable[[str], str] = _plain

    @property
    def place(self) -> str:
        """What the place is called in messages."""
        return f"the file {self.path}"

    @property
    def another(self) -> str:
        """How a user names another one."""
        return "name another file"

    def newer_snapshots(self, than: int | None) -> str:
        """Say what the existing catalog has committed after a snapshot: how many, from when, by whom."""
        where = f"where snapshot_id > {-1 if than is None else than}"
        said = "0"
        if self._has("ducklake_snapshot", "snapshot_id", "snapshot_time"):
            times = "cast(min(snapshot_time) as varchar), cast(max(snapshot_time) as varchar)"
            for count, first, last in self.ask(
                f"select count(*), {times} from {self.named('ducklake_snapshot')} {where}"
            ):
                said = f"{count}, committed from {first} to {last}"
        names: list[str] = []
        if self._has("ducklake_snapshot_changes", "snapshot_id", "author"):
            changes = self.named("ducklake_snapshot_changes")
            query = f"select distinct author from {changes} {where} and author is not null order by 1"
            names = [str(name) for (name,) in self.ask(query)]
        return f"{said} by {', '.join(names)[:200]}" if names else said

    def lineage(self) -> Lineage:
        """Return which lake it is of, and all its snapshots; what the tables don't say counts as none."""
        uuid = self._first("ducklake_schema", "schema_uuid", "schema_id", "schema_id = 0")
        path = self._first("ducklake_metadata", "value", "key", "key = 'data_path'")
        snapshots: list[tuple[int, int | None]] = []
        if self._has("ducklake_snapshot", "snapshot_id", "snapshot_time"):
            query = f"select snapshot_id, cast(snapshot_time as varchar) from {self.named('ducklake_snapshot')}"
            snapshots = [(number, microseconds(time)) for number, time in self.ask(query) if isinstance(number, int)]
        return Lineage(uuid, path, snapshots)

    def scheduled_for_deletion(self) -> list[tuple[int, str]]:
        """Return the data files that the existing catalog wants to be rid of, and since when."""
        name = "ducklake_files_scheduled_for_deletion"
        if not self._has(name, "data_file_id", "schedule_start"):
            return []
        query = f"select data_file_id, cast(schedule_start as varchar) from {self.named(name)} order by 2"
        return [(number, str(time)) for number, time in self.ask(query) if isinstance(number, int)]

    def _has(self, table: str, *columns: str) -> bool:
        return _has(self.tables, table, *columns)

    def _first(self, table: str, value: str, column: str, condition: str) -> str | None:
        if not self._has(table, value, column):
            return None
        query = f"select cast({value} as varchar) from {self.named(table)} where {condition} limit 1"
        return next((None if text is None else str(text) for (text,) in self.ask(query)), None)


def _has(tables: Sequence[Table], table: str, *columns: str) -> bool:
    there = by_name(tables).get(table)
    return there is not None and set(columns) <= set(there.column_names)


def read_head(ask: Ask, named: Callable[[str], str], tables: Sequence[Table]) -> Head:
    """Read version and newest snapshot; tolerate what a damaged catalog lacks."""
    versions: tuple[str, ...] = ()
    if _has(tables, "ducklake_metadata", "key", "value"):
        scope = " and scope is null" if _has(tables, "ducklake_metadata", "scope") else ""
        query = f"select value from {named('ducklake_metadata')} where key = 'version'{scope} order by 1"
        versions = tuple(str(value) for (value,) in ask(query))
    if _has(tables, "ducklake_snapshot", "snapshot_id", "snapshot_time"):
        query = f"select snapshot_id, cast(snapshot_time as varchar) from {named('ducklake_snapshot')}"
        for number, time in ask(f"{query} order by snapshot_id desc nulls last limit 1"):
            return Head(versions, number if isinstance(number, int) else None, _iso(time))
    return Head(versions, None, None)


def _iso(text: str | None) -> str | None:
    """Return a time as DuckDB prints it, as ISO 8601 in UTC."""
    try:
        return f"{datetime.fromisoformat(text or '').astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    except ValueError:
        return text
