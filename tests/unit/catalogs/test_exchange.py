"""A new file takes the place of another: who was let at that one is let at it, and nobody else."""

import errno
import os
import struct
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from dlbackup.catalogs.exchange import take_place
from dlbackup.errors import StorageError

_ACCESS, _DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
_NOBODY = 0xFFFFFFFF


def _access_list(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


_ONE_USER = _access_list((1, 6, _NOBODY), (2, 6, 1234), (4, 0, _NOBODY), (16, 6, _NOBODY), (32, 0, _NOBODY))
"""Owner and user 1234 read and write, the group does not, though the mode says so."""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A new file, and the one whose place it takes."""
    new, path = tmp_path / "new", tmp_path / "lake"
    new.write_text("new")
    new.chmod(0o600)
    path.write_text("old")
    path.chmod(0o640)
    return new, path


def _give(path: Path, name: str) -> None:
    if sys.platform != "linux":
        pytest.skip("access lists are asked for on Linux")
    try:
        os.setxattr(path, name, _ONE_USER)
    except OSError as exc:
        pytest.skip(f"no access lists here: {exc}")


def test_access_list_is_kept(files: tuple[Path, Path]) -> None:
    """Whom a list lets in is let in, and the group, for whom the mode stands no more, is not."""
    new, path = files
    _give(path, _ACCESS)
    before = path.stat().st_mode

    take_place(new, path, keep=False)

    assert (path.read_text(), os.getxattr(path, _ACCESS)) == ("new", _ONE_USER)
    assert path.stat().st_mode == before


def test_list_of_the_folder_lets_nobody_in(tmp_path: Path, files: tuple[Path, Path]) -> None:
    """What a folder says of new files does not go for one that takes an older one's place."""
    _, path = files
    _give(tmp_path, _DEFAULT)
    new = tmp_path / "newer"
    new.touch(0o600)
    assert os.getxattr(new, _ACCESS)

    take_place(new, path, keep=False)

    assert (_ACCESS in os.listxattr(path), path.stat().st_mode & 0o777) == (False, 0o640)


@pytest.mark.parametrize(("may_give_group", "mode"), [(True, 0o640), (False, 0o600)])
def test_group_has_rights_or_nobody(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, may_give_group: bool, mode: int
) -> None:
    """Who may not give a file to its owner gives it to its group; or to no group at all."""
    new, path = files
    given: list[int] = []

    def chown(_: Path, user: int, group: int) -> None:
        if user != -1 or not may_give_group:
            raise PermissionError
        given.append(group)

    monkeypatch.setattr(os, "chown", chown)
    take_place(new, path, keep=False)

    assert given == ([path.stat().st_gid] if may_give_group else [])
    assert path.stat().st_mode & 0o777 == mode


def test_what_fails_leaves_nothing(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the name can't be given, as of a file that is mounted by itself, the old one has one name as before."""
    new, path = files

    def rename(*_: object) -> NoReturn:
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(StorageError, match="in the place of"):
        take_place(new, path, keep=True)

    assert (path.read_text(), path.stat().st_nlink) == ("old", 1)
    assert set(path.parent.iterdir()) == {new, path}


def test_copy_is_kept_where_files_have_one_name(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without hard links a copy is kept, with the same rights; what fails half way is taken away."""
    new, path = files

    def link(*_: object) -> NoReturn:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", link)
    with monkeypatch.context() as full:
        full.setattr("shutil.copyfile", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(StorageError):
            take_place(new, path, keep=True)
    assert set(path.parent.iterdir()) == {new, path}

    kept = take_place(new, path, keep=True)

    assert kept is not None
    assert (Path(kept).read_text(), Path(kept).stat().st_mode & 0o777) == ("old", 0o640)
