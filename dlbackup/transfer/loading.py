"""A backup becomes a catalog; what was there stays until everything is proved."""

from typing import TYPE_CHECKING

from dlbackup.addresses.address import Address
from dlbackup.backupfile.manifest import Manifest
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.postgres.exchange import fill_in_batches, restore_by_exchange
from dlbackup.runtime.memory import collector_paused
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.transfer.chunks import Feed
from dlbackup.transfer.feed import feeding
from dlbackup.transfer.filling import (
    Job,
    RestoreOptions,
    Stream,
    check_place,
    check_roles,
    load,
    prove_definitions,
    read_back,
    restoring,
    settle,
)

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres.sessions import Session


def restore_into(
    session: "Session",
    address: Address,
    schema: str,
    reader: BackupReader,
    options: RestoreOptions,
    on_event: OnEvent = ignore,
    *,
    scratch: bool = False,
) -> str | None:
    """
    Restore on an open session, inside its transaction if it has one; return where the old catalog is.

    Args:
        scratch: nobody but us knows the schema, so it need not appear in one transaction.
    """
    with feeding(reader) as feed:
        return restore_fed(session, address, schema, reader.manifest, feed, options, on_event, scratch=scratch)


def restore_fed(
    session: "Session",
    address: Address,
    schema: str,
    manifest: Manifest,
    feed: Feed,
    options: RestoreOptions,
    on_event: OnEvent,
    *,
    scratch: bool = False,
) -> str | None:
    """Restore the rows of a feed; see `restore_into`."""
    from dlbackup.catalogs.postgres.locks import LOCKS_PER_TABLE, locks_available
    from dlbackup.catalogs.postgres.place import open_place
    from dlbackup.catalogs.postgres.schemas import catalog_tables

    with restoring(address, schema):
        replaced = catalog_tables(session, schema) if options.replace else 0
        needed = LOCKS_PER_TABLE * (len(manifest.tables) + replaced)
        staged = needed > locks_available(session)
    job = Job(address, schema, manifest, options, Stream(feed, manifest, options, on_event), on_event)
    if staged and scratch:
        fill_in_batches(job, schema)
        return None
    if staged:
        return restore_by_exchange(session, job, needed)
    with open_place(session, address, schema) as place:
        place.privileges = options.privileges
        check_roles(place, job.tables)
        scheduled = place.scheduled_for_deletion()
        check_place(place, manifest, options)
        if place.existing.tables:
            place.clear(drop=options.drop_replaced)
        with collector_paused():
            for entry, table in zip(manifest.tables, job.tables, strict=True):
                place.create(table)
                load(place, job.stream, entry)
        on_event(Event("restore", "making indexes, owners and grants"))
        place.finish(job.tables)
        prove_definitions(place, job)
        read_back(place, job, manifest.tables)
        settle(place, job, scheduled)
        return place.replaced
