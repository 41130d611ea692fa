"""The lineage and the extent of the lake in a backup, read and proved without the rest."""

from collections.abc import Iterator, Set

from dlbackup.backupfile.reader import BackupReader
from dlbackup.lake.extent import Extent, tells
from dlbackup.lake.lineage import Lineage, Snapshot, microseconds
from dlbackup.stores.contract import Where
from dlbackup.tables.rows import parse

Row = dict[str, str | None]


def lineage_of(where: Where) -> Lineage:
    """
    Return the lineage of the lake in a backup; its snapshots are read when they are asked for.

    Raises:
        BackupError: the part that holds these tables is damaged; StorageError: it can't be read.
    """
    uuid = next((row["schema_uuid"] for row in _rows(where, "ducklake_schema") if row["schema_id"] == "0"), None)
    paths = (row["value"] for row in _rows(where, "ducklake_metadata") if row["key"] == "data_path")
    return Lineage(uuid, next(paths, None), _Snapshots(where))


_MOST_FILES = 100_000
"""Of a backup of more data files nobody waits to hear of them: that takes about 20 s for a million."""


def extent_of(where: Where) -> Extent | None:
    """
    Return how large the lake in a backup is; None where it hasn't the tables to tell, or too many data files.

    Raises:
        BackupError: the part that holds these tables is damaged; StorageError: it can't be read.
    """
    with BackupReader(where) as reader:
        tables = reader.unchecked.tables
        rows = sum(entry.rows for entry in tables if entry.table.name == "ducklake_data_file")
        if rows > _MOST_FILES or not tells(entry.table for entry in tables):
            return None
    files = size = 0
    for row in _rows(where, "ducklake_data_file"):
        if row["end_snapshot"] is None:
            files += 1
            size += int(row["file_size_bytes"] or 0)
    metadata = _rows(where, "ducklake_metadata")
    paths = (row["value"] for row in metadata if row["key"] == "data_path" and row.get("scope") is None)
    return Extent(
        tables=sum(row["end_snapshot"] is None for row in _rows(where, "ducklake_table")),
        data_files=files,
        data_bytes=size,
        data_path=next(paths, None),
    )


class _Snapshots:
    def __init__(self, where: Where) -> None:
        self._where = where

    def __iter__(self) -> Iterator[Snapshot]:
        for row in _rows(self._where, "ducklake_snapshot"):
            yield int(row["snapshot_id"] or -1), microseconds(row["snapshot_time"])


_NEEDED = {
    "ducklake_schema": {"schema_id", "schema_uuid"},
    "ducklake_metadata": {"key", "value"},
    "ducklake_snapshot": {"snapshot_id", "snapshot_time"},
    "ducklake_table": {"end_snapshot"},
    "ducklake_data_file": {"end_snapshot", "file_size_bytes"},
}


def _rows(where: Where, name: str) -> Iterator[Row]:
    with BackupReader(where) as reader:
        yield from rows_in(reader, name)


def rows_in(reader: BackupReader, name: str, needed: Set[str] = frozenset()) -> Iterator[Row]:
    """
    Yield the rows of a table by column; none where it isn't there as every version has it.

    Args:
        needed: columns without which it is of no use, beside those that it has to have anyway.

    Raises:
        BackupError: the part that holds them is damaged.
    """
    for entry in reader.unchecked.tables:
        columns = entry.table.column_names
        if entry.table.name != name or not _NEEDED[name] | needed <= set(columns):
            continue
        for block in reader.scan_table(entry):
            for row in block.rows:
                yield dict(zip(columns, parse(row), strict=True))
