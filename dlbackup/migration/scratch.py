"""A verified backup restored into a scratch place, which is gone at the end of the block, whatever happens."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.catalogs.contract import Catalog
from dlbackup.catalogs.in_files import scratch_beside
from dlbackup.catalogs.open import is_in_file, open_for_restore
from dlbackup.catalogs.postgres.catalog import PostgresCatalog
from dlbackup.catalogs.postgres.schemas import analyze, claimed, drop_left, drop_schema, own_name
from dlbackup.catalogs.postgres.sessions import Session, connect, is_idle, translated
from dlbackup.errors import CatalogError, OtherRows, RestoredOtherwise, Unreachable, listed
from dlbackup.runtime.progress import OnEvent, ignore
from dlbackup.transfer.filling import RestoreOptions
from dlbackup.transfer.loading import restore_into

_KIND = "rehearsal"


def copied(
    address: Address, schema: str, backup: VerifiedBackup, *, read_back: bool, on_event: OnEvent = ignore
) -> AbstractContextManager[Catalog]:
    """
    Restore a backup into a scratch schema of a database, or into a scratch file beside one.

    Args:
        schema: the catalog's own.
        read_back: compare what was restored with the backup.
    """
    place = _in_file if is_in_file(address) else _in_schema
    return place(address, schema, backup, read_back=read_back, on_event=on_event)


@contextmanager
def _in_file(
    address: Address, schema: str, backup: VerifiedBackup, *, read_back: bool, on_event: OnEvent = ignore
) -> Iterator[Catalog]:
    options = RestoreOptions(data_files=False, read_back=read_back)
    with (
        scratch_beside(address) as place,
        open_for_restore(place, None, schema, replace=False) as copy,
    ):
        with backup.open() as reader:
            restore_into(copy, reader, options, on_event, scratch=True)
        yield copy


@contextmanager
def _in_schema(
    address: Address, schema: str, backup: VerifiedBackup, *, read_back: bool, on_event: OnEvent = ignore
) -> Iterator[Catalog]:
    """Restore a backup into a scratch schema, which is dropped at the end."""
    session = connect(address, "dlbackup-rehearsal")
    try:
        with translated(address, "rehearsing in a scratch schema"), _scratch(address, session, schema) as scratch:
            copy = PostgresCatalog(address, session, scratch)
            with backup.open() as reader:
                options = RestoreOptions(owner=False, privileges=False, data_files=False, read_back=read_back)
                with _server_blamed(address, session, reader.manifest.header.source.server_version):
                    restore_into(copy, reader, options, on_event, scratch=True)
                fixed = [entry.table.name for entry in reader.manifest.tables if entry.kind == "fixed"]
            analyze(session, scratch, fixed)
            yield copy
    finally:
        session.close()


@contextmanager
def _server_blamed(address: Address, session: Session, version: str) -> Iterator[None]:
    """
    Where tables come to be others by the server's doing, say so: then it is no fault of the backup's.

    Args:
        version: of the server that the backup is from.
    """
    try:
        yield
    except OtherRows:
        raise
    except RestoredOtherwise as exc:
        was = version.partition(".")[0]
        with _usable(address, session) as own:
            major = str(own.info.server_version // 10000)
            rows = own.execute("select evtname from pg_event_trigger where evtenabled <> 'D' order by 1").fetchall()
        if major != was:
            hint = f"rehearse on PostgreSQL {was}, which the backup is from"
            raise CatalogError(f"PostgreSQL {major} makes other tables: {exc.message}", hint) from exc
        if not rows:
            raise
        names = listed([name for (name,) in rows], separator=", ")
        hint = f"disable them meanwhile (ALTER EVENT TRIGGER ... DISABLE), or rehearse in another database: {names}"
        raise CatalogError(f"event triggers of the database change new tables: {exc.message}", hint) from exc


@contextmanager
def _scratch(address: Address, session: Session, schema: str) -> Iterator[str]:
    """Name a scratch schema, drop what killed rehearsals of this catalog left, and drop the new one at the end."""
    drop_left(session, schema, [_KIND])
    name = own_name(_KIND, schema)
    with claimed(session, name):
        try:
            yield name
        finally:
            with suppress(Unreachable), _usable(address, session) as own:  # what is left, the next rehearsal drops
                drop_schema(own, name)


@contextmanager
def _usable(address: Address, session: Session) -> Iterator[Session]:
    """
    Give a session for what remains to be done.

    Who stops in the middle of a table's rows has closed his own, and an interrupt may leave one in a transaction.
    """
    if is_idle(session):
        yield session
        return
    session.close()
    with closing(connect(address, "dlbackup-rehearsal")) as own:
        yield own
