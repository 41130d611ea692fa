"""Catalogs beside the one that is checked which have the same data files."""

from dlbackup.catalogs.contract import Copy
from dlbackup.lake.findings import Finding

_WHY = (
    "each deletes files that only the other needs, when it cleans up: CHECKPOINT, ducklake_cleanup_old_files,"
    " ducklake_delete_orphaned_files"
)


def shared_data_files(copies: tuple[Copy, ...], own: int | None) -> tuple[Finding, ...]:
    """Return a warning if other catalogs of the same lake stand beside one whose newest snapshot is `own`."""
    if not copies:
        return ()
    said = tuple(_said(copy, own) for copy in copies)
    return (
        Finding(
            severity="warning",
            rule="shared-data-files",
            message=f"another catalog of the same lake shares data files with it: {said[0]}",
            count=len(said),
            evidence=said,
            why=_WHY,
            advice="drop the catalogs that nobody uses; until then clean up in none of them",
        ),
    )


def _said(copy: Copy, own: int | None) -> str:
    text = f"schema {copy.schema}, at snapshot {copy.snapshot_id}"
    return text if own is None or copy.snapshot_id <= own else f"{text}, which this one, at {own}, has not"
