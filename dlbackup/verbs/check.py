"""
The invariants of a healthy catalog, asked of the catalog at an address or of a backup.
"""

from dataclasses import replace
from pathlib import Path

from dlbackup.addresses.address import names_backup, parse_address
from dlbackup.backupfile.backup import Backup, where_of
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.open import open_catalog
from dlbackup.health.checkup import Check, check_backup, check_snapshot
from dlbackup.health.copies import shared_data_files
from dlbackup.runtime.progress import OnEvent, ignore


def check(target: str | Path | Backup, *, metadata_schema: str | None = None, on_event: OnEvent = ignore) -> Check:
    """
    Check the catalog at an address, or in a backup if `target` is an existing file that isn't a catalog, or `-`.

    Raises:
        CatalogError, BackupError, UsageError: as for reading either.
    """
    if isinstance(target, Backup) or names_backup(target):
        with where_of(target) as where, BackupReader(where) as reader:
            return check_backup(reader, on_event=on_event)
    with open_catalog(parse_address(target), metadata_schema) as catalog:
        copies = catalog.copies()
        with catalog.snapshot() as snapshot:
            checked = check_snapshot(snapshot, on_event=on_event)
            shared = shared_data_files(copies, snapshot.head.snapshot_id)
        return replace(checked, findings=checked.findings + shared)
