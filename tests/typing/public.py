"""
The public API as mypy sees it: a program that uses it, and what it can't do.

Checked by the ordinary, strict run of mypy: a `type: ignore` here is an error where mypy would take the line.
Nothing imports this file.
"""

from pathlib import Path
from typing import assert_type

import dlbackup
from dlbackup import ClientsConnected, DlbackupError, Event, Finding, MigrateOptions, RolledBack
from dlbackup.testing import Restore, restored


def show(event: Event) -> None:
    """What listens gets an Event."""
    assert_type(event.message, str)


def night(address: str, folder: Path) -> tuple[Finding, ...]:
    """A backup is taken, proved and looked into."""
    backup = dlbackup.dump(address, folder, on_event=show)
    report = dlbackup.verify(backup, jobs=2).raise_for_errors()
    assert_type(report, dlbackup.Verification)
    assert_type(dlbackup.check(backup.path).raise_for_errors(), dlbackup.Check)
    for values in dlbackup.cat(backup, "ducklake_snapshot"):
        assert_type(values, tuple[str | int | bool | None, ...])
    return report.findings


def upgrade(address: str, folder: Path) -> str | None:
    """A migration is planned and made, and its errors are caught by their public names."""
    options = MigrateOptions(backup_dir=folder, terminate_clients=True)
    plan = dlbackup.plan(address, options)
    if plan.blockers:
        return plan.blockers[0].hint
    try:
        migration = dlbackup.migrate(address, options, on_event=show)
    except ClientsConnected as error:
        return error.hint
    except RolledBack as error:
        return error.message
    except DlbackupError as error:
        return str(error.exit_code)
    assert_type(migration.stale_clients, tuple[dlbackup.Client, ...])
    return migration.backup


def test_own(dlbackup_postgres: str, dlbackup_restored: Restore, backup: Path) -> None:
    """A test of another project, with the plugin's fixtures, and a fixture of its own."""
    options = dlbackup.RestoreOptions(data_path=backup.parent)
    assert_type(dlbackup_restored(backup, options), str)
    with restored(backup, dlbackup_postgres) as address:
        dlbackup.check(address).raise_for_errors()


def wrong(address: str, report: dlbackup.Verification) -> None:
    """Options have names and types, records don't change, and there is nothing else."""
    dlbackup.dump(address, ".", "public")  # type: ignore[call-arg]
    dlbackup.verify(address, rehearsal=address)  # type: ignore[call-arg]
    MigrateOptions(lock_timeout_s="10")  # type: ignore[arg-type]
    report.ok = True  # type: ignore[misc]
    dlbackup.undo(address)  # type: ignore[attr-defined]
