"""What stands in the way of a migration: rights, locks, dependents, a bad place for its backup, losses for good."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from dlbackup.catalogs.contract import Snapshot
from dlbackup.errors import (
    CatalogError,
    DlbackupError,
    HasDependents,
    NotVerified,
    Refused,
    UsageError,
    WouldLose,
    listed,
)
from dlbackup.lake import conformance
from dlbackup.lake.answers import Answers
from dlbackup.lake.datafiles import data_paths
from dlbackup.migration.losses.known import errors_already, known_losses
from dlbackup.migration.losses.loss import Loss
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.steps import Step
from dlbackup.runtime.progress import ignore
from dlbackup.stores.named import is_url
from dlbackup.transfer.destination import refuse_place_among_data
from dlbackup.transfer.file_keys import catalog_holds_file_keys, guard_file_keys

_OF_VERIFY = frozenset({"one-version", "one-head-snapshot", "snapshot-once"})
"""Rules of which a backup's verification sees to it that they hold."""


def obstacles(
    snapshot: Snapshot, steps: Sequence[Step], options: MigrateOptions, *, unreadable: bool = True
) -> tuple[list[DlbackupError], list[tuple[Loss, ...]]]:
    """
    Return what a migration has to be refused for before its first step, and the losses that each would bring.

    Args:
        unreadable: look for what engines can't read, too; that reads all that a lake's schema is.
    """
    if snapshot.head.spec_version != steps[0].from_version:
        return [CatalogError("the catalog was migrated by somebody else in this moment", "look again")], [
            () for _ in steps
        ]
    errors = snapshot.missing_rights(rehearsal=options.rehearsal)
    if snapshot.dependents:
        errors.append(
            HasDependents(
                f"an undo would lose or break: {listed(snapshot.dependents)}",
                "drop what is named, and make it again after the migration",
            )
        )
    errors += snapshot.undo_refused()
    errors += snapshot.updates_refused()
    if conformance.errors(steps[0].from_version, snapshot.tables):
        return errors, [() for _ in steps]  # no lake that could be looked into: verify refuses it, and says why
    try:
        with snapshot.answers() as answers:
            refuse_place_among_data(options.backup_dir, data_paths(answers))
            if is_url(options.backup_dir) and not (options.keys.encrypts or options.plaintext_keys):
                _refuse_file_keys(answers)
    except Refused as exc:
        errors.append(exc)
    losses = [known_losses(snapshot, step, unreadable=unreadable) for step in steps]
    blocking = [
        loss
        for loss in chain.from_iterable(losses)
        if not (loss.mendable and options.mend) and (loss.unreadable or loss.rule not in options.accept_loss)
    ]
    if blocking:
        errors.append(
            WouldLose(
                "the engine's migration would lose something, or leave it unreadable: "
                + "; ".join(f"{loss.rule}: {loss.message}" for loss in blocking),
                "; ".join(_ways_out(blocking)),
            )
        )
    return errors, losses


def refuse_bars(options: MigrateOptions) -> None:
    """Refuse, of a catalog in a file, what makes no sense there."""
    if options.bar_stale_clients:
        raise UsageError(
            "a catalog in a file has no stale clients to be barred: nobody has it open while it is migrated"
        )


def _refuse_file_keys(answers: Answers) -> None:
    """Refuse what the dump would: keys to data files in clear on somebody else's machine."""
    if catalog_holds_file_keys(answers):
        guard_file_keys(remote=True, on_event=ignore)


@dataclass(frozen=True, slots=True)
class Already:
    """
    What is wrong with a catalog before any migration.

    Args:
        unverified: what its backup would not verify for; None where it would.
        stays: errors that a migration leaves where they are, in words.
    """

    unverified: NotVerified | None = None
    stays: tuple[str, ...] = ()


def already(snapshot: Snapshot, steps: Sequence[Step]) -> Already:
    """Look for what `check` would call errors, and none of these steps mends; reads all of the catalog."""
    fatal = conformance.errors(snapshot.head.spec_version, snapshot.tables)
    # Where the layout is another than the version's, losses are not looked for.
    errors = errors_already(snapshot, steps, losses=bool(fatal))
    names = ", ".join(f"{finding.rule} ({finding.count})" for finding in errors)
    text = f"the catalog has errors already, which stay in it: {names}; dlbackup check says how to mend them"
    unverified = None
    if fatal := fatal + [finding for finding in errors if finding.rule in _OF_VERIFY]:
        unverified = NotVerified(
            f"the backup would not verify: {listed([finding.message for finding in fatal], most=3)}",
            "dlbackup check says how to mend the catalog; dlbackup dump --no-verify dumps it as it is",
        )
    return Already(unverified, (text,) if errors else ())


def _ways_out(blocking: list[Loss]) -> list[str]:
    """Say what can be accepted, and what can't, because no DuckDB would open the lake afterwards."""
    accepted = [f"--accept-loss {loss.rule}" for loss in blocking if not loss.unreadable]
    mended = [loss.rule for loss in blocking if loss.unreadable and loss.mendable]
    first = [loss.rule for loss in blocking if loss.unreadable and not loss.mendable]
    ways = [f"accept it by name with {' '.join(accepted)}"] if accepted else []
    ways += [f"{', '.join(mended)} can't be accepted, but is mended without --no-mend"] if mended else []
    ways += [f"{', '.join(first)} can't be accepted: mend it first, dlbackup check says how"] if first else []
    return ways
