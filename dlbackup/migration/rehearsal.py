"""
One attempt at a migration, and its rehearsal on a copy.

The engine migrates a catalog, `put_right` mends what it is known to lose, and `examine` proves the result. The
pipeline does so on the catalog, under the fence; `rehearse` does so on the verified backup, restored
into a scratch schema of the same database, which is dropped whatever happens. What would fail on the
catalog fails there first. No data file is written or read.
"""

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.catalogs.contract import Catalog
from dlbackup.engine.engine import attach_migrating
from dlbackup.errors import (
    BackupError,
    DlbackupError,
    EngineError,
    Interrupted,
    Locked,
    MigratedOtherwise,
    MigratorRuns,
    MovedOn,
    NoRight,
    NotVerified,
    RehearsalFailed,
    RestoredOtherwise,
    StorageError,
    Unreachable,
)
from dlbackup.migration.passage import Passage, examine, keeps_rules, put_right
from dlbackup.migration.scratch import copied


def rehearse(passage: Passage, address: Address, backup: VerifiedBackup) -> None:
    """
    Restore, migrate, mend and examine a copy of the catalog in a scratch schema.

    Raises:
        RehearsalFailed: what would have failed on the catalog; the catalog was not touched.
    """
    try:
        with copied(address, passage.schema, backup, read_back=False) as copy:  # the proof afterwards reads all rows
            walk(passage, copy, backup)
    except Interrupted:
        raise
    except RestoredOtherwise as exc:
        raise NotVerified(
            f"the backup can't be restored, so the catalog was not touched: {exc.message}",
            exc.hint or "do not rely on this backup; take another one, and look into the server's log",
        ) from exc
    except DlbackupError as exc:
        hint = "the backup is good and kept; --no-rehearsal would try the same on the catalog itself"
        raise failed_before("the rehearsal", exc, hint) from exc


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


def failed_before(what: str, error: DlbackupError, hint: str) -> RehearsalFailed:
    """Return what says that something failed before the catalog was touched, and whose fault it is."""
    failure = RehearsalFailed(
        f"{what} failed, so the catalog was not touched; {blamed(error)}: {error.message}", error.hint or hint
    )
    failure.transient = error.transient
    return failure


def walk(passage: Passage, copy: Catalog, backup: VerifiedBackup) -> None:
    """Let the engine migrate a copy, mend and examine it, and end what the engine may have left."""
    target = passage.target(copy.address, copy.schema)
    try:
        attach_migrating(passage.engine, backup, target, passage.attach_timeout_s, to=passage.step.to_version)
        put_right(passage, copy)
        keeps_rules(passage, copy, backup, examine(passage, copy, backup, target))
    finally:
        copy.end_engine(target.name)
