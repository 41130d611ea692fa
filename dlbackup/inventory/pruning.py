"""
Taking backups away, so that what is ended in between is finished by the next time.

The record goes first: from then on the backup counts as unfinished, and whoever finds it takes the rest away.
"""

from collections.abc import Iterable

from dlbackup.errors import StorageError
from dlbackup.inventory import names
from dlbackup.inventory.listing import Entry
from dlbackup.inventory.record import put
from dlbackup.stores.contract import Store, Where


def remove(store: Store, entry: Entry) -> bool:
    """
    Take a backup away, and all that belongs to it: its record, the backup itself, and then the rest.

    Once the record is gone, who pins the backup is told so (`publishing.pin`). Who did it before has it kept, and its
    record is put back.

    Returns:
        Whether it is gone: not where it was pinned or proved, or a migration began with it, since it was listed.

    Raises:
        StorageError: something stays.
    """
    record = names.record_of(entry.name)
    remove_files(store, [record] if record in entry.beside else [])
    if _is_wanted(store, entry):
        if entry.record is not None:
            put(Where(store, record), entry.record)
        return False
    remove_files(store, [entry.name, *(name for name in entry.beside if name != record)])
    return True


def _is_wanted(store: Store, entry: Entry) -> bool:
    """Tell whether a pin, a journal, or the record that it lacked, came beside a backup since it was listed."""
    stem = names.stem_of(entry.name)
    for blob in store.list(stem):
        found = names.beside(blob.name) if blob.name not in entry.beside else None
        if found and found[0] == stem and found[1] in ("pin", "journal", "backup"):
            return True
    return False


def remove_files(store: Store, files: Iterable[str]) -> None:
    """
    Take files away, in this order; one that somebody else has taken away meanwhile is no error.

    Raises:
        StorageError: one stays, and so do those after it.
    """
    for name in files:
        try:
            store.delete(name)
        except StorageError as exc:
            if exc.transient or any(blob.name == name for blob in store.list()):
                raise
