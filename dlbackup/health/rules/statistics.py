"""
Rules about what the statistics of a table say of its columns, beside those of its living data files.

Statistics are text that DuckDB reads as values of the type that the column has now, whatever it was when they were
written: once DATE has become TIMESTAMP, `2024-01-05` is the same as `2024-01-05 00:00:00`. So are they compared here.
Text that isn't of the form that DuckDB writes is left out, and so are nested columns and types of which DuckDB takes no
minimum and maximum from a table.
"""

from dlbackup.health.rules.rule import Rule

_WITHOUT_RANGE = "('boolean', 'int128', 'uint128', 'interval', 'blob', 'timetz', 'variant', 'geometry')"
"""Types of which DuckLake keeps no minimum and maximum, or uses none."""
_KIND = """\
case when c.column_type in ('int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64') then 'integer'
  when c.column_type like 'decimal(%' then 'decimal'
  when c.column_type in ('float32', 'float64') and not k.contains_nan then c.column_type
  when c.column_type in ('date', 'timestamp', 'timestamp_us', 'timestamp_s', 'timestamp_ms', 'timestamp_ns',
    'timestamptz') then 'date'
  when c.column_type = 'time' then 'time'
  when c.column_type in ('varchar', 'json', 'uuid') then 'text' end"""
"""How the values of a column compare. DuckDB takes no range where there is a NaN, or where nobody knows."""
_DIGITS = "'0123456789'"


def _signs(value: str) -> str:
    """What is no digit: the form of a number or a date, told without a regular expression, which takes longer."""
    return f"translate({value}, {_DIGITS}, '')"


def _backwards(digits: str) -> str:
    """Turn the order of numbers of one width round."""
    return f"translate({digits}, {_DIGITS}, '9876543210')"


def _number_is_less(one: str, two: str, size: str, digits: str) -> str:
    """
    Compare numbers without a cast, which takes longer and which odd text would make fail.

    Args:
        size: how large a positive number `{0}` is; numbers of one size compare by their `digits`.
    """

    def smaller(one: str, two: str) -> str:
        sizes, texts = (size.format(one), size.format(two)), (digits.format(one), digits.format(two))
        return f"{sizes[0]} < {sizes[1]} or ({sizes[0]} = {sizes[1]} and {texts[0]} < {texts[1]})"

    return f"""\
case when {one} like '-%' and {two} like '-%' then {smaller(two, one)}
    when {one} like '-%' or {two} like '-%' then {one} like '-%'
    else {smaller(one, two)} end"""


def _integer_is_less(one: str, two: str) -> str:
    return _number_is_less(one, two, "length({0})", '{0} collate "C"')


def _point_is_less(one: str, two: str) -> str:
    """Compare numbers that have a point and no exponent: where it stands, then the digits but for zeros at the end."""
    return _number_is_less(one, two, "strpos({0}, '.')", "rtrim({0}, '0') collate \"C\"")


def _decimal(value: str) -> str:
    """Return a number with or without decimals as text that sorts as it: so many digits before and after the point."""
    digits = "lpad(split_part({0}, '.', 1), 40, '0') || rpad(split_part({0}, '.', 2), 40, '0')"
    positive, negative = digits.format(value), _backwards(digits.format(f"substr({value}, 2)"))
    return f"""\
case when {_signs(value)} in ('', '.') then '1' || {positive}
      when {_signs(value)} in ('-', '-.') then '0' || {negative} end"""


def _date(value: str) -> str:
    """Return a date or timestamp as text that sorts as it: a long year, backwards before Christ, and a time."""
    signs = f"{_signs(value)} || case when {value} like '%+00' then '' else ' ' end"
    year = f"lpad(split_part({value}, '-', 1), 8, '0')"
    rest = f"replace(replace(substr({value}, strpos({value}, '-') + 1), ' (BC)', ''), '+00', '')"
    whole = f"{rest} || substr(' 00:00:00.000000000', length({rest}) - 4)"
    return f"""\
case when {value} = 'infinity' then '3'
      when {value} = '-infinity' then '0'
      when {signs} in ('-- ', '-- :: ', '-- ::. ', '-- ::+', '-- ::.+') then '2' || {year} || {whole}
      when {signs} in ('-- (BC) ', '-- (BC) :: ', '-- (BC) ::. ', '-- (BC) ::+', '-- (BC) ::.+')
      then '1' || {_backwards(year)} || {whole} end"""


def _is_common_date(value: str) -> str:
    """Tell whether the day of a date compares as it stands: of the years 1 to 9999, in no time zone but UTC."""
    zone = f"{value} not like '% %-%' and ({value} not like '%+%' or {value} like '%+00')"
    return f"{value} like '____-__-__%' and {value} not like '%)%' and {zone}"


def _float(value: str, type_: str) -> str:
    """Return a number as a float; a very large one, which might not fit, is left out."""
    most, cast = {"float32": ("037", "float4"), "float64": ("307", "float8")}[type_]
    return f"""\
case when {value} in ('inf', '-inf') or ({value} ~ '^-?[0-9]+([.][0-9]+)?(e[+-][0-9]+)?$'
      and length(split_part({value}, '.', 1)) <= 38
      and lpad(substr(split_part({value}, 'e', 2), 2), 3, '0') <= '{most}') then cast({value} as {cast}) end"""


def _has_point(value: str, most: int) -> str:
    """Tell whether numbers compare by their digits; two with more of them may be one float."""
    return f"{value} like '%.%' and {value} not like '%e%' and {value} <> '-0.0' and length({value}) <= {most}"


def _is_less(one: str, two: str) -> str:
    """Compare values, the usual ones of a type in a fast way, the others exactly."""

    def number(most: int, exact_one: str, exact_two: str) -> str:
        usual = f"{_has_point(one, most)} and {_has_point(two, most)}"
        return f"case when {usual} then {_point_is_less(one, two)}\n    else {exact_one} < {exact_two} end"

    day_one, day_two = f"substr({one}, 1, 10)", f"substr({two}, 1, 10)"
    days = f"{_is_common_date(one)} and {_is_common_date(two)} and {day_one} <> {day_two}"
    return f"""\
case t.kind when 'integer' then {one} is not null and {two} is not null and {_integer_is_less(one, two)}
  when 'decimal' then {number(80, f'{_decimal(one)} collate "C"', f'{_decimal(two)} collate "C"')}
  when 'date' then case when {days} then {day_one} collate "C" < {day_two} collate "C"
    else {_date(one)} collate "C" < {_date(two)} collate "C" end
  when 'float32' then {number(7, _float(one, "float32"), _float(two, "float32"))}
  when 'float64' then {number(16, _float(one, "float64"), _float(two, "float64"))}
  else {one} collate "C" < {two} collate "C" end"""


_OF_LIVING_COLUMNS = """\
from {s}.ducklake_table_column_stats k join {s}.ducklake_column c on c.table_id = k.table_id
  and c.column_id = k.column_id and c.end_snapshot is null and c.parent_column is null"""
_IN_LIVING_FILES = """\
join {s}.ducklake_file_column_stats s on s.table_id = t.table_id and s.column_id = t.column_id
join {s}.ducklake_data_file f on f.data_file_id = s.data_file_id and f.end_snapshot is null"""
_NARROW = f"""\
select t.table_id, t.column_id, t.min_value, t.max_value, count(*) as files
from (select k.table_id, k.column_id, k.min_value, k.max_value, {_KIND} as kind
  {_OF_LIVING_COLUMNS}) t
{_IN_LIVING_FILES}
where t.kind is not null and ({_is_less("s.min_value", "t.min_value")}
  or {_is_less("t.max_value", "s.max_value")})
group by t.table_id, t.column_id, t.min_value, t.max_value"""
_UNKNOWN = f"""\
select t.table_id, t.column_id, count(*) as files
from (select k.table_id, k.column_id {_OF_LIVING_COLUMNS}
  where k.min_value is null and k.max_value is null and k.extra_stats is null
  and c.column_type not in {_WITHOUT_RANGE}) t
{_IN_LIVING_FILES}
where s.min_value is not null group by t.table_id, t.column_id"""
_FORGET = "DELETE FROM {s}.ducklake_table_column_stats WHERE (table_id, column_id) IN ({found});"
_ADVICE = "without that row engines take no minimum for granted, and make none later"
RULES = (
    Rule(
        name="narrow-statistics",
        severity="error",
        what="the minimum or maximum of a table's column leaves out values of its data files",
        why="filters are folded away by them, so that rows are missing from results; DuckDB 1.5.5 makes them so by an"
        " insert after all that it knew of a column were NULLs, in lakes that were born in 1.0 as in migrated ones",
        query=_NARROW,
        since="1.0",
        mend=_FORGET,
        advice=_ADVICE,
    ),
    Rule(
        name="unknown-statistics",
        severity="warning",
        what="the statistics of a table's column know no minimum and no maximum, although its data files do",
        why="up to 0.4 that means that nothing is known, but in 1.0 that there are no values: the next insert makes the"
        " statistics too narrow, and rows are missing from results; DuckDB 1.5.5 leaves it so, by a migration and in"
        " lakes that were born in 1.0",
        query=_UNKNOWN,
        since="1.0",
        mend=_FORGET,
        advice=_ADVICE,
    ),
)
