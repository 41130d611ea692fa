"""A backup is what its store gives: written to memory, proved by helpers, read by a child, as from a file."""

from pathlib import Path

import pytest
from support.backups import HEADER, row, small, write_backup

from dlbackup.backupfile.prover import prove_file
from dlbackup.backupfile.reader import BackupReader
from dlbackup.backupfile.writer import BackupWriter
from dlbackup.catalogs.postgres.bulk.copy_text import copy_text
from dlbackup.errors import Corrupt
from dlbackup.stores.contract import Where
from dlbackup.stores.folder import local
from dlbackup.stores.in_memory import InMemory
from dlbackup.tables.definition import Column, Table
from dlbackup.transfer.feed import feeding

TABLES = [
    *small(),
    (
        Table(name="ducklake_0", columns=(Column(name="id", type="bigint"), Column(name="t", type="text"))),
        [row(n, f"it's {n}") for n in range(400)],
    ),
]


@pytest.fixture
def backup(monkeypatch: pytest.MonkeyPatch) -> Where:
    """A backup of many frames in a store in memory."""
    monkeypatch.setattr("dlbackup.backupfile.frames.FRAME_BYTES", 500)
    monkeypatch.setattr("dlbackup.backupfile.prover.FRAMES_AT_ONCE", 2)
    monkeypatch.setattr("dlbackup.backupfile.prover.FRAMES_A_HELPER", 4)
    store = InMemory()
    with store.create("backup") as sink, BackupWriter(sink, HEADER) as writer:
        for table, rows in TABLES:
            writer.write_table(table, (rows[at : at + 7] for at in range(0, len(rows), 7)))
        writer.finish([])
    return Where(store, "backup")


def test_it_is_the_file_that_a_folder_holds(backup: Where, tmp_path: Path) -> None:
    """The bytes of a backup don't depend on its store."""
    write_backup(tmp_path / "backup", TABLES, block=7)

    with backup.open() as file:
        assert file.read_at(0, file.size) == (tmp_path / "backup").read_bytes()


def test_helpers_prove_it(backup: Where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that have only a copy of the store prove the backup, and the report says the same as of a file."""
    monkeypatch.setattr("dlbackup.backupfile.prover.JOBS", 2)
    write_backup(tmp_path / "backup", TABLES, block=7)

    verified, report = prove_file(backup)
    assert (report.ok, report.path, report.rows) == (True, "memory:backup", 404)
    assert report.row_shapes == prove_file(local(tmp_path / "backup"))[1].row_shapes
    with verified.open() as reader:
        assert reader.manifest == verified.manifest


def test_a_child_reads_it(backup: Where) -> None:
    """What a child process sends for COPY is what this process would."""
    with (
        BackupReader(backup) as reader,
        feeding(reader, copy_text, child=True) as one,
        feeding(reader, copy_text, child=False) as other,
    ):
        assert list(one) == list(other)


def test_another_in_its_place_is_refused(backup: Where) -> None:
    """In any store, what was laid under the name of a verified backup is not opened for it."""
    verified, _ = prove_file(backup)
    backup.store.delete(backup.name)
    with backup.store.create(backup.name) as sink, BackupWriter(sink, HEADER) as writer:
        for table, rows in small():
            writer.write_table(table, iter([rows]))
        writer.finish([])

    with pytest.raises(Corrupt, match="memory:backup is not the backup that was verified"):
        verified.open()
