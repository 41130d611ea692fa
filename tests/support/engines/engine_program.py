"""What runs inside an engine's own Python: jobs, read as JSON from standard input, one a line.

    python engine_program.py jobs|write|talk

It needs nothing but duckdb, its extension wheels and the files beside it, and works from DuckDB 1.3 on. Scripts started
by `Engine.script` may import it for `connect`.
"""

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from importlib import resources
from importlib.util import find_spec
from typing import Any

import duckdb
from quoting import quoted, text_literal  # type: ignore[import-not-found]

_EXTENSIONS = ("postgres_scanner", "ducklake")
# After one of these the whole DuckDB instance refuses to work.
DEADLY = (duckdb.FatalException, duckdb.InternalException)
_RETRY_PAUSE_S = 0.05

Job = dict[str, Any]


def connect(path: str = ":memory:") -> duckdb.DuckDBPyConnection:
    """Return a DuckDB, of a file or in memory, with its extensions loaded from their wheels, in UTC, on one thread."""
    unchecked = {"allow_unsigned_extensions": True}  # as in unsigned/duckdb.py
    connection = duckdb.connect(
        path,
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False, "threads": 1, **unchecked},
    )
    more = [
        name for name in ("httpfs", "mysql_scanner", "quack", "sqlite_scanner") if find_spec(f"duckdb_extension_{name}")
    ]
    for name in (*_EXTENSIONS, *more):
        folder = resources.files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}"
        connection.execute(f"LOAD {text_literal(str(folder / f'{name}.duckdb_extension'))}")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def run(job: Job) -> list[list[list[Any]]]:
    """Execute the statements and return the rows of each."""
    with connect() as connection:
        connection.execute(job["attach"])
        return [[list(row) for row in connection.execute(text).fetchall()] for text in job["statements"]]


def steps(job: Job) -> list[None]:
    """Execute the scripts one after the other."""
    with connect() as connection:
        connection.execute(job["attach"])
        for step in job["steps"]:
            try:
                connection.execute(step["script"])
            except duckdb.Error as error:
                error.add_note(f"in step {step['name']!r}")
                raise
    return []


def hash_tables(job: Job) -> list[list[Any]]:
    """Return [snapshot, schema, table, "N rows, md5"] for each table at each wanted snapshot."""
    found = []
    connection = _attached(job)
    visible = visible_tables(connection, job["schema"])
    for snapshot in _wanted(list(visible), job["at"]):
        # 1.4.4 and 1.5.1 read a table at one snapshot by its columns at another that they read before.
        connection.execute("DETACH lake")
        connection.execute(job["attach"])
        for schema, table in visible[snapshot]:
            shown, dead = digest(connection, f"lake.{quoted(schema)}.{quoted(table)}", snapshot)
            found.append([snapshot, schema, table, shown])
            if dead:
                connection.close()
                connection = _attached(job)
    connection.close()
    return found


def visible_tables(connection: duckdb.DuckDBPyConnection, metadata_schema: str) -> dict[int, list[tuple[str, str]]]:
    """Return schema and name of the tables that each snapshot of the attached lake shows."""
    metadata = f"__ducklake_metadata_lake.{quoted(metadata_schema)}"
    tables = connection.execute(
        f"select t.begin_snapshot, t.end_snapshot, s.begin_snapshot, s.end_snapshot, s.schema_name, "
        f"t.table_name from {metadata}.ducklake_table t join {metadata}.ducklake_schema s using (schema_id) "
        f"order by s.schema_name, t.table_name, t.table_id"
    ).fetchall()
    numbers = connection.execute(f"select snapshot_id from {metadata}.ducklake_snapshot order by 1").fetchall()
    return {
        snapshot: [
            (schema, table)
            for begin, end, schema_begin, schema_end, schema, table in tables
            if _covers(begin, end, snapshot) and _covers(schema_begin, schema_end, snapshot)
        ]
        for (snapshot,) in numbers
    }


def _attached(job: Job) -> duckdb.DuckDBPyConnection:
    connection = connect()
    connection.execute(job["attach"])
    return connection


def _wanted(snapshots: list[int], at: list[int | str] | None) -> list[int]:
    ends = {"first": snapshots[0], "last": snapshots[-1]}
    chosen = snapshots if at is None else [ends[word] if isinstance(word, str) else word for word in at]
    return sorted(set(chosen))


def _covers(begin: int, end: int | None, snapshot: int) -> bool:
    return begin <= snapshot and (end is None or snapshot < end)


def digest(connection: duckdb.DuckDBPyConnection, name: str, snapshot: int) -> tuple[str, bool]:
    """Return rows and digest of a table at a snapshot, or the error, and whether that was deadly."""
    text = f"select z::varchar as x from (select * from {name} at (version => {snapshot})) z"
    text = f"select count(*), md5(coalesce(string_agg(x, '|' order by x), '')) from ({text})"
    try:
        ((rows, digest),) = connection.execute(text).fetchall()
    except duckdb.Error as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}", isinstance(error, DEADLY)
    return f"{rows} rows, {digest}", False


def words_of(error: duckdb.Error) -> str:
    """Return kind and text of an error, and in which step it was."""
    return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])


def _say(words: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(words, default=str) + "\n")
    sys.stdout.flush()


def _create(connection: Any, table: str) -> None:
    """Make a table beside writers that commit in a loop: an engine gives up after ten lost races, we later."""
    for attempt in range(10):
        try:
            connection.execute(f"create table {table} (i bigint)")
            return
        except duckdb.TransactionException:
            if attempt == 9:
                raise


def write(job: Job) -> None:
    """Commit one row after the other until standard input ends; print what was acknowledged."""
    stopped = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        stopped.set()

    with connect() as connection:
        connection.execute(job["attach"])
        if job["create"]:
            _create(connection, job["table"])
        _say({"ready": True})
        threading.Thread(target=watch, daemon=True).start()
        number = 0
        while not stopped.wait(job["pause_s"]):
            number += 1
            try:
                connection.execute(f"insert into {job['table']} values ({number})")
            except duckdb.Error as error:
                _say({"error": words_of(error)})
                if isinstance(error, DEADLY):
                    return
                time.sleep(_RETRY_PAUSE_S)
            else:
                _say({"acknowledged": number})


def talk(attach: str) -> None:
    """Execute one statement per line of standard input with the lake attached; print its rows or its error."""
    with connect() as connection:
        connection.execute(attach)
        _say({"rows": []})
        for line in sys.stdin:
            try:
                _say({"rows": connection.execute(json.loads(line)).fetchall()})
            except duckdb.Error as error:
                _say({"error": words_of(error)})


def do_jobs(kinds: Mapping[str, Callable[[Job], Any]]) -> None:
    """
    Do jobs, each in a fork of this process, which has imported DuckDB and never used it.

    So a job begins at once, and knows nothing of those before it. Its answer is a line, and how it ended the next.
    """
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            kind, job = json.loads(line)
            try:
                answer = {"result": kinds[kind](job)}
            except duckdb.Error as error:
                answer = {"error": words_of(error)}
            except Exception:  # noqa: BLE001 - the loop is not for this process to go on with
                traceback.print_exc()
                os._exit(1)
            _say(answer)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        _say({"ended": os.waitstatus_to_exitcode(status)})


def _main() -> None:
    kind = sys.argv[1]
    if kind == "talk":
        talk(json.loads(sys.stdin.readline()))
        return
    if kind == "write":
        try:
            write(json.loads(sys.stdin.readline()))
        except duckdb.Error as error:
            _say({"error": words_of(error)})
        return
    do_jobs({"run": run, "steps": steps, "hash": hash_tables})


if __name__ == "__main__":
    _main()
