"""A folder as a store: what it shows, what it refuses, what its errors say."""

import errno
import os
from pathlib import Path

import pytest

from dlbackup.errors import StorageError
from dlbackup.stores.folder import Folder, local


def test_only_files_are_listed(tmp_path: Path) -> None:
    """Folders, hidden files and links that lead nowhere, or round in a circle, are no files of the store."""
    (tmp_path / "backup").write_bytes(b"12")
    (tmp_path / "folder").mkdir()
    (tmp_path / ".backup.0123.part").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "round").symlink_to("round")

    assert [(blob.name, blob.size) for blob in Folder(tmp_path).list()] == [("backup", 2)]


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    """A folder that isn't there is no empty store."""
    with pytest.raises(StorageError, match=r"can't read .*/no: No such file or directory"):
        list(Folder(tmp_path / "no").list())


@pytest.mark.parametrize("name", ["", ".", "..", "../backup", "/backup", "below/backup"])
def test_nothing_outside_is_changed(tmp_path: Path, name: str) -> None:
    """A name that leads out of the folder, or into another, is neither written nor deleted."""
    store = Folder(tmp_path / "store")
    (store.path / "below").mkdir(parents=True)
    for path in (tmp_path / "backup", store.path / "below/backup"):
        path.touch()

    with pytest.raises(StorageError, match="is no name"):
        store.delete(name)
    with pytest.raises(StorageError, match="is no name"), store.create(name):
        pytest.fail("opened a file elsewhere")


@pytest.mark.parametrize("path", ["backup", "./backup", "a/b", "/a/b", "../x", "..", ".", "/"])
def test_a_local_file_is_named_as_its_user_names_it(path: str) -> None:
    """Whatever path a user gives, messages name that path."""
    assert str(local(path)) == str(local(Path(path))) == str(Path(path))


def test_what_is_no_file_can_t_be_read(tmp_path: Path) -> None:
    """A folder or a pipe is refused in the system's words."""
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        for name, words in (("", "Is a directory"), ("pipe", "Illegal seek")):
            with pytest.raises(StorageError, match=words), local(tmp_path / name).open():
                pytest.fail("opened what is no file")
    finally:
        os.close(writer)


def test_a_disk_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk in the middle of a file is a StorageError with the file's name."""
    (tmp_path / "backup").write_bytes(b"12")

    def fails(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with local(tmp_path / "backup").open() as file:
        monkeypatch.setattr(os, "pread", fails)
        with pytest.raises(StorageError, match=r"can't read .*/backup: Input/output error"):
            file.read_at(0, 2)


def test_short_reads_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives fewer bytes than asked for, the rest is read too."""
    (tmp_path / "backup").write_bytes(bytes(range(100)))
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda number, size, offset: real(number, min(size, 7), offset))

    with local(tmp_path / "backup").open() as file:
        assert file.read_at(3, 50) == bytes(range(3, 53))
        assert file.read_at(90, 50) == bytes(range(90, 100))
