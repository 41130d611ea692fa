"""
The migration of a catalog on a server, stage by stage, and its undo; `copied` has that of a catalog in a file.

Nothing reaches *attach* without a `VerifiedBackup` of exactly the state under the fence. Every end is
named: migrated, current, refused, unchanged (proved), rolled back (proved), or a person is needed. What a
killed migration left is finished or undone before anything else is done.
"""

from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.backupfile.prover import prove_file
from dlbackup.catalogs.contract import Fence, Served, Snapshot
from dlbackup.catalogs.open import is_in_file, open_catalog, open_served
from dlbackup.engine.engine import Engine, probe
from dlbackup.errors import (
    BackupError,
    Corrupt,
    DlbackupError,
    MigrationError,
    NoIdentity,
    RolledBack,
    StorageError,
    Unchanged,
    WrongIdentity,
)
from dlbackup.inventory.names import MIGRATION
from dlbackup.inventory.publishing import pin
from dlbackup.migration import journal, leftovers
from dlbackup.migration.backing_up import back_up
from dlbackup.migration.comparison import strangers
from dlbackup.migration.copied import migrate_copy
from dlbackup.migration.journal import Journal, Log
from dlbackup.migration.losses.known import refuse_unknown, retyped
from dlbackup.migration.losses.loss import Loss
from dlbackup.migration.obstacles import already, obstacles
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.outcome import Migration
from dlbackup.migration.passage import Passage, passage_by
from dlbackup.migration.rehearsal import rehearse
from dlbackup.migration.resumed import CutOffMigration, cut_off_in
from dlbackup.migration.route import goes_on, reach, route
from dlbackup.migration.run import OUTCOMES, Run
from dlbackup.migration.staged import opens_where_it_is_put, staged
from dlbackup.migration.steps import Step
from dlbackup.migration.unchanged import is_as_in, is_proved
from dlbackup.migration.under_fence import Attempt, fenced, needs_person
from dlbackup.records import encode
from dlbackup.runtime.progress import Event, OnEvent
from dlbackup.stores.encrypted import keyed
from dlbackup.stores.keys import Keyring
from dlbackup.stores.named import is_url, where_named
from dlbackup.transfer.way_back import WayBack, found, to_backup


def run_migration(address: Address, options: MigrateOptions, on_event: OnEvent) -> Migration:
    """
    Migrate the catalog at an address; see `verbs.migrate`.

    A catalog that only an engine of 0.3 can bring forward is migrated by the engine that the user named, and
    then on by this environment's own.
    """
    refuse_unknown(options.accept_loss)
    ring = options.keys.ring()
    first = _migrate_once(address, options, ring, on_event)
    if first.outcome != "migrated" or not goes_on(Step(first.from_version, first.to_version, ""), options):
        return first
    on_event(
        Event(
            stage="look", message=f"{first.from_version} to {first.to_version} is done; going on with DuckDB's newest"
        )
    )
    try:
        second = _migrate_once(address, replace(options, engine=None), ring, on_event)
    except DlbackupError as exc:
        done = f"the step to {first.to_version} is done, and {first.backup} undoes it"
        exc.hint = f"{exc.hint}; {done}" if exc.hint else done
        exc.result = _joined(first, exc.result) if isinstance(exc.result, Migration) else first
        raise
    if second.outcome == "current":  # this environment's own engine opens what the first one made
        return first

    def way_back() -> WayBack:
        with open_catalog(address, options.metadata_schema) as catalog:
            return to_backup(catalog, str(first.backup), barred=second.barred, ring=ring)

    return replace(_joined(first, second), way_back=found(way_back, on_event))


def _joined(first: Migration, second: Migration) -> Migration:
    """Return how two steps ended together: where the second did, and with the backup from before both."""
    return replace(
        second,
        from_version=first.from_version,
        backup=first.backup,
        way_back=first.way_back,
        stages=first.stages + second.stages,
        mends=first.mends + second.mends,
        writer_pause_seconds=max(first.writer_pause_seconds, second.writer_pause_seconds),
    )


def _migrate_once(address: Address, options: MigrateOptions, ring: Keyring, on_event: OnEvent) -> Migration:
    run = Run(on_event, ring)
    if is_in_file(address):
        return migrate_copy(address, options, run)
    with open_served(address, options.metadata_schema) as catalog, ExitStack() as engines:
        with run.stage("look"):
            engine = engines.enter_context(probe(options.engine))
            left = leftovers.left_behind(catalog.mark, journal.folder_of(options.backup_dir))
            if left is not None:
                with catalog.turn():
                    begun = cut_off_in(catalog, engine, engines, options, run)
                    finished = _resumed(catalog, begun, options, run).finish(begun.passage) if begun else None
                if finished is not None:
                    _drop_left(catalog)
                    return finished
            elif leftovers.outlived(catalog.mark):
                with catalog.turn():
                    catalog.mark.take_away()
            _drop_left(catalog)
            with catalog.snapshot() as snapshot:
                steps = route(snapshot, engine, options)
                if steps:
                    reach(snapshot, engine, steps)
        if not steps:
            version = snapshot.head.spec_version
            return run.result("current", version, version, snapshot.head.snapshot_id)
        with catalog.turn():
            return _Pipeline(catalog=catalog, engine=engine, steps=steps, options=options, run=run).migrate()


def _drop_left(catalog: Served) -> None:
    """Drop tables that a killed migration had made or exchanged; what can't be dropped now, the next one drops."""
    with suppress(DlbackupError), catalog.doing("dropping what a killed migration left"):
        catalog.drop_left()


def _resumed(catalog: Served, begun: CutOffMigration, options: MigrateOptions, run: Run) -> "_Pipeline":
    """Return the pipeline of a migration that was cut off, as it was after its engine."""
    passage = begun.passage
    return _Pipeline(
        catalog=catalog,
        engine=passage.engine,
        steps=(passage.step,),
        options=options,
        run=run,
        losses=passage.mends,
        log=begun.log,
    )


@dataclass(slots=True, kw_only=True)
class _Pipeline:
    """The first of a migration's steps; that the others aren't refused for a loss is seen before it."""

    catalog: Served
    engine: Engine
    steps: tuple[Step, ...]
    options: MigrateOptions
    run: Run
    losses: tuple[Loss, ...] = ()
    staged: VerifiedBackup | None = None
    log: Log | None = None

    @property
    def step(self) -> Step:
        return self.steps[0]

    def migrate(self) -> Migration:
        self._refuse_what_is_unsafe()
        with self.catalog.fence() as fence:
            self._settle_clients(fence)
            backup = self._back_up(self.options.max_rate)
            with ExitStack() as copies:
                if self.step.staged:
                    self._stage(backup, copies)
                elif self.options.rehearsal:
                    with self.run.stage("rehearsal"):
                        rehearse(self._passage(), self.catalog.address, backup)
                self._make_ready(copies)
                proved = self._proved(backup)
                failure = self._fenced(fence, lambda held: self._under_fence(fence, backup, proved, held, copies))
        if failure is None and self.step.staged:
            failure = self._exchanged()
        return self._result(failure)

    def _make_ready(self, copies: ExitStack) -> None:
        """Write anew, before commits have to wait for it, what a mend would else rewrite under the fence."""
        if tables := retyped(self._passage().mends):
            with self.run.stage("ready"):
                copies.enter_context(self.catalog.readied(tables))

    def _proved(self, backup: VerifiedBackup) -> Snapshot | None:
        """
        Prove and refuse while commits go on, which they mostly don't for so short a time; return the view of that.

        None where something has changed already.
        """
        with self.catalog.snapshot() as snapshot:
            if not is_proved(snapshot, backup):
                return None
            self._refuse_what_has_come(snapshot)
            return snapshot

    def _shows_what(self, earlier: Snapshot) -> bool:
        with self.catalog.snapshot() as snapshot:
            return snapshot.shows_what(earlier)

    def _refuse_what_has_come(self, snapshot: Snapshot) -> None:
        self._refuse_obstacles(snapshot, unreadable=False)  # what can't be read, the engine's own opening says too

    def _stage(self, backup: VerifiedBackup, copies: ExitStack) -> None:
        """Migrate a copy in a file, for as long as that is needed."""
        with self.run.stage("rehearsal"):
            passage = self._passage()
            self.staged = copies.enter_context(staged(passage, backup, self.run.on_event))
            if self.options.rehearsal:
                opens_where_it_is_put(passage, self.catalog.address, self.staged)

    def _exchanged(self) -> MigrationError | None:
        """Find out whether what was put in the catalog's place is there: it came with the last commit of the fence."""
        with self.run.stage("post-check"):
            why = f"it does not have spec version {self.step.to_version}"
            try:
                with self.catalog.snapshot() as snapshot:
                    if snapshot.head.spec_version == self.step.to_version:
                        return None
                    if snapshot.head.spec_version == self.step.from_version:
                        return Unchanged(
                            "the migration failed and the catalog is as it was: the exchange was not committed",
                            "look into the server's log, then try again",
                        )
            except DlbackupError as exc:
                why = exc.message
        return needs_person(self.catalog, self.run, "the catalog was exchanged", why)

    def _result(self, failure: MigrationError | None) -> Migration:
        before = self.step.from_version
        if failure is not None:
            failure.result = self.run.result(OUTCOMES[type(failure)], before, before, self.run.snapshot_id)
            raise failure
        migrated = self.run.result("migrated", before, self.step.to_version, self.run.snapshot_id)

        def find() -> WayBack:
            return to_backup(self.catalog, str(migrated.backup), barred=migrated.barred, ring=self.run.ring)

        return replace(migrated, way_back=found(find, self.run.on_event))

    def finish(self, passage: Passage) -> Migration:
        """Finish or undo a migration that was cut off after its engine was done."""
        path = journal.backup_of(self._log.path, self._log.entry)
        self.run.backup, self.run.snapshot_id = path, self._log.entry.snapshot_id
        self.run.seal = self._log.entry.seal
        try:
            with self.run.stage("verify"):
                backup = self._proved_again(path)
        except (NoIdentity, WrongIdentity):
            raise  # nothing was found out and nothing is changed: the next run, with the right identity, goes on
        except (BackupError, StorageError) as exc:
            if exc.transient:
                raise  # the store of the backup doesn't answer: the next run goes on
            return self._result(
                needs_person(self.catalog, self.run, "a migration was cut off before its end", exc.message)
            )
        with self.catalog.fence() as fence:
            self._settle_clients(fence)
            failure = self._fenced(fence, lambda held: self._finish_fenced(fence, passage, backup, held))
        return self._result(failure)

    def _proved_again(self, path: str) -> VerifiedBackup:
        """Prove the backup of a migration that was cut off; it must be the one that the journal began with."""
        backup, _ = prove_file(keyed(where_named(path), self.run.ring), on_event=self.run.on_event)
        if self._log.entry.seal not in ("", backup.seal):
            raise Corrupt(f"{path} is not the backup that was verified before that migration")
        return backup

    def _finish_fenced(
        self, fence: Fence, passage: Passage, backup: VerifiedBackup, held: ExitStack
    ) -> MigrationError | None:
        with self.catalog.snapshot() as snapshot:
            head = snapshot.head
        if head.spec_version != self.step.to_version or head.snapshot_id != self.run.snapshot_id:
            return needs_person(
                self.catalog,
                self.run,
                f"a migration was cut off before its end, and the catalog has version {head.spec_version} and snapshot"
                f" {head.snapshot_id}, where {self.step.to_version} and {self.run.snapshot_id} were expected,",
                "others have changed it since, so that neither mends nor the backup fit it any more",
            )
        return self._attempt(fence, passage, backup, held).make(attach=False)

    def _settle_clients(self, fence: Fence) -> None:
        clients = fence.settle_clients(ignore=self.options.ignore_clients, terminate=self.options.terminate_clients)
        self.run.stale = () if self.options.terminate_clients else clients

    def _refuse_what_is_unsafe(self) -> None:
        with self.run.stage("check"), self.catalog.snapshot() as snapshot:
            self._refuse_obstacles(snapshot)
            stays = already(snapshot, self.steps).stays
            for text in (*stays, *self.catalog.surroundings()[0]):
                self.run.on_event(Event(stage="check", message=text, warning=True))

    def _refuse_obstacles(self, snapshot: Snapshot, *, unreadable: bool = True) -> None:
        errors, (self.losses, *_) = obstacles(snapshot, self.steps, self.options, unreadable=unreadable)
        if errors:
            raise errors[0]

    def _passage(self) -> Passage:
        barred = self.catalog.is_barred()  # for the old version; it would bar the new
        wanted = self.options.bar_stale_clients or barred
        return passage_by(self.step, self.engine, self.catalog, self.losses, self.options, bars=wanted)

    def _new_log(self, passage: Passage, backup: VerifiedBackup) -> Log:
        """Begin the journal; from here on the backup is the way back, which no retention takes until it is released."""
        pin(where_named(backup.kept_at), MIGRATION)
        header = backup.manifest.header
        entry = Journal(
            place=self.catalog.mark.catalog,
            snapshot_id=header.snapshot_id,
            from_version=self.step.from_version,
            to_version=self.step.to_version,
            duckdb_version=self.step.duckdb_version,
            losses=tuple(encode(loss, keep_defaults=True) for loss in passage.mends),
            accepted=tuple(sorted(passage.accepted)),
            bars=passage.bars,
            progress="attaching",
            time="",
            seal=backup.seal,
            backup=backup.kept_at if is_url(backup.kept_at) else "",
        )
        return Log(self.catalog, journal.journal_of(backup.kept_at), entry, self.run)

    @property
    def _log(self) -> Log:
        if self.log is None:
            raise AssertionError("the journal is there before anything is changed")
        return self.log

    def _back_up(self, max_rate: float | None = None) -> VerifiedBackup:
        return back_up(self.catalog.address, self.catalog.schema, self.options, self.run, max_rate=max_rate)

    def _fenced(self, fence: Fence, work: Callable[[ExitStack], MigrationError | None]) -> MigrationError | None:
        """Do what happens under the fence; return the failure once its consequences are dealt with."""
        self.engine.stand_by()  # commits don't wait for the start of a process
        failure = fenced(self.catalog, fence, self.options.lock_timeout_s, self.run, work)
        if isinstance(failure, RolledBack):
            _drop_left(self.catalog)  # what the undo replaced
        return failure

    def _under_fence(
        self, fence: Fence, backup: VerifiedBackup, proved: Snapshot | None, held: ExitStack, copies: ExitStack
    ) -> MigrationError | None:
        with self.run.stage("same-state"):
            self._settle_clients(fence)  # who came while the backup was made and rehearsed
            self._hold(fence, backup)
            if proved is not None and self._shows_what(proved):
                self.run.compared(0, 0)
            else:
                if not is_as_in(self.catalog, backup, self.run.compared):
                    self.catalog.unready()
                    backup = self._back_up()
                    if self.step.staged:
                        self._stage(backup, copies)
                with self.catalog.snapshot() as snapshot:
                    self._refuse_what_has_come(snapshot)
        passage = self._passage()
        self.log = self._new_log(passage, backup)
        return self._attempt(fence, passage, backup, held).make(attach=True)

    def _hold(self, fence: Fence, backup: VerifiedBackup) -> None:
        """
        Let writers wait that make no commits, as who sets an option does: what they write must be in the backup.

        An engine that migrates the catalog where it is writes into the same tables, and leaves what they wrote.
        """
        if not self.step.staged:
            fence.hold(strangers(backup))
            return
        with fence.catalog.making_way() if self.options.terminate_clients else nullcontext():
            fence.hold(entry.table.name for entry in backup.manifest.tables if entry.kind == "fixed")

    def _attempt(self, fence: Fence, passage: Passage, backup: VerifiedBackup, held: ExitStack) -> Attempt:
        return Attempt(
            catalog=self.catalog,
            fence=fence,
            passage=passage,
            backup=backup,
            options=self.options,
            run=self.run,
            log=self._log,
            held=held,
            staged=self.staged,
        )
