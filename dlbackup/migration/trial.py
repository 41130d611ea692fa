"""
A backup of a catalog in a file, restored into a scratch file, read back and opened.

The scratch file is beside the one that is named, and gone at the end; what is named itself is not touched.
"""

import time

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.catalogs.in_files import scratch
from dlbackup.catalogs.open import open_catalog, open_for_restore
from dlbackup.engine.engine import Engine, check_opens
from dlbackup.engine.statements import Target
from dlbackup.errors import Refused
from dlbackup.lake.datafiles import data_paths
from dlbackup.migration.passage import snapshot_span
from dlbackup.migration.rehearsal import Rehearsal, not_opened, step_to_open
from dlbackup.transfer.filling import RestoreOptions
from dlbackup.transfer.loading import restore_into


def try_restore(address: Address, backup: VerifiedBackup, engine: Engine | None) -> Rehearsal:
    """
    Restore a backup into a scratch file beside an address, and let an engine of its version open it, if there is one.

    Raises:
        RestoredOtherwise: what is read back is not what the backup holds.
        DlbackupError: it can't be restored or opened.
    """
    source = backup.manifest.header.source
    options = RestoreOptions(data_files=False)
    begun = time.monotonic()
    with scratch(address) as place:
        with open_for_restore(place, None, source.schema, replace=False) as catalog, backup.open() as reader:
            restore_into(catalog, reader, options, scratch=True)
        took = round(time.monotonic() - begun, 3)
        if engine is None:
            return Rehearsal("not-opened", (), took)
        with open_catalog(place, source.schema) as catalog, catalog.snapshot() as snapshot:
            try:
                step_to_open(snapshot.head.versions, engine, migrates=False)
            except Refused as exc:
                return Rehearsal("not-opened", (not_opened(exc),), took)
            span = snapshot_span(snapshot)
            with snapshot.answers() as answers:
                engine.reach(data_paths(answers))
        target = Target(address=place, schema=source.schema, name="dlbackup-trial", lock_timeout_ms=0)
        check_opens(engine, target, span)
    return Rehearsal("passed", (), took)
