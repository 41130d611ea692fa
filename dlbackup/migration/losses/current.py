"""The inlined tables that new rows would go into, and whether these are of the columns that the lake's tables have."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from dlbackup.lake.answers import Answers, Row, rows_of
from dlbackup.lake.inlined import CURRENT, LIMIT
from dlbackup.tables.definition import by_name

REGISTRY = "ducklake_inlined_data_tables"
_COLUMNS = f"""
select table_id, coalesce(begin_snapshot, 0), end_snapshot, column_id, column_name, column_type, parent_column
from {{s}}.ducklake_column
where table_id in (select table_id from {{s}}.{REGISTRY})
"""
_BEGINS = """
select schema_version, min(begins)
from (
    select schema_version, snapshot_id as begins from {s}.ducklake_snapshot
    union all
    select schema_version, begin_snapshot from {s}.ducklake_schema_versions
) x
where schema_version is not null and begins is not null
group by schema_version
order by schema_version
"""
"""All schema versions that are known of, and the first snapshot of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """
    The newest inlined table of a lake's table.

    Args:
        table: the lake's.
        forbidden: options keep rows from being inlined.
        then: the columns that the lake's table had when this one was made: number, name, type, parent.
        now: those that it has.
    """

    table: int
    name: str
    version: int
    forbidden: bool
    then: frozenset[Row]
    now: frozenset[Row]

    @property
    def is_outdated(self) -> bool:
        """
        Whether new rows would go into it, but not all their values.

        An engine makes a table's next inlined table when its columns change, unless it is told not to inline. Later it
        takes the newest that there is, whatever columns that has, and writes into it by position: names don't matter.
        """
        then, now = (
            {(number, type_, parent) for number, _, type_, parent in columns} for columns in (self.then, self.now)
        )
        return then != now


def current_tables(answers: Answers) -> Iterator[Current]:
    """Yield the newest inlined table of each of the lake's living tables, where there is one."""
    there = by_name(answers.tables)
    registered = rows_of(
        answers,
        f"""
        select i.table_id, i.table_name, i.schema_version, case when {LIMIT} = '0' then 1 else 0 end
        from {{s}}.{REGISTRY} i
        join {{s}}.ducklake_table t on t.table_id = i.table_id and t.end_snapshot is null
        where i.table_name in ({CURRENT})
        order by i.table_id
        """,
    )
    if not registered:
        return
    begins = rows_of(answers, _BEGINS)
    columns: defaultdict[int, list[Row]] = defaultdict(list)
    for table, *column in rows_of(answers, _COLUMNS):
        columns[table].append(tuple(column))
    for table, name, version, forbidden in registered:
        if name in there:
            yield Current(
                table=table,
                name=name,
                version=version,
                forbidden=bool(forbidden),
                then=_from(_begin(version, begins), columns[table]),
                now=frozenset(tuple(what) for _, end, *what in columns[table] if end is None),
            )


def _begin(version: int, begins: list[Row]) -> int | None:
    """Return the first snapshot of a schema version, or of the next one: a commit has the last of those it used up."""
    at = bisect_left(begins, (version,))
    return None if at == len(begins) else begins[at][1]


def _from(begin: int | None, columns: list[Row]) -> frozenset[Row]:
    """Return the columns that there are from a snapshot on; those of now where nobody knows it."""
    return frozenset(
        tuple(what)
        for since, end, *what in columns
        if (end is None if begin is None else since <= begin and (end is None or end > begin))
    )
