"""
Serves a DuckDB file by Quack, and executes what comes on standard input meanwhile.

    python quack_program.py FILE PORT

Lines of JSON go out: the token first, and then for each line of JSON that came, a statement, the rows or the error.
"""

import json
import sys

import duckdb
from engine_program import connect  # type: ignore[import-not-found]


def main() -> None:
    """Serve until standard input closes."""
    path, port = sys.argv[1:]
    with connect(path) as connection:
        _say(connection.execute(f"CALL quack_serve('quack:localhost:{port}')").fetchone()[2])
        for line in sys.stdin:
            try:
                _say([list(row) for row in connection.execute(json.loads(line)).fetchall()])
            except duckdb.Error as error:
                _say(f"{type(error).__name__}: {error}")


def _say(words: object) -> None:
    sys.stdout.write(json.dumps(words, default=str) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
