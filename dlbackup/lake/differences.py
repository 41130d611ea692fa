"""
Which rows make two fingerprints differ: the first few, in words, in memory that does not grow with the catalogs.

Both catalogs are read twice. The first time the canonical rows of each part are summed in buckets, by the first
value of a row, which says what it is about; the second time the rows of a few buckets in which the sums differ
are kept and compared. So what a row was and what it became meet in one bucket.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice

import xxhash

from dlbackup.lake.canonical import canonical_layout
from dlbackup.lake.fingerprint import Seen, part_of
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import add_digests, digest
from dlbackup.tables.rows import parse

Reading = Callable[[Seen], object]
"""Reads all rows of a catalog, with a `Fingerprinter` that tells what it sees."""
SHOWN = 3
"""How many rows are shown of each part."""
_BUCKETS = 4096
_TEXT_CHARACTERS = 60
_METADATA = ("key", "value", "scope", "scope_id")
_Key = tuple[str, str, bytes]
"""A row: its part, the inlined table that it is in, with a colon, and its canonical text."""


def differing_rows(parts: Collection[str], before: Reading, after: Reading) -> dict[str, str]:
    """
    Describe, by part, the first rows that only one of two catalogs has.

    Args:
        parts: the names of the parts of the fingerprint in which they differ.
    """
    sums: dict[str, dict[int, int]] = {part: defaultdict(int) for part in parts}
    before(_summing(sums, 1))
    after(_summing(sums, -1))
    wanted = {
        (part, bucket)
        for part in parts
        for bucket in islice(sorted(bucket for bucket, total in sums[part].items() if total), SHOWN)
    }
    counts: Counter[_Key] = Counter()
    rows: dict[_Key, _Row] = {}
    before(_keeping(wanted, counts, rows, 1))
    after(_keeping(wanted, counts, rows, -1))
    found = {}
    for part in parts:
        gone = sorted(rows[key] for key, count in counts.items() if count > 0 and key[0] == part)
        come = sorted(rows[key] for key, count in counts.items() if count < 0 and key[0] == part)
        found[part] = "; ".join(islice(_described(gone, come), SHOWN))
    return found


@dataclass(frozen=True, slots=True, order=True)
class _Row:
    """One row for people: the inlined table that it is in, its values, and their names."""

    place: str
    values: tuple[str, ...]
    names: tuple[str, ...]

    def __str__(self) -> str:
        named = zip(self.names, self.values, strict=False)
        return self.place + ", ".join(f"{name} {_short(value)}" for name, value in named if value != "NULL")

    def likeness(self, other: "_Row") -> float:
        """Return the part of the values that is the same in two rows about the same thing."""
        if (self.place, self.names, self.values[0]) != (other.place, other.names, other.values[0]):
            return 0
        same = [one for one, two in zip(self.values, other.values, strict=True) if one == two]
        return len(same) / len(self.values)

    def change(self, other: "_Row") -> str:
        """Say what became of this row."""
        changed = [
            f"{name} {_short(one)} before, {_short(two)} after"
            for name, one, two in zip(self.names, self.values, other.values, strict=True)
            if one != two
        ]
        return f"{self.place}{self.names[0]} {_short(self.values[0])}: {', '.join(changed)}"


def _summing(sums: dict[str, dict[int, int]], sign: int) -> Seen:
    def seen(table: Table, text: bytes, row: bytes) -> None:
        if (of_part := sums.get(part_of(table))) is not None:
            bucket = _bucket(text)
            whole = _place(table).encode() + text
            of_part[bucket] = add_digests(of_part[bucket], sign * digest([whole]))

    return seen


def _keeping(wanted: Collection[tuple[str, int]], counts: Counter[_Key], rows: dict[_Key, _Row], sign: int) -> Seen:
    def seen(table: Table, text: bytes, row: bytes) -> None:
        part = part_of(table)
        if (part, _bucket(text)) not in wanted:
            return
        key = (part, _place(table), text)
        counts[key] += sign
        rows[key] = _row(table, text, row)

    return seen


def _place(table: Table) -> str:
    return "" if table.kind == "fixed" else f"{table.name}: "


def _bucket(text: bytes) -> int:
    """Return the number itself where a row begins with a small one, so that the first rows are in the first buckets."""
    first = text.partition(b",")[0].strip(b"[\"'\n")
    return (int(first) if first.isdigit() else xxhash.xxh3_64_intdigest(first)) % _BUCKETS


def _row(table: Table, text: bytes, row: bytes) -> _Row:
    """Return a row for people: inlined ones as they are, since their canonical form is made of bytes."""
    names = table.column_names
    if table.kind != "fixed":
        values = parse(row)
    elif text.startswith(b"["):
        names, values = _METADATA, tuple(json.loads(text))
    else:
        values = parse(text)
        newest = canonical_layout().get(part_of(table))
        if newest is not None and len(newest.columns) == len(values):
            names = newest.column_names
    return _Row(_place(table), tuple("NULL" if value is None else str(value) for value in values), names)


def _described(gone: list[_Row], come: list[_Row]) -> Iterator[str]:
    """Yield what was changed or is gone, then what is there only after."""
    taken = set()
    for row in gone:
        twin = max(come, key=row.likeness, default=None)
        if twin is not None and twin not in taken and row.likeness(twin) >= 0.5:
            taken.add(twin)
            yield row.change(twin)
        else:
            yield f"only before: {row}"
    yield from (f"only after: {row}" for row in come if row not in taken)


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_CHARACTERS else text[:_TEXT_CHARACTERS] + "..."
