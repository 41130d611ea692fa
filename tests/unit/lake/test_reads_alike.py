"""Which tables mean the same after a migration when their rows were not touched."""

from dataclasses import replace

import pytest

from dlbackup.lake import spec
from dlbackup.lake.canonical import reads_alike
from dlbackup.tables.definition import Column, Table


def _table(version: str, name: str) -> Table:
    return spec.load(version)[name]


@pytest.mark.parametrize(
    ("name", "before", "after", "alike"),
    [
        ("ducklake_file_column_stats", "0.3", "1.0", True),
        ("ducklake_snapshot", "0.3", "1.0", True),
        ("ducklake_snapshot_changes", "0.2", "0.3", True),  # three columns more, NULL
        ("ducklake_delete_file", "0.3", "1.0", True),  # partial_max more, NULL
        ("ducklake_data_file", "0.3", "1.0", False),  # partial_file_info is gone, and may have meant something
        ("ducklake_name_mapping", "0.2", "0.3", False),  # is_partition means false for older rows, and not NULL
        ("ducklake_column", "0.3", "1.0", False),  # reworded
        ("ducklake_metadata", "0.4", "1.0", False),  # holds the version
        ("ducklake_schema_versions", "0.3", "1.0", False),  # derived
        ("ducklake_data_file", "0.4", "1.0", True),
    ],
)
def test_fixed_tables(name: str, before: str, after: str, alike: bool) -> None:
    """A table that only gains columns for which NULL is right means the same; where it takes a look, it is read."""
    assert reads_alike(_table(before, name), before, _table(after, name), after) == alike


def test_a_table_of_another_layout_than_its_version_s() -> None:
    """Damaged ones are read."""
    odd = _table("0.4", "ducklake_snapshot")
    odd = replace(odd, columns=odd.columns[:-1])
    assert not reads_alike(odd, "0.4", _table("1.0", "ducklake_snapshot"), "1.0")


def test_inlined_tables() -> None:
    """Only where every engine stores the values alike are the rows what they mean."""

    def inlined(kind: str) -> Table:
        names = ("row_id", "begin_snapshot", "end_snapshot")
        columns = (*(Column(name=name, type="bigint") for name in names), Column(name="v", type=kind))
        return Table(name="ducklake_inlined_data_1_1", columns=columns)

    assert reads_alike(inlined("bigint"), "0.4", inlined("bigint"), "1.0")
    assert not reads_alike(inlined("text"), "0.4", inlined("text"), "1.0")
    assert not reads_alike(inlined("bigint"), "0.4", inlined("numeric"), "1.0")
