"""
One snapshot of a catalog becomes one backup.

Rows pass from the server to the file without being parsed: the server formats them in the form that
stands between the parentheses of a VALUES list.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import Backup
from dlbackup.backupfile.frames import LEVEL, packed_by
from dlbackup.backupfile.manifest import FORMATS, Header, Manifest
from dlbackup.backupfile.origin import Moment, Origin
from dlbackup.backupfile.writer import BackupWriter, Piece, pack
from dlbackup.catalogs.contract import Access, Claim, Joinable, Pages, Snapshot
from dlbackup.catalogs.open import open_catalog
from dlbackup.errors import MovedOn, counted
from dlbackup.lake.canonical import Canonical
from dlbackup.lake.datafiles import data_paths
from dlbackup.lake.extent import extent_of
from dlbackup.lake.fingerprint import Fingerprinter
from dlbackup.runtime.memory import collector_paused
from dlbackup.runtime.progress import Event, Meter, OnEvent, ignore
from dlbackup.runtime.throttle import Throttle, paced, throttle
from dlbackup.runtime.workers import JOBS, Crew
from dlbackup.stores.age.payload import Writer
from dlbackup.stores.keys import Keyring
from dlbackup.stores.named import is_url
from dlbackup.tables.allowlist import check_table
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Block
from dlbackup.tables.rows import statements_of
from dlbackup.transfer.base import Base, opened
from dlbackup.transfer.destination import destination, refuse_among_data
from dlbackup.transfer.file_keys import catalog_holds_file_keys, guard_file_keys

ATTEMPTS = 3
"""How often a dump begins again when tables vanish or are rewritten under it."""
PIECE_PAGES = 2048
"""Pages (16 MB) of a table that are read and packed at once, about six frames."""
PIECES_A_HELPER = 4
"""Pieces that are worth the start of one more process."""


def dump_catalog(
    address: Address,
    to: str | Path,
    schema: str | None,
    level: int = LEVEL,
    jobs: int = JOBS,
    on_event: OnEvent = ignore,
    *,
    max_rate: float | None = None,
    base: str | Path | None = None,
    access: Access | None = None,
    ring: Keyring | None = None,
    plaintext_keys: bool = False,
) -> Backup:
    """
    Write one backup; begin again when the tables change under it. `base` as for `base.opened`.

    Args:
        ring: encrypts it, and opens a base that is encrypted.
        plaintext_keys: the user accepts that keys of Parquet files are in a backup that isn't encrypted.
    """
    limit = throttle(max_rate)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _dump_once(
                address,
                to,
                schema,
                level,
                jobs if limit is None else 1,
                limit,
                access,
                on_event,
                base,
                ring or Keyring(),
                plaintext_keys=plaintext_keys,
            )
        except MovedOn as exc:
            if attempt == ATTEMPTS or to == "-":
                raise
            on_event(Event(stage="dump", message=f"{exc.message}: beginning again"))
    raise AssertionError("the loop returns or raises")


def _dump_once(
    address: Address,
    to: str | Path,
    schema: str | None,
    level: int,
    jobs: int,
    limit: Throttle | None,
    access: Access | None,
    on_event: OnEvent,
    base: str | Path | None,
    ring: Keyring,
    *,
    plaintext_keys: bool,
) -> Backup:
    begun = time.monotonic()
    with open_catalog(address, schema, access) as catalog, catalog.snapshot(share=jobs > 1) as snapshot:
        for table in snapshot.tables:
            check_table(table, snapshot.dialect)  # what a reader would refuse is never written
        for what in snapshot.left_out:
            on_event(Event(stage="dump", message=f"not in the backup: {what}", warning=True))
        if jobs > 1 and snapshot.joinable(()) is None:
            text = "one process reads, since the server lets no other join its snapshot (pg_export_snapshot)"
            on_event(Event(stage="dump", message=text, warning=True))
        with snapshot.answers() as answers:
            lake = extent_of(answers)
            if not ring.encrypts and not plaintext_keys and catalog_holds_file_keys(answers):
                guard_file_keys(remote=is_url(to), on_event=on_event)
            refuse_among_data(to, data_paths(answers))
        begun_ns = time.time_ns()
        header = _header(snapshot, begun_ns, level)
        with (
            opened(base, to, header, on_event, ring) as found,
            destination(to, header, begun_ns, ring) as (path, sink),
            BackupWriter(sink, header, level) as writer,
            collector_paused(),
        ):
            reading = _Reading.begin(snapshot, level, jobs, limit, on_event, found)
            manifest = _write(writer, reading, on_event)
        stored = sink if isinstance(sink, Writer) else writer
        return Backup(
            path=path,
            format=header.format,
            spec_version=header.spec_version,
            snapshot_id=header.snapshot_id,
            tables=len(manifest.tables),
            rows=manifest.rows,
            raw_bytes=writer.raw_bytes,
            file_bytes=stored.file_bytes,
            sha256=stored.sha256,
            seconds=round(time.monotonic() - begun, 3),
            left_out=manifest.left_out,
            fingerprint=manifest.fingerprint.value if manifest.fingerprint else "",
            lake=lake,
            base=str(found.where) if found else None,
            reused_rows=found.reused_rows if found else 0,
            reused_bytes=found.reused_bytes if found else 0,
            contents=manifest.contents,
        )


def _header(snapshot: Snapshot, begun_ns: int, level: int) -> Header:
    head = snapshot.head
    created = datetime.fromtimestamp(begun_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Header(
        format=FORMATS[snapshot.dialect],
        spec_version=head.spec_version,
        snapshot_id=head.snapshot_id,
        snapshot_time=head.snapshot_time,
        created=created,
        tool=_tool(),
        source=snapshot.source,
        moment=snapshot.moment(),
        packed=packed_by(level),
        dialect=snapshot.dialect,
    )


def _tool() -> str:
    try:
        return f"dlbackup {version('dlbackup')}"
    except PackageNotFoundError:
        return "dlbackup"


@dataclass(frozen=True, slots=True)
class _Task:
    """Some pages of a table, to be packed unless it can be proved that the base has their rows."""

    table: Table
    pages: Pages
    canonical: Canonical
    claim: Claim | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """How a snapshot is read: on how many sessions, how fast, packed at which level of zstd, and what need not be."""

    snapshot: Snapshot
    base: Base | None
    origins: dict[str, Origin]
    level: int
    jobs: int
    limit: Throttle | None
    sizes: dict[str, int]
    densities: dict[str, float]
    meter: Meter

    @classmethod
    def begin(
        cls,
        snapshot: Snapshot,
        level: int,
        jobs: int,
        limit: Throttle | None,
        on_event: OnEvent,
        base: Base | None,
    ) -> "_Reading":
        sizes, densities = snapshot.pages(), snapshot.densities()
        work = sum(sizes.values()) + DUMP_PAGES * len(sizes)
        meter = Meter("dump", on_event, work, guessed_rows(sizes, densities), guessed=True)
        return cls(
            snapshot=snapshot,
            base=base,
            origins=snapshot.origins(),
            level=level,
            jobs=jobs,
            limit=limit,
            sizes=sizes,
            densities=densities,
            meter=meter,
        )

    def each(self, tables: Sequence[Table]) -> Iterator[tuple[Table, Iterator[Block]]]:
        """Read whole tables here, one after the other, in the blocks that become statements."""
        for table, blocks in self.snapshot.each(tables, alone=self.limit is not None):
            self.part(table)
            yield table, statements_of(self.meter.counted(paced(blocks, self.limit)))

    def packed(self, pieces: Mapping[int, _Task], crew: Crew[_Task, Piece | None]) -> Iterator[Piece]:
        """Wait for the pieces of a table, by the numbers of their tasks; take from the base those that are proved."""
        for place, (number, task) in enumerate(pieces.items()):
            self.part(task.table, task.pages)
            piece = crew.result(number)
            if piece is None and self.base is not None:
                piece = self.base.piece(task.table, place)
            if piece is None:
                piece = _read_piece(self.rows, self.level, task)
            if self.jobs > 1:
                self.meter.add(piece.rows.count, crew.ahead * PIECE_PAGES)
            yield piece

    def rows(self, table: Table, pages: Pages) -> Iterator[Block]:
        """
        Read some pages of a divided table in this process.

        With helpers, `packed` tells the meter of whole pieces, whoever read them: rows told here would count twice.
        """
        blocks = paced(self.snapshot.rows(table, pages), self.limit)
        return self.meter.counted(blocks) if self.jobs == 1 else blocks

    def part(self, table: Table, pages: Pages | None = None) -> None:
        """Tell the meter which table, or piece of one, comes next."""
        first, end = (pages.first, pages.end) if pages else (0, None)
        count = (end or self.sizes[table.name]) - first
        self.meter.part(count + (0 if first else DUMP_PAGES), count * self.densities.get(table.name, 0.0))

    def tasks(self, table: Table, pieces: Sequence[Pages], canonical: Canonical) -> list[_Task]:
        """Return the tasks for the pieces of a table."""
        none = [None] * len(pieces)
        claims = self.base.claims(table, canonical, pieces, PIECE_PAGES) if self.base is not None else none
        return [_Task(table, pages, canonical, claim) for pages, claim in zip(pieces, claims, strict=True)]

    def origin(self, table: Table, pieces: Sequence[Pages]) -> Origin | None:
        """Return what to remember of a table that is read in these pieces, or whole."""
        origin = self.origins.get(table.name)
        return replace(origin, stretch_pages=PIECE_PAGES) if origin is not None and pieces else origin

    @property
    def _then(self) -> Moment | None:
        return self.base.moment if self.base is not None else None

    def pack(self, task: _Task) -> Piece | None:
        return _pack(self.snapshot, self.rows, self._then, self.level, task)

    def crew(self, divided: Mapping[str, Sequence[Pages]]) -> Crew[_Task, Piece | None]:
        """Return those who pack the pieces of divided tables; helpers are no gain for few."""
        tables = [table for table in self.snapshot.tables if table.name in divided]
        pieces = sum(map(len, divided.values()))
        joinable = self.snapshot.joinable(tables)
        helpers = min(self.jobs - self.snapshot.readers, pieces // PIECES_A_HELPER) if joinable is not None else 0
        return Crew(_packing, (joinable, self._then, self.level), self.pack, helpers)


@contextmanager
def _packing(argument: tuple[Joinable, Moment | None, int]) -> Iterator[Callable[[_Task], Piece | None]]:
    """Join a snapshot in a helper."""
    joinable, then, level = argument
    with joinable.join() as snapshot, collector_paused():
        yield partial(_pack, snapshot, snapshot.rows, then, level)


_Rows = Callable[[Table, Pages], Iterator[Block]]


def _pack(snapshot: Snapshot, rows: _Rows, then: Moment | None, level: int, task: _Task) -> Piece | None:
    """Read and pack a piece; None where it is proved that the base has it."""
    if then is not None and task.claim is not None:
        (change,) = snapshot.since(then, [task.claim])
        if change is not None and not change:
            return None
    return _read_piece(rows, level, task)


def _read_piece(rows: _Rows, level: int, task: _Task) -> Piece:
    return pack(task.table, statements_of(rows(task.table, task.pages)), task.canonical, level)


def _pieces(pages: int) -> list[Pages]:
    """Divide a table at the same pages whatever `jobs` is; the last piece is open, for the table may have grown."""
    firsts = range(0, pages, PIECE_PAGES)
    return [Pages(first, first + PIECE_PAGES if first != firsts[-1] else None) for first in firsts]


def _write(writer: BackupWriter, reading: _Reading, on_event: OnEvent) -> Manifest:
    rows = 0
    snapshot, sizes = reading.snapshot, reading.sizes
    fingerprint = Fingerprinter(snapshot.head.spec_version)
    divided = {
        table.name: _pieces(sizes[table.name])
        for table in snapshot.tables
        if sizes[table.name] > PIECE_PAGES and fingerprint.of(table).is_divisible
    }
    with reading.crew(divided) as crew:
        for table, parts in _read(reading, divided, crew, fingerprint):
            origin = reading.origin(table, divided.get(table.name, ()))
            rows += writer.write_table(table, parts, fingerprint.of(table), origin).count
    text = f"{counted(len(snapshot.tables), 'table')}, {counted(rows, 'row')} read"
    if reading.base is not None:
        text += f", {reading.base.reused_rows:,} of them from the base"
    on_event(Event(stage="dump", message=text, done=rows))
    return writer.finish(snapshot.left_out, fingerprint.result())


def _read(
    reading: _Reading,
    divided: Mapping[str, Sequence[Pages]],
    crew: Crew[_Task, Piece | None],
    fingerprint: Fingerprinter,
) -> Iterator[tuple[Table, Iterator[Block | Piece]]]:
    """Yield all tables in their order, with their rows: in blocks, those of divided ones in the crew's pieces."""

    def give(table: Table) -> dict[int, _Task]:
        tasks = reading.tasks(table, divided[table.name], fingerprint.of(table).canonical)
        return dict(zip(crew.add(tasks), tasks, strict=True))

    tables = reading.snapshot.tables
    # Of inlined tables, the meaning is known only when the rows before theirs are read.
    given = {table.name: give(table) for table in tables if table.name in divided and table.kind == "fixed"}
    for is_divided, run in groupby(tables, lambda table: table.name in divided):
        if is_divided:
            for table in run:
                yield table, reading.packed(given.get(table.name) or give(table), crew)
        else:
            yield from reading.each(list(run))


DUMP_PAGES = 12
"""What a table costs beside its rows when it is dumped: as much as this many pages, the unit of a dump's work."""


def guessed_rows(pages: Mapping[str, int], densities: Mapping[str, float]) -> int:
    """
    Return about how many rows tables have; 0 where the server's statistics don't say.

    Args:
        densities: rows a page, of those tables that the server has statistics of.
    """
    known = sum(count for name, count in pages.items() if name in densities)
    if known < 0.9 * sum(pages.values()):
        return 0
    return round(sum(count * densities[name] for name, count in pages.items() if name in densities))
