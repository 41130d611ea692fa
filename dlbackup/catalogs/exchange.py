"""
A new file takes the place of a catalog's, in one step, or is the first of its name.

It is made beside, as `.<name>.restoring-<random>`. What stands there is held meanwhile, so that nobody commits to it or
looks at it, and keeps a name of its own, `<name>.replaced-<time>`. It has no WAL any more then: that would be taken for
the new file's. Killed at any point, the old file is there or the new one.
"""

import errno
import os
import secrets
import shutil
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from dlbackup.errors import NotEmpty, StorageError
from dlbackup.runtime.signals import signals_held
from dlbackup.stores.files import NO_LINKS, publish, sync_folder

ENDINGS = (".wal", "-wal", "-journal", "-shm")
"""What DuckDB and SQLite put beside a file of theirs."""
_NEW = ".{name}.restoring-"
_ACCESS_LIST = "system.posix_acl_access"
_NO_LIST = {errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_OF_GROUP = 0o070


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


def refuse_wal(path: Path, *names: Path) -> None:
    """Raise NotEmpty where a WAL stands that would be taken for the new file's, under any of its names."""
    for name in (path, *names):
        if os.path.lexists(f"{name}.wal"):
            raise NotEmpty(
                f"{name}.wal stands there, which DuckDB would take for the WAL of the restored file",
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
    Give a new file the name of one that is held, and let those at it who were let at that one.

    Args:
        mode: other rights.

    Returns:
        Where that one is kept; None where it is not.
    """
    try:
        with signals_held(too_late=True):
            let_at_as(new, path, mode)
            kept = _kept(path) if keep else None
            try:
                new.rename(path)
            except OSError:
                if kept is not None:
                    kept.unlink()
                raise
            sync_folder(path.parent)
            return str(kept) if kept is not None else None
    except OSError as exc:
        raise _failed(path, exc) from exc


def let_at_as(new: Path, like: Path, mode: int | None = None) -> None:
    """
    Give a file of ours group, access list, rights and, where that may be, the owner of another.

    Where that one's group can't be given, no other gets its rights.

    Args:
        mode: other rights.
    """
    was = like.stat()
    rights = was.st_mode & 0o7777 if mode is None else mode
    try:
        os.chown(new, -1, was.st_gid)
    except PermissionError:
        _set_access_list(new, None)
        new.chmod(rights & ~_OF_GROUP if mode is None else mode)
    else:
        _set_access_list(new, _access_list(like))
        new.chmod(rights)
    with suppress(PermissionError):
        os.chown(new, was.st_uid, -1)


def _access_list(path: Path) -> bytes | None:
    """Return who beside owner and group may do what with a file; None where its mode says all."""
    if sys.platform != "linux":
        return None
    try:
        return os.getxattr(path, _ACCESS_LIST)
    except OSError as exc:
        if exc.errno not in _NO_LIST:
            raise
        return None


def _set_access_list(path: Path, access_list: bytes | None) -> None:
    """Give a file such a list, or take away the one that its folder gave it."""
    if sys.platform != "linux":
        return
    if access_list is not None:
        os.setxattr(path, _ACCESS_LIST, access_list)
    elif _access_list(path) is not None:
        os.removexattr(path, _ACCESS_LIST)


def _kept(path: Path) -> Path:
    """Give a file another name beside its own; where files have one only, a copy that is on the disk."""
    aside = path.with_name(f"{path.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
    try:
        os.link(path, aside)
    except OSError as exc:
        if exc.errno not in NO_LINKS:
            raise
        _copy(path, aside)
    return aside


def _copy(path: Path, aside: Path) -> None:
    try:
        aside.touch(0o600, exist_ok=False)
        shutil.copyfile(path, aside)
        let_at_as(aside, path)
        number = os.open(aside, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _failed(path: Path, exc: OSError) -> StorageError:
    return StorageError(f"can't put the new file in the place of {path}: {exc.strerror}")
