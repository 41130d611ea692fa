"""
Rules about what the statistics of a table say of its columns, beside those of its living data files.

Statistics are text. Compared are integers as numbers, dates and timestamps of the years up to 9999 and text by
their bytes; other types, nested columns and rows in the catalog itself are left out.
"""

from dlbackup.health.rules.rule import Rule

_WITHOUT_RANGE = "('boolean', 'int128', 'uint128', 'interval', 'blob')"
"""Types of which DuckLake keeps no minimum and maximum, or uses none."""
_TIMES = "('date', 'timestamp', 'timestamp_s', 'timestamp_ms', 'timestamp_ns', 'timestamptz')"


def _is_year(value: str) -> str:
    """Tell whether a date compares as text: not one before Christ or beyond 9999, and not infinity."""
    return f"{value} like '____-__-__%' and {value} not like '%)'"


def _less(one: str, two: str, of_file: str) -> str:
    """Compare a value of the table with one of a file; numbers without a cast, which odd text would make fail."""
    shorter = 'length({0}) < length({1}) or (length({0}) = length({1}) and {0} collate "C" < {1} collate "C")'
    return f"""\
case t.kind when 'number' then {of_file} is not null and case when {one} like '-%' and {two} like '-%'
    then {shorter.format(two, one)}
    when {one} like '-%' or {two} like '-%' then {one} like '-%'
    else {shorter.format(one, two)} end
  when 'time' then {_is_year(of_file)} and {one} collate "C" < {two} collate "C"
  else {one} collate "C" < {two} collate "C" end"""


_KIND = f"""\
case when c.column_type in ('int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64') then 'number'
  when c.column_type = 'varchar' then 'text' when {_is_year("k.min_value")}
  and {_is_year("k.max_value")}
  and c.column_type in {_TIMES} then 'time' end"""
_OF_LIVING_COLUMNS = """\
from {s}.ducklake_table_column_stats k join {s}.ducklake_column c on c.table_id = k.table_id
  and c.column_id = k.column_id and c.end_snapshot is null and c.parent_column is null"""
_IN_LIVING_FILES = """\
join {s}.ducklake_file_column_stats s on s.table_id = t.table_id and s.column_id = t.column_id
join {s}.ducklake_data_file f on f.data_file_id = s.data_file_id and f.end_snapshot is null"""
# Both stand in the mends too, which users read: their lines are those of docs/rules.md.
_NARROW = f"""\
select t.table_id, t.column_id, t.min_value, t.max_value, count(*) as files
from (select k.table_id, k.column_id, k.min_value, k.max_value, {_KIND} as kind
  {_OF_LIVING_COLUMNS}) t
{_IN_LIVING_FILES}
where t.kind is not null and ({_less("s.min_value", "t.min_value", "s.min_value")}
  or {_less("t.max_value", "s.max_value", "s.max_value")})
group by t.table_id, t.column_id, t.min_value, t.max_value"""
_UNKNOWN = f"""\
select t.table_id, t.column_id, count(*) as files
from (select k.table_id, k.column_id {_OF_LIVING_COLUMNS}
  where k.min_value is null and k.max_value is null and k.extra_stats is null
  and c.column_type not in {_WITHOUT_RANGE}) t
{_IN_LIVING_FILES}
where s.min_value is not null group by t.table_id, t.column_id"""


def _forget(query: str) -> str:
    return f"""\
DELETE FROM {{s}}.ducklake_table_column_stats WHERE (table_id, column_id) IN (SELECT table_id, column_id FROM (
{query}) x);"""


_ADVICE = "without that row engines take no minimum for granted, and make none later"
RULES = (
    Rule(
        name="narrow-statistics",
        severity="error",
        what="the minimum or maximum of a table's column leaves out values of its data files",
        why="filters are folded away by them, so that rows are missing from results; DuckDB 1.5.5 makes them so in a"
        " lake that it migrated from 0.3 or 0.4, at the first insert after it",
        query=_NARROW,
        since="1.0",
        mend=_forget(_NARROW),
        advice=_ADVICE,
    ),
    Rule(
        name="unknown-statistics",
        severity="warning",
        what="the statistics of a table's column know no minimum and no maximum, although its data files do",
        why="up to 0.4 that means that nothing is known, but in 1.0 that there are no values: the next insert makes the"
        " statistics too narrow, and rows are missing from results; a migration by DuckDB 1.5.5 alone leaves it so",
        query=_UNKNOWN,
        since="1.0",
        mend=_forget(_UNKNOWN),
        advice=_ADVICE,
    ),
)
