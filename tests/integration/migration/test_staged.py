"""Migrations by way of a file: what no engine of today can migrate on a server, and what it could as well."""

import threading
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from support.cli import Cli
from support.comparison import execute
from support.engines.engines import engine
from support.faults.faults import engine_that, one, sessions, state
from support.lakes.lakes import LakeFactory, LakeKind, hash_lake
from support.migrations import migrated
from support.waiting import wait_until

import dlbackup
from dlbackup.runtime.progress import Event


@pytest.mark.parametrize(
    ("kind", "version"),
    [("zoo", "0.2"), *(pytest.param(*it, marks=pytest.mark.long) for it in (("zoo", "0.3"), ("inlined", "0.4")))],
)
def test_every_snapshot_reads_as_before(
    kind: LakeKind, version: str, lake: LakeFactory, cli: Cli, pytestconfig: pytest.Config
) -> None:
    """A lake that went over a file reads alike at every snapshot, is healthy, and can be written to."""
    made = lake(kind, version)
    at = None if pytestconfig.option.long else ("first", "last")
    before = hash_lake(made.engine, made.url, made.schema, at)
    staged = [] if version == "0.2" else ["--staged"]

    planned = cli("plan", made.url, *staged, "--json").json()
    answer = migrated(cli, made.url, *staged)

    assert planned["blockers"] == []
    assert "in a scratch DuckDB file" in " ".join(planned["steps"])
    assert (answer["outcome"], answer["from_version"], answer["to_version"]) == ("migrated", version, "1.0")
    after = hash_lake(engine("1.5.5"), made.url, made.schema, at)
    assert {name: said for name, said in before.items() if " rows, " in said}.items() <= after.items()
    assert dlbackup.check(made.url).ok
    engine("1.5.5").run(made.url, made.schema, ["create table lake.afterwards as select 42 as i"])
    assert sessions(made.url) == []

    back = cli("restore", answer["backup"], made.url, "--replace", "--discard-newer")

    assert back.exit_code == 0, back.stderr
    assert hash_lake(made.engine, made.url, made.schema, at) == before


def test_what_hangs_on_the_tables_is_kept(lake: LakeFactory, cli: Cli) -> None:
    """Owners, grants, comments, an index and storage parameters are those of before; new tables are like the others."""
    made = lake("plain", "0.2")
    execute(
        made.url,
        "create role staged_reader; create role staged_owner;"
        " grant usage on schema public to staged_reader, staged_owner; grant create on schema public to staged_owner;"
        " grant select on all tables in schema public to staged_reader;"
        " comment on table ducklake_tag is 'mine'; alter table ducklake_data_file set (fillfactor = 70);"
        " create index mine on ducklake_tag (object_id);"
        " do $$ declare t text; begin for t in select tablename from pg_tables where schemaname = 'public' loop"
        " execute format('alter table %I owner to staged_owner', t); end loop; end $$",
    )
    try:
        migrated(cli, made.url)

        assert one(
            made.url, "select string_agg(distinct tableowner, ',') from pg_tables where schemaname = 'public'"
        ) == ("staged_owner")
        unreadable = (
            "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
            " and not has_table_privilege('staged_reader', oid, 'select')"
        )
        assert one(made.url, unreadable) == 0
        assert one(made.url, "select obj_description('ducklake_tag'::regclass)") == "mine"
        assert one(made.url, "select reloptions::text from pg_class where relname = 'ducklake_data_file'") == (
            "{fillfactor=70}"
        )
        assert one(made.url, "select count(*) from pg_indexes where indexname = 'mine'") == 1
    finally:
        execute(made.url, "drop owned by staged_reader, staged_owner; drop role staged_reader; drop role staged_owner")


def test_engine_that_fails_on_the_file_costs_nothing(
    lake: LakeFactory, cli: Cli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What fails on the copy is exit 1, as in a rehearsal, and the catalog was not touched."""
    made = lake("plain", "0.2")
    before = state(made.url)
    loses = "self.connection.execute('delete from __ducklake_metadata_lake.ducklake_data_file')"
    broken = engine_that(tmp_path_factory.mktemp("engine"), after=loses)

    done = cli("migrate", made.url, "--engine", broken, "--json")

    assert (done.exit_code, done.json()["error"]["type"]) == (1, "RehearsalFailed")
    assert "over a file failed, so the catalog was not touched" in done.json()["error"]["message"]
    assert state(made.url) == before


@pytest.mark.parametrize("stage", ["exchange", pytest.param("same-state", marks=pytest.mark.long)])
def test_an_option_set_meanwhile_is_kept_or_refused(lake: LakeFactory, tmp_path: Path, stage: str) -> None:
    """Setting an option is no commit of the lake, which the fence would stop; what is acknowledged is not lost."""
    made = lake("plain", "0.3")
    acknowledged: list[str] = []
    setters: list[threading.Thread] = []

    def set_option(session: psycopg.Connection) -> None:
        with session, session.transaction():
            session.execute("insert into ducklake_metadata (key, value) values ('delete_older_than', '35 days')")
            session.execute("select pg_sleep(0.3)")
        acknowledged.append("35 days")

    def listen(event: Event) -> None:
        if event.stage == stage and not setters:
            session = psycopg.connect(made.url)
            setters.append(threading.Thread(target=set_option, args=[session]))
            setters[0].start()
            wait_until(lambda: session.info.transaction_status != TransactionStatus.IDLE)

    done = dlbackup.migrate(
        made.url,
        dlbackup.MigrateOptions(backup_dir=tmp_path, rehearsal=False, staged=True, ignore_clients=True),
        on_event=listen,
    )
    setters[0].join()

    assert done.outcome == "migrated"
    kept = execute(made.url, "select value from ducklake_metadata where key = 'delete_older_than'")
    assert kept == [(value,) for value in acknowledged]
