"""What is in a SQLite file: the catalog's tables as records, and by name what no record holds."""

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from dlbackup.catalogs.sqlite.rows import Connection, Flags, Text, flags
from dlbackup.errors import NotALake, UnsafeStatement, Unsupported, listed
from dlbackup.lake import spec
from dlbackup.lake.inlined import INLINED_COLUMNS, lake_table_id
from dlbackup.lake.layouts import TABLES, Layouts, folded
from dlbackup.tables.allowlist import check_table
from dlbackup.tables.definition import PREFIX, Column, Constraint, Table, is_inlined
from dlbackup.tables.quoting import quote_identifier, quote_literal
from dlbackup.tables.sqlitetypes import can_be, types_for
from dlbackup.tables.types import Written, written_as

SCHEMA = "main"
REAL_OF = "real_of"
"""What a connection of ours calls Python's reading of a number: of some thousand SQLite takes one for the next."""
_PLAIN_NAME = re.compile("[a-z_][a-z0-9_]*")
_PLAIN_DEFAULT = re.compile(r"-?[0-9]+|NULL|'(?:[^']|'')*+'")
_PLAIN: dict[Written, str] = {"integer": "bigint", "boolean": "boolean", "bytes": "BYTES", "real": "REAL"}
_QUOTED = re.compile(r"""'(?:[^']|'')*+'|"(?:[^"]|"")*+"|\[[^]]*\]|`[^`]*`|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_HANGING = re.compile(
    r"\b(?:CHECK|UNIQUE|COLLATE|REFERENCES|GENERATED|AS\s*\(|WITHOUT|STRICT|AUTOINCREMENT|ON\s+CONFLICT)\b",
    re.IGNORECASE,
)
"""What a table's statement has that no record holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """
    The catalog's tables, in the order of their names' bytes.

    Args:
        left_out: what hangs on them, by name.
        strangers: what else is in the file.
        beside: what bears a name that a table of a catalog has and is none: of which kind.
    """

    tables: tuple[Table, ...]
    left_out: tuple[str, ...]
    strangers: tuple[str, ...]
    beside: dict[str, str]


def opened(path: str, wait_s: float = 5.0) -> sqlite3.Connection:
    """Open a file; every statement is its own transaction until one begins one."""
    connection = sqlite3.connect(
        path,
        timeout=wait_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=0,  # an INSERT of a thousand rows takes 0.7 MB, and none comes again
    )
    connection.text_factory = Text
    connection.create_function(REAL_OF, 1, float, deterministic=True)
    return connection


def rows_of(connection: Connection, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query, with texts as such."""
    return [
        tuple(bytes(value).decode(errors="replace") if isinstance(value, Text) else value for value in row)
        for row in connection.execute(query)
    ]


def refuse_no_catalog(connection: Connection, where: object) -> None:
    """
    Refuse a file without a catalog.

    Raises:
        NotALake: there is none.
    """
    if not rows_of(connection, "select 1 from sqlite_master where type = 'table' and name = 'ducklake_metadata'"):
        raise NotALake(f"{where} holds no DuckLake catalog")


def read_definitions(connection: Connection) -> Definitions:
    """
    Read the definitions of the catalog's tables, and what their columns hold.

    Raises:
        Unsupported: something can't be backed up at all.
    """
    master = [
        (str(kind), str(name), str(of), str(sql or ""))
        for kind, name, of, sql in rows_of(connection, "select type, name, tbl_name, sql from sqlite_master")
    ]
    names = {name for kind, name, _, _ in master if kind == "table" and name.startswith(PREFIX)}
    version = _version(connection) if "ducklake_metadata" in names else ""
    known = spec.load(version) if version in spec.described() else {}
    unknown = {name for name in names if known and name not in spec.known_names() and not is_inlined(name)}
    for kind, name, _, _ in master:
        if kind == "view" and (name in spec.known_names() or is_inlined(name)):
            raise Unsupported(f"{name} is a view: only plain tables can be backed up")
    layouts = _layouts(connection, names)
    tables, hanging = [], []
    for kind, name, of, sql in sorted(master, key=lambda row: row[1].encode()):
        if kind == "table" and name in names - unknown:
            table, more = _table(connection, name, sql, known.get(name), layouts)
            tables.append(table)
            hanging += [f"{what} of table {name}" for what in more]
        elif of in names - unknown and kind in ("index", "trigger") and sql:
            hanging.append(f"{kind} {name} of table {of}")
    others = [
        f"{kind} {name}"
        for kind, name, of, sql in master
        if (kind in ("table", "view") and name not in names - unknown and not name.startswith("sqlite_"))
        or (kind in ("index", "trigger") and sql and of not in names - unknown)
    ]
    return Definitions(
        tables=tuple(tables),
        left_out=tuple(hanging),
        strangers=tuple(sorted(others)),
        beside=dict.fromkeys(sorted(unknown), "table"),
    )


def _version(connection: Connection) -> str:
    found = rows_of(connection, "select value from ducklake_metadata where key = 'version'")
    return str(found[0][0]) if len(found) == 1 else ""


def _layouts(connection: Connection, names: Iterable[str]) -> Layouts | None:
    """Return what the lake's tables were like, as far as they have inlined rows; None where nobody can say it."""
    inlined = frozenset(lake_table_id(table) for table in map(_named, names) if table.kind == "inlined-data")
    if not inlined:
        return None
    rows: dict[str, list[dict[str, str | None]]] = {}
    for name in TABLES:
        columns = [str(row[1]) for row in rows_of(connection, f"pragma table_xinfo({quote_literal(name)})")]
        found = rows_of(connection, f"select * from {quote_identifier(name)}") if columns else []
        texts = ([None if value is None else str(value) for value in row] for row in found)
        rows[name] = [dict(zip(columns, row, strict=True)) for row in texts]
    with suppress(KeyError, ValueError):  # of a damaged catalog
        return Layouts(rows, inlined)
    return None


def _named(name: str, columns: Sequence[Column] = ()) -> Table:
    return Table(name=name, columns=tuple(columns))


def _meant(table: Table, expected: Table | None, layouts: Layouts | None) -> Mapping[str, str]:
    """Return what the values of columns should be, by name: of a fixed table, or of inlined rows of a lake's."""
    if expected is not None:
        return {column.name: column.type for column in expected.columns}
    layout = layouts.of(table, _may_store) if layouts is not None and table.kind == "inlined-data" else None
    if layout is None:
        return {}
    own = table.columns[len(INLINED_COLUMNS["inlined-data"]) :]
    return {column.name: _type_for(column.declared, layout[folded(column.name)]) for column in own}


def _may_store(column: Column, value_type: str) -> bool:
    return bool(_type_for(column.declared, value_type))


def _type_for(declared: str, value_type: str) -> str:
    """Return what the column for values of a DuckDB type is where it is declared so; empty where none is."""
    return next((it for it in types_for(value_type) if can_be(declared, it)), "") if value_type else ""


def _table(
    connection: Connection, name: str, sql: str, expected: Table | None, layouts: Layouts | None
) -> tuple[Table, list[str]]:
    """Return a table's record, and what hangs on it and is in none."""
    about = rows_of(connection, f"pragma table_xinfo({quote_literal(name)})")
    hanging = sorted({found.group(0).upper() for found in _HANGING.finditer(_QUOTED.sub(" ", sql))})
    declarations = (Column(name=str(row[1]), type="ANY", declared=str(row[2])) for row in about)
    meant = _meant(_named(name, tuple(declarations)), expected, layouts)
    columns = []
    held = flags(connection, name, {str(row[1]): str(row[2]) for row in about})
    for _, column, declared, not_null, default, _, _ in about:
        text = None if default is None else str(default)
        if text is not None and not _PLAIN_DEFAULT.fullmatch(text):
            hanging.append(f"default of column {column}")
            text = None
        columns.append(
            _column(str(column), str(declared), bool(not_null), text, held[str(column)], meant.get(str(column)))
        )
    keyed = sorted((row for row in about if row[5]), key=lambda row: int(str(row[5])))
    keys: tuple[Constraint, ...] = ()
    if keyed:
        parts = (str(row[1]) if _PLAIN_NAME.fullmatch(str(row[1])) else quote_identifier(str(row[1])) for row in keyed)
        keys = (Constraint(f"{name}_pkey", f"PRIMARY KEY ({', '.join(parts)})"),)
    table = Table(name=name, columns=tuple(columns), constraints=keys)
    try:
        check_table(table, "sqlite")
    except UnsafeStatement as exc:
        raise Unsupported(exc.message, "a backup carries the types that DuckDB declares in SQLite files") from exc
    return table, hanging


def _column(
    name: str,
    declared: str,
    not_null: bool,
    default: str | None,
    kinds: Flags,
    meant: str | None,
) -> Column:
    """Return a column's record: its type is what all of its values are."""
    ints, others, reals, texts, blobs, nul, line_ends = kinds
    numbers, words = ints and not (reals or texts or blobs), texts and not (ints or reals or blobs)
    empty = not (ints or reals or texts or blobs)
    plain = {
        "bigint": numbers,
        "boolean": numbers and not others,
        "VARCHAR": words,
        "BYTES": blobs and not (ints or reals or texts),
        "REAL": reals and not (ints or texts or blobs),
    }
    if meant and (empty or plain[_PLAIN.get(written_as(meant), "VARCHAR")]):
        kind = meant
    else:
        possible = (it for it in ("bigint", "VARCHAR", "BYTES", "REAL") if can_be(declared, it))
        kind = next((it for it in possible if empty or plain[it]), "ANY")
    encoded = (nul or line_ends) and written_as(kind) == "text"
    if nul and not encoded:
        raise Unsupported(
            f"column {name} holds texts with NUL beside values of other kinds, which a backup can't carry",
            "mend the values with sqlite3",
        )
    return Column(name=name, type=kind, declared=declared, not_null=not_null, default=default, encoded=encoded)


def odd_columns(tables: Iterable[Table]) -> list[str]:
    """Name the columns whose values are of several kinds, or of another than was declared."""
    found = [f"{table.name}.{column.name}" for table in tables for column in table.columns if column.type == "ANY"]
    return (
        [f"values of another kind than was declared, kept as they are: {listed(found, separator=', ')}"]
        if found
        else []
    )
