"""Which columns a lake's table had when an inlined table was made for it."""

from dlbackup.lake.layouts import Layouts
from dlbackup.tables.definition import Column, Table

Record = dict[str, str | None]


def _column(
    number: int, name: str, kind: str, begin: int = 1, end: int | None = None, parent: int | None = None
) -> Record:
    return {
        "column_id": str(number),
        "table_id": "7",
        "begin_snapshot": str(begin),
        "end_snapshot": None if end is None else str(end),
        "column_order": str(number),
        "column_name": name,
        "column_type": kind,
        "parent_column": None if parent is None else str(parent),
    }


def _inlined(version: int, *names: str) -> Table:
    own = ("row_id", "begin_snapshot", "end_snapshot")
    columns = (Column(name=name, type="bigint") for name in (*own, *names))
    return Table(name=f"ducklake_inlined_data_7_{version}", columns=tuple(columns))


def _found(columns: list[Record], table: Table, versions: list[Record] | None = None) -> dict[str, str] | None:
    rows = {"ducklake_column": columns, "ducklake_schema_versions": versions or []}
    return Layouts(rows, {7}).of(table, lambda column, type_: bool(type_))


def test_types_of_the_version_count() -> None:
    """A column that was widened is what it was when the inlined table was made."""
    columns = [_column(1, "a", "int32", 1, 5), _column(1, "a", "int64", 5)]
    versions: list[Record] = [
        {"begin_snapshot": "1", "schema_version": "1", "table_id": "7"},
        {"begin_snapshot": "5", "schema_version": "2", "table_id": "7"},
        {"begin_snapshot": "3", "schema_version": "2", "table_id": "8"},
    ]

    assert _found(columns, _inlined(1, "a"), versions) == {"a": "INTEGER"}
    assert _found(columns, _inlined(2, "a"), versions) == {"a": "BIGINT"}


def test_without_its_version_the_names_tell() -> None:
    """Where the snapshot has expired, the only layout with those names is meant, and none where there are two."""
    columns = [_column(1, "a", "int32", 1, 5), _column(1, "b", "int32", 5)]

    assert _found(columns, _inlined(2, "b")) == {"b": "INTEGER"}
    assert _found(columns, _inlined(1, "c")) is None
    assert _found([_column(1, "a", "int32", 1, 5), _column(1, "a", "int64", 5)], _inlined(1, "a")) is None


def test_names_are_found_in_small_letters() -> None:
    """Engines store some names so on PostgreSQL."""
    assert _found([_column(1, "UPPER", "varchar")], _inlined(1, "upper")) == {"upper": "VARCHAR"}


def test_letters_beyond_ascii_are_what_they_are() -> None:
    """DuckDB takes `Ä` and `ä` for two columns of a table."""
    columns = [_column(1, "Ä", "int32"), _column(2, "ä", "varchar")]

    assert _found(columns, _inlined(1, "Ä", "ä")) == {"Ä": "INTEGER", "ä": "VARCHAR"}


def test_nested_types_are_made_of_their_columns() -> None:
    """Structs, lists and maps in each other, with names that need quotes."""
    columns = [
        _column(1, "s", "struct"),
        _column(2, 'it "is"', "list", parent=1),
        _column(3, "element", "decimal(5,2)", parent=2),
        _column(4, "m", "map", parent=1),
        _column(5, "key", "varchar", parent=4),
        _column(6, "value", "timestamptz", parent=4),
    ]

    assert _found(columns, _inlined(1, "s")) == {
        "s": 'STRUCT("it ""is""" DECIMAL(5,2)[], "m" MAP(VARCHAR, TIMESTAMP WITH TIME ZONE))'
    }


def test_types_that_nobody_knows_are_no_layout() -> None:
    """A name that DuckDB doesn't have, or a list without an element."""
    assert _found([_column(1, "a", "colour")], _inlined(1, "a")) is None
    assert _found([_column(1, "a", "list")], _inlined(1, "a")) is None
