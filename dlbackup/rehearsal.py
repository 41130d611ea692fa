"""
One attempt at a migration, and its rehearsal on a copy.

The engine migrates a schema, `put_right` mends what it is known to lose, and `examine` proves the result. The
pipeline does so on the catalog, under the fence; `rehearse` does so on the verified backup, restored
into a scratch schema of the same database, which is dropped whatever happens. What would fail on the
catalog fails there first. No data file is written or read.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dlbackup import spec
from dlbackup.address import Address
from dlbackup.aftercare import Loss, batches, known_losses, mend
from dlbackup.backupfile import BackupReader, Entry, VerifiedBackup
from dlbackup.bars import bar
from dlbackup.catalogs.postgres import PostgresCatalog, PostgresSnapshot
from dlbackup.catalogs.replacement import analyze, aside_name
from dlbackup.catalogs.sessions import LOCAL_SETTINGS, Session, connect, translated
from dlbackup.catalogs.staging import batch_tables, drop_schema, left_behind
from dlbackup.check import Check, check_backup, check_snapshot
from dlbackup.engine import Engine, Target, attach_migrating, check_opens
from dlbackup.errors import CatalogError, DlbackupError, Refused, RehearsalFailed
from dlbackup.fence import end_by_name, engine_name
from dlbackup.fingerprint import Fingerprint, Fingerprinter, Seen, kept_tables
from dlbackup.meaning import differing_rows
from dlbackup.migration import Mend, MigrateOptions, Step, changed_meaning, lost_rows, next_step
from dlbackup.restore import RestoreOptions, restore_into
from dlbackup.rows import uncollected
from dlbackup.rules.rule import Rule
from dlbackup.tables import Finding

_KIND = "rehearsal"
_GUARD_FIRST_S = 2.0
"""How much longer than the guard the engine itself waits for a lock: the guard can say who holds it."""


@dataclass(frozen=True, slots=True)
class Passage:
    """
    How a catalog is to get from one spec version to the next.

    Args:
        mends: losses that are put right after the attach.
        accepted: parts of the fingerprint that may change, because that loss was accepted.
        bars: whether stale clients are barred after the mends.
        schema: the catalog's own, whose name is in those of all engines that work for it.
        lock_timeout_s: how long the engine may wait for one lock.
        attach_timeout_s: after which the engine is ended.
    """

    engine: Engine
    step: Step
    mends: tuple[Loss, ...]
    accepted: frozenset[str]
    bars: bool
    schema: str
    lock_timeout_s: float
    attach_timeout_s: float

    def target(self, address: Address, schema: str) -> Target:
        """Return how the engine sees a schema, with a name of its own for its backends."""
        timeout_ms = int((self.lock_timeout_s + _GUARD_FIRST_S) * 1000)
        return Target(address, schema, engine_name(self.schema), timeout_ms)


def put_right(passage: Passage, catalog: PostgresCatalog) -> tuple[Mend, ...]:
    """
    Mend what the engine lost and put up the bars; return what was mended.

    That is one transaction, or several where many tables have to be locked. Cut off in between, it can be done
    again.

    Raises:
        DlbackupError: at the first thing that fails.
    """
    if not (passage.mends or passage.bars):
        return ()
    session, schema = catalog.session, catalog.schema
    mended = dict.fromkeys((loss.rule for loss in passage.mends), 0)
    with translated(catalog.address, "mending what the engine lost"):
        parts = list(batches(passage.mends, batch_tables(session)))
        for losses in parts:
            with session.transaction():
                session.execute(LOCAL_SETTINGS.encode())
                for rule, rows in mend(session, schema, losses):
                    mended[rule] += rows
                if losses is parts[-1] and passage.bars:
                    bar(session, schema)
    return tuple(Mend(rule, rows) for rule, rows in mended.items())


def examine(passage: Passage, catalog: PostgresCatalog, backup: VerifiedBackup, target: Target) -> Fingerprint:
    """
    Prove a migrated catalog: version, layout, rows, meaning, and that the engine opens it old and new.

    Returns:
        What the lake means now.

    Raises:
        CatalogError: it isn't what it should be; AttachFailed: the engine can't open it.
    """
    version = passage.step.to_version
    with catalog.snapshot() as snapshot:
        if snapshot.head.spec_version != version:
            raise CatalogError(f"the engine left spec version {snapshot.head.spec_version!r} behind")
        contents, fingerprint = snapshot.read()
        problems = lost_rows(backup, snapshot.tables, contents)
        if changed := changed_meaning(backup, fingerprint, passage.accepted):
            rows = _first_rows(backup, snapshot, changed)
            problems += [f"the lake means something else: {text} ({rows[part]})" for part, text in changed.items()]
        findings = spec.differences(version, snapshot.tables)
        problems += [finding.message for finding in findings if finding.severity == "error"]
        if problems:
            raise CatalogError(f"the migrated catalog is not what it should be: {'; '.join(problems[:5])}")
        span = snapshot_span(snapshot)
    check_opens(passage.engine, target, span, passage.attach_timeout_s)
    return fingerprint


def snapshot_span(snapshot: PostgresSnapshot) -> tuple[int, int]:
    """Return the oldest and the newest snapshot of the lake."""
    oldest, newest = snapshot.query("select min(snapshot_id), max(snapshot_id) from {s}.ducklake_snapshot")[0]
    return oldest, newest


def _first_rows(backup: VerifiedBackup, snapshot: PostgresSnapshot, parts: Collection[str]) -> dict[str, str]:
    """Describe the first rows of parts of the fingerprint that differ between a backup and a catalog."""

    def before(seen: Seen) -> None:
        with BackupReader(backup.path) as reader:
            fingerprint = Fingerprinter(reader.manifest.header.spec_version, seen)
            for item in reader.scan():
                if isinstance(item, Entry):
                    fingerprint.begin(item.table)
                else:
                    fingerprint.add(item.rows, item.digest)
            fingerprint.result()

    with uncollected():
        return differing_rows(parts, before, snapshot.read)


def rehearse(passage: Passage, address: Address, backup: VerifiedBackup) -> None:
    """
    Restore, migrate, mend and examine a copy of the catalog in a scratch schema.

    Raises:
        RehearsalFailed: what would have failed on the catalog; the catalog was not touched.
    """
    try:
        with _copied(address, passage.schema, backup, read_back=False) as copy:  # the proof afterwards reads all rows
            _walk(passage, copy, backup)
    except DlbackupError as exc:
        raise RehearsalFailed(
            f"the rehearsal failed, so the catalog was not touched: {exc.message}",
            exc.hint or "the backup is good and kept; --no-rehearsal would try the same on the catalog itself",
        ) from exc


def rehearse_backup(address: Address, backup: VerifiedBackup, engine: Engine) -> list[Finding]:
    """
    Restore a backup into a scratch schema and let an engine open it, after a migration if it needs one.

    Returns:
        Warnings: what a migration would lose, or why this engine can't open the catalog.

    Raises:
        DlbackupError: it can't be restored, migrated or opened.
    """
    schema = backup.manifest.header.source.schema
    with _copied(address, schema, backup, read_back=True) as copy:
        with copy.snapshot() as snapshot:
            try:
                step = next_step(snapshot.head.versions, engine.duckdb_version, engine.spec_version, None)
            except Refused as exc:
                return [Finding("warning", "not-opened", f"restored, but not opened: {exc.message}")]
            losses = known_losses(snapshot, step) if step else ()
            span = snapshot_span(snapshot)
        mends = tuple(loss for loss in losses if loss.mendable)
        accepted = frozenset(loss.part for loss in losses if not loss.mendable)
        same = Step(engine.spec_version, engine.spec_version, engine.duckdb_version)
        defaults = MigrateOptions()
        passage = Passage(
            engine,
            step or same,
            mends,
            accepted,
            False,
            schema,
            defaults.lock_timeout_s,
            defaults.attach_timeout_s,
        )
        if step is None:
            target = passage.target(address, copy.schema)
            check_opens(engine, target, span, passage.attach_timeout_s)
        else:
            _walk(passage, copy, backup)
    return [
        Finding("warning", loss.rule, f"a migration {'would mend' if loss.mendable else 'is refused'}: {loss.message}")
        for loss in losses
    ]


@contextmanager
def _copied(address: Address, schema: str, backup: VerifiedBackup, *, read_back: bool) -> Iterator[PostgresCatalog]:
    """Restore a backup into a scratch schema, which is dropped at the end."""
    session = connect(address, "dlbackup-rehearsal")
    try:
        with translated(address, "rehearsing in a scratch schema"), _scratch(session, schema) as scratch:
            with BackupReader(backup.path) as reader:
                options = RestoreOptions(owner=False, privileges=False, data_files=False, read_back=read_back)
                restore_into(session, address, scratch, reader, options, scratch=True)
                fixed = [entry.table.name for entry in reader.manifest.tables if entry.kind == "fixed"]
            analyze(session, scratch, fixed)
            yield PostgresCatalog(address, session, scratch)
    finally:
        session.close()


def _walk(passage: Passage, copy: PostgresCatalog, backup: VerifiedBackup) -> None:
    """Let the engine migrate a copy, mend and examine it, and end what the engine may have left."""
    target = passage.target(copy.address, copy.schema)
    try:
        attach_migrating(passage.engine, backup, target, passage.attach_timeout_s)
        put_right(passage, copy)
        after = examine(passage, copy, backup, target)
        before = backup.manifest.fingerprint
        kept = kept_tables(before, after) if before else frozenset()

        def answers_as_before(rule: Rule) -> bool:
            return rule.answers_alike(passage.step.from_version, passage.step.to_version, kept)

        with copy.snapshot() as snapshot:
            broken = _broken_rules(check_snapshot(snapshot, settled=answers_as_before))
        if broken:
            known = _broken_rules(check_backup(backup.path))
            broken = {rule: text for rule, text in broken.items() if rule not in known}
        if broken:
            raise CatalogError(f"the migrated catalog breaks rules that it kept before: {'; '.join(broken.values())}")
    finally:
        end_by_name(copy.session, target.name)


def _broken_rules(checked: Check) -> dict[str, str]:
    """Return the errors among findings, by rule."""
    return {finding.rule: finding.message for finding in checked.findings if finding.severity == "error"}


@contextmanager
def _scratch(session: Session, schema: str) -> Iterator[str]:
    """Name a scratch schema, drop what a killed rehearsal of this catalog left, and drop the new one at the end."""
    name = aside_name(schema, _KIND)
    for left in left_behind(session, schema, _KIND):
        drop_schema(session, left)
    try:
        yield name
    finally:
        if not session.closed:
            drop_schema(session, name)
