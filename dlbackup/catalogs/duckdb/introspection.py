"""What is in a DuckDB file: the catalog's tables as records, and by name what no record holds."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from dlbackup.catalogs.contract import Head
from dlbackup.catalogs.duckdb.child import ALIAS
from dlbackup.catalogs.duckdb.literals import place, with_marks
from dlbackup.catalogs.duckdb.process import FileProcess
from dlbackup.catalogs.existing_file import Ask, read_head
from dlbackup.errors import Ambiguous, NotALake, UnsafeStatement, Unsupported
from dlbackup.lake.spec import described, known_names
from dlbackup.tables.allowlist import check_table
from dlbackup.tables.definition import PREFIX, Column, Constraint, Table, is_inlined
from dlbackup.tables.duckdbtypes import STANDARD
from dlbackup.tables.quoting import quote_identifier, quote_literal

DEFAULT_SCHEMA = "main"
_OF_FILE = f"database_name = '{ALIAS}'"
_PLAIN_NAME = re.compile("[a-z_][a-z0-9_]*")
_QUOTED = re.compile(r"""'(?:[^']|'')*+'|"(?:[^"]|"")*+\"""")
_PLAIN_DEFAULTS = {"CAST('f' AS BOOLEAN)": "false", "CAST('t' AS BOOLEAN)": "true", "NULL": None}
"""What DuckDB prints for defaults that are plain values, beside numbers and texts."""
_VALUE = re.compile(r"-?[0-9]+|'(?:[^']|'')*+'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """
    The catalog's tables, in the order of their names' bytes.

    Args:
        sizes: about how many rows each has.
        left_out: what hangs on them, by name.
        strangers: what else is in the file.
        beside: what bears a name that a table of a catalog has and is none: of which kind.
    """

    tables: tuple[Table, ...]
    sizes: dict[str, int]
    left_out: tuple[str, ...]
    strangers: tuple[str, ...]
    beside: dict[str, str]


def find_schema(process: FileProcess, wanted: str | None) -> str:
    """
    Return the schema that holds the catalog.

    Raises:
        NotALake: none does; Ambiguous: several do.
    """
    found = catalog_schemas(process)
    if wanted is not None and wanted not in found:
        raise NotALake(f"schema {wanted!r} of {process.address} holds no DuckLake catalog", _others(found))
    if not found:
        raise NotALake(f"{process.address} holds no DuckLake catalog")
    if wanted is None and len(found) > 1:
        raise Ambiguous(
            f"{process.address} holds {len(found)} catalogs, in the schemas {', '.join(found)}",
            "name one with --metadata-schema",
        )
    return wanted or found[0]


def catalog_schemas(process: FileProcess) -> list[str]:
    """Return all schemas with a table or view named ducklake_metadata."""
    named = " union all ".join(
        f"select schema_name from duckdb_{kind}s() where {_OF_FILE} and {kind}_name = 'ducklake_metadata'"
        for kind in ("table", "view")
    )
    return [str(row[0]) for row in process.ask(f"select distinct schema_name from ({named}) order by 1").rows]


def _others(found: Sequence[str]) -> str:
    return f"catalogs were found in: {', '.join(found)}" if found else ""


def read_definitions(process: FileProcess, schema: str, *, values: bool = True) -> Definitions:
    """
    Read the definitions of a schema's catalog.

    Args:
        values: look which columns hold what no literal can.

    Raises:
        Unsupported: something can't be backed up at all.
    """
    of_schema = f"{_OF_FILE} and schema_name = {quote_literal(schema)}"
    there = process.ask(
        f"select table_name, comment, estimated_size, sql from duckdb_tables() where {of_schema}"
        f" and starts_with(table_name, '{PREFIX}')"
    ).rows
    views = process.ask(f"select view_name from duckdb_views() where {of_schema} and not internal").rows
    _refuse_views(name for (name,) in views)
    strangers = _strangers(process, schema, [row[0] for row in there])
    columns = _columns(process, of_schema)
    keys, hanging = _constraints(process, of_schema)
    tables = []
    sizes = {}
    for name, comment, size, sql in sorted(there, key=lambda row: str(row[0]).encode()):
        if name in strangers:
            continue
        own = tuple(column for column, _ in columns[name])
        table = Table(name=name, columns=own, constraints=keys.get(name, ()), comment=comment)
        _refuse_strange(table, _QUOTED.sub("", sql or ""))
        tables.append(table)
        sizes[name] = int(size or 0)
        hanging += [(name, "the collation of a column")] if " COLLATE " in _QUOTED.sub("", sql or "") else []
        hanging += [(name, f"default of column {column.name}") for column, is_lost in columns[name] if is_lost]
    return Definitions(
        tables=tuple(with_marks(process, schema, tables) if values else tables),
        sizes=sizes,
        left_out=tuple(f"{what} of table {name}" for name, what in hanging if name in sizes),
        strangers=(*(f"table {name}" for name in sorted(strangers)), *others_in_file(process, schema)),
        beside=dict.fromkeys(strangers, "table"),
    )


def asking(process: FileProcess) -> Ask:
    """Return what asks a file that is open."""
    return lambda sql: process.ask(sql).rows


def head_of(process: FileProcess, schema: str, tables: Sequence[Table]) -> Head:
    """Read version and newest snapshot of the catalog in a schema, as far as its tables say them."""
    return read_head(asking(process), partial(place, schema), tables)


def _columns(process: FileProcess, of_schema: str) -> dict[str, list[tuple[Column, bool]]]:
    """Return the columns by table, each with whether its default is lost."""
    columns: dict[str, list[tuple[Column, bool]]] = {}
    for table, *rest in process.ask(
        "select table_name, column_name, data_type, not is_nullable, column_default, comment"
        f" from duckdb_columns() where {of_schema} and starts_with(table_name, '{PREFIX}')"
        " order by table_name, column_index"
    ).rows:
        columns.setdefault(table, []).append(_column(table, *rest))
    return columns


def _refuse_views(names: Iterable[str]) -> None:
    for name in names:
        if name in known_names() or is_inlined(name):
            raise Unsupported(f"{name} is a view: only plain tables can be backed up")


def _refuse_strange(table: Table, sql: str) -> None:
    """Refuse a table that no record can hold; `sql` is its statement, as DuckDB prints it, without what is quoted."""
    if " GENERATED " in sql:
        raise Unsupported(f"table {table.name} has a generated column, which a backup can't carry")
    try:
        check_table(table, "duckdb")
    except UnsafeStatement as exc:
        raise Unsupported(exc.message, "a backup carries the types that DuckLake has") from exc


def _column(
    table: str, name: str, type_: str, not_null: bool, default: str | None, comment: str | None
) -> tuple[Column, bool]:
    """Return a column's record, and whether it lacks the default, which is no plain value."""
    if not is_inlined(table) or type_ == "BIGINT":
        type_ = STANDARD.get(type_, type_)
    plain = _PLAIN_DEFAULTS.get(default or "NULL", default)
    is_lost = plain not in (None, "true", "false") and not _VALUE.fullmatch(plain)
    kept = None if is_lost else plain
    return Column(name=name, type=type_, not_null=not_null, default=kept, comment=comment), is_lost


def _constraints(
    process: FileProcess, of_schema: str
) -> tuple[dict[str, tuple[Constraint, ...]], list[tuple[str, str]]]:
    """Return the primary keys by table; and table and name of what else hangs on tables."""
    keys: dict[str, tuple[Constraint, ...]] = {}
    hanging: list[tuple[str, str]] = []
    for table, kind, columns, text in process.ask(
        "select table_name, constraint_type, to_json(constraint_column_names)::varchar, constraint_text"
        f" from duckdb_constraints() where {of_schema} order by table_name, constraint_index"
    ).rows:
        if kind == "PRIMARY KEY":
            names = (name if _PLAIN_NAME.fullmatch(name) else quote_identifier(name) for name in json.loads(columns))
            keys[table] = (Constraint(f"{table}_pkey", f"PRIMARY KEY ({', '.join(names)})"),)
        elif kind != "NOT NULL":
            hanging.append((table, f"constraint {text}"))
    indexes = process.ask(f"select index_name, table_name from duckdb_indexes() where {of_schema} order by 1").rows
    return keys, hanging + [(table, f"index {name}") for name, table in indexes]


def _strangers(process: FileProcess, schema: str, names: Sequence[str]) -> frozenset[str]:
    """Return the tables that no version of a catalog has; none where the catalog's version is not described."""
    unknown = frozenset(name for name in names if name not in known_names() and not is_inlined(name))
    if not unknown or "ducklake_metadata" not in names:
        return unknown
    metadata = f"{ALIAS}.{quote_identifier(schema)}.ducklake_metadata"
    versions = process.ask(f"select value from {metadata} where key = 'version'").rows
    return unknown if all(version in described() for (version,) in versions) else frozenset()


_ELSE = {
    "table": "select schema_name, table_name from duckdb_tables() where {where} and not internal",
    "view": "select schema_name, view_name from duckdb_views() where {where} and not internal",
    "macro": "select distinct schema_name, function_name from duckdb_functions() where {where} and not internal",
    "sequence": "select schema_name, sequence_name from duckdb_sequences() where {where}",
    "type": "select schema_name, type_name from duckdb_types() where {where} and not internal",
}


def others_in_file(process: FileProcess, schema: str | None) -> list[str]:
    """Name what is in the file and not named as DuckLake names its tables in a schema."""
    found = []
    for kind, query in _ELSE.items():
        rows = process.ask(query.format(where=_OF_FILE) + " order by 1, 2").rows
        found += [
            f"{kind} {name if of == schema else f'{of}.{name}'}"
            for of, name in rows
            if kind != "table" or of != schema or not name.startswith(PREFIX)
        ]
    return found
