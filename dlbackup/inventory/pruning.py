"""
Taking backups away, so that what is ended in between is finished by the next time.

The record goes first: from then on the backup counts as unfinished, and whoever finds it takes the rest away.
"""

from collections.abc import Iterable

from dlbackup.errors import StorageError
from dlbackup.inventory import names
from dlbackup.inventory.listing import Entry
from dlbackup.stores.contract import Store


def remove(store: Store, entry: Entry) -> None:
    """
    Take a backup away, and all that belongs to it: its record, the backup itself, and then the rest.

    Raises:
        StorageError: something stays.
    """
    record = names.record_of(entry.name)
    first = [record] if record in entry.beside else []
    remove_files(store, [*first, entry.name, *(name for name in entry.beside if name != record)])


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
