"""
A backup becomes a catalog again: in an empty or explicitly replaced place, in one transaction.

Every byte of the backup is proved before it is used, and nothing in it is executed as it stands: tables
are made from checked records, rows go through COPY. Before the commit, definitions and every row are
read back and compared with the manifest.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlbackup.address import Address, parse_address
from dlbackup.backupfile import BackupReader, Entry, Manifest
from dlbackup.datafiles import COLUMNS, look
from dlbackup.errors import CatalogError, DlbackupError, HasDependents, NewerSnapshots, NotEmpty, UsageError
from dlbackup.feeding import Feed, feeding
from dlbackup.progress import Event, Meter, OnEvent, ignore
from dlbackup.rows import summed, uncollected
from dlbackup.statements import quote_identifier
from dlbackup.tables import Table, by_name
from dlbackup.throttle import paced, throttle
from dlbackup.workload import FILE_BYTES, PROOF_BYTES, READ_BACK, RESTORE_BYTES, of_backup

if TYPE_CHECKING:
    from dlbackup.catalogs.replacement import PostgresPlace
    from dlbackup.catalogs.sessions import Session


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """
    What the user accepts and wants; the defaults are the safe choices.

    Args:
        metadata_schema: where to restore; by default where the catalog is, else the schema of the backup.
        replace: a catalog that stands there may be replaced.
        drop_replaced: it is dropped instead of being kept aside.
        discard_newer: snapshots that the backup doesn't have may be lost.
        owner: give the tables to the owners that they had.
        privileges: grant what was granted.
        data_path: where the data files are now; None leaves what the backup says.
        read_back: read every row again before the commit.
        max_rate: bytes of SQL text a second that are loaded, and then read back, at most.
        data_files: look whether the data files on this machine are there, and warn if not.
    """

    metadata_schema: str | None = None
    replace: bool = False
    drop_replaced: bool = False
    discard_newer: bool = False
    owner: bool = True
    privileges: bool = True
    data_path: str | None = None
    read_back: bool = True
    data_files: bool = True
    terminate_clients: bool = False
    ignore_clients: bool = False
    max_rate: float | None = None


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
    with BackupReader(Path(backup)) as reader, feeding(reader) as feed:  # it reads while drivers are being imported
        schema, replaced = _restore(where, reader, feed, options, on_event)
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
    where: Address, reader: BackupReader, feed: Feed, options: RestoreOptions, on_event: OnEvent
) -> tuple[str, str | None]:
    """Restore on a session of its own; return the schema, and where the old catalog is."""
    from dlbackup.catalogs.sessions import connect, translated
    from dlbackup.catalogs.staging import drop_left
    from dlbackup.fence import only_migrator, settle_clients

    session = connect(where)
    try:
        with translated(where, "looking for the place to restore to"):
            schema = _choose_schema(session, reader.manifest, options)
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
            replaced = _restore_into(session, where, schema, reader.manifest, feed, options, on_event)
            _settle_journals(session, where, schema, reader.path.parent, on_event)
    finally:
        session.close()
    return schema, replaced


def _settle_journals(session: "Session", where: Address, schema: str, folder: Path, on_event: OnEvent) -> None:
    """Settle unfinished migrations and drop what is left over; the restore is done, so a failure is a warning."""
    from dlbackup import journal
    from dlbackup.catalogs.sessions import translated
    from dlbackup.catalogs.staging import drop_left

    try:
        with translated(where, "settling journals"):
            journal.replaced(session, schema, folder)
            drop_left(session, schema)
    except DlbackupError as exc:
        on_event(Event("journal", f"the catalog is restored, but {exc.message}", warning=True))


def _postgres(address: Address) -> Address:
    if address.kind != "postgres":
        raise UsageError(f"this version of dlbackup restores to PostgreSQL only, not to {address}")
    return address


def _choose_schema(session: "Session", manifest: Manifest, options: RestoreOptions) -> str:
    from dlbackup.catalogs.definitions import catalog_schemas, find_schema

    if options.metadata_schema is not None:
        return options.metadata_schema
    own = manifest.header.source.schema
    found = [name for name in catalog_schemas(session) if not name.startswith("dlbackup_")]
    if not options.replace or not found:
        return own
    return find_schema(session, None)


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
        return _restore_into(session, address, schema, reader.manifest, feed, options, on_event, scratch=scratch)


def _restore_into(
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
    from dlbackup.catalogs.replacement import open_place
    from dlbackup.catalogs.staging import LOCKS_PER_TABLE, catalog_tables, locks_available

    with _restoring(address, schema):
        replaced = catalog_tables(session, schema) if options.replace else 0
        needed = LOCKS_PER_TABLE * (len(manifest.tables) + replaced)
        staged = needed > locks_available(session)
    job = _Job(address, schema, manifest, options, _Stream(feed, manifest, options, on_event), on_event)
    if staged and scratch:
        _fill_in_batches(job, schema)
        return None
    if staged:
        return _exchange(session, job, needed)
    with open_place(session, address, schema) as place:
        place.privileges = options.privileges
        _check_roles(place, job.tables)
        scheduled = place.scheduled_for_deletion()
        _check_place(place, manifest, options)
        if place.existing.tables:
            place.clear(drop=options.drop_replaced)
        with uncollected():
            for entry, table in zip(manifest.tables, job.tables, strict=True):
                place.create(table)
                _load(place, job.stream, entry)
        on_event(Event("restore", "making indexes, owners and grants"))
        place.finish(job.tables)
        _prove_definitions(place, job)
        _read_back(place, job, manifest.tables)
        _settle(place, job, scheduled)
        return place.replaced


def _restoring(address: Address, schema: str) -> AbstractContextManager[None]:
    from dlbackup.catalogs.sessions import translated

    return translated(address, f"restoring into schema {schema}")


class _Job:
    """What a restore is about; `tables` are the definitions that are wanted."""

    def __init__(
        self,
        address: Address,
        schema: str,
        manifest: Manifest,
        options: RestoreOptions,
        stream: "_Stream",
        on_event: OnEvent,
    ) -> None:
        self.address, self.schema, self.manifest, self.options = address, schema, manifest, options
        self.stream, self.on_event = stream, on_event
        self.tables = [_wanted(entry.table, options) for entry in manifest.tables]
        self.proof = of_backup(manifest, PROOF_BYTES)


def _exchange(session: "Session", job: _Job, needed: int) -> str | None:
    """
    Fill a schema of our own in many transactions, prove it, and exchange it for the catalog's in one short one.

    Killed before that one, it leaves the catalog as it was, and a schema that the next restore drops.
    """
    from dlbackup.catalogs import staging
    from dlbackup.catalogs.replacement import certain, look_at_place

    options = job.options
    with _restoring(job.address, job.schema):
        place = look_at_place(session, job.schema)
        _check_roles(place, job.tables)
        scheduled = place.scheduled_for_deletion()
        _check_place(place, job.manifest, options)
        staging.refuse_shared(session, job.schema, needed)
    job.on_event(Event("restore", f"in batches: one transaction would need about {needed} locks"))
    name = staging.staging_name(job.schema)
    with _dropped_on_failure(job.address, name):
        _fill_in_batches(job, name, scheduled)
        with certain(session, job.address, f"putting the restored catalog in the place of schema {job.schema}"):
            staging.lock_out_commits(session, job.schema)
            _check_place(look_at_place(session, job.schema), job.manifest, options)
            staging.refuse_shared(session, job.schema, needed)
            aside = staging.exchange(session, job.schema, name, drop=options.drop_replaced)
    return None if options.drop_replaced else aside


@contextmanager
def _dropped_on_failure(address: Address, name: str) -> Iterator[None]:
    """Drop a schema of our own when the block fails; what can't be dropped then, the next restore drops."""
    from dlbackup.catalogs.sessions import connect, translated
    from dlbackup.catalogs.staging import drop_schema

    try:
        yield
    except BaseException:
        with suppress(DlbackupError), translated(address, f"dropping schema {name}"), closing(connect(address)) as own:
            drop_schema(own, name)
        raise


def _fill_in_batches(job: _Job, name: str, scheduled: list[tuple[int, str]] | None = None) -> None:
    """Make, fill and prove a schema of our own, on a session of its own, some hundred tables a transaction."""
    from dlbackup.catalogs.replacement import look_at_place
    from dlbackup.catalogs.sessions import LOCAL_SETTINGS, connect, translated
    from dlbackup.catalogs.staging import AT_ONCE, batch_tables

    with closing(connect(job.address)) as own, translated(job.address, f"restoring into schema {name}"):
        own.execute(f"CREATE SCHEMA {quote_identifier(name)}".encode())
        empty = look_at_place(own, name)
        size = batch_tables(own)
        for begin in range(0, len(job.tables), size):
            tables, entries = job.tables[begin : begin + size], job.manifest.tables[begin : begin + size]
            with own.transaction(), uncollected():
                own.execute(LOCAL_SETTINGS.encode())
                place = replace(empty, privileges=job.options.privileges, _names=[])
                for at in range(0, len(tables), AT_ONCE):
                    place.create(*tables[at : at + AT_ONCE])
                for entry in entries:
                    _load(place, job.stream, entry)
                place.finish(tables, AT_ONCE)
                _read_back(place, job, entries)
        with own.transaction():
            own.execute(LOCAL_SETTINGS.encode())
            _prove_definitions(empty, job)
            _settle(empty, job, scheduled or [])


def _settle(place: "PostgresPlace", job: _Job, scheduled: list[tuple[int, str]]) -> None:
    if job.options.data_path is not None:
        _move_data(place, job.options.data_path)
    if job.options.data_files:
        _look_for_data_files(place, job.tables, scheduled, job.on_event)


def _wanted(table: Table, options: RestoreOptions) -> Table:
    if not options.privileges:
        table = table.without_grants()
    return table if options.owner else table.without_owner()


def _check_roles(place: "PostgresPlace", tables: list[Table]) -> None:
    names = {table.owner for table in tables}
    for table in tables:
        names |= {grant.grantee for grant in table.grants or ()}
        names |= {grant.grantee for column in table.columns for grant in column.grants}
    if missing := place.missing_roles(names - {""}):
        raise CatalogError(
            f"the server has no role {', '.join(missing)}, to which the backup's tables belong or are granted",
            "create the roles, or restore with --no-owner and --no-privileges",
        )


def _check_place(place: "PostgresPlace", manifest: Manifest, options: RestoreOptions) -> None:
    if not place.existing.tables:
        return
    if not options.replace:
        raise NotEmpty(
            f"schema {place.schema} already holds {len(place.existing.tables)} catalog tables",
            "name another place with --metadata-schema, or put the backup in its place with --replace",
        )
    there, ours = place.head.snapshot_id, manifest.header.snapshot_id
    if not options.discard_newer and there is not None and (ours is None or there > ours):
        raise NewerSnapshots(
            f"the catalog has snapshots that the backup has not: its newest is {there}, the backup's is {ours};"
            f" those would be lost: {place.newer_snapshots(ours)}",
            "dump it first; --discard-newer accepts that they are replaced",
        )
    if place.existing.left_out:
        raise HasDependents(
            f"replacing the catalog would lose or break: {'; '.join(place.existing.left_out[:5])}",
            "drop what is named, and make it again after the restore",
        )


def _load(place: "PostgresPlace", stream: "_Stream", entry: Entry) -> None:
    """Fill the table that comes next in the backup."""
    texts = stream.rows_of(entry)
    taken = place.load(entry.table, texts) if entry.rows else sum(1 for _ in texts)
    if taken != entry.rows:
        raise CatalogError(f"table {entry.table.name}: the server took {taken} rows of {entry.rows}")


class _Stream:
    """A feed, table by table, in the order of the backup; paced, counted and reported."""

    def __init__(self, feed: Feed, manifest: Manifest, options: RestoreOptions, on_event: OnEvent) -> None:
        self.limit = throttle(options.max_rate)
        self._feed = feed
        self._next = next(feed, None)
        self._work = of_backup(manifest, RESTORE_BYTES)
        work = sum(self._work.values())
        read_back = 1.0 if self.limit else READ_BACK
        look = FILE_BYTES * _data_files(manifest) / work if options.data_files else 0.0
        self.after_read_back = look / read_back
        after = look + (read_back if options.read_back else 0.0)
        self._meter = Meter("restore", on_event, work, manifest.rows, after=after)

    def rows_of(self, entry: Entry) -> Iterator[bytes]:
        """Yield the rows of the table that comes next; after the last table's, that all was proved is known."""
        if self._next != entry:
            raise AssertionError("tables come in the order of the backup")
        self._meter.part(self._work[entry.table.name], entry.rows)
        for item in self._feed:
            if isinstance(item, Entry):
                self._next = item
                return
            if self.limit is not None:
                self.limit.take(len(item.text))
            yield item.text
            self._meter.add(item.rows)


def _data_files(manifest: Manifest) -> int:
    return sum(entry.rows for entry in manifest.tables if entry.table.name == "ducklake_data_file")


def _prove_definitions(place: "PostgresPlace", job: _Job) -> None:
    """Compare the definitions that the server has now with the backup's."""
    found = by_name(_wanted(table, job.options) for table in place.definitions())
    for table in job.tables:
        there = found.pop(table.name, None)
        if there != table:
            raise CatalogError(
                f"the server made another table {table.name} than the backup has: {_difference(table, there)}",
                "restore to the PostgreSQL version that the backup is from",
            )
    if found:
        raise CatalogError(f"schema {place.schema} holds more catalog tables than the backup: {', '.join(found)}")


def _read_back(place: "PostgresPlace", job: _Job, entries: Sequence[Entry]) -> None:
    """Compare the rows that the server has now with the backup's, before anything of them is committed."""
    if not job.options.read_back:
        return
    job.on_event(Event("restore", "reading every row back and comparing it with the backup"))
    work = {entry.table.name: job.proof[entry.table.name] for entry in entries}
    rows = sum(entry.rows for entry in entries)
    meter = Meter("read-back", job.on_event, sum(work.values()), rows, after=job.stream.after_read_back)
    with uncollected():
        expected = {entry.table.name: entry for entry in entries if entry.rows}
        for table, blocks in place.read_back([(entry.table, entry.rows) for entry in expected.values()]):
            entry = expected[table.name]
            meter.part(work[table.name], entry.rows)
            if summed(meter.counted(paced(blocks, job.stream.limit))) != entry.content:
                raise CatalogError(f"table {table.name}: the server gives back other rows than it was given")


def _difference(wanted: Table, found: Table | None) -> str:
    if found is None:
        return "it is missing"
    for name in Table.__dataclass_fields__:
        if getattr(wanted, name) != getattr(found, name):
            return f"{name} is {getattr(found, name)!r}, not {getattr(wanted, name)!r}"[:400]
    return "nothing"


def _look_for_data_files(
    place: "PostgresPlace", restored: Sequence[Table], scheduled: list[tuple[int, str]], on_event: OnEvent
) -> None:
    """Warn of data files that are not there, and of those that will soon be gone; none of that fails a restore."""
    tables = by_name(restored)
    if all(name in tables and set(columns) <= set(tables[name].column_names) for name, columns in COLUMNS.items()):
        with uncollected():
            findings = look(place.stream, quote_identifier(place.schema))
        for finding in findings:
            if finding.severity == "error":
                on_event(Event("data-files", finding.message, warning=True))
    if scheduled and (needed := place.needs([file for file, _ in scheduled])):
        on_event(
            Event(
                "data-files",
                f"{needed} data files that the backup needs were scheduled for deletion by the replaced catalog, the"
                f" first at {scheduled[0][1]}: they stay only as long as nobody cleans up by that catalog",
                warning=True,
            )
        )


def _move_data(place: "PostgresPlace", path: str) -> None:
    if not path:
        raise UsageError("--data-path is empty")
    if place.set_data_path(path if path.endswith("/") else path + "/") != 1:
        raise CatalogError("the catalog has no data_path of its own to be changed")
