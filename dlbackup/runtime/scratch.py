"""
Folders for what is gone at the end, whatever the end is.

A process that is killed takes nothing away. So each folder is locked as long as its maker lives, and who makes the next
one takes those away whose makers are gone.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dlbackup.errors import StorageError


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
            shutil.rmtree(left)
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
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder; raises OSError where somebody else holds it."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(number)
