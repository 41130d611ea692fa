"""How much work each table is, told from a manifest or a server's statistics."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.backups import row, small, write_backup

from dlbackup.backupfile.workload import PROOF_BYTES, of_backup
from dlbackup.tables.definition import Column, Table
from dlbackup.transfer.dumping import guessed_rows


def test_long_rows_are_more_work(tmp_path: Path) -> None:
    """A table of several frames is as much work as its rows are long, whatever shares its first and last frame."""
    short, long = (
        Table(name=f"ducklake_{name}", columns=(Column(name="t", type="text"),)) for name in ("a_short", "b_long")
    )
    contents = [(short, [row("x" * 100)] * 60_000), (long, [row("y" * 1000)] * 8_000), *small()]
    manifest = write_backup(tmp_path / "backup", contents)

    work = of_backup(manifest, 0)
    assert work["ducklake_a_short"] / 60_000 == pytest.approx(100 + 7 + 64, rel=0.02)
    assert work["ducklake_b_long"] / 8_000 == pytest.approx(1000 + 7 + 64, rel=0.02)
    assert of_backup(manifest, PROOF_BYTES)["ducklake_metadata"] > PROOF_BYTES


def test_a_manifest_that_lies_does_no_harm(tmp_path: Path) -> None:
    """Impossible numbers of rows give some number, and no error."""
    manifest = write_backup(tmp_path / "backup", small())
    for rows in (-5, 0, 10**400):
        frames = tuple(replace(frame, rows=rows) for frame in manifest.frames)
        tables = tuple(replace(entry, rows=rows) for entry in manifest.tables)

        work = of_backup(replace(manifest, frames=frames, tables=tables), 1)
        assert all(found >= 1 for found in work.values())


def test_rows_are_guessed_from_pages() -> None:
    """Rows are pages times the density that the server knows; without it for more than a tenth, nothing is guessed."""
    assert guessed_rows({"a": 100, "b": 0}, {"a": 80.0}) == 8000
    assert guessed_rows({"a": 95, "b": 5}, {"a": 80.0}) == 7600
    assert guessed_rows({"a": 80, "b": 20}, {"a": 80.0}) == 0
    assert guessed_rows({"a": 80}, {}) == 0
    assert guessed_rows({}, {}) == 0
