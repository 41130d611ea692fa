"""
The verb `pin`: keep a backup, whatever the policy says.
"""

from pathlib import Path

from dlbackup.backupfile.backup import Backup, where_of
from dlbackup.errors import UsageError
from dlbackup.inventory.names import MIGRATION
from dlbackup.inventory.publishing import Pinned, is_recorded, pins_of
from dlbackup.inventory.publishing import pin as put_pin


def pin(backup: str | Path | Backup, *, name: str = "manual") -> Pinned:
    """
    Pin a backup of a store, so that no prune takes it until it is released.

    Args:
        name: says whose pin it is; a backup may have several.

    Raises:
        StorageError: there is no such backup, the pin can't be written, or a prune is taking the backup away.
        UsageError: it is no backup of a store, or the name is that of the pins that `migrate` puts.
    """
    if name == MIGRATION:
        raise UsageError(
            f"the pin {name!r} is what migrate puts on its own backups, and keeps none whose migration was undone",
            "choose another name",
        )
    with where_of(backup) as where:
        before = pins_of(where)
        if name not in before:
            put_pin(where, name, unrecorded=not is_recorded(where))
        changed = () if name in before else (name,)
        return Pinned(backup=str(where), pins=tuple(sorted({*before, name})), changed=changed)
