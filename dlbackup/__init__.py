"""
Backups that prove themselves, restores and safe migrations for DuckLake catalogs.

The public API: the verbs of the command line, the records that they return, and the error tree.
"""

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
