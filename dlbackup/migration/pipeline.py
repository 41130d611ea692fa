"""
The migration of a catalog on PostgreSQL, stage by stage, and its undo.

Nothing reaches *attach* without a `VerifiedBackup` of exactly the state under the fence. Every end is
named: migrated, current, refused, unchanged (proved), rolled back (proved), or a person is needed. What a
killed migration left is finished or undone before anything else is done.
"""

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.backupfile.prover import prove, prove_file
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.open import open_catalog
from dlbackup.catalogs.postgres import mark
from dlbackup.catalogs.postgres.catalog import PostgresCatalog
from dlbackup.catalogs.postgres.clients.advisory_lock import only_migrator
from dlbackup.catalogs.postgres.clients.bars import bars_exist_for
from dlbackup.catalogs.postgres.clients.connected import end_by_name, end_clients, other_clients, settle_clients
from dlbackup.catalogs.postgres.clients.fence import Fence, raise_fence
from dlbackup.catalogs.postgres.clients.guard import guarded
from dlbackup.catalogs.postgres.schemas import drop_left
from dlbackup.catalogs.postgres.sessions import Session, answers, connect
from dlbackup.catalogs.postgres.snapshot import PostgresSnapshot
from dlbackup.engine.engine import Engine, attach_migrating, probe, standing_by
from dlbackup.engine.statements import Target
from dlbackup.errors import (
    AttachFailed,
    BackupError,
    CannotMigrate,
    CatalogError,
    DlbackupError,
    Interrupted,
    MigrationError,
    NeedsPerson,
    RolledBack,
    StorageError,
    Unchanged,
)
from dlbackup.migration import journal, leftovers
from dlbackup.migration.comparison import state_of
from dlbackup.migration.journal import Journal, Log
from dlbackup.migration.losses.loss import Loss
from dlbackup.migration.obstacles import obstacles
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.outcome import Migration
from dlbackup.migration.passage import Passage, examine, put_right
from dlbackup.migration.rehearsal import rehearse
from dlbackup.migration.run import OUTCOMES, Run
from dlbackup.migration.steps import Step, next_step
from dlbackup.records import encode
from dlbackup.runtime.progress import Event, OnEvent
from dlbackup.runtime.signals import signals_held
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Rows
from dlbackup.transfer.dumping import dump_catalog
from dlbackup.transfer.filling import RestoreOptions
from dlbackup.transfer.loading import restore_into


def run_migration(address: Address, options: MigrateOptions, on_event: OnEvent) -> Migration:
    """
    Migrate the catalog at an address; see `verbs.migrate`.

    A catalog that only an engine of 0.3 can bring forward is migrated by the engine that the user named, and
    then on by this environment's own.
    """
    first = _migrate_once(address, options, on_event)
    if first.outcome != "migrated" or options.engine is None or options.to is not None or first.to_version != "0.3":
        return first
    on_event(Event("look", f"{first.from_version} to {first.to_version} is done; going on with DuckDB's newest"))
    try:
        second = _migrate_once(address, replace(options, engine=None), on_event)
    except DlbackupError as exc:
        done = f"the step to {first.to_version} is done, and {first.backup} undoes it"
        exc.hint = f"{exc.hint}; {done}" if exc.hint else done
        raise
    return replace(
        second,
        from_version=first.from_version,
        backup=first.backup,
        stages=first.stages + second.stages,
        mends=first.mends + second.mends,
        writer_pause_seconds=max(first.writer_pause_seconds, second.writer_pause_seconds),
    )


def _migrate_once(address: Address, options: MigrateOptions, on_event: OnEvent) -> Migration:
    run = Run(on_event)
    with open_catalog(address, options.metadata_schema) as catalog:
        with run.stage("look"):
            engine = probe(options.engine)
            left = leftovers.left_behind(catalog.session, catalog.schema, Path(options.backup_dir))
            if left is not None:
                with only_migrator(catalog.session, catalog.schema):
                    finished = _finish(catalog, engine, options, run)
                if finished is not None:
                    return finished
            with catalog.snapshot() as snapshot:
                step = next_step(snapshot.head.versions, engine.duckdb_version, engine.spec_version, options.to)
        if step is None:
            return run.result("current", engine.spec_version, engine.spec_version, snapshot.head.snapshot_id)
        with only_migrator(catalog.session, catalog.schema):
            return _Pipeline(catalog, engine, step, options, run).migrate()


def _finish(catalog: PostgresCatalog, engine: Engine, options: MigrateOptions, run: "Run") -> Migration | None:
    """Deal with what a killed migration left; None when the catalog is as it was before."""
    left = leftovers.left_behind(catalog.session, catalog.schema, Path(options.backup_dir))
    with catalog.snapshot() as snapshot:
        version = snapshot.head.spec_version
    if left is None or (left.journal is None and version == left.from_version):
        return None
    if left.journal is None:
        raise leftovers.cut_off(catalog.schema, left)
    entry = left.journal
    run.on_event(Event("look", f"an earlier migration was cut off; its journal {left.path} says: {entry.progress}"))
    log = Log(catalog, left.path, entry, run)
    if version == entry.from_version:
        log.note("unchanged")
        return None
    if engine.spec_version != entry.to_version and options.engine is not None:
        engine = probe()
    if engine.spec_version != entry.to_version:
        raise CannotMigrate(
            f"an earlier migration to spec version {entry.to_version} was cut off, and DuckDB {engine.duckdb_version}"
            f" writes {engine.spec_version}: it can't finish that",
            "name an environment with the DuckDB of that migration with --engine",
        )
    passage = Passage(
        engine,
        Step(entry.from_version, entry.to_version, engine.duckdb_version),
        tuple(Loss(**loss) for loss in entry.losses),
        frozenset(entry.accepted),
        entry.bars,
        catalog.schema,
        options.lock_timeout_s,
        options.attach_timeout_s,
    )
    return _Pipeline(catalog, engine, passage.step, options, run, passage.mends, log).finish(passage)


@dataclass(slots=True)
class _Pipeline:
    catalog: PostgresCatalog
    engine: Engine
    step: Step
    options: MigrateOptions
    run: Run
    losses: tuple[Loss, ...] = ()
    log: Log | None = None

    def migrate(self) -> Migration:
        self._refuse_what_is_unsafe()
        with self._own_session() as session:
            self._settle_clients(session)
            backup = self._back_up(self.options.max_rate)
            if self.options.rehearsal:
                with self.run.stage("rehearsal"):
                    rehearse(self._passage(), self.catalog.address, backup)
            failure = self._fenced(session, 2, lambda fence, held: self._under_fence(fence, backup, held))
        return self._result(failure)

    def _result(self, failure: MigrationError | None) -> Migration:
        before = self.step.from_version
        if failure is not None:
            failure.result = self.run.result(OUTCOMES[type(failure)], before, before, self.run.snapshot_id)
            raise failure
        return self.run.result("migrated", before, self.step.to_version, self.run.snapshot_id)

    def finish(self, passage: Passage) -> Migration:
        """Finish or undo a migration that was cut off after its engine was done."""
        path = journal.backup_of(self._log.path)
        self.run.backup, self.run.snapshot_id = str(path), self._log.entry.snapshot_id
        try:
            with self.run.stage("verify"):
                backup, _ = prove_file(path, on_event=self.run.on_event)
        except (BackupError, StorageError) as exc:
            return self._result(self._needs_person("a migration was cut off before its end", exc.message))
        with self._own_session() as session:
            self._settle_clients(session)
            failure = self._fenced(session, 1, lambda fence, held: self._finish_fenced(fence, passage, backup, held))
        return self._result(failure)

    def _finish_fenced(
        self, fence: Fence, passage: Passage, backup: VerifiedBackup, held: ExitStack
    ) -> MigrationError | None:
        with self.catalog.snapshot() as snapshot:
            head = snapshot.head
        if head.spec_version != self.step.to_version or head.snapshot_id != self.run.snapshot_id:
            return self._needs_person(
                f"a migration was cut off before its end, and the catalog has version {head.spec_version} and snapshot"
                f" {head.snapshot_id}, where {self.step.to_version} and {self.run.snapshot_id} were expected,",
                "others have changed it since, so that neither mends nor the backup fit it any more",
            )
        return self._prove_or_undo(fence, replace(passage, engine=self.engine), backup, held, attach=False)

    def _settle_clients(self, fence_session: Session) -> None:
        session = self.catalog.session
        clients = settle_clients(
            session,
            self.catalog.schema,
            frozenset({session.info.backend_pid, fence_session.info.backend_pid}),
            ignore=self.options.ignore_clients,
            terminate=self.options.terminate_clients,
        )
        self.run.stale = () if self.options.terminate_clients else clients

    def _refuse_what_is_unsafe(self) -> None:
        with self.run.stage("check"), self.catalog.snapshot() as snapshot:
            if snapshot.head.spec_version != self.step.from_version:
                raise CatalogError("the catalog was migrated by somebody else in this moment", "look again")
            self._refuse_obstacles(snapshot)

    def _refuse_obstacles(self, snapshot: PostgresSnapshot) -> None:
        errors, self.losses = obstacles(snapshot, self.step, self.options)
        if errors:
            raise errors[0]

    @property
    def _to_mend(self) -> tuple[Loss, ...]:
        return tuple(loss for loss in self.losses if loss.mendable) if self.options.mend else ()

    def _passage(self) -> Passage:
        accepted = frozenset(loss.part for loss in self.losses if loss not in self._to_mend)
        options = self.options
        bars = options.bar_stale_clients and bars_exist_for(self.step.to_version)
        return Passage(
            self.engine,
            self.step,
            self._to_mend,
            accepted,
            bars,
            self.catalog.schema,
            options.lock_timeout_s,
            options.attach_timeout_s,
        )

    def _new_log(self, passage: Passage, backup: VerifiedBackup) -> Log:
        header = backup.manifest.header
        entry = Journal(
            mark.place_of(self.catalog.session, self.catalog.schema),
            header.snapshot_id,
            self.step.from_version,
            self.step.to_version,
            self.step.duckdb_version,
            tuple(encode(loss, keep_defaults=True) for loss in passage.mends),
            tuple(sorted(passage.accepted)),
            passage.bars,
            "attaching",
            "",
        )
        return Log(self.catalog, journal.journal_of(backup.path), entry, self.run)

    @property
    def _log(self) -> Log:
        if self.log is None:
            raise AssertionError("the journal is there before anything is changed")
        return self.log

    @contextmanager
    def _own_session(self) -> Iterator[Session]:
        session = connect(self.catalog.address, "dlbackup-fence")
        try:
            yield session
        finally:
            session.close()

    def _back_up(self, max_rate: float | None = None) -> VerifiedBackup:
        with self.run.stage("dump"):
            backup = dump_catalog(
                self.catalog.address,
                self.options.backup_dir,
                self.catalog.schema,
                on_event=self.run.on_event,
                max_rate=max_rate,
            )
            self.run.backup, self.run.snapshot_id = backup.path, backup.snapshot_id
        with self.run.stage("verify"):
            verified, _ = prove(backup, on_event=self.run.on_event)
        return verified

    def _fenced(
        self, session: Session, jobs: int, work: Callable[[Fence, ExitStack], MigrationError | None]
    ) -> MigrationError | None:
        """
        Do what happens under the fence; return the failure once its consequences are dealt with.

        Args:
            jobs: how many the engine will have to do: commits don't wait for the start of a process.
        """
        address, schema = self.catalog.address, self.catalog.schema
        timeout_ms = int(self.options.lock_timeout_s * 1000)
        failure, known = None, False
        try:
            with (
                standing_by(self.engine, jobs) as self.engine,
                ExitStack() as held,
                raise_fence(session, address, schema, timeout_ms) as fence,
            ):
                try:
                    failure, known = work(fence, held), True
                finally:
                    self.run.pause_s = time.monotonic() - fence.since
        except DlbackupError as exc:
            # Once the end is known, neither a signal that had to wait nor a fence that can't be taken down hides it.
            if not known:
                raise
            if isinstance(failure, RolledBack) and not isinstance(exc, Interrupted):
                failure = self._needs_person(failure.message, exc.message)
        if isinstance(failure, RolledBack):
            with suppress(DlbackupError, psycopg.Error):  # what can't be dropped now, the next restore drops
                drop_left(self.catalog.session, schema)
        return failure

    def _under_fence(self, fence: Fence, backup: VerifiedBackup, held: ExitStack) -> MigrationError | None:
        with self.run.stage("same-state"):
            self._settle_clients(fence.session)  # who came while the backup was made and rehearsed
            if self._state() != state_of(backup):
                backup = self._back_up()
            with self.catalog.snapshot() as snapshot:
                self._refuse_obstacles(snapshot)
        passage = self._passage()
        self.log = self._new_log(passage, backup)
        return self._prove_or_undo(fence, passage, backup, held, attach=True)

    def _prove_or_undo(
        self, fence: Fence, passage: Passage, backup: VerifiedBackup, held: ExitStack, *, attach: bool
    ) -> MigrationError | None:
        """Let the engine migrate unless it has done so, mend, and prove; on any failure undo and return it."""
        catalog, log, options = self.catalog, self._log, self.options
        target = passage.target(catalog.address, catalog.schema)
        own = frozenset({catalog.session.info.backend_pid, fence.session.info.backend_pid})
        with guarded(
            catalog.address,
            catalog.schema,
            target.name,
            own,
            options.lock_timeout_s,
            ends_clients=options.terminate_clients,
        ) as guard:
            try:
                if attach:
                    with self.run.stage("attach"):
                        log.begin()
                        attach_migrating(passage.engine, backup, target, options.attach_timeout_s)
                        log.note("attached")
                with self.run.stage("mend"):
                    self.run.mends = put_right(passage, catalog)
                    log.note("mended")
                with self.run.stage("post-check"):
                    examine(passage, catalog, backup, target)
                held.enter_context(signals_held())
                end_clients(catalog.session, fence.waiting())
                known = {client.pid for client in self.run.stale}
                came = other_clients(catalog.session, catalog.schema, own)
                self.run.stale += tuple(client for client in came if client.pid not in known)
                self.run.barred = passage.bars
                fence.ends_waiting = True
                log.note("migrated")
            except BaseException as exc:  # noqa: BLE001 - whatever it was, what it left has to be found out
                held.enter_context(signals_held(asked=isinstance(exc, Interrupted)))
                guard.ends_clients = True  # to leave a catalog half undone for somebody's open transaction is worse
                cause = guard.gave_up if guard.gave_up and isinstance(exc, AttachFailed) else exc
                with self.run.stage("undo"):
                    if not isinstance(exc, Interrupted) and not answers(catalog.session):
                        with suppress(DlbackupError):
                            catalog.session = held.enter_context(closing(connect(catalog.address)))
                    return self._undo(fence, backup, target, cause)
        return None

    def _state(self) -> tuple[tuple[Table, ...], dict[str, Rows]]:
        with self.catalog.snapshot() as snapshot:
            return snapshot.tables, snapshot.contents()

    def _undo(self, fence: Fence, backup: VerifiedBackup, target: Target, cause: BaseException) -> MigrationError:
        """Find out what the failure left, put it right under the fence, and say so as an error to raise."""
        reason = cause.message if isinstance(cause, DlbackupError) else f"{type(cause).__name__}: {cause}"
        try:
            end_by_name(self.catalog.session, target.name)
            if self._state() == state_of(backup):
                self._log.note("unchanged")
                return Unchanged(
                    f"the migration failed and the catalog is as it was: {reason}",
                    "backup and catalog agree in every definition and row; see the reason, then try again",
                )
            if not fence.stands():
                raise CatalogError("the fence was lost, so that others may have committed since")
            self._log.note("undoing")
            with BackupReader(backup.path) as reader:
                options = RestoreOptions(replace=True, drop_replaced=True, data_files=False)
                restore_into(fence.session, self.catalog.address, self.catalog.schema, reader, options)
        except Exception as exc:  # noqa: BLE001 - an undo that can't be finished needs a person, whatever it was
            why = exc.message if isinstance(exc, DlbackupError) else str(exc)
            self._log.note("needs-person")
            return self._needs_person(f"the migration failed ({reason})", why)
        self._log.note("rolled-back")
        return RolledBack(
            f"the migration failed after it had changed the catalog, and the backup was restored: {reason}",
            "every definition and row was read back and is as in the backup; clients must attach again",
        )

    def _needs_person(self, what: str, why: str) -> NeedsPerson:
        address = shlex.quote(str(self.catalog.address))
        by_hand = f"dlbackup restore {shlex.quote(str(self.run.backup))} {address} --replace"
        return NeedsPerson(
            f"{what} and could not be undone: {why}",
            "keep all clients away; look at the catalog with dlbackup info; then"
            f" {by_hand} --metadata-schema {shlex.quote(self.catalog.schema)}",
        )
