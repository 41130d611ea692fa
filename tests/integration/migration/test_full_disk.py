"""A disk that is full, at every stage of what writes to a catalog's file: the old file stays, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from support.disks import SmallDisk, small_disk
from support.lakes.in_files import FileLake, FileLakes

import dlbackup

_FREE_KIB = (0, 220)
_MORE_KIB = (32, 100, 160, 300, 400, 500)
"""How much is left, and the same beside a first copy."""
_MIB = 32


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small disk."""
    with small_disk(tmp_path / "disk", _MIB) as found:
        yield found


def _lake(file_lakes: FileLakes, folder: Path, ending: str) -> FileLake:
    one = file_lakes.copy("plain", "1.4.4", folder, ending)
    if ending == "ducklake":  # all of it in the file, and no room in that for what comes
        made = folder / "compact.ducklake"
        backup = dlbackup.dump(str(one.path), folder.parent / "compact.sql.zst")
        dlbackup.restore(backup, str(made))
        made.rename(one.path)
        (folder / f"{one.path.name}.wal").unlink(missing_ok=True)
    return one


def _run(*words: str | Path, scratch: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dlbackup", "-q", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(scratch)})


@pytest.mark.parametrize("scratch", ["on it", pytest.param("elsewhere", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("ending", "way"),
    [
        *(("ducklake", "migrate"), ("sqlite", "restore")),
        *(pytest.param(*it, marks=pytest.mark.long) for it in (("sqlite", "migrate"), ("ducklake", "restore"))),
        *(pytest.param(ending, "migrate --staged", marks=pytest.mark.long) for ending in ("ducklake", "sqlite")),
    ],
)
def test_old_file_stays_and_nothing_else(
    way: str,
    ending: str,
    scratch: str,
    disk: SmallDisk,
    file_lakes: FileLakes,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> None:
    """With more and more room it fails later and later, says what to do, and leaves the file as it was."""
    verb, *options = way.split()
    one = _lake(file_lakes, disk.path, ending)
    kept, size = one.path.read_bytes(), one.path.stat().st_size // 1024
    backup = dlbackup.dump(str(one.path), tmp_path / "b.sql.zst").path
    words: list[str | Path] = ["migrate", one.path, *options, "--backup-dir", tmp_path]
    if verb == "restore":
        words = ["restore", backup, one.path, "--replace"]
    points = sorted({*_FREE_KIB, *(_MORE_KIB if pytestconfig.option.long else ())})
    beside = points if pytestconfig.option.long else points[1:2]
    failed = 0
    for free in (*points, *(size + more for more in beside), 3 * size + 4_000, 16_000):
        disk.leave(free)

        done = _run(*words, scratch=disk.path if scratch == "on it" else tmp_path)

        if done.returncode == 0:
            break
        failed += 1
        assert done.returncode in ((1,) if verb == "restore" else (1, 5)), done.stderr
        assert any(word in done.stderr for word in ("room", "No space left", "full")), done.stderr
        assert "hint: " in done.stderr, done.stderr
        assert "space" in done.stderr or "room" in done.stderr or "larger" in done.stderr, done.stderr
        assert one.path.read_bytes() == kept, free
        assert disk.names() == {one.path.name}, free
    assert failed >= 2
    assert done.returncode == 0, done.stderr
    if ending == "ducklake":
        with duckdb.connect(str(one.path), read_only=True) as connection:
            assert connection.execute("select count(*) from ducklake_snapshot").fetchall() != [(0,)]
    assert dlbackup.info(str(one.path)).spec_version == ("0.3" if verb == "restore" else "1.0")


@pytest.mark.parametrize("ending", ["ducklake", pytest.param("sqlite", marks=pytest.mark.long)])
def test_no_room_for_the_backup(ending: str, disk: SmallDisk, file_lakes: FileLakes, tmp_path: Path) -> None:
    """Where the backup has no room, nothing is migrated."""
    one = _lake(file_lakes, tmp_path, ending)
    kept = one.path.read_bytes()
    disk.leave(4)

    done = _run("migrate", one.path, "--backup-dir", disk.path, scratch=tmp_path)

    assert (done.returncode, "No space left" in done.stderr) == (1, True), done.stderr
    assert one.path.read_bytes() == kept
    assert disk.names() == set()
