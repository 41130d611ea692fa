"""Read of an attached lake what shows in which state it is: in a process of the engine, and as JSON."""

import json
import sys
from typing import Any

import duckdb
from engine_program import connect, visible_tables  # type: ignore[import-not-found]
from quoting import quoted  # type: ignore[import-not-found]

_UNORDERED = ("VARIANT", "GEOMETRY", "JSON")


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    return [[str(value) for value in row] for row in connection.execute(sql).fetchall()]


def _table(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    """Read a table: its columns, its rows with their numbers, and what an engine may answer from statistics."""
    columns = connection.execute(f"describe select * from {name}").fetchall()
    ordered = [column for column, type_, *_ in columns if not any(word in type_ for word in _UNORDERED)]
    ends = ", ".join(f"min({quoted(it)})::varchar, max({quoted(it)})::varchar" for it in ordered) or "0"
    return {
        "columns": [[column, type_] for column, type_, *_ in columns],
        "rows": _rows(connection, f"select z::varchar from (select rowid, * from {name}) z order by 1"),
        "count": _rows(connection, f"select count(*) from {name}"),
        "ends": _rows(connection, f"select {ends} from {name}"),
    }


def _main() -> None:
    attach, schema, at = sys.argv[1:]
    connection = connect()
    connection.execute(attach)
    visible = visible_tables(connection, schema)
    number = int(at) if at else max(visible)
    # 1.4 and 1.5 read a table at one snapshot by its columns at another that they read before.
    connection.execute("DETACH lake")
    attach = attach.replace(" AS lake (", f" AS lake (SNAPSHOT_VERSION {number}, ") if at else attach
    connection.execute(attach)
    views = "select schema_name, view_name, sql, comment from duckdb_views() where database_name = 'lake' order by all"
    said = "select schema_name, table_name, comment from duckdb_tables() where database_name = 'lake' order by all"
    found: dict[str, Any] = {"views": _rows(connection, views), "comments": _rows(connection, said)}
    for of, table in visible[number]:
        name = f"lake.{quoted(of)}.{quoted(table)}"
        try:
            found[name] = _table(connection, name)
        except duckdb.Error as error:
            found[name] = str(error)[:100]
            connection = connect()
            connection.execute(attach)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    _main()
