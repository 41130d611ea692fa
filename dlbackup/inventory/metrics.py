"""
The state of a store in Prometheus' text format, from its listing, and from a live catalog what becomes of data files.

One job can so tell of all backups, whoever makes them and wherever. Names follow the rules of Prometheus: base units,
times in seconds since 1970.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from dlbackup.inventory.horizon import Files, FilesState
from dlbackup.inventory.listing import Entry, Listing, State, last_drill
from dlbackup.inventory.record import when

_STATES: tuple[State, ...] = ("good", "proven", "damaged", "unlisted")
_FILES: dict[FilesState, str] = {"whole": "whole", "at-risk": "at_risk", "broken": "gone", "unknown": "unknown"}
"""What each state of a backup's data files is called in labels."""
HELP = {
    "dlbackup_backup_last_success_timestamp_seconds": "When the newest good backup was begun.",
    "dlbackup_backup_last_attempt_timestamp_seconds": "When the newest backup was begun, good or not.",
    "dlbackup_backup_duration_seconds": "How long the newest good backup took, and its proof.",
    "dlbackup_backup_size_bytes": "Size of the newest good backup.",
    "dlbackup_backup_rows": "Rows of the catalog in the newest good backup.",
    "dlbackup_backup_tables": "Tables of the catalog in the newest good backup.",
    "dlbackup_backup_snapshot_id": "Newest snapshot of the lake in the newest good backup.",
    "dlbackup_proven_backup_timestamp_seconds": "When the newest backup was begun that a drill has proven.",
    "dlbackup_drill_last_success_timestamp_seconds": "When a drill last proved a backup.",
    "dlbackup_drill_last_attempt_timestamp_seconds": "When a drill was last begun.",
    "dlbackup_drill_duration_seconds": "How long the stages of the last drill took that proved a backup.",
    "dlbackup_backups": "Backups by what is known of them.",
    "dlbackup_backup_files": "Good backups by whether their data files are there, as the live catalog says.",
    "dlbackup_restorable_until_timestamp_seconds": "When the first data file may be deleted that a good backup needs.",
    "dlbackup_pinned_backups": "Backups that are kept whatever the policy says.",
    "dlbackup_catalog_info": "Spec version and server of the catalog in the newest good backup.",
    "dlbackup_stray_files": "Files that belong to backups that are not there.",
    "dlbackup_last_run_timestamp_seconds": "When these metrics were made.",
}
"""All metrics, in their order, and what they say."""
_Sample = tuple[str, dict[str, str], float]


def exposition(listing: Listing, now: datetime, files: Mapping[str, Files] | None = None) -> str:
    """
    Return all metrics of a store, with a line feed at the end; those that nobody can tell are left out.

    Args:
        files: how it is with the data files of backups, by name.
    """
    samples: list[_Sample] = []
    for catalog in sorted({entry.catalog for entry in listing.entries}):
        entries = [entry for entry in listing.entries if entry.catalog == catalog]
        samples += _of_catalog(catalog, entries)
        samples += _of_files(catalog, [(files or {}).get(entry.name, Files()) for entry in entries if entry.is_good])
    samples.append(("dlbackup_stray_files", {}, len(listing.stray)))
    samples.append(("dlbackup_last_run_timestamp_seconds", {}, now.timestamp()))
    lines = []
    for name, text in HELP.items():
        found = [f"{name}{_labels(labels)} {value:.15g}" for other, labels, value in samples if other == name]
        lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge", *found] if found else []
    return "\n".join(lines) + "\n"


def _of_catalog(catalog: str, entries: Sequence[Entry]) -> Iterable[_Sample]:
    """Yield what is told of one catalog; its backups come newest first."""
    labels = {"catalog": catalog}
    good = next((entry for entry in entries if entry.is_good), None)
    proven = next((entry for entry in entries if entry.proven_at), None)
    drills = sorted((drill for entry in entries for drill in entry.drills), key=lambda drill: when(drill.created))
    yield "dlbackup_backup_last_attempt_timestamp_seconds", labels, entries[0].created.timestamp()
    if good is not None and (record := good.record) is not None:
        yield "dlbackup_backup_last_success_timestamp_seconds", labels, good.created.timestamp()
        yield "dlbackup_backup_duration_seconds", labels, record.dump_seconds + record.verify_seconds
        yield "dlbackup_backup_size_bytes", labels, record.file_bytes
        yield "dlbackup_backup_rows", labels, record.rows
        yield "dlbackup_backup_tables", labels, record.tables
        if record.snapshot_id is not None:
            yield "dlbackup_backup_snapshot_id", labels, record.snapshot_id
        about = {"spec_version": record.spec_version, "server_version": record.server_version}
        yield "dlbackup_catalog_info", labels | about, 1
    if proven is not None:
        yield "dlbackup_proven_backup_timestamp_seconds", labels, proven.created.timestamp()
    if drills:
        yield "dlbackup_drill_last_attempt_timestamp_seconds", labels, when(drills[-1].created).timestamp()
    last = last_drill([drill for drill in drills if drill.ok])
    if last is not None:
        yield "dlbackup_drill_last_success_timestamp_seconds", labels, when(last.created).timestamp()
        for stage in last.stages:
            yield "dlbackup_drill_duration_seconds", labels | {"stage": stage.stage}, stage.seconds
    for state in _STATES:
        yield "dlbackup_backups", labels | {"state": state}, sum(entry.state == state for entry in entries)
    yield "dlbackup_pinned_backups", labels, sum(bool(entry.pins) for entry in entries)


def _of_files(catalog: str, files: Sequence[Files]) -> Iterable[_Sample]:
    """Yield what is told of the data files of one catalog's good backups; nothing where it is all unknown."""
    if all(one.state == "unknown" for one in files):
        return
    labels = {"catalog": catalog}
    for state, label in _FILES.items():
        yield "dlbackup_backup_files", labels | {"state": label}, sum(one.state == state for one in files)
    if ends := [one.until for one in files if one.until]:
        yield "dlbackup_restorable_until_timestamp_seconds", labels, min(ends).timestamp()


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    escaped = (
        (name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for name, value in labels.items()
    )
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"
