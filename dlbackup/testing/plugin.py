"""
The fixtures of the pytest plugin. pytest finds it by its entry point, in every session where dlbackup is installed.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from dlbackup.errors import DlbackupError
from dlbackup.testing import Restore, database, postgres, restored

if TYPE_CHECKING:
    from pathlib import Path

    from dlbackup.backupfile.backup import Backup
    from dlbackup.transfer.options import RestoreOptions


@contextmanager
def _with_hint() -> Iterator[None]:
    """Let pytest show an error's hint below its message."""
    try:
        yield
    except DlbackupError as exc:
        if exc.hint:
            exc.add_note(f"hint: {exc.hint}")
        raise


@pytest.fixture(scope="session")
def dlbackup_postgres() -> Iterator[str]:
    """Address of a throwaway PostgreSQL: what DLBACKUP_TEST_POSTGRES says, else a container, else out of a wheel."""
    with _with_hint(), postgres() as address:
        yield address


@pytest.fixture
def dlbackup_database(dlbackup_postgres: str) -> Iterator[str]:
    """Address of a new, empty database on it, dropped after the test."""
    with _with_hint(), database(dlbackup_postgres) as address:
        yield address


@pytest.fixture
def dlbackup_restored(dlbackup_postgres: str) -> Iterator[Restore]:
    """A function: restores a backup into a database of its own, dropped after the test, and returns its address."""
    with ExitStack() as databases:

        def restore(backup: "str | Path | Backup", options: "RestoreOptions | None" = None) -> str:
            with _with_hint():
                return databases.enter_context(restored(backup, dlbackup_postgres, options))

        yield restore
