"""
Backups that prove themselves, restores and safe migrations for DuckLake catalogs.

The public API: the verbs of the command line, the records that they return, and the error tree. Each is imported
from its module when it is first used, so that nobody waits for what they don't use.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from dlbackup.backupfile.backup import Backup
    from dlbackup.backupfile.prover import Verification
    from dlbackup.errors import DlbackupError
    from dlbackup.health.checkup import Check
    from dlbackup.migration.options import MigrateOptions
    from dlbackup.migration.outcome import Migration
    from dlbackup.transfer.filling import RestoreOptions
    from dlbackup.verbs.attach import Attached, attach
    from dlbackup.verbs.cat import TableRows, cat
    from dlbackup.verbs.check import check
    from dlbackup.verbs.dump import dump
    from dlbackup.verbs.info import Info, info
    from dlbackup.verbs.migrate import migrate
    from dlbackup.verbs.plan import Plan, plan
    from dlbackup.verbs.restore import Restored, restore
    from dlbackup.verbs.unbar import Unbarred, unbar
    from dlbackup.verbs.verify import verify

__all__ = [
    "Attached",
    "Backup",
    "Check",
    "DlbackupError",
    "Info",
    "MigrateOptions",
    "Migration",
    "Plan",
    "RestoreOptions",
    "Restored",
    "TableRows",
    "Unbarred",
    "Verification",
    "attach",
    "cat",
    "check",
    "dump",
    "info",
    "migrate",
    "plan",
    "restore",
    "unbar",
    "verify",
]

_MODULES = {
    "Attached": "verbs.attach",
    "Backup": "backupfile.backup",
    "Check": "health.checkup",
    "DlbackupError": "errors",
    "Info": "verbs.info",
    "MigrateOptions": "migration.options",
    "Migration": "migration.outcome",
    "Plan": "verbs.plan",
    "RestoreOptions": "transfer.filling",
    "Restored": "verbs.restore",
    "TableRows": "verbs.cat",
    "Unbarred": "verbs.unbar",
    "Verification": "backupfile.prover",
}
"""Where a name is that is not a verb; a verb is in the module of its name."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, f'verbs.{name}')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
