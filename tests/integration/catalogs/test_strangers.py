"""
What bears a name like a catalog table's and is none: left out by name, never in the way, and never taken along.
"""

import secrets
from pathlib import Path

import pytest
from support.cli import Cli
from support.comparison import contents, dumped, execute, schemas, settle
from support.faults.failures import failure
from support.faults.faults import engine_that, failed, new_role, sql_commits
from support.lakes.lakes import Lake
from support.longer import all_together

from dlbackup import dump, restore

# How it is made, and a query whose answer shows that it is there, by the words that name it.
_STRANGERS = {
    "sequence ducklake_numbers": (
        "create sequence ducklake_numbers start 5",
        "select last_value from ducklake_numbers",
    ),
    "table ducklake_jobs": (
        (
            "create table ducklake_jobs (id bigserial primary key, what text); insert into ducklake_jobs (what)"
            " values ('one'), ('two'); create view jobs as select * from ducklake_jobs"
        ),
        "select j.*, (select last_value from ducklake_jobs_id_seq) from jobs j",
    ),
    "table ducklake_queue": (
        (
            "create table ducklake_queue (id int generated always as identity (start 1000),"
            " x int generated always as (1) stored); insert into ducklake_queue default values"
        ),
        "select * from ducklake_queue",
    ),
    "table ducklake_moods": (
        (
            "create type mood as enum ('sad', 'happy'); create table ducklake_moods (x mood)"
            "; insert into ducklake_moods values ('sad')"
        ),
        "select x::text from ducklake_moods",
    ),
    "table ducklake_audit": (
        (
            "create table ducklake_audit (x int); insert into ducklake_audit values (1);"
            " alter table ducklake_audit enable row level security; create policy mine on ducklake_audit using (true)"
        ),
        "select x, (select count(*) from pg_policies) from ducklake_audit",
    ),
    "table ducklake_secret": (
        "create table ducklake_secret as select 1 as x; alter table ducklake_secret enable row level security",
        "select x, relrowsecurity from ducklake_secret, pg_class where relname = 'ducklake_secret'",
    ),
    "view ducklake_report": ("create view ducklake_report as select 1 as x", "select x from ducklake_report"),
    "materialized view ducklake_daily": (
        "create materialized view ducklake_daily as select 1 as x",
        "select x from ducklake_daily",
    ),
    "partitioned table ducklake_parts": (
        (
            "create table ducklake_parts (x int) partition by list (x);"
            " create table ducklake_parts_1 partition of ducklake_parts for values in (1);"
            " insert into ducklake_parts values (1)"
        ),
        "select x from ducklake_parts",
    ),
    "foreign table ducklake_remote": (
        (
            "create foreign data wrapper none; create server nowhere foreign data wrapper none;"
            " create foreign table ducklake_remote (x int) server nowhere"
        ),
        "select 'ducklake_remote'::regclass::text",
    ),
}
_OTHERS_TABLE = """
create role {role}; create table ducklake_theirs (x int); insert into ducklake_theirs values (1);
alter table ducklake_theirs owner to {role}
"""
_ALL = [made for made, _ in _STRANGERS.values()]
_REPLACE = ("--replace", "--ignore-clients", "--no-data-files")


def _seen(made: Lake) -> list[object]:
    return [execute(made.url, seen) for _, seen in _STRANGERS.values()]


@pytest.mark.parametrize("words", all_together(_STRANGERS))
def test_stranger_is_left_out_by_name(plain: Lake, cli: Cli, words: tuple[str, ...]) -> None:
    """Every command works, and what it would not restore is named by dump, info, plan and verify."""
    before = dumped(plain.url, cli.cwd)
    execute(plain.url, *(_STRANGERS[each][0] for each in words))

    done = cli("dump", plain.url, "-o", "backup.sql.zst", "-q")

    assert done.exit_code == 0, done
    said = done.stderr.splitlines()
    for each in words:
        assert f"warning: not in the backup: {each}, which is no table of the catalog" in said
    assert contents(cli.cwd / "backup.sql.zst") == before
    for command in ("info", "check", "plan"):
        assert cli(command, plain.url).exit_code == 0
    _names(cli("plan", plain.url, "--json").json()["warnings"], words)
    for target in (plain.url, "backup.sql.zst"):
        _names(cli("info", target, "--json").json()["left_out"], words)
    assert cli("verify", "backup.sql.zst").exit_code == 0


def _names(texts: list[str], words: tuple[str, ...]) -> None:
    assert [each for each in words if not any(each in text for text in texts)] == []


def test_strangers_stay_through_a_migration(plain: Lake, cli: Cli) -> None:
    """They hinder no migration and are not touched by it."""
    execute(plain.url, *_ALL)
    before = _seen(plain)

    assert "HasDependents" not in cli("plan", plain.url, "--json").stdout
    done = cli("migrate", plain.url, "--no-rehearsal", "--json")

    assert (done.exit_code, done.json()["outcome"]) == (0, "migrated"), done
    assert _seen(plain) == before


def test_strangers_stay_through_an_undo(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """They are where they were after a migration that was undone, and after a restore over the catalog."""
    execute(plain.url, *_ALL)
    before, catalog = _seen(plain), dumped(plain.url, tmp_path)
    settle(plain.server, plain.url)

    undone = cli(
        "migrate", plain.url, "--json", "--no-rehearsal", "--engine", engine_that(tmp_path, after="os.abort()")
    )

    failed(undone, 6, "RolledBack", "rolled-back")
    assert (_seen(plain), dumped(plain.url, tmp_path)) == (before, catalog)
    path = dump(plain.url, tmp_path).path
    for more in ((), ("--drop-replaced",)):
        done = cli("restore", path, plain.url, *_REPLACE, *more)
        assert done.exit_code == 0, done
        assert (_seen(plain), dumped(plain.url, tmp_path)) == (before, catalog)
    for aside in schemas(plain.url) - {"public"}:
        execute(plain.url, f'drop schema "{aside}" cascade')
    assert (_seen(plain), dumped(plain.url, tmp_path)) == (before, catalog)


def test_stranger_in_a_free_place_stays_there(plain: Lake, tmp_path: Path, database: str) -> None:
    """A schema without a catalog that holds a stranger is free for one."""
    path = dump(plain.url, tmp_path).path
    made, seen = _STRANGERS["table ducklake_jobs"]
    execute(database, made, "create view ducklake_report as select 1 as x")
    before = execute(database, seen)

    restore(path, database)

    assert execute(database, seen) == before
    assert dumped(database, tmp_path) == contents(path)


def test_stranger_under_a_name_that_the_backup_needs_is_refused(
    plain: Lake, cli: Cli, tmp_path: Path, database: str
) -> None:
    """What stands where a table of the backup is to be is named before anything is made."""
    execute(plain.url, "create table ducklake_jobs (x int)")
    path = dump(plain.url, tmp_path).path
    execute(database, "create view ducklake_jobs as select 1 as x")

    failure(cli("restore", path, database), 4, "view ducklake_jobs", hint="--metadata-schema")

    assert schemas(database) == {"public"}


def test_view_over_catalog_tables_is_known_before(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """A stranger that hangs on the catalog's tables is in the way of what would break it, and of nothing else."""
    path = dump(plain.url, tmp_path).path
    execute(plain.url, "create view ducklake_report as select count(*) from ducklake_table")

    assert cli("dump", plain.url).exit_code == 0
    (blocker,) = cli("plan", plain.url, "--json").json()["blockers"]
    assert "view public.ducklake_report" in blocker["message"]
    failure(cli("migrate", plain.url), 4, "view public.ducklake_report", hint="drop what is named")
    failure(cli("restore", path, plain.url, *_REPLACE), 4, "view public.ducklake_report", hint="drop what is named")


@pytest.mark.parametrize("version", ["1.1-dev1", "2.0"])
def test_table_of_a_version_to_come_is_no_stranger(plain: Lake, cli: Cli, version: str) -> None:
    """A version that nobody described may have any table, with whatever hangs on it."""
    execute(
        plain.url,
        f"update ducklake_metadata set value = '{version}' where key = 'version'",
        "create table ducklake_new (id bigint generated always as identity)",
        "create view news as select * from ducklake_new",
    )

    assert cli("dump", plain.url, "-o", "backup.sql.zst").exit_code == 0

    table, _ = contents(cli.cwd / "backup.sql.zst")["ducklake_new"]
    assert [sequence.identity for sequence in table.sequences] == ["always"]


def test_table_of_another_owner_is_a_stranger(plain: Lake, cli: Cli) -> None:
    """A plain table that belongs to another role than the catalog is not asked for, and not touched."""
    role = f"other_{secrets.token_hex(4)}"
    execute(plain.url, _OTHERS_TABLE.format(role=role))
    try:
        with new_role(plain, "a-pass-word", owner=True) as url:
            execute(plain.url, f"alter table ducklake_theirs owner to {role}")

            done = cli("migrate", url, "--json")

            assert (done.exit_code, done.json()["outcome"]) == (0, "migrated"), done
            assert "table ducklake_theirs, which is no table of the catalog" in done.stderr
            assert execute(plain.url, "select x from ducklake_theirs") == [(1,)]
    finally:
        execute(plain.url, f"drop owned by {role}", f"drop role {role}")


def test_nobody_writes_into_what_an_undo_would_replace(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """Writers of a plain table that is in the backup wait while a migration may still be undone."""
    execute(plain.url, "create table ducklake_jobs (x int)")
    writes = sql_commits(plain.url, "set lock_timeout = '500ms'; insert into ducklake_jobs values (1)")
    settle(plain.server, plain.url)

    done = cli("migrate", plain.url, "--json", "--no-rehearsal", "--engine", engine_that(tmp_path, before=writes))

    assert "lock timeout" in failed(done, 5, "Unchanged", "unchanged")
    assert execute(plain.url, "select x from ducklake_jobs") == []
