"""A copy of the checkout, and an environment that has what dlbackup needs but not dlbackup."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

__all__ = ["copy_sources", "environment_without_dlbackup"]

_ROOT = Path(__file__).parents[2]
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "dlbackup", "schemas")


def copy_sources(folder: Path, *more: str) -> Path:
    """Make a folder with what a wheel is built from, and what else of the checkout is named; return it."""
    folder.mkdir()
    for name in (*_SOURCES, *more):
        if (_ROOT / name).is_dir():
            shutil.copytree(_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(_ROOT / name, folder)
    return folder


def environment_without_dlbackup(folder: Path, *, pip: bool = False) -> Path:
    """
    Make an environment with the packages of the one that runs the tests, but for dlbackup; return its Python.

    The packages are links outside of it: nothing is installed again, pip takes none of them away, and an editable
    install of dlbackup leaves no trace.
    """
    options = [] if pip else ["--without-pip"]
    subprocess.run([sys.executable, "-m", "venv", *options, folder], check=True, timeout=300)
    links = folder.with_name(f"{folder.name}-links")
    links.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not any(name in entry.name for name in ("dlbackup", "pip")):
            (links / entry.name).symlink_to(entry)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "links.pth").write_text(f"{links}\n")
    return folder / "bin" / "python"
