"""Disks that are full: small ones in memory, which somebody with the rights to do so mounts."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["SmallDisk", "small_disk"]


class SmallDisk:
    """
    A disk, and how much room there is left on it.

    Args:
        path: where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def leave(self, kib: int) -> None:
        """Empty the disk's filler, or fill it, until so many KiB are free."""
        self._filler.unlink(missing_ok=True)
        found = os.statvfs(self.path)
        size = found.f_bavail * found.f_frsize - kib * 1024
        assert size >= 0, "the disk is too small for this test"
        self._filler.write_bytes(bytes(size))

    def names(self) -> set[str]:
        """Return what else is on it."""
        return {path.name for path in self.path.iterdir()} - {self._filler.name}


@contextmanager
def small_disk(path: Path, mib: int) -> Iterator[SmallDisk]:
    """Mount a small disk at a new folder for the block; skip the test where nobody here may mount one."""
    path.mkdir()
    before = [] if os.geteuid() == 0 else ["sudo", "-n"]
    try:
        mount = [*before, "mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0777", "tmpfs", str(path)]
        done = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount, or no sudo")
    if done.returncode:
        pytest.skip("nobody here may mount a small disk")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run([*before, "umount", "-l", str(path)], check=True)
        shutil.rmtree(path, ignore_errors=True)
