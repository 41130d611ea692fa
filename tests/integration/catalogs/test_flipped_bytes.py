"""One bit of a catalog's file is another: DuckDB's checksums tell, SQLite has none; nothing half is made of either."""

import random
from pathlib import Path

import pytest
from support.files import beside, contents
from support.lakes.in_files import FileLake, FileLakes

import dlbackup
from dlbackup import MigrateOptions, errors

_REFUSED = (errors.CatalogError, errors.BackupError)


def _flip(path: Path, whole: bytes, at: int, bit: int = 0x10) -> None:
    path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])


def _damaged_tables(lake: FileLake, good: dict[str, object]) -> set[str] | None:
    """Dump a file; return the tables that are others than in the good one, or None where nothing was made of it."""
    target = lake.path.with_name("b.sql.zst")
    target.unlink(missing_ok=True)
    try:
        made = contents(Path(dlbackup.dump(str(lake.path), target).path))
    except _REFUSED as exc:
        assert not target.exists() or isinstance(exc, errors.NotVerified)
        return None
    return {name for name in good.keys() | made.keys() if good.get(name) != made.get(name)}


def test_flipped_bit_of_a_duckdb_file(file_lakes: FileLakes, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """In each of its headers and in a block: refused by what reads it; nowhere is anything else read than was there."""
    lake = file_lakes.copy("plain", "1.4.4", tmp_path)
    good = contents(Path(dlbackup.dump(str(lake.path), tmp_path / "good.sql.zst").path))
    whole, points = lake.path.read_bytes(), random.Random(pytestconfig.option.seed)
    in_a_block = whole.index(b"created_by")  # which is in the rows of ducklake_metadata
    for at in (100, 4096 + 20, 8192 + 20, in_a_block):
        _flip(lake.path, whole, at)
        assert _damaged_tables(lake, good) is None, at
    for _ in range(pytestconfig.option.kill_points or 0):
        _flip(lake.path, whole, at := points.randrange(len(whole)), 1 << points.randrange(8))
        assert not _damaged_tables(lake, good), at

    _flip(lake.path, whole, in_a_block)
    _refused_by_all(lake, tmp_path / "copy.sqlite", "checksum")


def test_flipped_bit_of_a_sqlite_file(file_lakes: FileLakes, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """What holds its pages together is refused; a value that is another one can't be told, and alone is another."""
    lake = file_lakes.copy("plain", "1.4.4", tmp_path, "sqlite")
    good = contents(Path(dlbackup.dump(str(lake.path), tmp_path / "good.sql.zst").path))
    whole, points = lake.path.read_bytes(), random.Random(pytestconfig.option.seed)
    name = b"customervarchar"  # of a column, and its type
    _flip(lake.path, whole, whole.index(name), 1)
    assert _damaged_tables(lake, good) == {"ducklake_column"}
    for at in (3, 100, 4 * 4096):
        _flip(lake.path, whole, at)
        assert _damaged_tables(lake, good) is None, at
    for _ in range(pytestconfig.option.kill_points or 0):
        _flip(lake.path, whole, at := points.randrange(len(whole)), 1 << points.randrange(8))
        changed = _damaged_tables(lake, good)
        assert changed is None or len(changed) <= 1, at

    _flip(lake.path, whole, 4 * 4096)
    _refused_by_all(lake, tmp_path / "copy.ducklake", "can't be read")


def _refused_by_all(lake: FileLake, copy: Path, words: str) -> None:
    damaged = lake.path.read_bytes()
    for refused in (
        lambda: dlbackup.check(str(lake.path)),
        lambda: dlbackup.copy(str(lake.path), str(copy)),
        lambda: dlbackup.migrate(str(lake.path), MigrateOptions(backup_dir=lake.path.parent)),
    ):
        with pytest.raises(errors.CatalogError, match=words):
            refused()
    assert (lake.path.read_bytes(), beside(lake.path), copy.exists()) == (damaged, set(), False)
