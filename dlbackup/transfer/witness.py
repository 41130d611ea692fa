"""
An engine reads what a catalog is made of, and what is about to be published: both have to be the same to it.

What is published can't be seen by others before it is, so the engine is shown another catalog that is made of the same
backup in the same kind of place, and gone afterwards; that what is published holds the very rows of that backup is
proved by reading them back. The source is read where it is, or in a copy where a reader would keep writers waiting; a
backup of a catalog in another kind of file becomes a scratch file of that kind.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import Backup
from dlbackup.backupfile.lineage import rows_in
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Access, Catalog
from dlbackup.catalogs.open import is_in_file, is_of_server, open_catalog, open_for_restore, scratch_file, trying
from dlbackup.catalogs.reading import contents
from dlbackup.engine.engine import Engine, probe
from dlbackup.engine.readings import LakeTable, Reading, differing, may_read, read_at
from dlbackup.engine.statements import Target
from dlbackup.errors import (
    AttachFailed,
    DlbackupError,
    EngineError,
    Interrupted,
    Locked,
    NoRight,
    RestoredOtherwise,
    StorageError,
    TooManyLocks,
    counted,
    listed,
)
from dlbackup.lake.inlined import lake_table_id
from dlbackup.runtime.progress import Event, OnEvent
from dlbackup.runtime.scratch import scratch_folder
from dlbackup.stores.contract import Where
from dlbackup.stores.encrypted import is_encrypted
from dlbackup.transfer.loading import restore_into
from dlbackup.transfer.options import RestoreOptions

MOST_READINGS = 40
"""
How many tables are read of each catalog, all snapshots together, but always of the first and the last: 4 ms a table,
20 ms where its rows are read, and 30 ms a snapshot (measured).
"""
MOST_TABLES = 1000
"""At one snapshot; of more, so many that are spread evenly."""
_LOCK_TIMEOUT_MS = 10_000
_MOST_FAILURES = 3
"""After so many snapshots at which an engine doesn't read the source it won't do so at others either."""
_STAGE = "read"
T = TypeVar("T")
_SPAN = ("begin_snapshot", "end_snapshot")


@dataclass(frozen=True, slots=True)
class Origin:
    """
    The catalog that a copy is made of.

    Args:
        schema: as the user named it.
        dumped: what was read of it.
    """

    address: Address
    schema: str | None
    dumped: Backup


@dataclass(slots=True, kw_only=True)
class Witness:
    """
    Who has an engine read both.

    Args:
        origin: None where what is published is made of a backup.
        options: with the engine, and how to come by files.
        backup: that backup, as it is kept.
        is_converted: whether what is published is of another kind than it.
        snapshots_read: at how many snapshots; None before that, and where no engine could.
        source_read: whether it has read the same of the source there.
    """

    origin: Origin | None
    options: RestoreOptions
    on_event: OnEvent
    backup: Where | None = None
    is_converted: bool = False
    snapshots_read: int | None = field(default=None, init=False)
    source_read: bool = field(default=False, init=False)

    def testify(self, reader: BackupReader, where: Address, schema: str) -> None:
        """
        Have an engine read both, at each snapshot or at some.

        Args:
            reader: of the backup that is to be published, in the words of where that will be.
            where: in which place, and in which schema.

        Raises:
            RestoredOtherwise: the engine reads something else, or nothing at all, of what was made.
        """
        version = reader.header.spec_version
        if is_in_file(where) and self._is_encrypted():
            self._say("of an encrypted backup no file is made in clear but where it is restored to")
            return
        try:
            with probe(self.options.engine) as engine:
                if not may_read(engine, version):
                    self._say(f"DuckDB {engine.duckdb_version} does not open spec version {version} as it is")
                    return
                self._testify(engine, reader, where, schema)
        except RestoredOtherwise:
            raise
        except (EngineError, NoRight, TooManyLocks, Locked, StorageError) as exc:
            self._say(exc.message)

    def _testify(self, engine: Engine, reader: BackupReader, where: Address, schema: str) -> None:
        history = _History(reader)
        engine.reach(history.data_paths)
        with ExitStack() as held:
            source = self._source(engine, held)
            beside = None if is_in_file(where) else where
            made = held.enter_context(_made_of(reader, schema, engine, self.options, self.on_event, beside))
            chosen = history.chosen()
            some = f"{len(chosen)} of {counted(len(history.snapshots), 'snapshot')}"
            self.on_event(Event(stage=_STAGE, message=f"DuckDB {engine.duckdb_version} reads {some} for comparison"))
            dumped = self.origin.dumped if self.origin else None
            comparison = _Comparison(source=source, made=made, history=history, dumped=dumped)
            self.snapshots_read = sum(map(comparison.is_alike_at, chosen)) or None
            self.source_read = source is not None and self.snapshots_read is not None
        for why in comparison.said:
            self._say(why)

    def _source(self, engine: Engine, held: ExitStack) -> "_Seen | None":
        """Open what there is to be read of the source; None where that is a backup that no file can be made of."""
        if self.origin is not None:
            return held.enter_context(_Seen.of(self.origin, engine, self.options))
        if self.backup is None or not self.is_converted or self._is_encrypted():
            return None
        before = held.enter_context(BackupReader(self.backup))
        if is_of_server(before.header.dialect):
            return None
        schema = before.header.source.schema
        try:
            return held.enter_context(_made_of(before, schema, engine, self.options, self.on_event))
        except Interrupted:
            raise
        except DlbackupError as exc:  # such as a file of a newer DuckDB: that it can't be made here again is no fault
            self._say(f"the backup is not read in its own kind of file: {exc.message}")
            return None

    def _is_encrypted(self) -> bool:
        return self.backup is not None and is_encrypted(self.backup)

    def _say(self, why: str) -> None:
        text = f"not all was read by an engine for comparison: {why}"
        self.on_event(Event(stage=_STAGE, message=text, warning=True))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A catalog that an engine reads."""

    catalog: Catalog
    engine: Engine
    target: Target

    @classmethod
    @contextmanager
    def of(cls, origin: Origin, engine: Engine, options: RestoreOptions) -> Iterator["_Seen"]:
        """Open the catalog that a copy is made of."""
        with (
            open_catalog(origin.address, origin.schema, Access.of(options.wait, options.engine)) as catalog,
            catalog.for_engines() as address,
            cls.by(catalog, address, engine) as seen,
        ):
            yield seen

    @classmethod
    @contextmanager
    def by(cls, catalog: Catalog, address: Address, engine: Engine) -> Iterator["_Seen"]:
        """Have an engine read a catalog by an address in the block, at whose end no session of it is left."""
        name = catalog.engines + secrets.token_hex(6)
        target = Target(address=address, schema=catalog.schema, name=name, lock_timeout_ms=_LOCK_TIMEOUT_MS)
        engine.run(target, [], 60)  # what reads that kind of place is loaded
        try:
            yield cls(catalog, engine, target)
        finally:
            catalog.end_engine(name)

    def at(self, snapshot_id: int, tables: Sequence[LakeTable]) -> Reading:
        """Return what the engine reads at a snapshot."""
        return read_at(self.engine, self.target, snapshot_id, tables)

    def is_as_in(self, dumped: Backup) -> bool:
        """Tell whether the catalog is still what it was when it was dumped."""
        with self.catalog.snapshot() as snapshot:
            return contents(snapshot) == dumped.contents


@dataclass(slots=True, kw_only=True)
class _Comparison:
    """
    What an engine reads of both.

    Args:
        source: None where there is none to be read.
        dumped: what was read of it.
        said: why some snapshots don't count.
    """

    source: _Seen | None
    made: _Seen
    history: "_History"
    dumped: Backup | None
    said: list[str] = field(default_factory=list)
    _failures: int = 0

    def is_alike_at(self, snapshot_id: int) -> bool:
        """
        Have both read at a snapshot; False where the source can't be, or is another by now.

        Raises:
            RestoredOtherwise: the engine reads something else, or nothing at all, of what was made.
        """
        if self._failures == _MOST_FAILURES:
            return False
        tables = self.history.tables_at(snapshot_id)
        expected: Reading | None = None
        if self.source is not None:
            try:
                expected = self.source.at(snapshot_id, tables)
            except AttachFailed as exc:
                self._failures += 1
                self.said.append(f"it does not read the source at snapshot {snapshot_id}: {exc.message}")
                return False
        try:
            found = self.made.at(snapshot_id, tables)
        except AttachFailed as exc:
            raise RestoredOtherwise(
                f"the engine does not read what was made at snapshot {snapshot_id}: {exc.message}",
                "dlbackup check says whether something in the source is such that no engine reads it; if not, this is"
                " a bug in dlbackup or in that DuckDB: report it; nothing was published",
            ) from exc
        differences = [] if expected is None else differing(expected, found)
        if not differences:
            return True
        if self.source is not None and self.dumped is not None and not self.source.is_as_in(self.dumped):
            self.said.append(f"the source was changed after it was dumped, as it is at snapshot {snapshot_id}")
            return False
        raise RestoredOtherwise(
            f"at snapshot {snapshot_id} the engine reads something else of what was made than of the source:"
            f" {listed(differences)}",
            "this is a bug in dlbackup or in that DuckDB: report it; nothing was published",
        )


@contextmanager
def _made_of(
    reader: BackupReader,
    schema: str,
    engine: Engine,
    given: RestoreOptions,
    on_event: OnEvent,
    beside: Address | None = None,
) -> Iterator[_Seen]:
    """Make a catalog of a backup in a scratch place beside another, or in a scratch file, gone with the block."""
    options = RestoreOptions(owner=False, privileges=False, data_files=False, max_rate=given.max_rate)
    with ExitStack() as held:
        if beside is None:
            folder = held.enter_context(scratch_folder("dlbackup-read-"))
            place = scratch_file(reader.header.dialect, folder)
            access = Access.of(given.wait, given.engine)
            catalog = held.enter_context(open_for_restore(place, None, schema, access, replace=False))
        else:
            trial = held.enter_context(trying(beside, schema))
            catalog = trial.catalog
        restore_into(catalog, reader, options, _without_warnings(on_event), scratch=True)
        yield held.enter_context(_Seen.by(catalog, catalog.address, engine))


def _without_warnings(on_event: OnEvent) -> OnEvent:
    """Leave out what the restore of the same backup says again."""
    return lambda event: None if event.warning else on_event(event)


class _History:
    """The snapshots of a backup, and which tables the lake had at each."""

    def __init__(self, reader: BackupReader) -> None:
        self._reader = reader
        self.snapshots = sorted(int(row["snapshot_id"] or 0) for row in rows_in(reader, "ducklake_snapshot"))
        self._schemas = list(rows_in(reader, "ducklake_schema", {"schema_name", *_SPAN}))
        self._tables = list(rows_in(reader, "ducklake_table", {"table_id", "schema_id", "table_name", *_SPAN}))

    @property
    def data_paths(self) -> list[str]:
        """Where the data files are."""
        rows = rows_in(self._reader, "ducklake_metadata")
        return [row["value"] or "" for row in rows if row["key"] == "data_path"]

    @cached_property
    def _inlined(self) -> frozenset[int]:
        tables = (entry for entry in self._reader.manifest.tables if entry.kind == "inlined-data" and entry.rows)
        return frozenset(lake_table_id(entry.table) for entry in tables)

    def tables_at(self, snapshot_id: int) -> list[LakeTable]:
        """Return the tables that the lake had at a snapshot."""
        schemas = {row["schema_id"]: row["schema_name"] for row in self._schemas if _is_live(row, snapshot_id)}
        found = [
            LakeTable(
                schema=schemas[row["schema_id"]] or "",
                name=row["table_name"] or "",
                may_have_rows=int(row["table_id"] or -1) in self._inlined,
            )
            for row in self._tables
            if _is_live(row, snapshot_id) and row["schema_id"] in schemas
        ]
        return spread(found, MOST_TABLES)

    def chosen(self) -> list[int]:
        """Return all snapshots, or the first, the last, and as many between them as there is time for."""
        at_most = max(2, MOST_READINGS // max(1, len(self._tables)))
        return spread(self.snapshots, at_most)


def _is_live(row: dict[str, str | None], snapshot_id: int) -> bool:
    begin, end = row["begin_snapshot"], row["end_snapshot"]
    return int(begin or 0) <= snapshot_id and (end is None or int(end) > snapshot_id)


def spread(all_: Sequence[T], at_most: int) -> list[T]:
    """Return so many of something, at least two: the first and the last one, and others evenly between."""
    if len(all_) <= at_most:
        return list(all_)
    step = (len(all_) - 1) / (at_most - 1)
    return [all_[round(place * step)] for place in range(at_most)]
