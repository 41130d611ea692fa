"""
The process that reads a backup for a restore: proves it, rewrites its rows, and sends them up a pipe.

It has no connection to any server. What it sends is described in `chunks`. When nobody takes it any longer, the
parent is gone, and so is this.
"""

import fcntl
import gc
import json
import os
import pickle
import sys
from contextlib import suppress
from typing import BinaryIO

from dlbackup.backupfile.manifest import Entry
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Rewrite
from dlbackup.errors import DlbackupError
from dlbackup.stores.contract import Where
from dlbackup.transfer.chunks import BEGUN, FAILED, MESSAGE, PROVED, ROWS, TABLE, proved

PIPE_BYTES = 1 << 20
"""What a pipe may hold, where the system lets us say so: how far this is ahead."""


def main() -> None:
    """
    Read the backup of the pickled `Where` on standard input, its rows rewritten by the function beside it.

    The parent checks the definitions of the backup with that seal.
    """
    gc.disable()  # see rows.uncollected
    pipe = _pipe()
    try:
        try:
            rewrite, where, seal = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
            _send_all(pipe, rewrite, where, seal)
        except DlbackupError as exc:
            _fail(pipe, type(exc).__name__, exc.message, exc.hint)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the parent has to hear of it
            _fail(pipe, type(exc).__name__, str(exc), "")
        pipe.flush()
    except BrokenPipeError:
        os._exit(1)  # without the traceback of a flush at the end


def _pipe() -> BinaryIO:
    """Take standard output for the pipe, so that nothing else can come into it."""
    number = os.dup(1)
    os.dup2(2, 1)
    with suppress(AttributeError, OSError):  # the system has no such thing, or a smaller limit
        fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return os.fdopen(number, "wb")


def _send_all(pipe: BinaryIO, rewrite: Rewrite, where: Where, seal: str) -> None:
    with BackupReader(where, checked=seal) as reader:
        _send(pipe, BEGUN, 0, reader.seal.encode())
        table = 0
        for item in proved(reader, rewrite):
            if isinstance(item, Entry):
                _send(pipe, TABLE, table)
                table += 1
            else:
                _send(pipe, ROWS, item.rows, item.text)
    _send(pipe, PROVED)


def _fail(pipe: BinaryIO, kind: str, message: str, hint: str) -> None:
    _send(pipe, FAILED, 0, json.dumps({"kind": kind, "message": message, "hint": hint}).encode())


def _send(pipe: BinaryIO, kind: bytes, number: int = 0, text: bytes = b"") -> None:
    pipe.write(MESSAGE.pack(kind, number, len(text)))
    pipe.write(text)
