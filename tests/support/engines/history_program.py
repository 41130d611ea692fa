"""What runs inside an engine's Python for random histories: take steps, and read all that a lake shows.

    python history_program.py jobs

Readings keep whole rows as text, so that a difference can be shown; a reading that the engine refuses
is its error's first line.
"""

from typing import Any

import duckdb
from engine_program import DEADLY, connect, do_jobs, visible_tables  # type: ignore[import-not-found]
from quoting import quoted, text_literal  # type: ignore[import-not-found]

# What a filter on a column may read other files for; nested types have no statistics to skip files by.
_NESTED = ("STRUCT", "MAP", "[]", "JSON", "VARIANT", "GEOMETRY")
_FILTERED_VALUES = 3

Job = dict[str, Any]
Connection = duckdb.DuckDBPyConnection


def take(job: Job) -> list[dict[str, list[str]]]:
    """Take the steps; return what the lake shows after each, or nothing where nobody wants to look."""
    shown = []
    with connect() as connection:
        connection.execute(job["attach"])
        for step in job["steps"]:
            try:
                connection.execute(step["script"])
                shown.append(head(connection) if job["look"] else {})
            except duckdb.Error as error:
                error.add_note(f"in step {step['name']!r}: {step['script']}")
                raise
    return shown


def read(job: Job) -> dict[str, list[str]]:
    """Read every table at every snapshot, and the head with its views, comments and filters."""
    connection = connect()
    connection.execute(job["attach"])
    shown = head(connection, job["unfiltered"] if job["filters"] else None)
    if not job["snapshots"]:
        return shown
    for snapshot, tables in visible_tables(connection, "public").items():
        # 1.4.4 reads a table at one snapshot by its columns at another that it read before.
        if duckdb.__version__ < "1.5":
            connection.execute("detach lake")
            connection.execute(job["attach"])
        for schema, table in tables:
            text = f"select rowid, * from lake.{quoted(schema)}.{quoted(table)} at (version => {snapshot})"
            shown[f"{schema}.{table} at {snapshot}"], dead = _rows(connection, text)
            if dead:
                connection.close()
                connection = connect()
                connection.execute(job["attach"])
    connection.close()
    return shown


def head(connection: Connection, unfiltered: list[str] | None = None) -> dict[str, list[str]]:
    """Return what the newest snapshot shows, and filters on all columns but the named ones where there is a list."""
    shown = {}
    for kind, source in _DEFINITIONS.items():
        shown[kind], _ = _rows(connection, source)
    tables = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = 'lake' order by all"
    ).fetchall()
    views = connection.execute(
        "select schema_name, view_name from duckdb_views() where database_name = 'lake' and not internal order by all"
    ).fetchall()
    for schema, name in tables + views:
        place = f"lake.{quoted(schema)}.{quoted(name)}"
        shown[f"{schema}.{name}"], _ = _rows(connection, f"from {place}")
        shown[f"{schema}.{name} counted"], _ = _rows(connection, f"select count(*) from {place}")
    if unfiltered is not None:
        for schema, name in tables:
            shown.update(_filtered(connection, schema, name, unfiltered))
    return shown


_DEFINITIONS = {
    "tables": "select schema_name, table_name, comment from duckdb_tables() where database_name = 'lake'",
    "columns": (
        "select schema_name, table_name, column_name, column_index, data_type, is_nullable, comment"
        " from duckdb_columns() where database_name = 'lake' and (schema_name, table_name) in"
        " (select (schema_name, table_name) from duckdb_tables() where database_name = 'lake')"
    ),
    "views": (
        "select schema_name, view_name, comment from duckdb_views() where database_name = 'lake' and not internal"
    ),
}


def _filtered(connection: Connection, schema: str, name: str, unfiltered: list[str]) -> dict[str, list[str]]:
    """Ask for extremes and single values of each column: what the engine answers or skips by statistics."""
    place = f"lake.{quoted(schema)}.{quoted(name)}"
    shown = {}
    described = connection.execute(
        "select column_name, data_type from duckdb_columns() where database_name = 'lake'"
        " and schema_name = ? and table_name = ? order by column_index",
        [schema, name],
    ).fetchall()
    for column, type_ in described:
        if column in unfiltered or any(word in type_ for word in _NESTED):
            continue
        of = quoted(column)
        what = f"{schema}.{name}.{column}"
        shown[f"{what} extremes"], _ = _rows(connection, f"select min({of}), max({of}), count({of}) from {place}")
        values = connection.execute(
            f"select distinct {of}::varchar from {place} where {of} is not null order by 1"
        ).fetchall()
        for (value,) in values[:: max(1, len(values) // _FILTERED_VALUES)]:
            if value is None:  # see nulls-of-added-files in support.histories.histories
                continue
            literal = f"{text_literal(value)}::{type_}"
            for operator in ("=", "<=", ">"):
                query = f"select count(*) from {place} where {of} {operator} {literal}"
                shown[f"{what} {operator} {value}"], _ = _rows(connection, query)
        shown[f"{what} is null"], _ = _rows(connection, f"select count(*) from {place} where {of} is null")
    return shown


def _rows(connection: Connection, query: str) -> tuple[list[str], bool]:
    """Return the sorted rows as text, or the error, and whether it was deadly."""
    try:
        cursor = connection.execute(f"select z::varchar from ({query}) z order by 1")
        return [str(row[0]) for row in cursor.fetchall()], False
    except duckdb.Error as error:
        return [f"{type(error).__name__}: {str(error).splitlines()[0]}"], isinstance(error, DEADLY)


def _main() -> None:
    do_jobs({"take": take, "read": read})


if __name__ == "__main__":
    _main()
