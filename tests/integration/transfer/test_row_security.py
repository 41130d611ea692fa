"""A restore never makes readable what was not: what row-level security hid stays hidden, wherever a backup goes."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.cli import Cli
from support.comparison import contents, dumped, execute, psql_restore, settle
from support.faults.faults import engine_that, failed
from support.hiding import HIDES_NEW_TABLES
from support.lakes.lakes import Lake
from support.servers.servers import Server

from dlbackup import RestoreOptions, dump, restore
from dlbackup.backupfile.manifest import Manifest
from dlbackup.backupfile.reader import BackupReader

_REPLACE = ("--replace", "--ignore-clients", "--no-data-files")
_POLICIES = """
alter table ducklake_snapshot enable row level security;
create policy part on ducklake_snapshot to {reader} using (snapshot_id = 0);
"""


@pytest.fixture
def reader(server: Server) -> Iterator[str]:
    """A role that owns nothing."""
    name = f"reader_{secrets.token_hex(4)}"
    execute(server.url, f"create role {name}")
    yield name
    execute(server.url, f"drop role {name}")


@pytest.fixture
def granted(reader: str, plain: Lake) -> Lake:
    """A lake whose every table is granted to the reader."""
    execute(plain.url, f"grant select on all tables in schema public to {reader}")
    return plain


def _hide_all(url: str) -> None:
    tables = "select relname from pg_class where relname like 'ducklake\\_%' and relkind = 'r'"
    execute(url, *(f"alter table {name} enable row level security" for (name,) in execute(url, tables)))


def _seen(url: str, reader: str, table: str = "ducklake_snapshot") -> int:
    ((count,),) = execute(url, f"set role {reader}", f"select count(*) from {table}")
    return int(count)


@pytest.mark.every_major
def test_rows_stay_hidden(server: Server, reader: str, granted: Lake, tmp_path: Path) -> None:
    """By dlbackup as by psql: grants come back, and what row-level security hides stays hidden."""
    _hide_all(granted.url)
    path = dump(granted.url, tmp_path).path
    assert _seen(granted.url, reader) == 0

    with server.database() as restored, server.database() as replayed:
        restore(path, restored)
        psql_restore(server, replayed, path)

        for url in (restored, replayed):
            execute(url, f"grant usage on schema public to {reader}")
            assert _seen(url, reader) == 0
            assert dumped(url, tmp_path) == contents(path)


def test_without_privileges_rows_stay_hidden(server: Server, reader: str, granted: Lake, tmp_path: Path) -> None:
    """Default privileges of the target let nobody read what was hidden."""
    _hide_all(granted.url)
    path = dump(granted.url, tmp_path).path

    with server.database() as url:
        execute(url, f"alter default privileges in schema public grant all on tables to {reader}")
        restore(path, url, RestoreOptions(privileges=False, owner=False))

        assert _seen(url, reader) == 0
        execute(url, f"alter default privileges in schema public revoke all on tables from {reader}")


def test_without_policies_nobody_but_owners_sees_rows(
    server: Server, reader: str, granted: Lake, cli: Cli, tmp_path: Path
) -> None:
    """Policies are no part of a backup: what they let through is hidden, and that is said."""
    execute(granted.url, _POLICIES.format(reader=reader))
    path = dump(granted.url, tmp_path).path
    assert _seen(granted.url, reader) == 1

    with server.database() as url:
        rehearsed = cli("verify", path, "--rehearse", url)
        done = cli("restore", path, url, "--no-data-files")

        assert (rehearsed.exit_code, done.exit_code) == (0, 0), (rehearsed, done)
        assert "only owners see rows of ducklake_snapshot" in rehearsed.stdout + rehearsed.stderr
        assert "policy part on table" in done.stderr
        assert "only owners see rows of ducklake_snapshot" in done.stderr
        assert _seen(url, reader) == 0
        assert _seen(url, reader, "ducklake_table") > 0


def test_backups_of_before_row_security_was_carried(
    reader: str, granted: Lake, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that only says that row-level security was on is restored with it."""
    path = dump(granted.url, tmp_path).path
    read = BackupReader._read_manifest

    def as_before(self: BackupReader) -> Manifest:
        return replace(read(self), left_out=("row-level security of table ducklake_snapshot",))

    monkeypatch.setattr(BackupReader, "_read_manifest", as_before)
    restore(path, database)

    assert _seen(database, reader) == 0
    assert _seen(database, reader, "ducklake_table") > 0


def test_replaced_catalog_stays_hidden(reader: str, granted: Lake, cli: Cli, tmp_path: Path) -> None:
    """A backup from before row-level security was switched on doesn't switch it off."""
    path = dump(granted.url, tmp_path).path
    _hide_all(granted.url)

    done = cli("restore", path, granted.url, *_REPLACE)

    assert done.exit_code == 0, done
    assert "row-level security stays on" in done.stderr
    assert _seen(granted.url, reader) == 0


def test_what_a_server_switches_on_stays_on_in_a_new_place(
    reader: str, granted: Lake, cli: Cli, tmp_path: Path, database: str
) -> None:
    """An event trigger of the target decides for a new catalog, and that is said."""
    path = dump(granted.url, tmp_path).path
    execute(database, HIDES_NEW_TABLES)

    done = cli("restore", path, database, "--no-data-files")

    assert done.exit_code == 0, done
    assert "this server has switched on row-level security" in done.stderr
    assert _seen(database, reader) == 0


def test_undo_leaves_open_what_was_open(reader: str, granted: Lake, cli: Cli, tmp_path: Path) -> None:
    """An undone migration gives every table the row-level security that it had, whatever an event trigger does."""
    execute(granted.url, HIDES_NEW_TABLES, "alter table ducklake_tag enable row level security")
    before = dumped(granted.url, tmp_path)
    settle(granted.server, granted.url)

    done = cli(
        "migrate", granted.url, "--json", "--no-rehearsal", "--engine", engine_that(tmp_path, after="os.abort()")
    )

    failed(done, 6, "RolledBack", "rolled-back")
    assert dumped(granted.url, tmp_path) == before
    assert _seen(granted.url, reader) > 0
    assert _seen(granted.url, reader, "ducklake_tag") == 0
