"""Stores: a file is there when it is complete, never before, and never in the place of another."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dlbackup.errors import Interrupted, StorageError
from dlbackup.stores.files import create


def everything(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_complete_file_appears(tmp_path: Path) -> None:
    """What was written is there under the final name, and nothing else."""
    path = tmp_path / "backup"
    with create(path) as file:
        file.write(b"one")
        file.write(b"two")
        assert not path.exists()

    assert path.read_bytes() == b"onetwo"
    assert everything(tmp_path) == ["backup"]


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    """A backup has mode 0600 from its first byte on, whatever the umask is."""
    before = os.umask(0)
    try:
        with create(tmp_path / "backup") as file:
            file.write(b"key")
            file.flush()
            modes = [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()]
    finally:
        os.umask(before)

    assert modes == [0o600]
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyboardInterrupt(), Interrupted("x"), OSError(errno.ENOSPC, "full")]
)
def test_nothing_is_left_of_a_failure(tmp_path: Path, error: BaseException) -> None:
    """When the block ends with an error, no file is left under any name."""
    with pytest.raises((type(error), StorageError)), create(tmp_path / "backup") as file:
        file.write(b"half")
        file.flush()
        raise error

    assert everything(tmp_path) == []


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    """No space left is a StorageError with the system's words and a hint."""
    with pytest.raises(StorageError, match="No space left") as caught, create(tmp_path / "backup"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "free some space" in caught.value.hint


def make_file(path: Path) -> None:
    path.write_bytes(b"old")


def make_folder(path: Path) -> None:
    path.mkdir()


def make_link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


@pytest.mark.parametrize("make", [make_file, make_folder, make_link])
def test_nothing_is_ever_overwritten(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A file, folder or dangling link under the final name stays, whether it was there before or came meanwhile."""
    before, meanwhile = tmp_path / "before", tmp_path / "meanwhile"
    make(before)
    with pytest.raises(StorageError, match="exists already"), create(before):
        pytest.fail("opened what exists")
    with pytest.raises(StorageError, match="exists already"), create(meanwhile) as file:
        file.write(b"new")
        make(meanwhile)

    for path in (before, meanwhile):
        assert path.is_symlink() or path.is_dir() or path.read_bytes() == b"old"
    assert everything(tmp_path) == ["before", "meanwhile"]


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    """A folder that isn't there is a StorageError with a hint, not made."""
    with pytest.raises(StorageError, match="No such file or directory") as caught, create(tmp_path / "no" / "backup"):
        pytest.fail("opened a file in a missing folder")

    assert "folder that exists" in caught.value.hint
    assert everything(tmp_path) == []


def test_a_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    """A name that the file system doesn't take is a StorageError."""
    with pytest.raises(StorageError, match="too long"), create(tmp_path / ("x" * 300)):
        pytest.fail("opened a file with an impossible name")


class Calls:
    """The system's calls, written down, one of them failing."""

    NAMES = ("open", "fsync", "link", "rename", "close")

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        self.failing: dict[str, OSError] = {}
        for name in self.NAMES:
            patch.setattr(os, name, self._faked(name, getattr(os, name)))

    def _faked(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **keywords: object) -> object:
            what = name
            if name == "fsync":
                what = "fsync folder" if stat.S_ISDIR(os.fstat(args[0]).st_mode) else "fsync file"  # type: ignore[arg-type]
            self.made.append(what)
            if what in self.failing:
                raise self.failing[what]
            return real(*args, **keywords)

        return call


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    """Take the place of the operating system's calls for files."""
    with monkeypatch.context() as patch:
        yield Calls(patch)


def test_a_file_is_on_disk_before_it_has_its_name(tmp_path: Path, calls: Calls) -> None:
    """The file is synced, then named, then its folder is synced: a power cut leaves all of it or nothing."""
    with create(tmp_path / "backup") as file:
        file.write(b"x")
        assert "fsync file" not in calls.made

    order = [call for call in calls.made if call in ("fsync file", "link", "rename", "fsync folder")]
    assert order == ["fsync file", "link", "fsync folder"]


@pytest.mark.parametrize("call", ["open", "fsync file", "link"])
def test_a_failing_call_leaves_nothing(tmp_path: Path, calls: Calls, call: str) -> None:
    """Whichever call fails before the file has its name, the user reads why and nothing is left."""
    calls.failing[call] = OSError(errno.EIO, "Input/output error")
    with pytest.raises(StorageError, match="Input/output error"), create(tmp_path / "backup") as file:
        file.write(b"x")

    calls.failing.clear()
    assert everything(tmp_path) == []


def test_a_folder_that_cannot_be_synced_is_said(tmp_path: Path, calls: Calls) -> None:
    """A failing sync of the folder is an error: the name might not survive a power cut."""
    calls.failing["fsync folder"] = OSError(errno.EIO, "Input/output error")

    with pytest.raises(StorageError, match="Input/output error"), create(tmp_path / "backup") as file:
        file.write(b"x")


def test_a_link_whose_answer_was_lost_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS asks again, and hears that the name is taken: it is taken by this very file."""
    link = os.link

    def repeated(*names: Path) -> None:
        link(*names)
        link(*names)

    monkeypatch.setattr(os, "link", repeated)
    with create(tmp_path / "backup") as file:
        file.write(b"x")

    assert (tmp_path / "backup").read_bytes() == b"x"
    assert everything(tmp_path) == ["backup"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_file_systems_without_links_get_a_rename(tmp_path: Path, calls: Calls, number: int) -> None:
    """Where hard links are impossible the file is renamed, and still nothing is overwritten."""
    calls.failing["link"] = OSError(number, "no links here")
    with create(tmp_path / "backup") as file:
        file.write(b"x")
    with pytest.raises(StorageError, match="exists already"), create(tmp_path / "other") as file:
        (tmp_path / "other").write_bytes(b"old")

    assert (tmp_path / "backup").read_bytes() == b"x"
    assert (tmp_path / "other").read_bytes() == b"old"
    assert everything(tmp_path) == ["backup", "other"]


def test_file_systems_that_cannot_sync_folders_are_taken(tmp_path: Path, calls: Calls) -> None:
    """A file system that has no sync for folders is good enough."""
    calls.failing["fsync folder"] = OSError(errno.EINVAL, "Invalid argument")
    with create(tmp_path / "backup") as file:
        file.write(b"x")

    assert (tmp_path / "backup").read_bytes() == b"x"
