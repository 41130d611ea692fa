"""Whole catalogs read, row by row: what is in them, and what they mean; or held against a backup unread."""

from collections.abc import Mapping, Sequence

from dlbackup.backupfile.manifest import Entry, Manifest
from dlbackup.catalogs.contract import Change, Claim, Snapshot
from dlbackup.lake.canonical import RENAMED
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


def changes_since(
    snapshot: Snapshot, manifest: Manifest, *, may_have_more_columns: bool, columns: Mapping[str, int] | None = None
) -> dict[str, tuple[Entry, Change | None]]:
    """
    Return, by the names of the tables now, what became of the rows that a backup holds, without reading any.

    None where that can't be proved; see `Snapshot.since` and `Claim`.

    Args:
        columns: see `Claim`, by the names of the tables now.
    """
    present = {table.name: table for table in snapshot.tables}
    pairs = [
        (entry, table)
        for entry in manifest.tables
        if (table := present.get(RENAMED.get(entry.table.name, entry.table.name))) is not None
    ]
    claims = [
        Claim(
            table=table,
            origin=entry.origin,
            rows=entry.rows,
            may_have_more_columns=may_have_more_columns,
            columns=(columns or {}).get(table.name),
        )
        for entry, table in pairs
        if entry.origin is not None
    ]
    moment = manifest.header.moment
    told = snapshot.since(moment, claims) if moment is not None else [None] * len(claims)
    changes = {claim.table.name: change for claim, change in zip(claims, told, strict=True)}
    return {table.name: (entry, changes.get(table.name)) for entry, table in pairs}
