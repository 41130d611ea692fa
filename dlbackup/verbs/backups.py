"""
The verb `list`: the backups of a store, and what is known of each.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dlbackup.inventory.horizon import Files, FilesState, files_by_name, look_at, recorded, too_short
from dlbackup.inventory.listing import Entry, State, listing_of
from dlbackup.inventory.record import as_text
from dlbackup.inventory.retention import cleanup_call, cleanup_safe_before, protected
from dlbackup.stores.keys import ENDING
from dlbackup.stores.named import store_of_backups


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedBackup:
    """
    A backup of a store.

    Args:
        name: of its file.
        catalog: which catalog it is of, as its name says.
        created: when it was begun; UTC, ISO 8601.
        file_bytes: as the store says.
        state: `good`: it was proved when it was made; `proven`: a drill has restored it since; `damaged`; `unlisted`:
            it has no record, since it is still being made, or was never proved.
        damage: what is wrong with it, or with the files beside it.
        proven_at: when a drill last found it good.
        files: whether the data files that it names are there, as the live catalog says; without that, as the record of
            the newest good backup of the same lake says: `whole`, or `at-risk`, which they are at best.
        files_as_of: of when that is, where it is as recorded; UTC, ISO 8601. None where it is fresh, or `unknown`.
        at_risk_until: when the first of those may be deleted that the catalog no longer needs; UTC, ISO 8601.
        files_at_risk, files_gone: how many.
        pins: names of the pins on it.
        kept_because: why no policy takes it.
        lake: the uuid of the lake; None where that isn't known.
        seconds: how long it took to make and prove it.
        lacks: what its last drill missed that is outside of it: data files, or an engine that opens what was restored.
    """

    name: str
    catalog: str
    created: str
    spec_version: str | None
    snapshot_id: int | None
    rows: int | None
    file_bytes: int
    encrypted: bool
    state: State
    damage: tuple[str, ...]
    proven_at: str | None
    files: FilesState = "unknown"
    at_risk_until: str | None = None
    pins: tuple[str, ...] = ()
    kept_because: tuple[str, ...] = ()
    lake: str | None = None
    seconds: float | None = None
    files_at_risk: int = 0
    files_gone: int = 0
    files_as_of: str | None = None
    lacks: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """
    What is in a store.

    Args:
        backups: the newest first.
        cleanup_safe_before: files of the lake that were scheduled for deletion before this time are in no good backup;
            UTC, ISO 8601. None where no backup is good.
        cleanup_call: the call that deletes these and no others.
        stray: files that belong to backups that are not there.
        warnings: what the live catalog's own clean-up will do to what is kept.
    """

    store: str
    backups: tuple[ListedBackup, ...]
    cleanup_safe_before: str | None
    cleanup_call: str | None
    stray: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def backups(
    store: str | Path = ".",
    *,
    catalog: str | None = None,
    metadata_schema: str | None = None,
    wait: float = 0.0,
    engine: str | Path | None = None,
) -> Inventory:
    """
    List the backups of a store.

    Args:
        catalog: the address of the live catalog, which tells whether the data files of its backups are still there.
        metadata_schema, wait, engine: as for `info`, of that catalog.

    Raises:
        StorageError: it can't be listed.
        CatalogError: the live catalog can't be read.
    """
    place, now = store_of_backups(store), datetime.now(UTC)
    listing = listing_of(place)
    there = look_at(catalog, metadata_schema, wait, engine) if catalog else None
    files = files_by_name(listing.entries, place, there) if there else recorded(listing.entries)
    reasons = protected(listing.entries, now)
    safe = cleanup_safe_before(listing.entries)
    warning = too_short(listing.entries, there, now) if there else ""
    return Inventory(
        store=str(store),
        backups=tuple(_listed(entry, reasons[entry.name], files[entry.name]) for entry in listing.entries),
        cleanup_safe_before=as_text(safe) if safe else None,
        cleanup_call=cleanup_call(safe, listing.entries) if safe else None,
        stray=listing.stray,
        warnings=(warning,) if warning else (),
    )


def _listed(entry: Entry, reasons: tuple[str, ...], files: Files) -> ListedBackup:
    record, proven_at = entry.record, entry.proven_at
    return ListedBackup(
        name=entry.name,
        catalog=entry.catalog,
        created=as_text(entry.created),
        spec_version=record.spec_version if record else None,
        snapshot_id=record.snapshot_id if record else None,
        rows=record.rows if record else None,
        file_bytes=entry.blob.size,
        encrypted=record.encrypted if record else entry.name.endswith(ENDING),
        state=entry.state,
        damage=(*([entry.damage] if entry.damage else []), *entry.unreadable),
        proven_at=as_text(proven_at) if proven_at else None,
        files=files.state,
        at_risk_until=as_text(files.until) if files.until else None,
        files_at_risk=files.count if files.state == "at-risk" else 0,
        files_gone=files.count if files.state == "broken" else 0,
        files_as_of=as_text(files.as_of) if files.as_of else None,
        lacks=entry.lacks or None,
        pins=entry.pins,
        kept_because=reasons,
        lake=entry.lake,
        seconds=round(record.dump_seconds + record.verify_seconds, 3) if record else None,
    )
