"""
What a user names as a backup to be read: a path, a URL of an object storage, or `-` for standard input.

A backup is read from its end and by several processes, which a pipe can't be: standard input is written to a temporary
file first, which is gone when the block ends. That has mode 0600, as backups have.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dlbackup.errors import StorageError, UsageError
from dlbackup.runtime.scratch import scratch_folder
from dlbackup.stores.contract import Where
from dlbackup.stores.encrypted import keyed
from dlbackup.stores.folder import Folder
from dlbackup.stores.keys import Keyring
from dlbackup.stores.named import where_named

STANDARD_INPUT = "-"


@contextmanager
def given(backup: str | Path, ring: Keyring | None = None) -> Iterator[Where]:
    """
    Yield where a backup is that a user has named, to be opened by the keys of a ring.

    Raises:
        UsageError: it is `-`, and nothing was piped in; or a URL that names no backup.
        StorageError: standard input can't be read, or there is no room for it.
    """
    if str(backup) != STANDARD_INPUT:
        yield keyed(where_named(backup), ring)
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("- means standard input, and that is a terminal", "name a file, or pipe a backup in")
    with scratch_folder("dlbackup-input-") as folder:
        path = folder / "standard-input.zst"
        try:
            with path.open("xb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        except OSError as exc:
            raise StorageError(
                f"can't keep standard input in {folder}: {exc.strerror or exc}",
                "TMPDIR names another folder for that",
            ) from exc
        yield keyed(Where(_StandardInput(folder), path.name), ring)


@dataclass(frozen=True, slots=True)
class _StandardInput(Folder):
    """The folder in which standard input is kept for a while."""

    def shown(self, name: str) -> str:
        """Return what a user calls it."""
        return STANDARD_INPUT
