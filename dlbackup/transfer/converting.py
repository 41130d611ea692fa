"""
A backup of one backend becomes one of another.

Rows of fixed tables are the same text everywhere, and their definitions are the spec's. Inlined rows become values of
DuckDB and then what the other backend stores. What can't be carried exactly is refused by name; and the new backup is
proved like every other, and means what the old one does, or nobody gets it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path

from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.backupfile.frames import packed_by
from dlbackup.backupfile.manifest import FORMATS, Entry, Header, Source
from dlbackup.backupfile.prover import prove_file
from dlbackup.backupfile.reader import BackupReader
from dlbackup.backupfile.scanner import RowBlock
from dlbackup.backupfile.writer import BackupWriter
from dlbackup.catalogs.values import Texts, Workbench, workbench
from dlbackup.errors import NotCarried, RestoredOtherwise, listed
from dlbackup.lake import spec
from dlbackup.lake.canonical import is_regular
from dlbackup.lake.fingerprint import Fingerprint, Fingerprinter, TablePart
from dlbackup.lake.inlined import INLINED_COLUMNS, begins_right, lake_table_id
from dlbackup.lake.layouts import TABLES, Layouts
from dlbackup.runtime.memory import collector_paused
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.runtime.scratch import scratch_folder
from dlbackup.stores.contract import Where
from dlbackup.stores.named import where_named
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.digest import Block, digest
from dlbackup.tables.quoting import quote_literal
from dlbackup.tables.rows import parse, statements_of
from dlbackup.tables.types import Dialect, written_as
from dlbackup.transfer.encoding import (
    Form,
    form_in,
    generation_of,
    is_reworded,
    limits_of,
    may_store,
    refuse_kinds,
    schema_in,
    stored_in,
    value_type_in,
    values_of,
)

_LEVEL = 1
_OWN = len(INLINED_COLUMNS["inlined-data"])
_FLUSH = "have DuckLake write the inlined rows into files first: CALL ducklake_flush_inlined_data('lake')"
_MIGRATE = "migrate the lake to 0.3 or later first, or have DuckDB write these tables anew without inlining"
_REGISTRY = "ducklake_inlined_data_tables"
_HAS_NUL = "contains(cast({v} as varchar), chr(0))"


def _as_it_is(table: Table) -> Table:
    return table


def _way_out(version: str) -> str:
    """Return what to do about inlined rows of a lake of that version."""
    return _FLUSH if spec.load(version) and not spec.is_older(version, "0.3") else _MIGRATE


@contextmanager
def read_as(where: Where, dialect: Dialect, on_event: OnEvent = ignore) -> Iterator[BackupReader]:
    """
    Open a backup for a backend: as it is, or a copy in that one's words, which is gone at the end of the block.

    Raises:
        NotCarried: something in it can't be carried exactly.
        RestoredOtherwise: the copy would mean something else.
        BackupError: it is no good backup; StorageError: it can't be read, or there is no room for the copy.
    """
    with BackupReader(where) as reader:
        if reader.manifest.header.dialect == dialect:
            yield reader
            return
    refuse_kinds(reader.manifest.header.dialect, dialect)
    proved, _ = prove_file(where, on_event=on_event)
    with (
        scratch_folder("dlbackup-convert-") as folder,
        converted(proved, dialect, folder, on_event).open() as reader,
    ):
        yield reader


def converted(
    backup: VerifiedBackup,
    dialect: Dialect,
    folder: Path,
    on_event: OnEvent = ignore,
    *,
    dressed: Callable[[Table], Table] = _as_it_is,
) -> VerifiedBackup:
    """
    Write the same backup in the words of another backend into a folder, and prove it; raises as `read_as`.

    Args:
        dressed: returns each table with what else is to hang on it.
    """
    source = backup.manifest.header
    on_event(Event(stage="convert", message=f"from {source.dialect} to {dialect}: inlined rows are stored otherwise"))
    header = replace(
        source,
        format=FORMATS[dialect],
        dialect=dialect,
        moment=None,
        packed=packed_by(_LEVEL),
        source=Source(
            database=source.source.database,
            schema=schema_in(dialect, source.dialect, source.source.schema),
            server_version=source.source.server_version,
            encoding="UTF8",
        ),
    )
    where = where_named(folder / "converted.sql.zst")
    with (
        backup.open() as reader,
        where.store.create(where.name) as sink,
        BackupWriter(sink, header, _LEVEL) as writer,
        workbench() as bench,
        collector_paused(),
    ):
        _refuse_strange(reader, dialect)
        _say_what_stays(reader, dialect, on_event)
        conversion = _Conversion(reader, header, bench, writer, dressed)
        conversion.run()
        writer.finish(reader.manifest.left_out, conversion.written.result())
    made, _ = prove_file(where, on_event=on_event)
    _prove_meaning(conversion.expected.result(), made.manifest.fingerprint)
    return made


def _prove_meaning(expected: Fingerprint, found: Fingerprint | None) -> None:
    """Raise where the converted backup means something else."""
    if found is None or expected != found:
        differences = expected.differences(found) if found is not None else []
        raise RestoredOtherwise(
            f"converted, the catalog means something else: {listed([what for _, what in differences])}",
            "this is a bug in dlbackup: report it; nothing was written",
        )


def _refuse_strange(reader: BackupReader, dialect: Dialect) -> None:
    """Refuse what the manifest alone says can't be carried."""
    manifest = reader.manifest
    version = manifest.header.spec_version
    if not spec.load(version):
        raise NotCarried(
            f"the catalog has spec version {version or 'unknown'}, of which dlbackup doesn't know the tables",
            "a newer dlbackup may; the same kind of catalog can hold it",
        )
    fixed = [entry.table for entry in manifest.tables if entry.kind == "fixed"]
    strange = [table.name for table in fixed if not is_regular(table, version)]
    if strange:
        raise NotCarried(
            f"tables that DuckLake {version} doesn't have, or not so, can't be carried to another kind of catalog:"
            f" {listed(strange, separator=', ')}",
            "drop what doesn't belong to DuckLake, or take it out of the catalog's schema",
        )
    limits = limits_of(dialect)
    for entry in manifest.tables:
        if _is_left_out(entry, dialect):
            continue
        table = entry.table
        encoded = [column.name for column in table.columns if column.encoded]
        if entry.kind == "fixed" and encoded and not limits.nul:
            raise NotCarried(
                f"texts of table {table.name} hold NUL, in column {listed(encoded, separator=', ')}, which no text of"
                " the other catalog can",
                "change what is named so, and expire the older snapshots",
            )
        has_more = entry.kind == "inlined-delete" and len(table.columns) > len(INLINED_COLUMNS[entry.kind])
        if entry.kind != "fixed" and (has_more or not begins_right(table)):
            raise NotCarried(
                f"table {table.name} doesn't have DuckLake's own columns, so nobody knows what is in it",
                "dlbackup check says more",
            )
        if long := _too_long(table, dialect):
            raise NotCarried(
                f"table {table.name} has inlined rows with names of more than {limits.name_bytes} bytes, which the"
                f" other catalog cuts: {listed(long)}",
                _way_out(version),
            )
        if _is_too_wide(table, dialect):
            raise NotCarried(
                f"table {table.name} has {len(table.columns)} columns, and the other catalog takes {limits.columns}",
                _way_out(version),
            )


def _too_long(table: Table, dialect: Dialect) -> list[str]:
    most = limits_of(dialect).name_bytes
    return [name for name in table.column_names if most and len(name.encode()) > most]


def _is_too_wide(table: Table, dialect: Dialect) -> bool:
    most = limits_of(dialect).columns
    return bool(most) and len(table.columns) > most


def _is_left_out(entry: Entry, dialect: Dialect) -> bool:
    """Tell whether a table is for inlined rows that it hasn't, and that the other catalog can't have: flushed ones."""
    is_impossible = bool(_too_long(entry.table, dialect)) or _is_too_wide(entry.table, dialect)
    return entry.kind == "inlined-data" and not entry.rows and is_impossible


def _say_what_stays(reader: BackupReader, dialect: Dialect, on_event: OnEvent) -> None:
    """Warn of what hangs on tables beside what DuckLake makes."""
    stays = []
    for entry in reader.manifest.tables:
        table = entry.table
        stays += [f"the empty table {table.name}"] if _is_left_out(entry, dialect) else []
        stays += [f"index {index.name}" for index in table.indexes]
        stays += [f"sequence {sequence.name}" for sequence in table.sequences]
        stays += [f"row-level security of table {table.name}"] if table.row_security else []
        stays += [f"privileges on table {table.name}"] if table.grants else []
        if table.comment is not None or any(column.comment is not None for column in table.columns):
            stays.append(f"comments on table {table.name}")
    if stays:
        on_event(Event(stage="convert", message=f"not carried to another kind: {listed(stays)}", warning=True))


@dataclass(frozen=True, slots=True)
class _Side:
    """How one of both catalogs stores the rows of an inlined table."""

    table: Table
    forms: Sequence[Form]

    def texts(self, bench: Workbench) -> Iterator[Block]:
        """Yield the rows on the bench as they stand in a backup."""
        queries = [form.writing(f"v{number}") for number, form in enumerate(self.forms)]
        bare = [written_as(column.type) != "text" for column in self.table.columns]
        printed = [form.printed for form in self.forms]

        def text(row: Texts) -> bytes:
            values = [
                "NULL" if value is None else value if plain else quote_literal(way(value) if way else value)
                for value, plain, way in zip(row, bare, printed, strict=True)
            ]
            return ",".join(values).encode() + b"\n"

        for rows in bench.rows(queries):
            yield [text(row) for row in rows]


class _Conversion:
    """
    One run over a backup.

    Args:
        reader: what is read; header: of what is written.
    """

    def __init__(
        self,
        reader: BackupReader,
        header: Header,
        bench: Workbench,
        writer: BackupWriter,
        dressed: Callable[[Table], Table],
    ) -> None:
        self.expected = Fingerprinter(header.spec_version)
        """What the source means, with its inlined values as one engine would write them."""
        self.written = Fingerprinter(header.spec_version)
        self._as_it_is = Fingerprinter(header.spec_version)
        self._reader, self._header = reader, header
        self._bench, self._writer, self._dressed = bench, writer, dressed
        self._from = reader.manifest.header.dialect
        self._left_out = {it.table.name for it in reader.manifest.tables if _is_left_out(it, header.dialect)}

    @cached_property
    def _layouts(self) -> Layouts:
        """What the lake's tables were like, as far as they have inlined rows; many catalogs don't have to say it."""
        inlined = frozenset(
            lake_table_id(entry.table) for entry in self._reader.manifest.tables if entry.kind == "inlined-data"
        )
        return Layouts({name: _rows_of(self._reader, name) for name in TABLES}, inlined)

    def run(self) -> None:
        """Convert all tables."""
        tables = 0

        def number(item: Entry | RowBlock) -> int:
            nonlocal tables
            tables += isinstance(item, Entry)
            return tables

        for _, items in groupby(self._reader.scan(), number):
            self._table(items)

    def _table(self, items: Iterator[Entry | RowBlock]) -> None:
        """Convert one table: its entry, and then its rows."""
        entry = next(items)
        assert isinstance(entry, Entry)  # noqa: S101 - as `scan` promises
        blocks = (item for item in items if isinstance(item, RowBlock))
        if entry.table.name in self._left_out:
            return
        if entry.kind == "inlined-data":
            self._inlined(entry, blocks)
        elif entry.table.name == _REGISTRY and self._left_out:
            self._registered(entry, blocks)
        else:
            self._as_is(entry, blocks)

    def _as_is(self, entry: Entry, blocks: Iterable[RowBlock]) -> None:
        """Write a table whose rows are the same text everywhere."""
        if entry.kind == "fixed":
            table = spec.load(self._header.spec_version)[entry.table.name]
            encoded = {column.name for column in entry.table.columns if column.encoded}
            columns = tuple(replace(column, encoded=column.name in encoded) for column in table.columns)
            table = replace(table, columns=columns)
        else:
            table = _plain(entry.table, [column.type for column in entry.table.columns])

        parts = [fingerprint.of(entry.table) for fingerprint in (self.expected, self._as_it_is)]
        rows = (_seen(block, parts) for block in blocks)
        self._writer.write_table(self._dressed(table), rows, self.written.of(table))

    def _registered(self, entry: Entry, blocks: Iterable[RowBlock]) -> None:
        """Write the list of inlined tables without those that are left out."""
        table = spec.load(self._header.spec_version)[entry.table.name]
        place = entry.table.column_names.index("table_name")
        rows = [bytes(row) for block in blocks for row in block.rows]
        rows = [row for row in rows if parse(row)[place] not in self._left_out]
        for fingerprint in (self.expected, self._as_it_is):
            fingerprint.of(entry.table).add(rows, digest(rows))
        self._writer.write_table(self._dressed(table), statements_of([rows]), self.written.of(table))

    def _inlined(self, entry: Entry, blocks: Iterable[RowBlock]) -> None:
        types = self._value_types(entry)
        ours = _Side(entry.table, [form_in(self._from, *each) for each in zip(entry.table.columns, types, strict=True)])
        plain = self._as_it_is.of(entry.table)
        self._bench.load(
            [form.reading(f"c{number}") for number, form in enumerate(ours.forms)],
            (_seen(block, [plain]) for block in blocks),
        )
        theirs = self._other_side(entry, types)
        self._refuse_lost(theirs)
        normal = self.expected.of(entry.table)
        for block in ours.texts(self._bench):
            normal.add(block, digest(block))
        if normal.rows != plain.rows and not any(map(is_reworded, types)):
            raise RestoredOtherwise(
                f"inlined rows in table {entry.table.name} read otherwise when they are written again",
                "this is a bug in dlbackup: report it; nothing was written",
            )
        rows = statements_of(theirs.texts(self._bench))
        self._writer.write_table(self._dressed(theirs.table), rows, self.written.of(theirs.table))

    def _value_types(self, entry: Entry) -> list[str]:
        """Return DuckDB's types of the values in an inlined table's columns, as DuckDB prints them."""
        table = entry.table
        found = [value_type_in(self._from, column) for column in table.columns]
        found[:_OWN] = ["BIGINT"] * _OWN
        if None in found:
            layout = self._layouts.of(table, lambda column, type_: may_store(self._from, column, type_))
            if layout is None and entry.rows and self._layouts.knows(table):
                raise NotCarried(
                    f"nobody knows of which types the rows in table {table.name} are: no layout of the lake's table has"
                    " such columns, or several have",
                    _way_out(self._header.spec_version),
                )
            layout = layout or {column.name.lower(): values_of(self._from, column) for column in table.columns[_OWN:]}
            found[_OWN:] = [layout[column.name.lower()] for column in table.columns[_OWN:]]
        types = [it and self._bench.printed_type(it) for it in found]
        unknown = [column.name for column, type_ in zip(table.columns, types, strict=True) if not type_]
        if unknown:
            raise NotCarried(
                f"table {table.name} has columns of types that this DuckDB doesn't have: {listed(unknown)}",
                "use a newer DuckDB",
            )
        return [type_ for type_ in types if type_]

    def _other_side(self, entry: Entry, types: Sequence[str]) -> _Side:
        """Return how the values on the bench are stored where they come to."""
        table = entry.table
        to, generation = self._header.dialect, generation_of(self._header.spec_version)
        stored = ["bigint"] * _OWN + [stored_in(to, type_, generation) for type_ in types[_OWN:]]
        unread = [column.name for column, it in zip(table.columns, stored, strict=True) if not it]
        if unread and entry.rows:
            raise NotCarried(
                f"table {table.name} holds inlined values of types that DuckDB {generation} doesn't read rightly there,"
                f" in column {listed(unread, separator=', ')}",
                _way_out(self._header.spec_version),
            )
        stored = [it or stored_in(to, type_, "1.4") for it, type_ in zip(stored, types, strict=True)]
        other = _plain(table, stored)
        if limits_of(to).nul:
            asked = [_HAS_NUL.replace("{v}", f"v{number}") for number in range(len(types))]
            nul = self._bench.any(asked)
            columns = zip(other.columns, types, nul, strict=True)
            other = replace(
                other, columns=tuple(replace(it, encoded=found and type_ != "BLOB") for it, type_, found in columns)
            )
        return _Side(other, [form_in(to, *each) for each in zip(other.columns, types, strict=True)])

    def _refuse_lost(self, side: _Side) -> None:
        """Refuse values that nobody can read, or that the other backend can't hold."""
        conditions = [
            f"c{number} is not null and not coalesce({form.holding(f'v{number}')}, false)"
            for number, form in enumerate(side.forms)
        ]
        lost = [
            name for name, is_lost in zip(side.table.column_names, self._bench.any(conditions), strict=True) if is_lost
        ]
        unread = [f"c{number} is not null and v{number} is null" for number in range(len(side.forms))]
        lost += [name for name, it in zip(side.table.column_names, self._bench.any(unread), strict=True) if it]
        if lost:
            raise NotCarried(
                f"table {side.table.name} holds inlined values that the other catalog can't hold as they are, in column"
                f" {listed(list(dict.fromkeys(lost)), separator=', ')}",
                _way_out(self._header.spec_version),
            )


def _seen(block: RowBlock, parts: Iterable[TablePart]) -> Block:
    for part in parts:
        part.add(block.rows, block.digest)
    return block.rows


def _plain(table: Table, types: Sequence[str]) -> Table:
    """Return an inlined table as an engine makes it: names and types, and nothing else."""
    columns = (Column(name=name, type=type_) for name, type_ in zip(table.column_names, types, strict=True))
    return Table(name=table.name, columns=tuple(columns))


def _rows_of(reader: BackupReader, name: str) -> Iterator[dict[str, str | None]]:
    """Yield the rows of a table, if the backup has it."""
    for entry in reader.manifest.tables:
        if entry.table.name == name:
            for block in reader.scan_table(entry):
                for row in block.rows:
                    yield dict(zip(entry.table.column_names, parse(bytes(row)), strict=True))
