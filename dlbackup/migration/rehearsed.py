"""
The rehearsal of a backup by itself: restored into a scratch place, migrated if an engine needs that, and opened.

A migration goes the way there that `migrate` would go: where the catalog is, or over a file.
"""

import time
from dataclasses import dataclass

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.backupfile.prover import Rehearsed
from dlbackup.catalogs.contract import Catalog, Snapshot
from dlbackup.engine.engine import Engine, check_opens
from dlbackup.errors import AttachFailed, MigratedOtherwise, NotCarried, Refused, RehearsalFailed
from dlbackup.lake import spec
from dlbackup.lake.datafiles import data_paths
from dlbackup.lake.findings import Finding
from dlbackup.migration.losses.known import known_losses
from dlbackup.migration.obstacles import already
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.passage import passage_by, snapshot_span
from dlbackup.migration.rehearsal import walk
from dlbackup.migration.scratch import copied
from dlbackup.migration.staged import opens_where_it_is_put, staged
from dlbackup.migration.steps import Step, next_step
from dlbackup.runtime.progress import Event, ignore
from dlbackup.transfer.access import ROLES


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
    address: Address,
    backup: VerifiedBackup,
    engine: Engine | None,
    *,
    migrates: bool = True,
    throwaway: bool = False,
    checked: bool = False,
) -> Rehearsal:
    """
    Restore a backup into a scratch schema and let an engine open it, after a migration if it needs one.

    Args:
        engine: None where none can be had; then nobody opens it.
        migrates: whether it may; else a catalog that this engine opens only then is restored and not opened.
        throwaway: the server was made for this, and which roles it lacks says nothing.
        checked: the rules of a healthy catalog have been asked of the backup.

    Returns:
        With warnings: what this server can't restore as it was, what a migration would lose or change, which errors of
        the catalog stay in it, or why this engine can't open the catalog.

    Raises:
        RestoredOtherwise: the server gives back something else than the backup holds.
        DlbackupError: it can't be restored, migrated or opened.
    """
    schema = backup.manifest.header.source.schema
    said: list[Finding] = []

    def note(event: Event) -> None:
        if event.warning and not (throwaway and event.stage == ROLES):
            said.append(Finding(severity="warning", rule="restored-otherwise", message=event.message))

    begun = time.monotonic()
    with copied(address, schema, backup, read_back=True, on_event=note) as copy:
        took = round(time.monotonic() - begun, 3)
        if engine is None:
            return Rehearsal("not-opened", tuple(said), took)
        outcome, findings, to_version = _opened(copy, backup, engine, migrates=migrates, checked=checked)
    return Rehearsal(outcome, (*said, *findings), took, to_version)


def _opened(
    copy: Catalog, backup: VerifiedBackup, engine: Engine, *, migrates: bool, checked: bool
) -> tuple[Rehearsed, list[Finding], str | None]:
    """Let an engine open a copy, after a migration if it needs one; raises as `rehearse_backup`."""
    with copy.snapshot() as snapshot:
        try:
            step = _step_to_open(snapshot, engine, migrates=migrates)
        except Refused as exc:
            message = f"restored, but not opened: {exc.message}"
            return "not-opened", [Finding(severity="warning", rule="not-opened", message=message)], None
        with snapshot.answers() as answers:
            engine.reach(data_paths(answers))
        losses = known_losses(snapshot, step) if step else ()
        stays = () if checked else already(snapshot, (step,) if step else ()).stays
        span = snapshot_span(snapshot)
    passage = passage_by(
        step or Step(engine.spec_version, engine.spec_version, engine.duckdb_version),
        engine,
        copy,  # and not the source: a migration of a catalog of that name here would end this engine
        losses,
        MigrateOptions(),
    )
    said = [Finding(severity="warning", rule="errors-before", message=text) for text in stays]
    said += [
        Finding(
            severity="warning",
            rule=loss.rule,
            message=f"a migration {'would mend' if loss.mendable else 'is refused'}: {loss.message}",
            mended=loss.mendable,
        )
        for loss in losses
    ]
    blocked = not all(loss.mendable for loss in losses)
    try:
        if step is None:
            check_opens(engine, passage.target(copy.address, copy.schema), span)
        elif step.staged:
            with staged(passage, backup, ignore) as made:
                opens_where_it_is_put(passage, copy.address, made)
        else:
            walk(passage, copy, backup)
    except (MigratedOtherwise, RehearsalFailed) as exc:
        if isinstance(exc, RehearsalFailed) and not isinstance(exc.__cause__, MigratedOtherwise | NotCarried):
            raise
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
        return "blocked", said, None
    return "passed", said, step.to_version if step else None


def _step_to_open(snapshot: Snapshot, engine: Engine, *, migrates: bool) -> Step | None:
    """
    Return the migration without which an engine doesn't open a restored catalog; None: it opens it as it is.

    Raises:
        Refused: it can't migrate it, or may not.
    """
    step = next_step(
        snapshot.head.versions,
        engine.duckdb_version,
        engine.spec_version,
        None,
        directly=snapshot.adds_columns_with_defaults,
        may_stage=snapshot.may_go_over_a_file,
    )
    if step is not None and not migrates:
        if step.from_version in spec.opened_by(engine.spec_version):
            return None
        raise Refused(f"DuckDB {engine.duckdb_version} opens {step.from_version} only after a migration")
    return step
