"""
The migration of a catalog in a file: the engine works on a copy, which takes the catalog's place once it is proved.

What engines can't do in that kind of file, they do in one of DuckDB's, and the copy is made of what comes back. The
file itself is held meanwhile, so that nobody commits to it, and it is not written before the exchange. So this is its
own rehearsal, and what fails or is killed at any point leaves the old catalog or the new one: there is nothing to
undo.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.catalogs.contract import Access, Catalog, Remake, Snapshot
from dlbackup.catalogs.open import open_catalog, open_for_restore, remaking
from dlbackup.engine.engine import Engine, attach_migrating, probe
from dlbackup.errors import DlbackupError, Interrupted, Locked, NeedsPerson, Unchanged
from dlbackup.inventory.names import MIGRATION
from dlbackup.inventory.publishing import pin
from dlbackup.migration.backing_up import back_up
from dlbackup.migration.losses.loss import Loss
from dlbackup.migration.obstacles import already, obstacles, refuse_bars
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.outcome import Migration
from dlbackup.migration.passage import Passage, examine, keeps_rules, passage_by, put_right
from dlbackup.migration.route import reach, route
from dlbackup.migration.run import OUTCOMES, Run
from dlbackup.migration.staged import staged
from dlbackup.migration.steps import Step
from dlbackup.migration.unchanged import is_as_in
from dlbackup.runtime.progress import Event
from dlbackup.stores.named import where_named
from dlbackup.transfer.loading import restore_into
from dlbackup.transfer.options import RestoreOptions
from dlbackup.transfer.way_back import WayBack, found, to_backup

_ATTEMPTS = 3
"""How often a backup is made before the file is held as that has it; who has the file open keeps us from both."""


def migrate_copy(address: Address, options: MigrateOptions, run: Run) -> Migration:
    """
    Migrate a catalog in a file by one step.

    Raises:
        Refused, CatalogError, BackupError, EngineError: before the engine had anything to do.
        Unchanged: it, or the proof, failed; the file is as it was.
    """
    refuse_bars(options)
    with ExitStack() as engines:
        with run.stage("look"):
            engine = engines.enter_context(probe(options.engine))
            access = Access(wait_s=options.wait_s, engine=options.reader(engine.duckdb_version))
            with (
                open_catalog(address, options.metadata_schema, access) as catalog,
                catalog.snapshot() as snapshot,
            ):
                steps = route(snapshot, engine, options)
                if steps:
                    reach(snapshot, engine, steps)
        if not steps:
            version = snapshot.head.spec_version
            return run.result("current", version, version, snapshot.head.snapshot_id)
        with open_for_restore(address, catalog.schema, catalog.schema, access, replace=True) as closed, closed.turn():
            closed.drop_left()
            copying = _Copying(catalog=closed, engine=engine, steps=steps, options=options, run=run, access=access)
            migrated = copying.migrate()

    def find() -> WayBack:
        with open_catalog(address, migrated_schema, access) as catalog:
            return to_backup(catalog, str(migrated.backup), barred=False, ring=run.ring)

    migrated_schema = closed.schema
    return replace(migrated, way_back=found(find, run.on_event))


@dataclass(slots=True, kw_only=True)
class _Copying:
    """
    The first of a migration's steps; that the others aren't refused for a loss is seen before it.

    Args:
        catalog: which is not open.
    """

    catalog: Catalog
    engine: Engine
    steps: tuple[Step, ...]
    options: MigrateOptions
    run: Run
    access: Access
    losses: tuple[Loss, ...] = ()

    @property
    def step(self) -> Step:
        return self.steps[0]

    def migrate(self) -> Migration:
        with self.run.stage("check"), self.catalog.snapshot() as snapshot:
            self._refuse_obstacles(snapshot)
            stays = already(snapshot, self.steps).stays
            for text in (*stays, *self.catalog.surroundings()[0]):
                self.run.on_event(Event(stage="check", message=text, warning=True))
        for _ in range(_ATTEMPTS):
            backup = back_up(
                self.catalog.address,
                self.catalog.schema,
                self.options,
                self.run,
                max_rate=self.options.max_rate,
                access=self.access,
            )
            with self._staged(backup) as made:
                self.engine.stand_by()
                with remaking(self.catalog.address, self.catalog.schema, self.access) as remake:
                    if migrated := self._held(remake, backup, made, time.monotonic()):
                        return migrated
        raise Locked(
            f"{self.catalog.place} was changed by somebody else each time between its backup and the migration",
            "close the programs that write to it, then try again",
        )

    def _refuse_obstacles(self, snapshot: Snapshot, *, unreadable: bool = True) -> None:
        errors, (self.losses, *_) = obstacles(snapshot, self.steps, self.options, unreadable=unreadable)
        if errors:
            raise errors[0]

    @property
    def _passage(self) -> Passage:
        return passage_by(self.step, self.engine, self.catalog, self.losses, self.options)

    @contextmanager
    def _staged(self, backup: VerifiedBackup) -> Iterator[VerifiedBackup | None]:
        """Yield what is migrated by way of a file already; None where the copy is to be."""
        if not self.step.staged:
            yield None
            return
        with ExitStack() as held:
            with self.run.stage("rehearsal"):
                made = held.enter_context(staged(self._passage, backup, self.run.on_event))
            yield made

    def _held(
        self, remake: Remake, backup: VerifiedBackup, made: VerifiedBackup | None, since: float
    ) -> Migration | None:
        """
        Migrate what is held; None where it is not as in the backup any more.

        Args:
            made: what it has become by way of a file.
            since: when that began, by the monotonic clock.
        """
        with self.run.stage("same-state"):
            if not is_as_in(remake.held, backup, self.run.compared):
                return None
            with remake.held.snapshot() as snapshot:
                self._refuse_obstacles(snapshot, unreadable=False)
        pin(where_named(backup.kept_at), MIGRATION)
        before = self.step.from_version
        try:
            replaced = self._walk(remake, backup, made)
        except Interrupted:
            raise  # nothing was changed, and nobody is told that something failed
        except Exception as exc:
            failure = exc if isinstance(exc, NeedsPerson) else self._failed(remake, backup, exc)
            self.run.pause_s = time.monotonic() - since
            failure.result = self.run.result(OUTCOMES[type(failure)], before, before, self.run.snapshot_id)
            if failure is exc:
                raise
            raise failure from exc
        self.run.pause_s = time.monotonic() - since
        migrated = self.run.result("migrated", before, self.step.to_version, self.run.snapshot_id)
        return replace(migrated, replaced=replaced)

    def _walk(self, remake: Remake, backup: VerifiedBackup, made: VerifiedBackup | None) -> str | None:
        """Let the engine migrate the copy, mend, prove and exchange; return where the old catalog is kept."""
        copy, passage = remake.copy, self._passage
        target = passage.target(copy.address, copy.schema)
        with self.run.stage("attach"):
            if made is None:
                remake.make_copy()
                attach_migrating(self.engine, backup, target, passage.attach_timeout_s, to=self.step.to_version)
            else:
                with made.open() as reader:
                    restore_into(copy, reader, RestoreOptions(data_files=False), self.run.on_event, scratch=True)
        with self.run.stage("mend"):
            self.run.mends = put_right(passage, copy)
        with self.run.stage("post-check"):
            keeps_rules(passage, copy, backup, examine(passage, copy, backup, target, self.run.compared))
            return remake.exchange()

    def _failed(self, remake: Remake, backup: VerifiedBackup, exc: Exception) -> Unchanged | NeedsPerson:
        """Find out that the file is as it was."""
        reason = exc.message if isinstance(exc, DlbackupError) else f"{type(exc).__name__}: {exc}"
        hint = exc.hint if isinstance(exc, DlbackupError) else ""
        self.run.mends = ()
        with self.run.stage("undo"):
            try:
                as_before = is_as_in(remake.held, backup, self.run.compared)
                why = "it is not as in the backup"
            except DlbackupError as other:
                as_before, why = False, other.message
        if as_before:
            return Unchanged(
                f"the migration failed and the catalog is as it was: {reason}",
                hint or "backup and catalog agree in every definition and row; see the reason, then try again",
            )
        return NeedsPerson(
            f"the migration failed ({reason}), and {self.catalog.place}, which was held and never written, can't be"
            f" read as it was: {why}",
            f"look at the disk; the backup {backup.kept_at} is good: dlbackup restore puts it into a new file",
        )
