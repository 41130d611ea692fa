"""
What a lake means, as a digest that does not change with the spec version.

Every row is brought into the layout of the newest described version: columns that came later get the
value that a good migration gives them. A table that has that layout already needs no work: its part is
the rows digest. So the fingerprint is equal before and after every good migration, and different after
any real change: a lost list of a partial file, or a NULL where a value belongs.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from dlbackup.lake import spec
from dlbackup.lake.canonical import RENAMED, Canonical, canonical_of, is_regular, meaning_of, newest_layout
from dlbackup.tables.definition import Table, inlined_table_id
from dlbackup.tables.digest import Block, Rows, add_digests, digest
from dlbackup.tables.rows import parse

Seen = Callable[[Table, bytes, bytes], None]
"""Is told a row: its table, its canonical text, and its text as it is."""
_SCHEMA_VERSIONS = "ducklake_schema_versions"


# Equal parts of these don't say that the columns hold the same values: rows are left out, derived or reworded.
_REWORDED = frozenset({"ducklake_column", "ducklake_metadata", "ducklake_table_column_stats", _SCHEMA_VERSIONS})
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


def kept_tables(before: Fingerprint, after: Fingerprint) -> frozenset[str]:
    """Return the fixed tables in which each column that both layouts have holds the same values as before."""
    changed = {name for name, _ in before.differences(after)}
    return frozenset(RENAMED.get(name, name) for version in spec.described() for name in spec.load(version)) - (
        changed | _REWORDED
    )


def _rows(part: Part | None) -> str:
    return f"{part.rows} rows ({part.digest})" if part else "nothing"


class Fingerprinter:
    """Takes all rows of one catalog: `begin` a table, `add` its rows, and so on; `result` at the end."""

    def __init__(self, version: str, seen: Seen | None = None) -> None:
        self._version, self._seen = version, seen
        self._known = bool(spec.load(version))
        self._derives = self._known and spec.is_older(version, "0.4")
        self._parts: dict[str, Part] = {}
        self._inlined: dict[str, list[tuple[str, int, str]]] = {"inlined rows": [], "inlined deletes": []}
        self._lives: list[tuple[int, int, int | None]] = []  # (table_id, begin, end) of ducklake_table
        self._versions: dict[int, int] = {}  # the first snapshot of each schema version
        self._singles: dict[int | None, set[str]] = {}  # the float32 columns by table_id
        self._table: Table | None = None
        self._canonical: Canonical | None = None
        self._remembered = False
        self._rows = self._total = 0

    def begin(self, table: Table) -> None:
        """Say that the rows of this table come now."""
        self._end()
        self._table, self._rows, self._total = table, 0, 0
        self._canonical = self.canonical(table)
        regular = self._known and is_regular(table, self._version)
        self._remembered = regular and self._derives and table.name in _DERIVED_FROM

    def add(self, rows: Block, rows_digest: int) -> None:
        """Take some rows of the table, whose own digest is known already."""
        if self._table is not None and self._table.name == "ducklake_column":
            self._remember_singles(self._table, rows)
        if self._remembered and self._table is not None:
            self._remember(self._table, (bytes(row) for row in rows))
        if self._seen is not None and self._table is not None and not self._is_replaced(self._table):
            for row in map(bytes, rows):
                text = self._canonical(row) if self._canonical is not None else row
                if text is not None:
                    self._seen(self._table, text, row)
        self.add_part(meaning_of(self._canonical, rows, rows_digest))

    def add_part(self, part: Rows) -> None:
        """Take what `meaning_of` returned for some rows of a table that `is_divisible`."""
        self._rows += part.count
        self._total = add_digests(self._total, part.digest)

    def is_divisible(self, table: Table) -> bool:
        """Tell whether `meaning_of` some rows of a table is all that the fingerprint needs of them."""
        derived = self._derives and table.name in _DERIVED_FROM
        return self._seen is None and not derived and table.name != "ducklake_column"

    def canonical(self, table: Table) -> Canonical | None:
        """Return what `meaning_of` needs; of an inlined table only after the rows of `ducklake_column`."""
        if not (self._known and is_regular(table, self._version)):
            return None
        singles = self._singles.get(inlined_table_id(table.name), set())
        return canonical_of(RENAMED.get(table.name, table.name), table, singles)

    def result(self) -> Fingerprint:
        """Return the fingerprint of all that was taken."""
        self._end()
        if self._derives:
            self._parts[_SCHEMA_VERSIONS] = self._derived_schema_versions()
        for name, found in self._inlined.items():
            text = json.dumps(sorted(found)).encode()
            rows = sum(count for _, count, _ in found)
            self._parts[name] = Part(name, rows, hashlib.sha256(text).hexdigest()[:16])
        parts = tuple(self._parts[name] for name in sorted(self._parts) if self._parts[name].rows)
        text = json.dumps([(part.name, part.rows, part.digest) for part in parts]).encode()
        return Fingerprint(hashlib.sha256(text).hexdigest()[:32], parts)

    def _end(self) -> None:
        table, self._table = self._table, None
        if table is None or self._is_replaced(table):
            return
        text, name = f"{self._total:016x}", part_of(table)
        if table.kind == "fixed":
            self._parts[name] = Part(name, self._rows, text)
        elif self._rows:
            self._inlined[name].append((table.name, self._rows, text))

    def _is_replaced(self, table: Table) -> bool:
        """Tell whether what counts is not the rows of this table but what is derived from them."""
        return self._remembered and table.name == _SCHEMA_VERSIONS

    def _remember_singles(self, table: Table, rows: Block) -> None:
        """Keep the columns of type float32: 1.4 inlines them as double precision, 1.5 as real."""
        for row in map(bytes, rows):
            if b"'float32'" in row:
                values = dict(zip(table.column_names, parse(row), strict=True))
                table_id, name = values.get("table_id"), values.get("column_name")
                if table_id is not None and name is not None and values.get("column_type") == "float32":
                    self._singles.setdefault(int(table_id), set()).add(name)

    def _remember(self, table: Table, rows: Iterable[bytes]) -> None:
        """Keep what the per-table form of schema versions is derived from."""
        place = {name: number for number, name in enumerate(table.column_names)}
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
        table = newest_layout()[_SCHEMA_VERSIONS]
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
