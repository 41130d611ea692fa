"""Migrations that succeed: what they say, what they keep, and the way back."""

import re
import stat
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.cli import Cli
from support.comparison import execute
from support.engines.engines import Engine
from support.faults.faults import engine_that, new_role, one, pause, role_of, sessions, started, state
from support.faults.writers import writer
from support.lakes.lakes import Lake, LakeFactory, LakeKind, hash_lake
from support.migrations import migrated
from support.servers.servers import Server
from support.waiting import wait_until

import dlbackup
from dlbackup.lake import conformance
from dlbackup.migration.outcome import Migration
from dlbackup.runtime.progress import Event

_KEYS = {
    "outcome",
    "from_version",
    "to_version",
    "snapshot_id",
    "backup",
    "stages",
    "mends",
    "writer_pause_seconds",
    "stale_clients",
    "barred",
    "replaced",
    "way_back",
}
_STAGES = ["look", "check", "dump", "verify", "rehearsal", "same-state", "attach", "mend", "post-check"]


def _migrate(cli: Cli, made: Lake, *words: str, rehearsal: bool = False) -> dict[str, Any]:
    rehearsed = [] if rehearsal else ["--no-rehearsal"]
    return migrated(cli, made.url, "--metadata-schema", made.schema, *rehearsed, *words)


def _stages(answer: dict[str, Any]) -> list[str]:
    return [stage["stage"] for stage in answer["stages"]]


@pytest.mark.every_major
@pytest.mark.parametrize("version", ["0.3", pytest.param("0.4", marks=pytest.mark.long)])
def test_migration_goes_dump_verify_attach(lake: LakeFactory, cli: Cli, version: str) -> None:
    """On every server the stages come in that order, and version, backup and catalog are what is said."""
    made = lake("plain", version)
    before = state(made.url)

    answer = _migrate(cli, made, rehearsal=True)

    assert answer.keys() == _KEYS
    assert (answer["outcome"], answer["from_version"], answer["to_version"]) == ("migrated", version, "1.0")
    assert answer["snapshot_id"] == before[0].snapshot_id
    assert (answer["mends"], answer["stale_clients"]) == ([], [])
    assert _stages(answer) == _STAGES
    assert 0 < answer["writer_pause_seconds"] < sum(stage["seconds"] for stage in answer["stages"])
    head, tables, _ = state(made.url)
    assert (head.spec_version, head.snapshot_id) == ("1.0", before[0].snapshot_id)
    assert [finding for finding in conformance.differences("1.0", tables) if finding.severity == "error"] == []
    assert sessions(made.url) == []


def test_backup_of_a_migration_is_the_old_catalog(lake: LakeFactory, cli: Cli, database: str) -> None:
    """The backup is private to its owner, verifies, and restores to every definition and row of before."""
    made = lake("plain", "0.3")
    before = state(made.url)

    answer = _migrate(cli, made)

    (backup,) = cli.cwd.glob("*.zst")
    assert cli.cwd / answer["backup"] == backup
    assert re.fullmatch(rf"ducklake-{made.dbname}-\d{{8}}T\d{{6}}Z-v0\.3-[0-9a-f]{{6}}\.sql\.zst", backup.name)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert cli("verify", backup).exit_code == 0
    assert cli("restore", backup, database).exit_code == 0
    assert state(database) == before


@pytest.mark.parametrize(
    ("kind", "version", "snapshots"),
    [
        ("plain", "0.3", ["first", 9, 17, "last"]),
        pytest.param("plain", "0.4", ["first", 9, 17, "last"], marks=pytest.mark.long),
        pytest.param("plain", "0.3", None, marks=pytest.mark.long),
        pytest.param("zoo", "0.4", ["first", 60, "last"], marks=pytest.mark.long),
    ],
)
def test_every_table_reads_as_before(
    lake: LakeFactory, cli: Cli, newest: Engine, kind: LakeKind, version: str, snapshots: list[int | str] | None
) -> None:
    """What the old engine can read of the tables at their snapshots, the new one reads after the migration."""
    made = lake(kind, version)
    found = hash_lake(made.engine, made.url, made.schema, at=snapshots)
    # DuckDB 1.5.1 reads lists, structs and maps in inlined rows as NULL.
    before = {place: digest for place, digest in found.items() if " rows, " in digest and place[2] != "t_types"}

    _migrate(cli, made)

    after = hash_lake(newest, made.url, made.schema, at=snapshots)
    assert len(before) >= 10
    assert {place: after.get(place) for place in before} == before


@pytest.mark.parametrize("rehearsal", [True, pytest.param(False, marks=pytest.mark.long)])
def test_one_process_does_all_jobs_of_an_engine(lake: LakeFactory, cli: Cli, tmp_path: Path, rehearsal: bool) -> None:
    """The process that was asked for its version rehearses, migrates and opens: no commit waits for another's start."""
    made = lake("plain", "0.3")
    fenced = "select count(*) from pg_locks where mode = 'ShareLock' and relation = 'ducklake_snapshot'::regclass"
    engine = engine_that(tmp_path)
    started_at = f"""
import psycopg
with psycopg.connect({made.url!r}, application_name="dlbackup-test") as other:
    other.execute("set search_path = {made.schema}")
    count = other.execute({fenced!r}).fetchone()[0]
with open({str(tmp_path / "fences")!r}, "a") as seen:
    print(count, file=seen)
"""
    module = engine.with_name("duckdb.py")
    module.write_text(module.read_text() + started_at)

    answer = _migrate(cli, made, "--engine", str(engine), rehearsal=rehearsal)

    assert answer["outcome"] == "migrated"
    assert (tmp_path / "fences").read_text().split() == ["0"]  # asked for its version, and then waiting


def test_new_engine_works_on(lake: LakeFactory, cli: Cli, newest: Engine) -> None:
    """After a migration the new engine inserts, updates, deletes, alters, creates, merges and travels back."""
    made = lake("plain", "0.3")
    head = state(made.url)[0].snapshot_id
    _migrate(cli, made)

    results = newest.run(
        made.url,
        made.schema,
        [
            "insert into lake.sales.customers values (500, 'new')",
            "update lake.sales.customers set name = 'changed' where id = 1",
            "delete from lake.sales.customers where id = 2",
            "alter table lake.sales.customers add column city varchar default 'here'",
            "create table lake.sales.more as select 1 as one",
            "insert into lake.sales.orders (id, customer) select range, 'x' from range(1000, 1050)",
            "call ducklake_merge_adjacent_files('lake')",
            "select id, name, city from lake.sales.customers where id in (1, 2, 500) order by id",
            f"select id, name from lake.sales.customers at (version => {head}) where id in (1, 2, 500) order by id",
            "select count(*) from lake.sales.orders where customer = 'x'",
        ],
    )

    assert results[-3:] == [[[1, "changed", "here"], [500, "new", "here"]], [[1, "name 1"], [2, "name 2"]], [[50]]]


def test_current_catalog_is_done_at_once(lake: LakeFactory, cli: Cli) -> None:
    """A catalog of the engine's own version is left alone: no backup, exit 0, even with clients connected."""
    made = lake("plain", "1.0")
    before = state(made.url)

    with psycopg.connect(made.url):
        answer = _migrate(cli, made)

    assert answer.keys() == _KEYS
    assert (answer["outcome"], answer["from_version"], answer["to_version"]) == ("current", "1.0", "1.0")
    assert answer["backup"] is None
    assert list(cli.cwd.iterdir()) == []
    assert state(made.url) == before


def test_second_migration_finds_nothing_to_do(lake: LakeFactory, cli: Cli) -> None:
    """Migrating twice is migrating once."""
    made = lake("plain", "0.4")
    _migrate(cli, made)
    after = state(made.url)

    assert _migrate(cli, made, "--to", "1.0")["outcome"] == "current"
    assert state(made.url) == after
    assert len(list(cli.cwd.glob("*.zst"))) == 1


def test_migration_to_the_named_version(lake: LakeFactory, cli: Cli) -> None:
    """--to with the engine's own version changes nothing; --backup-dir says where the backup goes."""
    made = lake("plain", "0.4")
    folder = cli.cwd / "it's a folder"
    folder.mkdir()

    answer = _migrate(cli, made, "--to", "1.0", "--backup-dir", str(folder))

    assert Path(answer["backup"]).parent == folder
    backup = Path(answer["backup"]).name
    stem = backup.removesuffix(".sql.zst")
    beside = {f"{backup}.journal.json", f"{stem}.backup.json", f"{stem}.pin-migration.json"}
    assert {path.name for path in folder.iterdir()} == {backup, *beside}


@pytest.mark.long
def test_way_back_gives_the_old_lake_to_old_writers(lake: LakeFactory, cli: Cli) -> None:
    """`restore --replace` of the backup is the catalog of before, and two old engines commit into it at once."""
    made = lake("plain", "0.3")
    before = state(made.url)
    answer = _migrate(cli, made)

    back = cli("restore", answer["backup"], made.url, "--replace", "--json")

    assert back.exit_code == 0, back.stderr
    assert state(made.url) == before
    assert one(
        made.url, f"select value from \"{back.json()['replaced']}\".ducklake_metadata where key = 'version'"
    ) == ("1.0")
    with (
        writer(made.engine, made.url, made.schema, table="first") as first,
        writer(made.engine, made.url, made.schema, table="second") as second,
    ):
        for running in (first, second):
            running.wait_for(3)
    for running, table in ((first, "first"), (second, "second")):
        rows = made.engine.run(made.url, made.schema, [f"select i from lake.{table} order by i"])[0]
        assert [i for (i,) in rows] == list(running.acknowledged)


def test_way_back_never_drops_what_was_committed_since(lake: LakeFactory, cli: Cli, newest: Engine) -> None:
    """After a commit by the new engine the way back is refused until --discard-newer says that it may be lost."""
    made = lake("plain", "0.3")
    before = state(made.url)
    answer = _migrate(cli, made)
    newest.run(made.url, made.schema, ["insert into lake.sales.customers values (500, 'new')"])
    migrated = state(made.url)

    refused = cli("restore", answer["backup"], made.url, "--replace", "--json")

    assert (refused.exit_code, refused.json()["error"]["type"]) == (4, "NewerSnapshots")
    assert state(made.url) == migrated
    assert cli("restore", answer["backup"], made.url, "--replace", "--discard-newer").exit_code == 0
    assert state(made.url) == before


def test_one_of_two_catalogs_is_migrated(lake: LakeFactory, cli: Cli, newest: Engine, server: Server) -> None:
    """In a database with two catalogs, the named one is migrated and the other one stays as it is."""
    schema = 'Odd "Schema" it\'s, \\ %'
    made = lake("plain", "0.3", schema=schema)
    assert cli("dump", made.url, "-o", "copy.sql.zst").exit_code == 0
    assert cli("restore", "copy.sql.zst", made.url, "--metadata-schema", "other").exit_code == 0
    before = hash_lake(made.engine, made.url, schema, at=("first", "last"))
    other = state(made.url, "other")

    answer = _migrate(cli, made, rehearsal=True)

    assert answer["outcome"] == "migrated"
    assert state(made.url, schema)[0].spec_version == "1.0"
    assert hash_lake(newest, made.url, schema, at=("first", "last")) == before
    assert state(made.url, "other") == other


def test_change_after_the_dump_is_in_the_backup(lake: LakeFactory, cli: Cli, database: str) -> None:
    """When the catalog changes between dump and fence, without a new snapshot, it is dumped and verified again."""
    made = lake("plain", "0.3")
    words = ("migrate", made.url, "--ignore-clients", "--no-rehearsal", "--json")
    with psycopg.connect(made.url) as client, started(cli, *words) as running:
        client.execute("lock table ducklake_snapshot in row exclusive mode")
        client.execute("insert into ducklake_metadata (key, value) values ('late', 'option')")
        running.reach("verify")
        wait_until(lambda: _waits(made.url, "ducklake_snapshot"))
        client.commit()
        done = running.end()

    answer = done.json()
    assert done.exit_code == 0
    assert _stages(answer) == [*_STAGES[:4], "dump", "verify", *_STAGES[5:]]
    assert len(list(cli.cwd.glob("*.zst"))) == 2
    assert cli("restore", answer["backup"], database).exit_code == 0
    assert one(database, "select value from ducklake_metadata where key = 'late'") == "option"
    assert one(made.url, "select value from ducklake_metadata where key = 'late'") == "option"


def _waits(url: str, table: str) -> object:
    return one(url, f"select count(*) from pg_locks where not granted and relation = '{table}'::regclass")


def test_writer_at_the_fence_loses_nothing(lake: LakeFactory, cli: Cli, newest: Engine) -> None:
    """A client that commits all the while is listed as stale; its acknowledged rows are all there, none twice."""
    made = lake("plain", "0.4")

    with writer(made.engine, made.url, made.schema) as running:
        running.wait_for(5)
        answer = _migrate(cli, made, "--ignore-clients", rehearsal=True)
        running.wait_for(3)

    assert answer["outcome"] == "migrated"
    assert answer["snapshot_id"] == cli("verify", answer["backup"], "--json").json()["snapshot_id"]
    assert answer["stale_clients"]
    assert {client["user"] for client in answer["stale_clients"]} == {made.server.user}
    rows = [i for (i,) in newest.run(made.url, made.schema, ["select i from lake.written"])[0]]
    assert len(rows) == len(set(rows))
    assert set(running.acknowledged) <= set(rows)


def test_commit_that_waits_at_the_fence_is_ended(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """A commit that waited at the fence was planned against the old catalog: it is ended, never let through."""
    made = lake("plain", "0.3")
    head = state(made.url)[0].snapshot_id
    marker, go = tmp_path / "marker", tmp_path / "go"
    engine = engine_that(tmp_path, before=pause(marker, go))
    words = ("migrate", made.url, "--json", "--no-rehearsal", "--ignore-clients", "--engine", engine)
    errors: list[Exception] = []

    def commit() -> None:
        try:
            execute(made.url, "insert into ducklake_snapshot values (1000, now(), 100, 100, 100)")
        except psycopg.Error as error:
            errors.append(error)

    with started(cli, *words) as running:
        wait_until(marker.exists)
        waiting = threading.Thread(target=commit)
        waiting.start()
        wait_until(lambda: _waits(made.url, "ducklake_snapshot"))
        go.touch()
        done = running.end()
    waiting.join()

    assert done.exit_code == 0, done.stderr
    assert [type(error) for error in errors] == [psycopg.errors.AdminShutdown]
    assert state(made.url)[0].snapshot_id == head


def test_clients_are_ended_on_request(lake: LakeFactory, cli: Cli) -> None:
    """--terminate-clients ends the other sessions on the database first and lists none as stale."""
    made = lake("plain", "0.3")

    with psycopg.connect(made.url) as client:
        client.execute("select * from ducklake_column")
        answer = _migrate(cli, made, "--terminate-clients")

        assert (answer["outcome"], answer["stale_clients"]) == ("migrated", [])
        with pytest.raises(psycopg.OperationalError):
            client.execute("select 1")


def test_migrate_from_python_in_a_thread(lake: LakeFactory, tmp_path: Path) -> None:
    """A program may migrate from any thread; it gets the record and hears of each stage."""
    made = lake("plain", "0.4")
    events: list[Event] = []
    results: list[Migration] = []
    options = dlbackup.MigrateOptions(backup_dir=tmp_path)

    thread = threading.Thread(
        target=lambda: results.append(dlbackup.migrate(made.url, options, on_event=events.append))
    )
    thread.start()
    thread.join(60)

    assert [(result.outcome, result.to_version) for result in results] == [("migrated", "1.0")]
    assert list(dict.fromkeys(event.stage for event in events)) == _STAGES


_PASSWORD = "'it's two words \"and\" %41 #?@:/&= ünïcode ☃ \\ back\\slashes\\"


def test_odd_passwords_work_and_are_never_shown(lake: LakeFactory, cli: Cli) -> None:
    """A password of any characters works for dump, migrate and restore, and appears in none of their outputs."""
    made = lake("plain", "0.4")
    with new_role(made, secret := f"{_PASSWORD}-never-shown", owner=True) as url:
        quoted = secret.replace("\\", "\\\\").replace("'", "\\'")
        user = url.partition("//")[2].partition(":")[0].replace("%20", " ")
        keywords = (
            f"ducklake:postgres:host={made.server.host} port={made.server.port} dbname={made.dbname}"
            f" user='{user}' password = '{quoted}'"
        )

        runs = [
            cli("dump", keywords, "-o", "first.sql.zst", "--json"),
            cli("migrate", keywords, "--no-rehearsal", "--json"),
            cli("restore", "first.sql.zst", url, "--replace", "--drop-replaced", "--json"),
            cli("migrate", url, "--no-rehearsal"),
        ]

        assert [(run.exit_code, run.stderr if run.exit_code else "") for run in runs] == [(0, "")] * 4
        assert not [text for run in runs for text in (run.stdout, run.stderr) if "never-shown" in text]
        assert not [path for path in cli.cwd.iterdir() if "never-shown" in path.name]
        assert state(made.url)[0].spec_version == "1.0"


def test_options_of_a_service_are_the_engine_s_too(lake: LakeFactory, cli: Cli) -> None:
    """Where a service file says as whom a member works who inherits nothing, the engine works as that role, too."""
    made = lake("plain", "0.4")
    server, member, services = made.server, f"member_{made.dbname}", cli.cwd / "services"
    with new_role(made, "secret", owner=True) as url:
        execute(server.url, f"create role {member} login noinherit password 'secret' in role {role_of(url)}")
        escaped = role_of(url).strip('"').replace(" ", "\\ ")
        services.write_text(
            f"[lake]\nhost={server.host}\nport={server.port}\ndbname={made.dbname}\n"
            f"user={member}\npassword=secret\noptions=-c role={escaped}\n"
        )
        try:
            done = cli("migrate", "postgres:service=lake", "--no-rehearsal", env={"PGSERVICEFILE": str(services)})
        finally:
            execute(server.url, f"drop role {member}")

    assert done.exit_code == 0, done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_odd_database_name_reaches_the_engine(lake: LakeFactory, cli: Cli) -> None:
    """A database whose name holds blanks, quotes and backslashes is migrated."""
    made = lake("plain", "0.4")
    name = f'{made.dbname} "it\'s" \\ %41'
    execute(made.server.url, f'alter database {made.dbname} rename to "{name.replace(chr(34), chr(34) * 2)}"')
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    server = made.server
    address = f"postgres:host={server.host} port={server.port} user={server.user} dbname='{quoted}'"
    try:
        done = cli("migrate", address, "--json", env={"PGPASSWORD": server.password})
    finally:
        execute(server.url, f'alter database "{name.replace(chr(34), chr(34) * 2)}" rename to {made.dbname}')

    assert done.exit_code == 0, done.stderr
    assert state(made.url)[0].spec_version == "1.0"


def test_inlined_rows_of_every_type_mean_the_same_afterwards(lake: LakeFactory, cli: Cli) -> None:
    """A lake of 0.3 with inlined rows of every type, float32 among them, is mended and proved equal."""
    made = lake("inlined", "0.3")

    answer = cli("migrate", made.url, "--json", "--no-rehearsal").json()

    assert (answer["outcome"], [mend["rule"] for mend in answer["mends"]]) == ("migrated", ["inlined-types"])
