"""
Local files, of a folder of backups and of journals: a file appears under its final name only when it is complete.

`create` writes to a temporary name in the same folder, with mode 0600 because a lake's Parquet encryption
keys are in its catalog, and publishes it by a hard link, which never overwrites anything.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dlbackup.errors import StorageError

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}

_OWN = 0o600
_OPTIONS = "(dump -o, migrate --backup-dir)"


@contextmanager
def create(path: Path) -> Iterator[BinaryIO]:
    """
    Open a new file that appears as `path` when the block ends without an error, and not at all otherwise.

    Raises:
        StorageError: the path exists already, or the folder can't be written to.
    """
    with storage_errors(path):
        if path.exists() or path.is_symlink():
            raise FileExistsError(path)
    with _written(path, publish) as file:
        yield file


def rewrite(path: Path, data: bytes, mode: int = _OWN) -> None:
    """
    Write a small file whole, or leave its earlier state; on disk when this returns.

    Raises:
        StorageError: it can't be written.
    """
    with _written(path, Path.replace, mode) as file:
        file.write(data)


def make_folder(path: Path) -> None:
    """
    Make a folder, and those above it, where it isn't there; durably.

    Raises:
        StorageError: it can't be made, or something else has that name.
    """
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.is_dir()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            sync_folder(folder.parent)
    except FileExistsError:
        raise StorageError(f"{path} is not a folder", "name a folder") from None
    except OSError as exc:
        raise StorageError(f"can't make the folder {path}: {exc.strerror or exc}", _hint(exc)) from exc


def remove(path: Path) -> None:
    """
    Take a file away; that is on disk when this returns.

    Raises:
        StorageError: it isn't there, or can't be taken away.
    """
    try:
        path.unlink()
        sync_folder(path.parent)
    except OSError as exc:
        raise StorageError(f"can't delete {path}: {exc.strerror or exc}") from exc


@contextmanager
def _written(path: Path, publish: Callable[[Path, Path], object], mode: int = _OWN) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`, publish it when the block ends without an error, and sync the folder."""
    if not path.name:
        raise StorageError(f"'{path}' is no name for a file", "name a file")
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    with storage_errors(path):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            publish(temporary, path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        sync_folder(path.parent)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors into StorageError."""
    try:
        yield
    except FileExistsError:
        raise StorageError(f"{path} exists already", "name another file, or a folder, in which names are new") from None
    except OSError as exc:
        raise StorageError(f"can't write {path}: {exc.strerror or exc}", _hint(exc)) from exc


def _hint(exc: OSError) -> str:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"free some space or name another folder {_OPTIONS}; nothing was left behind"
    return f"name a folder that exists and can be written to {_OPTIONS}"


def publish(temporary: Path, path: Path) -> None:
    """
    Give a file its name, on the same file system.

    Raises:
        FileExistsError: there is a file of that name.
    """
    try:
        os.link(temporary, path)
    except OSError as exc:
        if isinstance(exc, FileExistsError) and _is_one(temporary, path):
            return  # a server of NFS made the link, and its answer was lost: asked again, it says that there is one
        if exc.errno not in NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(path) from exc
        temporary.rename(path)


def _is_one(path: Path, other: Path) -> bool:
    one, two = path.lstat(), other.lstat()
    return (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)


def sync_folder(folder: Path) -> None:
    """See that the names in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that can't
            raise
    finally:
        os.close(descriptor)
