"""Where tests keep what takes long to fetch: engines and server programs.

One folder per thing, made aside under a lock and renamed, so that any number of test runs may ask
for it at once and none ever sees a half-made one.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

__all__ = ["made_once", "once_a_run", "private_cache", "shared_cache"]

_NAME = "dlbackup-tests"


def private_cache() -> Path:
    """Return the folder for what only this user runs."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / _NAME


def shared_cache() -> Path:
    """Return the folder for what another user runs: PostgreSQL, which refuses to run as root."""
    return Path("/var/cache") / _NAME if os.geteuid() == 0 else private_cache()


def made_once(target: Path, make: Callable[[Path], None], intact: Callable[[Path], bool] = Path.is_dir) -> Path:
    """Return the folder `target`, after `make` has filled it if it wasn't there or isn't `intact`."""
    if intact(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not intact(target):
            shutil.rmtree(target, ignore_errors=True)
            aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
            try:
                aside.chmod(0o755)
                make(aside)
                aside.rename(target)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    return target


def once_a_run(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` has filled where it stands, once for all workers of a test run; it is only read."""
    place = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    made = place / f"{name}.made"
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(place / name, ignore_errors=True)
            (place / name).mkdir()
            make(place / name)
            made.touch()
    return place / name
