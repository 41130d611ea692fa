"""Where a new backup goes: a file, a folder, standard output; and its default name."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from dlbackup.backupfile.manifest import Header
from dlbackup.errors import StorageError
from dlbackup.stores.contract import Sink
from dlbackup.stores.files import storage_errors
from dlbackup.stores.folder import local


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
        path = path / file_name(header)
    elif str(to).endswith("/"):
        raise StorageError(f"{to} is not a folder", "create it first")
    where = local(path)
    with where.store.create(where.name) as sink:
        yield str(where), sink


def file_name(header: Header) -> str:
    """
    Return a new name for a backup, which no other run has: tenants write into one folder in one second.

    Database, schema where it isn't public, time, version and six random hexadecimal digits; characters that are no
    good in file names become `_`.
    """
    source = header.source
    place = [source.database] if source.schema in ("", "public") else [source.database, source.schema]
    created = datetime.fromisoformat(header.created).strftime("%Y%m%dT%H%M%SZ")
    words = ["ducklake", *place, created, f"v{header.spec_version or 'unknown'}", secrets.token_hex(3)]
    return "-".join(_plain(word) for word in words) + ".sql.zst"


def _plain(word: str) -> str:
    """Return a word as part of a file name, cut so that the whole name stays below 255 bytes."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in word).encode()[:80].decode(errors="ignore")
