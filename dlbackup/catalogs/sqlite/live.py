"""
A SQLite file that others have open, as it is written: by a process of its own, which has the connection.

SQLite's locks are those of a process, and the program that calls us may have the file open by another SQLite, such as
the one in DuckDB's extension: two in one process neither see each other's locks nor keep them, since the end of any
opening of the file drops all that the process has on it.
"""

import marshal
import os
import queue
import sqlite3
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from dlbackup.catalogs.sqlite.introspection import opened
from dlbackup.catalogs.sqlite.rows import ROWS_AT_ONCE, Cursor, Text
from dlbackup.errors import EngineError, NeedsPerson
from dlbackup.runtime.child import start

_LENGTH = struct.Struct("<Q")
_PATIENCE_S = 5.0
"""For how long a statement may go on when nobody waits for it any more."""


class _Server:
    """The connection in its process: answers questions, one after the other."""

    def __init__(self) -> None:
        self._path = ""
        self.connection = sqlite3.connect(":memory:")
        self._cursors: dict[int, sqlite3.Cursor] = {}

    def open(self, path: str, wait_s: float) -> None:
        """Open the file."""
        self._path = path
        self.connection = opened(path, wait_s)

    def execute(self, sql: str) -> tuple[int, list[Any], int, bool]:
        """Return the number of a cursor, its first rows, how many a statement touched, and whether these are all."""
        cursor = self.connection.execute(sql)
        number = max(self._cursors, default=0) + 1
        self._cursors[number] = cursor
        return number, *self.more(number)

    def more(self, number: int) -> tuple[list[Any], int, bool]:
        """Return what follows; see `execute`."""
        cursor = self._cursors[number]
        rows = cursor.fetchmany(ROWS_AT_ONCE)
        if is_over := len(rows) < ROWS_AT_ONCE:
            del self._cursors[number]
        return [tuple(map(_told, row)) for row in rows], cursor.rowcount, is_over

    def in_transaction(self) -> bool:
        """Tell whether one is open."""
        return self.connection.in_transaction

    def copy_to(self, target: str) -> None:
        """Copy the whole file as others read it."""
        with closing(opened(self._path)) as live, closing(opened(target)) as copy:
            live.backup(copy)


def _told(value: Any) -> Any:
    """Return a value so that bytes are still told from a text's: those stand in a tuple."""
    return (value,) if type(value) is bytes else value


def _heard(value: Any) -> Any:
    """Return what `_told` was given."""
    if isinstance(value, tuple):
        return value[0]
    return Text(value) if isinstance(value, bytes) else value


def main() -> None:
    """Answer what is asked on standard input until that is closed."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    questions: queue.SimpleQueue[Any] = queue.SimpleQueue()
    server = _Server()
    threading.Thread(target=_listen, args=[questions, server], daemon=True).start()
    while (question := questions.get()) is not None:
        do, *arguments = question
        answer: tuple[Any, ...]
        try:
            answer = ("D", getattr(server, do)(*arguments))
        except (sqlite3.Error, OSError) as exc:
            answer = ("E", type(exc).__name__, str(exc))
        text = marshal.dumps(answer)
        try:
            pipe.write(_LENGTH.pack(len(text)) + text)
            pipe.flush()
        except BrokenPipeError:
            break
    server.connection.close()  # rolls back


def _listen(questions: "queue.SimpleQueue[Any]", server: _Server) -> None:
    """Pass questions on; when there are no more, end what is under way."""
    with suppress(EOFError, struct.error):
        while True:
            (size,) = _LENGTH.unpack(sys.stdin.buffer.read(_LENGTH.size))
            questions.put(marshal.loads(sys.stdin.buffer.read(size)))  # noqa: S302 - from our parent
    questions.put(None)
    is_changing = True
    with suppress(sqlite3.Error):  # it is being closed
        server.connection.interrupt()
        is_changing = server.connection.in_transaction
    threading.Event().wait(_PATIENCE_S if is_changing else 0)
    os._exit(1)


class ProcessEnded(sqlite3.OperationalError):
    """The process that had the file open has ended."""


class LiveFile:
    """
    A connection to a file that others have open. To be closed, which rolls back; no process outlives that.

    Args:
        wait_s: for how long each statement waits for who has the file locked.

    Raises:
        EngineError: no process can be started.
        sqlite3.Error: it can't open the file.
    """

    def __init__(self, path: Path, wait_s: float) -> None:
        try:
            self._child = start(main)
        except OSError as exc:
            raise EngineError(f"can't start a process for {path}: {exc.strerror}") from exc
        self._path, self._wait_s, self._is_there = path, wait_s, True
        try:
            self.asked("open", str(path), wait_s)
        except BaseException:
            self.close()
            raise

    def execute(self, sql: str) -> "Cursor":
        """Execute a statement."""
        return _Rows(self, *self.asked("execute", sql))

    def commit(self) -> None:
        """
        Commit what has changed the schema.

        Where its process is ended meanwhile, the file itself says whether it had committed before: each change of a
        schema counts its version up (sqlite.org/pragma.html#pragma_schema_version).

        Raises:
            sqlite3.Error: nothing was committed.
            NeedsPerson: its process was ended, and the file can't be asked.
        """
        ours = _schema_version(self)
        try:
            self.execute("commit")
        except ProcessEnded as exc:
            found = self._found_later()
            if found == ours:
                return
            if found is not None and found < ours:
                raise
            raise NeedsPerson(
                f"whether {self._path} has become another catalog is not known: {exc}",
                "dlbackup info FILE says which catalog is there; where one was to be kept that is replaced, a copy of"
                " it is beside the file, NAME.replaced-TIME",
            ) from exc

    def _found_later(self) -> int | None:
        """Return the schema's version, as another process reads it; None where that can't be done."""
        with suppress(sqlite3.Error, EngineError), closing(LiveFile(self._path, self._wait_s)) as again:
            return _schema_version(again)
        return None

    @property
    def in_transaction(self) -> bool:
        """Whether one is open."""
        return self._is_there and bool(self.asked("in_transaction"))

    def copy_to(self, target: Path) -> None:
        """Copy the whole file, as others read it, into one that is empty."""
        self.asked("copy_to", str(target))

    def asked(self, *question: Any) -> Any:
        """
        Return an answer of the process, which ends where somebody doesn't wait for that.

        Raises:
            ProcessEnded: it has ended.
            sqlite3.Error: as SQLite does.
        """
        if not self._is_there:
            raise ProcessEnded("the process that had the file open has ended")
        text = marshal.dumps(question)
        is_heard = False
        try:
            self._child.say(_LENGTH.pack(len(text)) + text)
            answer = self._answer()
            is_heard = bool(answer)
        finally:
            if not is_heard:
                self._is_there = False
        if not answer:
            raise ProcessEnded(f"the process that has the file open {self._child.ended()}")
        if answer[0] == "E":
            _, kind, message = answer
            raise getattr(sqlite3, kind, sqlite3.OperationalError)(message)
        return answer[1]

    def _answer(self) -> tuple[Any, ...]:
        """Return what the process says, all of it; nothing where it has ended before."""
        length = self._child.says.read(_LENGTH.size)
        size = _LENGTH.unpack(length)[0] if len(length) == _LENGTH.size else 0
        text = self._child.says.read(size)
        if not size or len(text) < size:
            return ()
        answer: tuple[Any, ...] = marshal.loads(text)  # noqa: S302 - from our child
        return answer

    def close(self) -> None:
        """Roll back what is open, and end the process."""
        self._is_there = False
        self._child.says.close()  # an answer that nobody hears keeps it from nothing
        self._child.finish()
        self._child.end()


def _schema_version(file: LiveFile) -> int:
    (found,) = file.execute("pragma schema_version").fetchmany(1)[0]
    return int(found)


class _Rows:
    """What a statement gave: some rows are here, and the others come when they are asked for."""

    def __init__(self, file: LiveFile, number: int, rows: list[Any], count: int, is_over: bool) -> None:
        self._file, self._number, self._is_over = file, number, is_over
        self._here = iter(rows)
        self.rowcount = count

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, if there is one."""
        return next(self, None)

    def fetchmany(self, size: int, /) -> list[tuple[Any, ...]]:
        """Return as many of the next rows."""
        return list(islice(self, size))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self

    def __next__(self) -> tuple[Any, ...]:
        row = next(self._here, None)
        if row is None:
            if self._is_over:
                raise StopIteration
            rows, _, self._is_over = self._file.asked("more", self._number)
            self._here = iter(rows)
            row = next(self._here)
        return tuple(map(_heard, row))
