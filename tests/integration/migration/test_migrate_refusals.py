"""What migrate refuses, with which words and exit codes; nothing is ever changed by a refusal."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.cli import Cli, Finished
from support.comparison import execute
from support.engines.engines import engine, engine_of
from support.faults.faults import new_role, one, role_of, state
from support.lakes.lakes import Lake, LakeFactory

from dlbackup.catalogs.postgres.clients.advisory_lock import lock_key


def _error(done: Finished) -> tuple[int, str, str]:
    """Return exit code, type and text of the error that a command gave, the same on both channels."""
    answer = done.json()
    error = answer["error"]
    assert answer["exit_code"] == done.exit_code
    assert f"error: {error['message']}" in done.stderr
    assert f"hint: {error['hint']}" in done.stderr or not error["hint"]
    assert "Traceback" not in done.stderr
    return done.exit_code, error["type"], f"{error['message']} | {error['hint']}"


def _set_version(version: str) -> str:
    return f"update ducklake_metadata set value = '{version}' where key = 'version'"


@dataclass(frozen=True)
class Case:
    """What was done to a plain lake of 0.3, and how migrate answers."""

    name: str
    done: str
    exit_code: int
    error: str
    words: str
    arguments: tuple[str, ...] = ()


_CASES = [
    Case("newer", _set_version("1.1-dev1"), 4, "CannotMigrate", "1.1-dev1, newer than 1.0.*restore a backup"),
    Case("unknown", _set_version("7.3"), 1, "UnknownVersion", "spec version 7.3.*newer dlbackup"),
    Case("development", _set_version("0.4-dev1"), 1, "UnknownVersion", "0.4-dev1.*not migrated"),
    Case("too-old", _set_version("0.3-dev1"), 4, "CannotMigrate", "0.3-dev1 where it is.*1.4"),
    Case(
        "no-version",
        "delete from ducklake_metadata where key = 'version'",
        1,
        "UnknownVersion",
        "names 0 spec versions instead of one",
    ),
    Case(
        "two-versions",
        "insert into ducklake_metadata (key, value) values ('version', '0.4')",
        1,
        "UnknownVersion",
        "names 2 spec versions instead of one",
    ),
    Case("not-a-lake", "drop table ducklake_metadata", 1, "NotALake", "holds no DuckLake catalog"),
    Case(
        "ambiguous",
        "create schema other; create table other.ducklake_metadata (key text, value text)",
        1,
        "Ambiguous",
        "2 catalogs, in the schemas other, public.*--metadata-schema",
    ),
    Case("other-schema", "create schema other", 1, "NotALake", "'other'.*public", ("--metadata-schema", "other")),
    Case(
        "view-for-a-table",
        "alter table ducklake_tag rename to t; create view ducklake_tag as select * from t",
        1,
        "Unsupported",
        "ducklake_tag is a view",
    ),
    Case(
        "to-an-older-version",
        "select 1",
        4,
        "CannotMigrate",
        "1.5.5 migrates to spec version 1.0 only, not to 0.4.*--engine",
        ("--to", "0.4"),
    ),
    Case("to-nowhere", "select 1", 4, "CannotMigrate", "not to later", ("--to", "later")),
    Case("no-folder", "select 1", 1, "StorageError", "missing is not a folder", ("--backup-dir", "missing")),
    Case(
        "folder-that-takes-no-files", "select 1", 1, "StorageError", "can't write /proc/duck", ("--backup-dir", "/proc")
    ),
    Case("no-engine", "select 1", 1, "EngineError", "missing/python.*pip install", ("--engine", "missing/python")),
    Case(
        "dependent-view",
        "create view mine as select * from ducklake_table",
        4,
        "HasDependents",
        r"view public\.mine.*ducklake_table.*drop what is named",
    ),
    Case(
        "dependent-key",
        "create table mine (id bigint references ducklake_snapshot (snapshot_id))",
        4,
        "HasDependents",
        "mine_id_fkey.*drop what is named",
    ),
    Case(
        "publication",
        "create publication mine for table ducklake_snapshot",
        4,
        "HasDependents",
        "publication mine.*drop what is named",
    ),
    Case(
        "no-key",
        "alter table ducklake_snapshot drop constraint ducklake_snapshot_pkey",
        3,
        "NotVerified",
        r"ducklake_snapshot has no primary key on \(snapshot_id\)",
    ),
    Case(
        "doubled-head",
        "alter table ducklake_snapshot drop constraint ducklake_snapshot_pkey;"
        " insert into ducklake_snapshot select * from ducklake_snapshot order by snapshot_id desc limit 1",
        3,
        "NotVerified",
        r"holds snapshot \d+ 2 times",
    ),
    Case("no-snapshot", "delete from ducklake_snapshot", 3, "NotVerified", "the newest snapshot is None"),
    Case("missing-table", "drop table ducklake_data_file", 3, "NotVerified", "table ducklake_data_file is missing"),
    Case("missing-columns", "drop table ducklake_column", 3, "NotVerified", "table ducklake_column is missing"),
    Case(
        "other-type",
        "alter table ducklake_column alter column nulls_allowed type varchar",
        3,
        "NotVerified",
        "nulls_allowed of table ducklake_column is character varying, not boolean",
    ),
]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_refusal_names_the_reason_and_changes_nothing(lake: LakeFactory, cli: Cli, case: Case) -> None:
    """Each catalog that can't be migrated safely is refused before the engine comes near it."""
    made = lake("plain", "0.3")
    execute(made.url, case.done)
    before = _everything(made)

    done = cli("migrate", made.url, "--json", *case.arguments)

    exit_code, error, text = _error(done)
    assert (exit_code, error) == (case.exit_code, case.error)
    assert re.search(case.words, text), text
    assert "attach:" not in done.stderr
    assert _everything(made) == before


def _everything(made: Lake) -> bytes:
    """Return the whole database as pg_dump writes it, which needs no healthy catalog."""
    dumped: bytes = made.server.run("pg_dump", "-d", made.dbname)
    return re.sub(rb"(?m)^\\(un)?restrict .*$", b"", dumped)


def test_plan_names_a_folder_that_is_not_there(lake: LakeFactory, cli: Cli) -> None:
    """What `migrate` refuses for blocks the plan; a name that ends in `/` is for a folder to be made."""
    made = lake("plain", "0.3")

    blocked = cli("plan", made.url, "--json", "--backup-dir", "missing")
    free = cli("plan", made.url, "--json", "--backup-dir", "missing/")

    (blocker,) = blocked.json()["blockers"]
    assert (blocked.exit_code, blocker["type"], blocker["message"]) == (4, "StorageError", "missing is not a folder")
    assert "'missing/'" in blocker["hint"]
    assert (free.exit_code, free.json()["blockers"]) == (0, [])


def test_way_out_of_0_2_works(lake: LakeFactory, cli: Cli) -> None:
    """A 0.2 catalog that DuckDB 1.4 has brought to 0.3 is migrated on to 1.0."""
    made = lake("plain", "0.2")
    engine_of("0.3").run(made.url, made.schema, [], options={"MIGRATE_IF_REQUIRED": True})
    assert state(made.url)[0].spec_version == "0.3"

    done = cli("migrate", made.url, "--json")

    assert done.exit_code == 0, done.stderr
    assert state(made.url)[0].spec_version == "1.0"


def test_older_engine_does_not_touch_a_newer_catalog(lake: LakeFactory, cli: Cli) -> None:
    """An engine that is older than the catalog is refused, by the versions of both."""
    made = lake("plain", "0.4")
    before = state(made.url)

    done = cli("migrate", made.url, "--json", "--engine", engine("1.4.4").python)

    exit_code, error, text = _error(done)
    assert (exit_code, error) == (4, "CannotMigrate")
    assert re.search(r"0\.4, newer than 0\.3.*1\.4\.4", text), text
    assert state(made.url) == before


def test_0_2_is_current_for_its_own_engine(lake: LakeFactory, cli: Cli) -> None:
    """With the engine that made it, even a 0.2 catalog needs nothing."""
    made = lake("plain", "0.2")

    done = cli("migrate", made.url, "--json", "--engine", engine("1.3.2").python)

    assert (done.exit_code, done.json()["outcome"]) == (0, "current")


def _not_owner(made: Lake, stack: ExitStack) -> str:
    return stack.enter_context(new_role(made, "secret", owner=False))


def _no_create(made: Lake, stack: ExitStack) -> str:
    url = stack.enter_context(new_role(made, "secret", owner=True))
    role = role_of(url)
    execute(made.url, f"revoke create on schema public from {role}; revoke create on schema public from public")
    return url


def _no_temp(made: Lake, stack: ExitStack) -> str:
    url = stack.enter_context(new_role(made, "secret", owner=True))
    database = made.dbname
    execute(
        made.url,
        f"revoke temp on database {database} from public; revoke temp on database {database} from {role_of(url)}",
    )
    return url


def _not_readable(made: Lake, stack: ExitStack) -> str:
    url = stack.enter_context(new_role(made, "secret", owner=False))
    execute(made.url, f"revoke select on ducklake_tag from {role_of(url)}")
    return url


@pytest.mark.parametrize(
    ("prepare", "exit_code", "error", "words"),
    [
        (_not_owner, 4, "NotOwner", r"does not own ducklake_column, .* and others .*owner: tester.*as the owner"),
        (_no_create, 4, "NotOwner", "no right of CREATE on schema public.*grant CREATE on schema public"),
        (_no_temp, 4, "NotOwner", "no right of TEMP on the database.*grant TEMP on the database"),
        (_not_readable, 1, "CatalogError", "no right to read ducklake_tag.*SELECT"),
    ],
)
def test_missing_right_is_named(
    lake: LakeFactory, cli: Cli, prepare: Callable[[Lake, ExitStack], str], exit_code: int, error: str, words: str
) -> None:
    """A role that may not do what the engine has to do is told which right it lacks."""
    made = lake("plain", "0.3")
    before = state(made.url)
    with ExitStack() as stack:
        done = cli("migrate", prepare(made, stack), "--json")

    found = _error(done)
    assert found[:2] == (exit_code, error)
    assert re.search(words, found[2]), found[2]
    assert "attach:" not in done.stderr
    assert state(made.url) == before


def test_rehearsal_that_may_make_no_schema_says_how_to_go_on(lake: LakeFactory, cli: Cli) -> None:
    """A role without CREATE on the database can't rehearse: it is told so, and can migrate without."""
    made = lake("plain", "0.3")
    with new_role(made, "secret", owner=True) as url:
        execute(made.url, f"revoke create on database {made.dbname} from {role_of(url)}")

        refused = cli("migrate", url, "--json")
        done = cli("migrate", url, "--json", "--no-rehearsal")

        assert _error(refused)[:2] == (4, "NotOwner")
        assert "--no-rehearsal" in refused.json()["error"]["hint"]
        assert (done.exit_code, done.json()["outcome"]) == (0, "migrated")


def test_member_of_the_owning_role_may_migrate(lake: LakeFactory, cli: Cli) -> None:
    """Membership in the owner is as good as being it, and the tables that the engine makes are the owner's too."""
    made = lake("plain", "0.3")
    with new_role(made, "secret", owner=True) as owner, new_role(made, "secret", owner=False) as member:
        execute(made.url, f"grant {role_of(owner)} to {role_of(member)}")

        done = cli("migrate", member, "--json")

        assert done.exit_code == 0, done.stderr
        owners = "select count(*) from pg_tables where schemaname = 'public' and quote_ident(tableowner) = '{}'"
        assert one(made.url, owners.format(role_of(owner))) == 28


def test_second_migrator_is_refused(lake: LakeFactory, cli: Cli) -> None:
    """One migrator per catalog: the second one is refused at once, for as long as the first one is there."""
    made = lake("plain", "0.3")
    before = state(made.url)

    with psycopg.connect(made.url) as other:
        other.execute("select pg_advisory_lock(%s)", [lock_key("public")])
        exit_code, error, text = _error(cli("migrate", made.url, "--json", "--ignore-clients"))

    assert (exit_code, error) == (4, "MigratorRuns")
    assert "schema public is running" in text
    assert state(made.url) == before
    assert list(cli.cwd.iterdir()) == []


def test_migrator_of_another_schema_is_no_hindrance(lake: LakeFactory, cli: Cli) -> None:
    """The lock is the catalog's, not the database's."""
    made = lake("plain", "0.3")

    with psycopg.connect(made.url) as other:
        other.execute("select pg_advisory_lock(%s)", [lock_key("another")])
        done = cli("migrate", made.url, "--json", "--ignore-clients")

    assert done.exit_code == 0, done.stderr


def test_connected_clients_are_named(lake: LakeFactory, cli: Cli) -> None:
    """Without an explicit choice migrate refuses while others are connected, and lists them and both choices."""
    made = lake("plain", "0.3")
    before = state(made.url)

    with psycopg.connect(made.url, application_name="the reporting job") as client:
        pid = client.info.backend_pid
        exit_code, error, text = _error(cli("migrate", made.url, "--json"))

    assert (exit_code, error) == (4, "ClientsConnected")
    assert re.search(rf"1 other client is.*pid {pid}: tester.*the reporting job", text), text
    assert "--terminate-clients" in text
    assert "--ignore-clients" in text
    assert state(made.url) == before
    assert list(cli.cwd.iterdir()) == []


def test_two_choices_about_clients_are_one_too_many(cli: Cli) -> None:
    """Ending and ignoring clients exclude each other: wrong usage, exit 2."""
    words: list[Any] = ["migrate", "postgres:dbname=none", "--json", "--terminate-clients", "--ignore-clients"]

    assert _error(cli(*words))[:2] == (2, "UsageError")


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf"])
@pytest.mark.parametrize("option", ["--lock-timeout", "--attach-timeout"])
def test_timeouts_are_positive_numbers(cli: Cli, option: str, value: str) -> None:
    """A timeout that is none is wrong usage, not a wait for ever."""
    exit_code, error, text = _error(cli("migrate", "postgres:dbname=none", "--json", f"{option}={value}"))

    assert (exit_code, error) == (2, "UsageError")
    assert option in text


def test_backup_of_a_refused_dump_is_kept(lake: LakeFactory, cli: Cli) -> None:
    """The dump that does not verify stays for whoever has to look into it, and says what is wrong with it."""
    made = lake("plain", "0.3")
    execute(made.url, "alter table ducklake_snapshot drop constraint ducklake_snapshot_pkey")

    cli("migrate", made.url)

    (backup,) = cli.cwd.glob("*.zst")
    checked = cli("verify", Path(backup), "--json")
    assert (checked.exit_code, [finding["rule"] for finding in checked.json()["findings"]]) == (3, ["missing-key"])
