"""
What happens while commits wait: the engine migrates, what it lost is mended, and the result is proved, or undone.

How an attempt that failed ends depends on three facts alone; `ENDS` says how, and the code looks it up.
"""

import shlex
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass

from dlbackup.backupfile.backup import VerifiedBackup, sealed
from dlbackup.catalogs.contract import Catalog, Fence, Guard, Served
from dlbackup.engine.engine import attach_migrating
from dlbackup.engine.statements import Target
from dlbackup.errors import (
    AttachFailed,
    DlbackupError,
    Interrupted,
    MigrationError,
    NeedsPerson,
    RolledBack,
    Unchanged,
)
from dlbackup.migration.journal import Log
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.passage import Passage, examine, put_right, refuse_unmigrated
from dlbackup.migration.run import Run
from dlbackup.migration.unchanged import is_as_in
from dlbackup.runtime.progress import Event
from dlbackup.runtime.signals import signals_held
from dlbackup.stores.encrypted import keyed
from dlbackup.stores.named import where_named
from dlbackup.transfer.loading import restore_into
from dlbackup.transfer.options import RestoreOptions
from dlbackup.transfer.way_back import in_schema, opening, restoring, to_backup

ENDS: dict[tuple[bool, bool, bool], type[MigrationError]] = {
    (True, True, True): Unchanged,
    (True, True, False): Unchanged,
    (True, False, True): Unchanged,
    (True, False, False): Unchanged,
    (False, True, True): RolledBack,
    (False, True, False): NeedsPerson,
    (False, False, True): NeedsPerson,  # others may have committed in between, and the restore took that away
    (False, False, False): NeedsPerson,
}
"""
How a failed attempt ends, by what was proved: the catalog is as before it; the fence stood all the time; the backup
was restored and read back. What could not be found out counts as no.
"""


def needs_person(catalog: Catalog, run: Run, what: str, why: str) -> NeedsPerson:
    """Return the error that says what is known and what somebody has to do."""
    looking = shlex.join(["dlbackup", "info", catalog.address.without_secrets(), *in_schema(catalog.schema)])
    return NeedsPerson(
        f"{what} and could not be undone: {why}",
        f"keep all clients away; look at the catalog: {looking}; {_by_hand(catalog, run)}",
    )


def _by_hand(catalog: Catalog, run: Run) -> str:
    """Say how the verified backup is put back, wherever that is now: another one may lie under its name."""
    backup = sealed(keyed(where_named(str(run.backup)), run.ring), run.seal)
    if backup is None:
        return (
            f"find the backup that was verified, of snapshot {run.snapshot_id}, whose seal begins with {run.seal[:12]}:"
            f" {run.backup} is gone or another one, which must not be restored; with BACKUP for its name, then"
            f" cat BACKUP | {restoring('-', catalog.address, catalog.schema)}"
        )
    try:
        with catalog.doing("looking for the way back"):
            way = to_backup(catalog, str(backup), barred=False, ring=run.ring)
    except DlbackupError:
        return f"then {restoring(str(backup), catalog.address, catalog.schema, opening(str(backup), run.ring))}"
    return f"to put the backup back ({way.loses}), then {way.command}"


def fenced(
    catalog: Catalog, fence: Fence, lock_timeout_s: float, run: Run, work: Callable[[ExitStack], MigrationError | None]
) -> MigrationError | None:
    """
    Do `work` while commits wait; return its failure once the consequences of that are dealt with.

    Two things can still go wrong when the work is over and its end is known: a signal that had to wait is delivered,
    and the fence can't be taken down. Neither may hide that end, so both are caught here and not at the work.
    """
    ends: list[MigrationError | None] = []
    try:
        with ExitStack() as held, fence.raised(lock_timeout_s) as since:
            try:
                ends.append(work(held))
            finally:
                run.pause_s = time.monotonic() - since
    except DlbackupError as exc:
        if not ends:
            raise
        if isinstance(ends[0], RolledBack) and not isinstance(exc, Interrupted):  # the restore was not committed
            return needs_person(catalog, run, ends[0].message, exc.message)
    return ends[0]


@dataclass(slots=True, kw_only=True)
class Attempt:
    """
    One attempt at a passage.

    Args:
        fence: stands, and falls after the attempt.
        backup: of exactly the state under the fence.
        held: closed when the fence is about to fall.
        staged: a backup of the migrated catalog, to be put in the place of this one; None: the engine migrates it.
    """

    catalog: Served
    fence: Fence
    passage: Passage
    backup: VerifiedBackup
    options: MigrateOptions
    run: Run
    log: Log
    held: ExitStack
    staged: VerifiedBackup | None = None

    def make(self, *, attach: bool) -> MigrationError | None:
        """Let the engine migrate unless it has done so, mend, and prove; on any failure undo and return it."""
        options = self.options
        target = self.passage.target(self.catalog.address, self.catalog.schema)
        with self.fence.guarded(target.name, options.lock_timeout_s, ends_clients=options.terminate_clients) as guard:
            try:
                if self.staged is not None:
                    self._exchange(self.staged)
                else:
                    if attach:
                        self._attach(target)
                    self._prove(target)
                self._release()
            except BaseException as exc:  # noqa: BLE001 - whatever it was, what it left has to be found out
                return self._failed(target, guard, exc)
        return None

    def _attach(self, target: Target) -> None:
        with self.run.stage("attach"):
            self.log.begin()
            attach_migrating(
                self.passage.engine, self.backup, target, self.options.attach_timeout_s, to=self.passage.step.to_version
            )
            self.log.note("attached")

    def _exchange(self, staged: VerifiedBackup) -> None:
        """
        Put the migrated catalog in the place of this one; every definition and row of it is read back.

        All in the fence's transaction, so that it is there when the fence falls; a failure takes it back.
        """
        with self.run.stage("exchange"):
            self.log.begin()
            place = self.fence.catalog
            way = place.making_way() if self.options.terminate_clients else nullcontext()
            with self.fence.at_once(), way:
                self._put(staged)
                put_right(self.passage, place)
                self._give_alike(place)
            self.log.note("attached")

    def _prove(self, target: Target) -> None:
        with self.run.stage("mend"):
            with self.catalog.snapshot() as snapshot:  # what the engine left alone is left as it is
                refuse_unmigrated(self.passage, snapshot)
            self.run.mends = put_right(self.passage, self.catalog)
            self._give_alike(self.catalog)
            self.log.note("mended")
        with self.run.stage("post-check"):
            examine(self.passage, self.catalog, self.backup, target, self.run.compared)

    def _give_alike(self, catalog: Served) -> None:
        for what in catalog.give_alike(entry.table for entry in self.backup.manifest.tables):
            self.run.on_event(Event(stage="mend", message=what, warning=True))

    def _release(self) -> None:
        """End the commits that wait, for they were made for the old catalog, and note who else is still connected."""
        self.held.enter_context(signals_held())
        known = {client.pid for client in self.run.stale}
        self.run.stale += tuple(client for client in self.fence.end_waiting() if client.pid not in known)
        self.run.barred = self.passage.bars
        self.log.note("migrated")

    def _failed(self, target: Target, guard: Guard, exc: BaseException) -> MigrationError:
        self.held.enter_context(signals_held(asked=isinstance(exc, Interrupted)))
        guard.ends_clients = True  # to leave a catalog half undone for somebody's open transaction is worse
        cause = guard.gave_up if guard.gave_up and isinstance(exc, AttachFailed) else exc
        with self.run.stage("undo"):
            if not isinstance(exc, Interrupted):
                with suppress(DlbackupError):
                    self.held.enter_context(self.catalog.revived())
            return self._undo(target, cause)

    def _undo(self, target: Target, cause: BaseException) -> MigrationError:
        """Find out what the failure left, put it right under the fence, and say so as an error to raise."""
        as_before = stands = restored = False
        why = ""
        try:
            self.catalog.end_engine(target.name)
            as_before = is_as_in(self.catalog, self.backup, self.run.compared)
            stands = as_before or self.fence.stands()
            if stands and not as_before:
                self.log.note("undoing")
                self._put(self.backup)
                restored = True
            why = "the fence was lost, so that others may have committed since"
        except Exception as exc:  # noqa: BLE001 - an undo that can't be finished needs a person, whatever it was
            why = exc.message if isinstance(exc, DlbackupError) else str(exc)
        reason = cause.message if isinstance(cause, DlbackupError) else f"{type(cause).__name__}: {cause}"
        return self._ended(ENDS[as_before, stands, restored], reason, why)

    def _put(self, backup: VerifiedBackup) -> None:
        """Restore a backup in the place of the catalog."""
        with backup.open() as reader:
            options = RestoreOptions(replace=True, drop_replaced=True, data_files=False)
            restore_into(self.fence.catalog, reader, options, exact=True)

    def _ended(self, end: type[MigrationError], reason: str, why: str) -> MigrationError:
        if end is Unchanged:
            self.log.note("unchanged")
            return Unchanged(
                f"the migration failed and the catalog is as it was: {reason}",
                "backup and catalog agree in every definition and row; see the reason, then try again",
            )
        if end is RolledBack:
            self.log.note("rolled-back")
            return RolledBack(
                f"the migration failed after it had changed the catalog, and the backup was restored: {reason}",
                "every definition and row was read back and is as in the backup; clients must attach again",
            )
        self.log.note("needs-person")
        return needs_person(self.catalog, self.run, f"the migration failed ({reason})", why)
