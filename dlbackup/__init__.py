"""
Backups that prove themselves, restores and safe migrations for DuckLake catalogs.

The public API: the verbs of the command line, the records that they take and return, and the error tree. All but the
errors is imported from its module when it is first used, so that nobody waits for what they don't use.
"""

import importlib
import typing

from dlbackup.errors import (
    AliasTaken,
    Ambiguous,
    AttachFailed,
    BackupError,
    CannotMigrate,
    CatalogError,
    ClientsConnected,
    ClockOff,
    Corrupt,
    CutOff,
    DeadlinePassed,
    DlbackupError,
    DrillNotMade,
    EngineError,
    HasDependents,
    Interrupted,
    Locked,
    MigratedOtherwise,
    MigrationError,
    MigrationNeeded,
    MigratorRuns,
    MissingDataFiles,
    MovedOn,
    NeedsPerson,
    NewerSnapshots,
    NoIdentity,
    NoPolicy,
    NoRight,
    NotALake,
    NotCarried,
    NotEmpty,
    NothingGood,
    NotOwner,
    NotVerified,
    OtherEncoding,
    OtherLake,
    OtherRows,
    PlaintextKeys,
    Pooled,
    Refused,
    RehearsalFailed,
    RestoredOtherwise,
    RolledBack,
    StorageError,
    TooManyLocks,
    Unchanged,
    Unfinished,
    Unhealthy,
    UnknownFormat,
    UnknownVersion,
    Unreachable,
    UnsafeStatement,
    Unsupported,
    UsageError,
    WouldLose,
    WrongIdentity,
)

if typing.TYPE_CHECKING:
    from dlbackup.backupfile.backup import Backup
    from dlbackup.backupfile.prover import Verification
    from dlbackup.catalogs.contract import Client, Copy
    from dlbackup.drills.outcome import Drill, DrilledFiles
    from dlbackup.health.checkup import Check
    from dlbackup.inventory.publishing import Pinned
    from dlbackup.inventory.retention import Decision, Policy
    from dlbackup.lake.extent import Extent
    from dlbackup.lake.findings import Finding
    from dlbackup.migration.options import MigrateOptions
    from dlbackup.migration.outcome import Mend, Migration, Stage
    from dlbackup.runtime.progress import Event
    from dlbackup.stores.keys import Keys
    from dlbackup.transfer.options import RestoreOptions
    from dlbackup.transfer.way_back import WayBack
    from dlbackup.verbs.attach import Attached, attach
    from dlbackup.verbs.backups import Inventory, ListedBackup, backups
    from dlbackup.verbs.cat import TableRows, cat
    from dlbackup.verbs.check import check
    from dlbackup.verbs.copy import Copied, copy
    from dlbackup.verbs.drill import drill
    from dlbackup.verbs.dump import dump
    from dlbackup.verbs.info import Info, Since, TableChange, info
    from dlbackup.verbs.metrics import metrics
    from dlbackup.verbs.migrate import migrate
    from dlbackup.verbs.pin import pin
    from dlbackup.verbs.plan import Blocker, Plan, PlannedLoss, plan
    from dlbackup.verbs.prune import Pruned, prune
    from dlbackup.verbs.release import release
    from dlbackup.verbs.restore import Restored, restore
    from dlbackup.verbs.unbar import Unbarred, unbar
    from dlbackup.verbs.verify import verify

__all__ = [
    "AliasTaken",
    "Ambiguous",
    "AttachFailed",
    "Attached",
    "Backup",
    "BackupError",
    "Blocker",
    "CannotMigrate",
    "CatalogError",
    "Check",
    "Client",
    "ClientsConnected",
    "ClockOff",
    "Copied",
    "Copy",
    "Corrupt",
    "CutOff",
    "DeadlinePassed",
    "Decision",
    "DlbackupError",
    "Drill",
    "DrillNotMade",
    "DrilledFiles",
    "EngineError",
    "Event",
    "Extent",
    "Finding",
    "HasDependents",
    "Info",
    "Interrupted",
    "Inventory",
    "Keys",
    "ListedBackup",
    "Locked",
    "Mend",
    "MigrateOptions",
    "MigratedOtherwise",
    "Migration",
    "MigrationError",
    "MigrationNeeded",
    "MigratorRuns",
    "MissingDataFiles",
    "MovedOn",
    "NeedsPerson",
    "NewerSnapshots",
    "NoIdentity",
    "NoPolicy",
    "NoRight",
    "NotALake",
    "NotCarried",
    "NotEmpty",
    "NotOwner",
    "NotVerified",
    "NothingGood",
    "OtherEncoding",
    "OtherLake",
    "OtherRows",
    "Pinned",
    "PlaintextKeys",
    "Plan",
    "PlannedLoss",
    "Policy",
    "Pooled",
    "Pruned",
    "Refused",
    "RehearsalFailed",
    "RestoreOptions",
    "Restored",
    "RestoredOtherwise",
    "RolledBack",
    "Since",
    "Stage",
    "StorageError",
    "TableChange",
    "TableRows",
    "TooManyLocks",
    "Unbarred",
    "Unchanged",
    "Unfinished",
    "Unhealthy",
    "UnknownFormat",
    "UnknownVersion",
    "Unreachable",
    "UnsafeStatement",
    "Unsupported",
    "UsageError",
    "Verification",
    "WayBack",
    "WouldLose",
    "WrongIdentity",
    "attach",
    "backups",
    "cat",
    "check",
    "copy",
    "drill",
    "dump",
    "info",
    "metrics",
    "migrate",
    "pin",
    "plan",
    "prune",
    "release",
    "restore",
    "unbar",
    "verify",
]

_MODULES = {
    "Attached": "verbs.attach",
    "Backup": "backupfile.backup",
    "Blocker": "verbs.plan",
    "Check": "health.checkup",
    "Client": "catalogs.contract",
    "Copied": "verbs.copy",
    "Copy": "catalogs.contract",
    "Drill": "drills.outcome",
    "DrilledFiles": "drills.outcome",
    "Decision": "inventory.retention",
    "Event": "runtime.progress",
    "Extent": "lake.extent",
    "Finding": "lake.findings",
    "Info": "verbs.info",
    "Inventory": "verbs.backups",
    "ListedBackup": "verbs.backups",
    "Since": "verbs.info",
    "TableChange": "verbs.info",
    "Keys": "stores.keys",
    "Mend": "migration.outcome",
    "MigrateOptions": "migration.options",
    "Migration": "migration.outcome",
    "Plan": "verbs.plan",
    "PlannedLoss": "verbs.plan",
    "Pinned": "inventory.publishing",
    "Policy": "inventory.retention",
    "Pruned": "verbs.prune",
    "RestoreOptions": "transfer.options",
    "Restored": "verbs.restore",
    "Stage": "migration.outcome",
    "TableRows": "verbs.cat",
    "Unbarred": "verbs.unbar",
    "Verification": "backupfile.prover",
    "WayBack": "transfer.way_back",
}
"""Where a record is; a verb is in the module of its name."""


if not typing.TYPE_CHECKING:  # which would take every name, misspelt ones too, for an object

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, f'verbs.{name}')}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
