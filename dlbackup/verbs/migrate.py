"""
The verb `migrate`: dump, verify, attach, in that order and no other.

What a migration decides is in `migration`, what it does in `pipeline`; drivers are loaded when it runs.
"""

from pathlib import Path

from dlbackup.addresses.address import parse_address
from dlbackup.errors import StorageError
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.outcome import Migration
from dlbackup.runtime.progress import OnEvent, ignore


def migrate(address: str, options: MigrateOptions | None = None, *, on_event: OnEvent = ignore) -> Migration:
    """
    Migrate a catalog to the newest version that the engine writes.

    Raises:
        Refused, CatalogError, BackupError, EngineError: before anything was changed.
        Unchanged, RolledBack, NeedsPerson: after attach began; `result` holds the Migration.
    """
    options = options or MigrateOptions()
    where = parse_address(address)
    folder = Path(options.backup_dir)
    if not folder.is_dir() and (folder.exists() or not str(options.backup_dir).endswith("/")):
        raise StorageError(
            f"{folder} is not a folder",
            f"name an existing folder with --backup-dir, or write '{folder}/', so that it is made",
        )
    from dlbackup.migration.pipeline import run_migration

    return run_migration(where, options, on_event)
