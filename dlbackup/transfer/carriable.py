"""
What another kind of catalog can have of a backup, as far as the manifest says: names, columns, tables.

What it can't have is refused by name, or left out with a warning. Whether it can hold a value is asked where the values
are.
"""

from collections.abc import Container, Sequence

from dlbackup.backupfile.lineage import rows_in
from dlbackup.backupfile.manifest import Entry
from dlbackup.backupfile.reader import BackupReader
from dlbackup.errors import NotCarried, listed
from dlbackup.lake import spec
from dlbackup.lake.canonical import is_regular
from dlbackup.lake.inlined import INLINED_COLUMNS, begins_right, called
from dlbackup.runtime.progress import Event, OnEvent
from dlbackup.tables.definition import Table
from dlbackup.tables.types import Dialect
from dlbackup.transfer.encoding import limits_of

_FLUSH = "have DuckLake write the inlined rows into files first: CALL ducklake_flush_inlined_data('lake')"
_MIGRATE = "migrate the lake to 0.3 or later first, or have DuckDB write these tables anew without inlining"
_WITHOUT_INLINING = (
    "CALL lake.set_option('data_inlining_row_limit', 0, schema => ..., table_name => ...) has them write files"
)


def way_out(version: str, since_0_3: str = _FLUSH) -> str:
    """Return what to do about inlined rows of a lake of that version."""
    return since_0_3 if spec.load(version) and not spec.is_older(version, "0.3") else _MIGRATE


def refuse_strange(reader: BackupReader, dialect: Dialect) -> None:
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
    may_be_plain = limits_of(manifest.header.dialect).single
    for entry in manifest.tables:
        if is_left_out(entry, dialect):
            continue
        table = entry.table
        encoded = [column.name for column in table.columns if column.encoded]
        if entry.kind == "fixed" and encoded and not may_be_plain:
            raise holds_nul(table, encoded)
        has_more = entry.kind == "inlined-delete" and len(table.columns) > len(INLINED_COLUMNS[entry.kind])
        if entry.kind != "fixed" and (has_more or not begins_right(table)):
            raise NotCarried(
                f"{called_in(reader, table)} doesn't have DuckLake's own columns, so nobody knows what is in it",
                "dlbackup check says more",
            )
        if long := _too_long(table, dialect):
            raise NotCarried(
                f"{called_in(reader, table)} has inlined rows with names of more than {limits.name_bytes} bytes, which"
                f" the other catalog cuts: {listed(long)}",
                way_out(version),
            )
        if taken := _taken(table, dialect):
            raise NotCarried(
                f"{called_in(reader, table)} has inlined rows with names that no column of the other catalog can have:"
                f" {listed(taken)}",
                way_out(version),
            )
        if _is_too_wide(table, dialect):
            raise NotCarried(
                f"{called_in(reader, table)} has {len(table.columns)} columns, and the other catalog takes"
                f" {limits.columns}",
                way_out(version),
            )


def called_in(reader: BackupReader, table: Table) -> str:
    """Return what users call a table in a backup."""
    tables = rows_in(reader, "ducklake_table", {"table_id", "schema_id", "table_name", "begin_snapshot"})
    return called(table, tables, rows_in(reader, "ducklake_schema", {"schema_id", "schema_name", "begin_snapshot"}))


def holds_nul(table: Table, columns: Sequence[str]) -> NotCarried:
    """Return the refusal of texts that some catalogs can't have."""
    return NotCarried(
        f"texts of table {table.name} hold NUL, in column {listed(columns, separator=', ')}: another kind of catalog"
        " can't have that in what all tables are described by",
        "change what is named so, and expire the older snapshots",
    )


def _too_long(table: Table, dialect: Dialect) -> list[str]:
    most = limits_of(dialect).name_bytes
    return [name for name in table.column_names if most and len(name.encode()) > most]


def _taken(table: Table, dialect: Dialect) -> list[str]:
    return [name for name in table.column_names if name in limits_of(dialect).taken]


def _is_too_wide(table: Table, dialect: Dialect) -> bool:
    most = limits_of(dialect).columns
    return bool(most) and len(table.columns) > most


def is_left_out(entry: Entry, dialect: Dialect) -> bool:
    """Tell whether a table is for inlined rows that it hasn't, and that the other catalog can't have: flushed ones."""
    impossible = (check(entry.table, dialect) for check in (_too_long, _taken, _is_too_wide))
    return entry.kind == "inlined-data" and not entry.rows and any(impossible)


def say_what_stays(reader: BackupReader, left_out: Container[str], on_event: OnEvent) -> None:
    """Warn of tables that are left out, and of what hangs on the others beside what DuckLake makes."""
    stays = []
    for entry in reader.manifest.tables:
        table = entry.table
        if table.name in left_out:
            stays.append(
                f"{entry.rows} rows of a table that has expired, in {table.name}, which nobody reads"
                if entry.rows
                else f"the empty table {table.name}"
            )
            continue
        stays += [f"index {index.name}" for index in table.indexes]
        stays += [f"sequence {sequence.name}" for sequence in table.sequences]
        stays += [f"row-level security of table {table.name}"] if table.row_security else []
        stays += [f"privileges on table {table.name}"] if table.grants else []
        if table.comment is not None or any(column.comment is not None for column in table.columns):
            stays.append(f"comments on table {table.name}")
    if stays:
        on_event(Event(stage="convert", message=f"not carried to another kind: {listed(stays)}", warning=True))


def say_what_fails(reader: BackupReader, dialect: Dialect, on_event: OnEvent) -> None:
    """Warn of lake tables for which engines can't make the tables that they inline rows into."""
    tables = (entry.table for entry in reader.manifest.tables if entry.kind == "inlined-data")
    if names := sorted({name for table in tables for name in _taken(table, dialect)}):
        text = (
            "there, engines fail to insert a few rows into the lake's tables with a column"
            f" {listed(names, separator=' or ')}: {_WITHOUT_INLINING}"
        )
        on_event(Event(stage="convert", message=text, warning=True))
