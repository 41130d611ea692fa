"""Facts on inlined tables: which columns hold a type's text or bytes, and how one becomes the other."""

from collections.abc import Iterable, Mapping

from dlbackup.tables.definition import Column, Kind, Table

Row = Mapping[str, object]
"""Values of a row by column, numbers also as texts."""

_TO_BYTES = "bytea USING convert_to({c}::text, 'UTF8')"
_TO_TEXT = r"character varying USING regexp_replace({c}::text, '^(\S+)( .*)? BC$', '\1 (BC)\2')"
CONVERSIONS = {
    ("varchar", "character varying"): _TO_BYTES,
    ("json", "character varying"): _TO_BYTES,
    ("json", "json"): _TO_BYTES,
    ("date", "date"): _TO_TEXT,
    ("timestamp", "timestamp without time zone"): _TO_TEXT,
    ("timestamptz", "timestamp with time zone"): _TO_TEXT,
    ("float32", "double precision"): "real USING {c}::real",
}
"""
How DuckDB 1.5 stores a column, given the lake's type and the type that 1.4 gave it; `{c}` is the column.

PostgreSQL writes `0044-03-15 10:00:00 BC`, DuckDB `0044-03-15 (BC) 10:00:00`.
"""
SUSPECT_TYPES = frozenset(stored for _, stored in CONVERSIONS)
CURRENT = """
select i.table_name
from {s}.ducklake_inlined_data_tables i
join (
    select table_id, max(schema_version) as newest
    from {s}.ducklake_inlined_data_tables
    group by table_id
) n on n.table_id = i.table_id and n.newest = i.schema_version
join {s}.ducklake_table t on t.table_id = i.table_id and t.end_snapshot is null
"""
"""The inlined tables that new rows go into."""
OPTION = "data_inlining_row_limit"
LIMIT = f"""
coalesce(
    (select max(m.value) from {{s}}.ducklake_metadata m
     where m.key = '{OPTION}' and m.scope = 'table' and m.scope_id = t.table_id),
    (select max(m.value) from {{s}}.ducklake_metadata m
     where m.key = '{OPTION}' and m.scope = 'schema' and m.scope_id = t.schema_id),
    (select max(m.value) from {{s}}.ducklake_metadata m where m.key = '{OPTION}' and m.scope is null),
    ''
)"""
"""How many rows of an insert into a table `t` are inlined at most, as text: what is said nearest to it counts."""
HEXADECIMAL = r"\\x([0-9a-f][0-9a-f])*"
"""What DuckDB 1.5 makes of a text, a `bytea` literal, as a regular expression."""
INLINED_COLUMNS: dict[Kind, tuple[str, ...]] = {
    "inlined-data": ("row_id", "begin_snapshot", "end_snapshot"),
    "inlined-delete": ("file_id", "row_id", "begin_snapshot"),
}
"""The columns that DuckLake puts first; from 1.1 on those of rows have the prefix `_ducklake_`."""

MOST_COLUMNS = 1600 - len(INLINED_COLUMNS["inlined-data"])
"""How many columns of a lake's table go into an inlined one: PostgreSQL takes 1600."""


def begins_right(table: Table) -> bool:
    """Tell whether it is an inlined table that begins with DuckLake's own columns; rules can't read another."""
    wanted = INLINED_COLUMNS.get(table.kind, ())
    first = table.columns[: len(wanted)]
    names = tuple(column.name.removeprefix("_ducklake_") for column in first)
    return bool(wanted) and names == wanted and all(column.type == "bigint" for column in first)


def lake_table_id(table: Table) -> int:
    """Return the id of the lake table that an inlined table belongs to, as its name says."""
    return int(table.name.removeprefix("ducklake_inlined_").split("_")[1])


def called(table: Table, tables: Iterable[Row], schemas: Iterable[Row]) -> str:
    """
    Return what users call a table: an inlined one is the lake's that it is of, as long as that hasn't expired.

    Args:
        tables: the rows of `ducklake_table`, with its ids, name and begin.
        schemas: those of `ducklake_schema`.
    """
    if table.kind == "fixed":
        return f"table {table.name}"
    of = _newest(tables, "table_id", lake_table_id(table))
    within = of and _newest(schemas, "schema_id", of["schema_id"])
    return (
        f"table {within['schema_name']}.{of['table_name']} ({table.name})" if of and within else f"table {table.name}"
    )


def _newest(rows: Iterable[Row], key: str, number: object) -> Row | None:
    """Return how a table or schema of that number was called at last."""
    return max(
        (row for row in rows if str(row[key]) == str(number)),
        key=lambda row: int(str(row["begin_snapshot"] or 0)),
        default=None,
    )


def text_columns(table: Table) -> tuple[Column, ...]:
    """Return the columns of inlined rows that are stored as text."""
    own = len(INLINED_COLUMNS["inlined-data"])
    return tuple(column for column in table.columns[own:] if column.type == "character varying")
