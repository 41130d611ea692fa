"""
The state of a store of backups, in the text format of Prometheus.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

from dlbackup.addresses.address import BACKUP_ENDINGS
from dlbackup.errors import StorageError
from dlbackup.inventory.horizon import files_by_name, look_at
from dlbackup.inventory.listing import listing_of
from dlbackup.inventory.metrics import exposition
from dlbackup.stores.files import rewrite, storage_errors
from dlbackup.stores.named import store_of_backups

_READABLE = 0o644
"""Who collects the file is another user, and what it says is no secret."""


def metrics(
    store: str | Path,
    to: str | Path | None = None,
    *,
    catalog: str | None = None,
    metadata_schema: str | None = None,
    wait: float = 0.0,
    engine: str | Path | None = None,
) -> str:
    """
    Return the metrics of all backups in a store; none is opened whose record says what is needed.

    Args:
        store: a folder of backups, or the URL of a place for them.
        to: a file that they are written to as well, whole or not at all: where it is a link, what that leads to.
        catalog: the address of a live catalog, which tells whether the data files of its backups are still there.
        metadata_schema, wait, engine: as for `info`, of that catalog.

    Raises:
        StorageError: the store can't be listed, or the file not be written.
        CatalogError: the live catalog can't be read; the file stays as it was.
    """
    file = None if to is None else _replaceable(to)
    place = store_of_backups(store)
    listing = listing_of(place)
    there = look_at(catalog, metadata_schema, wait, engine) if catalog else None
    text = exposition(listing, datetime.now(UTC), files_by_name(listing.entries, place, there))
    if file is not None:
        rewrite(file, text.encode(), mode=_READABLE)
    return text


def _replaceable(to: str | Path) -> Path:
    """
    Return the file that is written anew: what a link leads to, and no device or pipe, which a file must not replace.

    Raises:
        StorageError: it is one, or may be a backup.
    """
    with storage_errors(Path(to)):
        file = Path(os.path.realpath(to))
        if file.name.endswith(BACKUP_ENDINGS):
            raise StorageError(f"{to} is the name of a backup", "name another file, such as dlbackup.prom")
        if file.exists() and not file.is_file():
            raise StorageError(f"{to} is no file, and would be replaced by one", "name a file; the command takes -o -")
    return file
