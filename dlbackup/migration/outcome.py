"""How a migration ended: the records behind `migrate`'s JSON."""

from dataclasses import dataclass
from typing import Literal

from dlbackup.catalogs.contract import Client
from dlbackup.transfer.way_back import WayBack

Outcome = Literal["migrated", "current", "unchanged", "rolled-back", "needs-person"]


@dataclass(frozen=True, slots=True)
class Stage:
    """
    One stage and how long it took.

    Args:
        rows_read: of the catalog, where the stage compares them; the others were proved unchanged.
    """

    stage: str
    seconds: float
    rows_read: int | None = None


@dataclass(frozen=True, slots=True)
class Mend:
    """A loss that was put right: the rule and how many rows it touched."""

    rule: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """
    How a migration ended.

    Args:
        backup: the file that undoes it; None where none was needed.
        way_back: how to restore that, as things stood in the end; None where the catalog wasn't migrated.
        writer_pause_seconds: from fence to release.
        stale_clients: sessions that may go on with a stale view of the catalog: those from before the migration
            that were not ended, and those that connected, again or anew, before the fence fell.
        replaced: where the catalog from before is kept, whole, if it was in a file; None where it is not.
        barred: whether constraints keep stale clients from harmful writes.
    """

    outcome: Outcome
    from_version: str
    to_version: str
    snapshot_id: int | None
    backup: str | None
    stages: tuple[Stage, ...]
    mends: tuple[Mend, ...]
    writer_pause_seconds: float
    stale_clients: tuple[Client, ...]
    barred: bool = False
    replaced: str | None = None
    way_back: WayBack | None = None
