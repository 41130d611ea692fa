"""What tests of backup files begin with."""

from pathlib import Path

import pytest
from support.backups import small, write_backup

from dlbackup.verbs.verify import verify


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A small backup that verifies."""
    path = tmp_path / "backup"
    write_backup(path, small())
    assert verify(path).ok
    return path
