"""A look for data files in object storage: what it writes down before it asks."""

import tempfile
from pathlib import Path

import pytest

from dlbackup.engine.listing import ObjectStorage
from dlbackup.errors import StorageError

ROWS = 20_000


def test_folder_that_is_gone_is_said_with_what_helps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nothing can be written down, that is said with the folder; it's no fault of the program's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with ObjectStorage(None, ("s3://lake/",), 1) as storage, pytest.raises(StorageError) as caught:
        storage.expect("s3://lake/a.parquet", 1)

    assert caught.value.message.startswith("can't make a folder in ")
    assert (str(tmp_path / "gone") in caught.value.message, "TMPDIR" in caught.value.hint) == (True, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is of Linux")
def test_full_disk_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full in the middle of a list ends the look, and closing the file hides nothing."""
    with pytest.raises(StorageError, match="No space left on device"), ObjectStorage(None, (), 1) as storage:
        full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - it is closed with the storage
        storage._text = storage._undo.enter_context(full)
        for number in range(ROWS):
            storage.expect(f"s3://lake/{number}.parquet", 1)
