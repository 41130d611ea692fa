"""A backup's rows for COPY from a child process: the same as from this one, or a clear error; never a child left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.backups import METADATA, forge, row, small, write_backup
from support.faults.faults import children, is_running
from support.waiting import wait_until

from dlbackup.backupfile.manifest import Entry
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.postgres.bulk.copy_text import copy_text
from dlbackup.errors import Corrupt, StorageError, UnsafeStatement
from dlbackup.runtime.child import start
from dlbackup.stores.folder import local
from dlbackup.transfer.chunks import Chunk, Feed
from dlbackup.transfer.feed import feeding


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup that a child can't have sent before somebody takes it: it is more than pipes and buffers hold."""
    path = tmp_path_factory.mktemp("large") / "backup"
    rows = [row("key", f"value {number} ".ljust(600, "x"), None, number) for number in range(10_000)]
    write_backup(path, [(METADATA, rows), *small()[1:]])
    return path


@pytest.fixture(autouse=True)
def as_users_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child is one of this process's, known by its command line, and no fork."""
    monkeypatch.setattr("dlbackup.transfer.feed.start", start)


@contextmanager
def fed(path: Path, *, child: bool = True) -> Iterator[Feed]:
    with BackupReader(local(path)) as reader, feeding(reader, copy_text, child=child) as feed:
        yield feed


def ours() -> list[int]:
    return [pid for pid in children(os.getpid()) if "feed_child" in command(pid)]


def command(pid: int) -> str:
    listed = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout


def test_a_child_sends_what_this_process_would(large: Path, tmp_path: Path) -> None:
    """Entries and rows are the same, in the same order, with a child and without; then the child is gone."""
    write_backup(tmp_path / "backup", small())
    for path in (large, tmp_path / "backup"):
        with fed(path) as one, fed(path, child=False) as other:
            assert list(one) == list(other)
    assert ours() == []


def test_small_backups_start_no_child(tmp_path: Path) -> None:
    """Where few rows are to be read, they are read here."""
    write_backup(tmp_path / "backup", small())

    with BackupReader(local(tmp_path / "backup")) as reader, feeding(reader, copy_text) as feed:
        next(feed)
        assert ours() == []


def test_damage_is_named_as_without_a_child(tmp_path: Path) -> None:
    """A forged statement and a flipped bit are the same errors, with the same words, with a child and without."""
    forged, flipped = tmp_path / "forged", tmp_path / "flipped"
    write_backup(forged, small())
    forge(forged, text=lambda text: text.replace(b"COMMIT;\n", b"COMMIT; DROP TABLE x;\n"))
    write_backup(flipped, small())
    content = bytearray(flipped.read_bytes())
    content[30] ^= 4
    flipped.write_bytes(content)

    for path, error in ((forged, UnsafeStatement), (flipped, Corrupt)):
        said = []
        for child in (True, False):
            with fed(path, child=child) as feed, pytest.raises(error) as caught:
                list(feed)
            said.append((caught.value.message, caught.value.hint))
        assert said[0] == said[1]
    assert ours() == []


def test_backup_that_was_exchanged_is_not_read(tmp_path: Path) -> None:
    """When another backup stands under the name before the child opens it, nothing of that is taken."""
    path = tmp_path / "backup"
    write_backup(path, small())
    with BackupReader(local(path)) as reader:
        write_backup(tmp_path / "other", [small()[0]])
        (tmp_path / "other").replace(path)

        with feeding(reader, copy_text, child=True) as feed, pytest.raises(Corrupt, match="was changed"):
            list(feed)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_is_ended_is_an_error(large: Path, number: signal.Signals) -> None:
    """A child that somebody ends has not proved the backup, whatever it sent before."""
    with fed(large) as feed:
        assert isinstance(next(feed), Entry)
        assert isinstance(next(feed), Chunk)
        (child,) = ours()
        os.kill(child, number)

        with pytest.raises(StorageError, match=number.name):
            list(feed)


def test_leaving_early_ends_the_child(large: Path) -> None:
    """Who stops in the middle leaves no child behind."""
    with pytest.raises(KeyError), fed(large) as feed:
        next(feed)
        raise KeyError
    assert ours() == []


PARENT = """
import sys, time
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.postgres.bulk.copy_text import copy_text
from dlbackup.stores.folder import local
from dlbackup.transfer.feed import feeding

with BackupReader(local(sys.argv[1])) as reader, feeding(reader, copy_text, child=True) as feed:
    next(feed)
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_child_ends_with_its_parent(large: Path) -> None:
    """When the parent is killed, the child finds nobody who takes what it sends, and ends."""
    with subprocess.Popen([sys.executable, "-c", PARENT, str(large)], stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"ready\n"
            (child,) = children(parent.pid)
        finally:
            parent.kill()

    wait_until(lambda: not is_running(child))
