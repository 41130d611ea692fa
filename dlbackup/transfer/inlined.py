"""
Inlined rows as another kind of catalog stores them: what they are as values of DuckDB, and those as texts again.

Of which types the values are, the columns say, or the lake's own. What can't be carried exactly is refused by name, and
so are rows that would be other texts if they were written as they were read.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from dlbackup.backupfile.manifest import Entry
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.values import Texts, Workbench
from dlbackup.errors import NotCarried, RestoredOtherwise, listed
from dlbackup.lake.fingerprint import TablePart
from dlbackup.lake.inlined import INLINED_COLUMNS, lake_table_id
from dlbackup.lake.layouts import TABLES, Layouts, folded
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.digest import Block, digest, total
from dlbackup.tables.quoting import quote_literal
from dlbackup.tables.rows import parse, without_bytes
from dlbackup.tables.types import Dialect, written_as
from dlbackup.transfer.carriable import called_in, way_out
from dlbackup.transfer.encoding import (
    Form,
    declared_in,
    form_in,
    generation_of,
    is_float,
    is_reworded,
    limits_of,
    may_store,
    stored_in,
    value_type_in,
    values_of,
    without_nan_sign,
)

_OWN = len(INLINED_COLUMNS["inlined-data"])
_CORRECT = (
    "so it can't flush them either; 1.5 writes quotes and backslashes in lists, structs and maps otherwise than it"
    r" reads them: correct the text in that table of the catalog ('it\'s' instead of 'it''s'), and DuckDB reads it too"
)


def plain(dialect: Dialect, table: Table, types: Sequence[str]) -> Table:
    """Return an inlined table as an engine makes it: names and types, and nothing else."""
    columns = (
        Column(name=name, type=type_, declared=declared_in(dialect, type_))
        for name, type_ in zip(table.column_names, types, strict=True)
    )
    return Table(name=table.name, columns=tuple(columns))


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


class InlinedRows:
    """
    The inlined rows of a backup, as values on a bench.

    Args:
        to: in whose words they are to be.
    """

    def __init__(self, reader: BackupReader, to: Dialect, bench: Workbench) -> None:
        self._reader, self._bench = reader, bench
        self._from, self._to, self._version = reader.header.dialect, to, reader.header.spec_version

    def unread(self) -> set[str]:
        """Return the tables whose rows nobody reads, and of which the other catalog would have to know more."""
        if not limits_of(self._to).untyped:
            return set()
        inlined = (entry for entry in self._reader.manifest.tables if entry.kind == "inlined-data")
        unread = (it for it in inlined if not (it.rows and self._layouts.knows(it.table)))
        return {it.table.name for it in unread if self._is_untold(it.table)}

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

    def carried(
        self, entry: Entry, rows: Iterable[Block], as_it_is: TablePart, expected: TablePart
    ) -> tuple[Table, Iterator[Block]]:
        """
        Return the table that the rows of another become, and those rows; they are read to their end before the next.

        Args:
            as_it_is: has taken all rows by the time that they are read.
            expected: takes what they mean as one engine would write them.

        Raises:
            NotCarried: something in them can't be carried exactly.
            RestoredOtherwise: they are not read as they were written.
        """
        types = self._value_types(entry)
        ours = _Side(entry.table, [form_in(self._from, *each) for each in zip(entry.table.columns, types, strict=True)])
        if limits_of(self._from).single:
            rows = (_readable(entry.table, block) for block in rows)
        self._bench.load([form.reading(f"c{number}") for number, form in enumerate(ours.forms)], rows)
        theirs = self._other_side(entry, types)
        self._refuse_lost(theirs)
        self._expect(ours, types, as_it_is, expected)
        return theirs.table, theirs.texts(self._bench)

    def _expect(self, ours: _Side, types: Sequence[str], as_it_is: TablePart, expected: TablePart) -> None:
        """Note what the values on the bench mean as one engine would write them, and refuse other texts."""
        is_nan = [f"isnan(v{number})" for number, type_ in enumerate(types) if is_float(type_)]
        loses_signs = not limits_of(self._to).nan_signs and any(self._bench.any(is_nan))
        for block in (ours.without_nan_signs(types) if loses_signs else ours).texts(self._bench):
            expected.add(block, digest(block))
        again = expected.rows
        if loses_signs:
            again = total(as_it_is.canonical.meaning(block, digest(block)) for block in ours.texts(self._bench))
        if again != as_it_is.rows and not any(map(is_reworded, types)):
            raise RestoredOtherwise(
                f"inlined rows of {called_in(self._reader, ours.table)} read otherwise when they are written again",
                "this is a bug in dlbackup: report it; nothing was written",
            )

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
                    way_out(self._version),
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
        to, generation = self._to, generation_of(self._version)
        stored = ["bigint"] * _OWN + [stored_in(to, type_, generation) for type_ in types[_OWN:]]
        unread = [column.name for column, it in zip(table.columns, stored, strict=True) if not it]
        if unread and entry.rows:
            raise NotCarried(
                f"{called_in(self._reader, table)} holds inlined values of types that DuckDB {generation} doesn't read"
                f" rightly there, in column {listed(unread, separator=', ')}",
                way_out(self._version),
            )
        stored = [it or stored_in(to, type_, "1.4") for it, type_ in zip(stored, types, strict=True)]
        other = plain(to, table, stored)
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
                way_out(self._version, _CORRECT),
            )
        lost = [f"c{it} is not null and not coalesce({form.holding(f'v{it}')}, false)" for it, form in forms]
        if names := self._fulfilling(table, lost):
            raise NotCarried(
                f"{called_in(self._reader, table)} holds inlined values that the other catalog can't hold as they"
                f" are, in column {listed(names, separator=', ')}",
                way_out(self._version),
            )

    def _fulfilling(self, table: Table, conditions: Sequence[str]) -> list[str]:
        """Return the columns of which a row fulfils the condition."""
        return [name for name, it in zip(table.column_names, self._bench.any(conditions), strict=True) if it]


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
