"""The stages of one run: their names, their times, and what the result needs at any end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from dlbackup.catalogs.contract import Client
from dlbackup.errors import MigrationError, NeedsPerson, RolledBack, Unchanged, counted
from dlbackup.migration.outcome import Mend, Migration, Outcome, Stage
from dlbackup.runtime.progress import Event, OnEvent
from dlbackup.stores.keys import Keyring

_DOING = {
    "look": "reading the catalog's version and asking the engine for its own",
    "check": "looking for what stands in the way",
    "dump": "writing the backup",
    "verify": "proving the backup",
    "rehearsal": "migrating a copy",
    "ready": "making inlined tables with other types beside the catalog's",
    "same-state": "nobody else commits now; comparing the catalog with the backup",
    "attach": "the engine migrates",
    "exchange": "putting the migrated catalog in the place of this one",
    "mend": "putting right what the engine lost",
    "post-check": "checking the migrated catalog",
    "undo": "finding out what the failure left, and putting it right",
}
OUTCOMES: dict[type[MigrationError], Outcome] = {
    Unchanged: "unchanged",
    RolledBack: "rolled-back",
    NeedsPerson: "needs-person",
}


class Run:
    """Stage times and what the result needs, whatever the end is."""

    def __init__(self, on_event: OnEvent, ring: Keyring | None = None) -> None:
        self.on_event = on_event
        self.ring = ring
        """Reads the backup, where that is encrypted."""
        self.stages: list[Stage] = []
        self.backup: str | None = None
        self.seal = ""
        """Of the backup that was verified; empty where nobody knows it."""
        self.snapshot_id: int | None = None
        self.pause_s = 0.0
        self.stale: tuple[Client, ...] = ()
        self.mends: tuple[Mend, ...] = ()
        self.barred = False
        self._open: list[tuple[str, list[int]]] = []
        """Stages that are under way, the innermost last, each with how many rows were read to compare them."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage and tell the user of it; it counts also when it fails."""
        self.on_event(Event(stage=name, message=_DOING[name]))
        begun = time.monotonic()
        self._open.append((name, []))
        try:
            yield
        finally:
            _, read = self._open.pop()
            self.stages.append(Stage(name, round(time.monotonic() - begun, 3), sum(read) if read else None))

    def compared(self, tables: int, rows: int) -> None:
        """Tell the user how many tables had to be read to compare them, and remember how many rows they have."""
        stage, read = self._open[-1]
        read.append(rows)
        text = f"{counted(tables, 'table')} with {counted(rows, 'row')} read, the others proved unchanged"
        self.on_event(Event(stage=stage, message=text))

    def result(self, outcome: Outcome, before: str, after: str, snapshot_id: int | None) -> Migration:
        """Return how the run ended."""
        return Migration(
            outcome=outcome,
            from_version=before,
            to_version=after,
            snapshot_id=snapshot_id,
            backup=self.backup,
            stages=tuple(self.stages),
            mends=self.mends,
            writer_pause_seconds=round(self.pause_s, 3),
            stale_clients=self.stale,
            barred=self.barred,
        )
