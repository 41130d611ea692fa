"""Which data files are looked at one by one, and which are counted by their folder; on DuckDB, as for a backup."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from dlbackup.catalogs.loaded_backup import LoadedBackup
from dlbackup.lake.datafiles import COLUMNS
from dlbackup.lake.looking import look

HOSTILE = "1') or true; drop table ducklake_metadata; --"
_TYPES = {"begin_snapshot": "bigint", "path_is_relative": "boolean", "file_size_bytes": "bigint"}


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables that are asked, with one schema at `tmp_path`; ids are text, as a hostile backup may have them."""
    with duckdb.connect() as connection:
        for table, columns in COLUMNS.items():
            defined = ", ".join(f"{column} {_TYPES.get(column, 'varchar')}" for column in columns)
            connection.execute(f"create table {table} ({defined})")
        connection.execute("insert into ducklake_metadata values ('data_path', ?, null)", [f"{tmp_path}/"])
        connection.execute("insert into ducklake_schema values ('0', 0, 'main/', true)")
        yield connection


def add(lake: duckdb.DuckDBPyConnection, table: str, folder: str, *files: str, relative: bool = True) -> None:
    lake.execute("insert into ducklake_table values (?, '0', 0, ?, ?)", [table, folder, "://" not in folder])
    for file in files:
        lake.execute("insert into ducklake_data_file values (?, ?, ?, 3)", [table, file, relative])


def found(lake: duckdb.DuckDBPyConnection) -> dict[str, str]:
    findings = look(LoadedBackup(lake, ())).findings
    return {finding.rule: finding.message for finding in findings}


@pytest.mark.parametrize("table", ["1", HOSTILE])
def test_files_are_looked_at_where_their_folder_is(lake: duckdb.DuckDBPyConnection, tmp_path: Path, table: str) -> None:
    """Of a folder that is there, each file is looked at; the others' files are counted, whatever their ids hold."""
    (tmp_path / "main" / "here" / "part=1").mkdir(parents=True)
    (tmp_path / "main" / "here" / "part=1" / "good").write_bytes(b"abc")
    (tmp_path / "main" / "here" / "long").write_bytes(b"abcd")
    add(lake, table, "here/", "part=1/good", "long", "gone", "part=2/gone")
    add(lake, "2", "nowhere/", "a", "b", "deep/er/c")
    add(lake, "3", "s3://bucket/t/", "a", "b")
    add(lake, "4", "nowhere either/", str(tmp_path / "main" / "here" / "long"), "https://host/x", relative=False)

    assert found(lake) == {
        "missing-data-files": "5 of 11 data files are missing or can't be reached from here: "
        f"3 in {tmp_path}/main/nowhere/; {tmp_path}/main/here/gone; {tmp_path}/main/here/part=2/gone",
        "data-file-sizes": f"2 of 11 data files have another size than the catalog says: {tmp_path}/main/here/long has"
        f" 4 bytes, not 3; {tmp_path}/main/here/long has 4 bytes, not 3",
        "remote-data-files": "3 of 11 data files are not on this machine and were not looked at:"
        " 2 in s3://bucket/t/; https://host/x",
    }
    assert lake.execute("select count(*) from ducklake_metadata").fetchone() == (1,)


def test_more_than_a_few_are_counted(lake: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Three folders are named, of the others the number of files."""
    for number in range(5):
        add(lake, str(number), f"t{number}/", *map(str, range(number + 1)))

    where = "; ".join(f"{number + 1} in {tmp_path}/main/t{number}/" for number in range(3))
    assert found(lake) == {
        "missing-data-files": f"15 of 15 data files are missing or can't be reached from here: {where}; and 9 more"
    }


@pytest.mark.parametrize("data_path", ["D:\\lake\\", "D:/lake/", "\\\\server\\share\\", "data/", "../x y/"])
def test_files_out_of_reach_are_no_missing_ones(
    lake: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_path: str
) -> None:
    """A Windows path, or one relative to an unknown folder, says nothing of its files; where they were looked for."""
    monkeypatch.chdir(tmp_path)
    lake.execute("update ducklake_metadata set value = ?", [data_path])
    add(lake, "1", "t/", "a", "b")

    looked = look(LoadedBackup(lake, ()))

    (finding,) = looked.findings
    assert (finding.severity, finding.rule, looked.missing) == ("warning", "data-files-out-of-reach", None)
    assert finding.message.startswith("2 of 2 data files are out of reach")
    assert finding.message.endswith(f"looked for from {tmp_path}: 2 in {data_path}main/t/")


def test_relative_files_that_are_there_are_looked_at(
    lake: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run in the folder that relative paths are relative to, files are found, and missing ones are missing."""
    monkeypatch.chdir(tmp_path)
    lake.execute("update ducklake_metadata set value = 'data/'")
    (tmp_path / "data" / "main" / "t").mkdir(parents=True)
    (tmp_path / "data" / "main" / "t" / "a").write_bytes(b"abc")
    add(lake, "1", "t/", "a", "gone")

    assert list(found(lake)) == ["missing-data-files"]
