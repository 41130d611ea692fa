"""
How large a lake is: what its catalog says of tables and data files.

How many tables and rows the catalog itself has is another matter.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dlbackup.lake.answers import Answers, rows_of
from dlbackup.tables.definition import Table, by_name

_TEXT = ("text", "character varying")
_NUMBER = ("bigint", "integer")
_NEEDED = {
    "ducklake_metadata": {"key": _TEXT, "value": _TEXT},
    "ducklake_table": {"end_snapshot": _NUMBER},
    "ducklake_data_file": {"end_snapshot": _NUMBER, "file_size_bytes": _NUMBER},
}
"""The columns that tell it, by table, and which types they may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """
    A lake at its newest snapshot.

    Args:
        tables: of the lake, not of the catalog.
        data_files: Parquet files with rows; delete files and inlined rows don't count.
        data_bytes: their size.
        data_path: where they are; None where the catalog doesn't say.
    """

    tables: int
    data_files: int
    data_bytes: int
    data_path: str | None


def extent_of(answers: Answers) -> Extent | None:
    """Ask a catalog; None where it hasn't the tables to tell."""
    if not tells(answers.tables):
        return None
    scope = " and scope is null" if "scope" in by_name(answers.tables)["ducklake_metadata"].column_names else ""
    paths = rows_of(answers, f"select value from {{s}}.ducklake_metadata where key = 'data_path'{scope}")
    (count,) = rows_of(answers, "select count(*) from {s}.ducklake_table where end_snapshot is null")[0]
    sizes = "select count(*), cast(coalesce(sum(file_size_bytes), 0) as varchar) from {s}.ducklake_data_file"
    files, size = rows_of(answers, f"{sizes} where end_snapshot is null")[0]
    return Extent(tables=count, data_files=files, data_bytes=int(size), data_path=paths[0][0] if paths else None)


def tells(tables: Iterable[Table]) -> bool:
    """Whether a catalog has what tells how large its lake is, in the types that DuckLake gives it."""
    types = {(table.name, column.name): column.type for table in tables for column in table.columns}
    return all(types.get((table, name)) in of for table, needed in _NEEDED.items() for name, of in needed.items())
