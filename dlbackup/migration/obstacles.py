"""What stands in the way of a migration: rights, locks, dependents, losses that can't be mended."""

from collections.abc import Sequence
from itertools import chain

from dlbackup.catalogs.contract import Snapshot
from dlbackup.errors import DlbackupError, HasDependents, WouldLose, listed
from dlbackup.lake import conformance
from dlbackup.migration.losses.known import known_losses
from dlbackup.migration.losses.loss import Loss
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.steps import Step


def obstacles(
    snapshot: Snapshot, steps: Sequence[Step], options: MigrateOptions
) -> tuple[list[DlbackupError], list[tuple[Loss, ...]]]:
    """Return what a migration has to be refused for before its first step, and the losses that each would bring."""
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
    if any(finding.severity == "error" for finding in conformance.differences(steps[0].from_version, snapshot.tables)):
        return errors, [() for _ in steps]  # no lake that could be looked into: verify refuses it, and says why
    losses = [known_losses(snapshot, step) for step in steps]
    blocking = [
        loss
        for loss in chain.from_iterable(losses)
        if not (loss.mendable and options.mend) and loss.rule not in options.accept_loss
    ]
    if blocking:
        errors.append(
            WouldLose(
                "the engine's migration would lose something: "
                + "; ".join(f"{loss.rule}: {loss.message}" for loss in blocking),
                "accept it by name with " + " ".join(f"--accept-loss {loss.rule}" for loss in blocking),
            )
        )
    return errors, losses
