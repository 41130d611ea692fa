"""What was verified is what is used: a proof opens the backup that was proved, and no other under its name."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.backups import METADATA, row, small, write_backup

from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.backupfile.prover import prove_file
from dlbackup.errors import Corrupt, StorageError


@pytest.fixture
def verified(tmp_path: Path) -> VerifiedBackup:
    """The proof of a small backup."""
    write_backup(tmp_path / "backup", small())
    return prove_file(tmp_path / "backup")[0]


def test_a_proof_opens_what_was_proved(verified: VerifiedBackup) -> None:
    """The bytes that were proved are read, also where they were moved away and copied back."""
    content = verified.kept_at.read_bytes()
    verified.kept_at.unlink()
    verified.kept_at.write_bytes(content)

    with verified.open() as reader:
        assert (reader.seal, reader.manifest) == (verified.seal, verified.manifest)
        assert len(list(reader.scan())) == 4


def _same_state(path: Path) -> None:
    write_backup(path, small(), block=1)


def _another_state(path: Path) -> None:
    write_backup(path, [(METADATA, [row("version", "9.9", None, None)]), small()[1]])


@pytest.mark.parametrize("write", [_same_state, _another_state])
def test_another_good_backup_is_not_opened(verified: VerifiedBackup, write: Callable[[Path], None]) -> None:
    """A backup that is as good, of the same state or of another, is refused under the verified one's name."""
    other = verified.kept_at.with_name("other")
    write(other)
    other.replace(verified.kept_at)
    assert prove_file(verified.kept_at)[1].ok

    with pytest.raises(Corrupt, match="not the backup that was verified") as caught:
        verified.open()
    assert str(verified.kept_at) in caught.value.message


def test_a_backup_that_is_gone_is_said(verified: VerifiedBackup) -> None:
    """Where the verified backup was taken away, nothing is opened in its stead."""
    verified.kept_at.unlink()

    with pytest.raises(StorageError, match="No such file"):
        verified.open()
