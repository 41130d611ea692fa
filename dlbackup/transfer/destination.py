"""
Where a new backup goes: a file, a folder, an object storage, standard output; and its default name.

What a name means can be seen from the name alone, so that a night's job does the same whether or not somebody has made
the folder: a folder exists or ends in `/`, a file ends in `.zst`, an encrypted one in `.zst.age`, and any other URL is
a place for backups.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from dlbackup.addresses.address import BACKUP_ENDINGS
from dlbackup.backupfile.manifest import Header
from dlbackup.errors import Refused, UsageError
from dlbackup.stores.contract import Sink, Where
from dlbackup.stores.encrypted import encrypting, keyed
from dlbackup.stores.files import make_folder, storage_errors
from dlbackup.stores.keys import ENDING, Keyring
from dlbackup.stores.named import is_url, is_within, names_object, store_named, where_named
from dlbackup.tables.types import Dialect

_ENDING = ".sql.zst"
_DEFAULT_SCHEMAS: dict[Dialect, str] = {"postgres": "public", "duckdb": "main", "sqlite": "main"}


@contextmanager
def destination(
    to: str | Path, header: Header, begun_ns: int | None = None, ring: Keyring | None = None
) -> Iterator[tuple[str, Sink]]:
    """
    Open what a backup is written to; yield its name and where the bytes go.

    Args:
        begun_ns: when the backup was begun; see `file_name`.
        ring: what it is encrypted with, if it is.

    Raises:
        UsageError: as for `names_folder` and `refuse_name`.
        StorageError: it can't be written, or the folder that was asked for can't be made.
    """
    ring = ring or Keyring()
    if to == "-":
        with storage_errors(Path("standard output")):
            with encrypting(sys.stdout.buffer, ring) as sink:
                yield "-", sink
            sys.stdout.buffer.flush()
        return
    if not names_folder(to):
        where = keyed(where_named(to), ring)
    else:
        if not is_url(to):
            make_folder(Path(to))
        name = file_name(header, begun_ns) + (ENDING if ring.encrypts else "")
        where = keyed(Where(store_named(to), name), ring)
    with where.store.create(where.name) as sink:
        yield str(where), sink


def names_folder(to: str | Path) -> bool:
    """
    Tell whether a new backup gets a name of its own in a folder, which may have to be made.

    Raises:
        UsageError: nothing tells whether a folder or a file is meant; making a file would surprise in the next night.
            Or it is a URL of no place that is known.
    """
    if is_url(to):
        is_place = not names_object(str(to))
        if is_place:
            store_named(to)
        else:
            where_named(to)
        return is_place
    path = Path(to)
    with storage_errors(path):
        if path.is_dir() or str(to).endswith("/"):
            return True
        if path.name.endswith(BACKUP_ENDINGS) or path.exists() or path.is_symlink():
            return False
    raise UsageError(
        f"{to} is no folder, and no name for a backup: that ends in {_ENDING}",
        f"for a folder make it first, or write '{to}/', which makes it; for a file write '{to}{_ENDING}'",
    )


def refuse_among_data(to: str | Path, data_paths: Iterable[str]) -> None:
    """
    Refuse to keep a backup where a lake keeps its data files.

    Raises:
        Refused: it would be there.
    """
    if to != "-":
        refuse_place_among_data(to if names_folder(to) else str(to).rpartition("/")[0] or ".", data_paths)


def refuse_place_among_data(place: str | Path, data_paths: Iterable[str]) -> None:
    """
    Refuse a place for backups where a lake keeps its data files.

    Raises:
        Refused: it is there.
    """
    for path in data_paths:
        if is_within(place, path):
            raise Refused(
                f"{place} is in {path}, where the lake keeps its data files: ducklake_delete_orphaned_files"
                " takes away what it doesn't know there, and what loses the data loses the backup too",
                "name a place outside of it; best is one that another disk or another bucket holds",
            )


def file_name(header: Header, begun_ns: int | None = None) -> str:
    """
    Return a name for a backup that tells it from others: tenants write into one folder in one second.

    Database, schema where it isn't public, time, version and six hexadecimal digits; characters that are no good in
    file names become `_`. The digits are the fraction of the second, so that backups of a catalog sort as they were
    made. Nothing promises that there is no such file: then it isn't written over, and the dump is refused.

    Args:
        begun_ns: when the backup was begun, in the second that the header says; by default now.
    """
    source = header.source
    place = (
        [source.database]
        if source.schema in ("", _DEFAULT_SCHEMAS[header.dialect])
        else [source.database, source.schema]
    )
    created = datetime.fromisoformat(header.created).strftime("%Y%m%dT%H%M%SZ")
    fraction = (time.time_ns() if begun_ns is None else begun_ns) % 1_000_000_000
    digits = f"{(fraction << 24) // 1_000_000_000:06x}"
    words = ["ducklake", *place, created, f"v{header.spec_version or 'unknown'}", digits]
    return "-".join(_plain(word) for word in words) + _ENDING


def _plain(word: str) -> str:
    """Return a word as part of a file name, cut so that the whole name stays below 255 bytes."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in word).encode()[:80].decode(errors="ignore")
