"""The backup that a migration makes first: written, read back, proved and recorded."""

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.backupfile.prover import prove
from dlbackup.catalogs.contract import Access
from dlbackup.inventory.publishing import publish
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.run import Run
from dlbackup.stores.named import where_named
from dlbackup.transfer.base import AUTO
from dlbackup.transfer.dumping import dump_catalog


def back_up(
    address: Address,
    schema: str,
    options: MigrateOptions,
    run: Run,
    *,
    max_rate: float | None = None,
    access: Access | None = None,
) -> VerifiedBackup:
    """
    Dump a catalog into the user's place for backups, and verify that.

    Args:
        max_rate: bytes of SQL text a second that may be read.

    Raises:
        DlbackupError: without a proved backup there is no migration.
    """
    with run.stage("dump"):
        backup = dump_catalog(
            address,
            options.backup_dir,
            schema,
            on_event=run.on_event,
            max_rate=max_rate,
            base=AUTO,
            access=access,
            ring=run.ring,
            plaintext_keys=options.plaintext_keys,
        )
        run.backup, run.snapshot_id = backup.path, backup.snapshot_id
    with run.stage("verify"):
        verified, report = prove(backup, ring=run.ring, on_event=run.on_event)
        run.seal = verified.seal
        recipients = run.ring.recipients if run.ring else ()
        publish(where_named(backup.path), backup, verified, report.seconds, "migrate", recipients)
    return verified
