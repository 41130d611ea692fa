"""
A new file takes the place of a catalog's, in one step, or is the first of its name.

It is made beside, as `.<name>.restoring-<random>`. What stands there is held meanwhile, so that nobody commits to it or
looks at it, and keeps a name of its own, `<name>.replaced-<time>`. It has no WAL any more then: that would be taken for
the new file's. Killed at any point, the old file is there or the new one.
"""

import os
import secrets
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from dlbackup.errors import NotEmpty, StorageError
from dlbackup.runtime.signals import signals_held
from dlbackup.stores.files import NO_LINKS, publish, sync_folder

ENDINGS = (".wal", "-wal", "-journal", "-shm")
"""What DuckDB and SQLite put beside a file of theirs."""
_NEW = ".{name}.restoring-"


def beside(path: Path) -> Path:
    """Return the name of a new file that is to take another's place."""
    return path.with_name(_NEW.format(name=path.name) + secrets.token_hex(4))


def drop(new: Path) -> None:
    """Drop a new file, if it is still there, with what DuckDB puts beside it."""
    for ending in ("", *ENDINGS):
        Path(f"{new}{ending}").unlink(missing_ok=True)


def drop_left(path: Path) -> None:
    """Drop what was left by who was killed before the exchange; nobody else is at this file now."""
    for left in path.parent.iterdir():
        if left.name.startswith(_NEW.format(name=path.name)):
            left.unlink(missing_ok=True)


def refuse_wal(path: Path) -> None:
    """Raise NotEmpty where a WAL stands that would be taken for the new file's."""
    if os.path.lexists(f"{path}.wal"):
        raise NotEmpty(
            f"{path}.wal stands there, which DuckDB would take for the WAL of the restored file",
            "move it away: its file is gone, or is opened by another name",
        )


def take_free_place(new: Path, path: Path, mode: int | None = None) -> None:
    """
    Give a new file a name that nobody has.

    Args:
        mode: its rights; None for those that it was made with.

    Raises:
        NotEmpty: somebody has it by now.
    """
    try:
        with signals_held(too_late=True):
            if mode is not None:
                new.chmod(mode)
            publish(new, path)
            sync_folder(path.parent)
    except FileExistsError:
        raise NotEmpty(f"the file {path} has come meanwhile", "name another file") from None
    except OSError as exc:
        raise _failed(path, exc) from exc


def take_place(new: Path, path: Path, mode: int | None = None, *, keep: bool) -> str | None:
    """
    Give a new file the name, the rights and, where that may be, the owner of one that is held.

    Args:
        mode: other rights.

    Returns:
        Where that one is kept; None where it is not.
    """
    try:
        with signals_held(too_late=True):
            was = path.stat()
            new.chmod(was.st_mode & 0o7777 if mode is None else mode)
            with suppress(PermissionError):
                os.chown(new, was.st_uid, was.st_gid)
            kept = _kept(path) if keep else None
            new.rename(path)
            sync_folder(path.parent)
            return kept
    except OSError as exc:
        raise _failed(path, exc) from exc


def _kept(path: Path) -> str:
    """Give a file another name beside its own."""
    aside = path.with_name(f"{path.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
    try:
        os.link(path, aside)
    except OSError as exc:
        if exc.errno not in NO_LINKS:
            raise
        shutil.copy2(path, aside)
    return str(aside)


def _failed(path: Path, exc: OSError) -> StorageError:
    return StorageError(f"can't put the new file in the place of {path}: {exc.strerror}")
