"""Looking never changes anything: the bytes of a catalog's file, of its log, and when they were changed."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import Cli
from support.lakes.in_files import FileLake, FileLakes

from dlbackup.engine.engine import probe

_CHANGE = "insert into ducklake_metadata (key, value) values ('looked_at', 'no')"
_LEFT = {
    "ducklake": f"import duckdb; c = duckdb.connect(sys.argv[1]); c.execute({_CHANGE!r})",
    "sqlite": (
        "import sqlite3; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        f" c.execute('pragma journal_mode = wal'); c.execute({_CHANGE!r})"
    ),
}
"""What a program does that is killed, so that its commit is in the log and not in the file."""
_LOGS = {"ducklake": ".wal", "sqlite": "-wal"}
_INDEX = "-shm"
"""What SQLite makes for all who read a log."""
_LOOKS = (
    "info {file} --fingerprint",
    "check {file} --data-files",
    "plan {file}",
    "dump {file} -o store/",
    "list store --catalog {file}",
    "verify {backup} --rehearse {file}",
    "drill {file}",
    "copy {file} copy.ducklake",
)


@pytest.fixture(autouse=True)
def _with_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have engines read copies and their sources, as they do for users."""
    monkeypatch.setattr("dlbackup.transfer.witness.probe", probe)


def _as_it_is(path: Path) -> dict[str, tuple[bytes, int, int]]:
    files = (file for file in path.parent.iterdir() if path.name in file.name and not file.name.endswith(_INDEX))
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ino) for file in files}


def _leave_log(lake: FileLake) -> None:
    program = f"import os, sys; {_LEFT[lake.path.suffix[1:]]}; os._exit(0)"
    subprocess.run([sys.executable, "-c", program, lake.path], check=True)


@pytest.mark.parametrize(
    ("ending", "has_log"),
    [
        *(("ducklake", True), ("sqlite", True)),
        *(pytest.param(ending, False, marks=pytest.mark.long) for ending in ("ducklake", "sqlite")),
    ],
)
def test_whatever_looks_at_a_file_leaves_it_as_it_is(
    ending: str, has_log: bool, file_lakes: FileLakes, tmp_path: Path, cli: Cli
) -> None:
    """Every command that reads, also where an engine opens it; what is only in the log is read, and stays there."""
    lake = file_lakes.copy("plain", "1.5.5", tmp_path, ending)
    if has_log:
        _leave_log(lake)
    before = _as_it_is(lake.path)
    assert set(before) == {lake.path.name, *([lake.path.name + _LOGS[ending]] if has_log else [])}
    words = {"{file}": str(lake.path)}

    for look in _LOOKS:
        done = cli(*(words.get(word, word) for word in look.split()), "--json")
        assert done.exit_code == 0, (look, done)
        assert _as_it_is(lake.path) == before, look
        words["{backup}"] = next(map(str, tmp_path.glob("store/*.zst")), "")
    assert ("looked_at" in cli("cat", words["{backup}"], "ducklake_metadata").stdout) is has_log
