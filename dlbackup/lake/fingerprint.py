"""
What a lake means, as a digest that does not change with the spec version.

Every row is brought into the layout of 1.0: columns that came until then get the value that a good migration gives
them, and those that came later count where they hold something. A table that has that layout already needs no work: its
part is the rows digest. So the fingerprint is equal before and after every good migration, and different after any real
change: a lost list of a partial file, or a NULL where a value belongs.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from dlbackup.lake import spec
from dlbackup.lake.canonical import RENAMED, REWORDED, Canonical, canonical_layout, canonical_of, is_regular
from dlbackup.tables.definition import Table, inlined_table_id
from dlbackup.tables.digest import Block, Rows, add_digests, digest, total
from dlbackup.tables.rows import parse

Seen = Callable[[Table, bytes, bytes], None]
"""Is told a row: its table, its canonical text, and its text as it is."""
_SCHEMA_VERSIONS = "ducklake_schema_versions"

_DERIVED_FROM = frozenset({_SCHEMA_VERSIONS, "ducklake_snapshot", "ducklake_table"})


@dataclass(frozen=True, slots=True)
class Part:
    """The part of one table, or of all inlined rows or deletes: how many rows, and their digest."""

    name: str
    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The parts in the order of their names, and one value over all of them."""

    value: str
    parts: tuple[Part, ...]

    def differences(self, other: "Fingerprint") -> list[tuple[str, str]]:
        """Return the names of the parts in which two fingerprints differ, and what differs in words."""
        ours = {part.name: part for part in self.parts}
        theirs = {part.name: part for part in other.parts}
        return [
            (name, f"{name}: {_rows(ours.get(name))} before, {_rows(theirs.get(name))} after")
            for name in sorted(ours.keys() | theirs.keys())
            if ours.get(name) != theirs.get(name)
        ]

    def with_rows(self, added: Mapping[str, Rows]) -> "Fingerprint":
        """Return the fingerprint of the lake with more rows in some of its fixed tables."""
        if not added:
            return self
        parts = {part.name: part for part in self.parts}
        for name, rows in added.items():
            part = parts.get(name)
            was = Rows(part.rows, int(part.digest, 16)) if part else Rows(0, 0)
            now = total([was, rows])
            parts[name] = Part(name, now.count, f"{now.digest:016x}")
        return _of_parts(parts)


def _of_parts(found: Mapping[str, Part]) -> Fingerprint:
    parts = tuple(found[name] for name in sorted(found) if found[name].rows)
    value = json.dumps([(part.name, part.rows, part.digest) for part in parts]).encode()
    return Fingerprint(hashlib.sha256(value).hexdigest()[:32], parts)


def kept_tables(before: Fingerprint, after: Fingerprint) -> frozenset[str]:
    """Return the fixed tables in which each column that both layouts have holds the same values as before."""
    changed = {name for name, _ in before.differences(after)}
    return frozenset(RENAMED.get(name, name) for version in spec.described() for name in spec.load(version)) - (
        changed | REWORDED
    )


def _rows(part: Part | None) -> str:
    return f"{part.rows} rows ({part.digest})" if part else "nothing"


class TablePart:
    """
    What the rows of one table give to a fingerprint: all in blocks by `add`.

    Where the table `is_divisible`, others can find the meaning of some of its rows with `canonical`, for `take`.
    """

    __slots__ = ("_canonical", "_look", "_made", "_seen", "rows", "table")

    def __init__(
        self,
        table: Table,
        canonical: Callable[[Table], Canonical],
        look: Callable[[Table, Block], None] | None,
        seen: Seen | None,
    ) -> None:
        self.table = table
        self.rows = Rows(0, 0)
        """How many rows count so far, and the digest of their canonical texts."""
        self._canonical, self._look, self._seen = canonical, look, seen
        self._made: Canonical | None = None

    @property
    def is_divisible(self) -> bool:
        """Whether nobody has to see the rows themselves here."""
        return self._look is None and self._seen is None

    @property
    def canonical(self) -> Canonical:
        """What the meaning of rows is found with; of an inlined table only after the rows of `ducklake_column`."""
        if self._made is None:
            self._made = self._canonical(self.table)
        return self._made

    def add(self, rows: Block, rows_digest: int) -> None:
        """Take some rows, whose own digest is known already."""
        canonical = self.canonical
        if self._look is not None:
            self._look(self.table, rows)
        if self._seen is not None:
            for row in map(bytes, rows):
                text = canonical.text(row)
                if text is not None:
                    self._seen(self.table, text, row)
        self.take(canonical.meaning(rows, rows_digest))

    def take(self, meaning: Rows) -> None:
        """Take what `canonical` made of some rows."""
        self.rows = total((self.rows, meaning))


class Fingerprinter:
    """Takes all rows of one catalog, table by table (see `of`); `result` at the end."""

    def __init__(self, version: str, seen: Seen | None = None) -> None:
        self._version, self._seen = version, seen
        self._known = bool(spec.load(version))
        self._derives = self._known and spec.is_older(version, "0.4")
        self._tables: dict[str, TablePart] = {}
        self._lives: list[tuple[int, int, int | None]] = []  # (table_id, begin, end) of ducklake_table
        self._versions: dict[int, int] = {}  # the first snapshot of each schema version
        self._singles: dict[int | None, set[str]] = {}  # the float32 columns by table_id

    def of(self, table: Table) -> TablePart:
        """Return what takes the rows of a table; the same one each time."""
        if table.name not in self._tables:
            seen = None if self._is_replaced(table) else self._seen
            self._tables[table.name] = TablePart(table, self._canonical, self._looking(table), seen)
        return self._tables[table.name]

    def _canonical(self, table: Table) -> Canonical:
        if not self._is_regular(table):
            return Canonical(None)
        singles = self._singles.get(inlined_table_id(table.name), set())
        return canonical_of(RENAMED.get(table.name, table.name), table, singles)

    def _is_regular(self, table: Table) -> bool:
        return self._known and is_regular(table, self._version)

    def _looking(self, table: Table) -> Callable[[Table, Block], None] | None:
        """Return what has to see the rows of a table because the meaning of other rows hangs on them."""
        if table.name == "ducklake_column":
            return self._remember_singles
        derived_from = self._derives and table.name in _DERIVED_FROM
        return self._remember if derived_from and self._is_regular(table) else None

    def _is_replaced(self, table: Table) -> bool:
        """Tell whether what counts is not the rows of this table but what is derived from them."""
        return self._derives and table.name == _SCHEMA_VERSIONS and self._is_regular(table)

    def result(self) -> Fingerprint:
        """Return the fingerprint of all that was taken."""
        found = {}
        inlined: dict[str, list[tuple[str, int, str]]] = {"inlined rows": [], "inlined deletes": []}
        for taken in self._tables.values():
            name, rows, text = part_of(taken.table), taken.rows.count, f"{taken.rows.digest:016x}"
            if taken.table.kind != "fixed":
                inlined[name] += [(taken.table.name, rows, text)] if rows else []
            elif not self._is_replaced(taken.table):
                found[name] = Part(name, rows, text)
        if self._derives:
            found[_SCHEMA_VERSIONS] = self._derived_schema_versions()
        for name, tables in inlined.items():
            text = hashlib.sha256(json.dumps(sorted(tables)).encode()).hexdigest()[:16]
            found[name] = Part(name, sum(count for _, count, _ in tables), text)
        return _of_parts(found)

    def _remember_singles(self, table: Table, rows: Block) -> None:
        """Keep the columns of type float32: 1.4 inlines them as double precision, 1.5 as real."""
        for row in map(bytes, rows):
            if b"'float32'" in row:
                values = dict(zip(table.column_names, parse(row), strict=True))
                table_id, name = values.get("table_id"), values.get("column_name")
                if table_id is not None and name is not None and values.get("column_type") == "float32":
                    self._singles.setdefault(int(table_id), set()).add(name)

    def _remember(self, table: Table, block: Block) -> None:
        """Keep what the per-table form of schema versions is derived from."""
        place = {name: number for number, name in enumerate(table.column_names)}
        rows = map(bytes, block)
        if table.name == "ducklake_table":
            for row in rows:
                values = parse(row)
                end = values[place["end_snapshot"]]
                begin = int(values[place["begin_snapshot"]] or 0)
                self._lives.append((int(values[place["table_id"]] or 0), begin, None if end is None else int(end)))
        elif table.name == _SCHEMA_VERSIONS or not spec.load(self._version).get(_SCHEMA_VERSIONS):
            snapshot = place["begin_snapshot" if table.name == _SCHEMA_VERSIONS else "snapshot_id"]
            for row in rows:
                values = parse(row)
                begin, number = int(values[snapshot] or 0), int(values[place["schema_version"]] or 0)
                self._versions[number] = min(begin, self._versions.get(number, begin))

    def _derived_schema_versions(self) -> Part:
        """Return what a good migration makes of versions that were not kept by table."""
        table = canonical_layout()[_SCHEMA_VERSIONS]
        count = total = 0
        for rows in self._derived_rows():
            count += len(rows)
            total = add_digests(total, digest(rows))
            if self._seen is not None:
                for row in rows:
                    self._seen(table, row, row)
        return Part(_SCHEMA_VERSIONS, count, f"{total:016x}")

    def _derived_rows(self) -> Iterator[list[bytes]]:
        lowest: dict[int, int] = {}  # schema version by table
        born_at: dict[int, int] = {}
        complete: set[int] = set()  # tables that have a version from their begin on
        for table, born, _ in self._lives:
            born_at[table] = min(born, born_at.get(table, born))
        for version, begin in self._versions.items():
            tables = [table for table, born, end in self._lives if born <= begin and (end is None or begin <= end)]
            yield [f"{begin},{version},{table}\n".encode() for table in tables]
            for table in tables:
                lowest[table] = min(version, lowest.get(table, version))
                if begin <= born_at[table]:
                    complete.add(table)
        # Where the snapshot that made the table has expired, as aftercare's rule schema-version-holes has it.
        yield [
            f"{born},{lowest.get(table, 1) - 1},{table}\n".encode()
            for table, born in born_at.items()
            if table not in complete
        ]


def part_of(table: Table) -> str:
    """Return the name of the part of the fingerprint that a table's rows count in."""
    if table.kind == "fixed":
        return RENAMED.get(table.name, table.name)
    return "inlined rows" if table.kind == "inlined-data" else "inlined deletes"
