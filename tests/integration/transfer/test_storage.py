"""Tablespaces and access methods come back where they are to be had, and are named where they are not."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.changes import set_for
from support.cli import Cli
from support.comparison import contents, dumped, execute, psql_restore, settle
from support.faults.failures import failure
from support.faults.faults import engine_that, failed, new_role
from support.lakes.lakes import Lake
from support.servers.servers import Server

from dlbackup import dump, verify
from dlbackup.tables.definition import Table

_METHOD = "create access method heap2 type table handler heap_tableam_handler"


def _made(server: Server) -> str:
    name = f"space_{secrets.token_hex(4)}"
    execute(server.url, "set allow_in_place_tablespaces = on", f"create tablespace {name} location ''")
    return name


@pytest.fixture
def tablespace(server: Server) -> Iterator[str]:
    """A tablespace in the server's own folder, which may be dropped before the test ends."""
    name = _made(server)
    yield name
    execute(server.url, f"drop tablespace if exists {name}")


@pytest.fixture
def kept(tablespace: str, plain: Lake) -> Lake:
    """A lake with a table and an index in the tablespace, and a table of another access method."""
    execute(
        plain.url,
        f"alter table ducklake_data_file set tablespace {tablespace}",
        f"alter index ducklake_schema_pkey set tablespace {tablespace}",
        _METHOD,
        "alter table ducklake_view set access method heap2",
    )
    return plain


def _plainly(tables: dict[str, Table]) -> dict[str, Table]:
    spaces = frozenset(name for table in tables.values() for name in table.tablespaces)
    return {name: table.without_storage(spaces, frozenset({"heap2"})) for name, table in tables.items()}


def _tables(path: str | Path) -> dict[str, Table]:
    return {name: table for name, (table, _) in contents(path).items()}


def test_tables_are_kept_as_they_were(server: Server, kept: Lake, cli: Cli, tmp_path: Path) -> None:
    """Another database of the server gets them where and how they were."""
    path = dump(kept.url, tmp_path).path
    assert len({table.access_method for table in _tables(path).values()}) == 2
    with server.database() as url:
        execute(url, _METHOD)

        done = cli("restore", path, url, "--no-data-files")

        assert done.exit_code == 0, done
        assert "kept as this server does by default" not in done.stderr
        assert dumped(url, tmp_path) == contents(path)


def test_what_a_server_has_not_is_named(server: Server, kept: Lake, tablespace: str, cli: Cli, tmp_path: Path) -> None:
    """Without tablespace and access method, by dlbackup as by psql, tables are as the server makes them."""
    path = dump(kept.url, tmp_path).path
    execute(kept.url, "alter table ducklake_data_file set tablespace pg_default")
    execute(kept.url, "alter index ducklake_schema_pkey set tablespace pg_default", f"drop tablespace {tablespace}")
    with server.database() as url, server.database() as replayed:
        (finding, *_) = [it for it in verify(path, rehearse=url).findings if it.rule == "restored-otherwise"]
        assert f"tablespace {tablespace}; access method heap2" in finding.message
        done = cli("restore", path, url, "--no-data-files")
        psql_restore(server, replayed, path)

        assert done.exit_code == 0, done
        assert f"tablespace {tablespace}; access method heap2" in done.stderr
        for each in (url, replayed):
            assert _tables(dump(each, tmp_path).path) == _plainly(_tables(path))


def test_defaults_of_a_role_decide_nothing_in_an_undo(kept: Lake, tablespace: str, cli: Cli, tmp_path: Path) -> None:
    """An undo puts tables back where they were, though the session's own default is elsewhere."""
    set_for(kept, default_tablespace=tablespace, default_table_access_method="heap2")
    before = dumped(kept.url, tmp_path)
    settle(kept.server, kept.url)

    done = cli("migrate", kept.url, "--json", "--no-rehearsal", "--engine", engine_that(tmp_path, after="os.abort()"))

    failed(done, 6, "RolledBack", "rolled-back")
    assert dumped(kept.url, tmp_path) == before


def test_defaults_of_a_role_are_followed_elsewhere(
    server: Server, plain: Lake, tablespace: str, cli: Cli, tmp_path: Path
) -> None:
    """A restore puts tables that were in the database's own tablespace where new tables go."""
    path = dump(plain.url, tmp_path).path
    with server.database() as url:
        execute(url, f"alter database {url.rpartition('/')[2]} set default_tablespace = {tablespace}")

        done = cli("restore", path, url, "--no-data-files")

        assert done.exit_code == 0, done
        tables = _tables(dump(url, tmp_path).path)
        assert {table.tablespace for table in tables.values()} == {tablespace}
        assert _plainly(tables) == _tables(path)


def test_role_that_may_not_use_the_tablespace(kept: Lake, tablespace: str, cli: Cli, tmp_path: Path) -> None:
    """An undo could not put the tables back, so plan and migrate name the right; a restore elsewhere does without."""
    path = dump(kept.url, tmp_path).path
    with new_role(kept, "a-pass-word", owner=True) as url:
        (blocker,) = cli("plan", url, "--json").json()["blockers"]
        assert f"CREATE on tablespace {tablespace}" in blocker["message"]
        failure(cli("migrate", url), 4, f"CREATE on tablespace {tablespace}", hint="grant CREATE on tablespace")

        done = cli("restore", path, url, "--metadata-schema", "new", "--no-owner", "--no-data-files")
        assert done.exit_code == 0, done
        assert f"use tablespace {tablespace}" in done.stderr
