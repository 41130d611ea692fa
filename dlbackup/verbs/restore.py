"""
A backup becomes a catalog again: in an empty or explicitly replaced place, in one transaction.

Every byte of the backup is proved before it is used, and nothing in it is executed as it stands: tables
are made from checked records, rows go through COPY. Before the commit, definitions and every row are
read back and compared with the manifest.
"""

import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dlbackup.addresses.address import Address, parse_address
from dlbackup.backupfile.backup import Backup, where_of
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Access, Catalog, Client
from dlbackup.catalogs.open import (
    dialect_at,
    open_for_restore,
    refuse_read_only,
    refuse_storage_version,
    refuse_to_freeze,
    rewrite_for,
)
from dlbackup.engine.keys import check_secrets
from dlbackup.errors import DlbackupError
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.stores.keys import NO_KEYS, Keys
from dlbackup.tables.bars import BAR_PREFIX
from dlbackup.transfer.chunks import Feed
from dlbackup.transfer.converting import read_as
from dlbackup.transfer.feed import feeding
from dlbackup.transfer.loading import Loaded, restore_fed
from dlbackup.transfer.options import RestoreOptions
from dlbackup.transfer.way_back import WayBack, found, to_kept
from dlbackup.transfer.witness import Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """
    What was restored.

    Args:
        replaced: the schema, or the file, in which the previous catalog is kept, or None.
        missing_data_files: how many are missing or can't be reached from here; None where that was not looked at.
        stale_clients: sessions that may go on with a stale view of a catalog that was replaced: those that were not
            ended, and those that connected, again or anew, before the end.
        barred: whether a constraint keeps stale clients from writing.
        way_back: how to put the replaced catalog back, as things stood in the end; None where none is kept.
        missing_grants: what somebody who may has to execute, so that all who work with the catalog can use its schema.
        place: where it is now, in words.
        kept: where what was replaced is, and how it is taken away, in words; empty where it is not kept.
        fingerprint: what the lake means; empty where an old backup doesn't say.
        snapshots_read: of a backup of another kind of catalog, at how many snapshots an engine has read, before
            anything was published, what was to be; None where none could, or without reading back.
        source_read: whether it has read the same of the backup in a file of its own kind.
    """

    spec_version: str
    snapshot_id: int | None
    tables: int
    rows: int
    replaced: str | None
    seconds: float
    schema: str = ""
    missing_data_files: int | None = None
    stale_clients: tuple[Client, ...] = ()
    barred: bool = False
    missing_grants: tuple[str, ...] = ()
    way_back: WayBack | None = None
    place: str = ""
    kept: str = ""
    fingerprint: str = ""
    snapshots_read: int | None = None
    source_read: bool = False


def restore(
    backup: str | Path | Backup,
    address: str,
    options: RestoreOptions | None = None,
    *,
    keys: Keys = NO_KEYS,
    on_event: OnEvent = ignore,
) -> Restored:
    """
    Restore a backup; nothing is changed unless all of it succeeds.

    Args:
        backup: a path, or `-` for standard input.
        keys: with the identities that open an encrypted backup.

    Raises:
        BackupError: the backup is damaged or holds what dlbackup would not have written.
        NotCarried: the backup is of another kind of catalog, and holds what that can't be carried to exactly.
        Refused: a catalog stands there, has newer snapshots, dependents or clients, and no option accepts that.
        CatalogError: the server can't be reached or does not take it.
        UsageError, StorageError: the file with the keys to object storage is not what it should be.
    """
    return restore_seen(backup, address, options or RestoreOptions(), keys=keys, on_event=on_event)


def restore_seen(
    backup: str | Path | Backup,
    address: str,
    options: RestoreOptions,
    *,
    keys: Keys,
    on_event: OnEvent,
    witness: Witness | None = None,
) -> Restored:
    """Restore as `restore` does, raising the same; a witness sees before that what will be made of the backup."""
    begun = time.monotonic()
    check_secrets(options.secrets, data_files=options.data_files)
    named, where = where_of(backup, keys), parse_address(address)
    refuse_read_only(where)
    if options.frozen:
        refuse_to_freeze(where)
    if options.storage_version:
        refuse_storage_version(where)
    # The feed reads while drivers are being imported.
    with (
        named as source,
        read_as(source, dialect_at(where), on_event) as reader,
        feeding(reader, rewrite_for(where, reader.header.dialect)) as feed,
    ):
        manifest = reader.manifest  # nobody is asked anything for definitions that were not checked
        is_converted = reader.where is not source
        if is_converted and options.read_back:
            witness = witness or Witness(origin=None, options=options, on_event=on_event)
        if witness is not None and witness.origin is None:
            witness.backup, witness.is_converted = source, is_converted
        catalog, loaded, stale, way = _restore(where, reader, feed, str(source), options, on_event, witness)
    header = manifest.header
    constraints = [constraint.name for entry in manifest.tables for constraint in entry.table.constraints]
    return Restored(
        spec_version=header.spec_version,
        snapshot_id=header.snapshot_id,
        tables=len(manifest.tables),
        rows=manifest.rows,
        replaced=loaded.replaced,
        seconds=round(time.monotonic() - begun, 3),
        schema=catalog.schema,
        missing_data_files=loaded.missing_data_files,
        stale_clients=stale,
        barred=options.bar_stale_clients or any(name.startswith(BAR_PREFIX) for name in constraints),
        missing_grants=loaded.missing_grants,
        way_back=way,
        place=catalog.place,
        kept=catalog.said_of_kept(loaded.replaced) if loaded.replaced else "",
        fingerprint=manifest.fingerprint.value if manifest.fingerprint else "",
        snapshots_read=witness.snapshots_read if witness else None,
        source_read=witness is not None and witness.source_read,
    )


def _restore(
    where: Address,
    reader: BackupReader,
    feed: Feed,
    journals: str,
    options: RestoreOptions,
    on_event: OnEvent,
    witness: Witness | None,
) -> tuple[Catalog, Loaded, tuple[Client, ...], WayBack | None]:
    """
    Restore where the options say.

    Returns:
        Where that is, what was found, who has a stale view of it now, and the way back.
    """
    own = reader.manifest.header.source.schema
    access = Access.of(options.wait, options.engine)
    opened = open_for_restore(where, options.metadata_schema, own, access, replace=options.replace)
    stayed: tuple[Client, ...] = ()
    with opened as catalog, catalog.turn():
        if options.replace:
            clients = catalog.settle_clients(ignore=options.ignore_clients, terminate=options.terminate_clients)
            stayed = () if options.terminate_clients else clients
        catalog.drop_left()
        with catalog.making_way() if options.terminate_clients else nullcontext():
            seen = partial(witness.testify, reader, where, catalog.schema) if witness is not None else None
            loaded = restore_fed(catalog, reader, feed, options, on_event, witness=seen)
        _settle_journals(catalog, journals, on_event)
        stale = tuple({client.pid: client for client in stayed + loaded.came}.values())
        return catalog, loaded, stale, _way_back(catalog, loaded.replaced, options, on_event)


def _way_back(catalog: Catalog, kept: str | None, options: RestoreOptions, on_event: OnEvent) -> WayBack | None:
    if kept is None:
        return None
    return found(lambda: to_kept(catalog, kept, barred=options.bar_stale_clients, secrets=options.secrets), on_event)


def _settle_journals(catalog: Catalog, backup: str, on_event: OnEvent) -> None:
    """Settle unfinished migrations and drop what is left over; the restore is done, so a failure is a warning."""
    from dlbackup.migration import leftovers
    from dlbackup.migration.journal import journal_of

    try:
        with catalog.doing("settling journals"):
            leftovers.replaced(catalog.mark, journal_of(backup).parent)
            catalog.drop_left()
    except DlbackupError as exc:
        on_event(Event(stage="journal", message=f"the catalog is restored, but {exc.message}", warning=True))
