"""The steps of a restore: refuse, load, prove definitions, read every row back."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from dlbackup.backupfile.lineage import lineage_of
from dlbackup.backupfile.manifest import Entry, Manifest, Source
from dlbackup.backupfile.reader import BackupReader
from dlbackup.backupfile.workload import FILE_BYTES, PROOF_BYTES, READ_BACK, RESTORE_BYTES, of_backup
from dlbackup.catalogs.contract import Encoding, Existing, Part, Place, Replacement
from dlbackup.errors import (
    CatalogError,
    HasDependents,
    MissingDataFiles,
    NewerSnapshots,
    NotCarried,
    NotEmpty,
    OtherEncoding,
    OtherLake,
    OtherRows,
    RestoredOtherwise,
    UsageError,
    counted,
    listed,
)
from dlbackup.lake.answers import rows_of
from dlbackup.lake.datafiles import COLUMNS, Several, outside, relative_paths, stored
from dlbackup.lake.lineage import Known, Lineage, Parting, parting_of
from dlbackup.runtime.memory import collector_paused
from dlbackup.runtime.progress import Event, Meter, OnEvent
from dlbackup.runtime.throttle import paced, throttle
from dlbackup.tables.definition import Constraint, Table, by_name
from dlbackup.tables.digest import summed
from dlbackup.tables.statements import definition, finishing
from dlbackup.transfer.access import (
    ROLES,
    check_roles,
    grants_to_make,
    hidden_as_now,
    hidden_as_said,
    hidden_by_server,
    not_granted,
    open_schema,
    opened_by_default,
    refused_elsewhere,
    stricter,
    what_is_missing,
    without_policies,
    without_predefined,
)
from dlbackup.transfer.chunks import Feed
from dlbackup.transfer.options import RestoreOptions


class Texts:
    """
    Whether the texts of a backup mean the same where they come to.

    Rows come and go as engines see them. Only backups that don't say in which encoding their source was may hold
    something else: the server had converted for us what it doesn't convert for engines.
    """

    def __init__(self, source: Source, place: Encoding) -> None:
        self._is_sure = bool(source.encoding) or place.name in ("UTF8", "SQL_ASCII") or place.converts
        self._place = place

    def check(self, text: bytes, table: str) -> None:
        """
        Refuse a text that may mean something else.

        Raises:
            OtherEncoding: it may.
        """
        if self._is_sure or text.isascii():
            return
        raise OtherEncoding(
            f"table {table} has text that is not ASCII, the backup is an older one that doesn't say in which encoding"
            f" its source was, and this database has {self._place.name}: it may turn into other text",
            f"if that was {self._place.name} too, restore with psql (zstd -dc BACKUP | psql); if it was UTF8, restore"
            " into a database made with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
        )


class Job:
    """What a restore is about; `tables` are the definitions that are wanted."""

    def __init__(
        self, schema: str, reader: BackupReader, options: RestoreOptions, stream: "Stream", on_event: OnEvent
    ) -> None:
        self.schema, self.options = schema, options
        self.where, self.manifest = reader.where, reader.manifest
        manifest = reader.manifest
        self.stream, self.on_event = stream, on_event
        self.tables = [_wanted(table, options) for table in hidden_as_said(manifest)]
        self.proof = of_backup(manifest, PROOF_BYTES)
        self.missing_data_files: int | None = None
        self.not_moved = Several()
        self.changed_data_files = 0
        self.missing_grants: list[str] = []
        self.replaces = self.is_scratch = False

    def comes_to(self, encoding: Encoding) -> None:
        """Refuse definitions that would mean something else in a database of that encoding, and rows as they come."""
        texts = Texts(self.manifest.header.source, encoding)
        for table in self.tables:
            texts.check("".join([definition(table), *finishing(table)]).encode(), table.name)
        self.stream.texts = texts

    @cached_property
    def lineage(self) -> Lineage:
        """Which lake the backup is of; an exchange asks again, while commits wait."""
        return lineage_of(self.where)

    @cached_property
    def known(self) -> Known:
        """The snapshots that the backup has."""
        return Known(self.lineage.snapshots)

    @property
    def wanted(self) -> dict[str, Table]:
        """The definitions that are wanted, by name."""
        return by_name(self.tables)

    def begin(self, replacement: Replacement, *, scratch: bool) -> None:
        """
        Look at what is replaced, and say what can't be as it was; refuse where roles are missing.

        Args:
            scratch: what the backup itself lacks is nobody's concern there; who will see what is said as of `ROLES`.
        """
        existing = replacement.existing.tables
        self.replaces, self.is_scratch = bool(existing), scratch
        if not any(entry.table.owner for entry in self.manifest.tables):  # of a kind that has no owners
            self._own_as(existing)
        self.tables, predefined = without_predefined(replacement, self.tables)
        self.warn(*predefined)
        check_roles(replacement, self.tables)
        unknown = replacement.unknown_privileges()
        unseen = without_policies(self.manifest, self.tables)
        if scratch:
            self.warn(*refused_elsewhere(replacement, self.manifest, unknown), *unseen, stage=ROLES)
        said = [] if scratch else [*what_is_missing(self.manifest), *unseen]
        self.tables, stays = hidden_as_now(self.tables, existing)
        self.warn(*said, *stays)
        self.leave_out(unknown)
        self._keep_as_by_default(*replacement.missing_storage(self.tables))
        self._do_without(
            replacement.unknown_options(self.tables),
            replacement.missing_collations(self.tables),
            replacement.unknown_keys(self.tables),
        )

    def _own_as(self, existing: Sequence[Table]) -> None:
        """Give tables the owners and grants of those that they replace; else they are whose the place says."""
        if not existing:
            self.options = replace(self.options, owner=False, privileges=False)
            self.tables = [_wanted(table, self.options) for table in self.tables]
            return
        there = by_name(existing)
        for number, table in enumerate(self.tables):
            like = there.get(table.name, existing[0])
            self.tables[number] = _wanted(replace(table, owner=like.owner, grants=like.grants), self.options)

    def _keep_as_by_default(self, tablespaces: frozenset[str], access_methods: frozenset[str]) -> None:
        """Do without tablespaces and access methods that can't be had, and say so."""
        self.tables = [table.without_storage(tablespaces, access_methods) for table in self.tables]
        missing = [*(f"tablespace {name}" for name in sorted(tablespaces))]
        missing += [f"access method {name}" for name in sorted(access_methods)]
        if missing:
            self.warn(
                f"tables are kept as this server does by default, since it lets nobody here use {listed(missing)}"
            )

    def _do_without(
        self, options: frozenset[tuple[str, str]], collations: frozenset[str], keys: frozenset[Constraint]
    ) -> None:
        """Do without storage parameters, collations and keys that can't be had, and say so."""
        missing = [f"storage parameter {key} = {value}" for key, value in sorted(options)]
        missing += [f"collation {name}" for name in sorted(collations)]
        missing += sorted(f"constraint {key.name} {key.definition}" for key in keys)
        known = [table.without_options(options, collations).without_keys(keys) for table in self.tables]
        if missing:
            without = [table.name for table, was in zip(known, self.tables, strict=True) if table != was]
            where = listed(without, separator=", ")
            self.warn(f"left out of {where}, since this server doesn't know it: {listed(missing)}")
        self.tables = known

    def warn(self, *said: str, stage: str = "restore") -> None:
        """Warn of something."""
        for text in said:
            self.on_event(Event(stage=stage, message=text, warning=True))

    def leave_out(self, privileges: frozenset[str]) -> None:
        """Do without privileges that the backend doesn't know, and say so where they were granted."""
        self.warn(*not_granted(self.tables, privileges))
        self.tables = [table.without_privileges(privileges) for table in self.tables]


def fill(part: Part, job: Job) -> None:
    """Make the tables of a part and load them."""
    wanted = job.wanted
    tables = [wanted[entry.table.name] for entry in part.entries]
    with collector_paused():
        part.place.create(tables)
        for entry in part.entries:
            _load(part.place, job.stream, entry)
    if part.whole and tables:
        job.on_event(Event(stage="restore", message="making indexes, owners and grants"))
    # Who saw rows of a catalog sees those of the one in its place; of a new one the server's own rules decide.
    part.place.finish(tables, privileges=job.options.privileges, row_security=job.replaces)


def settle(place: Place, job: Job, existing: Existing, scheduled: list[tuple[int, str]]) -> None:
    """Do what comes last: move the data path, and look for data files; nothing is committed yet."""
    if job.options.data_path is not None:
        _move_data(place, job, str(job.options.data_path))
    if job.options.frozen:
        _refuse_relative(place, job)
    if job.options.data_files:
        _look_for_data_files(place, job, scheduled)
    gone, changed = job.missing_data_files or 0, job.changed_data_files
    if (gone or changed) and existing.tables and not job.options.missing_data_files:
        said = [f"{counted(gone, 'data file')} that the backup needs {_is(gone)} missing or can't be reached from here"]
        changes = f"{counted(changed, 'data file')} that the backup needs {_is(changed)} of another size than it says"
        said = [*(said if gone else []), *([changes] if changed else [])]
        raise MissingDataFiles(
            f"{', '.join(said)}, and the catalog in {existing.place} would be replaced",
            "bring them back, or name where they are with --data-path; --missing-data-files accepts that they are gone",
        )


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def hand_over(place: Place, job: Job, existing: Existing) -> None:
    """Let those who work with the catalog use its schema where there was none, and say who can't."""
    options = job.options
    if existing.is_new:
        rights = job.manifest.header.source.rights
        opened = open_schema(place, rights, job.schema, owner=options.owner, privileges=options.privileges)
        job.missing_grants += opened
    if not existing.tables:
        job.missing_grants += grants_to_make(place, job.tables, job.schema)
    if job.missing_grants:
        text = f"not everybody who works with the catalog can use schema {job.schema}; to be done by somebody who may:"
        job.warn(f"{text} {' '.join(job.missing_grants)}")


def _wanted(table: Table, options: RestoreOptions) -> Table:
    if not options.privileges:
        table = table.without_grants()
    return table if options.owner else table.without_owner()


def check_place(existing: Existing, job: Job) -> None:
    """Refuse what would lose or break something in the place."""
    needed = {name for table in job.tables for name in (table.name, *(it.name for it in table.sequences))}
    taken = [f"{kind} {name}" for name, kind in existing.beside.items() if name in needed]
    if taken:
        raise NotEmpty(
            f"{existing.place} holds what is no table of a catalog under names that the backup needs: {listed(taken)}",
            f"{existing.another}, or rename what is there",
        )
    if not existing.tables:
        return
    if not job.options.replace:
        raise NotEmpty(
            f"{existing.place} already holds {counted(len(existing.tables), 'catalog table')}",
            f"{existing.another}, or put the backup in its place with --replace",
        )
    _check_lineage(existing, job)
    if existing.left_out:
        raise HasDependents(
            f"replacing the catalog would lose or break: {listed(existing.left_out)}",
            "drop what is named, and make it again after the restore",
        )


def _check_lineage(existing: Existing, job: Job) -> None:
    """Refuse another lake, and what is committed there and not in the backup, until the user says so by name."""
    options = job.options
    if options.other_lake and options.discard_newer:
        return
    there, ours = existing.lineage(), job.lineage
    parting = parting_of(there, ours, job.known)
    if parting.other_lake:
        if not options.other_lake:
            raise OtherLake(
                f"{existing.place} holds {there}, and the backup is of {ours}",
                f"{existing.another}; --other-lake accepts that the other lake's catalog is replaced",
            )
    elif (parting.newer or parting.expired) and not options.discard_newer:
        raise NewerSnapshots(
            f"the catalog has snapshots that the backup has not: {_parted(parting, existing, job)}",
            "dump it first; --discard-newer accepts that they are replaced",
        )


def _parted(parting: Parting, existing: Existing, job: Job) -> str:
    """Say what the catalog that is there would lose, and why the backup hasn't got it."""
    if not parting.newer:
        return parting.forgets
    newest, backed_up = existing.head.snapshot_id, job.manifest.header.snapshot_id
    if backed_up is None or parting.newer[0] > backed_up:
        why = f"its newest is {newest}, the backup's is {backed_up}"
    elif parting.shared is None:
        why = "they share none: its history went another way than the backup's, or has expired in one of them"
    else:
        why = f"from {parting.newer[0]} on its history went another way than the backup's"
    lost = f"{why}; those would be lost: {existing.newer_snapshots(parting.shared)}"
    return "; ".join(filter(None, (lost, parting.forgets)))


def _load(place: Place, stream: "Stream", entry: Entry) -> None:
    """Fill the table that comes next in the backup."""
    texts = stream.rows_of(entry)
    taken = place.load(entry.table, texts) if entry.rows else sum(1 for _ in texts)
    if taken != entry.rows:
        raise CatalogError(f"table {entry.table.name}: the server took {taken} rows of {entry.rows}")


class Stream:
    """A feed, table by table, in the order of the backup; paced, counted and reported."""

    def __init__(self, feed: Feed, manifest: Manifest, options: RestoreOptions, on_event: OnEvent) -> None:
        self.limit = throttle(options.max_rate)
        self.texts: Texts | None = None
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
            if self.texts is not None:
                self.texts.check(item.text, entry.table.name)
            if self.limit is not None:
                self.limit.take(len(item.text))
            yield item.text
            self._meter.add(item.rows)


def _data_files(manifest: Manifest) -> int:
    return sum(entry.rows for entry in manifest.tables if entry.table.name == "ducklake_data_file")


def prove_definitions(place: Place, job: Job) -> None:
    """Compare the definitions that the server has now with the backup's."""
    found = by_name(place.definitions())
    if not (job.options.privileges or job.is_scratch):
        job.warn(*opened_by_default(found.values()))
    hidden: list[str] = []
    for wanted in job.tables:
        table, there = wanted, found.pop(wanted.name, None)
        if there is not None:
            owner, there = there.owner, _wanted(there, job.options).kept_as(table)
            if owner and not job.options.owner:  # who restores has all rights, whatever the backup grants
                table, there = table.without_grants_to(owner), there.without_grants_to(owner)
        if there not in (table, None) and not job.replaces and there == stricter(table, there):
            hidden.append(table.name)
        elif there != table:
            raise RestoredOtherwise(
                f"the server made another table {table.name} than the backup has: {_difference(table, there)}",
                "restore to the PostgreSQL version that the backup is from; disable event triggers that change new"
                " tables meanwhile",
            )
    if found:
        raise RestoredOtherwise(f"schema {place.schema} holds more catalog tables than the backup: {', '.join(found)}")
    job.warn(*hidden_by_server(hidden))


def read_back(place: Place, job: Job, entries: Sequence[Entry]) -> None:
    """Compare the rows that the server has now with the backup's, before anything of them is committed."""
    if not job.options.read_back or not entries:
        return
    job.on_event(Event(stage="restore", message="reading every row back and comparing it with the backup"))
    work = {entry.table.name: job.proof[entry.table.name] for entry in entries}
    rows = sum(entry.rows for entry in entries)
    meter = Meter("read-back", job.on_event, sum(work.values()), rows, after=job.stream.after_read_back)
    with collector_paused():
        expected = {entry.table.name: entry for entry in entries if entry.rows}
        for table, blocks in place.read_back([(entry.table, entry.rows) for entry in expected.values()]):
            entry = expected[table.name]
            meter.part(work[table.name], entry.rows)
            if summed(meter.counted(paced(blocks, job.stream.limit))) != entry.content:
                raise OtherRows(f"table {table.name}: the server gives back other rows than it was given")


def _difference(wanted: Table, found: Table | None) -> str:
    if found is None:
        return "it is missing"
    for name in Table.__dataclass_fields__:
        if getattr(wanted, name) != getattr(found, name):
            return f"{name} is {getattr(found, name)!r}, not {getattr(wanted, name)!r}"[:400]
    return "nothing"


def _look_for_data_files(place: Place, job: Job, scheduled: list[tuple[int, str]]) -> None:
    """Warn of data files that are not there, and of those that will soon be gone; count the former."""
    from dlbackup.engine.listing import LISTING_TIMEOUT_LOCKED_S, look_everywhere

    restored, on_event = job.tables, job.on_event
    if _has_files(restored):
        with collector_paused(), place.answers(restored) as answers:
            looked = look_everywhere(answers, job.options.secrets, LISTING_TIMEOUT_LOCKED_S)
        job.missing_data_files, job.changed_data_files = looked.missing, looked.changed
        for finding in looked.findings:
            warning = finding.severity == "error" or finding.rule == "data-files-out-of-reach"
            on_event(Event(stage="data-files", message=finding.message, warning=warning))
    if scheduled and (needed := _needed(place, restored, [file for file, _ in scheduled])):
        were = "was" if needed == 1 else "were"
        text = (
            f"{counted(needed, 'data file')} that the backup needs {were} scheduled for deletion by the replaced"
            f" catalog, the first at {scheduled[0][1]}: they stay only as long as nobody cleans up by that catalog"
        )
        on_event(Event(stage="data-files", message=text, warning=True))


def _has_files(restored: Sequence[Table]) -> bool:
    """Tell whether the tables have what is asked about data files."""
    tables = by_name(restored)
    return all(name in tables and set(columns) <= set(tables[name].column_names) for name, columns in COLUMNS.items())


def _refuse_relative(place: Place, job: Job) -> None:
    """Refuse to freeze a lake whose data files are found only by clients that work in the right folder."""
    with place.answers(job.tables) as answers:
        found = relative_paths(answers)
    if found:
        raise NotCarried(
            f"the lake's files are not found from everywhere: these paths are relative to the folder that a client"
            f" works in: {listed(found)}",
            "name where the data files are with --data-path: an absolute path, or an address such as https://...",
        )


def _needed(place: Place, restored: Sequence[Table], files: Sequence[int]) -> int:
    """Return how many of these data and delete files the restored catalog refers to."""
    listed = ", ".join(map(str, files))
    count = 0
    with place.answers(restored) as answers:
        for name in ("data_file", "delete_file"):
            query = f"select count(*) from {{s}}.ducklake_{name} where {name}_id in ({listed})"
            count += rows_of(answers, query)[0][0]
    return count


def _move_data(place: Place, job: Job, path: str) -> None:
    if not path:
        raise UsageError("--data-path is empty")
    if place.set_data_path(stored(path)) != 1:
        raise CatalogError("the catalog has no data_path of its own to be changed")
    if _has_files(job.tables):
        with place.answers(job.tables) as answers:
            job.not_moved = outside(answers)
