"""What an engine reads of a catalog, by which two are compared: every difference is seen, and nothing is changed."""

from pathlib import Path

import duckdb
import pytest
from support.engines.engines import engine
from support.lakes.in_files import FileLakes

from dlbackup.addresses.address import parse_address
from dlbackup.engine.engine import probe
from dlbackup.engine.readings import LakeTable, differing, may_read, read_at
from dlbackup.engine.statements import Target
from dlbackup.errors import AttachFailed

_DAMAGES = {
    "update ducklake_column set column_type = 'blob' where column_name = 's'": "the columns of table main.texts",
    "update ducklake_column set default_value = '7' where column_name = 'i'": "the columns of table main.texts",
    "update ducklake_data_file set path = path || 'x'": "the files of table main.in_files",
    "update ducklake_data_file set footer_size = footer_size + 1": "the files of table main.in_files",
    "update ducklake_inlined_data_1_1 set row_id = -1 where row_id = 0": "the rows of table main.every_type",
    "update ducklake_inlined_data_1_1 set c1 = not c1": "the rows of table main.every_type",
    "insert into ducklake_schema values (99, uuid(), 0, null, 'x', 'x/', true)": "which schemas there are",
}
_TABLES = [LakeTable("main", "every_type", True), LakeTable("main", "texts", True), LakeTable("main", "in_files", True)]


def test_differences_are_seen(file_lakes: FileLakes, tmp_path: Path) -> None:
    """Columns, defaults, files, rows, row ids and schemas; a table that is gone is an error; 1.3 isn't asked."""
    path = file_lakes.copy("inlined", "1.5.5", tmp_path).path
    kept, at = path.read_bytes(), 25
    target = Target(address=parse_address(str(path)), schema="main", name="x", lock_timeout_ms=1000)
    with probe() as engine:
        with duckdb.connect(str(path), read_only=True):  # so that nobody can open it for writing
            before = read_at(engine, target, at, _TABLES)
        with duckdb.connect(str(path), read_only=True):  # which nobody who writes to it could do meanwhile
            pass
        assert path.read_bytes() == kept
        for damage, what in _DAMAGES.items():
            with duckdb.connect(str(path)) as connection:
                connection.execute(damage)
            assert what in differing(before, read_at(engine, target, at, _TABLES)), damage
            path.write_bytes(kept)
        assert differing(before, read_at(engine, target, at, _TABLES)) == []
        assert "the rows of table main.in_files" not in before  # which are in a file
        with pytest.raises(AttachFailed, match="gone"):
            read_at(engine, target, at, [LakeTable("main", "gone", False)])
        assert [may_read(engine, version) for version in ("1.0", "0.4", "1.1")] == [True, False, False]


_NANS = [
    ("d", "'nan'", False),
    ("f", "'nan'", False),
    ("n", "{'x': ['nan'], 's': '-nan'}", False),
    ("m", "map {'-nan': 'nan'::double}", False),
    ("d", "'inf'", True),
    ("s", "'nan'", True),
    ("n", "{'x': ['-nan'], 's': 'nan'}", True),
    ("m", "map {'nan': '-nan'::double}", True),
]
"""A column, what is put into it, and whether that is another row."""


def test_nan_is_told_from_its_text(tmp_path: Path) -> None:
    """NaN is one number, with a sign or without, also in lists, structs and maps; texts that read so are two."""
    path = tmp_path / "lake.ducklake"
    values = "'-nan', '-nan', '-nan', {'x': ['-nan'], 's': '-nan'}, map {'-nan': '-nan'}"
    steps = [
        "call lake.set_option('data_inlining_row_limit', 100)",
        "create table lake.t (d double, f float, s text, n struct(x double[], s text), m map(text, double))",
        f"insert into lake.t values ({values})",
    ]
    engine("1.5.5").run(str(path), None, steps, data_path=tmp_path / "data")
    target = Target(address=parse_address(str(path)), schema="main", name="x", lock_timeout_ms=1000)
    table, kept, seen = LakeTable("main", "t", True), path.read_bytes(), []
    with probe() as reader:
        before = read_at(reader, target, 2, [table])
        for column, value, _ in _NANS:
            with duckdb.connect(str(path)) as connection:
                for put in ("null", value):  # an UPDATE leaves what equals the new value, as -nan does nan
                    connection.execute(f"update ducklake_inlined_data_1_1 set {column} = {put}")
            seen.append((column, value, bool(differing(before, read_at(reader, target, 2, [table])))))
            path.write_bytes(kept)

    assert seen == _NANS
