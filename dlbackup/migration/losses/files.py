"""
What becomes of the lists `snapshot:rows|...` of data files that DuckDB 1.3 and 1.4 have compacted.

Such a list says by position since when the rows of a file show. Spec version 0.4 has only a largest
snapshot, and the file's own column of the snapshots that rows were inserted in. This module tells from the
catalog alone which lists that says exactly: no data file is read.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dlbackup.catalogs.contract import Mending
from dlbackup.lake.answers import Answers, rows_of
from dlbackup.tables.quoting import quote_pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class _PartialFile:
    """
    A compacted data file with the list `snapshot:rows|...` that says since when its rows show, by position.

    Args:
        begin: the snapshot that it is there from; None in a damaged catalog.
    """

    file: int
    table: int
    begin: int | None
    snapshots: tuple[int, ...]
    rises: bool

    @property
    def later(self) -> tuple[int, ...]:
        """The snapshots after the one that the file itself begins with."""
        return tuple(number for number in self.snapshots if self.begin is None or number > self.begin)


def _partial_file(file: int, table: int, begin: int | None, text: str) -> _PartialFile:
    items = [(int(one), int(two)) for one, two in re.findall(r"(\d+):(\d+)", text)]
    rises = bool(re.fullmatch(r"\d+:\d+(?:\|\d+:\d+)*", text)) and all(
        one[0] <= two[0] and one[1] < two[1] for one, two in pairwise(items)
    )
    return _PartialFile(
        file=file, table=table, begin=begin, snapshots=tuple(number for number, _ in items), rises=rises
    )


def _partial_files(answers: Answers) -> list[_PartialFile]:
    sql = """
        select data_file_id, table_id, begin_snapshot, partial_file_info
        from {s}.ducklake_data_file
        where partial_file_info not like 'partial_max:%'
        order by 1
    """
    return [_partial_file(*row) for row in rows_of(answers, sql)]


def plain_lists(answers: Answers) -> list[Any]:
    """Return (data file, largest snapshot of its list) for all lists but those of flushed files."""
    files = [file for file in _partial_files(answers) if file.snapshots]
    flushed = {file.file for file in _with_flushed_files(answers, files)}
    return [(file.file, max(file.snapshots)) for file in files if file.file not in flushed]


def lists_with_flushed_files(answers: Answers) -> list[Any]:
    """Return (data file, largest snapshot of its list) for those that may hold flushed rows of several snapshots."""
    return [(file.file, max(file.snapshots)) for file in _with_flushed_files(answers, _partial_files(answers))]


def unordered_lists(answers: Answers) -> list[Any]:
    """Return the data files whose list doesn't rise; ties are right."""
    return [file.file for file in _partial_files(answers) if not file.rises]


def lists_with_rewritten_files(answers: Answers) -> list[Any]:
    """
    Return the compacted files that may hold a rewritten file.

    A rewritten file begins where the file ends that it replaces, but its rows keep the snapshots that they
    were inserted in. As long as a snapshot needs the replaced file, the catalog has it.
    """
    files = [file for file in _partial_files(answers) if file.rises]
    if not files:
        return []
    ended = rows_of(
        answers,
        """
        select distinct table_id, end_snapshot
        from {s}.ducklake_data_file
        where begin_snapshot < end_snapshot
        """,
    )
    ends = {(table, end) for table, end in ended}
    return [file.file for file in files if any((file.table, number) in ends for number in file.later)]


def _with_flushed_files(answers: Answers, files: list[_PartialFile]) -> list[_PartialFile]:
    """
    Return those of the compacted files that may hold a flushed file with rows of several snapshots.

    DuckDB 1.4 lists all rows of such a file with its first snapshot, and shows them from then on.
    """
    inlined = {row[0] for row in rows_of(answers, "select distinct table_id from {s}.ducklake_inlined_data_tables")}
    files = [file for file in files if file.table in inlined]
    if not files:
        return []
    changes: dict[int, str | None] = dict(
        rows_of(answers, "select snapshot_id, changes_made from {s}.ducklake_snapshot_changes")
    )
    head = max(changes, default=0)
    places = {(file.table, number) for file in files for number in file.snapshots}
    several = {(table, number) for table, number in places if _held_several(table, number, changes, head)}
    return [file for file in files if any((file.table, number) in several for number in file.snapshots)]


def _held_several(table: int, first: int, changes: dict[int, str | None], head: int) -> bool:
    """Tell whether a flush may have written rows of `first` and of later snapshots into one file."""
    inserted, flushed = f"inlined_insert:{table}", f"flushed_inlined:{table}"
    if first in changes and inserted not in _words(changes[first]):
        return False
    later = False
    for number in range(first + 1, head + 1):
        if number not in changes:
            return True  # expired: nobody knows what it did
        words = _words(changes[number])
        if flushed in words:
            return later
        later = later or inserted in words
    return False


def _words(changes_made: str | None) -> list[str]:
    return (changes_made or "").split(",")


def set_partial_max(mending: Mending, found: list[Any]) -> int:
    """Give each data file the largest snapshot of its list; return how many were given one."""
    return mending.execute(
        f"""
        with x (file, newest) as ({quote_pairs(found)})
        update {{s}}.ducklake_data_file as f
        set partial_max = x.newest
        from x
        where f.data_file_id = x.file
        """
    )
