"""
The program that copies a catalog from a Quack server into a new DuckDB file, in a process of its own.

It needs nothing but the standard library and duckdb, so it also runs in another environment's Python. One line of JSON
comes on standard input, with the arguments of `_Copying`, and one goes out. When standard input closes before that,
the parent is gone or has given up: the server's transaction is ended, and so is this.

What a server says of itself is not trusted: of its SQL only CREATE TABLE is executed, where there are no files; and it
is asked by functions of DuckDB's, not by those that somebody planted in the catalog under their names.
"""

import json
import os
import runpy
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

EXTENSIONS = ("httpfs", "quack")
_MEMORY_KIB = 96 << 10
_COLUMN_KIB = 256
"""What it takes for each column of a table that rows go into, however few these are."""
_COLUMNS_AT_ONCE = 1000
"""After how many columns what was made is written to the file: until then DuckDB keeps it in memory."""
_SETTINGS = {
    "threads": "1",
    "memory_limit": f"{_MEMORY_KIB}KiB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
_PREFIX = "ducklake_"
_METADATA = "ducklake_metadata"
_LATEST = "latest"
_PATIENCE_S = 5.0
"""For how long the server is waited for once the parent has given up."""
_LOOK_S = 0.2
_CREATES = "CREATE TABLE "
_TRANSACTION = "SELECT system.main.current_database(), system.main.txid_current()"
_ASIDE = {
    "VIEW {name} AS SELECT 1 AS i": "view_name FROM system.main.duckdb_views() WHERE NOT internal AND",
    "MACRO {name}() AS 1": "function_name FROM system.main.duckdb_functions() WHERE NOT internal AND",
    "SEQUENCE {name}": "sequence_name FROM system.main.duckdb_sequences() WHERE",
    "TYPE {name} AS INTEGER": "type_name FROM system.main.duckdb_types() WHERE NOT internal AND",
}
"""What stands in the copy for what is no table: only its name is told."""


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


class _Copying:
    """
    One copy.

    Args:
        server: host and port.
        token: empty where DuckDB's own stored secrets are to have one.
        folder: where the file is made, and what does not go into memory.
        schema: the one whose rows are copied; None for the only one that holds a catalog.
        silence_s: how long the server may take for one answer, the first one and others, before it counts as gone.
        loader: a Python file with a function `load` for extensions.
    """

    def __init__(
        self, server: str, token: str, folder: str, schema: str | None, loader: str, silence_s: tuple[float, float]
    ) -> None:
        self._server, self._token, self._folder = server, token, folder
        self._schema, self._loader, self._silence_s = schema, loader, silence_s
        self._waits_since: float | None = None
        self._connection: Any = None
        self.stage = "extensions"

    def copy(self) -> dict[str, Any]:
        """Copy; return the file's name, or in which other databases of the server there are catalogs."""
        os.umask(0o077)  # a lake's encryption keys are in its catalog
        import duckdb

        self._connection = duckdb.connect(config={**_SETTINGS, "temp_directory": self._folder})
        load = runpy.run_path(self._loader)["load"]
        for name in EXTENSIONS:
            load(self._connection, name)
        self.stage = "connecting"
        self._connection.execute("SET enable_progress_bar = false")
        token = f", TOKEN {_literal(self._token)}" if self._token else ""
        self._await(f"ATTACH {_literal('quack:' + self._server)} AS served (TYPE quack{token})")
        self._asked("BEGIN TRANSACTION READ ONLY")
        self.stage = "reading"
        try:
            return self._copied()
        finally:
            with suppress(Exception):
                self._asked("ROLLBACK")

    def give_up(self) -> None:
        """End what the server does for us."""
        if self._connection is not None:
            self._connection.interrupt()

    def silence(self) -> str:
        """Say for how long the server has said nothing, where that is too long; empty otherwise."""
        first, others = self._silence_s
        most, since = first if self.stage == "connecting" else others, self._waits_since
        late = since is not None and time.monotonic() - since > most
        return f"Timeout: the server has not answered for {most:g} s" if late else ""

    def _await(self, sql: str) -> list[Any]:
        """Execute what only the server can answer; return the rows."""
        self._waits_since = time.monotonic()
        try:
            found: list[Any] = self._connection.execute(sql).fetchall()
            return found
        finally:
            self._waits_since = None

    def scrub(self, text: str) -> str:
        """Return a text without the token."""
        for secret in (self._token, self._token.replace("'", "''")):
            text = text.replace(secret, "***") if secret else text
        return text

    def _asked(self, sql: str) -> list[Any]:
        return self._await(_remote(sql))

    def _copied(self) -> dict[str, Any]:
        begun = self._asked(_TRANSACTION)
        ((database, _),) = begun
        here = f"database_name = {_literal(database)}"
        ((path, tags),) = self._asked(f"SELECT path, tags FROM system.main.duckdb_databases() WHERE {here}")
        tables = self._asked(
            "SELECT schema_name, table_name, sql, comment, column_count FROM system.main.duckdb_tables()"
            f" WHERE {here} AND NOT internal"
        )
        aside = [
            (of, f"CREATE {statement}", name)
            for statement, query in _ASIDE.items()
            for of, name in self._asked(f"SELECT DISTINCT schema_name, {query} {here}")
        ]
        schemas = {of for of, name, *_ in (*tables, *((of, name) for of, _, name in aside)) if name == _METADATA}
        if not schemas:
            others = self._asked(
                "SELECT DISTINCT database_name FROM system.main.duckdb_tables()"
                f" WHERE table_name = '{_METADATA}' ORDER BY 1"
            )
            return {"database": database, "elsewhere": [name for (name,) in others]}
        chosen = self._schema if self._schema is not None else next(iter(schemas)) if len(schemas) == 1 else None
        name = Path(path or "").name
        file = Path(self._folder) / (name if name.strip(".") else "memory.ducklake")
        self._create(file, (tags or {}).get("storage_version", _LATEST).removesuffix("+"))
        own = [(of, name) for of, name, *_ in tables if of == chosen and name.startswith(_PREFIX)]
        for of in sorted({of for of, *_ in (*tables, *aside)}):
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted('copy', of)}")
        columns = 0
        for of, name, sql, comment, width in tables:
            target = _quoted("copy", of, name)
            if (of, name) not in own:
                self._connection.execute(f"CREATE TABLE {target} (i INTEGER)")
                continue
            columns += width
            if columns > _COLUMNS_AT_ONCE:
                self._write_down(width)
                columns = width
            self._create_table(of, sql)
            self._await(f"INSERT INTO {target} {_remote(f'SELECT * FROM {_quoted(database, of, name)}')}")
            if comment is not None:
                self._connection.execute(f"COMMENT ON TABLE {target} IS {_literal(comment)}")
        self._decorate(own, here)
        for of, statement, name in aside:
            self._connection.execute(statement.format(name=_quoted("copy", of, name)))
        if self._asked(_TRANSACTION) != begun:
            raise RuntimeError("the server has not kept the transaction in which it was read")
        self._finish()
        return {"file": str(file)}

    def _create(self, file: Path, storage: str) -> None:
        """Make the file, of the server's storage version where this DuckDB knows it, and leave the rest alone."""
        import duckdb

        attach = f"ATTACH {_literal(str(file))} AS copy (STORAGE_VERSION "
        try:
            self._connection.execute(f"{attach}{_literal(storage)})")
        except duckdb.InvalidInputException:
            self._connection.execute(f"{attach}'{_LATEST}')")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("USE copy")
        self._connection.execute("BEGIN")

    def _write_down(self, width: int) -> None:
        """Write to the file what was made, and make room for a table of so many columns."""
        memory = _MEMORY_KIB + max(0, width - _COLUMNS_AT_ONCE) * _COLUMN_KIB
        for statement in ("COMMIT", "CHECKPOINT copy", f"SET memory_limit = '{memory}KiB'", "BEGIN"):
            self._connection.execute(statement)

    def _create_table(self, of: str, sql: str) -> None:
        """Make a table in a schema, which is in the statement unless it is main: one may be called as a database is."""
        import duckdb

        if not sql.startswith(_CREATES):
            raise RuntimeError(f"the server gives something else than a table's definition: {sql[:80]}")
        place = "copy.main." if of == "main" else "copy."
        statements = duckdb.extract_statements(_CREATES + place + sql.removeprefix(_CREATES))
        if len(statements) != 1:
            raise RuntimeError(f"the server gives more than a table's definition: {sql[:80]}")
        self._connection.execute(statements[0])

    def _decorate(self, own: list[tuple[str, str]], here: str) -> None:
        """Add comments of columns, and something that has the names of indexes."""
        for of, table, column, comment in self._asked(
            "SELECT schema_name, table_name, column_name, comment FROM system.main.duckdb_columns()"
            f" WHERE {here} AND comment IS NOT NULL"
        ):
            if (of, table) in own:
                place = _quoted("copy", of, table, column)
                self._connection.execute(f"COMMENT ON COLUMN {place} IS {_literal(comment)}")
        for of, table, index, column in self._asked(
            "SELECT schema_name, table_name, index_name, column_name FROM system.main.duckdb_indexes()"
            " JOIN system.main.duckdb_columns() USING (database_name, schema_name, table_name)"
            f" WHERE {here} AND column_index = 1"
        ):
            if (of, table) in own:
                place = _quoted("copy", of, table)
                self._connection.execute(f"CREATE INDEX {_quoted(index)} ON {place} (({_quoted(column)} IS NULL))")

    def _finish(self) -> None:
        for statement in ("COMMIT", "USE memory.main", "CHECKPOINT copy", "DETACH copy"):
            self._connection.execute(statement)


def _remote(sql: str) -> str:
    return f"FROM system.main.quack_query_by_name('served', {_literal(sql)})"


def _end_with(copying: _Copying) -> None:
    """End with the parent, whenever that is, but not in the middle of a transaction if that can be helped."""
    sys.stdin.buffer.read()
    copying.give_up()
    threading.Event().wait(_PATIENCE_S)
    os._exit(1)


class _Answer:
    """Standard output, into which one line goes and nothing else."""

    def __init__(self) -> None:
        self._pipe = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def say_and_end(self, said: dict[str, Any]) -> None:
        """Say how it ended, whoever comes first, and end."""
        with self._lock:
            with suppress(BrokenPipeError):
                self._pipe.write(json.dumps(said).encode() + b"\n")
                self._pipe.flush()
            os._exit(0)


def _end_with_silence(copying: _Copying, answer: _Answer) -> None:
    """Say so and end where the server says nothing any more: no interrupt reaches a DuckDB that waits for it."""
    while not (message := copying.silence()):
        time.sleep(_LOOK_S)
    answer.say_and_end({"stage": copying.stage, "type": "Silence", "message": message})


def main() -> None:
    """Copy, and say how that ended."""
    copying = _Copying(**json.loads(sys.stdin.buffer.readline()))
    answer = _Answer()
    threading.Thread(target=_end_with, args=[copying], daemon=True).start()
    threading.Thread(target=_end_with_silence, args=[copying, answer], daemon=True).start()
    try:
        said = copying.copy()
    except Exception as exc:  # noqa: BLE001 - whatever it is, the parent has to hear of it
        said = {"stage": copying.stage, "type": type(exc).__name__, "message": copying.scrub(str(exc))}
    answer.say_and_end(said)


if __name__ == "__main__":
    main()
