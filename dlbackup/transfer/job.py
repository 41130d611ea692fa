"""
What a restore is about: the definitions that are wanted, and the rows on their way.

What of a backup can't be had where it comes to is done without, and said, or refused.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from dlbackup.backupfile.lineage import lineage_of
from dlbackup.backupfile.manifest import Entry, Manifest, Source
from dlbackup.backupfile.reader import BackupReader
from dlbackup.backupfile.workload import FILE_BYTES, PROOF_BYTES, READ_BACK, RESTORE_BYTES, of_backup
from dlbackup.catalogs.contract import Encoding, Replacement
from dlbackup.errors import OtherEncoding, listed
from dlbackup.lake.datafiles import Several
from dlbackup.lake.lineage import Known, Lineage
from dlbackup.runtime.progress import Event, Meter, OnEvent
from dlbackup.runtime.throttle import throttle
from dlbackup.tables.definition import Constraint, Table, by_name
from dlbackup.tables.statements import definition, finishing
from dlbackup.transfer.access import (
    ROLES,
    check_roles,
    hidden_as_now,
    hidden_as_said,
    not_granted,
    refused_elsewhere,
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


class Job:
    """What a restore is about; `tables` are the definitions that are wanted."""

    def __init__(
        self, schema: str, reader: BackupReader, options: RestoreOptions, stream: Stream, on_event: OnEvent
    ) -> None:
        self.schema, self.options = schema, options
        self.where, self.manifest = reader.where, reader.manifest
        manifest = reader.manifest
        self.stream, self.on_event = stream, on_event
        self.tables = [as_wanted(table, options) for table in hidden_as_said(manifest)]
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
            self.tables = [as_wanted(table, self.options) for table in self.tables]
            return
        there = by_name(existing)
        for number, table in enumerate(self.tables):
            like = there.get(table.name, existing[0])
            self.tables[number] = as_wanted(replace(table, owner=like.owner, grants=like.grants), self.options)

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


def as_wanted(table: Table, options: RestoreOptions) -> Table:
    """Return a table without what the user doesn't want of it."""
    if not options.privileges:
        table = table.without_grants()
    return table if options.owner else table.without_owner()


def _data_files(manifest: Manifest) -> int:
    return sum(entry.rows for entry in manifest.tables if entry.table.name == "ducklake_data_file")
