"""
What users hang on catalog tables: after a migration and after its undo it is there, or it was refused by name before.

What `restore --replace` makes of the same is in test_restore.py and test_definitions.py.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.changes import everything
from support.cli import Cli
from support.comparison import execute, schema_lines, settle
from support.faults.failures import failure
from support.faults.faults import engine_that, failed
from support.lakes.lakes import Lake, LakeFactory
from support.servers.servers import Server

_ABORTS = "os.abort()"


@dataclass(frozen=True)
class Thing:
    """Something that a user made: how, and a query whose answer shows that it is there."""

    made: str
    seen: str


# What a backup carries, so that an undo brings it back.
_CARRIED = {
    "index": Thing(
        "create index mine on ducklake_data_file (table_id, begin_snapshot) where end_snapshot is null",
        "select pg_get_indexdef('mine'::regclass)",
    ),
    "unique index": Thing(
        "create unique index theirs on ducklake_tag (object_id, begin_snapshot desc nulls last, key)",
        "select pg_get_indexdef('theirs'::regclass)",
    ),
    "comments": Thing(
        "comment on table ducklake_tag is 'it''s mine'; comment on column ducklake_tag.key is 'mine'",
        "select obj_description('ducklake_tag'::regclass), col_description('ducklake_tag'::regclass, 4)",
    ),
    "comment on a key": Thing(
        "comment on constraint ducklake_snapshot_pkey on ducklake_snapshot is 'mine'",
        "select obj_description(oid) from pg_constraint where conname = 'ducklake_snapshot_pkey'",
    ),
    "default": Thing(
        "alter table ducklake_tag alter column key set default 'mine'",
        "select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 'ducklake_tag'::regclass",
    ),
    "check": Thing(
        "alter table ducklake_tag add constraint mine check (begin_snapshot >= 0)",
        "select pg_get_constraintdef(oid) from pg_constraint where conname = 'mine'",
    ),
    "storage options": Thing(
        "alter table ducklake_data_file set (autovacuum_vacuum_scale_factor = 0.01, fillfactor = 71)",
        "select unnest(reloptions) from pg_class where oid = 'ducklake_data_file'::regclass order by 1",
    ),
    "replica identity": Thing(
        "alter table ducklake_data_file replica identity full",
        "select relreplident::text from pg_class where oid = 'ducklake_data_file'::regclass",
    ),
    "row-level security": Thing(
        "alter table ducklake_data_file enable row level security;"
        " alter table ducklake_tag enable row level security, force row level security",
        "select relname, relforcerowsecurity from pg_class where relrowsecurity order by 1",
    ),
    "grants": Thing(
        "grant select, update on ducklake_data_file to {role}; grant select (key) on ducklake_tag to {role};"
        " grant select on ducklake_snapshot to public",
        "select relname, x.grantee::regrole::text, x.privilege_type from pg_class, aclexplode(relacl) x"
        " where relname in ('ducklake_data_file', 'ducklake_snapshot')"
        " union all select attname, x.grantee::regrole::text, x.privilege_type from pg_attribute, aclexplode(attacl) x"
        " where attrelid = 'ducklake_tag'::regclass order by 1, 2, 3",
    ),
    "owner": Thing(
        "grant all on schema public to {role}; alter table ducklake_tag owner to {role}",
        "select tableowner from pg_tables where tablename = 'ducklake_tag'",
    ),
}

# What it can't carry: refused by these words.
_REFUSED = {
    "view public.watching": "create view watching as select snapshot_id from ducklake_snapshot",
    "materialized view public.stored": "create materialized view stored as select key from ducklake_metadata",
    "trigger noticed": """
        create function noticed() returns trigger language plpgsql as 'begin return new; end';
        create trigger noticed after insert on ducklake_snapshot for each row execute function noticed()""",
    "rule mine": "create rule mine as on delete to ducklake_tag do also notify gone",
    "publication mine": "create publication mine for table ducklake_tag",
    "policy mine": "create policy mine on ducklake_tag using (true)",
    "statistics object public.mine": "create statistics mine on table_id, begin_snapshot from ducklake_data_file",
    "constraint refers": "create table notes (s bigint constraint refers references ducklake_snapshot)",
    "function public.tags": """
        create function tags() returns setof ducklake_tag language sql as 'select * from ducklake_tag'""",
    "index mine of table ducklake_tag": "create index mine on ducklake_tag ((key || '!'))",
    "default of column key": """
        create function mine() returns text language sql as 'select ''x''::text';
        alter table ducklake_tag alter column key set default mine()""",
    "statistics target": "alter table ducklake_tag alter column key set statistics 500",
    "inheritance": "create table heir () inherits (ducklake_tag)",
    "the membership in extension plpgsql (table ducklake_tag)": "alter extension plpgsql add table ducklake_tag",
    "constraint alone": "alter table ducklake_tag add constraint alone exclude (object_id with =) where (false)",
}


@pytest.fixture
def role(server: Server) -> Iterator[str]:
    """A role that owns nothing yet."""
    name = f"mine_{secrets.token_hex(4)}"
    execute(server.url, f"create role {name}")
    yield name
    execute(server.url, f"drop role {name}")


@pytest.fixture
def plain(role: str, plain: Lake) -> Lake:
    """The plain lake, which ends before the role does."""
    return plain


def _make_all(made: Lake, role: str) -> dict[str, list[object]]:
    """Make all that a backup carries; return how it is seen."""
    for thing in _CARRIED.values():
        execute(made.url, thing.made.format(role=role))
    return _see(made)


def _see(made: Lake) -> dict[str, list[object]]:
    return {name: list(execute(made.url, thing.seen)) for name, thing in _CARRIED.items()}


def test_carried_objects_are_there_after_a_migration(plain: Lake, role: str, cli: Cli) -> None:
    """Indexes, comments, defaults, checks, options, grants and owners of the old tables stay as they are."""
    before = _make_all(plain, role)
    assert all(before.values())

    done = cli("migrate", plain.url, "--json")

    assert (done.exit_code, done.json()["outcome"]) == (0, "migrated"), done
    assert _see(plain) == before


@pytest.mark.every_major
def test_carried_objects_are_there_after_an_undo(
    role: str, lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path
) -> None:
    """When a migration is undone, all of them are back, as pg_dump says too."""
    made = lake("plain", "0.3")
    before = _make_all(made, role)
    lines = schema_lines(server, made.url)
    settle(server, made.url)

    done = cli("migrate", made.url, "--json", "--no-rehearsal", "--engine", engine_that(tmp_path, after=_ABORTS))

    failed(done, 6, "RolledBack", "rolled-back")
    assert _see(made) == before
    assert schema_lines(server, made.url) == lines


@pytest.mark.parametrize("words", _REFUSED)
def test_what_an_undo_would_lose_is_refused_by_name(plain: Lake, cli: Cli, words: str) -> None:
    """What hangs on a table and is in no backup is named before a backup is made or the engine is near."""
    execute(plain.url, _REFUSED[words])
    before = everything(plain)

    done = cli("migrate", plain.url, "--ignore-clients")

    failure(done, 4, words, hint="drop what is named")
    assert everything(plain) == before
    assert list(cli.cwd.iterdir()) == []


def test_plan_names_what_hangs_on_the_catalog(plain: Lake, cli: Cli) -> None:
    """The plan says the same as a blocker."""
    for words in ("view public.watching", "publication mine"):
        execute(plain.url, _REFUSED[words])

    (blocker, *_) = cli("plan", plain.url, "--json", "--ignore-clients").json()["blockers"]

    assert blocker["type"] == "HasDependents"
    assert "view public.watching" in blocker["message"]
    assert "publication mine" in blocker["message"]


def test_objects_beside_the_catalog_hinder_nothing(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """Tables, views, functions and publications that use no catalog table stay, through a migration and an undo."""
    execute(
        plain.url,
        "create table ours (x int primary key)",
        "create view ours_too as select x from ours",
        "create function ours() returns int language sql as 'select 1'",
        "create publication ours for table ours",
        "create table ducklakes_but_ours (x int references ours)",
    )
    query = "select count(*) from ours_too, ours(), ducklakes_but_ours, pg_publication_tables where tablename = 'ours'"
    settle(plain.server, plain.url)

    undone = cli("migrate", plain.url, "--json", "--no-rehearsal", "--engine", engine_that(tmp_path, after=_ABORTS))

    failed(undone, 6, "RolledBack", "rolled-back")
    assert execute(plain.url, query) == [(0,)]
    settle(plain.server, plain.url)
    assert cli("migrate", plain.url).exit_code == 0
    assert execute(plain.url, query) == [(0,)]
