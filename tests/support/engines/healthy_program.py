"""
What takes the steps of `healthy_steps` inside an engine's own Python, and says what it then reads wrongly.

    python healthy_program.py jobs
"""

from typing import Any

import duckdb
from engine_program import DEADLY, connect, digest, do_jobs, hash_tables  # type: ignore[import-not-found]
from quoting import quoted  # type: ignore[import-not-found]

_VALUES = 30
"""By how many values of a column filters are tried at most."""

_STEPS_BETWEEN = 4

Seen = dict[tuple[int, str, str], str]


def take(job: dict[str, Any]) -> dict[str, Any]:
    """
    Take all steps that the engine takes; return how many, and what is then read wrongly.

    That is filters that miss rows or fail, and, where the job asks for `snapshots`, tables that some snapshot doesn't
    show any more as it did when it was new.
    """
    connection, taken = _attached(job), 0
    seen: Seen = {}
    for statement in job["statements"]:
        try:
            # Its rows are not asked for: those with a time zone need a module that isn't there.
            connection.execute(statement)
            taken += 1
            if statement == "detach lake":
                connection.execute(job["attach"])
            if job["snapshots"] and taken % _STEPS_BETWEEN == 0:
                seen |= _newest(connection)
        except DEADLY:
            connection = _attached(job)
        except duckdb.Error:
            pass
    connection.close()
    return {"taken": taken, "misread": _misread(_attached(job)) + _changed(job, seen)}


def _newest(connection: duckdb.DuckDBPyConnection) -> Seen:
    """Return the digest of each table as the newest snapshot shows it."""
    row = connection.execute("select max(snapshot_id) from ducklake_snapshots('lake')").fetchone()
    tables = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = 'lake'"
    ).fetchall()
    newest = int(row[0]) if row else 0
    return {
        (newest, schema, table): digest(connection, f"lake.{quoted(schema)}.{quoted(table)}", newest)[0]
        for schema, table in tables
    }


def _changed(job: dict[str, Any], seen: Seen) -> list[str]:
    """Return the tables that a snapshot shows otherwise than when it was new, as far as it is still there."""
    if not seen:
        return []
    there = {
        number for (number,) in _attached(job).execute("select snapshot_id from ducklake_snapshots('lake')").fetchall()
    }
    looked_at = sorted(there & {snapshot for snapshot, _, _ in seen})
    now = {(number, schema, table): found for number, schema, table, found in hash_tables({**job, "at": looked_at})}
    then = {place: found for place, found in seen.items() if place[0] in there}
    return [
        f"{place}: {now.get(place)}, not {then.get(place)}"
        for place in sorted(now.keys() | then.keys())
        if now.get(place) != then.get(place) or " rows, " not in now[place]
    ]


def _attached(job: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    connection: duckdb.DuckDBPyConnection = connect()
    connection.execute(job["attach"])
    return connection


def _misread(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Read each table whole and by filters on each value that it has."""
    wrong = []
    tables = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = 'lake' order by all"
    ).fetchall()
    for schema, table in tables:
        place = f"lake.{quoted(schema)}.{quoted(table)}"
        try:
            connection.execute(f"create or replace temp table whole as select * from {place}")
            whole = connection.table("whole")
            for column, type_ in zip(whole.columns, whole.types, strict=True):
                for part in _parts(quoted(column), type_):
                    wrong += _missed(connection, place, part)
        except duckdb.Error as error:
            wrong.append(f"{place}: {error}")
            if isinstance(error, DEADLY):
                break
    return wrong


def _parts(name: str, type_: Any) -> list[str]:
    """Return a column, or the fields of a struct, down to what filters compare."""
    if type_.id == "struct":
        return [part for field, inner in type_.children for part in _parts(f"{name}.{quoted(field)}", inner)]
    return [] if type_.id == "variant" else [name]


def _missed(connection: duckdb.DuckDBPyConnection, place: str, column: str) -> list[str]:
    """
    Compare what filters find with what they should: on each value, and beyond the least and the greatest.

    A DOUBLE is also looked for as the FLOAT next to it, which is what was written where the column was FLOAT.
    """
    ordered = connection.execute(
        f"select v::varchar from (select distinct {column} as v from whole where {column} is not null) order by v"
    ).fetchall()
    near = connection.execute(
        f"select distinct try_cast({column} as float)::varchar from whole where typeof({column}) = 'DOUBLE'"
    ).fetchall()
    filters = [("=", value) for (value,) in [*ordered[:_VALUES], *ordered[-1:], *near]]
    filters += [(operator, value) for (value,) in [*ordered[:1], *ordered[-1:]] for operator in ("<=", ">=", "join")]
    wrong = []
    for operator, value in dict.fromkeys(filters):
        if value is None:
            continue
        literal = "'" + value.replace("'", "''") + "'"
        query = f"select count(*) from {{}} where {column} {operator} {literal}"
        if operator == "join":  # which statistics don't fold away where all rows have one value
            query = (
                f"select count(*) from {{}} where {column} = (select any_value({column}) from whole where {column} ="
            )
            query += f" {literal})"
        found = [connection.execute(query.format(name)).fetchone() for name in (place, "whole")]
        if found[0] != found[1]:
            wrong.append(f"{place}: {column} {operator} {literal}: {found[0]}, not {found[1]}")
    return wrong


if __name__ == "__main__":
    do_jobs({"take": take})
