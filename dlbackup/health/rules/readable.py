"""
Rules about what engines can't read, or read wrongly, although every row is in order.

DuckDB loads a lake's whole schema before it reads anything. One column, macro or view of which it can't make sense
makes every statement fail. Each of these was tried with DuckDB 1.4.4, 1.5.1 and 1.5.5, as far as the spec version
is theirs. Types are closed lists in the engines, so they are here; whether a text parses, DuckDB's own parser says.
"""

import re

from dlbackup.health.rules.rule import Reading, Rule, Values
from dlbackup.lake.columntypes import DUCKDB_TYPES, NESTED, is_known
from dlbackup.lake.inlined import LIMIT, MOST_COLUMNS

_LIVING_TABLES = "(select distinct table_id from {s}.ducklake_table where end_snapshot is null)"
SURE = sorted((DUCKDB_TYPES.keys() - {"time_ns"}) | NESTED)
"""Types that every spec version has; of others, such as decimals, Python says whether there is such a type."""
NO_DEFAULT = "NULL"
"""How a catalog says since 0.4 that there is no default."""

_LAKE = "{DUCKLAKE_CATALOG}"
"""What DuckDB 1.5.5 writes into the text of a view for the name that the lake is attached by."""


def listed(names: list[str]) -> str:
    """Return texts as SQL, for IN."""
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
    return opposite(reading.casts(row["initial_default"], row["column_type"]))


def _is_no_value(row: Values, version: str, reading: Reading) -> bool | None:
    return opposite(reading.casts(row["default_value"], row["column_type"]))


def _is_no_default(row: Values, version: str, reading: Reading) -> bool | None:
    return row["default_value_type"] == "" or opposite(reading.is_expression(row["default_value"]))


def _is_no_query(row: Values, version: str, reading: Reading) -> bool | None:
    return opposite(reading.is_query(row["sql"].replace(_LAKE, "lake")))


def _is_no_sort_key(row: Values, version: str, reading: Reading) -> bool | None:
    return opposite(reading.is_expression(row["expression"]))


def _is_no_list(row: Values, version: str, reading: Reading) -> bool:
    """Tell of a text whether it is no list of names as DuckLake parses it: each in quotes, commas without blanks."""
    name = '"(?:[^"]|"")*+"'
    return row["column_aliases"] is None or not re.fullmatch(f"(?:{name}(?:,{name})*)?", row["column_aliases"])


def opposite(answer: bool | None) -> bool | None:
    """Return not, where there is an answer."""
    return None if answer is None else not answer


def _is_cut(row: Values, version: str, reading: Reading) -> bool:
    return len(row["column_name"].encode()) > _LONGEST_NAME


_LONGEST_NAME = 63
"""Bytes; PostgreSQL cuts longer names without an error."""
_WITHOUT_CHILDREN = f"lower(p.column_type) not in ({listed(sorted(NESTED))}, 'variant')"
ALL_READS_FAIL = "DuckDB loads nothing of the lake, and every statement fails"


RULES = (
    Rule(
        name="column-type",
        severity="error",
        what="a column has a type that DuckDB does not have",
        why=f"{ALL_READS_FAIL}, with 'Failed to parse DuckLake type' or 'Decimal has a width of'; a decimal with"
        " more decimals than digits makes only its table unreadable",
        query=_living_columns("c.column_type", f"c.column_type <> '' and lower(c.column_type) not in ({listed(SURE)})"),
        advice="give column_type the type that the data files have, or a backup",
        breaks=_is_no_type,
        unreadable=True,
    ),
    Rule(
        name="nested-column-parts",
        severity="error",
        what="a struct has no fields, a list not one element, a map not key and value, or another type has parts",
        why=f"{ALL_READS_FAIL}, with 'Lists must have a single child entry', 'Unrecognized nested type' or an"
        " INTERNAL error that ends the client's DuckDB",
        query=f"""
        select p.table_id, p.column_id, p.column_type, count(c.column_id) as parts
        from {{s}}.ducklake_column p
        join {_LIVING_TABLES} t on t.table_id = p.table_id
        left join {{s}}.ducklake_column c
          on c.table_id = p.table_id and c.parent_column = p.column_id and c.end_snapshot is null
        where p.end_snapshot is null
          and (lower(p.column_type) in ({listed(sorted(NESTED))}) or c.column_id is not null)
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
        why=f"{ALL_READS_FAIL}, with 'Failed to cast value'",
        query=_living_columns(
            "c.column_type, c.initial_default",
            f"c.initial_default is not null and lower(c.column_type) not in ('varchar', {listed(sorted(NESTED))})",
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
            f"c.default_value is not null and lower(c.column_type) not in ('varchar', {listed(sorted(NESTED))})",
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
            f" and lower(c.column_type) not in ('varchar', {listed(sorted(NESTED))})",
        ),
        since="0.4",
        advice="ALTER TABLE ... ALTER COLUMN ... SET DEFAULT, or DROP DEFAULT",
        breaks=_is_no_value,
    ),
    Rule(
        name="default-expression",
        severity="error",
        what="the default of a column is no expression, or nothing says that it is one",
        why=f"{ALL_READS_FAIL}, with a 'Parser Error', 'Column type  is not supported' or an INTERNAL error that"
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
        name="view-aliases",
        severity="error",
        what="the names of a view's columns are not set, or no list of names in quotes",
        why=f"{ALL_READS_FAIL}, with 'Failed to parse quoted value'",
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
        why=f"{ALL_READS_FAIL}, with 'Only comment tags are supported for columns currently'",
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
        name="renamed-inlined-column",
        severity="error",
        what="a column was renamed before its table got an inlined table, and the lake's schema was changed again"
        " since",
        why="every read of the column fails with 'Referenced column ... not found', also where no inlined row is left:"
        " DuckDB up to 1.5.1 reads an inlined table of an older schema version by the columns that the table was"
        " created with",
        query=f"""
        select i.table_id, i.table_name as name, o.column_name, n.column_name as renamed_to
        from {{s}}.ducklake_inlined_data_tables i
        join {_LIVING_TABLES} l on l.table_id = i.table_id
        join (select table_id, min(begin_snapshot) as created from {{s}}.ducklake_table group by table_id) t
          on t.table_id = i.table_id
        join (
            select x.schema_version, coalesce(min(x.snapshot_id), min(x.begin_snapshot)) as seen
            from (
                select schema_version, snapshot_id, cast(null as bigint) as begin_snapshot from {{s}}.ducklake_snapshot
                union all
                select schema_version, null, begin_snapshot from {{s}}.ducklake_schema_versions
            ) x
            group by x.schema_version
        ) v on v.schema_version = i.schema_version
        join {{s}}.ducklake_column n
          on n.table_id = i.table_id
          and n.parent_column is null
          and n.begin_snapshot <= v.seen
          and (n.end_snapshot is null or n.end_snapshot > v.seen)
        join {{s}}.ducklake_column o
          on o.table_id = n.table_id
          and o.column_id = n.column_id
          and o.begin_snapshot <= t.created
          and (o.end_snapshot is null or o.end_snapshot > t.created)
        join {{s}}.ducklake_column c
          on c.table_id = n.table_id and c.column_id = n.column_id and c.end_snapshot is null
        where o.column_name <> n.column_name
          and i.schema_version < (select max(schema_version) from {{s}}.ducklake_snapshot)
        """,
        since="0.3",
        until="0.4",
        advice="migrate to 1.0: DuckDB 1.5.2 or later reads it as it is",
        engines_own=True,
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
          and {LIMIT} <> '0'
        group by t.table_id
        having count(*) > {MOST_COLUMNS}
        """,
        since="0.4",
        advice="CALL lake.set_option('data_inlining_row_limit', 0, table_name => '...')",
    ),
)
