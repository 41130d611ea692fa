"""
A private copy of a live SQLite file, made by SQLite's own backup, in one step, in a process of its own.

A commit that comes meanwhile waits for that step (0.3 ms for a small catalog). In a process of its own, because the
end of any other opening of a file drops the locks that a DuckDB in the same process holds on it.
"""

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access
from dlbackup.errors import CatalogError, DlbackupError, EngineError, Locked, NotALake, StorageError, Unsupported
from dlbackup.runtime.child import start
from dlbackup.runtime.scratch import scratch_folder

LEAST_WAIT_S = 5.0
"""For how long a commit is waited for that is just being made."""
_AGAIN_S = 0.02
_LOCKED = (5, 6)
"""SQLITE_BUSY and SQLITE_LOCKED, which Python 3.11's module doesn't name for this."""
_MAGIC = b"SQLite format 3\0"


def main() -> None:
    """Copy a file, as one line of JSON on standard input says, and say how that ended."""
    task = json.loads(sys.stdin.buffer.readline())
    try:
        said = _copied(task["source"], task["target"], task["wait"])
    except (sqlite3.Error, OSError) as exc:
        said = {"type": type(exc).__name__, "message": str(exc)}
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
    sys.stdout.flush()


def _copied(source: str, target: str, wait_s: float) -> dict[str, str]:
    os.umask(0o077)  # a lake's encryption keys are in its catalog
    with Path(source).open("rb") as file:
        first = file.read(len(_MAGIC))
    if first != _MAGIC:
        return {"begins": first.hex()}
    until = time.monotonic() + wait_s

    def gone_by(status: int, remaining: int, total: int) -> None:
        if status in _LOCKED and time.monotonic() > until:
            raise sqlite3.OperationalError("database is locked")

    for mode in ("ro", "rw"):  # what a killed writer left behind has to be rolled back, as whoever comes next does
        try:
            with (
                closing(sqlite3.connect(f"file:{quote(source)}?mode={mode}", uri=True, timeout=_AGAIN_S)) as live,
                closing(sqlite3.connect(target)) as copy,
            ):
                live.backup(copy, progress=gone_by, sleep=_AGAIN_S)
                (sound,) = copy.execute("pragma quick_check(1)").fetchone()
            break
        except sqlite3.OperationalError as exc:
            if mode == "rw" or "readonly" not in str(exc):
                raise
    return {} if sound == "ok" else {"type": "DatabaseError", "message": sound}


@contextmanager
def copied(address: Address, access: Access) -> Iterator[Path]:
    """
    Copy a file, as one state of it, for the block.

    Raises:
        NotALake: there is no such file, or it is no SQLite file.
        Locked: somebody has kept it locked for longer than we may wait.
        CatalogError: it is damaged, or can't be read.
    """
    path = Path(address.path).absolute()
    with scratch_folder("dlbackup-sqlite-") as folder:
        target = folder / path.name
        try:
            child = start(main)
        except OSError as exc:
            raise EngineError(f"can't start a process for {address}: {exc.strerror}") from exc
        with child:
            task = {"source": str(path), "target": str(target), "wait": max(access.wait_s, LEAST_WAIT_S)}
            child.say(json.dumps(task).encode() + b"\n")
            line = child.says.readline()
            if not line:
                raise CatalogError(f"the process that copies {address} {child.ended()}", "try again")
        said = json.loads(line)
        if "begins" in said:
            raise _no_sqlite(address, bytes.fromhex(said["begins"]))
        if said:
            raise failure(address, said["message"], said["type"])
        yield target


def _no_sqlite(address: Address, first: bytes) -> CatalogError:
    if not first:
        return NotALake(f"{address} is empty", "name the file of the catalog")
    return NotALake(f"{address} is no SQLite file", "name the file of the catalog, not one of the lake's data")


def failure(address: Address, message: str, kind: str = "") -> DlbackupError:
    """Return the error that one of SQLite's, in its words, is for us."""
    if kind == "FileNotFoundError":
        return NotALake(f"there is no file {address.path}", "check the path")
    if kind == "IsADirectoryError":
        return NotALake(f"{address.path} is a folder", "name the file of the catalog")
    if "locked" in message or "busy" in message:
        return Locked(
            f"{address} is locked by a program that writes to it",
            "try again; --wait SECONDS waits longer",
        )
    if kind == "PermissionError" or "unable to open" in message or "readonly" in message:
        return CatalogError(
            f"no right to open {address.path}: {message}",
            "use the account that file and folder belong to; a file in WAL mode also needs its folder to be writable",
        )
    if "full" in message or "disk I/O" in message:
        return StorageError(f"no room for {address}: {message}", "free some space, or let TMPDIR name a larger place")
    if "encrypted" in message or "not a database" in message:
        return Unsupported(
            f"the SQLite file {address.path} is damaged or encrypted: {message}", "restore a backup of it"
        )
    return CatalogError(
        f"{address} can't be read: {message}",
        "if it is damaged, restore a backup of it into a new file; sqlite3 FILE .recover may save what is not in one",
    )


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Turn SQLite's errors in the block into ours."""
    try:
        yield
    except sqlite3.Error as exc:
        raise failure(address, str(exc), type(exc).__name__) from exc
