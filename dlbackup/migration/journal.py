"""
What a migration has done so far, on disk: one JSON file beside its backup, written anew and synced at each step.
It is always a local file: beside a backup in an object storage, it is in the folder for programs' state.

The engine's migration and its mends are two transactions. Killed between them, a migration leaves a catalog
that looks finished; from the journal the next `migrate` knows what is still to be mended, or undone. A mark in
the database, an empty schema whose comment says where the journal is, keeps a run that looks elsewhere from
taking such a catalog for a finished one.
"""

import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from dlbackup.catalogs.contract import Identity, Served
from dlbackup.errors import DlbackupError, Interrupted, StorageError
from dlbackup.migration.run import Run
from dlbackup.records import decode, encode
from dlbackup.runtime.progress import Event
from dlbackup.stores.files import make_folder, rewrite
from dlbackup.stores.named import is_url, where_named

ENDING = ".journal.json"
Progress = Literal[
    "attaching", "attached", "mended", "undoing", "needs-person", "migrated", "unchanged", "rolled-back", "replaced"
]
_DONE = ("migrated", "unchanged", "rolled-back", "replaced")


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """
    A migration from its attach on.

    Args:
        snapshot_id: the catalog's newest when it was backed up.
        losses: what is to be mended after the attach, as records of `Loss`.
        accepted: parts of the fingerprint that may change.
        bars: whether stale clients are to be barred.
        progress: the last step that is known to be done or, with `attaching` and `undoing`, to have begun;
            `replaced` when a restore has put another state in the catalog's place.
        time: when `progress` was written, UTC.
        backup: where it is, if not beside the journal: a URL.
        seal: that of the verified backup; empty in journals that were written before it was noted.
    """

    place: Identity
    snapshot_id: int | None
    from_version: str
    to_version: str
    duckdb_version: str
    losses: tuple[Any, ...]
    accepted: tuple[str, ...]
    bars: bool
    progress: Progress
    time: str
    format: int = 1
    seal: str = ""
    backup: str = ""

    @property
    def done(self) -> bool:
        """Whether the end is known and nothing is left to do."""
        return self.progress in _DONE


def folder_of(backups: str | Path) -> Path:
    """Return where the journals are of migrations whose backups are in a folder or an object storage."""
    if not is_url(backups):
        return Path(backups)
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (state if state.is_absolute() else Path.home() / ".local" / "state") / "dlbackup"


def journal_of(backup: str) -> Path:
    """Return where the journal of the migration with this backup is."""
    if not is_url(backup):
        return Path(backup + ENDING)
    return folder_of(backup) / (where_named(backup).name + ENDING)


def backup_of(path: Path, journal: Journal) -> str:
    """Return where the backup is whose migration a journal at a path describes."""
    return journal.backup or str(path.with_name(path.name.removesuffix(ENDING)))


def write(path: Path, journal: Journal) -> None:
    """
    Put the journal in the place of its earlier state, durably.

    Raises:
        StorageError: it can't be written.
    """
    rewrite(path, json.dumps(encode(journal, keep_defaults=True), indent=1).encode() + b"\n")


def read(path: Path) -> Journal:
    """
    Read a journal.

    Raises:
        StorageError: it can't be read, or is no journal that this dlbackup understands.
    """
    try:
        return decode(Journal, json.loads(path.read_text()))
    except OSError as exc:
        raise StorageError(f"can't read {path}: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise StorageError(
            f"{path} is no journal that this dlbackup understands: {exc}",
            "use a newer dlbackup, or move the file away if it is none",
        ) from exc


class Log:
    """The journal of one migration, and the mark in the database that points to it."""

    def __init__(self, catalog: Served, path: Path, entry: Journal, run: Run) -> None:
        self.catalog, self.path, self.entry, self.run = catalog, path, entry, run

    def begin(self) -> None:
        """Say, before the engine may change anything, what is about to happen; raise StorageError if that fails."""
        make_folder(self.path.parent)
        self._write("attaching")
        with self.catalog.doing("marking the catalog"):
            self.catalog.mark.leave(self.path, self.entry.from_version)

    def note(self, progress: Progress) -> None:
        """Write down a step; what can't be written is a warning, since what was done to the catalog counts."""
        try:
            self._write(progress)
        except StorageError as exc:
            self.run.on_event(Event(stage="journal", message=f"{progress}, but {exc.message}", warning=True))
        if self.entry.done and self.catalog.is_open:
            try:
                with self.catalog.doing("the mark in the database stays"):
                    self.catalog.mark.take_away()
            except Interrupted:
                raise
            except DlbackupError as exc:
                self.run.on_event(Event(stage="journal", message=exc.message, warning=True))

    def _write(self, progress: Progress) -> None:
        self.entry = replace(self.entry, progress=progress, time=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        write(self.path, self.entry)
