"""
What of a catalog need not be read, since its server proves that it is as in the backup.

Commits wait while this is asked, so it must not cost what reading all rows costs. Where the proof can't be had, rows
are read: of every table for which it can't.
"""

from collections.abc import Callable, Mapping

from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.backupfile.manifest import Entry, Manifest
from dlbackup.catalogs.contract import Catalog, Snapshot
from dlbackup.catalogs.reading import changes_since, contents, meaning
from dlbackup.lake.canonical import columns_of_plain_files, reads_alike
from dlbackup.lake.fingerprint import Fingerprint, part_of
from dlbackup.migration.comparison import state_of
from dlbackup.tables.digest import Rows

OnCompared = Callable[[int, int], None]
"""Is told how many tables had to be read, and how many rows they have."""


def unheard(tables: int, rows: int) -> None:
    """Take no notice of what was read."""


def is_proved(snapshot: Snapshot, backup: VerifiedBackup) -> bool:
    """Tell whether it is proved, without reading a row, that what a snapshot shows is what is in a backup."""
    return snapshot.tables == state_of(backup)[0] and _proved(snapshot, backup.manifest).keys() == {
        table.name for table in snapshot.tables
    }


def is_as_in(catalog: Catalog, backup: VerifiedBackup, on_compared: OnCompared) -> bool:
    """Tell whether every definition and every row of a catalog is that of a backup."""
    tables, rows = state_of(backup)
    with catalog.snapshot() as snapshot:
        if snapshot.tables != tables:
            return False
        known = _proved(snapshot, backup.manifest)
        unknown = [table for table in tables if table.name not in known]
        found = contents(snapshot, unknown)
    on_compared(len(found), sum(table.count for table in found.values()))
    return all(rows[name] == read for name, read in found.items())


def meaning_after(
    snapshot: Snapshot, backup: VerifiedBackup, on_compared: OnCompared
) -> tuple[dict[str, Rows], Fingerprint]:
    """Return what `reading.meaning` does of a migrated catalog; of tables that were not touched, as the backup says."""
    version, later = backup.manifest.header.spec_version, snapshot.head.spec_version
    plain = _plain_files(snapshot, backup.manifest)
    proved = _proved(snapshot, backup.manifest, plain)
    known = {
        table.name: (entry.content, meant)
        for table in snapshot.tables
        if (entry := proved.get(table.name)) is not None
        and (table.name in plain or reads_alike(entry.table, version, table, later))
        and (meant := _meaning_of(entry, backup.manifest.fingerprint)) is not None
    }
    found, fingerprint = meaning(snapshot, known=known)
    on_compared(len(found.keys() - known), sum(rows.count for name, rows in found.items() if name not in known))
    return found, fingerprint


def _meaning_of(entry: Entry, fingerprint: Fingerprint | None) -> Rows | None:
    """Return what a table that `reads_alike` gave to a backup's fingerprint; None where that is not known."""
    if entry.kind != "fixed":  # inlined rows that read alike are what they mean
        return entry.content
    if fingerprint is None:
        return None
    name = part_of(entry.table)
    return next((Rows(part.rows, int(part.digest, 16)) for part in fingerprint.parts if part.name == name), Rows(0, 0))


def _plain_files(snapshot: Snapshot, manifest: Manifest) -> dict[str, int]:
    """
    Return how many columns the table of data files must keep for its rows to be what they were; nothing where all must.

    Whether all rows of a backup are such that their last columns hold nothing is seen by what they gave to the
    fingerprint: their own texts.
    """
    present = {table.name: table for table in snapshot.tables}
    for entry in manifest.tables:
        after = present.get(entry.table.name)
        if after is not None and after.columns != entry.table.columns:
            kept = columns_of_plain_files(entry.table, manifest.header.spec_version, after, snapshot.head.spec_version)
            if kept is not None and _meaning_of(entry, manifest.fingerprint) == entry.content:
                return {after.name: kept}
    return {}


def _proved(snapshot: Snapshot, manifest: Manifest, columns: Mapping[str, int] | None = None) -> dict[str, Entry]:
    """
    Return, by the names of the tables now, the entries of a backup whose rows are proved to be there unchanged.

    Args:
        columns: see `catalogs.contract.Claim`.
    """
    changes = changes_since(snapshot, manifest, may_have_more_columns=True, columns=columns)
    return {name: entry for name, (entry, change) in changes.items() if change is not None and not change}
