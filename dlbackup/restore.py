"""
A backup becomes a catalog again: in an empty or explicitly replaced place, in one transaction.

Every byte of the backup is proved before it is used, and nothing in it is executed as it stands: tables
are made from checked records, rows go through COPY. Before the commit, definitions and every row are
read back and compared with the manifest.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlbackup.address import Address, parse_address
from dlbackup.backupfile import BackupReader, Entry, Manifest
from dlbackup.datafiles import COLUMNS, look
from dlbackup.errors import CatalogError, DlbackupError, HasDependents, NewerSnapshots, NotEmpty, UsageError
from dlbackup.feeding import Feed, feeding
from dlbackup.progress import PROGRESS_ROWS, Event, OnEvent, ignore
from dlbackup.rows import uncollected
from dlbackup.tables import Table, by_name
from dlbackup.throttle import Throttle, throttle

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
    from dlbackup.catalogs.sessions import connect, translated
    from dlbackup.fence import only_migrator, settle_clients

    begun = time.monotonic()
    options = options or RestoreOptions()
    where = _postgres(parse_address(address))
    with BackupReader(Path(backup)) as reader:
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
                replaced = restore_into(session, where, schema, reader, options, on_event)
                _settle_journals(session, where, schema, Path(backup).parent, on_event)
        finally:
            session.close()
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


def _settle_journals(session: "Session", where: Address, schema: str, folder: Path, on_event: OnEvent) -> None:
    """Tell unfinished migrations that they are settled; the restore is done, so what fails here is a warning."""
    from dlbackup import journal
    from dlbackup.catalogs.sessions import translated

    try:
        with translated(where, "settling journals"):
            journal.replaced(session, schema, folder)
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
) -> str | None:
    """Restore on an open session, inside its transaction if it has one; return where the old catalog is."""
    from dlbackup.catalogs.replacement import open_place

    with feeding(reader) as feed, open_place(session, address, schema) as place:
        place.privileges = options.privileges
        tables = [_wanted(entry.table, options) for entry in reader.manifest.tables]
        _check_roles(place, tables)
        scheduled = place.scheduled_for_deletion()
        _clear(place, reader.manifest, options)
        limit = throttle(options.max_rate)
        with uncollected():
            _load(place, _Stream(feed, reader.manifest.rows, limit, on_event), reader.manifest.tables, options)
        on_event(Event("restore", "making indexes, owners and grants"))
        place.finish(tables)
        with uncollected():
            _prove(place, tables, reader.manifest, options, limit, on_event)
        if options.data_path is not None:
            _move_data(place, options.data_path)
        if options.data_files:
            _look_for_data_files(place, scheduled, on_event)
        return place.replaced


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


def _clear(place: "PostgresPlace", manifest: Manifest, options: RestoreOptions) -> None:
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
    place.clear(drop=options.drop_replaced)


def _load(place: "PostgresPlace", stream: "_Stream", entries: Sequence[Entry], options: RestoreOptions) -> None:
    """Create and fill tables that come next in the backup."""
    for entry in entries:
        place.create(_wanted(entry.table, options))
        texts = stream.rows_of(entry)
        taken = place.load(entry.table, texts) if entry.rows else sum(1 for _ in texts)
        if taken != entry.rows:
            raise CatalogError(f"table {entry.table.name}: the server took {taken} rows of {entry.rows}")


class _Stream:
    """A feed, table by table, in the order of the backup; paced, counted and reported."""

    def __init__(self, feed: Feed, total: int, limit: Throttle | None, on_event: OnEvent) -> None:
        self._feed, self._total, self._limit, self._on_event = feed, total, limit, on_event
        self._next = next(feed, None)
        self._done = self._reported = 0

    def rows_of(self, entry: Entry) -> Iterator[bytes]:
        """Yield the rows of the table that comes next; after the last table's, that all was proved is known."""
        if self._next != entry:
            raise AssertionError("tables come in the order of the backup")
        for item in self._feed:
            if isinstance(item, Entry):
                self._next = item
                return
            if self._limit is not None:
                self._limit.take(len(item.text))
            yield item.text
            self._count(item.rows)

    def _count(self, rows: int) -> None:
        self._done += rows
        if self._done - self._reported >= PROGRESS_ROWS:
            self._reported = self._done
            self._on_event(Event("restore", f"{self._done} of {self._total} rows", self._done, self._total))


def _prove(
    place: "PostgresPlace",
    tables: list[Table],
    manifest: Manifest,
    options: RestoreOptions,
    limit: Throttle | None,
    on_event: OnEvent,
) -> None:
    """Compare what the server has now with the backup, before anything is committed."""
    found = by_name(_wanted(table, options) for table in place.definitions())
    for table in tables:
        there = found.pop(table.name, None)
        if there != table:
            raise CatalogError(
                f"the server made another table {table.name} than the backup has: {_difference(table, there)}",
                "restore to the PostgreSQL version that the backup is from",
            )
    if found:
        raise CatalogError(f"schema {place.schema} holds more catalog tables than the backup: {', '.join(found)}")
    if not options.read_back:
        return
    on_event(Event("restore", "reading every row back and comparing it with the backup"))
    for entry in manifest.tables:
        if entry.rows and place.read_back(entry.table, limit) != entry.content:
            raise CatalogError(f"table {entry.table.name}: the server gives back other rows than it was given")


def _difference(wanted: Table, found: Table | None) -> str:
    if found is None:
        return "it is missing"
    for name in Table.__dataclass_fields__:
        if getattr(wanted, name) != getattr(found, name):
            return f"{name} is {getattr(found, name)!r}, not {getattr(wanted, name)!r}"[:400]
    return "nothing"


def _look_for_data_files(place: "PostgresPlace", scheduled: list[tuple[int, str]], on_event: OnEvent) -> None:
    """Warn of data files that are not there, and of those that will soon be gone; none of that fails a restore."""
    tables = by_name(place.definitions())
    if all(name in tables and set(columns) <= set(tables[name].column_names) for name, columns in COLUMNS.items()):
        for finding in look(place.data_files()):
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
