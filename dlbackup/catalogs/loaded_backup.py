"""
The rows of a backup in an in-process DuckDB, to be asked questions without a server.

Loading reads the whole backup and so proves it. Of the fixed tables only the columns that somebody will
ask for are kept, of all inlined tables only the columns that are DuckLake's own, in a temporary database
that only its owner can read. Rows go in as the CSV that they are in the file, a few megabytes at a time
and while the next are read, so memory stays bounded whatever the size of the backup.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from dlbackup.backupfile.manifest import Entry
from dlbackup.backupfile.reader import BackupReader
from dlbackup.backupfile.workload import PROOF_BYTES, RULES, of_backup
from dlbackup.catalogs.long_rows import LongRows
from dlbackup.engine.errors import translated
from dlbackup.errors import CatalogError, StorageError
from dlbackup.lake.answers import Answer, Row
from dlbackup.lake.inlined import HEXADECIMAL, INLINED_COLUMNS, begins_right, lake_table_id, text_columns
from dlbackup.runtime.handing import Handed, handing
from dlbackup.runtime.memory import collector_paused
from dlbackup.runtime.progress import Meter, OnEvent, ignore
from dlbackup.runtime.scratch import scratch_folder
from dlbackup.tables.definition import Column, Kind, Table
from dlbackup.tables.digest import Block
from dlbackup.tables.quoting import quote_identifier, quote_literal
from dlbackup.tables.rows import parse
from dlbackup.tables.types import Written, written_as

CHUNK_BYTES = 2 << 20
"""Text that goes into DuckDB at once; 1 MiB took a tenth longer, 4 MiB 15 MiB more memory."""
MEMORY_KIB = 40 << 10
"""Enough for every query over three million rows; 96 MiB and a second thread took 60 MiB more and no less time."""
_NO_ROOM = (duckdb.OutOfMemoryException, duckdb.IOException, OSError)
_TOO_LITTLE = "Out of Memory Error"
"""What DuckDB says in the middle of an answer, in an error of another type."""
_LINE_BYTES = 2 << 20
_ROWS_AT_ONCE = 10_000
_HEXADECIMAL = re.compile(HEXADECIMAL)
_TYPES: dict[Written, str] = {
    "integer": "BIGINT",
    "boolean": "BOOLEAN",
    **dict.fromkeys(("text", "real", "bytes", "any"), "VARCHAR"),
}
_INLINED: dict[Kind, str] = {"inlined-data": "inlined_rows", "inlined-delete": "inlined_deletes"}


@dataclass(frozen=True, slots=True)
class LoadedBackup:
    """A backup's tables in DuckDB: its `Answers`."""

    connection: duckdb.DuckDBPyConnection
    tables: tuple[Table, ...]
    schema: str = "main"
    rules_at_once: int = 1

    def ask(self, sql: str) -> Answer:
        """Run a query."""
        with room():
            found = self.connection.execute(sql)
            return Answer(tuple(column[0] for column in found.description or ()), found.fetchall())

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield the rows of a query that may have many."""
        with room():
            found = self.connection.execute(sql)
            while rows := found.fetchmany(_ROWS_AT_ONCE):
                yield from rows

    def inlined(self, tables: Sequence[Table], registered: frozenset[str]) -> Iterator[str]:
        """Yield one query for the rows of all inlined tables of the kind of these; `registered` is not needed."""
        name = _INLINED[tables[0].kind]
        if name == "inlined_deletes":
            yield f"select * from main.{name}"
        else:
            found = "exists (select 1 from main.ducklake_inlined_data_tables i where i.table_name = r.name)"
            yield f"select r.*, {found} as registered from main.{name} r"


@contextmanager
def load(
    reader: BackupReader, wanted: Callable[[Table], Sequence[str]], on_event: OnEvent = ignore
) -> Iterator[LoadedBackup]:
    """
    Prove a backup while its rows go into DuckDB; `wanted` says which columns of a fixed table are kept.

    Raises:
        BackupError: the backup is damaged.
    """
    with in_process() as (connection, handed):
        with collector_paused(), room(), _Feed(connection, handed) as feed:
            _load(reader, wanted, feed, on_event)
        yield LoadedBackup(connection, tuple(entry.table for entry in reader.manifest.tables))


class Loading:
    """A DuckDB into which tables go as they are wanted, whole; an in-process one, in a block."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, feed: "_Feed") -> None:
        self.connection, self._feed = connection, feed

    def fixed(self, table: Table, blocks: Iterable[Block]) -> None:
        """Load a fixed table."""
        self._fill(_Loader(self._feed, table), blocks)

    def inlined(self, kind: Kind, tables: Iterable[tuple[Table, Iterable[Block]]]) -> None:
        """Load DuckLake's own columns of all inlined tables of a kind."""
        rows = ([_own_columns(table, bytes(row)) for row in block] for table, blocks in tables for block in blocks)
        self._fill(_Loader(self._feed, _inlined_table(kind)), rows)

    @staticmethod
    def _fill(loader: "_Loader", blocks: Iterable[Block]) -> None:
        with collector_paused(), room():
            for block in blocks:
                loader.add([bytes(row) for row in block])
            loader.finish()


@contextmanager
def loading() -> Iterator[Loading]:
    """Open a DuckDB for the block, to be filled table by table."""
    with in_process() as (connection, handed), _Feed(connection, handed) as feed:
        yield Loading(connection, feed)


def _load(reader: BackupReader, wanted: Callable[[Table], Sequence[str]], feed: "_Feed", on_event: OnEvent) -> None:
    inlined = {kind: _Loader(feed, _inlined_table(kind)) for kind in _INLINED}
    fixed: _Loader | None = None
    work = of_backup(reader.manifest, PROOF_BYTES)
    meter = Meter("check", on_event, sum(work.values()), reader.manifest.rows, after=RULES)
    for item in reader.scan():
        if isinstance(item, Entry):
            if fixed is not None:
                fixed.finish()
            kept = wanted(item.table) if item.kind == "fixed" else ()
            fixed = _Loader(feed, item.table, kept) if kept else None
            meter.part(work[item.table.name], item.rows)
            continue
        table = item.entry.table
        if fixed is not None:
            fixed.add(item.rows)
        elif begins_right(table):
            inlined[table.kind].add([_own_columns(table, row) for row in item.rows])
        meter.add(len(item.rows))
    for loader in (*inlined.values(), *([fixed] if fixed is not None else [])):
        loader.finish()


@contextmanager
def in_process() -> Iterator[tuple[duckdb.DuckDBPyConnection, Handed]]:
    """
    Open a DuckDB for the block, and what hands rows to it.

    Its memory is little, so tables are in a file, which has lost its name, and keeps no log of changes, which would
    have one. What is too much for a query alone is in files with names, in a folder that goes with this process.
    """
    settings: dict[str, Any] = {
        "memory_limit": f"{MEMORY_KIB}KiB",
        "threads": "1",
        "preserve_insertion_order": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    with scratch_folder("dlbackup-rows-") as folder, handing(folder) as handed:
        path = folder / "catalog.duckdb"
        attach = f"ATTACH {quote_literal(str(path))} AS loaded"
        with room():
            connection = duckdb.connect(config={**settings, "temp_directory": str(folder)})
        with connection:
            with room():
                try:
                    connection.execute(f"{attach} (RECOVERY_MODE no_wal_writes)")
                except duckdb.BinderException:  # before DuckDB 1.5
                    connection.execute(attach)
                connection.execute("USE loaded")
                path.unlink()
            yield connection, handed


def allow(connection: duckdb.DuckDBPyConnection, more_kib: int) -> None:
    """Let a DuckDB take so much memory beside what is enough for most."""
    connection.execute(f"SET memory_limit = '{MEMORY_KIB + more_kib}KiB'")


@contextmanager
def room() -> Iterator[None]:
    """Turn DuckDB's errors into ours; what it says of memory and files is that there is no room."""
    with translated("asking the backup's rows in DuckDB"):
        try:
            yield
        except (duckdb.Error, OSError) as exc:
            if not isinstance(exc, _NO_ROOM) and _TOO_LITTLE not in str(exc):
                raise
            raise StorageError(
                f"no room for the backup's rows in {tempfile.gettempdir()}: {str(exc).splitlines()[0]}",
                "set TMPDIR to a folder with room for about a tenth of the backup's text",
            ) from exc


def insert_rows(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    kept: Sequence[str],
    types: Mapping[str, str],
    rows: Sequence[bytes | memoryview],
    handed: Handed,
) -> None:
    """
    Insert rows as they stand in a backup, some columns of them.

    Args:
        types: DuckDB's, of all columns that the rows have.
    """
    insert_made_of(connection, table, ", ".join(map(quote_identifier, kept)), types, rows, handed)


def insert_made_of(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    made: str,
    types: Mapping[str, str],
    rows: Sequence[bytes | memoryview],
    handed: Handed,
) -> None:
    """Insert what SQL makes of the columns of such rows; see `insert_rows`."""
    line = max(_LINE_BYTES, *(len(row) + 1 for row in rows))
    columns = ", ".join(f"{quote_literal(name)}: {quote_literal(kind)}" for name, kind in types.items())
    insert = (
        f"INSERT INTO {quote_identifier(table)} SELECT {made}"
        f" FROM read_csv({quote_literal(handed.path)}, auto_detect = false, header = false,"
        f" columns = {{{columns}}}, delim = ',', quote = '''', escape = '''', nullstr = 'NULL',"
        f" allow_quoted_nulls = false, new_line = '\\n', parallel = false,"
        f" max_line_size = {line}, buffer_size = {2 * line})"
    )
    with handed.holding(rows):
        taken = connection.execute(insert).fetchone()
    if taken != (len(rows),):
        raise CatalogError(
            f"table {table}: DuckDB took {taken} rows of {len(rows)}", "this is a bug in dlbackup: report it"
        )


def _inlined_table(kind: Kind) -> Table:
    """Return the table that takes the rows of all inlined tables of a kind."""
    numbers = tuple(Column(name=name, type="bigint") for name in INLINED_COLUMNS[kind])
    texts = (Column(name="hexadecimal", type="boolean"),) if kind == "inlined-data" else ()
    return Table(
        name=_INLINED[kind],
        columns=(Column(name="table_id", type="bigint"), Column(name="name", type="text"), *numbers, *texts),
    )


def _own_columns(table: Table, row: bytes) -> bytes:
    """Return a row of the table of `_inlined_table`: the first three values are numbers or NULL."""
    values = row.rstrip(b"\n").split(b",", 3)[:3]
    front = b"%d,'%s'," % (lake_table_id(table), table.name.encode()) + b",".join(values)
    if table.kind == "inlined-delete":
        return front + b"\n"
    return front + (b",true\n" if _holds_hexadecimal(table, row) else b",false\n")


def _holds_hexadecimal(table: Table, row: bytes) -> bool:
    texts = text_columns(table)
    if not texts or rb"'\x" not in row:
        return False
    values = dict(zip(table.column_names, parse(row), strict=True))
    return any(_HEXADECIMAL.fullmatch(values[column.name] or "") for column in texts)


class _Feed:
    """Hands chunks of CSV to DuckDB, one at a time, on a thread of its own: DuckDB parses while Python reads on."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, handed: Handed) -> None:
        self._connection, self._handed, self._long = connection, handed, LongRows()
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._running: Future[None] | None = None

    def __enter__(self) -> "_Feed":
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown()

    def create(self, table: Table, kept: Sequence[str]) -> None:
        """Create a table with some columns of another."""
        self.settle()
        types = {column.name: _TYPES[written_as(column.type)] for column in table.columns}
        columns = ", ".join(f"{quote_identifier(name)} {types[name]}" for name in kept)
        self._connection.execute(f"CREATE TABLE {quote_identifier(table.name)} ({columns})")

    def insert(self, table: Table, kept: Sequence[str], rows: list[bytes]) -> None:
        """Begin to insert rows, once those before are in."""
        self.settle()
        self._running = self._pool.submit(self._insert, table, kept, rows)

    def settle(self) -> None:
        """Wait for the rows that are under way."""
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def _insert(self, table: Table, kept: Sequence[str], rows: list[bytes]) -> None:
        types = {column.name: _TYPES[written_as(column.type)] for column in table.columns}
        self._long.count(rows)
        allow(self._connection, self._long.memory_kib)
        insert_rows(self._connection, table.name, kept, types, rows, self._handed)


class _Loader:
    """Collects the rows of one table into chunks."""

    def __init__(self, feed: _Feed, table: Table, kept: Sequence[str] = ()) -> None:
        self._feed, self._table, self._kept = feed, table, kept or table.column_names
        self._rows: list[bytes] = []
        self._size = 0
        feed.create(table, self._kept)

    def add(self, rows: list[bytes]) -> None:
        """Take rows as they are in the backup."""
        self._rows += rows
        self._size += sum(map(len, rows))
        if self._size >= CHUNK_BYTES:
            self._flush()

    def finish(self) -> None:
        """Have the last rows inserted."""
        self._flush()
        self._feed.settle()

    def _flush(self) -> None:
        if self._rows:
            self._feed.insert(self._table, self._kept, self._rows)
            self._rows, self._size = [], 0
