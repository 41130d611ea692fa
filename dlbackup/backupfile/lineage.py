"""The lineage of the lake in a backup, read and proved without the rest."""

from collections.abc import Iterator

from dlbackup.backupfile.reader import BackupReader
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
}


def _rows(where: Where, name: str) -> Iterator[Row]:
    """Yield the rows of a table by column; none where it isn't there as every version has it."""
    with BackupReader(where) as reader:
        for entry in reader.manifest.tables:
            columns = entry.table.column_names
            if entry.table.name != name or not _NEEDED[name] <= set(columns):
                continue
            for block in reader.scan_table(entry):
                for row in block.rows:
                    yield dict(zip(columns, parse(row), strict=True))
