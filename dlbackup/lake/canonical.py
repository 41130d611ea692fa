"""
Each row of a catalog as the layout of 1.0 would hold it, so that versions can be compared.

A row that means the same in two spec versions gives the same texts here. The layout stays that of 1.0 whatever comes
later, for fingerprints stand in backups: columns that came later are added to a row where they hold something.
"""

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dlbackup.lake import spec
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.digest import Block, Rows, digest
from dlbackup.tables.printing import interval, numeric
from dlbackup.tables.quoting import quote_literal
from dlbackup.tables.rows import INSIDE, parse, without_bytes
from dlbackup.tables.types import Stored, stored_as

Form = Callable[[bytes], bytes | None]
"""Turns a row's text into its canonical text; None when the row is no part of the meaning."""
RENAMED = {"ducklake_file_column_statistics": "ducklake_file_column_stats"}
"""Tables that a migration renames."""
NULL_TEXT_DEFAULT = "concat('NULL')"
"""
How a default says the text NULL since 0.4, where that text is stored for no default at all.

DuckDB 1.5.5 turns a bare literal into that text when the column is renamed, an expression it keeps.
"""


# What a good migration puts into columns that were added at the end of a table; NULL into all others.
_LATER = {("ducklake_name_mapping", "is_partition"): "false"}


@dataclass(frozen=True, slots=True)
class Canonical:
    """
    How the rows of one table become canonical; a helper process can be sent it.

    Args:
        form: None where the rows are canonical as they are.
    """

    form: Form | None

    def text(self, row: bytes) -> bytes | None:
        """Return a row's canonical text; None when the row is no part of the meaning."""
        return row if self.form is None else self.form(row)

    def meaning(self, rows: Block, rows_digest: int) -> Rows:
        """Count the rows that are part of the meaning and return the digest of their canonical texts."""
        form = self.form
        if form is None or _are_plain_files(form, rows):
            return Rows(len(rows), rows_digest)
        texts = [text for row in rows if (text := form(bytes(row))) is not None]
        return Rows(len(texts), digest(texts))


def canonical_layout() -> dict[str, Table]:
    """Return the tables whose layout canonical rows have."""
    return spec.load("1.0")


def is_regular(table: Table, version: str) -> bool:
    """Tell whether a table has the layout of its version; a damaged one counts as it is."""
    expected = spec.load(version).get(table.name)
    if table.kind != "fixed":
        return True
    return (
        expected is not None
        and table.column_names == expected.column_names
        and all(
            spec.holds_alike(wanted.type, column.type)
            for wanted, column in zip(expected.columns, table.columns, strict=True)
        )
    )


REWORDED = frozenset(
    {"ducklake_column", "ducklake_metadata", "ducklake_table_column_stats", "ducklake_schema_versions"}
)
"""Tables of which equal parts of fingerprints don't say equal rows: rows are left out, derived or reworded."""


def reads_alike(before: Table, version: str, after: Table, later: str) -> bool:
    """
    Tell whether the same rows mean the same in both layouts; `after` may have more columns, which hold NULL for them.

    Args:
        version: whose layout `before` should be.
        later: whose layout `after` should be.
    """
    name = after.name
    if name in REWORDED or not is_regular(before, version) or not is_regular(after, later):
        return False
    shared = len(before.columns)
    if [(it.name, it.type) for it in before.columns] != [(it.name, it.type) for it in after.columns[:shared]]:
        return False
    if after.kind != "fixed":
        return _form(name, after, set()) is None and shared == len(after.columns)
    return not any((name, column) in _LATER for column in after.column_names[shared:])


def columns_of_plain_files(before: Table, version: str, after: Table, later: str) -> int | None:
    """
    Return how many columns of data files have to stay for rows that end in `_PLAIN_FILE` to read alike in both layouts.

    None of another table, and where no such rows read alike.
    """
    if after.name != "ducklake_data_file" or not is_regular(before, version) or not is_regular(after, later):
        return None
    shared = len(before.columns) - _PLAIN_FILE.count(b"NULL")
    alike = [(it.name, it.type) for it in before.columns[:shared]] == [
        (it.name, it.type) for it in after.columns[:shared]
    ]
    return shared if alike and len(after.columns) == len(before.columns) else None


def canonical_of(name: str, table: Table, singles: set[str]) -> Canonical:
    """Return how rows of this table become canonical; `singles` are its float32 columns."""
    return Canonical(_form(name, table, singles))


def _form(name: str, table: Table, singles: set[str]) -> Form | None:
    form = _form_of_texts(name, table, singles)
    if table.kind == "fixed" and any(column.encoded and column.declared for column in table.columns):
        return partial(_of_texts, form)
    return form


def _of_texts(form: Form | None, row: bytes) -> bytes | None:
    """Bring a row whose texts stand as bytes in part, as in a SQLite file's backup, into the form of all others."""
    (row,) = without_bytes([row])
    return row if form is None else form(row)


def _form_of_texts(name: str, table: Table, singles: set[str]) -> Form | None:
    if table.kind != "fixed":
        stored = tuple("single" if column.name in singles else _stored(column) for column in table.columns)
        if set(stored) <= {"alike", "interval"}:
            return partial(_intervals, stored) if "interval" in stored else None
        return partial(_inlined, stored)
    if name == "ducklake_metadata":
        return partial(_without_version, table)
    newest = canonical_layout().get(name)
    later = len(table.columns) - len(newest.columns) if newest is not None else 0
    if name == "ducklake_table_column_stats" and newest is not None:
        return partial(_statistics, b",NULL" * -later + b"\n", b",NULL" * later + b"\n")
    if later > 0:
        return partial(_without_later, b",NULL" * later + b"\n")
    if newest is None or newest.column_names == table.column_names:
        return None
    if name == "ducklake_column":
        return partial(_column, table, newest)
    if name == "ducklake_data_file":
        return partial(_data_file, table, newest)
    added = newest.column_names[len(table.columns) :]
    values = "".join("," + _LATER.get((name, column), "NULL") for column in added)
    return partial(_with_suffix, values.encode() + b"\n")


def _stored(column: Column) -> Stored:
    return "escaped" if column.encoded and not column.declared else stored_as(column.type)


def _with_suffix(suffix: bytes, row: bytes) -> bytes:
    return row[:-1] + suffix


def _without_version(table: Table, row: bytes) -> bytes | None:
    values = dict(zip(table.column_names, parse(row), strict=True))
    if values["key"] == "version" and values.get("scope") is None:
        return None
    return json.dumps([values["key"], values["value"], values.get("scope"), values.get("scope_id")]).encode()


def _without_later(nothing: bytes, row: bytes) -> bytes:
    """Take columns that came after 1.0 off a row where they hold nothing; they are no texts, so its end tells."""
    return row.removesuffix(nothing) + b"\n" if row.endswith(nothing) else row


def _statistics(suffix: bytes, nothing: bytes, row: bytes) -> bytes | None:
    """Leave out a column's statistics that know neither minimum nor maximum: no statistics say the same."""
    text = _without_later(nothing, row)[:-1] + suffix
    return None if text.endswith(b",NULL,NULL,NULL\n") else text


def _column(table: Table, newest: Table, row: bytes) -> bytes:
    """Bring a column of 0.3 or older into the layout of 1.0, where the text NULL as a default has to be quoted."""
    texts = dict(zip(table.column_names, _texts(row), strict=True))
    default, kind, dialect = texts["default_value"], "'literal'", "NULL"
    if default == "'NULL'" and texts["column_type"] in ("'varchar'", "'blob'"):
        default, kind, dialect = quote_literal(NULL_TEXT_DEFAULT), "'expression'", "'duckdb'"
    texts |= {"default_value": default, "default_value_type": kind, "default_value_dialect": dialect}
    return ",".join(texts[column] for column in newest.column_names).encode() + b"\n"


_PLAIN_FILE = b",NULL,NULL\n"
"""How the row of a data file without list and mapping ends: it reads the same in every layout."""


def _are_plain_files(form: Form, rows: Block) -> bool:
    """Tell whether all are data files without list and mapping: asking each row was a twentieth of a dump."""
    if getattr(form, "func", None) is not _data_file:
        return False
    text = b"".join(rows)
    # As many line feeds as rows: none is inside a literal.
    return text.count(_PLAIN_FILE) == text.count(b"\n") == len(rows)


def _data_file(table: Table, newest: Table, row: bytes) -> bytes:
    """Bring a data file of 0.3 or older into the layout of 1.0."""
    if row.endswith(_PLAIN_FILE):
        return row
    head, info, mapping = row.rsplit(b",", 2)
    if info == b"NULL":
        return head + b"," + mapping[:-1] + b",NULL\n"
    texts = dict(zip(table.column_names, _texts(row), strict=True))
    texts["partial_max"] = partial_max(texts["partial_file_info"])
    return ",".join(texts[column] for column in newest.column_names).encode() + b"\n"


def _texts(row: bytes) -> list[str]:
    return [match[0].decode() for match in re.finditer(rb"[Xx]?'" + INSIDE + rb"'|[^',\n]+", row)]


def partial_max(partial_file_info: str) -> str:
    """
    Return the newest snapshot that a 0.3 partial file's list names, as the text of a bigint.

    Args:
        partial_file_info: a literal: `'2:5|3:10|4:15'` (snapshot:rows), or `'partial_max:4'`.
    """
    if partial_file_info == "''":
        return "NULL"
    if match := re.fullmatch(r"'partial_max:(\d+)'", partial_file_info):
        return match[1]
    if re.fullmatch(r"'\d+:\d+(?:\|\d+:\d+)*'", partial_file_info):
        return str(max(int(item.partition(":")[0]) for item in partial_file_info.strip("'").split("|")))
    return partial_file_info


_BC = re.compile(r"(\d{4,}-\d\d-\d\d)( .*?)? BC")
_FRACTION = re.compile(r"(\d{4,}-\d\d-\d\d(?: \(BC\))? \d\d:\d\d:\d\d)\.(\d*?)0+(?=$|\+)")


_PRINTED: dict[Stored, Callable[[str], str]] = {"decimal": numeric, "interval": interval}
"""What PostgreSQL makes of DuckDB's texts."""


def _intervals(stored: tuple[Stored, ...], row: bytes) -> bytes:
    """Return the row that PostgreSQL would print."""
    texts = [
        quote_literal(interval(text[1:-1])) if how == "interval" and text != "NULL" else text
        for how, text in zip(stored, _texts(row), strict=True)
    ]
    return ",".join(texts).encode() + b"\n"


def _inlined(stored: tuple[Stored, ...], row: bytes) -> bytes:
    """Bring an inlined row to its values: engines of 1.4 and 1.5 store the same ones in other types."""
    values = parse(row)
    canonical = [
        value if value is None or number < 3 else _value(how, value)
        for number, (how, value) in enumerate(zip(stored, values, strict=True))
    ]
    return json.dumps(canonical).encode()


def _value(stored: Stored, text: str) -> str:
    if stored in _PRINTED:
        text = _PRINTED[stored](text)
    try:
        if stored == "single":
            return _double(struct.unpack("<f", struct.pack("<f", float(text)))[0])
        if stored == "double":
            return _double(float(text))
        if stored == "bytes":
            raw = bytes.fromhex(text[2:])
            text = raw.decode()
        if stored == "escaped":
            raw = unescaped(text)
            text = raw.decode()
    except UnicodeDecodeError:
        return raw.hex()
    except (ValueError, OverflowError):  # not what a server prints
        return text
    text = _BC.sub(lambda match: f"{match[1]} (BC){match[2] or ''}", text) if text.endswith(" BC") else text
    match = _FRACTION.match(text)
    if match:
        text = match[1] + (f".{match[2]}" if match[2] else "") + text[match.end() :]
    return text.encode().hex()


def unescaped(text: str) -> bytes:
    """Return the bytes that DuckDB prints so: `\\x27` for what is no plain sign."""
    return re.sub(rb"\\x([0-9A-Fa-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode())


def _double(value: float) -> str:
    return struct.pack("<d", value).hex()
