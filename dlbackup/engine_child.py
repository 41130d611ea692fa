"""
The program that runs a DuckDB engine in a process of its own, so that nothing it does takes dlbackup down.

It needs nothing but the standard library and duckdb, so it also runs in another environment's Python.
One JSON job comes on the first line of standard input: `{"extensions": [...], "environment": {...},
"statements": [...]}`. One JSON answer goes to standard output: `{"results": [...]}` or
`{"error": {"type": ..., "message": ...}}`. When standard input closes, the parent is gone and so is this.
"""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).resolve().parent]

WHEELS = {"ducklake": "duckdb_extension_ducklake", "postgres": "duckdb_extension_postgres_scanner"}


def load(connection: Any, name: str) -> None:
    """Load an extension: from its PyPI package, else what is installed, else by INSTALL."""
    for place in sys.path:
        for file in sorted(Path(place or ".").glob(f"{WHEELS[name]}/**/*.duckdb_extension")):
            connection.execute("LOAD '{}'".format(str(file).replace("'", "''")))
            return
    try:
        connection.execute(f"LOAD {name}")
    except Exception:  # noqa: BLE001 - duckdb raises IOException, HTTPException or others here
        connection.execute(f"INSTALL {name}")
        connection.execute(f"LOAD {name}")


def _run(job: dict[str, Any]) -> list[list[Any]]:
    import duckdb

    connection = duckdb.connect(config={"threads": "1"})
    for name in job["extensions"]:
        load(connection, name)
    connection.execute("SET TimeZone = 'UTC'")
    results: list[list[Any]] = [[str(duckdb.__version__)]]
    for statement in job["statements"]:
        rows = connection.execute(statement).fetchall()
        results.append([[None if value is None else str(value) for value in row] for row in rows])
    return results


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    """Read the job, run it, answer."""
    job = json.loads(sys.stdin.readline())
    os.environ.update(job["environment"])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer: dict[str, object] = {"results": _run(job)}
    except BaseException as exc:  # noqa: BLE001 - whatever it is, the parent has to hear of it
        answer = {"error": {"type": type(exc).__name__, "message": str(exc)}}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # an engine whose instance is dead may hang in its own clean-up


if __name__ == "__main__":
    main()
