"""
A backup of a catalog in a file, restored into a scratch file, read back and opened.

The scratch file is beside the one that is named, and gone at the end; what is named itself is not touched.
"""

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.catalogs.in_files import scratch
from dlbackup.catalogs.open import open_catalog, open_for_restore
from dlbackup.engine.engine import Engine, check_opens
from dlbackup.engine.statements import Target
from dlbackup.errors import Refused
from dlbackup.lake.datafiles import data_paths
from dlbackup.lake.findings import Finding
from dlbackup.migration.passage import snapshot_span
from dlbackup.migration.rehearsal import Rehearsal
from dlbackup.migration.steps import next_step
from dlbackup.transfer.filling import RestoreOptions
from dlbackup.transfer.loading import restore_into


def try_restore(address: Address, backup: VerifiedBackup, engine: Engine) -> Rehearsal:
    """
    Restore a backup into a scratch file beside an address, and let an engine of its version open it.

    Raises:
        RestoredOtherwise: what is read back is not what the backup holds.
        DlbackupError: it can't be restored or opened.
    """
    source = backup.manifest.header.source
    options = RestoreOptions(data_files=False)
    with scratch(address) as place:
        with open_for_restore(place, None, source.schema, replace=False) as catalog, backup.open() as reader:
            restore_into(catalog, reader, options, scratch=True)
        with open_catalog(place, source.schema) as catalog, catalog.snapshot() as snapshot:
            try:
                step = next_step(snapshot.head.versions, engine.duckdb_version, engine.spec_version, None)
            except Refused as exc:
                return _not_opened(exc.message)
            if step is not None:
                return _not_opened(f"DuckDB {engine.duckdb_version} opens {step.from_version} only after a migration")
            span = snapshot_span(snapshot)
            with snapshot.answers() as answers:
                engine.reach(data_paths(answers))
        target = Target(address=place, schema=source.schema, name="dlbackup-trial", lock_timeout_ms=0)
        check_opens(engine, target, span)
    return Rehearsal("passed", ())


def _not_opened(why: str) -> Rehearsal:
    text = f"restored, but not opened: {why}"
    return Rehearsal("not-opened", (Finding(severity="warning", rule="not-opened", message=text),))
