"""What stands in a file that is to be replaced, which may be damaged: that is why a backup is put in its place."""

from dlbackup.catalogs.existing_file import FileExisting, read_head
from dlbackup.tables.definition import Column, Table

_TABLES = tuple(
    Table(name=name, columns=tuple(Column(name=column, type="bigint") for column in columns))
    for name, columns in {
        "ducklake_snapshot": ("snapshot_id", "snapshot_time"),
        "ducklake_files_scheduled_for_deletion": ("data_file_id", "schedule_start"),
    }.items()
)
_TIME = "2026-11-29 00:00:00+00"


def test_what_is_no_number_counts_as_none() -> None:
    """A NULL or a text where a number belongs, as SQLite takes it anywhere, keeps nobody from replacing a catalog."""

    def ask(query: str) -> list[tuple[object, ...]]:
        return [("x", _TIME), (None, None), (3, _TIME)]

    there = FileExisting(path="lake", schema="main", tables=_TABLES, ask=ask)

    assert [number for number, _ in there.lineage().snapshots] == [3]
    assert there.scheduled_for_deletion() == [(3, _TIME)]
    assert read_head(ask, str, _TABLES).snapshot_id is None
