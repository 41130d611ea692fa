"""
A private copy of a live SQLite file, in a process of its own.

In WAL mode SQLite's own backup makes it, and no commit waits for that. In the other modes a commit waits as long as
anybody reads, so the file is copied without a lock first, and what has changed is copied again under one: that takes
as long as comparing the two does, a fifth of what SQLite's backup takes. In a process of its own, because the end of
any other opening of a file drops the locks that a SQLite or a DuckDB in the same process holds on it.
"""

import errno
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copyfile
from urllib.parse import quote

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access
from dlbackup.errors import CatalogError, DlbackupError, EngineError, Locked, NotALake, StorageError, Unsupported
from dlbackup.runtime.child import start
from dlbackup.runtime.scratch import scratch_folder

LEAST_WAIT_S = 5.0
"""For how long a commit is waited for that is just being made."""
_AGAIN_S = 0.02
_PIECE_BYTES = 1 << 18
_LOCKED = (5, 6)
"""SQLITE_BUSY and SQLITE_LOCKED, which Python 3.11's module doesn't name for this."""
_NO_ROOM = ("full", "disk I/O", os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
"""What SQLite says of it, and the system."""
_MAGIC = b"SQLite format 3\0"


def main() -> None:
    """Copy a file, as one line of JSON on standard input says, and say how that ended."""
    task = json.loads(sys.stdin.buffer.readline())
    os.umask(0o077)  # a lake's encryption keys are in its catalog
    try:
        said = make_copy(task["source"], task["target"], task["wait"])
    except (sqlite3.Error, OSError) as exc:
        said = {"type": type(exc).__name__, "message": str(exc)}
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
    sys.stdout.flush()


def make_copy(source: str, target: str, wait_s: float) -> dict[str, str]:
    """
    Copy a file as one state of it, and look whether that is sound.

    Returns:
        Nothing where it is; with `begins`, the first bytes in hexadecimal, where it is no SQLite file; with `type` and
        `message`, what is wrong with the copy.

    Raises:
        sqlite3.Error, OSError: it can't be copied, such as one that is locked for longer than `wait_s`.
    """
    with Path(source).open("rb") as file:
        first = file.read(len(_MAGIC))
    if first != _MAGIC:
        return {"begins": first.hex()}
    until = time.monotonic() + wait_s
    for mode in ("ro", "rw"):  # what a killed writer left behind has to be rolled back, as whoever comes next does
        try:
            if not _copied_alike(source, target, mode, until):
                _backed_up(source, target, mode, until)
            break
        except sqlite3.OperationalError as exc:
            if mode == "rw" or "readonly" not in str(exc):
                raise
    with closing(sqlite3.connect(target)) as copy:
        (sound,) = copy.execute("pragma quick_check(1)").fetchone()
    return {} if sound == "ok" else {"type": "DatabaseError", "message": sound}


def _live(source: str, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(source)}?mode={mode}", uri=True, timeout=_AGAIN_S, isolation_level=None)


def _backed_up(source: str, target: str, mode: str, until: float) -> None:
    """Copy a file as SQLite does, which keeps commits waiting unless it is in WAL mode."""

    def gone_by(status: int, remaining: int, total: int) -> None:
        if status in _LOCKED and time.monotonic() > until:
            raise sqlite3.OperationalError("database is locked")

    with closing(_live(source, mode)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy, progress=gone_by, sleep=_AGAIN_S)


def _copied_alike(source: str, target: str, mode: str, until: float) -> bool:
    """
    Copy a file, and then again what has changed meanwhile, in a transaction that reads.

    That has the lock which keeps everybody from writing to the file (sqlite.org/lockingv3.html): a commit waits for
    it, and so do a transaction's changes that come into the file before.

    Returns:
        False where the file is in WAL mode, in which it isn't the whole of its database.
    """
    # Opened before there is a lock and closed after it: the end of any opening drops what locks a process has.
    with Path(source).open("rb", buffering=0) as file:
        if _is_in_wal_mode(file.fileno()):
            return False
        copyfile(source, target)
        with Path(target).open("r+b", buffering=0) as copy, closing(_live(source, mode)) as live:
            _begin_to_read(live, until)
            if _is_in_wal_mode(file.fileno()):
                copy.truncate(0)
                return False
            _make_alike(file.fileno(), copy.fileno())
    return True


def _is_in_wal_mode(file: int) -> bool:
    """Tell by the version that a reader has to know (sqlite.org/fileformat.html, 1.3.3)."""
    return os.pread(file, 1, 19) != b"\x01"


def _begin_to_read(live: sqlite3.Connection, until: float) -> None:
    """Have a transaction read, once nobody is writing to the file."""
    while True:
        try:
            live.execute("begin")
            live.execute("select count(*) from sqlite_master").fetchone()
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc) or time.monotonic() > until:
                raise
            live.execute("rollback")
        else:
            return


def _make_alike(file: int, copy: int) -> None:
    """Write to a copy where it isn't like the file, and give it its size."""
    ours, theirs = bytearray(_PIECE_BYTES), bytearray(_PIECE_BYTES)  # small ones stay in the processor's cache
    at = 0
    while size := os.preadv(file, [ours], at):
        if os.preadv(copy, [theirs], at) != size or ours != theirs:
            os.pwrite(copy, memoryview(ours)[:size], at)
        at += size
    os.truncate(copy, at)


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
    if kind == "ProcessEnded":
        return CatalogError(f"{address}: {message}; nothing was changed", "try again")
    if kind == "PermissionError" or "unable to open" in message or "readonly" in message:
        return CatalogError(
            f"no right to open {address.path}: {message}",
            "use the account that file and folder belong to; a file in WAL mode also needs its folder to be writable",
        )
    if any(words in message for words in _NO_ROOM):
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
