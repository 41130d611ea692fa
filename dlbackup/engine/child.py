"""
The program that runs a DuckDB engine in a process of its own, so that nothing it does takes dlbackup down.

It needs nothing but the standard library and duckdb, so it also runs in another environment's Python.
Lines of JSON come on standard input: `{"extensions": [...]}`, on which it makes itself ready and says
`{"ready": true}`, and then, each maybe much later, jobs: `{"extensions": [...], "environment": {...},
"statements": [...]}`, of which the extensions are those that it needs beside the first ones. The answer is
`{"results": [...]}`, and nothing is attached then and no secret kept, or `{"error": {"type": ..., "message": ...}}`,
which is its last. When standard input closes, the parent is gone and so is this.
"""

import itertools
import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any

sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).resolve().parent]
WHEELS = {
    "ducklake": "duckdb_extension_ducklake",
    "postgres": "duckdb_extension_postgres_scanner",
    "sqlite": "duckdb_extension_sqlite_scanner",
    "httpfs": "duckdb_extension_httpfs",
    "azure": "duckdb_extension_azure",
    "aws": "duckdb_extension_aws",
    "quack": "duckdb_extension_quack",
}
_ATTACHED = "SELECT database_name FROM duckdb_databases() WHERE NOT internal AND database_name <> 'memory'"


def load(connection: Any, name: str) -> None:
    """Load an extension: from its PyPI package, of either layout, else what is installed, else by INSTALL."""
    import duckdb

    own = WHEELS[name].removeprefix("duckdb_extension_")
    layouts = (
        f"{WHEELS[name]}/**/*.duckdb_extension",
        f".duckdb_extensions/v{duckdb.__version__}/*/{own}.duckdb_extension",
    )
    for place, layout in itertools.product(sys.path, layouts):
        for file in sorted(Path(place or ".").glob(layout)):
            connection.execute("LOAD '{}'".format(str(file).replace("'", "''")))
            return
    try:
        connection.execute(f"LOAD {name}")
    except Exception:  # noqa: BLE001 - duckdb raises IOException, HTTPException or others here
        connection.execute(f"INSTALL {name}")
        connection.execute(f"LOAD {name}")


def _ready(extensions: list[str]) -> Any:
    import duckdb

    # What is needed is loaded by name: no statement is to wait for an extension server that can't be reached.
    connection = duckdb.connect(config={"threads": "1", "autoinstall_known_extensions": "false"})
    for name in extensions:
        load(connection, name)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _run(connection: Any, job: dict[str, Any]) -> list[list[Any]]:
    """Do a job; nothing of it is left for the next one: not what it attached, not its environment."""
    import duckdb

    for name in job["extensions"]:
        load(connection, name)
    before = {name: os.environ.get(name) for name in job["environment"]}
    os.environ.update(job["environment"])
    try:
        results: list[list[Any]] = [[str(duckdb.__version__)]]
        for statement in job["statements"]:
            rows = connection.execute(statement).fetchall()
            results.append([[None if value is None else str(value) for value in row] for row in rows])
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value
    if left := connection.execute(_ATTACHED).fetchall():
        raise RuntimeError(f"the job left {left[0][0]} attached")
    return results


def _listen(jobs: "queue.SimpleQueue[str]") -> None:
    """Pass jobs on, and end with the parent, whenever that is."""
    for job in sys.stdin:
        jobs.put(job)
    os._exit(1)


def _say(words: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Make ready, do jobs and answer each, until one fails."""
    extensions = json.loads(sys.stdin.readline())["extensions"]
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=[jobs], daemon=True).start()
    try:
        connection = _ready(extensions)
        _say({"ready": True})
        while True:
            _say({"results": _run(connection, json.loads(jobs.get()))})
    except BaseException as exc:  # noqa: BLE001 - whatever it is, the parent has to hear of it
        _say({"error": {"type": type(exc).__name__, "message": str(exc)}})
    os._exit(0)  # an engine whose instance is dead may hang in its own clean-up


if __name__ == "__main__":
    main()
