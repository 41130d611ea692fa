"""What was verified is what is used: a proof opens the backup that was proved, and no other under its name."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.backups import METADATA, row, small, write_backup

from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.backupfile.prover import prove_file
from dlbackup.errors import Corrupt, StorageError
from dlbackup.stores.folder import local


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a small backup is."""
    write_backup(tmp_path / "backup", small())
    return tmp_path / "backup"


@pytest.fixture
def verified(path: Path) -> VerifiedBackup:
    """Its proof."""
    return prove_file(local(path))[0]


def test_a_proof_opens_what_was_proved(verified: VerifiedBackup, path: Path) -> None:
    """The bytes that were proved are read, also where they were moved away and copied back."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)

    with verified.open() as reader:
        assert (reader.seal, reader.manifest) == (verified.seal, verified.manifest)
        assert len(list(reader.scan())) == 4


def _same_state(path: Path) -> None:
    write_backup(path, small(), block=1)


def _another_state(path: Path) -> None:
    write_backup(path, [(METADATA, [row("version", "9.9", None, None)]), small()[1]])


@pytest.mark.parametrize("write", [_same_state, _another_state])
def test_another_good_backup_is_not_opened(verified: VerifiedBackup, path: Path, write: Callable[[Path], None]) -> None:
    """A backup that is as good, of the same state or of another, is refused under the verified one's name."""
    other = path.with_name("other")
    write(other)
    other.replace(path)
    assert prove_file(local(path))[1].ok

    with pytest.raises(Corrupt, match="not the backup that was verified") as caught:
        verified.open()
    assert str(path) in caught.value.message


def test_a_backup_that_is_gone_is_said(verified: VerifiedBackup, path: Path) -> None:
    """Where the verified backup was taken away, nothing is opened in its stead."""
    path.unlink()

    with pytest.raises(StorageError, match="No such file"):
        verified.open()
