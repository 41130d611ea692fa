"""
The verb `release`: leave a backup to the policy again, also one that a migration made.
"""

from pathlib import Path

from dlbackup.backupfile.backup import Backup, where_of
from dlbackup.errors import UsageError
from dlbackup.inventory.names import pin_of
from dlbackup.inventory.pruning import remove_files
from dlbackup.inventory.publishing import Pinned, pins_of


def release(backup: str | Path | Backup, *, name: str | None = None) -> Pinned:
    """
    Take pins from a backup, which then goes by the policy like others.

    Args:
        name: of one pin; by default all are taken away, that of a migration too.

    Raises:
        StorageError: there is no such backup, or a pin stays.
        UsageError: it is no backup of a store, or has no such pin.
    """
    with where_of(backup) as where:
        before = pins_of(where)
        if name is not None and name not in before:
            raise UsageError(
                f"{where} has no pin {name!r}", f"its pins are {', '.join(before)}" if before else "it has none at all"
            )
        gone = before if name is None else (name,)
        remove_files(where.store, [pin_of(where.name, pin) for pin in gone])
        return Pinned(backup=str(where), pins=tuple(pin for pin in before if pin not in gone), changed=gone)
