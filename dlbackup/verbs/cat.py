"""
One table of a backup, read without the rest of it.

Only the manifest, the seek table and the frames that hold the table are read, and what is read is proved
as `verify` proves it. That nothing else is damaged is not known afterwards.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from dlbackup.backupfile.backup import Backup, where_of
from dlbackup.backupfile.manifest import Entry
from dlbackup.backupfile.reader import BackupReader
from dlbackup.errors import BackupError, UsageError, listed
from dlbackup.runtime.memory import collector_paused
from dlbackup.stores.contract import Sink, Where
from dlbackup.stores.given import STANDARD_INPUT
from dlbackup.stores.keys import NO_KEYS, Keys
from dlbackup.tables.definition import PREFIX
from dlbackup.tables.formats import Format, Value, render, values

_NAMES_SHOWN = 40
"""More than the fixed tables of any spec version; inlined tables, which are not shown, can be thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRows:
    """
    The rows of one table of a backup. Each iteration reads the file from the table's beginning.

    Rows are tuples in the order of `columns`: integers and booleans as such, None for NULL, every other value
    as the text that PostgreSQL prints for it. A row that was given is proved; that all were given is proved
    when the iteration ends without a BackupError.

    Args:
        rows: how many there are.
        where: opens the file again.
    """

    path: str
    table: str
    columns: tuple[str, ...]
    rows: int
    where: Where = field(repr=False, compare=False)

    def __iter__(self) -> Iterator[tuple[Value, ...]]:
        with _found(self.where, self.table) as (reader, entry):
            for block in reader.scan_table(entry):
                yield from values(entry.table, block.rows)


def cat(backup: str | Path | Backup, table: str, *, keys: Keys = NO_KEYS) -> TableRows:
    """
    Find a table in a backup and return its rows, to be iterated over.

    Args:
        keys: with the identities that open an encrypted backup.

    Raises:
        StorageError: the file can't be read.
        BackupError: it is no finished backup; while iterating: the part that holds the table is damaged.
        UsageError: there is no such table.
    """
    if str(backup) == STANDARD_INPUT:
        raise UsageError("rows are read again each time, and standard input can't be", "write it to a file first")
    with where_of(backup, keys) as where, _found(where, table) as (_, entry):
        return TableRows(path=str(where), table=table, columns=entry.table.column_names, rows=entry.rows, where=where)


def write(backup: str | Path, table: str, form: Format, sink: Sink, keys: Keys = NO_KEYS) -> None:
    """
    Write a table's rows as text, in pieces of an INSERT each.

    Raises:
        StorageError, UsageError: as for `cat`.
        BackupError: what was written until then is not the whole table.
    """
    with where_of(backup, keys) as where, _found(where, table) as (reader, entry), collector_paused():
        blocks = (block.rows for block in reader.scan_table(entry))
        try:
            for piece in render(entry.table, blocks, form):
                sink.write(piece)
        except BackupError as exc:
            exc.hint = f"the output is incomplete: what is there of {table} was proved, the rest is missing"
            raise


@contextmanager
def _found(where: Where, table: str) -> Iterator[tuple[BackupReader, Entry]]:
    with BackupReader(where) as reader:
        entries = reader.unchecked.tables
        entry = next((entry for entry in entries if entry.table.name == table), None)
        if entry is None:
            raise UsageError(f"the backup has no table {table}", _instead(table, entries))
        reader.check([entry])
        yield reader, entry


def _instead(table: str, entries: tuple[Entry, ...]) -> str:
    """Say which tables may be meant, or which there are."""
    wanted = table.lower() if table.lower().startswith(PREFIX) else PREFIX + table.lower()
    if near := get_close_matches(wanted, [entry.table.name for entry in entries], cutoff=0.8):
        return f"did you mean {' or '.join(near)}?"
    fixed = [entry.table.name for entry in entries if entry.kind == "fixed"]
    return f"it has {listed(fixed, _NAMES_SHOWN, separator=', ', more=len(entries) - len(fixed))}"
