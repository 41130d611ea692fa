"""
Rules about what engines can't read, or read wrongly, although every row is in order.

DuckDB loads a lake's whole schema before it reads anything. One column, macro or view of which it can't make sense
makes every statement fail. Each of these was tried with DuckDB 1.4.4, 1.5.1 and 1.5.5, as far as the spec version
is theirs. Types are closed lists in the engines, so they are here; whether a text parses, DuckDB's own parser says.
"""

import re
import struct

from dlbackup.health.rules.rule import Reading, Rule, Values, union
from dlbackup.lake.columntypes import DUCKDB_TYPES, NESTED, UNKNOWN, is_known
from dlbackup.lake.inlined import MOST_COLUMNS

_LIVING_TABLES = "(select distinct table_id from {s}.ducklake_table where end_snapshot is null)"
_SURE = sorted((DUCKDB_TYPES.keys() - {"time_ns"}) | NESTED)
"""Types that every spec version has; of others, such as decimals, Python says whether there is such a type."""
_WITHOUT_VALUES = frozenset({"variant", "geometry"})
_NO_DEFAULT = "NULL"
"""How a catalog says since 0.4 that there is no default."""

_LAKE = "{DUCKLAKE_CATALOG}"
"""What DuckDB 1.5.5 writes into the text of a view for the name that the lake is attached by."""


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _living_columns(columns: str, condition: str) -> str:
    return f"""
        select c.table_id, c.column_id, {columns}
        from {{s}}.ducklake_column c
        join {_LIVING_TABLES} t on t.table_id = c.table_id
        where c.end_snapshot is null
          and {condition}
    """


def _is_no_type(row: Values, version: str, reading: Reading) -> bool:
    return not is_known(row["column_type"], version)


def _is_no_initial_value(row: Values, version: str, reading: Reading) -> bool | None:
    return _opposite(reading.casts(row["initial_default"], row["column_type"]))


def _is_no_value(row: Values, version: str, reading: Reading) -> bool | None:
    return _opposite(reading.casts(row["default_value"], row["column_type"]))


def _is_no_default(row: Values, version: str, reading: Reading) -> bool | None:
    return row["default_value_type"] == "" or _opposite(reading.is_expression(row["default_value"]))


def _is_no_macro_type(row: Values, version: str, reading: Reading) -> bool:
    type_ = row["type"]
    if row["kind"] == "body" or type_ is None:
        return True
    lower = type_.lower()
    if row["kind"] == "parameter":
        return not (lower in {UNKNOWN, "decimal"} or is_known(type_, version))
    return lower in NESTED or not (lower == UNKNOWN or is_known(type_, version))


def _is_no_macro_default(row: Values, version: str, reading: Reading) -> bool | None:
    type_ = row["default_value_type"].lower()
    if type_ in _WITHOUT_VALUES:
        return row["default_value"] == _NO_DEFAULT if type_ == "geometry" else False
    return _opposite(reading.casts(row["default_value"], row["default_value_type"]))


def _is_no_macro_text(row: Values, version: str, reading: Reading) -> bool | None:
    if row["sql"] is None:
        return True
    return _opposite((reading.is_expression if row["type"] == "scalar" else reading.is_query)(row["sql"]))


def _is_no_query(row: Values, version: str, reading: Reading) -> bool | None:
    return _opposite(reading.is_query(row["sql"].replace(_LAKE, "lake")))


def _is_no_sort_key(row: Values, version: str, reading: Reading) -> bool | None:
    return _opposite(reading.is_expression(row["expression"]))


def _is_no_list(row: Values, version: str, reading: Reading) -> bool:
    """Tell of a text whether it is no list of names as DuckLake parses it: each in quotes, commas without blanks."""
    name = '"(?:[^"]|"")*"'
    return row["column_aliases"] is None or not re.fullmatch(f"(?:{name}(?:,{name})*)?", row["column_aliases"])


def _opposite(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def _is_cut(row: Values, version: str, reading: Reading) -> bool:
    return len(row["column_name"].encode()) > _LONGEST_NAME


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


_LONGEST_NAME = 63
"""Bytes; PostgreSQL cuts longer names without an error."""
_WITHOUT_CHILDREN = f"lower(p.column_type) not in ({_listed(sorted(NESTED))}, 'variant')"
_ALL_READS_FAIL = "DuckDB loads nothing of the lake, and every statement fails"
_MACRO_MEND = """
DELETE FROM {s}.ducklake_macro WHERE macro_id IN ({ids});
DELETE FROM {s}.ducklake_macro_impl WHERE macro_id IN ({ids});
DELETE FROM {s}.ducklake_macro_parameters WHERE macro_id IN ({ids});
"""
_MACRO_ADVICE = "note the macro's text first; make it again afterwards"


RULES = (
    Rule(
        name="column-type",
        severity="error",
        what="a column has a type that DuckDB does not have",
        why=f"{_ALL_READS_FAIL}, with 'Failed to parse DuckLake type' or 'Decimal has a width of'; a decimal with"
        " more decimals than digits makes only its table unreadable",
        query=_living_columns(
            "c.column_type", f"c.column_type <> '' and lower(c.column_type) not in ({_listed(_SURE)})"
        ),
        advice="give column_type the type that the data files have, or a backup",
        breaks=_is_no_type,
        unreadable=True,
    ),
    Rule(
        name="nested-column-parts",
        severity="error",
        what="a struct has no fields, a list not one element, a map not key and value, or another type has parts",
        why=f"{_ALL_READS_FAIL}, with 'Lists must have a single child entry', 'Unrecognized nested type' or an"
        " INTERNAL error that ends the client's DuckDB",
        query=f"""
        select p.table_id, p.column_id, p.column_type, count(c.column_id) as parts
        from {{s}}.ducklake_column p
        join {_LIVING_TABLES} t on t.table_id = p.table_id
        left join {{s}}.ducklake_column c
          on c.table_id = p.table_id and c.parent_column = p.column_id and c.end_snapshot is null
        where p.end_snapshot is null
          and (lower(p.column_type) in ({_listed(sorted(NESTED))}) or c.column_id is not null)
        group by p.table_id, p.column_id, p.column_type
        having (lower(p.column_type) = 'struct' and count(c.column_id) = 0)
          or (lower(p.column_type) = 'list' and count(c.column_id) <> 1)
          or (lower(p.column_type) = 'map' and count(c.column_id) <> 2)
          or ({_WITHOUT_CHILDREN} and count(c.column_id) > 0)
        """,
        unreadable=True,
    ),
    Rule(
        name="initial-default",
        severity="error",
        what="the value that a column had when it was added is none of its type",
        why=f"{_ALL_READS_FAIL}, with 'Failed to cast value'",
        query=_living_columns(
            "c.column_type, c.initial_default",
            f"c.initial_default is not null and lower(c.column_type) not in ('varchar', {_listed(sorted(NESTED))})",
        ),
        advice="set initial_default to a value of the type; with NULL, rows from before the column was added have NULL",
        breaks=_is_no_initial_value,
        unreadable=True,
    ),
    Rule(
        name="column-default",
        severity="error",
        what="the default of a column is no value of its type",
        why="DuckDB 1.3 and 1.4 load nothing of the lake: 'Failed to cast value'; newer ones refuse inserts that leave"
        " the column out",
        query=_living_columns(
            "c.column_type, c.default_value",
            f"c.default_value is not null and lower(c.column_type) not in ('varchar', {_listed(sorted(NESTED))})",
        ),
        until="0.3",
        advice="set default_value to a value of the type, or to NULL for none",
        breaks=_is_no_value,
        unreadable=True,
    ),
    Rule(
        name="default-literal",
        severity="error",
        what="the default of a column is no value of its type",
        why="inserts that leave the column out fail",
        query=_living_columns(
            "c.column_type, c.default_value",
            "c.default_value is not null and c.default_value <> 'NULL' and c.default_value_type = 'literal'"
            f" and lower(c.column_type) not in ('varchar', {_listed(sorted(NESTED))})",
        ),
        since="0.4",
        advice="ALTER TABLE ... ALTER COLUMN ... SET DEFAULT, or DROP DEFAULT",
        breaks=_is_no_value,
    ),
    Rule(
        name="default-expression",
        severity="error",
        what="the default of a column is no expression, or nothing says that it is one",
        why=f"{_ALL_READS_FAIL}, with a 'Parser Error', 'Column type  is not supported' or an INTERNAL error that"
        " ends the client's DuckDB",
        query=_living_columns(
            "c.default_value_type, c.default_value",
            "c.default_value is not null and c.default_value <> 'NULL' and c.default_value_type in ('expression', '')",
        ),
        since="0.4",
        advice="set default_value to 'NULL' and default_value_type to 'literal' for none",
        breaks=_is_no_default,
        unreadable=True,
    ),
    Rule(
        name="macro-type",
        severity="error",
        what="a macro is neither scalar nor a table, or a parameter or its default has a type that macros can't have",
        why=f"{_ALL_READS_FAIL}; DuckDB up to 1.5.5 itself makes such macros: with a list, a struct or a map as a"
        " default, which end every client's DuckDB with an INTERNAL error",
        query=union(
            """
            select m.macro_id, 'body' as kind, i.type as type
            from {s}.ducklake_macro m
            join {s}.ducklake_macro_impl i on i.macro_id = m.macro_id
            where m.end_snapshot is null and (i.type is null or i.type not in ('scalar', 'table'))
            """,
            f"""
            select m.macro_id, 'parameter', p.parameter_type
            from {{s}}.ducklake_macro m
            join {{s}}.ducklake_macro_parameters p on p.macro_id = m.macro_id
            where m.end_snapshot is null
              and (p.parameter_type is null or lower(p.parameter_type) not in ('{UNKNOWN}', {_listed(_SURE)}))
            """,
            f"""
            select m.macro_id, 'default', case when p.default_value is not null then p.default_value_type end
            from {{s}}.ducklake_macro m
            join {{s}}.ducklake_macro_parameters p on p.macro_id = m.macro_id
            where m.end_snapshot is null
              and (
                  p.default_value is null
                  or p.default_value_type is null
                  or lower(p.default_value_type) not in ('{UNKNOWN}', {_listed(sorted(set(_SURE) - NESTED))})
              )
            """,
        ),
        since="0.4",
        mend=_MACRO_MEND,
        advice=_MACRO_ADVICE,
        breaks=_is_no_macro_type,
        ids="macro_id",
        unreadable=True,
    ),
    Rule(
        name="macro-default",
        severity="error",
        what="the default of a macro's parameter is no value of its type",
        why=f"{_ALL_READS_FAIL}, with 'Failed to cast value'; DuckDB up to 1.5.5 itself makes such a macro:"
        " CREATE MACRO m(d DATE := NULL::DATE)",
        query=f"""
        select m.macro_id, p.parameter_name, p.default_value_type, p.default_value
        from {{s}}.ducklake_macro m
        join {{s}}.ducklake_macro_parameters p on p.macro_id = m.macro_id
        where m.end_snapshot is null
          and p.default_value is not null
          and lower(p.default_value_type) not in ('{UNKNOWN}', 'varchar', {_listed(sorted(NESTED))})
        """,
        since="0.4",
        mend=_MACRO_MEND,
        advice=_MACRO_ADVICE,
        breaks=_is_no_macro_default,
        ids="macro_id",
        unreadable=True,
    ),
    Rule(
        name="macro-text",
        severity="error",
        what="the text of a macro does not parse as one expression, or of a table macro as one SELECT statement",
        why=f"{_ALL_READS_FAIL}, with a 'Parser Error' or an INTERNAL error that ends the client's DuckDB",
        query="""
        select m.macro_id, i.type, i.sql
        from {s}.ducklake_macro m
        join {s}.ducklake_macro_impl i on i.macro_id = m.macro_id
        where m.end_snapshot is null and i.type in ('scalar', 'table')
        """,
        since="0.4",
        mend=_MACRO_MEND,
        advice=_MACRO_ADVICE,
        breaks=_is_no_macro_text,
        ids="macro_id",
        unreadable=True,
    ),
    Rule(
        name="macro-null-default",
        severity="warning",
        what="the default of a macro's parameter is the text NULL",
        why="if NULL was meant, calls get that text instead: DuckDB up to 1.5.5 makes NULL::VARCHAR into it; look"
        " whether somebody meant the text",
        query="""
        select m.macro_id, p.parameter_name, p.default_value_type
        from {s}.ducklake_macro m
        join {s}.ducklake_macro_parameters p on p.macro_id = m.macro_id
        where m.end_snapshot is null
          and p.default_value = 'NULL'
          and lower(p.default_value_type) in ('varchar', 'blob')
        """,
        since="0.4",
        advice="make the macro anew without that default: CREATE OR REPLACE MACRO",
    ),
    Rule(
        name="view-aliases",
        severity="error",
        what="the names of a view's columns are not set, or no list of names in quotes",
        why=f"{_ALL_READS_FAIL}, with 'Failed to parse quoted value'",
        query="""
        select view_id, column_aliases
        from {s}.ducklake_view
        where end_snapshot is null and (column_aliases is null or column_aliases <> '')
        """,
        mend="UPDATE {s}.ducklake_view SET column_aliases = '' WHERE view_id IN ({ids});",
        advice="with '' the columns have the names that the view's text gives them",
        breaks=_is_no_list,
        ids="view_id",
        unreadable=True,
    ),
    Rule(
        name="view-text",
        severity="error",
        what="the text of a view does not parse as one SELECT statement",
        why="every read of the view fails",
        query="""
        select view_id, sql
        from {s}.ducklake_view
        where end_snapshot is null and dialect = 'duckdb' and sql is not null
        """,
        since="0.4",
        advice="DROP VIEW, and make it again",
        breaks=_is_no_query,
    ),
    Rule(
        name="sort-key-text",
        severity="error",
        what="an expression of a sort key does not parse",
        why="inserts into the table fail",
        query="""
        select k.table_id, k.sort_id, e.expression
        from {s}.ducklake_sort_info k
        join {s}.ducklake_sort_expression e on e.sort_id = k.sort_id
        where k.end_snapshot is null and e.dialect = 'duckdb' and e.expression is not null
        """,
        since="0.4",
        advice="ALTER TABLE ... RESET SORTED BY, and sort it anew",
        breaks=_is_no_sort_key,
    ),
    Rule(
        name="column-comment-key",
        severity="error",
        what="a living column has a tag that is no comment",
        why=f"{_ALL_READS_FAIL}, with 'Only comment tags are supported for columns currently'",
        query=f"""
        select g.table_id, g.column_id, g.key
        from {{s}}.ducklake_column_tag g
        join {_LIVING_TABLES} t on t.table_id = g.table_id
        join {{s}}.ducklake_column c
          on c.table_id = g.table_id and c.column_id = g.column_id and c.end_snapshot is null
        where g.end_snapshot is null and (g.key is null or g.key <> 'comment')
        """,
        mend="DELETE FROM {s}.ducklake_column_tag WHERE end_snapshot IS NULL AND (key IS NULL OR key <> 'comment');",
        unreadable=True,
    ),
    Rule(
        name="cut-column-name",
        severity="error",
        what="an inlined table has a column whose name the server cut at 63 bytes",
        why="every read of the column fails with 'Referenced column ... not found'; DuckDB 1.5.5 ends with an INTERNAL"
        " error instead, also where the inlined table is empty; 1.5.5 makes no such tables, DuckDB up to 1.5.1 does",
        query=f"""
        select i.table_id, i.table_name as name, c.column_name
        from {{cut}} u
        join {{s}}.ducklake_inlined_data_tables i on i.table_name = u.name
        join {_LIVING_TABLES} t on t.table_id = i.table_id
        join (
            select distinct table_id, column_name
            from {{s}}.ducklake_column
            where parent_column is null
        ) c
          on c.table_id = i.table_id
          and length(c.column_name) > length(u.column_name)
          and substr(c.column_name, 1, length(u.column_name)) = u.column_name
        where not exists (
            select 1 from {{s}}.ducklake_column o
            where o.table_id = i.table_id and o.column_name = u.column_name
        )
        """,
        advice="keep all clients away, give ducklake_column.column_name the cut name, let DuckDB flush the inlined data"
        " (CALL ducklake_flush_inlined_data), then give the column its name again, and drop the empty inlined table"
        " with its row in ducklake_inlined_data_tables",
        breaks=_is_cut,
    ),
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
        """,
        advice="write the rows again, as DOUBLE: UPDATE the_table SET the_column = the_column",
        breaks=_loses_rows,
    ),
    Rule(
        name="wide-table",
        severity="warning",
        what="a table has more columns than can be inlined on PostgreSQL, and its options don't forbid it",
        why="DuckDB 1.5 can't alter it any more, and refuses inserts of few rows: 'tables can have at most 1600"
        " columns'",
        query=f"""
        select t.table_id, count(*) as columns
        from {{s}}.ducklake_table t
        join {{s}}.ducklake_column c
          on c.table_id = t.table_id and c.end_snapshot is null and c.parent_column is null
        where t.end_snapshot is null
          and not exists (
              select 1 from {{s}}.ducklake_metadata m
              where m.key = 'data_inlining_row_limit'
                and m.value = '0'
                and (
                    m.scope is null
                    or (m.scope = 'schema' and m.scope_id = t.schema_id)
                    or (m.scope = 'table' and m.scope_id = t.table_id)
                )
          )
        group by t.table_id
        having count(*) > {MOST_COLUMNS}
        """,
        since="0.4",
        advice="CALL lake.set_option('data_inlining_row_limit', 0, table_name => '...')",
    ),
)
