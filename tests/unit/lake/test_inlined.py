"""What users call an inlined table."""

import pytest

from dlbackup.lake.inlined import called
from dlbackup.tables.definition import Table

_TABLES: list[dict[str, object]] = [
    {"table_id": "7", "schema_id": "1", "table_name": "new", "begin_snapshot": "10"},
    {"table_id": "7", "schema_id": "0", "table_name": "old", "begin_snapshot": "9"},
    {"table_id": "7", "schema_id": "0", "table_name": "of a damaged row", "begin_snapshot": None},
    {"table_id": 8, "schema_id": 2, "table_name": "other", "begin_snapshot": 11},
]
_SCHEMAS: list[dict[str, object]] = [
    {"schema_id": 0, "schema_name": "main", "begin_snapshot": 0},
    {"schema_id": 1, "schema_name": "then", "begin_snapshot": 1},
    {"schema_id": 1, "schema_name": "now", "begin_snapshot": 2},
]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ducklake_inlined_data_7_1", "table now.new (ducklake_inlined_data_7_1)"),
        ("ducklake_inlined_delete_7", "table now.new (ducklake_inlined_delete_7)"),
        ("ducklake_inlined_data_8_1", "table ducklake_inlined_data_8_1"),
        ("ducklake_inlined_data_9_1", "table ducklake_inlined_data_9_1"),
        ("ducklake_table", "table ducklake_table"),
    ],
)
def test_an_inlined_table_is_called_as_the_lakes(name: str, wanted: str) -> None:
    """By its newest schema and name; by its own where the lake doesn't say, and so are all others."""
    assert called(Table(name=name, columns=()), _TABLES, _SCHEMAS) == wanted
