"""
A backup's rows on their way into COPY: read, proved and rewritten, so that a restore only has to send them.

That work and the server's are about equal, so for a large backup a child process does it, one pipe ahead: a
restore then takes as long as the server needs. The child reads the same file; what it sends ends with a word that
everything was proved, and without that word nothing counts. The protocol is that of `feeding_child`.
"""

import json
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from dlbackup import errors
from dlbackup.backupfile.manifest import Entry
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.postgres.bulk.copy_text import copy_text
from dlbackup.errors import Corrupt, DlbackupError, StorageError

CHILD_ROWS = 250_000
"""Rows from which on a child is started: it takes about 0.3 s to import what it needs, while it saves a third."""
PIPE_BYTES = 1 << 20
"""What a pipe may hold, where the system lets us say so: how far the child is ahead."""
MESSAGE = struct.Struct("<cQQ")
"""Kind, a number, and how many bytes follow."""
BEGUN = b"B"
"""First: the seal of the file that the child reads follows."""
TABLE = b"T"
"""The table of that number in the manifest begins."""
ROWS = b"R"
"""So many of its rows follow."""
PROVED = b"P"
"""Last: everything was proved."""
FAILED = b"F"
"""Last: it was not; type, message and hint follow as JSON."""
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from dlbackup.transfer.feed_child import main; main()"
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of one table, in the form of `copytext.OPTIONS`."""

    rows: int
    text: bytes


Feed = Iterator[Entry | Chunk]
"""Each table's entry, then its rows. That all was proved is known when the iteration ends without an error."""


@contextmanager
def feeding(reader: BackupReader, *, child: bool | None = None) -> Iterator[Feed]:
    """
    Read a whole backup for COPY; no child outlives the block.

    Args:
        child: whether in a child process; None where that is faster.

    Iterating raises:
        BackupError: at the first thing that isn't as dlbackup would have written it.
        StorageError: the file can't be read, or the child was ended by somebody else.
    """
    if not sys.executable or not (reader.manifest.rows >= CHILD_ROWS if child is None else child):
        yield proved(reader)
        return
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, json.dumps(sys.path), str(reader.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            process_group=0,  # a terminal's interrupt is for us: the child ends with us
        )
    except OSError as exc:
        raise StorageError(f"can't start a process to read the backup: {exc.strerror}") from exc
    try:
        yield _received(process, reader)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def proved(reader: BackupReader) -> Feed:
    """Read a whole backup for COPY in this process; raises as `feeding` says."""
    for item in reader.scan():
        yield item if isinstance(item, Entry) else Chunk(len(item.rows), copy_text(item.body))


def _received(child: "subprocess.Popen[bytes]", reader: BackupReader) -> Feed:
    if child.stdout is None:
        raise AssertionError("the child has a pipe")
    while True:
        head = child.stdout.read(MESSAGE.size)
        if len(head) < MESSAGE.size:
            raise _ended(child)
        kind, number, size = MESSAGE.unpack(head)
        text = _exactly(child, child.stdout, size)
        if kind == ROWS:
            yield Chunk(number, text)
        elif kind == TABLE:
            yield reader.manifest.tables[number]
        elif kind == PROVED:
            return
        elif kind == FAILED:
            raise _failure(**json.loads(text))
        elif text != reader.seal.encode():
            raise Corrupt("the backup was changed while it was being read")


def _exactly(child: "subprocess.Popen[bytes]", pipe: IO[bytes], size: int) -> bytes:
    text = pipe.read(size) if size else b""
    if len(text) < size:
        raise _ended(child)
    return text


def _ended(child: "subprocess.Popen[bytes]") -> StorageError:
    status = child.wait()
    how = signal.Signals(-status).name if status < 0 else f"exit code {status}"
    return StorageError(
        f"the process that reads the backup ended before its time ({how})",
        "if nobody ended it, the machine may be short of memory; then try again",
    )


def _failure(kind: str, message: str, hint: str) -> Exception:
    error = getattr(errors, kind, None)
    if isinstance(error, type) and issubclass(error, DlbackupError):
        return error(message, hint)
    return RuntimeError(f"{kind}: {message}")
