"""
A backup of one backend becomes one of another.

Rows of fixed tables are the same text everywhere, and their definitions are the spec's. Inlined rows become values of
DuckDB and then what the other backend stores. What can't be carried exactly is refused by name; and the new backup is
proved like every other, and means what the old one does, or nobody gets it.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
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
from dlbackup.lake.fingerprint import Fingerprint, Fingerprinter, TablePart
from dlbackup.lake.inlined import INLINED_COLUMNS, lake_table_id
from dlbackup.lake.layouts import TABLES, Layouts, folded
from dlbackup.runtime.memory import collector_paused
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.runtime.scratch import scratch_folder
from dlbackup.stores.contract import Where
from dlbackup.stores.encrypted import keyed
from dlbackup.stores.keys import ENDING, of_one_run
from dlbackup.stores.named import where_named
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.digest import Block, digest, total
from dlbackup.tables.quoting import quote_literal
from dlbackup.tables.rows import parse, statements_of, without_bytes
from dlbackup.tables.types import Dialect, written_as
from dlbackup.transfer.carriable import (
    called_in,
    holds_nul,
    is_left_out,
    refuse_strange,
    say_what_fails,
    say_what_stays,
    way_out,
)
from dlbackup.transfer.encoding import (
    Form,
    declared_in,
    form_in,
    generation_of,
    is_float,
    is_reworded,
    limits_of,
    may_store,
    schema_in,
    stored_in,
    value_type_in,
    values_of,
    without_nan_sign,
)

_LEVEL = 1
_OWN = len(INLINED_COLUMNS["inlined-data"])
_CORRECT = (
    "so it can't flush them either; 1.5 writes quotes and backslashes in lists, structs and maps otherwise than it"
    r" reads them: correct the text in that table of the catalog ('it\'s' instead of 'it''s'), and DuckDB reads it too"
)
_REGISTRY = "ducklake_inlined_data_tables"


def _as_it_is(table: Table) -> Table:
    return table


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
        if reader.header.dialect == dialect:
            yield reader
            return
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

    It is encrypted, as what it is made of may be, by a key that is in memory alone.

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
    where = keyed(where_named(folder / f"converted.sql.zst{ENDING}"), of_one_run())
    with (
        backup.open() as reader,
        where.store.create(where.name) as sink,
        BackupWriter(sink, header, _LEVEL) as writer,
        workbench() as bench,
        collector_paused(),
    ):
        refuse_strange(reader, dialect)
        conversion = _Conversion(reader, header, bench, writer, dressed)
        say_what_stays(reader, conversion.left_out, on_event)
        say_what_fails(reader, dialect, on_event)
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


@dataclass(frozen=True, slots=True)
class _Side:
    """How one of both catalogs stores the rows of an inlined table."""

    table: Table
    forms: Sequence[Form]

    def without_nan_signs(self, types: Sequence[str]) -> "_Side":
        """Return the same with NaN as PostgreSQL prints it; the values are of these DuckDB types."""
        forms = zip(self.forms, types, strict=True)
        return _Side(self.table, [without_nan_sign(form) if is_float(type_) else form for form, type_ in forms])

    def texts(self, bench: Workbench) -> Iterator[Block]:
        """Yield the rows on the bench as they stand in a backup."""
        queries = [form.writing(f"v{number}") for number, form in enumerate(self.forms)]
        literals = [form.literal for form in self.forms]

        def text(row: Texts) -> bytes:
            values = ("NULL" if value is None else way(value) for value, way in zip(row, literals, strict=True))
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
        self._from, self._to = reader.manifest.header.dialect, header.dialect
        inlined = [entry for entry in reader.manifest.tables if entry.kind == "inlined-data"]
        self.left_out = {it.table.name for it in inlined if is_left_out(it, self._to)}
        """Tables that the new catalog can't have, and nobody misses."""
        if limits_of(self._to).untyped:
            unread = (it for it in inlined if not (it.rows and self._layouts.knows(it.table)))
            self.left_out |= {it.table.name for it in unread if self._is_untold(it.table)}

    def _is_untold(self, table: Table) -> bool:
        """Tell whether the lake doesn't say of which types the rows in an inlined table are."""
        return self._layouts.of(table, lambda column, type_: bool(type_)) is None

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
        if entry.table.name in self.left_out:
            return
        if entry.kind == "inlined-data":
            self._inlined(entry, blocks)
        elif entry.table.name == _REGISTRY and self.left_out:
            self._registered(entry, blocks)
        else:
            self._as_is(entry, blocks)

    def _as_is(self, entry: Entry, blocks: Iterable[RowBlock]) -> None:
        """Write a table whose rows are the same text everywhere, but for texts that stand as bytes somewhere."""
        encoded = self._encoded(entry)
        if entry.kind == "fixed":
            table = self._fixed(entry.table.name, encoded)
        else:
            table = self._plain(entry.table, [column.type for column in entry.table.columns])

        parts = [fingerprint.of(entry.table) for fingerprint in (self.expected, self._as_it_is)]
        rows = (_seen(block, parts) for block in blocks)
        if encoded or any(column.encoded for column in entry.table.columns):
            rows = (self._reworded(block, entry.table, table) for block in rows)
        self._writer.write_table(self._dressed(table), rows, self.written.of(table))

    def _fixed(self, name: str, encoded: Container[str] = ()) -> Table:
        """Return a table of the spec as an engine makes it; texts of some columns may stand as bytes."""
        table = spec.load(self._header.spec_version)[name]
        columns = (
            replace(it, encoded=it.name in encoded, declared=declared_in(self._to, it.type)) for it in table.columns
        )
        return replace(table, columns=tuple(columns))

    def _encoded(self, entry: Entry) -> frozenset[str]:
        """Return the columns of a fixed table of which some texts have to stand as bytes where they come to."""
        if entry.kind != "fixed" or not limits_of(self._to).single:
            return frozenset()
        found: set[str] = set()
        for block in self._reader.scan_table(entry):
            if b"\r\n" in b"".join(block.rows):
                values = (zip(entry.table.column_names, parse(bytes(row)), strict=True) for row in block.rows)
                found.update(name for row in values for name, value in row if value and "\r\n" in value)
        return frozenset(found)

    def _reworded(self, block: Block, table: Table, other: Table) -> Block:
        """Return rows of a fixed table in the words of the other one."""
        forms = [form_in(self._to, column, "VARCHAR") for column in other.columns]
        rows = []
        for row in block:
            values = parse(bytes(row))
            nul = [name for name, value in zip(table.column_names, values, strict=True) if value and "\0" in value]
            if nul:
                raise holds_nul(table, nul)
            texts = ("NULL" if it is None else form.literal(it) for it, form in zip(values, forms, strict=True))
            rows.append(",".join(texts).encode() + b"\n")
        return rows

    def _registered(self, entry: Entry, blocks: Iterable[RowBlock]) -> None:
        """Write the list of inlined tables without those that are left out."""
        table = self._fixed(entry.table.name)
        place = entry.table.column_names.index("table_name")
        rows = [bytes(row) for block in blocks for row in block.rows]
        rows = [row for row in rows if parse(row)[place] not in self.left_out]
        for fingerprint in (self.expected, self._as_it_is):
            fingerprint.of(entry.table).add(rows, digest(rows))
        self._writer.write_table(self._dressed(table), statements_of([rows]), self.written.of(table))

    def _inlined(self, entry: Entry, blocks: Iterable[RowBlock]) -> None:
        types = self._value_types(entry)
        ours = _Side(entry.table, [form_in(self._from, *each) for each in zip(entry.table.columns, types, strict=True)])
        plain = self._as_it_is.of(entry.table)
        rows: Iterable[Block] = (_seen(block, [plain]) for block in blocks)
        if limits_of(self._from).single:
            rows = (_readable(entry.table, block) for block in rows)
        self._bench.load([form.reading(f"c{number}") for number, form in enumerate(ours.forms)], rows)
        theirs = self._other_side(entry, types)
        self._refuse_lost(theirs)
        self._expect(ours, types, plain)
        self._writer.write_table(
            self._dressed(theirs.table), statements_of(theirs.texts(self._bench)), self.written.of(theirs.table)
        )

    def _expect(self, ours: _Side, types: Sequence[str], plain: TablePart) -> None:
        """Note what the values on the bench mean as one engine would write them, and refuse other texts."""
        is_nan = [f"isnan(v{number})" for number, type_ in enumerate(types) if is_float(type_)]
        loses_signs = not limits_of(self._to).nan_signs and any(self._bench.any(is_nan))
        normal = self.expected.of(ours.table)
        for block in (ours.without_nan_signs(types) if loses_signs else ours).texts(self._bench):
            normal.add(block, digest(block))
        again = normal.rows
        if loses_signs:
            again = total(plain.canonical.meaning(block, digest(block)) for block in ours.texts(self._bench))
        if again != plain.rows and not any(map(is_reworded, types)):
            raise RestoredOtherwise(
                f"inlined rows of {called_in(self._reader, ours.table)} read otherwise when they are written again",
                "this is a bug in dlbackup: report it; nothing was written",
            )

    def _plain(self, table: Table, types: Sequence[str]) -> Table:
        """Return an inlined table as an engine makes it: names and types, and nothing else."""
        columns = (
            Column(name=name, type=type_, declared=declared_in(self._to, type_))
            for name, type_ in zip(table.column_names, types, strict=True)
        )
        return Table(name=table.name, columns=tuple(columns))

    def _value_types(self, entry: Entry) -> list[str]:
        """Return DuckDB's types of the values in an inlined table's columns, as DuckDB prints them."""
        table = entry.table
        found = [value_type_in(self._from, column) for column in table.columns]
        found[:_OWN] = ["BIGINT"] * _OWN
        if None in found:
            layout = self._layouts.of(table, lambda column, type_: may_store(self._from, column, type_))
            is_untold = layout is None or (limits_of(self._to).untyped and self._is_untold(table))
            if is_untold and entry.rows and self._layouts.knows(table):
                raise NotCarried(
                    f"nobody knows of which types the rows of {called_in(self._reader, table)} are: no layout of"
                    " the lake's has such columns, or several have",
                    way_out(self._header.spec_version),
                )
            layout = layout or {folded(column.name): values_of(self._from, column) for column in table.columns[_OWN:]}
            found[_OWN:] = [layout[folded(column.name)] for column in table.columns[_OWN:]]
        types = [it and self._bench.printed_type(it) for it in found]
        unknown = [column.name for column, type_ in zip(table.columns, types, strict=True) if not type_]
        if unknown:
            raise NotCarried(
                f"{called_in(self._reader, table)} has columns of types that this DuckDB doesn't have:"
                f" {listed(unknown)}",
                "use a newer DuckDB",
            )
        return [type_ for type_ in types if type_]

    def _other_side(self, entry: Entry, types: Sequence[str]) -> _Side:
        """Return how the values on the bench are stored where they come to."""
        table = entry.table
        to, generation = self._to, generation_of(self._header.spec_version)
        stored = ["bigint"] * _OWN + [stored_in(to, type_, generation) for type_ in types[_OWN:]]
        unread = [column.name for column, it in zip(table.columns, stored, strict=True) if not it]
        if unread and entry.rows:
            raise NotCarried(
                f"{called_in(self._reader, table)} holds inlined values of types that DuckDB {generation} doesn't read"
                f" rightly there, in column {listed(unread, separator=', ')}",
                way_out(self._header.spec_version),
            )
        stored = [it or stored_in(to, type_, "1.4") for it, type_ in zip(stored, types, strict=True)]
        other = self._plain(table, stored)
        if limits_of(to).nul:
            condition = limits_of(to).encoded
            asked = [condition.replace("{v}", f"cast(v{number} as varchar)") for number in range(len(types))]
            columns = zip(other.columns, types, self._bench.any(asked), strict=True)
            other = replace(
                other, columns=tuple(replace(it, encoded=found and type_ != "BLOB") for it, type_, found in columns)
            )
        return _Side(other, [form_in(to, *each) for each in zip(other.columns, types, strict=True)])

    def _refuse_lost(self, side: _Side) -> None:
        """Refuse values that nobody can read, or that the other backend can't hold."""
        table, forms = side.table, list(enumerate(side.forms))
        unread = ["false" if form.is_empty else f"c{it} is not null and v{it} is null" for it, form in forms]
        if names := self._fulfilling(table, unread):
            raise NotCarried(
                f"{called_in(self._reader, table)} holds inlined values that DuckDB doesn't read, in column"
                f" {listed(names, separator=', ')}",
                way_out(self._header.spec_version, _CORRECT),
            )
        lost = [f"c{it} is not null and not coalesce({form.holding(f'v{it}')}, false)" for it, form in forms]
        if names := self._fulfilling(table, lost):
            raise NotCarried(
                f"{called_in(self._reader, table)} holds inlined values that the other catalog can't hold as they"
                f" are, in column {listed(names, separator=', ')}",
                way_out(self._header.spec_version),
            )

    def _fulfilling(self, table: Table, conditions: Sequence[str]) -> list[str]:
        """Return the columns of which a row fulfils the condition."""
        return [name for name, it in zip(table.column_names, self._bench.any(conditions), strict=True) if it]


def _seen(block: RowBlock, parts: Iterable[TablePart]) -> Block:
    for part in parts:
        part.add(block.rows, block.digest)
    return block.rows


def _readable(table: Table, rows: Block) -> Block:
    """Return rows as CSV in which bytes, and texts of which some stand as bytes, stand as PostgreSQL prints bytes."""
    encoded = [column.encoded for column in table.columns]
    if not any(encoded):
        return without_bytes(map(bytes, rows))
    bare = [written_as(column.type) in ("integer", "boolean", "real") for column in table.columns]

    def text(value: str | None, is_bare: bool, as_bytes: bool) -> str:
        if value is None or is_bare:
            return value or "NULL"
        return quote_literal(rf"\x{value.encode().hex()}" if as_bytes else value)

    return [",".join(map(text, parse(bytes(row)), bare, encoded)).encode() + b"\n" for row in rows]


def _rows_of(reader: BackupReader, name: str) -> Iterator[dict[str, str | None]]:
    """Yield the rows of a table, if the backup has it."""
    for entry in reader.manifest.tables:
        if entry.table.name == name:
            for block in reader.scan_table(entry):
                for row in block.rows:
                    yield dict(zip(entry.table.column_names, parse(bytes(row)), strict=True))
