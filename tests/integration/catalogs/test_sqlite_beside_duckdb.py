"""A program that itself has a SQLite file open by DuckDB, as it restores it: they meet as two programs do."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from support.files import contents
from support.lakes.in_files import FileLake, FileLakes

import dlbackup
from dlbackup import Event, RestoreOptions, errors
from dlbackup.catalogs.sqlite.live import LiveFile
from dlbackup.engine.child import load

_REPLACE = RestoreOptions(replace=True, drop_replaced=True)
_OTHER = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('insert into mine values (3)')"


@pytest.fixture
def lake(file_lakes: FileLakes, tmp_path: Path) -> FileLake:
    """A lake, and a table of somebody else's in its catalog's file."""
    made = file_lakes.copy("plain", "1.5.5", tmp_path, "sqlite")
    with sqlite3.connect(made.path) as connection:
        connection.execute("create table mine (i int)")
    connection.close()
    return made


@pytest.fixture
def backup(lake: FileLake, tmp_path: Path) -> Path:
    """A backup of it."""
    return Path(dlbackup.dump(str(lake.path), tmp_path / "b.sql.zst").path)


@pytest.fixture(params=["delete", "wal"])
def own(lake: FileLake, request: pytest.FixtureRequest) -> Iterator[duckdb.DuckDBPyConnection]:
    """This program's DuckDB, with the file attached."""
    sqlite3.connect(lake.path).execute(f"pragma journal_mode = {request.param}").connection.close()
    with duckdb.connect() as connection:
        load(connection, "sqlite")
        connection.execute(f"attach '{lake.path}' as file (type sqlite, busy_timeout 100)")
        yield connection


def test_process_that_is_ended_at_its_commit(lake: FileLake, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that nothing was changed, and what was replaced is kept."""
    execute = LiveFile.execute

    def ended(self: LiveFile, sql: str) -> object:
        found = execute(self, sql)
        if sql == "commit":
            self._child.kill()
            return execute(self, "select 1")
        return found

    before = contents(lake.path)
    monkeypatch.setattr(LiveFile, "execute", ended)
    with pytest.raises(errors.NeedsPerson, match="is not known") as refused:
        dlbackup.restore(backup, str(lake.path), RestoreOptions(replace=True))

    assert refused.value.exit_code == 7
    (kept,) = lake.path.parent.glob("lake.sqlite.replaced-*")
    assert contents(lake.path) == contents(backup)
    assert contents(kept) == before


def _others_can_write(path: Path) -> bool:
    return subprocess.run([sys.executable, "-c", _OTHER, path], stderr=subprocess.DEVNULL, check=False).returncode == 0


def test_own_writer_is_in_the_way_and_keeps_its_locks(
    own: duckdb.DuckDBPyConnection, lake: FileLake, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore beside an open transaction of the program is refused, and nobody else comes in between then either."""
    monkeypatch.setattr("dlbackup.catalogs.sqlite.replacement.LEAST_WAIT_S", 0.2)
    own.execute("begin; insert into file.mine values (1)")

    with pytest.raises(errors.Locked):
        dlbackup.restore(backup, str(lake.path), _REPLACE)
    assert not _others_can_write(lake.path)
    own.execute("commit")

    assert own.execute("select i from file.mine").fetchall() == [(1,)]
    assert contents(lake.path) == contents(backup)


def test_own_commit_fails_while_the_file_is_held(own: duckdb.DuckDBPyConnection, lake: FileLake, backup: Path) -> None:
    """What the program writes while its file is replaced doesn't come in between, and it can go on afterwards."""
    refused = []

    def write(event: Event) -> None:
        if "every row back" in event.message:
            with pytest.raises(duckdb.Error, match="locked"):
                own.execute("insert into file.mine values (2)")
            refused.append(event)

    dlbackup.restore(backup, str(lake.path), _REPLACE, on_event=write)

    own.execute("insert into file.mine values (4)")
    assert (len(refused), own.execute("select i from file.mine").fetchall()) == (1, [(4,)])
    assert contents(lake.path) == contents(backup)
