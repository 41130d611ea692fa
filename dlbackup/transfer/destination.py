"""Where a new backup goes: a file, a folder, standard output; and its default name."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from dlbackup.backupfile.frames import Sink
from dlbackup.backupfile.manifest import Header
from dlbackup.errors import StorageError
from dlbackup.stores.files import create, storage_errors


@contextmanager
def destination(to: str | Path, header: Header) -> Iterator[tuple[str, Sink]]:
    """Open what a backup is written to; yield its name and where the bytes go."""
    if to == "-":
        with storage_errors(Path("standard output")):
            yield "-", sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    path = Path(to)
    with storage_errors(path):
        is_folder = path.is_dir()
    if is_folder:
        path = _unused(path / file_name(header))
    elif str(to).endswith("/"):
        raise StorageError(f"{to} is not a folder", "create it first")
    with create(path) as file:
        yield str(path), file


def file_name(header: Header) -> str:
    """Return the default name of a backup; characters that are no good in file names become `_`."""
    database = "".join(c if c.isalnum() or c in "._-" else "_" for c in header.source.database)
    created = datetime.fromisoformat(header.created).strftime("%Y%m%dT%H%M%SZ")
    spec = "".join(c if c.isalnum() or c in ".-" else "_" for c in header.spec_version) or "unknown"
    return f"ducklake-{database}-{created}-v{spec}.sql.zst"


def _unused(path: Path) -> Path:
    """Return `path`, or with a number where a backup of the same second is there already."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(path.name.removesuffix(".sql.zst") + f"-{number}.sql.zst")
    return found
