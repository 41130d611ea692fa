"""
Backups that prove themselves, restores and safe migrations for DuckLake catalogs.

The public API: the verbs of the command line, the records that they return, and the error tree. Each is imported
from its module when it is first used, so that nobody waits for what they don't use.
"""

import importlib
import sys
import types
import typing

if typing.TYPE_CHECKING:
    from dlbackup.attach import Attached, attach
    from dlbackup.bars import Unbarred, unbar
    from dlbackup.cat import TableRows, cat
    from dlbackup.check import Check, check
    from dlbackup.dump import Backup, dump
    from dlbackup.errors import DlbackupError
    from dlbackup.info import Info, info
    from dlbackup.migrate import migrate
    from dlbackup.migration import MigrateOptions, Migration
    from dlbackup.plan import Plan, plan
    from dlbackup.restore import Restored, RestoreOptions, restore
    from dlbackup.verify import Verification, verify

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
    "Attached": "attach",
    "Backup": "dump",
    "Check": "check",
    "DlbackupError": "errors",
    "Info": "info",
    "MigrateOptions": "migration",
    "Migration": "migration",
    "Plan": "plan",
    "RestoreOptions": "restore",
    "Restored": "restore",
    "TableRows": "cat",
    "Unbarred": "bars",
    "Verification": "verify",
    "unbar": "bars",
}
"""Where a name is that is not in the module of the same name."""


class _Package(types.ModuleType):
    """A package in which a verb is never hidden by the module that it is in, whoever imports that first."""

    def __getattr__(self, name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{self.__name__}.{_MODULES.get(name, name)}"), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
