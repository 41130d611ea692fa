"""
Folders for what is gone at the end, whatever the end is.

A process that is killed takes nothing away. So a small one beside it does, which the kernel tells of that end; should
that be killed as well, each folder is locked as long as its maker lives, and who makes the next one takes those away
whose makers are gone.
"""

import errno
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dlbackup.errors import StorageError

_IN_USE = (errno.ENOENT, errno.ENOTEMPTY)
"""Somebody else took a file away, or made one: what a killed maker had started is still ending."""
_PATIENCE_S = 10.0
_BEGINNING, _ENDING = "dlbackup-", ".scratch"
"""
What nobody else calls a folder: all whose names begin and end so and that nobody has locked may go. The ending alone
is a usual one: batch systems give jobs such folders.
"""
_SWEEPER = 'read -r _; for _ in 1 2 3 4 5; do rm -rf -- "$1" 2>/dev/null; test -e "$1" || exit; sleep 1; done'
"""It reads until its standard input ends, which is when the maker is done or dead."""


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """
    Make a folder in the system's place for temporary files, which TMPDIR names; it is gone with the block.

    Args:
        prefix: how its name begins; `dlbackup-` comes first in it.

    Raises:
        StorageError: it can't be made.
    """
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{_BEGINNING}*{_ENDING}"):
        with suppress(OSError), _locked(left):
            _remove(left)
    with ExitStack() as held:
        try:
            made = Path(tempfile.mkdtemp(prefix=prefix))
            held.enter_context(_locked(made))
            # Only now, since what is called so and nobody has locked may be taken away.
            folder = made.rename(f"{made}{_ENDING}")
        except OSError as exc:
            raise StorageError(
                f"can't make a folder in {place}: {exc.strerror or exc}", "TMPDIR names another place"
            ) from exc
        held.enter_context(_swept(folder))
        try:
            yield folder
        finally:
            _remove(folder)


@contextmanager
def _swept(folder: Path) -> Iterator[None]:
    """Have a folder taken away should this process be killed in the block; without a shell, the next one does."""
    sweeper: subprocess.Popen[bytes] | None = None
    with suppress(OSError):
        sweeper = subprocess.Popen(
            ["/bin/sh", "-c", _SWEEPER, "sh", str(folder)],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield
    finally:
        if sweeper is not None and sweeper.stdin is not None:
            sweeper.stdin.close()
            sweeper.wait()


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
