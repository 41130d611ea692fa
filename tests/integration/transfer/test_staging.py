"""Restores of catalogs whose locks one transaction can't hold: filled in batches, exchanged in one moment."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from support.backups import row, small, write_backup
from support.changes import NEXT_SNAPSHOT, change, set_for
from support.cli import Cli
from support.comparison import Contents, contents, dumped, execute, schemas, settle
from support.faults.failures import failure
from support.faults.faults import OPENS, engine_that, new_role, nothing_left, one, role_of, started
from support.lakes.lakes import Lake, Lakes
from support.longer import all_together, long
from support.servers.proxy import Proxy
from support.servers.servers import Server, Servers, middle_major, server_kind
from support.waiting import wait_until

from dlbackup import RestoreOptions, dump, restore
from dlbackup.catalogs.postgres import commit
from dlbackup.errors import NeedsPerson
from dlbackup.tables.definition import Column, Table

WORDS = ("--replace", "--ignore-clients", "--no-data-files")
_WAITING = "select count(*) from pg_locks where not granted and mode = 'AccessExclusiveLock'"
_GIVEN_AWAY = r"""
do $$ declare t regclass; begin
    for t in select oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
    loop execute format('alter table %s owner to lake_owner', t); end loop;
end $$
"""
_COMMITTING = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
_RIGHTS = """
    select pg_get_userbyid(nspowner), obj_description(oid, 'pg_namespace'), array(select x::text from
    unnest(nspacl) x order by 1) from pg_namespace where nspname = 'public'
"""


@pytest.fixture(scope="module")
def tight(servers: Servers) -> Iterator[Server]:
    """A server with so few locks that a lake of 22 tables is too many for one transaction."""
    if server_kind() != "docker":
        pytest.skip("a server with settings of its own needs a container: PG_TEST_ENGINE=docker")
    with servers.with_settings(middle_major(), max_locks_per_transaction="10", max_connections="10") as server:
        yield server


@pytest.fixture(scope="module")
def own_lakes(tmp_path_factory: pytest.TempPathFactory) -> Lakes:
    """Templates of this server's own: the session's are on another one of the same major."""
    return Lakes(tmp_path_factory.mktemp("lakes"))


@pytest.fixture
def made(tight: Server, own_lakes: Lakes) -> Iterator[Lake]:
    """A plain lake of 0.3 there."""
    with own_lakes.copy("plain", "0.3", tight, "public") as lake:
        yield lake


@contextmanager
def exchanging(made: Lake) -> Iterator[Callable[[], None]]:
    """Let an exchange wait, until the function that is given is called; its commit waits for a standby, if any."""
    set_for(made, synchronous_commit="on")
    with psycopg.connect(made.url) as reader:
        reader.execute("select from ducklake_snapshot")
        yield reader.rollback


@contextmanager
def commits_held(server: Server) -> Iterator[None]:
    """Let no commit come to its end in the block, as where a synchronous standby is down."""
    try:
        execute(server.url, "alter system set synchronous_standby_names = 'nobody'", "select pg_reload_conf()")
        time.sleep(0.5)
        yield
    finally:
        execute(server.url, "alter system reset synchronous_standby_names", "select pg_reload_conf()")


def test_exchanged_catalog_has_everything(made: Lake, tight: Server, cli: Cli, tmp_path: Path) -> None:
    """Definitions, rows, and the schema's owner, grants and comment are as before; the old catalog is kept aside."""
    path = dump(made.url, tmp_path).path
    change(made.url)
    execute(made.url, "comment on schema public is 'it''s ours'", "grant create on schema public to pg_monitor")
    before, rights = dumped(made.url, tmp_path), execute(made.url, _RIGHTS)

    done = cli("restore", path, made.url, *WORDS, "--json")

    assert done.exit_code == 0, done
    assert "in batches" in done.stderr
    aside = done.json()["replaced"]
    assert schemas(made.url) == {"public", aside}
    assert execute(made.url, _RIGHTS) == rights
    assert dumped(made.url, tmp_path) == contents(path)
    assert dumped(made.url, tmp_path, aside) == before

    again = cli("restore", path, made.url, *WORDS, "--drop-replaced")
    assert again.exit_code == 0, again
    assert schemas(made.url) == {"public", aside}
    assert dumped(made.url, tmp_path) == contents(path)


def test_member_of_the_owner_exchanges(made: Lake, tight: Server, cli: Cli, tmp_path: Path) -> None:
    """Who is a member of the owner, and was granted something himself, gives it the tables; by default others get."""
    with new_role(made, "a-word", owner=False) as url:
        role = role_of(url)
        execute(
            made.url,
            "create role lake_owner",
            f"grant lake_owner to {role}",
            "alter schema public owner to lake_owner",
            _GIVEN_AWAY,
            f"alter default privileges for role {role} grant usage on schemas to pg_monitor",
        )
        try:
            path = dump(made.url, tmp_path).path
            change(made.url)
            rights = execute(made.url, _RIGHTS)

            done = cli("restore", path, url, *WORDS, "--drop-replaced")

            assert done.exit_code == 0, done
            assert execute(made.url, _RIGHTS) == rights
            assert dumped(made.url, tmp_path) == contents(path)
        finally:
            execute(made.url, "reassign owned by lake_owner to current_user", "drop role lake_owner")


def test_empty_places_are_filled(made: Lake, tight: Server, cli: Cli, tmp_path: Path) -> None:
    """A schema that is empty or isn't there gets the catalog, without anything left beside it."""
    path = dump(made.url, tmp_path).path
    with tight.database() as url:
        for words in ((), ("--metadata-schema", "new")):
            done = cli("restore", path, url, "--no-data-files", *words)
            assert done.exit_code == 0, done
        assert dumped(url, tmp_path, "new") == dumped(url, tmp_path, "public") == contents(path)
        assert schemas(url) == {"public", "new"}


def test_new_schema_has_the_rights_of_the_old_one(made: Lake, tight: Server, cli: Cli, tmp_path: Path) -> None:
    """Grants on the schema come along when it is filled under another name."""
    execute(made.url, "grant create on schema public to pg_monitor", "grant select on ducklake_tag to pg_monitor")
    path = dump(made.url, tmp_path).path
    with tight.database() as url:
        done = cli("restore", path, url, "--no-data-files", "--metadata-schema", "new", "--json")

        assert (done.exit_code, done.json()["missing_grants"]) == (0, []), done
        rights = _RIGHTS.replace("'public'", "'new'")
        assert execute(url, rights) == execute(
            made.url, _RIGHTS.replace("obj_description(oid, 'pg_namespace')", "null")
        )


_OTHERS = {
    "table public.mine": "create table mine (x int)",
    "function public.mine": "create function mine() returns int language sql as 'select 1'",
    "sequence public.ducklake_numbers": "create sequence ducklake_numbers",
    "table public.ducklake_jobs": "create table ducklake_jobs (id serial)",
    "default privileges": "alter default privileges in schema public grant select on tables to pg_monitor",
}


@pytest.mark.parametrize("words", all_together(_OTHERS, "table public.ducklake_jobs"))
def test_schema_with_more_than_the_catalog_is_refused(
    made: Lake, cli: Cli, tmp_path: Path, whole_lists: None, words: tuple[str, ...]
) -> None:
    """What else a schema holds, or is known to, is named, and nothing is changed."""
    path = dump(made.url, tmp_path).path
    execute(made.url, *(_OTHERS[each] for each in words))
    before = dumped(made.url, tmp_path)

    failure(cli("restore", path, made.url, *WORDS), 4, *words, hint="max_locks_per_transaction")

    assert dumped(made.url, tmp_path) == before
    assert schemas(made.url) == {"public"}


def test_checks_hold_as_in_one_transaction(made: Lake, cli: Cli, tmp_path: Path) -> None:
    """A taken place, newer snapshots and damage are refused there too, and leave no schema behind."""
    path = Path(dump(made.url, tmp_path).path)
    made.engine.run(made.url, made.schema, ["create schema lake.later"])
    before = dumped(made.url, tmp_path)
    bad = tmp_path / "bad"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    bad.write_bytes(content)

    failure(cli("restore", path, made.url), 4, "already holds", hint="--replace")
    failure(cli("restore", path, made.url, *WORDS), 4, "newest", hint="--discard-newer")
    failure(cli("restore", bad, made.url, *WORDS, "--discard-newer"), 3)

    assert dumped(made.url, tmp_path) == before
    assert schemas(made.url) == {"public"}


def test_commit_that_the_exchange_waits_for_counts(made: Lake, cli: Cli, tmp_path: Path) -> None:
    """A snapshot committed while the exchange waits is not taken away, whatever isolation the role's sessions have."""
    path = dump(made.url, tmp_path).path
    set_for(made, default_transaction_isolation="'repeatable read'")
    with psycopg.connect(made.url) as writer:
        writer.execute(NEXT_SNAPSHOT)
        with started(cli, "restore", path, made.url, *WORDS) as running:
            wait_until(lambda: one(made.url, _WAITING) == 1)
            writer.commit()
            done = running.end()

    failure(done, 4, "newest", hint="--discard-newer")
    assert schemas(made.url) == {"public"}


def test_signal_at_the_commit_comes_too_late(made: Lake, tight: Server, cli: Cli, tmp_path: Path) -> None:
    """A restore that is asked to end while its last commit is under way has replaced the catalog, and says so."""
    path = dump(made.url, tmp_path).path
    change(made.url)
    with exchanging(made) as go_on, started(cli, "restore", path, made.url, *WORDS, "--json") as running:
        wait_until(lambda: one(made.url, _WAITING) == 1)
        with commits_held(tight):
            go_on()
            wait_until(lambda: one(tight.url, _COMMITTING) == 1)
            running.signal(signal.SIGTERM)
            time.sleep(0.5)
        done = running.end()

    assert done.exit_code == 0, done
    assert schemas(made.url) == {"public", done.json()["replaced"]}
    assert dumped(made.url, tmp_path) == contents(path)


def test_commit_in_doubt_drops_nothing(
    made: Lake, tight: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore that loses its connection at a commit that is still to come leaves what that commit will show."""
    monkeypatch.setattr(commit, "_LOOK_UP_S", 2.0)
    path = dump(made.url, tmp_path).path
    change(made.url)
    ends: list[str] = []

    def run(url: str) -> None:
        try:
            restore(path, url, RestoreOptions(replace=True, ignore_clients=True, data_files=False))
        except NeedsPerson as exc:
            ends.append(exc.message)

    with Proxy(tight.host, tight.port) as proxy, exchanging(made) as go_on:
        running = threading.Thread(target=run, args=(proxy.url_of(made.url),))
        running.start()
        wait_until(lambda: one(made.url, _WAITING) == 1)
        with commits_held(tight):
            go_on()
            wait_until(lambda: one(tight.url, _COMMITTING) == 1)
            proxy.heal()
            wait_until(lambda: ends or one(tight.url, _COMMITTING) == 2)
        running.join()

    assert "can't be found out: the server still works on it" in ends[0]
    assert dumped(made.url, tmp_path) == contents(path)


def test_newer_snapshots_that_row_security_hides_are_not_lost(made: Lake, cli: Cli, tmp_path: Path) -> None:
    """An owner whom forced row-level security shows no rows of his own can't replace what he doesn't see."""
    path = dump(made.url, tmp_path).path
    execute(
        made.url,
        NEXT_SNAPSHOT,
        "alter table ducklake_snapshot enable row level security",
        "alter table ducklake_snapshot force row level security",
    )
    with new_role(made, "a-word", owner=True) as url:
        execute(made.url, f"alter schema public owner to {role_of(url)}")
        failure(cli("restore", path, url, *WORDS, "--no-owner", "--no-privileges"), 1, "row-level security")
        execute(made.url, "alter schema public owner to current_user")

    assert schemas(made.url) == {"public"}


def test_rows_hidden_before_the_exchange_stay_hidden(made: Lake, cli: Cli, tmp_path: Path) -> None:
    """Where row-level security is switched on while the new tables are made, which lack it, nothing is replaced."""
    path = dump(made.url, tmp_path).path
    with exchanging(made) as go_on, started(cli, "restore", path, made.url, *WORDS) as running:
        wait_until(lambda: one(made.url, _WAITING) == 1)
        execute(made.url, "alter table ducklake_tag enable row level security")
        go_on()
        done = running.end()

    failure(done, 1, "row-level security", "ducklake_tag", hint="try again")
    assert schemas(made.url) == {"public"}


def test_table_lost_before_the_exchange_is_noticed(made: Lake, cli: Cli, tmp_path: Path) -> None:
    """When somebody drops a table that was proved, the exchange finds it missing, and the old catalog stays."""
    path = dump(made.url, tmp_path).path
    change(made.url)
    before = dumped(made.url, tmp_path)
    with psycopg.connect(made.url) as reader:
        reader.execute("select from ducklake_snapshot")
        with started(cli, "restore", path, made.url, *WORDS) as running:
            wait_until(lambda: one(made.url, _WAITING) == 1)
            (name,) = schemas(made.url) - {"public"}
            execute(made.url, f'drop table "{name}".ducklake_view')
            reader.rollback()
            done = running.end()

    failure(done, 1, "somebody has changed schema dlbackup_restoring_")
    assert dumped(made.url, tmp_path) == before
    assert schemas(made.url) == {"public"}


@pytest.mark.parametrize("point", [long(0.2), long(0.35), 0.5, long(0.6), long(0.7), 0.8, long(0.9), 0.97])
def test_killed_at_any_point_leaves_old_or_new(
    made: Lake, tight: Server, cli: Cli, tmp_path: Path, usual_s: float, point: float
) -> None:
    """A restore that is killed has exchanged the catalog or not touched it, and the next one drops what it left."""
    path = dump(made.url, tmp_path).path
    change(made.url)
    before = dumped(made.url, tmp_path)
    with started(cli, "restore", path, made.url, *WORDS, "--drop-replaced") as running:
        time.sleep(point * usual_s)
        running.kill()
    settle(tight, made.url)

    found: Contents = dumped(made.url, tmp_path)
    assert found in (before, contents(path))
    again = cli("restore", path, made.url, *WORDS, "--drop-replaced")
    assert again.exit_code == 0, again
    assert dumped(made.url, tmp_path) == contents(path)
    assert schemas(made.url) == {"public"}


@pytest.fixture(scope="module")
def usual_s(tight: Server, own_lakes: Lakes, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long a restore takes that nobody disturbs."""
    folder = tmp_path_factory.mktemp("usual")
    with own_lakes.copy("plain", "0.3", tight, "public") as lake:
        path = dump(lake.url, folder).path
        begun = time.monotonic()
        assert Cli(folder)("restore", path, lake.url, *WORDS).exit_code == 0
        return time.monotonic() - begun


@pytest.mark.long
def test_thousands_of_tables_on_default_settings(server: Server, cli: Cli, tmp_path: Path) -> None:
    """More tables than the server has locks for: restored, dumped, verified, replaced and dumped again, all equal."""
    count = int(os.environ.get("DLBACKUP_TEST_TABLES") or 2000)
    columns = (
        Column(name="row_id", type="bigint"),
        Column(name="begin_snapshot", type="bigint"),
        Column(name="t", type="text"),
    )
    tables = [(Table(name=f"ducklake_inlined_data_{n}_1", columns=columns), [row(n, 1, "it's")]) for n in range(count)]
    path = tmp_path / "many"
    write_backup(path, [*sorted(tables, key=lambda each: each[0].name), *small()])
    with server.database() as url:
        words = ("--no-owner", "--no-privileges", "--no-data-files")
        done = cli("restore", path, url, *words, timeout_s=300)
        assert done.exit_code == 0, done
        assert "in batches" in done.stderr
        first = dump(url, tmp_path / "first.zst").path
        assert {name: rows for name, (_, rows) in contents(first).items()} == {
            name: rows for name, (_, rows) in contents(path).items()
        }
        again = cli("restore", first, url, *WORDS, "--drop-replaced", timeout_s=300)
        assert again.exit_code == 0, again
        assert dumped(url, tmp_path) == contents(first)


_TABLE = """
insert into ducklake_table values ({t}, gen_random_uuid(), 1, null, 0, 'inlined_{t}', 'inlined_{t}/', true);
insert into ducklake_column values (1, 1, null, {t}, 1, 'name', 'varchar', null, null, true, null);
insert into ducklake_inlined_data_tables values ({t}, 'ducklake_inlined_data_{t}_1', 1);
create table ducklake_inlined_data_{t}_1
  (row_id bigint, begin_snapshot bigint, end_snapshot bigint, name varchar);
insert into ducklake_inlined_data_{t}_1 values (0, 1, null, 'one'), (1, 1, null, '\\x41');
"""
_TABLES = range(1000, 1012)


@pytest.fixture
def inlined(made: Lake) -> Lake:
    """The lake with more inlined tables to be mended than one transaction has the locks for."""
    for number in _TABLES:
        execute(made.url, *_TABLE.format(t=number).strip().split(";\n"))
    return made


def _mended(url: str) -> int:
    """Count the inlined tables whose text is kept as DuckDB 1.5 does."""
    query = (
        "select count(*) from pg_attribute where attrelid::regclass::text ~ '^ducklake_inlined_data_1[0-9]{3}_1$'"
        " and attname = 'name' and format_type(atttypid, atttypmod) = 'bytea'"
    )
    return int(str(one(url, query)))


def test_undo_in_batches_leaves_nothing(inlined: Lake, cli: Cli, tmp_path: Path) -> None:
    """A migration that fails after its mends is undone by an exchange of schemas, and what was replaced is gone."""
    before = dumped(inlined.url, tmp_path)
    dead = engine_that(tmp_path, before="os.abort()", statement=OPENS)

    done = cli("migrate", inlined.url, "--no-rehearsal", "--ignore-clients", "--json", "--engine", dead)

    assert (done.exit_code, done.json()["outcome"]) == (6, "rolled-back"), done
    assert schemas(inlined.url) == {"public"}
    assert dumped(inlined.url, tmp_path) == before


@pytest.mark.parametrize("words", all_together(_OTHERS, "table public.ducklake_jobs"))
def test_undo_that_could_not_be_exchanged_is_known_before(
    inlined: Lake, cli: Cli, whole_lists: None, words: tuple[str, ...]
) -> None:
    """Where an undo would need more locks than there are and the schema can't be exchanged, nothing is begun."""
    execute(inlined.url, *(_OTHERS[each] for each in words))
    before = dumped(inlined.url, cli.cwd)

    failure(cli("migrate", inlined.url, "--ignore-clients"), 4, *words, hint="max_locks_per_transaction")

    (blocker,) = cli("plan", inlined.url, "--ignore-clients", "--json").json()["blockers"]
    assert blocker["type"] == "TooManyLocks"
    assert [each for each in words if each not in blocker["message"]] == []
    assert dumped(inlined.url, cli.cwd) == before


def test_sequences_are_exchanged_with_their_tables(made: Lake, cli: Cli, tmp_path: Path) -> None:
    """An identity of a catalog table doesn't keep its schema from being exchanged, and stands where it stood."""
    execute(
        made.url,
        "alter table ducklake_data_file alter data_file_id add generated always as identity (start 1000)",
        "select nextval('ducklake_data_file_data_file_id_seq')",
    )
    path = dump(made.url, tmp_path).path

    done = cli("restore", path, made.url, *WORDS)

    assert done.exit_code == 0, done
    assert "in batches" in done.stderr
    assert dumped(made.url, tmp_path) == contents(path)


def test_killed_between_batches_of_a_mend(inlined: Lake, cli: Cli) -> None:
    """Some inlined tables are mended and others not when a migration is killed: the next one mends the rest."""
    words = ("migrate", inlined.url, "--no-rehearsal", "--ignore-clients")
    with psycopg.connect(inlined.url) as reader:
        reader.execute(f"select from ducklake_inlined_data_{_TABLES[-1]}_1".encode())  # keeps it from being altered
        with started(cli, *words) as running:
            wait_until(lambda: _mended(inlined.url))
            running.kill()
    nothing_left(inlined)
    assert 0 < _mended(inlined.url) < len(_TABLES)

    done = cli(*words, "--json")

    assert (done.exit_code, done.json()["outcome"]) == (0, "migrated"), done
    assert _mended(inlined.url) == len(_TABLES)
    assert schemas(inlined.url) == {"public"}
