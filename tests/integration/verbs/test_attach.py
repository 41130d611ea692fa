"""Programs that open their lakes: what `attach` refuses, migrates, makes and attaches, and for how many at once."""

import re
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import resources
from pathlib import Path

import duckdb
import psycopg
import pytest
from psycopg import sql
from support.cli import Cli
from support.comparison import execute
from support.engines.engines import engine
from support.engines.programs import CUSTOMERS, connect, value
from support.faults.faults import engine_that, new_role, one, pause, sessions, started, state
from support.lakes.in_files import FileLakes
from support.lakes.lakes import Lake, LakeFactory
from support.longer import long
from support.waiting import wait_until

import dlbackup
from dlbackup import MigrateOptions, errors
from dlbackup.engine.connection import engine_of
from dlbackup.runtime.progress import Event

_HOSTILE = "a b'c\\d\"e;--"


def keywords(made: Lake, user: str, password: str) -> str:
    """Return a lake's address as DuckLake has it, quoted by libpq's rules."""
    quoted = [text.replace("\\", "\\\\").replace("'", "\\'") for text in (user, password)]
    return (
        f"ducklake:postgres:host={made.server.host} port={made.server.port} dbname='{made.dbname}'"
        f" user='{quoted[0]}' password='{quoted[1]}'"
    )


def said(error: BaseException) -> str:
    """Return all that an error says: its message and hint, and the traceback with causes and contexts."""
    texts = ["".join(traceback.format_exception(error)), str(getattr(error, "hint", ""))]
    shown: BaseException | None = error
    while shown is not None:
        texts.append(str(shown))
        shown = shown.__context__
    return "\n".join(texts)


@pytest.mark.every_major
def test_current_lake_is_attached(connection: duckdb.DuckDBPyConnection, lake: LakeFactory) -> None:
    """A lake of the engine's own version is attached as it is, is read, and nothing else changes."""
    made = lake("plain", "1.0")
    before = state(made.url)

    attached = dlbackup.attach(connection, made.url)

    assert attached == dlbackup.Attached(
        alias="lake", schema="public", spec_version="1.0", opens=("1.0",), makes="1.0", created=False, migration=None
    )
    assert value(connection, CUSTOMERS) == 2
    assert state(made.url) == before
    assert value(connection, "select count(*) from duckdb_secrets()") == 0


def test_engine_of_1_1_opens_what_it_does_not_make(
    connection: duckdb.DuckDBPyConnection, file_lakes: FileLakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where new lakes would be 1.1, one of 1.0 is attached as it is, also where migrating is allowed; 0.3 isn't."""
    (tmp_path / "old").mkdir()
    lake, old = file_lakes.copy("plain", "1.5.5", tmp_path), file_lakes.copy("plain", "1.4.4", tmp_path / "old")
    made_up = replace(engine_of(connection, "duckdb"), spec_version="1.1")
    monkeypatch.setattr("dlbackup.engine.connection.engine_of", lambda connection, kind: made_up)

    attached = dlbackup.attach(connection, lake.path, migrate="backup-first", backup_dir=tmp_path / "backups")

    assert (attached.spec_version, attached.opens, attached.makes) == ("1.0", ("1.0", "1.1"), "1.1")
    assert (attached.migration, (tmp_path / "backups").exists()) == (None, False)
    connection.execute("create table lake.written as select 42 as i")
    with pytest.raises(errors.MigrationNeeded, match=r"opens 1\.0 and 1\.1 only"):
        dlbackup.attach(connection, old.path, alias="old")


@pytest.mark.parametrize("version", ["0.2", "0.3", "0.4"])
def test_old_lake_is_refused_by_default(connection: duckdb.DuckDBPyConnection, lake: LakeFactory, version: str) -> None:
    """Without leave to migrate, an older lake is refused with both versions and a way, and stays as it is."""
    made = lake("plain", version)
    before = state(made.url)

    with pytest.raises(errors.MigrationNeeded, match=rf"spec version {version}, .*1\.5\.5 opens 1\.0 only") as refused:
        dlbackup.attach(connection, made.url)

    assert refused.value.exit_code == 4
    assert "migrate='backup-first'" in refused.value.hint
    assert "DuckDB 1." in refused.value.hint
    assert state(made.url) == before
    assert value(connection, "select count(*) from duckdb_databases() where type = 'ducklake'") == 0


def test_old_lake_is_migrated_where_that_is_allowed(
    connection: duckdb.DuckDBPyConnection, lake: LakeFactory, tmp_path: Path, database: str
) -> None:
    """With leave to migrate, the whole pipeline runs, and its backup is the lake of before."""
    made = lake("plain", "0.3")
    before = state(made.url)
    events: list[Event] = []

    attached = dlbackup.attach(
        connection, made.url, migrate="backup-first", backup_dir=tmp_path, on_event=events.append
    )

    assert attached.migration is not None
    assert (attached.migration.from_version, attached.migration.to_version) == ("0.3", "1.0")
    assert {"dump", "verify", "rehearsal", "attach"} <= {event.stage for event in events}
    assert value(connection, CUSTOMERS) == 2
    (backup,) = tmp_path.glob("*.zst")
    dlbackup.restore(backup, database)
    assert state(database) == before


def test_migration_follows_its_options(
    connection: duckdb.DuckDBPyConnection, lake: LakeFactory, tmp_path: Path
) -> None:
    """Other clients stop the migration unless its options accept them; a missing folder stops it before anything."""
    made = lake("plain", "0.4")
    before = state(made.url)
    accepting = MigrateOptions(ignore_clients=True, rehearsal=False, backup_dir=tmp_path)

    with psycopg.connect(made.url):
        with pytest.raises(errors.ClientsConnected):
            dlbackup.attach(connection, made.url, migrate="backup-first", backup_dir=tmp_path)
        with pytest.raises(errors.StorageError):
            dlbackup.attach(connection, made.url, migrate="backup-first", backup_dir=tmp_path / "missing")
        with pytest.raises(errors.CannotMigrate):
            dlbackup.attach(connection, made.url, migrate="backup-first", migration=replace(accepting, to="0.4"))
        assert state(made.url) == before
        attached = dlbackup.attach(connection, made.url, migrate="backup-first", migration=accepting)

    assert attached.migration is not None
    assert "rehearsal" not in [stage.stage for stage in attached.migration.stages]


@pytest.mark.long
def test_lake_that_needs_two_steps(connection: duckdb.DuckDBPyConnection, lake: LakeFactory, tmp_path: Path) -> None:
    """A 0.2 lake goes over 0.3 by an engine that is named; a migration that ends too early is in the error."""
    made, other = lake("plain", "0.2"), lake("plain", "0.2")
    options = MigrateOptions(rehearsal=False, backup_dir=tmp_path)

    attached = dlbackup.attach(
        connection, made.url, migrate="backup-first", migration=replace(options, engine=engine("1.4.4").python)
    )
    with pytest.raises(errors.MigrationNeeded, match=r"spec version 0\.3") as left:
        dlbackup.attach(
            connection,
            other.url,
            alias="other",
            migrate="backup-first",
            migration=replace(options, engine=engine("1.4.4").python, to="0.3"),
        )

    assert attached.migration is not None
    assert (attached.migration.from_version, attached.migration.to_version) == ("0.2", "1.0")
    assert value(connection, CUSTOMERS) == 2
    assert isinstance(left.value.result, dlbackup.Migration)


def test_migration_that_was_cut_off_is_finished_first(
    connection: duckdb.DuckDBPyConnection, lake: LakeFactory, cli: Cli, tmp_path: Path
) -> None:
    """A lake whose migration was killed before its mends looks current, but is opened only when they are made."""
    made = lake("inlined", "0.3")
    marker = tmp_path / "marker"
    slow = engine_that(tmp_path, after=pause(marker))
    with started(cli, "migrate", made.url, "--no-rehearsal", "--engine", slow) as running:
        wait_until(marker.exists)
        running.kill()
    wait_until(lambda: not sessions(made.url))
    before = state(made.url)
    assert before[0].spec_version == "1.0"
    (tmp_path / "other").mkdir()

    with pytest.raises(errors.CutOff, match="cut off before it was proved and mended"):
        dlbackup.attach(connection, made.url)
    assert state(made.url) == before
    attached = dlbackup.attach(connection, made.url, migrate="backup-first", backup_dir=tmp_path / "other")

    assert attached.migration is not None
    assert "inlined-types" in [mend.rule for mend in attached.migration.mends]
    assert dlbackup.attach(connection, made.url, alias="again").migration is None


def test_newer_lake_is_refused(connection: duckdb.DuckDBPyConnection, lake: LakeFactory) -> None:
    """A lake that only a newer engine opens is refused, whatever is allowed, and is not touched."""
    made = lake("plain", "1.0")
    execute(made.url, "update ducklake_metadata set value = '1.1-dev1' where key = 'version'")
    before = state(made.url)

    with pytest.raises(errors.CannotMigrate, match=r"spec version 1\.1-dev1, newer than 1\.0"):
        dlbackup.attach(connection, made.url)
    with pytest.raises(errors.CannotMigrate, match=r"spec version 1\.1-dev1, newer than 1\.0"):
        dlbackup.attach(connection, made.url, migrate="backup-first")

    assert state(made.url) == before


@pytest.mark.parametrize("versions", [[], ["1.0", "1.0"], ["2.7"]])
def test_lake_without_one_known_version_is_refused(
    connection: duckdb.DuckDBPyConnection, lake: LakeFactory, versions: list[str]
) -> None:
    """No version, two, or an unknown one: DuckDB itself would attach the first two, which nobody can vouch for."""
    made = lake("plain", "1.0")
    execute(made.url, "delete from ducklake_metadata where key = 'version'")
    for version in versions:
        execute(made.url, f"insert into ducklake_metadata values ('version', '{version}', null, null)")

    with pytest.raises(errors.UnknownVersion):
        dlbackup.attach(connection, made.url, migrate="backup-first")


@pytest.mark.parametrize("place", ["database", "schema"])
def test_misspelt_place_makes_no_lake(
    connection: duckdb.DuckDBPyConnection, lake: LakeFactory, database: str, place: str
) -> None:
    """A database or schema without a lake is an error, and neither a schema nor a table comes to be there."""
    url, schema = (database, None) if place == "database" else (lake("plain", "1.0").url, "publica")
    count = "select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace where nspname !~ '^pg_'"
    before = one(url, count), one(url, "select count(*) from pg_namespace")

    with pytest.raises(errors.NotALake, match="holds no DuckLake catalog") as missing:
        dlbackup.attach(connection, url, metadata_schema=schema, DATA_PATH="/nowhere")

    assert "create=True" in missing.value.hint
    assert (one(url, count), one(url, "select count(*) from pg_namespace")) == before


def test_new_lake_is_made_when_asked_for(connection: duckdb.DuckDBPyConnection, database: str, tmp_path: Path) -> None:
    """In an empty database `create` makes a lake, and the next call finds it."""
    schema = 'Odd "Schema" it\'s, \\ %'

    with pytest.raises(errors.UsageError, match="DATA_PATH"):
        dlbackup.attach(connection, database, create=True)
    first = dlbackup.attach(connection, database, create=True, metadata_schema=schema, DATA_PATH=tmp_path)
    connection.execute("create table lake.t as select 42 as i")
    with connect() as other:
        second = dlbackup.attach(other, database, create=True, DATA_PATH=tmp_path)
        assert value(other, "from lake.t") == 42

    assert (first.created, first.spec_version, first.schema) == (True, "1.0", schema)
    assert (second.created, second.schema) == (False, schema)
    assert one(database, "select count(*) from pg_tables where tablename = 'ducklake_metadata'") == 1


def test_no_lake_is_made_over_the_remains_of_another(
    connection: duckdb.DuckDBPyConnection, lake: LakeFactory, tmp_path: Path
) -> None:
    """A schema that lost its ducklake_metadata is refused even with `create`, and nothing is made in it."""
    made = lake("plain", "1.0")
    execute(made.url, "drop table ducklake_metadata")
    before = one(made.url, "select count(*) from pg_class")

    with pytest.raises(errors.NotEmpty, match="schema public holds no catalog, but 36 tables of one: ducklake_"):
        dlbackup.attach(connection, made.url, create=True, DATA_PATH=tmp_path)

    assert one(made.url, "select count(*) from pg_class") == before


def test_alias_that_stands_is_left_alone(connection: duckdb.DuckDBPyConnection, lake: LakeFactory) -> None:
    """The same alias for the same lake with the same options is done; for anything else it is taken."""
    made, other = lake("plain", "1.0"), lake("plain", "1.0")
    dlbackup.attach(connection, made.url, READ_ONLY=True, META_ISOLATION_LEVEL="serializable")
    oid = value(connection, "select database_oid from duckdb_databases() where database_name = 'lake'")

    again = dlbackup.attach(
        connection, made.url, alias="LAKE", read_only=True, metadata_parameters={"isolation_level": "serializable"}
    )

    assert again.spec_version == "1.0"
    assert value(connection, "select database_oid from duckdb_databases() where database_name = 'lake'") == oid
    with pytest.raises(errors.AliasTaken, match="the name lake is taken"):
        dlbackup.attach(connection, other.url, READ_ONLY=True, META_ISOLATION_LEVEL="serializable")
    with pytest.raises(errors.AliasTaken):
        dlbackup.attach(connection, made.url, META_ISOLATION_LEVEL="serializable")
    with pytest.raises(errors.AliasTaken):
        dlbackup.attach(connection, made.url, SNAPSHOT_VERSION=3, META_ISOLATION_LEVEL="serializable")
    with pytest.raises(errors.AliasTaken):
        dlbackup.attach(connection, made.url, alias="memory")


def test_options_reach_the_engine(connection: duckdb.DuckDBPyConnection, lake: LakeFactory, tmp_path: Path) -> None:
    """Each of DuckLake's options is taken by the engine as it was meant."""
    made = lake("plain", "1.0")
    odd = tmp_path / 'it\'s a "folder"'

    dlbackup.attach(connection, made.url, alias='odd "alias" it\'s', SNAPSHOT_VERSION=2, METADATA_CATALOG="the meta")
    dlbackup.attach(
        connection,
        made.url,
        DATA_PATH=odd,
        OVERRIDE_DATA_PATH=True,
        ENCRYPTED=False,
        DATA_INLINING_ROW_LIMIT=7,
        WRITE_DELETION_VECTORS=False,
        BUSY_TIMEOUT=1234,
        READ_ONLY=False,
    )

    assert value(connection, "select readonly from duckdb_databases() where database_name = 'odd \"alias\" it''s'")
    assert value(connection, "select value from \"the meta\".ducklake_metadata where key = 'version'") == "1.0"
    options = value(connection, "select options from duckdb_databases() where database_name = 'lake'")
    assert options["data_path"] == str(odd)
    assert (options["data_inlining_row_limit"], options["busy_timeout"]) == ("7", "1234")
    assert options["create_if_not_exists"] == "false"
    with pytest.raises(errors.EngineError, match=r"attaching .* as l2: .*option ducklake_version"):
        dlbackup.attach(connection, made.url, alias="l2", DUCKLAKE_VERSION="1.0")


def test_password_of_any_kind_is_never_shown(
    connection: duckdb.DuckDBPyConnection, lake: LakeFactory, tmp_path: Path
) -> None:
    """A hostile password opens and migrates the lake; nothing that DuckDB or an error says holds it."""
    made = lake("plain", "0.4")
    with new_role(made, _HOSTILE, owner=True) as url, connect() as other:
        role = str(one(url, "select current_user"))
        address = keywords(made, role, _HOSTILE)

        options = MigrateOptions(rehearsal=False, backup_dir=tmp_path)
        dlbackup.attach(connection, address, migrate="backup-first", migration=options)

        shown = repr(connection.execute("select * from duckdb_databases()").fetchall())
        shown += repr(connection.execute("select * from duckdb_secrets()").fetchall())
        shown += repr(connection.execute("select * from duckdb_settings()").fetchall())
        shown += repr([path.name for path in tmp_path.iterdir()])
        assert value(connection, CUSTOMERS) == 2
        wrong = keywords(made, role, f"{_HOSTILE} wrong")
        with pytest.raises(errors.Unreachable) as refused:
            dlbackup.attach(other, wrong)
        with pytest.raises(errors.EngineError) as failed:
            dlbackup.attach(other, address, DUCKLAKE_VERSION="1.0")
        shown += said(refused.value) + said(failed.value)
        connection.close()

    assert "duckl" in shown
    assert "c\\d" not in shown
    assert "e;--" not in shown


def test_secret_is_in_no_statement(connection: duckdb.DuckDBPyConnection, lake: LakeFactory) -> None:
    """DuckDB's own log of statements holds the ATTACH, but no password."""
    made = lake("plain", "1.0")
    connection.execute("call enable_logging('QueryLog')")

    dlbackup.attach(connection, made.url)

    texts = [text for (text,) in connection.execute("select message from duckdb_logs").fetchall()]
    assert [text for text in texts if "ATTACH" in text and made.dbname in text]
    assert [text for text in texts if "CREATE TEMPORARY SECRET" in text]
    assert [text for text in texts if made.server.password in text] == []


def test_pool_connects_again_without_the_secret(connection: duckdb.DuckDBPyConnection, lake: LakeFactory) -> None:
    """The secret is dropped after attaching, and later connections of the engine's pool get in all the same."""
    made = lake("plain", "1.0")
    with new_role(made, _HOSTILE, owner=True) as url:
        role = str(one(url, "select current_user"))
        dlbackup.attach(connection, keywords(made, role, _HOSTILE))
        assert value(connection, "select count(*) from duckdb_secrets()") == 0
        ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = '{}'"
        assert one(made.url, ended.format(role)) == 1
        barrier = threading.Barrier(4)

        def read(cursor: duckdb.DuckDBPyConnection) -> object:
            cursor.execute("begin")
            rows = value(cursor, CUSTOMERS)
            barrier.wait(30)
            return rows

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(read, [connection.cursor() for _ in range(4)])) == [2] * 4
        assert one(made.url, f"select count(*) from pg_stat_activity where usename = '{role}'") == 4
        connection.close()


def test_the_users_own_secret_does_not_lead_elsewhere(
    connection: duckdb.DuckDBPyConnection, lake: LakeFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB's unnamed secret for PostgreSQL, which names another database, doesn't change what is opened."""
    made, other = lake("plain", "1.0"), lake("plain", "1.0")
    execute(other.url, "update ducklake_metadata set value = '0.9' where key = 'version'")
    connection.execute(f"load {_library('postgres_scanner')}")
    connection.execute(f"create secret (type postgres, database '{other.dbname}', user 'nobody')")
    for name, text in (("PGDATABASE", made.dbname), ("PGPASSWORD", made.server.password), ("PGUSER", made.server.user)):
        monkeypatch.setenv(name, text)

    dlbackup.attach(connection, f"postgres:host={made.server.host} port={made.server.port}")

    assert value(connection, CUSTOMERS) == 2


def _library(name: str) -> str:
    folder = resources.files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}"
    return f"'{folder / f'{name}.duckdb_extension'}'"


def test_attached_programs_are_clients_of_others(
    connection: duckdb.DuckDBPyConnection, lake: LakeFactory, tmp_path: Path
) -> None:
    """Whoever attached by `attach` is a client by the name of the schema, whom a restore in its place respects."""
    made = lake("plain", "1.0")
    backup = dlbackup.dump(made.url, tmp_path)
    dlbackup.attach(connection, made.url)

    assert sessions(made.url) == ["ducklake public"]
    with pytest.raises(errors.ClientsConnected, match="ducklake public"):
        dlbackup.restore(backup.path, made.url, dlbackup.RestoreOptions(replace=True))


def test_failure_is_not_remembered(connection: duckdb.DuckDBPyConnection, lake: LakeFactory, tmp_path: Path) -> None:
    """A call that failed because the role could not log in, or had no right, works as soon as the cause is gone."""
    made, options = lake("plain", "0.4"), MigrateOptions(rehearsal=False, backup_dir=tmp_path)
    with new_role(made, "first", owner=True) as url:
        role = str(one(url, "select current_user"))
        name = sql.Identifier(role)
        with psycopg.connect(made.url, autocommit=True) as admin:
            admin.execute(sql.SQL("alter role {} nologin").format(name))
            with pytest.raises(errors.Unreachable):
                dlbackup.attach(connection, url, migrate="backup-first", migration=options)
            admin.execute(sql.SQL("alter role {} login").format(name))
            admin.execute(sql.SQL("alter table ducklake_tag owner to current_user"))
            admin.execute(sql.SQL("grant select on ducklake_tag to {}").format(name))
        with pytest.raises(errors.NotOwner):
            dlbackup.attach(connection, url, migrate="backup-first", migration=options)
        assert list(tmp_path.iterdir()) == []
        with psycopg.connect(made.url) as admin:
            admin.execute(sql.SQL("alter table ducklake_tag owner to {}").format(name))

        attached = dlbackup.attach(connection, url, migrate="backup-first", migration=options)

        assert attached.migration is not None
        connection.close()


def test_what_is_remembered_is_looked_at_again_when_attaching_fails(lake: LakeFactory, tmp_path: Path) -> None:
    """A lake that was found fit and has been put back to an older version since is refused, then migrated again."""
    made = lake("plain", "0.4")
    old, options = dlbackup.dump(made.url, tmp_path), MigrateOptions(rehearsal=False, backup_dir=tmp_path)
    with connect() as first:
        dlbackup.attach(first, made.url, migrate="backup-first", migration=options)
    wait_until(lambda: not sessions(made.url))
    dlbackup.restore(old.path, made.url, dlbackup.RestoreOptions(replace=True, drop_replaced=True))

    with connect() as second:
        with pytest.raises(errors.MigrationNeeded):
            dlbackup.attach(second, made.url)
        again = dlbackup.attach(second, made.url, migrate="backup-first", migration=options)

    assert again.migration is not None


def test_transaction_of_the_program_goes_on(connection: duckdb.DuckDBPyConnection, lake: LakeFactory) -> None:
    """A lake is attached inside an open transaction too, and can be read there and after it."""
    made = lake("plain", "1.0")
    connection.execute("begin; create table mine (i int)")

    dlbackup.attach(connection, made.url)

    assert value(connection, CUSTOMERS) == 2
    connection.execute("commit")
    assert value(connection, CUSTOMERS) == 2
    assert value(connection, "select count(*) from mine") == 0


_OTHER_ENGINE = """
import site, sys
site.addsitedir({site!r})
import duckdb, dlbackup
from dlbackup import errors
connection = duckdb.connect()
for url, words in {jobs!r}:
    try:
        attached = dlbackup.attach(connection, url, alias="lake", **words)
        print(attached.spec_version, connection.execute({query!r}).fetchone()[0])
        again = dlbackup.attach(connection, url, alias="lake", **words)
        shown = connection.execute("select * from duckdb_databases()").fetchall()
        assert {password!r} not in str(shown), shown
        connection.execute("detach lake")
    except errors.DlbackupError as exc:
        print(type(exc).__name__)
"""


_WITHOUT_A_LOOK = """
import site, sys
site.addsitedir({site!r})
import duckdb
from dlbackup.addresses.address import parse_address
from dlbackup.engine.statements import Opening
from dlbackup.errors import EngineError
from dlbackup.engine.connection import engine_of, open_lake
connection = duckdb.connect()
try:
    open_lake(connection, Opening(parse_address({url!r}), "public"), "lake", {{}}, engine_of(connection, "postgres"))
except EngineError as exc:
    print(exc.message)
"""


@pytest.mark.parametrize("version", [long("1.4.4"), "1.5.1"])
def test_attaching_never_migrates(lake: LakeFactory, version: str) -> None:
    """Even where a catalog turns out older at the very moment of attaching, no engine migrates it."""
    made = lake("plain", "0.2")
    before = state(made.url)

    said = engine(version).script(_WITHOUT_A_LOOK.format(site=str(Path(psycopg.__file__).parents[1]), url=made.url))

    assert re.search(r"migrat", said)
    assert "0.2" in said
    assert state(made.url) == before


@pytest.mark.parametrize("version", ["1.4.4", long("1.5.1")])
def test_other_engines_open_their_own_version_only(lake: LakeFactory, version: str) -> None:
    """A DuckDB of another version opens lakes of its own version, and refuses older and newer ones as they are."""
    its = engine(version)
    own, older, newer = lake("plain", its.spec), lake("plain", "0.2"), lake("plain", "1.0")
    before = state(older.url), state(newer.url)
    jobs = [(own.url, {}), (own.url, {"READ_ONLY": True}), (older.url, {}), (newer.url, {"migrate": "backup-first"})]
    code = _OTHER_ENGINE.format(
        site=str(Path(psycopg.__file__).parents[1]), jobs=jobs, query=CUSTOMERS, password=own.server.password
    )

    answers = its.script(code).splitlines()

    assert answers == [f"{its.spec} 2", f"{its.spec} 2", "MigrationNeeded", "CannotMigrate"]
    assert (state(older.url), state(newer.url)) == before


def test_lake_in_a_duckdb_file(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A lake in a DuckDB file is made, attached, and refused where it would have to be migrated."""
    path = tmp_path / "it's a lake.ducklake"
    with pytest.raises(errors.NotALake, match="no file"):
        dlbackup.attach(connection, str(path))
    assert not path.exists()

    assert dlbackup.attach(connection, str(path), create=True).created
    connection.execute("create table lake.t as select 42 as i")
    assert not dlbackup.attach(connection, str(path), create=True).created
    connection.execute("detach lake")
    assert dlbackup.attach(connection, f"ducklake:duckdb:{path}", READ_ONLY=True).spec_version == "1.0"
    assert value(connection, "from lake.t") == 42
    connection.execute("detach lake")
    with duckdb.connect(str(path)) as plain:
        plain.execute("update ducklake_metadata set value = '0.4' where key = 'version'")
    before = path.read_bytes()

    with connect() as other, pytest.raises(errors.MigrationNeeded):
        dlbackup.attach(other, str(path))
    assert path.read_bytes() == before


def test_a_name_is_of_the_folder_in_which_a_program_is(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that goes to another folder is not told that the lake of that name there is the one here."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        dlbackup.attach(connection, "lake.ducklake", create=True)
        connection.execute(f"CREATE TABLE lake.of_{name} (i int)")
        connection.execute("DETACH lake")
    dlbackup.attach(connection, "lake.ducklake")

    monkeypatch.chdir(tmp_path / "a")
    with pytest.raises(dlbackup.AliasTaken):
        dlbackup.attach(connection, "lake.ducklake")
    dlbackup.attach(connection, "lake.ducklake", alias="other")

    assert connection.sql("SELECT database_name, table_name FROM duckdb_tables() ORDER BY 1").fetchall() == [
        *(("lake", "of_b"), ("other", "of_a"))
    ]


def test_file_that_is_no_lake(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A DuckDB file without a catalog, a file of another kind and one that is not there are refused, each by name."""
    with duckdb.connect(str(tmp_path / "plain.duckdb")) as plain:
        plain.execute("create table t (i int)")
    (tmp_path / "other.duckdb").write_text("words " * 2000)

    with pytest.raises(errors.NotALake, match="holds no DuckLake catalog"):
        dlbackup.attach(connection, str(tmp_path / "plain.duckdb"))
    with pytest.raises(errors.NotALake, match="no DuckDB file"):
        dlbackup.attach(connection, str(tmp_path / "other.duckdb"))
    with pytest.raises(errors.NotALake, match="no file"):
        dlbackup.attach(connection, f"sqlite:{tmp_path}/lake.sqlite")
    assert not (tmp_path / "lake.sqlite").exists()
