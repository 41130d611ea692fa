"""
The passage of one catalog from one version to another: what the engine lost is put right, and the result is proved.

The same on the copy of a rehearsal and on the catalog itself.
"""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.backupfile.scanner import RowBlock
from dlbackup.catalogs.contract import Catalog, Snapshot
from dlbackup.catalogs.reading import meaning
from dlbackup.engine.engine import Engine, check_opens
from dlbackup.engine.statements import Target
from dlbackup.errors import MigratedOtherwise, listed
from dlbackup.health.checkup import Check, check_backup, check_snapshot
from dlbackup.health.rules import RULES
from dlbackup.health.rules.rule import Rule
from dlbackup.lake import conformance
from dlbackup.lake.answers import rows_of
from dlbackup.lake.differences import differing_rows
from dlbackup.lake.fingerprint import Fingerprint, Fingerprinter, Seen, kept_tables
from dlbackup.lake.repairs import repaired
from dlbackup.migration.comparison import changed_meaning, lost_rows
from dlbackup.migration.losses.known import added_by, batches, mend
from dlbackup.migration.losses.loss import Loss
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.outcome import Mend
from dlbackup.migration.steps import Step
from dlbackup.migration.unchanged import OnCompared, meaning_after, unheard
from dlbackup.runtime.memory import collector_paused
from dlbackup.tables.digest import Rows

_GUARD_FIRST_S = 2.0
"""How much longer than the guard the engine itself waits for a lock: the guard can say who holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """
    How a catalog is to get from one spec version to the next.

    Args:
        mends: losses that are put right after the attach.
        accepted: parts of the fingerprint that may change, because that loss was accepted.
        bars: whether stale clients are barred after the mends.
        schema: the catalog's own.
        engines: how the names of all engines begin that work for the catalog.
        lock_timeout_s: how long the engine may wait for one lock.
        attach_timeout_s: after which the engine is ended that migrates.
    """

    engine: Engine
    step: Step
    mends: tuple[Loss, ...]
    accepted: frozenset[str]
    bars: bool
    schema: str
    engines: str
    lock_timeout_s: float
    attach_timeout_s: float

    @property
    def added(self) -> Mapping[str, Rows]:
        """The rows that mends add to tables."""
        return added_by(self.mends)

    def target(self, address: Address, schema: str) -> Target:
        """Return how the engine sees a schema, with a name of its own for its backends."""
        timeout_ms = int((self.lock_timeout_s + _GUARD_FIRST_S) * 1000)
        name = self.engines + secrets.token_hex(6)
        return Target(address=address, schema=schema, name=name, lock_timeout_ms=timeout_ms)


def passage_by(
    step: Step,
    engine: Engine,
    catalog: Catalog,
    losses: Collection[Loss],
    options: MigrateOptions,
    *,
    bars: bool = False,
) -> Passage:
    """
    Return how a catalog gets on by a step: of its losses those with a mend are put right, the others are accepted.

    By way of a file what comes back is mended already.
    """
    mended = tuple(loss for loss in losses if loss.mendable) if options.mend else ()
    return Passage(
        engine=engine,
        step=step,
        mends=() if step.staged else mended,
        accepted=frozenset(loss.part for loss in losses if loss not in mended),
        bars=bars,
        schema=catalog.schema,
        engines=catalog.engines,
        lock_timeout_s=options.lock_timeout_s,
        attach_timeout_s=options.attach_timeout_s,
    )


def put_right(passage: Passage, catalog: Catalog) -> tuple[Mend, ...]:
    """
    Mend what the engine lost and put up the bars; return what was mended.

    That is one transaction, or several where many tables have to be locked. Cut off in between, it can be done
    again.

    Raises:
        DlbackupError: at the first thing that fails.
    """
    if not (passage.mends or passage.bars):
        return ()
    mended = dict.fromkeys((loss.rule for loss in passage.mends), 0)
    parts = list(batches(passage.mends, catalog.tables_at_once()))
    for losses in parts:
        with catalog.mending() as mending:
            for rule, rows in mend(mending, losses):
                mended[rule] += rows
            if losses is parts[-1] and passage.bars:
                mending.bar(passage.step.to_version)
    return tuple(Mend(rule, rows) for rule, rows in mended.items())


def examine(
    passage: Passage,
    catalog: Catalog,
    backup: VerifiedBackup,
    target: Target,
    on_compared: OnCompared = unheard,
) -> Fingerprint:
    """
    Prove a migrated catalog: version, layout, rows, meaning, and that the engine opens it old and new.

    Returns:
        What the lake means now.

    Raises:
        MigratedOtherwise: it isn't what it should be; AttachFailed: the engine can't open it.
    """
    version = passage.step.to_version
    with catalog.snapshot() as snapshot:
        refuse_unmigrated(passage, snapshot)
        contents, fingerprint = meaning_after(snapshot, backup, on_compared)
        changed = changed_meaning(backup, fingerprint, passage.accepted, passage.added)
        mended = _repaired(backup, snapshot, changed) if changed and passage.step.crosses("1.1") else frozenset()
        problems = lost_rows(backup, snapshot.tables, contents, mended, passage.added)
        if changed := {part: text for part, text in changed.items() if part not in mended}:
            rows = _first_rows(backup, snapshot, changed)
            problems += [f"the lake means something else: {text} ({rows[part]})" for part, text in changed.items()]
        problems += [finding.message for finding in conformance.errors(version, snapshot.tables)]
        if problems:
            raise MigratedOtherwise(f"the migrated catalog is not what it should be: {listed(problems)}")
        span = snapshot_span(snapshot)
    check_opens(passage.engine, target, span)
    return fingerprint


def refuse_unmigrated(passage: Passage, snapshot: Snapshot) -> None:
    """Raise MigratedOtherwise where the engine has not made of a catalog what it was to make."""
    if snapshot.head.spec_version != passage.step.to_version:
        raise MigratedOtherwise(f"the engine left spec version {snapshot.head.spec_version!r} behind")


def keeps_rules(passage: Passage, catalog: Catalog, backup: VerifiedBackup, after: Fingerprint) -> None:
    """
    See that a migrated catalog breaks no rule that it kept before.

    Args:
        after: what the lake means now.

    Raises:
        MigratedOtherwise: it does.
    """
    before = backup.manifest.fingerprint
    kept = kept_tables(before, after) if before else frozenset()

    def answers_as_before(rule: Rule) -> bool:
        return rule.answers_alike(passage.step.from_version, passage.step.to_version, kept)

    with catalog.snapshot() as snapshot:
        broken = _broken_rules(check_snapshot(snapshot, settled=answers_as_before))
    if broken:
        with backup.open() as reader:
            known = _broken_rules(check_backup(reader))
        broken = {rule: text for rule, text in broken.items() if rule not in known}
    if broken:
        texts = "; ".join(broken.values())
        raise MigratedOtherwise(f"the migrated catalog breaks rules that it kept before: {texts}")


def _broken_rules(checked: Check) -> dict[str, str]:
    """Return the errors among findings that a migration could make, by rule."""
    errors = {finding.rule: finding.message for finding in checked.findings if finding.severity == "error"}
    own = {rule.name for rule in RULES if rule.engines_own}
    return {rule: text for rule, text in errors.items() if rule not in own}


def snapshot_span(snapshot: Snapshot) -> tuple[int, int]:
    """Return the oldest and the newest snapshot of the lake."""
    with snapshot.answers() as answers:
        ((oldest, newest),) = rows_of(answers, "select min(snapshot_id), max(snapshot_id) from {s}.ducklake_snapshot")
    return oldest, newest


def _first_rows(backup: VerifiedBackup, snapshot: Snapshot, parts: Collection[str]) -> dict[str, str]:
    """Describe the first rows of parts of the fingerprint that differ between a backup and a catalog."""
    with collector_paused():
        return differing_rows(parts, partial(_read, backup), partial(meaning, snapshot))


def _repaired(backup: VerifiedBackup, snapshot: Snapshot, parts: Collection[str]) -> frozenset[str]:
    """Return those parts in which the engine has repaired what earlier ones had broken, and done nothing else."""
    with collector_paused():
        return repaired(parts, partial(_read, backup), partial(meaning, snapshot))


def _read(backup: VerifiedBackup, seen: Seen) -> None:
    """Read all rows of a backup."""
    with backup.open() as reader:
        fingerprint = Fingerprinter(reader.manifest.header.spec_version, seen)
        for item in reader.scan():
            if isinstance(item, RowBlock):
                fingerprint.of(item.entry.table).add(item.rows, item.digest)
        fingerprint.result()
