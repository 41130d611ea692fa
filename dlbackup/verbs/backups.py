"""
The verb `list`: the backups of a store, and what is known of each.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from dlbackup.inventory.listing import Entry, State, listing_of
from dlbackup.inventory.record import as_text
from dlbackup.inventory.retention import cleanup_call, cleanup_safe_before, protected
from dlbackup.stores.folder import folder


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
        files: whether the data files that it names are there, as the live catalog says; `unknown` without that.
        at_risk_until: when the first of them may be deleted.
        pins: names of the pins on it.
        kept_because: why no policy takes it.
        lake: the uuid of the lake; None where that isn't known.
        seconds: how long it took to make and prove it.
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
    files: Literal["whole", "at-risk", "broken", "unknown"] = "unknown"
    at_risk_until: str | None = None
    pins: tuple[str, ...] = ()
    kept_because: tuple[str, ...] = ()
    lake: str | None = None
    seconds: float | None = None


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
    """

    store: str
    backups: tuple[ListedBackup, ...]
    cleanup_safe_before: str | None
    cleanup_call: str | None
    stray: tuple[str, ...]


def backups(store: str | Path = ".") -> Inventory:
    """
    List the backups of a store.

    Raises:
        StorageError: it can't be listed.
    """
    listing = listing_of(folder(store))
    reasons = protected(listing.entries, datetime.now(UTC))
    safe = cleanup_safe_before(listing.entries)
    return Inventory(
        store=str(store),
        backups=tuple(_listed(entry, reasons[entry.name]) for entry in listing.entries),
        cleanup_safe_before=as_text(safe) if safe else None,
        cleanup_call=cleanup_call(safe) if safe else None,
        stray=listing.stray,
    )


def _listed(entry: Entry, reasons: tuple[str, ...]) -> ListedBackup:
    record, proven_at = entry.record, entry.proven_at
    return ListedBackup(
        name=entry.name,
        catalog=entry.catalog,
        created=as_text(entry.created),
        spec_version=record.spec_version if record else None,
        snapshot_id=record.snapshot_id if record else None,
        rows=record.rows if record else None,
        file_bytes=entry.blob.size,
        encrypted=record.encrypted if record else entry.name.endswith(".age"),
        state=entry.state,
        damage=(*([entry.damage] if entry.damage else []), *entry.unreadable),
        proven_at=as_text(proven_at) if proven_at else None,
        pins=entry.pins,
        kept_because=reasons,
        lake=entry.lake,
        seconds=round(record.dump_seconds + record.verify_seconds, 3) if record else None,
    )
