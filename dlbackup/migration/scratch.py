"""A verified backup restored into a scratch place, which is gone at the end of the block, whatever happens."""

from collections.abc import Iterator
from contextlib import contextmanager

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.catalogs.contract import Catalog
from dlbackup.catalogs.open import trying
from dlbackup.runtime.progress import OnEvent, ignore
from dlbackup.transfer.loading import restore_into
from dlbackup.transfer.options import RestoreOptions


@contextmanager
def copied(
    address: Address, schema: str, backup: VerifiedBackup, *, read_back: bool, on_event: OnEvent = ignore
) -> Iterator[Catalog]:
    """
    Restore a backup into a scratch schema of a database, or into a scratch file beside one.

    Args:
        schema: the catalog's own.
        read_back: compare what was restored with the backup.
    """
    options = RestoreOptions(owner=False, privileges=False, data_files=False, read_back=read_back)
    with trying(address, schema) as trial:
        with backup.open() as reader, trial.blamed(reader.manifest.header.source.server_version):
            restore_into(trial.catalog, reader, options, on_event, scratch=True)
        trial.filled([entry.table.name for entry in backup.manifest.tables if entry.kind == "fixed"])
        yield trial.catalog
