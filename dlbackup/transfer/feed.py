"""
A backup's rows on their way into a catalog: read, proved and rewritten, so that a restore only has to send them.

That work and the server's are about equal, so for a large backup a child process does it, one pipe ahead: a
restore then takes as long as the server needs. The child reads the same file; what it sends ends with a word that
everything was proved, and without that word nothing counts. The words are those of `chunks`.
"""

import json
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dlbackup import errors
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Rewrite
from dlbackup.errors import Corrupt, DlbackupError, StorageError
from dlbackup.runtime.child import Child, start
from dlbackup.transfer import feed_child
from dlbackup.transfer.chunks import FAILED, MESSAGE, PROVED, ROWS, TABLE, Chunk, Feed, proved

CHILD_ROWS = 250_000
"""Rows from which on a child is started: it takes about 0.3 s to import what it needs, while it saves a third."""


@contextmanager
def feeding(reader: BackupReader, rewrite: Rewrite, *, child: bool | None = None) -> Iterator[Feed]:
    """
    Read a whole backup to load it; no child outlives the block.

    Args:
        rewrite: gives the rows the form that the backend loads.
        child: whether in a child process; None where that is faster.

    Iterating raises:
        BackupError: at the first thing that isn't as dlbackup would have written it.
        StorageError: the file can't be read, or the child was ended by somebody else.
    """
    if not sys.executable or not (reader.unchecked.rows >= CHILD_ROWS if child is None else child):
        yield proved(reader, rewrite)
        return
    try:
        started = start(feed_child.main)
    except OSError as exc:
        raise StorageError(f"can't start a process to read the backup: {exc.strerror}") from exc
    with started:
        # On standard input: a store's address is nobody else's business.
        started.say(pickle.dumps((rewrite, reader.where, reader.seal)))
        yield _received(started, reader)


def _received(child: Child, reader: BackupReader) -> Feed:
    tables = reader.manifest.tables  # checked here, and so not by the child, which reads meanwhile
    while True:
        kind, number, size = MESSAGE.unpack(_exactly(child, MESSAGE.size))
        text = _exactly(child, size) if size else b""
        if kind == ROWS:
            yield Chunk(number, text)
        elif kind == TABLE:
            yield tables[number]
        elif kind == PROVED:
            return
        elif kind == FAILED:
            raise _failure(**json.loads(text))
        elif text != reader.seal.encode():
            raise Corrupt("the backup was changed while it was being read")


def _exactly(child: Child, size: int) -> bytes:
    text = child.says.read(size)
    if len(text) < size:
        raise StorageError(
            f"the process that reads the backup {child.ended()}",
            "if nobody ended it, the machine may be short of memory; then try again",
        )
    return text


def _failure(kind: str, message: str, hint: str) -> Exception:
    error = getattr(errors, kind, None)
    if isinstance(error, type) and issubclass(error, DlbackupError):
        return error(message, hint)
    return RuntimeError(f"{kind}: {message}")
