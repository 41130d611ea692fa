"""Who could use the schema of a catalog can use the one that a restore makes, or that is said, with the statements."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.backups import small, write_backup
from support.cli import Cli
from support.comparison import execute, schemas
from support.lakes.lakes import Lake, LakeFactory
from support.longer import long
from support.servers.servers import Server

from dlbackup import dump
from dlbackup.backupfile.reader import BackupReader
from dlbackup.stores.folder import local

_RIGHTS = """
    select pg_get_userbyid(nspowner), array(select x::text from aclexplode(nspacl) x order by 1)
    from pg_namespace where nspname = '{schema}'
"""


@pytest.fixture
def roles(server: Server) -> Iterator[tuple[str, str]]:
    """An owner and a reader."""
    mark = secrets.token_hex(4)
    names = (f"owner_{mark}", f'Reader "{mark}"')
    owner, reader = names[0], names[1].replace('"', '""')
    execute(server.url, f"create role {owner}", f'create role "{reader}"')
    yield owner, f'"{reader}"'
    execute(server.url, f"drop role {owner}", f'drop role "{reader}"')


@pytest.fixture
def shared(roles: tuple[str, str], lake: LakeFactory) -> Lake:
    """A lake in a schema of its own that belongs to the owner and is granted to the reader."""
    owner, reader = roles
    made = lake("plain", "0.3", schema="lake")
    tables = "select relname from pg_class where relkind = 'r' and relname like 'ducklake\\_%'"
    execute(made.url, *(f"alter table lake.{name} owner to {owner}" for (name,) in execute(made.url, tables)))
    execute(
        made.url,
        f"alter schema lake owner to {owner}",
        f"grant usage on schema lake to {reader}; grant create on schema lake to pg_monitor with grant option",
        f"grant select on all tables in schema lake to {reader}",
    )
    return made


def _rights(url: str, schema: str = "lake") -> list[object]:
    return list(execute(url, _RIGHTS.format(schema=schema)))


@pytest.mark.every_major
@pytest.mark.parametrize("schema", ["lake", long("other")])
def test_a_new_schema_has_the_rights_of_the_old_one(
    server: Server, shared: Lake, cli: Cli, tmp_path: Path, schema: str
) -> None:
    """Owner and grants of the schema come back where it is made anew, and nothing has to be said."""
    path = dump(shared.url, tmp_path).path
    with server.database() as url:
        done = cli("restore", path, url, "--metadata-schema", schema, "--no-data-files", "--json")

        assert done.exit_code == 0, done
        assert done.json()["missing_grants"] == []
        assert "can use schema" not in done.stderr
        assert _rights(url, schema) == _rights(shared.url)


def test_a_schema_that_is_there_keeps_its_rights(
    server: Server, roles: tuple[str, str], shared: Lake, cli: Cli, tmp_path: Path
) -> None:
    """Rights on an existing schema are somebody's choice; who can't use it is named, with what would help."""
    path = dump(shared.url, tmp_path).path
    with server.database() as url:
        execute(url, "create schema lake")
        before = _rights(url)

        done = cli("restore", path, url, "--no-data-files", "--json")

        owner, reader = roles
        said = {
            f'GRANT USAGE ON SCHEMA "lake" TO {reader};',
            f'GRANT CREATE, USAGE ON SCHEMA "lake" TO "{owner}";',
        }
        assert done.exit_code == 0, done
        assert set(done.json()["missing_grants"]) == said
        assert all(statement in done.stderr for statement in said)
        assert _rights(url) == before
        execute(url, *said)
        execute(url, f"set role {owner}", "create table lake.ducklake_inlined_data_1_1 (x int)")


def test_what_cannot_be_given_is_named(
    server: Server, shared: Lake, cli: Cli, tmp_path: Path, roles: tuple[str, str]
) -> None:
    """A role that is gone, to which only the schema was granted, doesn't keep a backup from being restored."""
    gone = f"gone_{secrets.token_hex(4)}"
    execute(shared.url, f"create role {gone}", f"grant usage on schema lake to {gone}")
    path = dump(shared.url, tmp_path).path
    execute(shared.url, f"drop owned by {gone}", f"drop role {gone}")
    with server.database() as url:
        done = cli("restore", path, url, "--no-data-files", "--json")

        assert done.exit_code == 0, done
        assert done.json()["missing_grants"] == [f'GRANT USAGE ON SCHEMA "lake" TO "{gone}";']
        assert f'GRANT USAGE ON SCHEMA "lake" TO "{gone}";' in done.stderr
        assert _rights(url) == _rights(shared.url)


def test_options_leave_the_rights_out(server: Server, shared: Lake, tmp_path: Path, cli: Cli) -> None:
    """Without owners and privileges, a new schema belongs to who restores, and nobody is shut out."""
    path = dump(shared.url, tmp_path).path
    with server.database() as url:
        done = cli("restore", path, url, "--no-data-files", "--no-owner", "--no-privileges", "--json")

        assert (done.exit_code, done.json()["missing_grants"]) == (0, [])
        assert _rights(url) == [(server.user, [])]


def test_old_backups_know_nothing_of_their_schema(server: Server, cli: Cli, tmp_path: Path) -> None:
    """A backup without the schema's rights is restored as ever."""
    path = tmp_path / "old"
    write_backup(path, small())
    with server.database() as url:
        done = cli("restore", path, url, "--metadata-schema", "new", "--no-owner", "--no-privileges", "--no-data-files")

        assert done.exit_code == 0, done
        assert "new" in schemas(url)


def test_public_as_a_new_database_has_it_is_not_recorded(plain: Lake, tmp_path: Path) -> None:
    """Backups of the schema that every database has are the same bytes as before."""

    def recorded() -> bool:
        with BackupReader(local(dump(plain.url, tmp_path).path)) as reader:
            return reader.manifest.header.source.rights is not None

    assert not recorded()
    execute(plain.url, "grant create on schema public to pg_monitor")
    assert recorded()
