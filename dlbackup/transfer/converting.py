"""
A backup of one backend becomes one of another.

Rows of fixed tables are the same text everywhere, and their definitions are the spec's. Inlined rows become values of
DuckDB and then what the other backend stores. What can't be carried exactly is refused by name; and the new backup is
proved like every other, and means what the old one does, or nobody gets it.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.backupfile.frames import packed_by
from dlbackup.backupfile.manifest import FORMATS, Entry, Header, Source
from dlbackup.backupfile.prover import prove_file
from dlbackup.backupfile.reader import BackupReader
from dlbackup.backupfile.scanner import RowBlock
from dlbackup.backupfile.writer import BackupWriter
from dlbackup.catalogs.values import Workbench, workbench
from dlbackup.errors import RestoredOtherwise, listed
from dlbackup.lake import spec
from dlbackup.lake.fingerprint import Fingerprint, Fingerprinter, TablePart
from dlbackup.runtime.memory import collector_paused
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.runtime.scratch import scratch_folder
from dlbackup.stores.contract import Where
from dlbackup.stores.encrypted import keyed
from dlbackup.stores.keys import ENDING, of_one_run
from dlbackup.stores.named import where_named
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Block, digest
from dlbackup.tables.rows import parse, statements_of
from dlbackup.tables.types import Dialect
from dlbackup.transfer.carriable import holds_nul, is_left_out, refuse_strange, say_what_fails, say_what_stays
from dlbackup.transfer.encoding import declared_in, form_in, limits_of, schema_in
from dlbackup.transfer.inlined import InlinedRows, plain

_LEVEL = 1
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
        self._writer, self._dressed = writer, dressed
        self._to = header.dialect
        inlined = [entry for entry in reader.manifest.tables if entry.kind == "inlined-data"]
        self.left_out = {it.table.name for it in inlined if is_left_out(it, self._to)}
        """Tables that the new catalog can't have, and nobody misses."""
        self._inlined_rows = InlinedRows(reader, self._to, bench)
        self.left_out |= self._inlined_rows.unread()

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
            table = plain(self._to, entry.table, [column.type for column in entry.table.columns])

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
        as_it_is = self._as_it_is.of(entry.table)
        rows = (_seen(block, [as_it_is]) for block in blocks)
        table, others = self._inlined_rows.carried(entry, rows, as_it_is, self.expected.of(entry.table))
        self._writer.write_table(self._dressed(table), statements_of(others), self.written.of(table))


def _seen(block: RowBlock, parts: Iterable[TablePart]) -> Block:
    for part in parts:
        part.add(block.rows, block.digest)
    return block.rows
