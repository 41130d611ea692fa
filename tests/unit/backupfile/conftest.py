"""What tests of backup files begin with."""

from pathlib import Path

import pytest
from support.backups import small, write_backup

from dlbackup.verbs.verify import verify


@pytest.fixture(scope="session")
def _good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "backup"
    write_backup(path, small())
    assert verify(path).ok
    return path.read_bytes()


@pytest.fixture
def backup(tmp_path: Path, _good: bytes) -> Path:
    """A small backup that verifies."""
    path = tmp_path / "backup"
    path.write_bytes(_good)
    return path
