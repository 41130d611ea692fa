"""Where an engine's process finds DuckDB's extensions."""

import sys
from pathlib import Path

import duckdb
import pytest

from dlbackup.engine.child import load

_HERE = f".duckdb_extensions/v{duckdb.__version__}/linux_amd64"


class _Connection:
    """Remembers what it was told, and fails at what it is told to."""

    def __init__(self, fails: str = "") -> None:
        self.told: list[str] = []
        self.fails = fails

    def execute(self, statement: str) -> None:
        self.told.append(statement)
        if statement == self.fails:
            raise duckdb.IOException("not there")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("ducklake", "duckdb_extension_ducklake/extensions/v1/ducklake.duckdb_extension"),
        ("ducklake", f"{_HERE}/ducklake.duckdb_extension"),
        ("postgres", f"{_HERE}/postgres_scanner.duckdb_extension"),
    ],
)
def test_packages_of_both_layouts_are_found(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wheels named duckdb-extension-* and duckdb-core-ext-* keep their files in different places."""
    path = tmp_path / "it's" / file
    path.parent.mkdir(parents=True)
    path.touch()
    monkeypatch.setattr(sys, "path", ["/nowhere", str(tmp_path / "it's")])
    connection = _Connection()

    load(connection, name)

    assert connection.told == ["LOAD '{}'".format(str(path).replace("'", "''"))]


def test_another_version_s_files_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the layout that keeps several versions, only this DuckDB's counts; else what is installed, else INSTALL."""
    path = tmp_path / ".duckdb_extensions/v0.0.1/linux_amd64/ducklake.duckdb_extension"
    path.parent.mkdir(parents=True)
    path.touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    connection = _Connection()

    load(connection, "ducklake")

    assert connection.told == ["LOAD ducklake"]
