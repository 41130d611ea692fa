"""The process that has a DuckDB file open: asked questions, and its errors turned into ours."""

import json
import os
import re
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access
from dlbackup.catalogs.duckdb import child
from dlbackup.engine.errors import reason_first
from dlbackup.errors import CatalogError, EngineError, Locked, NotALake, StorageError, Unsupported
from dlbackup.lake.answers import Answer, Row
from dlbackup.runtime.child import Child, start, start_file
from dlbackup.runtime.handing import handing
from dlbackup.runtime.scratch import scratch_folder

_AGAIN_S = 0.1
"""How long to wait before the next try to open what somebody holds."""
_HELD = re.compile(
    r"Could not set lock on file .*?(?:held in (?P<program>.+?) \(PID (?P<pid>\d+)\)|held by)", re.DOTALL
)
_NEWER = re.compile(r"storage version greater|newer version of DuckDB|can only read versions? |more recent version")
_SQLITE = b"SQLite format 3"
_DECRYPTED = (
    "a program that has it open can dump it (dlbackup.dump(connection, catalog=...)), encrypted if it says so; or copy"
    " it into a file without encryption: ATTACH it with its ENCRYPTION_KEY, then COPY FROM DATABASE"
)


class FileProcess:
    """
    A process that may open one DuckDB file. Close it with `with`: no process outlives the block.

    Args:
        done: what can't be done to it where DuckDB fails, in words.

    Raises:
        EngineError: it can't be started.
    """

    def __init__(self, address: Address, access: Access, done: str = "read") -> None:
        self.address, self._access, self._done = address, access, done
        self.path = str(Path(address.path).absolute())
        self._held = ExitStack()
        try:
            folder = self._held.enter_context(scratch_folder("dlbackup-file-"))
            self.folder, self.handed = str(folder), self._held.enter_context(handing(folder))
            handed, engine = self.handed.numbers, access.engine
            started = start(child.main, handed) if engine is None else start_file(engine, child.__file__, handed)
            self._child: Child = self._held.enter_context(started)
        except OSError as exc:
            self._held.close()
            raise EngineError(f"can't start a process for {address}: {exc.strerror}") from exc

    def __enter__(self) -> "FileProcess":
        return self

    def __exit__(self, *exc: object) -> None:
        self._held.close()

    def open(self, *, exclusively: bool = False) -> dict[str, Any]:
        """
        Open the file for reading, as soon as it can be had, and say what it is.

        Args:
            exclusively: keep everybody else out as long as this process lives.

        Raises:
            NotALake: there is no such file, or it is no DuckDB file.
            Locked: somebody else holds it, longer than we may wait.
            Unsupported: a newer DuckDB has written it.
            CatalogError: it can't be read.
        """
        until = time.monotonic() + self._access.wait_s
        while True:
            try:
                found = self.do("open", path=self.path, folder=self.folder, exclusively=exclusively)
            except Locked:
                if time.monotonic() >= until:
                    raise
                time.sleep(_AGAIN_S)
                continue
            if "begins" in found:
                raise self._no_duckdb(bytes.fromhex(found["begins"]))
            return found

    def do(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Ask something that is answered in one word; raises as `texts_of_each`."""
        stream = self._asked(what, arguments)
        try:
            while True:
                next(stream)
        except StopIteration as stopped:
            answer: dict[str, Any] = stopped.value
        return answer

    def ask(self, sql: str) -> Answer:
        """Return what a query says; raises as `texts_of_each`."""
        rows: list[Row] = []
        stream = self._asked("ask", {"sql": sql})
        try:
            while True:
                rows += map(tuple, json.loads(next(stream)))
        except StopIteration as stopped:
            return Answer(tuple(stopped.value["columns"]), rows)

    def rows(self, sql: str) -> Iterator[Row]:
        """Yield the rows of a query that may have many; raises as `texts_of_each`."""
        for part in self._asked("ask", {"sql": sql}):
            yield from map(tuple, json.loads(part))

    def texts(self, sql: str) -> Iterator[list[bytes]]:
        """Yield the texts of a query of one column, many at a time; raises as `texts_of_each`."""
        for texts in self.texts_of_each([sql]):
            yield from texts

    def texts_of_each(self, queries: Sequence[str]) -> Iterator[Iterator[list[bytes]]]:
        """
        Yield for each of some queries its texts; those of each must be read before the next.

        Raises:
            CatalogError: DuckDB can't do it, or its process has ended.
        """
        parts = self._asked("texts", {"queries": list(queries)})
        for _ in queries:
            yield _until_empty(parts)
        if next(parts, None) is not None:
            raise AssertionError("the texts of each query are read to their end")

    def _asked(self, what: str, arguments: dict[str, Any]) -> "Generator[bytes, None, dict[str, Any]]":
        """Ask; yield what there is much of, and return the rest. What is not read to its end ends the process."""
        self._child.say(json.dumps({"do": what, **arguments}).encode() + b"\n")
        is_over = False
        try:
            while not is_over:
                kind, size = child.MESSAGE.unpack(self._exactly(child.MESSAGE.size))
                text = self._exactly(size)
                is_over = kind != child.SOME
                if not is_over:
                    yield text
            answer: dict[str, Any] = json.loads(text)
            if kind == child.FAILED:
                raise self._failure(**answer)
            return answer
        finally:
            if not is_over:
                self._child.kill()

    def _exactly(self, size: int) -> bytes:
        text = self._child.says.read(size)
        if len(text) < size:
            raise CatalogError(
                f"the process that reads {self.address} {self._child.ended()}",
                "if nobody ended it, the machine may be short of memory, or the file is damaged in a way that DuckDB"
                " can't stand",
            )
        return text

    def _no_duckdb(self, first: bytes) -> CatalogError:
        if first.startswith(_SQLITE):
            return Unsupported(f"{self.address} is a SQLite file, which this version of dlbackup does not handle")
        return NotALake(f"{self.address} is no DuckDB file", "name the file of the catalog, not one of the lake's data")

    def _failure(self, type: str, message: str) -> Exception:  # noqa: A002 - the child's word
        """Return the error that a failure of DuckDB's is for us."""
        text = " ".join(reason_first(message).split())
        if type in ("FileNotFoundError", "NotADirectoryError"):
            return NotALake(f"there is no file {self.address.path}", "check the path")
        if type == "IsADirectoryError":
            return NotALake(f"{self.address.path} is a folder", "name the file of the catalog")
        if type == "ModuleNotFoundError":
            return EngineError(f"no DuckDB to read {self.address}: {text}", "pip install duckdb in that environment")
        if held := _HELD.search(message):
            return self._locked(held["program"], held["pid"])
        if type == "PermissionError" or "Permission denied" in message or "Read-only file system" in message:
            return CatalogError(
                f"no right to open {self.address.path}", "use the account that file and folder belong to"
            )
        if _NEWER.search(message):
            return Unsupported(
                f"{self.address} was written by a newer DuckDB than the one here can read: {text}",
                "name the Python of an environment with that DuckDB: --engine PYTHON",
            )
        if "encrypt" in message.lower() and "key" in message.lower():
            return Unsupported(f"{self.address} is encrypted, and dlbackup takes no key to it: {text}", _DECRYPTED)
        if "is not a known DuckDB version" in message:
            return Unsupported(
                f"the DuckDB here makes no files of that storage version: {text[:200]}",
                "name an older one with --storage-version, or the Python of a newer DuckDB with --engine",
            )
        if child.TOO_LITTLE in message or "No space left" in message:
            hint = "free some space in its folder, and in TMPDIR, where what does not fit into memory goes"
            return StorageError(f"no room: {self.address} can't be {self._done}: {text}", hint)
        return CatalogError(f"{self.address} can't be {self._done}: {type}: {text}")

    def _locked(self, program: str | None, pid: str | None) -> Locked:
        who = f"{program}, pid {pid}" if pid else "another process"
        if pid == str(os.getpid()):
            return Locked(
                f"{self.address} is held by this program itself (pid {pid})",
                "DETACH it, then try again; dlbackup.dump(connection, catalog=...) dumps it while it is attached",
            )
        return Locked(
            f"{self.address} is held by {who}, and DuckDB lets nobody else read a file that one has open for writing",
            "close that program, or DETACH the lake in it; --wait SECONDS waits for that",
        )


def _until_empty(parts: Iterator[bytes]) -> Iterator[list[bytes]]:
    for part in parts:
        if not part:
            return
        yield part.split(b"\0")


@contextmanager
def opened(
    address: Address, access: Access, *, exclusively: bool = False
) -> Iterator[tuple[FileProcess, dict[str, Any]]]:
    """Open a file in a process of its own, and say what it is; raises as `FileProcess.open`."""
    with FileProcess(address, access) as process:
        yield process, process.open(exclusively=exclusively)
