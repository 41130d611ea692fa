"""
A backup becomes a catalog again: in an empty or explicitly replaced place, in one transaction.

Every byte of the backup is proved before it is used, and nothing in it is executed as it stands: tables
are made from checked records, rows go through COPY. Before the commit, definitions and every row are
read back and compared with the manifest.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlbackup.addresses.address import Address, parse_address
from dlbackup.backupfile.manifest import Manifest
from dlbackup.backupfile.reader import BackupReader
from dlbackup.errors import DlbackupError, UsageError
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.stores.folder import local
from dlbackup.transfer.chunks import Feed
from dlbackup.transfer.feed import feeding
from dlbackup.transfer.filling import RestoreOptions
from dlbackup.transfer.loading import restore_fed

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres.sessions import Session


@dataclass(frozen=True, slots=True)
class Restored:
    """
    What was restored.

    Args:
        replaced: the schema in which the previous catalog is kept, or None.
    """

    spec_version: str
    snapshot_id: int | None
    tables: int
    rows: int
    replaced: str | None
    seconds: float
    schema: str = ""


def restore(
    backup: str | Path, address: str, options: RestoreOptions | None = None, *, on_event: OnEvent = ignore
) -> Restored:
    """
    Restore a backup; nothing is changed unless all of it succeeds.

    Raises:
        BackupError: the backup is damaged or holds what dlbackup would not have written.
        Refused: a catalog stands there, has newer snapshots, dependents or clients, and no option accepts that.
        CatalogError: the server can't be reached or does not take it.
    """
    begun = time.monotonic()
    options = options or RestoreOptions()
    where = _postgres(parse_address(address))
    with BackupReader(local(backup)) as reader, feeding(reader) as feed:  # it reads while drivers are being imported
        schema, replaced = _restore(where, reader.manifest, feed, Path(backup).parent, options, on_event)
    header = reader.manifest.header
    return Restored(
        header.spec_version,
        header.snapshot_id,
        len(reader.manifest.tables),
        reader.manifest.rows,
        replaced,
        round(time.monotonic() - begun, 3),
        schema,
    )


def _restore(
    where: Address, manifest: Manifest, feed: Feed, journals: Path, options: RestoreOptions, on_event: OnEvent
) -> tuple[str, str | None]:
    """Restore on a session of its own; return the schema, and where the old catalog is."""
    from dlbackup.catalogs.postgres.clients.advisory_lock import only_migrator
    from dlbackup.catalogs.postgres.clients.connected import settle_clients
    from dlbackup.catalogs.postgres.schemas import drop_left
    from dlbackup.catalogs.postgres.sessions import connect, translated

    session = connect(where)
    try:
        with translated(where, "looking for the place to restore to"):
            schema = _choose_schema(session, manifest, options)
        with translated(where, f"restoring into schema {schema}"), only_migrator(session, schema):
            if options.replace:
                settle_clients(
                    session,
                    schema,
                    frozenset(),
                    ignore=options.ignore_clients,
                    terminate=options.terminate_clients,
                )
            drop_left(session, schema)
            replaced = restore_fed(session, where, schema, manifest, feed, options, on_event)
            _settle_journals(session, where, schema, journals, on_event)
    finally:
        session.close()
    return schema, replaced


def _settle_journals(session: "Session", where: Address, schema: str, folder: Path, on_event: OnEvent) -> None:
    """Settle unfinished migrations and drop what is left over; the restore is done, so a failure is a warning."""
    from dlbackup.catalogs.postgres.mark import PostgresMark
    from dlbackup.catalogs.postgres.schemas import drop_left
    from dlbackup.catalogs.postgres.sessions import translated
    from dlbackup.migration import leftovers

    try:
        with translated(where, "settling journals"):
            leftovers.replaced(PostgresMark(session, schema), folder)
            drop_left(session, schema)
    except DlbackupError as exc:
        on_event(Event("journal", f"the catalog is restored, but {exc.message}", warning=True))


def _postgres(address: Address) -> Address:
    if address.kind != "postgres":
        raise UsageError(f"this version of dlbackup restores to PostgreSQL only, not to {address}")
    return address


def _choose_schema(session: "Session", manifest: Manifest, options: RestoreOptions) -> str:
    from dlbackup.catalogs.postgres.schemas import catalog_schemas, find_schema

    if options.metadata_schema is not None:
        return options.metadata_schema
    own = manifest.header.source.schema
    found = [name for name in catalog_schemas(session) if not name.startswith("dlbackup_")]
    if not options.replace or not found:
        return own
    return find_schema(session, None)
