"""What is in an encrypted backup stands in no file of the folder for temporary ones, or goes with who made it."""

import os
import tempfile
from pathlib import Path

import pytest
from support.clear import in_clear, watched
from support.cli import Cli
from support.comparison import execute
from support.lakes.in_files import FileLakes
from support.lakes.lakes import Lake
from support.waiting import wait_until

from dlbackup import Keys, dump
from dlbackup.stores.age.x25519 import SecretKey

_MARKER = b"very private words"
_ROWS = 100
_PRIVATE = (
    "insert into ducklake_metadata (key, value)"
    f" select 'note' || i, '{_MARKER.decode()} ' || md5(i::text) from generate_series(1, {_ROWS}) i"
)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that nobody else uses."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only Linux hands rows over without a file")
def test_no_file_has_a_name(plain: Lake, cli: Cli, secret: SecretKey, identity: Path, scratch: Path) -> None:
    """Neither rows on their way into DuckDB, nor its database, nor a backup made for another kind of catalog."""
    execute(plain.url, _PRIVATE)
    backup = dump(plain.url, scratch.parent / "b.sql.zst.age", keys=Keys(encrypt_to=(str(secret.public),))).path
    opens = ("--identity", identity)
    commands: list[tuple[str | Path, ...]] = [
        ("check", backup),
        ("restore", backup, "new.ducklake", "--no-data-files"),
    ]

    found = {}
    for command in commands:
        with watched(scratch, _MARKER) as seen:
            done = cli(*command, *opens)
        assert done.exit_code == 0, done.stderr
        found[str(command[0])] = seen

    assert not any(found.values()), found
    assert list(scratch.iterdir()) == []


def test_what_has_a_name_goes_with_its_maker(
    file_lakes: FileLakes, cli: Cli, secret: SecretKey, identity: Path, scratch: Path
) -> None:
    """A drill restores a backup of a file into one; killed, it takes that away all the same."""
    made = file_lakes.copy("plain", "1.5.5", cli.cwd)
    backup = dump(str(made.path), cli.cwd / "b.sql.zst.age", keys=Keys(encrypt_to=(str(secret.public),))).path

    with cli.started("drill", backup, "--identity", identity, "--files", "none") as running:
        wait_until(lambda: in_clear(scratch, _MARKER))
        running.kill()
        running.wait()

    wait_until(lambda: not list(scratch.iterdir()))
