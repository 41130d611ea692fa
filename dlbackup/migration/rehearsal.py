"""
One attempt at a migration, and its rehearsal on a copy.

The engine migrates a schema, `put_right` mends what it is known to lose, and `examine` proves the result. The
pipeline does so on the catalog, under the fence; `rehearse` does so on the verified backup, restored
into a scratch schema of the same database, which is dropped whatever happens. What would fail on the
catalog fails there first. No data file is written or read.
"""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.backupfile.prover import Rehearsed
from dlbackup.catalogs.postgres.catalog import PostgresCatalog
from dlbackup.catalogs.postgres.clients.connected import end_by_name
from dlbackup.catalogs.postgres.schemas import analyze, claimed, drop_left, drop_schema, own_name
from dlbackup.catalogs.postgres.sessions import Session, connect, translated
from dlbackup.engine.engine import Engine, attach_migrating, check_opens
from dlbackup.errors import (
    AttachFailed,
    BackupError,
    CatalogError,
    DlbackupError,
    EngineError,
    Interrupted,
    Locked,
    MigratedOtherwise,
    MigratorRuns,
    MovedOn,
    NoRight,
    NotVerified,
    OtherRows,
    Refused,
    RehearsalFailed,
    RestoredOtherwise,
    StorageError,
    Unreachable,
    listed,
)
from dlbackup.lake import spec
from dlbackup.lake.datafiles import data_paths
from dlbackup.lake.findings import Finding
from dlbackup.migration.losses.known import known_losses
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.passage import Passage, examine, keeps_rules, put_right, snapshot_span
from dlbackup.migration.steps import Step, next_step
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.transfer.filling import RestoreOptions
from dlbackup.transfer.loading import restore_into

_KIND = "rehearsal"


def rehearse(passage: Passage, address: Address, backup: VerifiedBackup) -> None:
    """
    Restore, migrate, mend and examine a copy of the catalog in a scratch schema.

    Raises:
        RehearsalFailed: what would have failed on the catalog; the catalog was not touched.
    """
    try:
        with _copied(address, passage.schema, backup, read_back=False) as copy:  # the proof afterwards reads all rows
            _walk(passage, copy, backup)
    except Interrupted:
        raise
    except RestoredOtherwise as exc:
        raise NotVerified(
            f"the backup can't be restored, so the catalog was not touched: {exc.message}",
            exc.hint or "do not rely on this backup; take another one, and look into the server's log",
        ) from exc
    except DlbackupError as exc:
        failure = RehearsalFailed(
            f"the rehearsal failed, so the catalog was not touched; {blamed(exc)}: {exc.message}",
            exc.hint or "the backup is good and kept; --no-rehearsal would try the same on the catalog itself",
        )
        failure.transient = exc.transient
        raise failure from exc


_TO_BLAME: tuple[tuple[type[DlbackupError], str], ...] = (
    (Unreachable, "the connection failed"),
    (NoRight, "the role lacks a right"),
    (Locked, "other sessions were in the way"),
    (MigratorRuns, "other sessions were in the way"),
    (MovedOn, "other sessions were in the way"),
    (EngineError, "the engine failed"),
    (MigratedOtherwise, "the engine's migration is not what it should be"),
    (BackupError, "the backup's file failed"),
    (StorageError, "this machine failed"),
)


def blamed(error: DlbackupError) -> str:
    """Say whose fault it is that a rehearsal failed."""
    return next((whose for kind, whose in _TO_BLAME if isinstance(error, kind)), "the server refused something")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """
    How the rehearsal of a backup ended, and what there is to say: warnings.

    Args:
        restored_seconds: how long it took to restore it and to read it back.
        to_version: the version that it was migrated to; None where it was not.
    """

    outcome: Rehearsed
    findings: tuple[Finding, ...]
    restored_seconds: float = 0.0
    to_version: str | None = None


_UNREADABLE = (
    "what was restored is what the backup holds: dlbackup check BACKUP says whether something in the catalog is such"
    " that no engine reads it; else look into the engine"
)


def rehearse_backup(
    address: Address, backup: VerifiedBackup, engine: Engine | None, *, migrates: bool = True
) -> Rehearsal:
    """
    Restore a backup into a scratch schema and let an engine open it, after a migration if it needs one.

    Args:
        engine: None where none can be had; then nobody opens it.
        migrates: whether it may; else a catalog that this engine opens only then is restored and not opened.

    Returns:
        With warnings: what this server can't restore as it was, what a migration would lose or change, or why this
        engine can't open the catalog.

    Raises:
        RestoredOtherwise: the server gives back something else than the backup holds.
        DlbackupError: it can't be restored, migrated or opened.
    """
    schema = backup.manifest.header.source.schema
    said: list[Finding] = []

    def note(event: Event) -> None:
        if event.warning:
            said.append(Finding(severity="warning", rule="restored-otherwise", message=event.message))

    begun = time.monotonic()
    with _copied(address, schema, backup, read_back=True, on_event=note) as copy:
        took = round(time.monotonic() - begun, 3)
        if engine is None:
            return Rehearsal("not-opened", tuple(said), took)
        with copy.snapshot() as snapshot:
            try:
                step = step_to_open(snapshot.head.versions, engine, migrates=migrates)
            except Refused as exc:
                return Rehearsal("not-opened", (*said, not_opened(exc)), took)
            with snapshot.answers() as answers:
                engine.reach(data_paths(answers))
            losses = known_losses(snapshot, step) if step else ()
            span = snapshot_span(snapshot)
        mends = tuple(loss for loss in losses if loss.mendable)
        accepted = frozenset(loss.part for loss in losses if not loss.mendable)
        same = Step(engine.spec_version, engine.spec_version, engine.duckdb_version)
        defaults = MigrateOptions()
        passage = Passage(
            engine=engine,
            step=step or same,
            mends=mends,
            accepted=accepted,
            bars=False,
            # And not the source's: a migration of a catalog of that name here would end this engine.
            schema=copy.schema,
            engines=copy.engines,
            lock_timeout_s=defaults.lock_timeout_s,
            attach_timeout_s=defaults.attach_timeout_s,
        )
        said += [
            Finding(
                severity="warning",
                rule=loss.rule,
                message=f"a migration {'would mend' if loss.mendable else 'is refused'}: {loss.message}",
                mended=loss.mendable,
            )
            for loss in losses
        ]
        blocked = len(mends) < len(losses)
        try:
            if step is None:
                check_opens(engine, passage.target(address, copy.schema), span)
            else:
                _walk(passage, copy, backup)
        except MigratedOtherwise as exc:
            blocked = True
            text = f"a migration is refused, since it fails on a copy: {exc.message}"
            said.append(Finding(severity="warning", rule="migrated-otherwise", message=text))
        except AttachFailed as exc:
            if not blocked:
                exc.hint = exc.hint or _UNREADABLE
                raise
            text = f"with that loss, the engine fails: {exc.message}"
            said.append(Finding(severity="warning", rule="migrated-otherwise", message=text))
    if blocked:
        return Rehearsal("blocked", tuple(said), took)
    return Rehearsal("passed", tuple(said), took, step.to_version if step else None)


def step_to_open(versions: tuple[str, ...], engine: Engine, *, migrates: bool) -> Step | None:
    """
    Return the migration without which an engine doesn't open a restored catalog; None: it opens it as it is.

    Raises:
        Refused: it can't migrate it, or may not.
    """
    step = next_step(versions, engine.duckdb_version, engine.spec_version, None)
    if step is not None and not migrates:
        if step.from_version in spec.opened_by(engine.spec_version):
            return None
        raise Refused(f"DuckDB {engine.duckdb_version} opens {step.from_version} only after a migration")
    return step


def not_opened(why: Refused) -> Finding:
    """Say of a restored catalog that no engine has opened it."""
    return Finding(severity="warning", rule="not-opened", message=f"restored, but not opened: {why.message}")


@contextmanager
def _copied(
    address: Address, schema: str, backup: VerifiedBackup, *, read_back: bool, on_event: OnEvent = ignore
) -> Iterator[PostgresCatalog]:
    """Restore a backup into a scratch schema, which is dropped at the end."""
    session = connect(address, "dlbackup-rehearsal")
    try:
        with translated(address, "rehearsing in a scratch schema"), _scratch(address, session, schema) as scratch:
            copy = PostgresCatalog(address, session, scratch)
            with backup.open() as reader:
                options = RestoreOptions(owner=False, privileges=False, data_files=False, read_back=read_back)
                with _server_blamed(address, session, reader.manifest.header.source.server_version):
                    restore_into(copy, reader, options, on_event, scratch=True)
                fixed = [entry.table.name for entry in reader.manifest.tables if entry.kind == "fixed"]
            analyze(session, scratch, fixed)
            yield copy
    finally:
        session.close()


@contextmanager
def _server_blamed(address: Address, session: Session, version: str) -> Iterator[None]:
    """
    Where tables come to be others by the server's doing, say so: then it is no fault of the backup's.

    Args:
        version: of the server that the backup is from.
    """
    try:
        yield
    except OtherRows:
        raise
    except RestoredOtherwise as exc:
        was = version.partition(".")[0]
        with _usable(address, session) as own:
            major = str(own.info.server_version // 10000)
            rows = own.execute("select evtname from pg_event_trigger where evtenabled <> 'D' order by 1").fetchall()
        if major != was:
            hint = f"rehearse on PostgreSQL {was}, which the backup is from"
            raise CatalogError(f"PostgreSQL {major} makes other tables: {exc.message}", hint) from exc
        if not rows:
            raise
        names = listed([name for (name,) in rows], separator=", ")
        hint = f"disable them meanwhile (ALTER EVENT TRIGGER ... DISABLE), or rehearse in another database: {names}"
        raise CatalogError(f"event triggers of the database change new tables: {exc.message}", hint) from exc


def _walk(passage: Passage, copy: PostgresCatalog, backup: VerifiedBackup) -> None:
    """Let the engine migrate a copy, mend and examine it, and end what the engine may have left."""
    target = passage.target(copy.address, copy.schema)
    try:
        attach_migrating(passage.engine, backup, target, passage.attach_timeout_s, to=passage.step.to_version)
        put_right(passage, copy)
        keeps_rules(passage, copy, backup, examine(passage, copy, backup, target))
    finally:
        end_by_name(copy.session, target.name)


@contextmanager
def _scratch(address: Address, session: Session, schema: str) -> Iterator[str]:
    """Name a scratch schema, drop what killed rehearsals of this catalog left, and drop the new one at the end."""
    drop_left(session, schema, [_KIND])
    name = own_name(_KIND, schema)
    with claimed(session, name):
        try:
            yield name
        finally:
            with suppress(Unreachable), _usable(address, session) as own:  # what is left, the next rehearsal drops
                drop_schema(own, name)


@contextmanager
def _usable(address: Address, session: Session) -> Iterator[Session]:
    """Give a session for what remains to be done; who stops in the middle of a table's rows has closed his own."""
    if not session.closed:
        yield session
        return
    with closing(connect(address, "dlbackup-rehearsal")) as own:
        yield own
