"""
The verb `migrate`: dump, verify, attach, in that order and no other.

What a migration decides is in `migration`, what it does in `pipeline`; drivers are loaded when it runs.
"""

from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.open import refuse_read_only
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
    refuse_read_only(where)
    options.refuse_backup_dir()
    from dlbackup.migration.pipeline import run_migration

    return run_migration(where, options, on_event)
