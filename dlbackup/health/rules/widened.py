"""
Rules about columns that got a wider type or other partition keys, and what was written before for the old ones.

What DuckDB makes of it is wrong for some pairs of types, on a lake in which every row is in order.
"""

import re
import struct

from dlbackup.health.rules.rule import Reading, Rule, Values

_INTEGERS = "('int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64')"
_TRUTHS = "('true', 'false')"

_KEYS_OF_BUCKETS = """\
{s}.ducklake_partition_info p
        join {s}.ducklake_partition_column k
          on k.partition_id = p.partition_id
          and k.table_id = p.table_id
          and k.transform like 'bucket(%'
          and p.end_snapshot is null
        join {s}.ducklake_column n
          on n.table_id = k.table_id
          and n.column_id = k.column_id
          and n.end_snapshot is null
          and n.column_type not in ('variant', 'timetz', 'interval')
        join {s}.ducklake_data_file f on f.table_id = p.table_id and f.end_snapshot is null"""
"""The keys by which DuckDB looks for values in buckets, their columns, and the data files among which it does.

Those of VARIANT, TIMETZ and INTERVAL are never looked into.
"""


def _hashed(type_: str) -> str:
    """Return what types have in common whose equal values are in one bucket."""
    return f"""\
case when {type_} in ('boolean', 'int8', 'int16', 'int32', 'int64') then 'signed'
            when {type_} in ('uint8', 'uint16', 'uint32', 'uint64', 'int128', 'uint128') then 'unsigned'
            when {type_} in ('float32', 'float64') then 'float'
            when {type_} in ('timestamp', 'timestamp_us', 'timestamptz') then 'microseconds'
            else {type_} end"""


def _loses_rows(row: Values, version: str, reading: Reading) -> bool:
    """
    Tell of bounds that were written for FLOAT whether as DOUBLE they leave out the value that they were written for.

    The FLOAT 0.1 is 0.10000000149011612 as a DOUBLE: above a maximum of 0.1.
    """
    if any(int(number) >= row["changed"] for number in _snapshots(row)):
        return False  # flushed rows of both types: DuckDB writes them all as DOUBLE
    low, high = row["min_value"], row["max_value"]
    return (low is not None and _as_double(low) > _widened(low)) or (
        high is not None and _as_double(high) < _widened(high)
    )


def _snapshots(row: Values) -> list[str]:
    """Return the snapshots of which a data file holds rows, as far as it says them."""
    if row.get("partial_max") is not None:
        return [str(row["partial_max"])]
    return [one or two for one, two in re.findall(r"(\d+):|:(\d+)$", row.get("partial_file_info") or "")]


def _as_double(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _widened(text: str) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", _as_double(text)))[0])
    except OverflowError:
        return float("nan")


RULES = (
    Rule(
        name="float-bounds",
        severity="error",
        what="a data file of a column that was FLOAT has bounds that leave out its values, now that it is DOUBLE",
        why="filters miss rows, and find wrong ones: the FLOAT 0.1 is 0.10000000149011612 as a DOUBLE, above a maximum"
        " of 0.1; all DuckDBs up to 1.5.5 do that, and compare such a file's values as FLOAT too",
        query="""
        select f.data_file_id, n.table_id, n.column_id, s.min_value, s.max_value, f.{partial}, o.changed
        from {s}.ducklake_column n
        join (
            select table_id, column_id, max(end_snapshot) as changed
            from {s}.ducklake_column
            where column_type = 'float32' and end_snapshot is not null
            group by table_id, column_id
        ) o on o.table_id = n.table_id and o.column_id = n.column_id
        join {s}.{stats} s on s.table_id = n.table_id and s.column_id = n.column_id
        join {s}.ducklake_data_file f on f.data_file_id = s.data_file_id
        where n.end_snapshot is null
          and n.column_type = 'float64'
          and f.end_snapshot is null
          and f.begin_snapshot < o.changed
          and (s.min_value is not null or s.max_value is not null)
          and not exists (
            select 1
            from {s}.ducklake_column b
            where b.table_id = n.table_id
              and b.column_id = n.column_id
              and b.column_type <> 'float32'
              and b.begin_snapshot <= f.begin_snapshot
              and b.end_snapshot > f.begin_snapshot
          )
        """,
        advice="write the rows again, as DOUBLE: UPDATE the_table SET the_column = the_column",
        breaks=_loses_rows,
    ),
    Rule(
        name="bucket-of-other-type",
        severity="error",
        what="a data file is in a bucket by the values of a column that has another type now",
        why="DuckDB looks for the value in the bucket of the new type, so that filters by equality miss rows; true for"
        " 1.5.5, the first that has buckets",
        query=f"""
        select f.data_file_id, f.table_id, n.column_id, o.column_type as old_type, n.column_type as new_type
        from {_KEYS_OF_BUCKETS}
        join {{s}}.ducklake_partition_column w
          on w.partition_id = f.partition_id
          and w.table_id = f.table_id
          and w.partition_key_index = k.partition_key_index
          and w.column_id = k.column_id
          and w.transform = k.transform
        join {{s}}.ducklake_file_partition_value v
          on v.data_file_id = f.data_file_id
          and v.partition_key_index = k.partition_key_index
          and v.partition_value is not null
        join {{s}}.ducklake_column o
          on o.table_id = k.table_id
          and o.column_id = k.column_id
          and o.begin_snapshot <= f.begin_snapshot
          and o.end_snapshot > f.begin_snapshot
        where {_hashed("o.column_type")} <> {_hashed("n.column_type")}
        """,
        since="1.0",
        advice="write the rows again: UPDATE the_table SET the_column = the_column",
    ),
    Rule(
        name="file-outside-buckets",
        severity="error",
        what="a data file is in no bucket of a column by which its table is partitioned now",
        why="filters by equality, joins, UPDATE and DELETE by the column miss its rows: DuckDB takes all files for"
        " written by the keys that the table has now, also those from before SET PARTITIONED BY; true for 1.5.5, the"
        " first that has buckets",
        query=f"""
        select f.data_file_id, f.table_id, k.column_id, k.partition_key_index, k.transform
        from {_KEYS_OF_BUCKETS}
        cross join (select min(snapshot_id) as oldest from {{s}}.ducklake_snapshot) o
        left join {{s}}.ducklake_partition_column w
          on w.partition_id = f.partition_id
          and w.table_id = f.table_id
          and w.partition_key_index = k.partition_key_index
        left join {{s}}.ducklake_file_partition_value v
          on v.data_file_id = f.data_file_id and v.partition_key_index = k.partition_key_index
        left join {{s}}.{{stats}} t
          on t.data_file_id = f.data_file_id and t.column_id = k.column_id
        left join {{s}}.ducklake_delete_file d
          on d.data_file_id = f.data_file_id
          and d.end_snapshot is null
          and (d.begin_snapshot <= p.begin_snapshot or d.begin_snapshot <= o.oldest)
        where (v.data_file_id is null or w.column_id <> k.column_id or w.transform <> k.transform)
          and coalesce(t.value_count > coalesce(d.delete_count, 0), true)
          and (t.data_file_id is not null or exists (
            select 1
            from {{s}}.ducklake_column c
            where c.table_id = k.table_id
              and c.column_id = k.column_id
              and (c.begin_snapshot <= f.begin_snapshot or c.initial_default is not null)
          ))
        """,
        since="1.0",
        advice="write the rows again, UPDATE the_table SET the_column = the_column; or do without the keys, ALTER TABLE"
        " the_table RESET PARTITIONED BY",
    ),
    Rule(
        name="truth-statistics",
        severity="error",
        what="the minimum or maximum of a table's column is true or false, and the column is of numbers now",
        why="every read of the column fails with 'Failed to cast value'; DuckDB 1.5.5 does that to a BOOLEAN that"
        " becomes a number while its rows are in the catalog",
        query=f"""
        select k.table_id, k.column_id, k.min_value, k.max_value
        from {{s}}.ducklake_table_column_stats k
        join {{s}}.ducklake_column c
          on c.table_id = k.table_id and c.column_id = k.column_id and c.end_snapshot is null
        where c.column_type in {_INTEGERS}
          and (k.min_value in {_TRUTHS} or k.max_value in {_TRUTHS})
        """,
        since="1.0",
        mend="DELETE FROM {s}.ducklake_table_column_stats WHERE (table_id, column_id) IN ({found});",
        advice="without that row engines take no minimum for granted, and make none later",
    ),
)
