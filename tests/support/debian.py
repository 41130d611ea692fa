"""Programs of Debian's packages, unpacked into the tests' cache and not installed."""

import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import pytest

from support.cache import made_once, private_cache

__all__ = ["unpacked"]


def unpacked(name: str, *packages: str) -> Path:
    """Return the folder in which some packages are unpacked; skip the test where they can't be had."""
    if shutil.which("apt-get") is None:
        pytest.skip(f"there is no {name} to be had: it comes from Debian's packages")
    return made_once(private_cache() / name, partial(_unpack, packages))


def _unpack(packages: tuple[str, ...], folder: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(["apt-get", "download", *packages], cwd=place, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"Debian's packages {', '.join(packages)} can't be had: {done.stderr.strip()[-200:]}")
        for package in Path(place).glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder], check=True)
