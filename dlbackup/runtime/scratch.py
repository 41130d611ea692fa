"""
Folders for what is gone at the end, whatever the end is.

A process that is killed takes nothing away. So each folder is locked as long as its maker lives, and who makes the next
one takes those away whose makers are gone.
"""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dlbackup.errors import StorageError

_IN_USE = (errno.ENOENT, errno.ENOTEMPTY)
"""Somebody else took a file away, or made one: what a killed maker had started is still ending."""
_PATIENCE_S = 10.0


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """
    Make a folder in the system's place for temporary files, which TMPDIR names; it is gone with the block.

    Raises:
        StorageError: it can't be made.
    """
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{prefix}*"):
        with suppress(OSError), _locked(left):
            _remove(left)
    try:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as exc:
        raise StorageError(
            f"can't make a folder in {place}: {exc.strerror or exc}", "TMPDIR names another place"
        ) from exc
    try:
        with _locked(folder):
            yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove as much of a folder as can be, while a server in it may still be ending."""
    until = time.monotonic() + _PATIENCE_S
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError as exc:
            if exc.errno not in _IN_USE or time.monotonic() > until:
                shutil.rmtree(folder, ignore_errors=True)
                return
            time.sleep(0.05)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder; raises OSError where somebody else holds it."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(number)
