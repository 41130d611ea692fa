"""
The program that runs a DuckDB engine in a process of its own, so that nothing it does takes dlbackup down.

It needs nothing but the standard library and duckdb, so it also runs in another environment's Python.
Two lines of JSON come on standard input: `{"extensions": [...]}`, on which it makes itself ready and says
`{"ready": true}`, and, maybe much later, the job: `{"environment": {...}, "statements": [...]}`. The answer is
`{"results": [...]}` or `{"error": {"type": ..., "message": ...}}`. When standard input closes, the parent is gone
and so is this.
"""

import json
import os
import queue
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


def _ready(extensions: list[str]) -> Any:
    import duckdb

    connection = duckdb.connect(config={"threads": "1"})
    for name in extensions:
        load(connection, name)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _run(connection: Any, job: dict[str, Any]) -> list[list[Any]]:
    import duckdb

    os.environ.update(job["environment"])
    results: list[list[Any]] = [[str(duckdb.__version__)]]
    for statement in job["statements"]:
        rows = connection.execute(statement).fetchall()
        results.append([[None if value is None else str(value) for value in row] for row in rows])
    return results


def _listen(jobs: "queue.SimpleQueue[str]") -> None:
    """Pass the job on, and end with the parent, whenever that is."""
    if job := sys.stdin.readline():
        jobs.put(job)
        sys.stdin.read()
    os._exit(1)


def _say(words: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Make ready, read the job, run it, answer."""
    extensions = json.loads(sys.stdin.readline())["extensions"]
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=[jobs], daemon=True).start()
    try:
        connection = _ready(extensions)
        _say({"ready": True})
        answer: dict[str, object] = {"results": _run(connection, json.loads(jobs.get()))}
    except BaseException as exc:  # noqa: BLE001 - whatever it is, the parent has to hear of it
        answer = {"error": {"type": type(exc).__name__, "message": str(exc)}}
    _say(answer)
    os._exit(0)  # an engine whose instance is dead may hang in its own clean-up


if __name__ == "__main__":
    main()
