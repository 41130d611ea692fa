"""Restore puts a catalog in an empty or replaced place, or changes nothing; and the lake lives on."""

import secrets
import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from support.changes import change
from support.cli import Cli
from support.comparison import contents, dumped, execute, psql_restore, schemas, server_digests, settle
from support.engines.quoting import quoted
from support.faults.failures import failure, json_failure
from support.faults.stops import stopped_at
from support.faults.writers import writer
from support.lakes.lakes import LakeFactory, Lakes, hash_lake
from support.lakes.private_lake import private_lake
from support.longer import all_together, each_major, long
from support.servers.postgres import Server
from support.servers.servers import Servers, majors
from support.waiting import blocked, wait_until

from dlbackup import RestoreOptions, dump, restore, verify

REPLACE = ("--replace", "--ignore-clients", "-q")


def test_result_says_what_was_restored(lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path) -> None:
    """A restore into an empty database has the backup's own schema, and its result fits."""
    made = lake("plain", "0.3", schema="lake_of_ours")
    backup = dump(made.url, tmp_path)

    with server.database() as url, server.database() as other:
        said = cli("restore", backup.path, url, "--json", "-q")
        text = cli("restore", backup.path, other, "--metadata-schema", "elsewhere", "--no-read-back")

        result = said.json()
        assert said.exit_code == 0
        (warning,) = said.stderr.splitlines()
        assert warning.startswith("warning: this catalog shares its data files with the one that the backup is from")
        assert result["replaced"] is None
        assert (result["tables"], result["rows"]) == (backup.tables, backup.rows)
        assert (result["spec_version"], result["snapshot_id"]) == ("0.3", backup.snapshot_id)
        assert dumped(url, tmp_path, "lake_of_ours") == contents(backup.path)
        assert "not read back" in text.stdout
        assert dumped(other, tmp_path, "elsewhere") == contents(backup.path)


@pytest.mark.every_major
def test_role_without_rights_of_a_superuser_restores(
    lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path
) -> None:
    """The owner of a database restores what a superuser dumped, without its owners; with them it is refused clearly."""
    made = lake("plain", "0.3")
    backup = dump(made.url, tmp_path)
    role = f"owner_{secrets.token_hex(4)}"
    execute(server.url, f"create role {role} login password 'a-pass-word'")
    try:
        with server.database() as url:
            execute(
                url,
                f"alter database {url.rpartition('/')[2]} owner to {role}",
                f"create schema ours authorization {role}",
            )
            address = url.replace(f"//{server.user}:{server.password}@", f"//{role}:a-pass-word@")

            failure(cli("restore", backup.path, address, "--metadata-schema", "ours"), 1, hint="--no-owner")
            assert server_digests(url, "ours") == {}

            for more in ((), REPLACE):
                done = cli("restore", backup.path, address, "--metadata-schema", "ours", "--no-owner", *more)
                assert done.exit_code == 0, done
            assert server_digests(url, "ours") == server_digests(made.url)
            assert {table.owner for table, _ in dumped(url, tmp_path, "ours").values()} == {role}
    finally:
        execute(server.url, f"drop role {role}")


def test_data_path_is_changed(lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path) -> None:
    """With --data-path the restored lake reads its files from where they are now."""
    made = lake("plain", "0.3")
    moved = shutil.copytree(made.data_path, tmp_path / "it's moved")
    path = dump(made.url, tmp_path).path

    with server.database() as url:
        assert cli("restore", path, url, "--data-path", moved).exit_code == 0

        assert execute(url, "select value from ducklake_metadata where key = 'data_path'") == [(f"{moved}/",)]
        assert hash_lake(made.engine, url, made.schema) == hash_lake(made.engine, made.url, made.schema)
        execute(url, "drop schema public cascade", "create schema public")
        failure(cli("restore", path, url, "--data-path", ""), 2, "--data-path")
        assert server_digests(url) == {}


@pytest.mark.parametrize(
    ("given", "stored"), [("D:\\lake", "D:/lake/"), ("moved", "moved/"), ("../moved//", "../moved/")]
)
def test_data_path_of_elsewhere_survives(lake: LakeFactory, cli: Cli, tmp_path: Path, given: str, stored: str) -> None:
    """A path of Windows, or a relative one, is stored as its clients read it, also in the place of a catalog."""
    made = lake("plain", "0.3")
    shutil.copytree(made.data_path, tmp_path / "at" / "moved")
    shutil.copytree(made.data_path, tmp_path / "moved")
    path = Path(dump(made.url, tmp_path).path).absolute()
    there = Cli(tmp_path / "at")

    done = there("restore", path, made.url, "--replace", "--drop-replaced", "--data-path", given, "--json")

    assert done.exit_code == 0, done
    assert done.json()["missing_data_files"] == 0
    assert execute(made.url, "select value from ducklake_metadata where key = 'data_path'") == [(stored,)]


@pytest.mark.parametrize("spec", [long("0.3"), "1.0"])
def test_writers_commit_to_a_restored_lake(lake: LakeFactory, server: Server, tmp_path: Path, spec: str) -> None:
    """Several engines of its own version commit to a restored lake at once, and nothing is lost or doubled."""
    made = lake("plain", spec)
    names = ("one", "two", "three")
    with server.database() as url:
        restore(dump(made.url, tmp_path).path, url)
        restored = private_lake(replace(made, url=url), tmp_path / "data")
        restored.engine.run(url, made.schema, [f"create table lake.{name} (i bigint)" for name in names])
        with ExitStack() as stack:
            started = [
                stack.enter_context(writer(made.engine, url, made.schema, table=name, create=False, pause_s=0.05))
                for name in names
            ]
            for each in started:
                each.wait_for(4)

        numbers = restored.engine.run(url, made.schema, [f"select i from lake.{name} order by i" for name in names])
        for each, rows in zip(started, numbers, strict=True):
            assert [number for (number,) in rows] == list(each.acknowledged)
        ids = [number for (number,) in execute(url, "select snapshot_id from ducklake_snapshot order by 1")]
        assert ids == list(range(ids[0], ids[-1] + 1))
        assert len(ids) >= 12
        assert hash_lake(made.engine, url, made.schema, at=[2]) == hash_lake(made.engine, made.url, made.schema, at=[2])


def test_lake_without_its_key_breaks(lake: LakeFactory, server: Server, tmp_path: Path) -> None:
    """The key that a restore makes is what engines commit by: a second row of a snapshot id is refused."""
    made = lake("plain", "0.3")

    with server.database() as url:
        restore(dump(made.url, tmp_path).path, url)

        with pytest.raises(psycopg.errors.UniqueViolation):
            execute(url, "insert into ducklake_snapshot select * from ducklake_snapshot where snapshot_id = 3")


def test_place_that_is_taken_is_refused(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """A catalog that stands in the way is not touched without --replace, whole or not."""
    made = lake("plain", "0.3")
    backup = dump(made.url, tmp_path)
    change(made.url)
    before = dumped(made.url, tmp_path)

    failure(cli("restore", backup.path, made.url), 4, "already holds 22 catalog tables", hint="--replace")
    failure(cli("restore", backup.path, made.url, "--drop-replaced"), 2, "--replace")
    answer = json_failure(cli("restore", backup.path, made.url, "--json"), 4)

    assert answer["error"]["type"] == "NotEmpty"
    assert dumped(made.url, tmp_path) == before
    execute(made.url, "create schema half", "create table half.ducklake_tag (x int)")
    failure(cli("restore", backup.path, made.url, "--metadata-schema", "half"), 4, "already holds 1 catalog table")


def test_replaced_catalog_is_kept_aside(lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path) -> None:
    """With --replace the old catalog is kept as it was in a schema that the result names, time after time."""
    made = lake("plain", "0.3")
    backup = dump(made.url, tmp_path)
    change(made.url)
    before = dumped(made.url, tmp_path)

    settle(server, made.url)
    first = cli("restore", backup.path, made.url, "--replace", "--json").json()["replaced"]
    settle(server, made.url)
    second = cli("restore", backup.path, made.url, "--replace")

    assert first.startswith("dlbackup_replaced_")
    assert first.endswith("_public")
    assert dumped(made.url, tmp_path) == contents(backup.path)
    assert dumped(made.url, tmp_path, first) == before
    (other,) = schemas(made.url) - {first, "public"}
    assert other in second.stdout
    assert dumped(made.url, tmp_path, other) == contents(backup.path)


def test_replaced_catalog_is_dropped_on_request(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """With --drop-replaced nothing of the old catalog is kept."""
    made = lake("plain", "0.3")
    backup = dump(made.url, tmp_path)
    change(made.url)

    done = cli("restore", backup.path, made.url, *REPLACE, "--drop-replaced", "--json")

    assert done.json()["replaced"] is None
    assert schemas(made.url) == {"public"}
    assert dumped(made.url, tmp_path) == contents(backup.path)


def test_newer_snapshots_are_not_lost_silently(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """A catalog with snapshots from after the backup is replaced only with --discard-newer, and kept aside."""
    made = lake("plain", "0.3")
    backup = dump(made.url, tmp_path)
    made.engine.run(made.url, made.schema, ["create schema lake.later"])
    before = dumped(made.url, tmp_path)
    newest = (backup.snapshot_id or 0) + 1

    words = (f"its newest is {newest}", f"the backup's is {backup.snapshot_id}")
    failure(cli("restore", backup.path, made.url, *REPLACE), 4, *words, hint="--discard-newer")
    assert dumped(made.url, tmp_path) == before

    done = cli("restore", backup.path, made.url, *REPLACE, "--discard-newer", "--json")
    assert dumped(made.url, tmp_path) == contents(backup.path)
    assert dumped(made.url, tmp_path, done.json()["replaced"]) == before


# What depends on catalog tables, by the words that name it.
_DEPENDENTS = {
    "view public.watching": "create view watching as select snapshot_id from ducklake_snapshot",
    "materialized view public.stored": "create materialized view stored as select key from ducklake_metadata",
    "trigger noticed": """
        create function noticed() returns trigger language plpgsql as 'begin return new; end';
        create trigger noticed after insert on ducklake_snapshot for each row execute function noticed()""",
    "constraint refers": "create table notes (s bigint constraint refers references ducklake_snapshot)",
    "publication": "create publication published for table ducklake_snapshot",
    "policy mine": "create policy mine on ducklake_tag using (true)",
    "function public.tags": """
        create function tags() returns setof ducklake_tag language sql as 'select * from ducklake_tag'""",
    "security label by anon of column value of table": """
        set allow_system_table_mods = on;
        insert into pg_seclabel
        values ('ducklake_metadata'::regclass, 'pg_class'::regclass, 2, 'anon', 'MASKED WITH VALUE NULL')""",
    "column last of table public.remarks": "create table remarks (last ducklake_snapshot)",
}


@pytest.mark.parametrize("words", all_together(_DEPENDENTS))
def test_dependents_are_named_and_refused(
    lake: LakeFactory, cli: Cli, tmp_path: Path, whole_lists: None, words: tuple[str, ...]
) -> None:
    """A catalog on which something depends that no backup carries is not replaced, nor dropped; it is named."""
    made = lake("plain", "0.3")
    path = dump(made.url, tmp_path).path
    execute(made.url, *(_DEPENDENTS[each] for each in words))
    before = dumped(made.url, tmp_path)

    for more in ((), ("--drop-replaced",)):
        failure(cli("restore", path, made.url, *REPLACE, *more), 4, *words, hint="drop what is named")

    assert dumped(made.url, tmp_path) == before
    assert schemas(made.url) == {"public"}


_SETS_MORE = """
create function sets() returns event_trigger language plpgsql as $$
declare made record;
begin
  for made in select * from pg_event_trigger_ddl_commands() where object_type = 'table' loop
    execute format('alter table %1$s replica identity full; comment on table %1$s is ''made''', made.object_identity);
    execute format('alter table %s set (fillfactor = 50, autovacuum_enabled = off)', made.object_identity);
  end loop;
end $$;
create event trigger sets on ddl_command_end when tag in ('CREATE TABLE') execute function sets()
"""


def test_what_event_triggers_set_on_new_tables_is_taken_back(
    lake: LakeFactory, cli: Cli, tmp_path: Path, database: str
) -> None:
    """Comments, options and replica identities are as in the backup, here and elsewhere, whatever the server sets."""
    made = lake("plain", "0.3")
    execute(made.url, "alter table ducklake_tag set (fillfactor = 70); comment on table ducklake_view is 'ours'")
    path = dump(made.url, tmp_path).path
    for url in (made.url, database):
        execute(url, _SETS_MORE)

        done = cli("restore", path, url, *REPLACE)

        assert done.exit_code == 0, done
        assert dumped(url, tmp_path) == contents(path)


def test_an_event_trigger_that_changes_more_is_named(
    lake: LakeFactory, cli: Cli, tmp_path: Path, database: str
) -> None:
    """Where new tables get columns of the server's own, nothing is restored, and the hint says what to do."""
    path = dump(lake("plain", "0.3").url, tmp_path).path
    execute(
        database,
        _SETS_MORE.replace("comment on table %1$s is ''made''", "alter table %1$s add made timestamptz default now()"),
    )

    failure(cli("restore", path, database), 1, "the server made another table", hint="event trigger")

    assert server_digests(database) == {}


def test_connected_clients_are_refused_ignored_or_ended(
    lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path
) -> None:
    """While others are connected a catalog is replaced only with the option to ignore or to end them."""
    made = lake("plain", "0.3")
    path = dump(made.url, tmp_path).path
    settle(server, made.url)
    with psycopg.connect(made.url, application_name="a client of ours", autocommit=True) as client:
        pid = client.info.backend_pid

        words = (f"pid {pid}", "a client of ours", server.user)
        done = cli("restore", path, made.url, "--replace")
        failure(done, 4, "1 other client is connected", *words, hint="--terminate-clients")
        assert "--ignore-clients" in done.stderr
        assert schemas(made.url) == {"public"}

        assert cli("restore", path, made.url, "--replace", "--ignore-clients").exit_code == 0
        assert client.execute("select 1").fetchone() == (1,)
        assert len(schemas(made.url)) == 2

        assert cli("restore", path, made.url, "--replace", "--terminate-clients").exit_code == 0
        with pytest.raises(psycopg.OperationalError):
            client.execute("select 1")
    assert len(schemas(made.url)) == 3
    failure(cli("restore", path, made.url, "--ignore-clients", "--terminate-clients"), 2, "--ignore-clients")


def test_client_that_is_only_connected_does_not_hinder_a_new_place(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """Into an empty schema a catalog is restored whoever is connected."""
    made = lake("plain", "0.3")
    path = dump(made.url, tmp_path).path

    with psycopg.connect(made.url):
        done = cli("restore", path, made.url, "--metadata-schema", "new")

    assert done.exit_code == 0
    assert dumped(made.url, tmp_path, "new") == contents(path)


def _flipped(content: bytes) -> bytes:
    place = len(content) // 3
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


_DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "flipped": _flipped,
    "cut": lambda content: content[: len(content) // 2],
    "without its end": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "empty": lambda content: b"",
    "text": lambda content: b"-- dlbackup 1\n",
    "doubled": lambda content: content + content,
}
_ALIKE = ("without its end", "longer", "text")
"""Which are refused where one that was cut, is empty or was doubled is."""


@pytest.mark.parametrize("damage", [long(it) if it in _ALIKE else it for it in _DAMAGE])
def test_damaged_backup_changes_nothing(lake: LakeFactory, cli: Cli, tmp_path: Path, damage: str) -> None:
    """A damaged backup is found, with exit code 3, and the catalog in its place stays as it is."""
    made = lake("plain", "0.3")
    good = Path(dump(made.url, tmp_path).path)
    bad = tmp_path / "bad.sql.zst"
    bad.write_bytes(_DAMAGE[damage](good.read_bytes()))
    change(made.url)
    before = dumped(made.url, tmp_path)

    failure(cli("restore", bad, made.url, *REPLACE), 3)
    failure(cli("restore", bad, made.url, "--metadata-schema", "new", "--no-read-back"), 3)
    answer = json_failure(cli("verify", bad, "--json"), 3)

    assert answer["ok"] is False
    assert dumped(made.url, tmp_path) == before
    assert schemas(made.url) == {"public"}


# Event triggers that stop a restore at its statements: command tag, and a word of the statement.
_MOMENTS = {
    "moving the old catalog aside": ("ALTER TABLE", 'public"."ducklake_view'),
    "making the first table": ("CREATE TABLE", "ducklake_column"),
    "in the middle of the rows": ("CREATE TABLE", "ducklake_snapshot"),
    "after the last row": ("ALTER TABLE", "OWNER TO"),
    "at the last statement before the proof": ("ALTER TABLE", 'ducklake_view" OWNER TO'),
}
_BETWEEN = ("making the first table", "after the last row")


@pytest.mark.parametrize("moment", [long(it) if it in _BETWEEN else it for it in _MOMENTS])
def test_killed_restore_changes_nothing(
    lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path, moment: str
) -> None:
    """A restore that is killed leaves the old catalog exactly, and the next one works."""
    made = lake("plain", "0.3")
    backup = dump(made.url, tmp_path)
    change(made.url)
    before, digests = dumped(made.url, tmp_path), server_digests(made.url)
    with stopped_at(made.url, *_MOMENTS[moment]), cli.started("restore", backup.path, made.url, *REPLACE) as process:
        wait_until(lambda: blocked(server, made.dbname) == 1)
        process.kill()
        process.wait(30)
    settle(server, made.url)

    assert dumped(made.url, tmp_path) == before
    assert server_digests(made.url) == digests
    assert schemas(made.url) == {"public"}
    settle(server, made.url)
    assert cli("restore", backup.path, made.url, "--replace").exit_code == 0
    assert dumped(made.url, tmp_path) == contents(backup.path)


def test_restore_killed_behind_a_lock_changes_nothing(
    lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path
) -> None:
    """A restore that is killed while it waits for the catalog's tables leaves them as they are."""
    made = lake("plain", "0.3")
    path = dump(made.url, tmp_path).path
    change(made.url)
    before = dumped(made.url, tmp_path)
    with psycopg.connect(made.url) as session:
        session.execute("lock table ducklake_view in access share mode")
        with cli.started("restore", path, made.url, *REPLACE) as process:
            wait_until(lambda: blocked(server, made.dbname) == 1)
            process.kill()
    settle(server, made.url)

    assert dumped(made.url, tmp_path) == before
    assert schemas(made.url) == {"public"}


def test_two_restores_at_once(lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path) -> None:
    """A second restore of the same catalog is refused while one is running."""
    made = lake("plain", "0.3")
    path = dump(made.url, tmp_path).path
    with (
        stopped_at(made.url, "CREATE TABLE", "ducklake_view") as stop,
        cli.started("restore", path, made.url, *REPLACE) as process,
    ):
        wait_until(lambda: blocked(server, made.dbname) == 1)
        second = cli("restore", path, made.url, *REPLACE)
        stop.release()
        assert process.wait(60) == 0

    failure(second, 4, "another migration or restore", hint="wait")
    assert dumped(made.url, tmp_path) == contents(path)


def test_lost_connection_changes_nothing(lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path) -> None:
    """A restore whose session the server ends says so in one line, and the old catalog stays."""
    made = lake("plain", "0.3")
    path = dump(made.url, tmp_path).path
    change(made.url)
    before = dumped(made.url, tmp_path)
    ended = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dlbackup' and datname = "
    with stopped_at(made.url, "CREATE TABLE", "ducklake_snapshot"), ExitStack() as running:
        done = []
        thread = threading.Thread(target=lambda: done.append(cli("restore", path, made.url, *REPLACE)))
        thread.start()
        running.callback(thread.join)
        wait_until(lambda: blocked(server, made.dbname) == 1)
        execute(server.url, f"{ended} '{made.dbname}'")

    failure(done[0], 1, hint="nothing that was not committed is kept")
    assert dumped(made.url, tmp_path) == before


def test_readers_see_the_old_catalog_or_the_new_one(lake: LakeFactory, tmp_path: Path) -> None:
    """Whoever reads the catalog while it is replaced gets the old rows or the new ones, never an error or nothing."""
    made = lake("plain", "0.3")
    backup = dump(made.url, tmp_path)
    change(made.url)
    seen: list[object] = []
    stop = threading.Event()

    def look() -> None:
        with psycopg.connect(made.url, autocommit=True) as session:
            while not stop.is_set():
                seen.append(session.execute("select array_agg(value order by key) from ducklake_metadata").fetchone())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        wait_until(lambda: len(seen) > 5)
        before = seen[-1]
        restore(backup.path, made.url, RestoreOptions(replace=True, ignore_clients=True))
        count = len(seen)
        wait_until(lambda: len(seen) > count + 5)
    finally:
        stop.set()
        thread.join()

    assert [each for number, each in enumerate(seen) if each != seen[number - 1]] == [before, seen[-1]]


def test_options_of_a_later_server_are_left_out_and_named(
    lakes: Lakes, servers: Servers, cli: Cli, tmp_path: Path
) -> None:
    """A storage parameter and a collation of PostgreSQL 18 are named on 14, by a rehearsal too; the rest is set."""
    if not majors()[0] < 17 <= majors()[-1]:
        pytest.skip("pg_c_utf8 came with PostgreSQL 17: PG_TEST_MAJORS needs a major before and one after")
    with lakes.copy("plain", "0.3", servers[majors()[-1]], "public") as made, servers[majors()[0]].database() as url:
        execute(
            made.url,
            "alter table ducklake_snapshot set (fillfactor = 80, autovacuum_vacuum_max_threshold = 1000)",
            'alter table ducklake_view alter view_name type varchar collate "pg_c_utf8"',
            'alter table ducklake_view alter sql type varchar collate "C"',
        )
        backup = dump(made.url, tmp_path).path

        rehearsed = cli("verify", backup, "--rehearse", url)
        done = cli("restore", backup, url)

        assert done.exit_code == rehearsed.exit_code == 0, (rehearsed, done)
        for said in (rehearsed.stdout, done.stderr):
            assert "storage parameter autovacuum_vacuum_max_threshold = 1000; collation pg_c_utf8" in said
        options = "select reloptions from pg_class where relname = 'ducklake_snapshot'"
        assert execute(url, options) == [(["fillfactor=80"],)]
        collations = (
            "select attcollation::regcollation::text from pg_attribute where attrelid = 'ducklake_view'::regclass"
        )
        assert execute(url, f"{collations} and attname in ('sql', 'view_name') order by attname") == [
            ('"C"',),
            ('"default"',),
        ]
        assert server_digests(url) == server_digests(made.url)


@pytest.mark.parametrize("major", each_major())
def test_psql_leaves_out_what_an_older_server_does_not_know(
    lakes: Lakes, servers: Servers, tmp_path: Path, major: int
) -> None:
    """
    psql takes a backup of PostgreSQL 18 to its end on every server, and none of it fails.

    What a server doesn't know is left out there: privileges, storage parameters, keys; the others have it as it was.
    """
    if majors()[-1] < 18:
        pytest.skip("a storage parameter came with PostgreSQL 18: PG_TEST_MAJORS needs that major")
    role = f'it\'s "{secrets.token_hex(4)}" \\'
    newest, older = servers[majors()[-1]], servers[major]
    with lakes.copy("plain", "0.3", newest, "public") as made, older.database() as url:
        for server in {newest.url, older.url}:
            execute(server, f"create role {quoted(role)}")
        try:
            execute(
                made.url,
                f"grant select, maintain on ducklake_snapshot to {quoted(role)} with grant option",
                "grant maintain on ducklake_tag to public",
                "alter table ducklake_snapshot set (fillfactor = 80, autovacuum_vacuum_max_threshold = 1000)",
                "alter table ducklake_tag add constraint once unique nulls not distinct (object_id, key)",
                "comment on constraint once on ducklake_tag is 'it''s one'",
            )
            backup = dump(made.url, tmp_path).path

            psql_restore(older, url, backup)

            assert verify(backup).ok
            there, before = dict(dumped(url, tmp_path)), dict(contents(backup))
            changed = {name: there.pop(name)[0] for name in ("ducklake_snapshot", "ducklake_tag")}
            wanted = {name: before.pop(name)[0] for name in changed}
            assert there == before
            if major < 17:
                wanted = {name: table.without_privileges(frozenset({"MAINTAIN"})) for name, table in wanted.items()}
                changed = {name: table.without_privileges(frozenset({"MAINTAIN"})) for name, table in changed.items()}
            if major < 18:
                options = frozenset({("autovacuum_vacuum_max_threshold", "1000")})
                wanted = {name: table.without_options(options, frozenset()) for name, table in wanted.items()}
            if major < 15:
                wanted["ducklake_tag"] = replace(wanted["ducklake_tag"], constraints=())
            assert changed == wanted
        finally:
            execute(made.url, f"drop owned by {quoted(role)}")
            execute(url, f"drop owned by {quoted(role)}")
            for server in {newest.url, older.url}:
                execute(server, f"drop role {quoted(role)}")


def test_keys_of_a_later_server_are_left_out_and_named(
    lakes: Lakes, servers: Servers, cli: Cli, tmp_path: Path
) -> None:
    """A key for which two NULLs are equal is left out on PostgreSQL 14 and named, by a rehearsal too."""
    if not majors()[0] < 15 <= majors()[-1]:
        pytest.skip("NULLS NOT DISTINCT came with PostgreSQL 15: PG_TEST_MAJORS needs a major before and one after")
    with lakes.copy("plain", "0.3", servers[majors()[-1]], "public") as made, servers[majors()[0]].database() as url:
        execute(made.url, "alter table ducklake_tag add constraint once unique nulls not distinct (object_id, key)")
        backup = dump(made.url, tmp_path).path

        rehearsed = cli("verify", backup, "--rehearse", url)
        done = cli("restore", backup, url)

        assert done.exit_code == rehearsed.exit_code == 0, (rehearsed, done)
        for said in (rehearsed.stdout, done.stderr):
            assert "left out of ducklake_tag" in said
            assert "constraint once UNIQUE NULLS NOT DISTINCT (object_id, key)" in said
        assert server_digests(url) == server_digests(made.url)


@pytest.mark.parametrize(
    "privileges, kept",
    [("select, maintain", True), long("maintain", False)],
    ids=["and one of the older server's", "nothing else"],
)
def test_privileges_of_a_later_server_are_left_out_and_named(
    lakes: Lakes, servers: Servers, cli: Cli, tmp_path: Path, privileges: str, kept: bool
) -> None:
    """
    A backup of PostgreSQL 18 goes into 14: what that can't grant is named, and everything else is as it was.

    A rehearsal there says the same.
    """
    if not majors()[0] < 17 <= majors()[-1]:
        pytest.skip("MAINTAIN came with PostgreSQL 17: PG_TEST_MAJORS needs a major before and one after")
    with lakes.copy("plain", "0.3", servers[majors()[-1]], "public") as made, servers[majors()[0]].database() as url:
        execute(made.url, f"grant {privileges} on ducklake_snapshot to public")
        backup = dump(made.url, tmp_path).path

        rehearsed = cli("verify", backup, "--rehearse", url)
        done = cli("restore", backup, url)

        assert done.exit_code == rehearsed.exit_code == 0, done.stderr
        for said in (rehearsed.stdout, done.stderr):
            assert "doesn't know it: MAINTAIN on ducklake_snapshot" in said
        granted = "select has_table_privilege('public', 'ducklake_snapshot', 'select')"
        assert execute(url, granted) == [(kept,)]
        assert server_digests(url) == server_digests(made.url)


def test_predefined_roles_of_a_later_server_are_left_out_and_named(
    lakes: Lakes, servers: Servers, cli: Cli, tmp_path: Path
) -> None:
    """Nobody can make a role of such a name: what is granted to it is left out by a restore, a rehearsal and psql."""
    if not majors()[0] < 17 <= majors()[-1]:
        pytest.skip("pg_maintain came with PostgreSQL 17: PG_TEST_MAJORS needs a major before and one after")
    older = servers[majors()[0]]
    with lakes.copy("plain", "0.3", servers[majors()[-1]], "public") as made, older.database() as url:
        execute(
            made.url,
            "grant select on all tables in schema public to pg_maintain, pg_read_all_data",
            "grant update (value) on ducklake_metadata to pg_maintain",
        )
        backup = dump(made.url, tmp_path).path

        rehearsed = cli("verify", backup, "--rehearse", url)
        done = cli("restore", backup, url)

        assert done.exit_code == rehearsed.exit_code == 0, done.stderr
        for said in (rehearsed.stdout, done.stderr):
            assert "this server has no such roles: to pg_maintain" in said
        grantees = "select count(*) from information_schema.role_table_grants where grantee = 'pg_read_all_data'"
        assert execute(url, grantees) != [(0,)]
        assert server_digests(url) == server_digests(made.url)
        with older.database() as other:
            psql_restore(older, other, backup)
            assert execute(other, grantees) == execute(url, grantees)
