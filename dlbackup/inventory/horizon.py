"""
Whether the data files that a backup names are still there, by SQL alone: what a live catalog says of their numbers.

A file that the catalog still names is there. One that it has on its list of files to be deleted is there until the
next clean-up after that has been on the list for `delete_older_than`. One that is in neither is gone.
"""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Access
from dlbackup.catalogs.open import open_catalog
from dlbackup.errors import BackupError, StorageError, Unsupported
from dlbackup.inventory.fileids import FileIds
from dlbackup.inventory.listing import Entry
from dlbackup.inventory.publishing import file_ids_in
from dlbackup.lake.answers import Answers, rows_of
from dlbackup.lake.lineage import microseconds
from dlbackup.stores.contract import Store, Where
from dlbackup.tables.definition import by_name

FilesState = Literal["whole", "at-risk", "broken", "unknown"]
_NEEDED = {
    "ducklake_metadata": {"key", "value"},
    "ducklake_schema": {"schema_id", "schema_uuid"},
    "ducklake_snapshot": {"snapshot_id", "snapshot_time"},
    "ducklake_data_file": {"data_file_id"},
    "ducklake_delete_file": {"delete_file_id"},
    "ducklake_files_scheduled_for_deletion": {"data_file_id", "schedule_start"},
}

_ROUNDED = 1
"""Microseconds by which two backends may give one time differently."""

# All run on PostgreSQL and DuckDB, and over rows of SQLite, whose times are text. The first gives stretches of numbers
# in a row, however many files there are. Seconds are rounded down: a file may be deleted no sooner than is said.
_FILES = """\
select min(id), max(id) from (
    select id, id - row_number() over (order by id) as stretch from (
        select data_file_id as id from {s}.ducklake_data_file
        union
        select delete_file_id as id from {s}.ducklake_delete_file
    ) files where id is not null
) numbered group by stretch order by 1
"""
_SCHEDULED = """\
select cast(floor(extract(epoch from cast(schedule_start as timestamptz))) as bigint), data_file_id
from {s}.ducklake_files_scheduled_for_deletion
where data_file_id is not null and schedule_start is not null
"""
_GRACE = """\
select cast(floor(extract(epoch from timestamp '2001-03-01' -
    (timestamp '2001-03-01' - cast(coalesce(max(value), '2 days') as interval)))) as bigint)
from {s}.ducklake_metadata where key = 'delete_older_than'{scope}
"""
"""Engines count back by the calendar, and months are 28 days at least."""
_LAKE = "select cast(schema_uuid as varchar) from {s}.ducklake_schema where schema_id = 0"
_SNAPSHOTS = """\
select snapshot_id, cast(round(extract(epoch from cast(snapshot_time as timestamptz)) * 1000000) as bigint)
from {s}.ducklake_snapshot
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """
    What a live catalog says of files.

    Args:
        files: that it names.
        scheduled: when files were put on the list of those to be deleted, in seconds since 1970, and which.
        grace: how long they stay there at least: the lake's `delete_older_than`.
        snapshots: the times of its snapshots, in microseconds since 1970, by number.
    """

    lake: str | None
    files: FileIds
    scheduled: dict[int, FileIds] = field(default_factory=dict)
    grace: timedelta = timedelta(days=2)
    snapshots: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """
    How it is with the files of a backup.

    Args:
        until: when the first of those at risk may be deleted.
        count: how many are at risk, or gone.
        as_of: of when that is, where it is of the records and not of the live catalog.
    """

    state: FilesState = "unknown"
    until: datetime | None = None
    count: int = 0
    as_of: datetime | None = None


def look_at(address: str, schema: str | None, wait: float, engine: str | Path | None) -> Live:
    """
    Ask the live catalog at an address.

    Raises:
        CatalogError: it can't be read, or hasn't the tables that tell it.
    """
    with (
        open_catalog(parse_address(address), schema, Access.of(wait, engine)) as catalog,
        catalog.snapshot() as snapshot,
        snapshot.answers() as answers,
    ):
        return live(answers)


def live(answers: Answers) -> Live:
    """
    Ask a live catalog.

    Raises:
        Unsupported: it hasn't the tables that tell it.
    """
    tables = by_name(answers.tables)
    for name, columns in _NEEDED.items():
        if name not in tables or not columns <= set(tables[name].column_names):
            raise Unsupported(f"this catalog has no {name} as every version has it", "see dlbackup check ADDRESS")
    scope = " and scope is null" if "scope" in tables["ducklake_metadata"].column_names else ""
    scheduled: dict[int, list[int]] = defaultdict(list)
    for since, number in rows_of(answers, _SCHEDULED):
        scheduled[int(since)].append(int(number))
    ((grace,),) = rows_of(answers, _GRACE.replace("{scope}", scope))
    uuids = rows_of(answers, _LAKE)
    return Live(
        lake=uuids[0][0] if uuids else None,
        files=FileIds(tuple((int(first), int(last)) for first, last in rows_of(answers, _FILES))),
        scheduled={since: FileIds.of(numbers) for since, numbers in scheduled.items()},
        grace=timedelta(seconds=int(grace)),
        snapshots={int(number): int(time) for number, time in rows_of(answers, _SNAPSHOTS) if time is not None},
    )


def files_by_name(entries: Sequence[Entry], store: Store, there: Live | None) -> dict[str, Files]:
    """Return how it is with the files of each backup; unknown without a live catalog, and as `files_of` says."""
    return {entry.name: files_of(entry, store, there) if there else Files() for entry in entries}


def files_of(entry: Entry, store: Store, there: Live) -> Files:
    """Return how it is with the files of a backup; unknown where it is of another lake, or can't be read."""
    ids = _ids(entry, store) if _is_of(entry, there) else None
    return Files() if ids is None else state_of(ids, there)


def recorded(entries: Sequence[Entry]) -> dict[str, Files]:
    """
    Return how it was with the files of each backup when the newest good one of its lake was made, by the records alone.

    What that one names too was there. What it no longer names had left the catalog by then: it is at risk at best, and
    nobody wrote down until when.
    """
    newest: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.created):
        if entry.is_good and entry.lake is not None:
            newest[entry.lake] = entry
    return {entry.name: _as_of(newest.get(entry.lake or ""), entry) for entry in entries}


def _as_of(newest: Entry | None, entry: Entry) -> Files:
    then, ids = _recorded_ids(newest), _recorded_ids(entry)
    if newest is None or then is None or ids is None or not _is_before(entry, newest):
        return Files()
    left = len(ids - then)
    return Files(state="at-risk" if left else "whole", count=left, as_of=newest.created)


def _is_before(entry: Entry, newest: Entry) -> bool:
    """Whether one lake may have come from the one state to the other: numbers of another branch are of other files."""
    one, other = entry.record, newest.record
    if one is None or other is None or one.snapshot_id is None or other.snapshot_id is None:
        return False
    then, now = microseconds(one.snapshot_time), microseconds(other.snapshot_time)
    if then is None or now is None:
        return one.snapshot_id <= other.snapshot_id
    if one.snapshot_id == other.snapshot_id:
        return then == now
    return one.snapshot_id < other.snapshot_id and then <= now


def state_of(ids: FileIds, there: Live) -> Files:
    """Return how it is with files of these numbers."""
    missing = ids - there.files
    at_risk, until = 0, None
    for since, numbers in sorted(there.scheduled.items()):
        if waiting := ids & numbers:
            at_risk += len(waiting)
            until = until or datetime.fromtimestamp(since, UTC) + there.grace
            missing -= waiting
    if missing:
        return Files(state="broken", count=len(missing))
    return Files(state="at-risk", until=until, count=at_risk) if at_risk else Files(state="whole")


def too_short(kept: Sequence[Entry], there: Live, now: datetime) -> str:
    """Say what to do where the lake deletes files sooner than backups that name them go; empty where it doesn't."""
    times = [entry.created for entry in kept if entry.is_good and entry.lake in (None, there.lake)]
    if not times or now - min(times) <= there.grace:
        return ""
    days = -(-(now - min(times)) // timedelta(days=1)) + 1
    return (
        f"the lake deletes files after {_shown(there.grace)}, and the oldest backup is {_shown(now - min(times))} old:"
        f" CALL lake.set_option('delete_older_than', '{days} days') keeps them as long"
    )


def _shown(time: timedelta) -> str:
    hours = time / timedelta(hours=1)
    return f"{hours / 24:.3g} days" if hours >= 48 else f"{hours:.3g} hours"


def _is_of(entry: Entry, there: Live) -> bool:
    """Whether a backup is of a state that this catalog once had: numbers of another branch are of other files."""
    record = entry.record
    if record is None or (record.lake and there.lake and record.lake != there.lake) or record.snapshot_id is None:
        return False
    if record.snapshot_id > max(there.snapshots, default=-1):
        return False
    then, now = microseconds(record.snapshot_time), there.snapshots.get(record.snapshot_id)
    return then is None or now is None or abs(then - now) <= _ROUNDED  # an expired snapshot tells nothing


def _recorded_ids(entry: Entry | None) -> FileIds | None:
    if entry is not None and entry.record is not None and entry.record.file_ids is not None:
        with suppress(ValueError):
            return FileIds.of_text(entry.record.file_ids)
    return None


def _ids(entry: Entry, store: Store) -> FileIds | None:
    if (ids := _recorded_ids(entry)) is not None:
        return ids
    try:
        with suppress(BackupError), BackupReader(Where(store, entry.name)) as reader:
            return file_ids_in(reader)
    except StorageError as exc:
        if exc.transient:
            raise
    return None
