"""
The migration of a catalog on PostgreSQL, stage by stage, and its undo.

Nothing reaches *attach* without a `VerifiedBackup` of exactly the state under the fence. Every end is
named: migrated, current, refused, unchanged (proved), rolled back (proved), or a person is needed.
"""

import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from dlbackup.address import Address
from dlbackup.aftercare import Loss
from dlbackup.backupfile import BackupReader, VerifiedBackup
from dlbackup.catalogs import open_catalog
from dlbackup.catalogs.postgres import PostgresCatalog, PostgresSnapshot
from dlbackup.catalogs.sessions import Session, connect
from dlbackup.dump import dump_catalog
from dlbackup.engine import Engine, Target, probe
from dlbackup.errors import (
    CatalogError,
    DlbackupError,
    Interrupted,
    MigrationError,
    NeedsPerson,
    RolledBack,
    Unchanged,
)
from dlbackup.fence import Fence, end_by_name, end_clients, only_migrator, raise_fence, settle_clients
from dlbackup.migration import (
    Client,
    Mend,
    MigrateOptions,
    Migration,
    Outcome,
    Stage,
    Step,
    next_step,
    state_of,
)
from dlbackup.plan import obstacles
from dlbackup.progress import Event, OnEvent
from dlbackup.rehearsal import Passage, attempt, examine, rehearse
from dlbackup.restore import RestoreOptions, restore_into
from dlbackup.tables import Rows, Table
from dlbackup.verify import prove


def run_migration(address: Address, options: MigrateOptions, on_event: OnEvent) -> Migration:
    """
    Migrate the catalog at an address; see `dlbackup.migrate.migrate`.

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
    run = _Run(on_event)
    with open_catalog(address, options.metadata_schema) as catalog:
        with run.stage("look"):
            engine = probe(options.engine)
            with catalog.snapshot() as snapshot:
                step = next_step(snapshot.head.versions, engine.duckdb_version, engine.spec_version, options.to)
        if step is None:
            return run.result("current", engine.spec_version, engine.spec_version, snapshot.head.snapshot_id)
        with only_migrator(catalog.session, catalog.schema):
            return _Pipeline(catalog, engine, step, options, run).migrate()


_DOING = {
    "look": "reading the catalog's version and asking the engine for its own",
    "check": "looking for what stands in the way",
    "dump": "writing the backup",
    "verify": "proving the backup",
    "rehearsal": "migrating a copy in a scratch schema",
    "same-state": "commits wait now; comparing the catalog with the backup",
    "attach": "the engine migrates",
    "post-check": "checking the migrated catalog",
    "undo": "finding out what the failure left, and putting it right",
}


_OUTCOMES: dict[type[MigrationError], Outcome] = {
    Unchanged: "unchanged",
    RolledBack: "rolled-back",
    NeedsPerson: "needs-person",
}


class _Run:
    """Stage times and what the result needs, whatever the end is."""

    def __init__(self, on_event: OnEvent) -> None:
        self.on_event = on_event
        self.stages: list[Stage] = []
        self.backup: str | None = None
        self.snapshot_id: int | None = None
        self.pause_s = 0.0
        self.stale: tuple[Client, ...] = ()
        self.mends: tuple[Mend, ...] = ()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.on_event(Event(name, _DOING[name]))
        begun = time.monotonic()
        try:
            yield
        finally:
            self.stages.append(Stage(name, round(time.monotonic() - begun, 3)))

    def result(self, outcome: Outcome, before: str, after: str, snapshot_id: int | None) -> Migration:
        return Migration(
            outcome,
            before,
            after,
            snapshot_id,
            self.backup,
            tuple(self.stages),
            self.mends,
            round(self.pause_s, 3),
            self.stale,
        )


@dataclass(slots=True)
class _Pipeline:
    catalog: PostgresCatalog
    engine: Engine
    step: Step
    options: MigrateOptions
    run: _Run
    losses: tuple[Loss, ...] = ()

    def migrate(self) -> Migration:
        self._refuse_what_is_unsafe()
        with self._own_session() as session:
            self._settle_clients(session)
            backup = self._back_up()
            if self.options.rehearsal:
                with self.run.stage("rehearsal"):
                    rehearse(self._passage(), self.catalog.address, self.catalog.schema, backup)
            failure = self._migrate_fenced(session, backup)
        before = self.step.from_version
        if failure is not None:
            failure.result = self.run.result(_OUTCOMES[type(failure)], before, before, self.run.snapshot_id)
            raise failure
        return self.run.result("migrated", before, self.step.to_version, self.run.snapshot_id)

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
        return Passage(
            self.engine, self.step, self._to_mend, accepted, options.lock_timeout_s, options.attach_timeout_s
        )

    @contextmanager
    def _own_session(self) -> Iterator[Session]:
        session = connect(self.catalog.address, "dlbackup-fence")
        try:
            yield session
        finally:
            session.close()

    def _back_up(self) -> VerifiedBackup:
        with self.run.stage("dump"):
            backup = dump_catalog(
                self.catalog.address, self.options.backup_dir, self.catalog.schema, on_event=self.run.on_event
            )
            self.run.backup, self.run.snapshot_id = backup.path, backup.snapshot_id
        with self.run.stage("verify"):
            verified, _ = prove(backup, on_event=self.run.on_event)
        return verified

    def _migrate_fenced(self, session: Session, backup: VerifiedBackup) -> MigrationError | None:
        """Do all that happens under the fence; return the failure once its consequences are dealt with."""
        address, schema = self.catalog.address, self.catalog.schema
        timeout_ms = int(self.options.lock_timeout_s * 1000)
        failure, known = None, False
        try:
            with ExitStack() as held, raise_fence(session, address, schema, timeout_ms) as fence:
                failure, known = self._under_fence(fence, backup, held), True
        except DlbackupError as exc:
            # Once the end is known, neither a signal that had to wait nor a fence that can't be taken down hides it.
            if not known:
                raise
            if isinstance(failure, RolledBack) and not isinstance(exc, Interrupted):
                failure = self._needs_person(failure.message, exc.message)
        return failure

    def _under_fence(self, fence: Fence, backup: VerifiedBackup, held: ExitStack) -> MigrationError | None:
        try:
            with self.run.stage("same-state"):
                self._settle_clients(fence.session)  # who came while the backup was made and rehearsed
                if self._state() != state_of(backup):
                    backup = self._back_up()
                with self.catalog.snapshot() as snapshot:
                    self._refuse_obstacles(snapshot)
            passage = self._passage()
            target = passage.target(self.catalog.address, self.catalog.schema)
            try:
                with self.run.stage("attach"):
                    self.run.mends = attempt(passage, self.catalog, backup, target)
                with self.run.stage("post-check"):
                    examine(passage, self.catalog, backup, target)
                held.enter_context(_signals_held())
                end_clients(self.catalog.session, fence.waiting())
            except BaseException as exc:  # noqa: BLE001 - whatever it was, what it left has to be found out
                held.enter_context(_signals_held())
                with self.run.stage("undo"):
                    return self._undo(fence, backup, target, exc)
        finally:
            self.run.pause_s = time.monotonic() - fence.since
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
                return Unchanged(
                    f"the migration failed and the catalog is as it was: {reason}",
                    "backup and catalog agree in every definition and row; see the reason, then try again",
                )
            if not fence.stands():
                raise CatalogError("the fence was lost, so that others may have committed since")
            with BackupReader(backup.path) as reader:
                options = RestoreOptions(replace=True, drop_replaced=True)
                restore_into(fence.session, self.catalog.address, self.catalog.schema, reader, options)
        except Exception as exc:  # noqa: BLE001 - an undo that can't be finished needs a person, whatever it was
            why = exc.message if isinstance(exc, DlbackupError) else str(exc)
            return self._needs_person(f"the migration failed ({reason})", why)
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


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let no signal come between what was done to the catalog and its commit; it is delivered afterwards."""
    signals = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
