"""A program that itself has a SQLite file open by DuckDB, as it restores it: they meet as two programs do."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from support.files import contents
from support.lakes.in_files import FileLake, FileLakes

import dlbackup
from dlbackup import Event, MigrateOptions, Migration, RestoreOptions, errors
from dlbackup.catalogs.sqlite.live import LiveFile
from dlbackup.engine.child import load

_REPLACE = RestoreOptions(replace=True, drop_replaced=True)
_UNKNOWN = (errors.NeedsPerson, "is not known")
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


@pytest.fixture
def end(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], None]:
    """Let the process that has the live file open be ended before its commit or after it, or others take the file."""

    def at(moment: str, path: Path) -> None:
        execute = LiveFile.execute

        def ended(self: LiveFile, sql: str) -> object:
            if sql == "commit":
                if moment != "before":
                    execute(self, sql)
                self._child.kill()
                if moment == "unknown":
                    monkeypatch.setattr(self, "_path", path.parent)
                return execute(self, "select 1")
            return execute(self, sql)

        monkeypatch.setattr(LiveFile, "execute", ended)

    return at


def _kept(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}.replaced-*"))


@pytest.mark.parametrize("moment", ["before", "after", "unknown"])
def test_restore_whose_process_is_ended_at_its_commit(
    lake: FileLake, backup: Path, end: Callable[[str, Path], None], moment: str
) -> None:
    """The file says whether it was done; where it can't be asked, nobody is told so, and what was replaced is kept."""
    with sqlite3.connect(lake.path) as connection:
        connection.execute("insert into ducklake_tag values (1, 1, null, 'k', 'v')")
    connection.close()
    before = contents(lake.path)
    end(moment, lake.path)

    if moment == "after":
        assert dlbackup.restore(backup, str(lake.path), RestoreOptions(replace=True)).replaced == str(*_kept(lake.path))
    else:
        kind, said = (errors.CatalogError, "nothing was changed") if moment == "before" else _UNKNOWN
        with pytest.raises(kind, match=said):
            dlbackup.restore(backup, str(lake.path), RestoreOptions(replace=True))

    assert contents(lake.path) == (before if moment == "before" else contents(backup))
    assert [contents(kept) for kept in _kept(lake.path)] == ([] if moment == "before" else [before])


@pytest.mark.parametrize("moment", ["before", "after", "unknown"])
def test_migration_whose_process_is_ended_at_its_commit(
    file_lakes: FileLakes, tmp_path: Path, end: Callable[[str, Path], None], moment: str
) -> None:
    """The same for the exchange of a migrated copy."""
    path = file_lakes.copy("plain", "1.4.4", tmp_path, "sqlite").path
    before = contents(path)
    end(moment, path)

    if moment == "after":
        done = dlbackup.migrate(str(path), MigrateOptions(backup_dir=tmp_path))
        assert (done.outcome, done.replaced) == ("migrated", str(*_kept(path)))
    else:
        kind, said = (errors.Unchanged, "catalog is as it was") if moment == "before" else _UNKNOWN
        with pytest.raises(kind, match=said) as refused:
            dlbackup.migrate(str(path), MigrateOptions(backup_dir=tmp_path))
        assert isinstance(refused.value.result, Migration)
        assert refused.value.result.outcome == ("unchanged" if moment == "before" else "needs-person")

    assert dlbackup.info(str(path)).spec_version == ("0.3" if moment == "before" else "1.0")
    assert [contents(kept) for kept in _kept(path)] == ([] if moment == "before" else [before])


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
