"""
The program that opens a catalog in a DuckDB file, in a process of its own.

It needs nothing but the standard library and duckdb, so it also runs in another environment's Python. Lines of JSON
come on standard input, each a question with the arguments of one of `_Server`'s methods: `{"do": "ask", "sql": ...}`.
Each is answered by messages of a kind, a length and a text: some of what there is much of, then `D`, it is done, with
JSON, or `E`, it failed, with the type and the words of the error. When standard input closes, the parent is gone and
so is this.
"""

import json
import os
import queue
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

MESSAGE = struct.Struct("<cQ")
SOME, DONE, FAILED = b"S", b"D", b"E"
ALIAS = "catalog_file"
"""The file in queries. It is not searched for names: no function that somebody planted in it is taken for DuckDB's."""
_HEADER_BYTES = 100
_VERSION_AT, _VERSION_BYTES = 52, 32
_ROWS_AT_ONCE = 5_000
_MESSAGE_BYTES = 1 << 20
_MEMORY_KIB = 48 << 10
_NARROW, _COLUMN_KIB = 50, 256
"""Up to how many columns a table's rows go into one with that, and what each further column takes, however few rows."""
_COLUMNS_AT_ONCE, _LONG_KIB_AT_ONCE = 500, 256 << 10
"""After how much what was made is written to a new file: until then DuckDB keeps it in memory."""
_TIMES_MORE = 4
"""How much more memory a query gets that had too little for what it reads, as long as the machine has as much."""
TOO_LITTLE = "Out of Memory Error"
"""What DuckDB says then; in the middle of an answer it is an error of another type that says so."""
_FEW_ROWS = 100
_SETTINGS = {
    "threads": "1",
    "memory_limit": f"{_MEMORY_KIB}KiB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIME WITH TIME ZONE")


_pipe: Any = None
"""Where answers go; `main` opens it."""


def literal(text: str) -> str:
    """Return a text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def _as_others_open(path: str) -> str:
    """Return the name of a file beside which its WAL is: DuckDB goes by the name that it was opened by."""
    real = os.path.realpath(path)
    names = [name for name in dict.fromkeys((path, real)) if Path(name + ".wal").exists()]
    if len(names) > 1:
        raise RuntimeError(f"there are two WALs of one file: {names[0]}.wal and {names[1]}.wal")
    return names[0] if names else path


def first_bytes(path: str) -> bytes:
    """Return how a file begins."""
    with Path(path).open("rb") as file:
        return file.read(_HEADER_BYTES)


def _file_of(path: str) -> list[int]:
    """Return which file has a name now."""
    found = Path(path).stat()
    return [found.st_dev, found.st_ino]


class _Server:
    """Answers questions, one after the other."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._columns = self._long_kib = self._kept_kib = 0
        self._memory_kib, self._rows_at_once = _MEMORY_KIB, _ROWS_AT_ONCE
        self._begin = ""
        """What begins the transaction again that is open; empty while it has changes."""

    def open(self, path: str, folder: str, exclusively: bool = False) -> dict[str, Any]:
        """
        Open a file for reading, in one view; `folder` is for what doesn't go into memory.

        Args:
            exclusively: keep everybody else out, and have the file hold all that is in its WAL.
        """
        path = _as_others_open(path)
        first = first_bytes(path)
        if first[8:12] != b"DUCK":
            return {"begins": first[:16].hex()}
        import duckdb

        self._connect(folder)
        has_wal = Path(path + ".wal").exists()
        # A frozen file is nobody's to be written.
        mode = "READ_WRITE" if exclusively and (has_wal or os.access(path, os.W_OK)) else "READ_ONLY"
        before = _file_of(path)
        self._connection.execute(f"ATTACH {literal(path)} AS {ALIAS} ({mode})")
        if _file_of(path) != before:
            raise RuntimeError("another file has come in its place while it was opened: try again")
        if exclusively and has_wal:
            self._connection.execute(f"CHECKPOINT {ALIAS}")
        self._begin = "BEGIN TRANSACTION READ ONLY"
        self._connection.execute(self._begin)
        about = f"SELECT tags FROM duckdb_databases() WHERE database_name = '{ALIAS}'"
        (tags,) = self._connection.execute(about).fetchone()
        written_by = first[_VERSION_AT : _VERSION_AT + _VERSION_BYTES].split(b"\0")[0].decode("ascii", "replace")
        wal = Path(path + ".wal")
        return {
            "storage_version": tags.get("storage_version", "").removesuffix("+"),
            "written_by": written_by.removeprefix("v"),
            "duckdb": duckdb.__version__,
            "file": before,
            "bytes": Path(path).stat().st_size + (wal.stat().st_size if wal.exists() else 0),
        }

    def create(self, path: str, folder: str, storage_version: str, schema: str) -> dict[str, Any]:
        """Make a new file that nobody else can read, and begin to fill a schema of it."""
        os.umask(0o077)  # a lake's encryption keys are in its catalog
        self._connect(folder)
        version = literal(storage_version)
        self._connection.execute(f"ATTACH {literal(path)} AS {ALIAS} (STORAGE_VERSION {version})")
        with suppress(PermissionError):  # where the folder says who gets at new files, a umask says nothing
            Path(path).chmod(0o600)
        self._connection.execute("BEGIN TRANSACTION")
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {ALIAS}.{schema}")
        self._connection.execute(f"USE {ALIAS}.{schema}")
        return {}

    def amend(self, path: str, folder: str) -> dict[str, Any]:
        """Open a file to change what is in it, and begin."""
        self._connect(folder)
        self._connection.execute(f"ATTACH {literal(_as_others_open(path))} AS {ALIAS} (READ_WRITE)")
        self._connection.execute("BEGIN TRANSACTION")
        return {}

    def execute(self, statements: list[str]) -> dict[str, Any]:
        """Execute statements; return what the last one says."""
        found, self._begin = None, ""
        for statement in statements:
            found = self._connection.execute(statement).fetchone()
        return {"said": [_plain(value) for value in found or ()]}

    def fill(self, statements: list[str], columns: int, more_kib: int = 0) -> dict[str, Any]:
        """
        Execute statements for the rows of a table in a new file; return what the last one says.

        Args:
            more_kib: what long rows among them take of memory.
        """
        is_much = self._columns + columns > _COLUMNS_AT_ONCE or self._kept_kib + more_kib > _LONG_KIB_AT_ONCE
        if is_much and (self._columns or self._kept_kib):
            self.settle()
        self._columns += columns
        self._kept_kib += more_kib
        self._long_kib = max(self._long_kib, self._kept_kib)  # what a table holds is read again as a whole
        self._rows_at_once = _FEW_ROWS if self._long_kib else _ROWS_AT_ONCE
        self._allow(_MEMORY_KIB + max(0, columns - _NARROW) * _COLUMN_KIB + self._long_kib)
        return self.execute(statements)

    def settle(self) -> dict[str, Any]:
        """Write down what was made in a new file, which nobody knows yet."""
        self.execute(["COMMIT", f"CHECKPOINT {ALIAS}", "BEGIN TRANSACTION"])
        self._columns = self._kept_kib = 0
        self._begin = "BEGIN TRANSACTION"
        return {}

    def _allow(self, memory_kib: int) -> None:
        if memory_kib != self._memory_kib:
            self._connection.execute(f"SET memory_limit = '{memory_kib}KiB'")
            self._memory_kib = memory_kib

    def finish(self, path: str) -> dict[str, Any]:
        """Commit, close the file and see that all of it is on the disk."""
        self._connection.execute("COMMIT")
        self._connection.execute("USE memory.main")
        self._connection.execute(f"CHECKPOINT {ALIAS}")
        self._connection.execute(f"DETACH {ALIAS}")
        number = os.open(path, os.O_RDWR)
        os.fsync(number)
        os.close(number)
        return {"has_wal": Path(path + ".wal").exists()}

    def _connect(self, folder: str) -> None:
        import duckdb

        self._connection = duckdb.connect(config={**_SETTINGS, "temp_directory": folder})
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("SET enable_progress_bar = false")

    def ask(self, sql: str) -> dict[str, Any]:
        """Send the rows of a query; return the names of its columns."""
        sql, columns = self._with_plain_times(sql)
        for rows in self._rows(sql, in_order=False):
            _say(SOME, json.dumps([[_plain(value) for value in row] for row in rows]).encode())
        return {"columns": columns}

    def _rows(self, sql: str, *, in_order: bool) -> Iterator[list[Any]]:
        """
        Yield the rows of a query, some at a time; where memory doesn't suffice, the others with more of it.

        Args:
            in_order: they come in the same order if they are asked for again, as those of a table do.
        """
        from duckdb import Error

        sent = 0
        while True:
            try:
                found = self._connection.execute(f"SELECT * FROM ({sql}) q OFFSET {sent}" if sent else sql)
                while rows := found.fetchmany(self._rows_at_once):
                    yield rows
                    sent += len(rows)
            except Error as exc:
                memory = self._memory_kib * _TIMES_MORE
                can_go_on = TOO_LITTLE in str(exc) and self._begin and (in_order or not sent)
                if not can_go_on or memory > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 10:
                    raise
                # Nobody else writes to the file while it is open: another transaction reads the same.
                for statement in ("ROLLBACK", self._begin):
                    self._connection.execute(statement)
                self._allow(memory)
                self._rows_at_once = _FEW_ROWS
            else:
                return

    def texts(self, queries: list[str]) -> dict[str, Any]:
        """Send the texts of queries of one column, with a NUL between two; after each query an empty message."""
        for sql in queries:
            self._texts(sql)
            _say(SOME, b"")
        return {}

    def _texts(self, sql: str) -> None:
        parts: list[str] = []
        size = 0
        for rows in self._rows(sql, in_order=True):
            for (text,) in rows:
                parts.append(text)
                size += len(text)
                if size >= _MESSAGE_BYTES:
                    _say(SOME, "\0".join(parts).encode())
                    parts, size = [], 0
        if parts:
            _say(SOME, "\0".join(parts).encode())

    def _with_plain_times(self, sql: str) -> tuple[str, list[str]]:
        """Return a query and its columns; times with a zone come as texts: Python needs another package for them."""
        found = self._connection.execute(f"DESCRIBE {sql}").fetchall()
        names = [(str(name), str(kind)) for name, kind, *_ in found]
        if any(kind in _ZONED for _, kind in names):
            columns = (
                f'CAST("{name}" AS VARCHAR) AS "{name}"' if kind in _ZONED else f'"{name}"'
                for name, kind in ((name.replace('"', '""'), kind) for name, kind in names)
            )
            sql = f"SELECT {', '.join(columns)} FROM ({sql}) q"
        return sql, [name for name, _ in names]


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _say(kind: bytes, text: bytes) -> None:
    _pipe.write(MESSAGE.pack(kind, len(text)))
    _pipe.write(text)
    _pipe.flush()


def _take_pipe() -> Any:
    """Take standard output for the answers, so that nothing else can come into it."""
    number = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(number, "wb")


def _listen(questions: "queue.SimpleQueue[bytes]") -> None:
    """Pass questions on, and end with the parent, whenever that is."""
    for line in sys.stdin.buffer:
        questions.put(line)
    os._exit(1)


def main() -> None:
    """Answer questions until there are no more."""
    global _pipe
    _pipe = _take_pipe()
    questions: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=[questions], daemon=True).start()
    server = _Server()
    while True:
        question = json.loads(questions.get())
        try:
            answer = getattr(server, question.pop("do"))(**question)
        except BrokenPipeError:
            os._exit(1)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the parent has to hear of it
            _say(FAILED, json.dumps({"type": type(exc).__name__, "message": str(exc)}).encode())
        else:
            _say(DONE, json.dumps(answer).encode())


if __name__ == "__main__":
    main()
