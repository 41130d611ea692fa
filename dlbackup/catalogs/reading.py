"""Whole catalogs read, row by row: what is in them, and what they mean."""

from dlbackup.catalogs.contract import Snapshot
from dlbackup.lake.fingerprint import Fingerprint, Fingerprinter, Seen
from dlbackup.runtime.memory import collector_paused
from dlbackup.tables.digest import Rows, summed


def contents(snapshot: Snapshot) -> dict[str, Rows]:
    """Read all rows; return counts and digests by table name."""
    with collector_paused():
        return {table.name: summed(blocks) for table, blocks in snapshot.each(snapshot.tables)}


def meaning(snapshot: Snapshot, seen: Seen | None = None) -> tuple[dict[str, Rows], Fingerprint]:
    """Read all rows; return counts and digests by table name, and the fingerprint. `seen` is told each row."""
    found = {}
    fingerprint = Fingerprinter(snapshot.head.spec_version, seen)
    with collector_paused():
        for table, blocks in snapshot.each(snapshot.tables):
            found[table.name] = summed(blocks, fingerprint.of(table).add)
    return found, fingerprint.result()
