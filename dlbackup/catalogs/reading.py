"""Whole catalogs read, row by row: what is in them, and what they mean."""

from collections.abc import Mapping, Sequence

from dlbackup.catalogs.contract import Snapshot
from dlbackup.lake.fingerprint import Fingerprint, Fingerprinter, Seen
from dlbackup.runtime.memory import collector_paused
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Rows, summed


def contents(snapshot: Snapshot, tables: Sequence[Table] | None = None) -> dict[str, Rows]:
    """Read all rows, or those of some tables; return counts and digests by table name."""
    with collector_paused():
        return {
            table.name: summed(blocks) for table, blocks in snapshot.each(snapshot.tables if tables is None else tables)
        }


def meaning(
    snapshot: Snapshot, seen: Seen | None = None, known: Mapping[str, tuple[Rows, Rows]] | None = None
) -> tuple[dict[str, Rows], Fingerprint]:
    """
    Read all rows; return counts and digests by table name, and the fingerprint.

    Args:
        seen: is told each row.
        known: what tables hold that need not be read, and what that gives to the fingerprint. Those whose rows the
            meaning of others hangs on are read all the same.
    """
    found = {}
    fingerprint = Fingerprinter(snapshot.head.spec_version, seen)
    read = []
    for table in snapshot.tables:
        part = fingerprint.of(table)
        if known and table.name in known and part.is_divisible:
            found[table.name], meant = known[table.name]
            part.take(meant)
        else:
            read.append(table)
    with collector_paused():
        for table, blocks in snapshot.each(read):
            found[table.name] = summed(blocks, fingerprint.of(table).add)
    return found, fingerprint.result()
