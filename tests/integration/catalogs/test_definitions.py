"""All that belongs to a catalog's tables besides their rows: carried over, or named as left out."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import sql
from support.comparison import dumped, execute, psql_restore, schema_lines, server_digests
from support.lakes.lakes import LakeFactory
from support.servers.servers import Server

from dlbackup import RestoreOptions, dump, info, restore, verify
from dlbackup.errors import CatalogError

# Options in the order of their names, in which a restore sets them and pg_dump would show another.
_DECORATIONS = r"""
comment on table ducklake_snapshot is 'it''s a "comment"
),(
\.
';
comment on column ducklake_snapshot.snapshot_id is e'tab\t, back\\slash, ünï 😀';
comment on constraint ducklake_snapshot_pkey on ducklake_snapshot is 'the key -- of /* it */ all';
alter table ducklake_data_file add constraint "A ""count"" it's" check (record_count >= 0 and path <> 'it''s');
alter table ducklake_tag add constraint one_tag unique (object_id, begin_snapshot, key);
alter table ducklake_view alter column view_uuid set not null, alter column dialect set default 'it''s duckdb';
alter table ducklake_view add column note character varying(10) collate "C" default null;
alter table ducklake_tag add column since bigint not null default (-1);
create index "User's ""Index"", 63 bytes long, as long as names can get …" on ducklake_data_file
    using btree (table_id desc nulls last, path text_pattern_ops) include (record_count)
    with (fillfactor = 70) where end_snapshot is null and path like 'a%';
create unique index lower_names on ducklake_schema (lower(schema_name), schema_id);
create index hashed on ducklake_table using hash (table_name);
comment on index lower_names is 'it''s an index';
alter table ducklake_data_file set (autovacuum_vacuum_scale_factor = 0.05, fillfactor = 80);
alter table ducklake_column replica identity full;
alter table ducklake_view replica identity nothing;
create unique index replica on ducklake_schema (schema_id);
alter table ducklake_schema replica identity using index replica;
alter table ducklake_view enable row level security;
alter table ducklake_tag enable row level security, force row level security;
alter table ducklake_column_tag force row level security;
"""
_GRANTS = """
grant select on ducklake_snapshot, ducklake_data_file to public;
grant select, insert, update, delete, truncate, references, trigger on ducklake_table to {writer} with grant option;
grant select, insert on ducklake_view to {odd};
grant select (path, table_id), update (path) on ducklake_data_file to {odd};
grant insert (record_count) on ducklake_data_file to {writer} with grant option;
grant select (snapshot_id) on ducklake_snapshot to public;
revoke delete, truncate on ducklake_tag from current_user;
revoke all on ducklake_column_tag from current_user;
alter table ducklake_metadata owner to {odd};
alter table ducklake_schema owner to {writer};
grant select on ducklake_schema to {odd};
revoke insert on ducklake_schema from {writer};
"""


@dataclass(frozen=True, slots=True)
class Roles:
    """Two roles of a test."""

    writer: str
    odd: str

    def grants(self) -> sql.Composed:
        """Return the statements that grant to them and give them tables."""
        return sql.SQL(_GRANTS).format(writer=sql.Identifier(self.writer), odd=sql.Identifier(self.odd))


@pytest.fixture
def roles(server: Server) -> Iterator[Roles]:
    """Roles that exist while the test's databases do; ask for them before those."""
    mark = secrets.token_hex(4)
    made = Roles(f"writer_{mark}", f'Odd "Role" it\'s {mark}')
    names = [sql.Identifier(name) for name in (made.writer, made.odd)]
    execute(server.url, *[sql.SQL("create role {}").format(name) for name in names])
    yield made
    execute(server.url, *[sql.SQL("drop role {}").format(name) for name in names])


@pytest.mark.every_major
def test_definitions_come_back(roles: Roles, lake: LakeFactory, server: Server, tmp_path: Path) -> None:
    """Comments, constraints, user indexes, storage options, replica identity, owners and grants are carried over."""
    made = lake("plain", "0.3")
    execute(made.url, _DECORATIONS, roles.grants())
    backup = dump(made.url, tmp_path)
    wanted = schema_lines(server, made.url)

    with server.database() as restored, server.database() as replayed:
        restore(backup.path, restored)
        psql_restore(server, replayed, backup.path)

        assert backup.left_out == ()
        assert verify(backup).ok
        assert any(line.startswith("GRANT SELECT(path)") for line in wanted)
        for url in (restored, replayed):
            assert schema_lines(server, url) == wanted
            assert dumped(url, tmp_path) == dumped(made.url, tmp_path)


def test_definitions_come_back_in_place(roles: Roles, lake: LakeFactory, server: Server, tmp_path: Path) -> None:
    """A catalog that is replaced by its own backup has the same definitions as before, owners and grants included."""
    made = lake("plain", "1.0")
    execute(made.url, _DECORATIONS, roles.grants())
    before, path = schema_lines(server, made.url), dump(made.url, tmp_path).path

    restored = restore(path, made.url, RestoreOptions(replace=True, ignore_clients=True))

    assert schema_lines(server, made.url) == before
    assert restored.replaced is not None
    kept = dumped(made.url, tmp_path, restored.replaced)
    assert kept == dumped(made.url, tmp_path)


@pytest.mark.every_major
def test_default_privileges_add_nothing(roles: Roles, lake: LakeFactory, server: Server, tmp_path: Path) -> None:
    """What default privileges of the target give or take is not in the restored catalog."""
    made = lake("plain", "0.3")
    execute(made.url, roles.grants())
    defaults = sql.SQL(
        "alter default privileges grant select, insert on tables to public, {odd};"
        "alter default privileges in schema public grant delete on tables to {writer} with grant option;"
        "alter default privileges revoke truncate on tables from current_user;"
    ).format(writer=sql.Identifier(roles.writer), odd=sql.Identifier(roles.odd))

    with server.database() as url:
        execute(url, defaults)
        restore(dump(made.url, tmp_path).path, url)

        assert schema_lines(server, url) == schema_lines(server, made.url)
        assert dumped(url, tmp_path) == dumped(made.url, tmp_path)


def test_options_leave_owners_and_grants_out(roles: Roles, lake: LakeFactory, server: Server, tmp_path: Path) -> None:
    """Without owners and privileges, all belongs to who restores, and nobody else is granted anything."""
    made = lake("plain", "0.3")
    execute(made.url, roles.grants())

    with server.database() as url:
        restore(dump(made.url, tmp_path).path, url, RestoreOptions(owner=False, privileges=False))

        tables = {table for table, _ in dumped(url, tmp_path).values()}
        assert {table.owner for table in tables} == {server.user}
        assert {table.grants for table in tables} == {None}
        assert {column.grants for table in tables for column in table.columns} == {()}


def test_missing_role_is_named(roles: Roles, lake: LakeFactory, server: Server, tmp_path: Path) -> None:
    """A role that the server has not is named, nothing is restored, and the options that help are in the hint."""
    made = lake("plain", "0.3")
    gone = f"gone_{secrets.token_hex(4)}"
    role = sql.Identifier(gone)
    execute(made.url, sql.SQL("create role {r}; grant select on ducklake_tag to {r}").format(r=role))
    path = dump(made.url, tmp_path).path
    execute(made.url, sql.SQL("drop owned by {r}; drop role {r}").format(r=role))

    with server.database() as url:
        with pytest.raises(CatalogError, match=gone) as caught:
            restore(path, url)

        assert "--no-owner" in caught.value.hint
        assert server_digests(url) == {}


# What a backup can't carry, by the words that name it.
LEFT_OUT = {
    "on view public.watching": "create view watching as select snapshot_id from ducklake_snapshot",
    "trigger noticed on": """
        create function noticed() returns trigger language plpgsql as 'begin return new; end';
        create trigger noticed after insert on ducklake_snapshot for each row execute function noticed()""",
    "policy mine on": "create policy mine on ducklake_snapshot using (true)",
    "rule nothing_new on": "create rule nothing_new as on insert to ducklake_tag do also nothing",
    "publication": "create publication published for table ducklake_snapshot",
    "constraint refers on table": "create table notes (refers bigint constraint refers references ducklake_snapshot)",
    "statistics object": "create statistics more (dependencies) on table_id, path from ducklake_data_file",
    "index called on": """
        create function called(bigint) returns bigint language sql immutable as 'select $1';
        create index "index called on" on ducklake_snapshot (called(snapshot_id))""",
    "default of column key": "alter table ducklake_tag alter column key set default pg_backend_pid()::text",
    "storage mode": "alter table ducklake_view alter column sql set storage external",
    "permanent": "alter table ducklake_tag set unlogged",
    "function public.tagged()": """
        create function tagged() returns setof ducklake_tag language sql as 'select * from ducklake_tag'""",
    "TOAST storage parameters of table": "alter table ducklake_view set (toast.autovacuum_enabled = false)",
    "said of index ducklake_snapshot_pkey itself": "comment on index ducklake_snapshot_pkey is 'the index of the key'",
    "set or said of index ducklake_schema_pkey itself": "alter index ducklake_schema_pkey set (fillfactor = 50)",
}


@pytest.mark.parametrize("words", LEFT_OUT)
def test_what_a_backup_cannot_carry_is_named(lake: LakeFactory, tmp_path: Path, words: str) -> None:
    """What hangs on the tables and is in no record is named by dump, info and verify."""
    made = lake("plain", "0.3")
    execute(made.url, LEFT_OUT[words])

    backup = dump(made.url, tmp_path)

    assert any(words in text for text in backup.left_out)
    assert info(made.url).left_out == backup.left_out == info(backup.path).left_out
    assert {finding.message for finding in verify(backup).findings} == {
        f"not in the backup: {t}" for t in backup.left_out
    }
