"""What stands around a catalog: plan and migrate name it, and rehearsals don't touch it."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from support.cli import Cli
from support.comparison import execute
from support.faults.faults import one
from support.lakes.lakes import Lake, LakeFactory

_SENT = """
select count(*)
from pg_logical_slot_get_binary_changes('{it}', null, null, 'proto_version', '1', 'publication_names', '{it}')
where get_byte(data, 0) = ascii('I')
"""
"""How many inserted rows a subscriber has been sent since it was asked last."""


@contextmanager
def _published(made: Lake, what: str) -> Iterator[tuple[str, str]]:
    """Publish tables; yield the query of what subscribers are sent, and the publication's name."""
    name = f"p{secrets.token_hex(4)}"
    execute(made.url, f"create publication {name} {what}")
    one(made.url, f"select count(*) from pg_create_logical_replication_slot('{name}', 'pgoutput')")
    try:
        yield _SENT.format(it=name), name
    finally:
        one(made.url, f"select count(pg_drop_replication_slot('{name}'))")
        execute(made.url, f"drop publication {name}")


def test_rehearsal_sends_subscribers_nothing(lake: LakeFactory, cli: Cli) -> None:
    """Its tables would stop every subscriber of a publication of all tables, which doesn't have them."""
    made = lake("plain", "0.3")
    backup = cli("dump", made.url, "--json").json()["path"]
    with _published(made, "for all tables") as (sent, _):
        assert cli("verify", backup, "--rehearse", made.url).exit_code == 0
        written = "insert into ducklake_metadata (key, value) values ('k', 'v')"
        execute(made.url, "set synchronous_commit = on", written)  # what isn't flushed isn't decoded
        assert one(made.url, sent) == 1


def test_publications_are_named(lake: LakeFactory, cli: Cli) -> None:
    """Plan and migrate say that a subscriber stops at what a migration makes, and what helps."""
    made = lake("plain", "0.3")
    with _published(made, "for all tables") as (_, name):
        (blocker,) = cli("plan", made.url, "--json").json()["blockers"]
        execute(made.url, blocker["hint"])
        planned = cli("plan", made.url, "--json").json()
        done = cli("migrate", made.url, "--no-rehearsal", "--ignore-clients")

    (said,) = [text for text in planned["warnings"] if text.startswith(f"publication {name} takes in all")]
    assert said in done.stderr
    assert done.exit_code == 0, done.stderr


def test_updates_that_the_server_refuses_are_known_beforehand(lake: LakeFactory, cli: Cli) -> None:
    """Without a replica identity published tables can't be updated: the migration would fail under the fence."""
    made = lake("plain", "0.3")
    with _published(made, "for all tables"):
        planned = cli("plan", made.url, "--json").json()
        done = cli("migrate", made.url, "--json", "--ignore-clients")

    (blocker,) = [blocker for blocker in planned["blockers"] if blocker["type"] == "CannotMigrate"]
    assert "which a migration does: ducklake_column, " in blocker["message"]
    assert (done.exit_code, done.json()["error"]["hint"]) == (4, blocker["hint"])
    assert list(cli.cwd.glob("*.zst")) == []


def test_publication_of_other_tables_is_nothing_to_a_migration(lake: LakeFactory, cli: Cli) -> None:
    """Only those of catalog tables are named, and there is nothing else to warn of."""
    made = lake("plain", "0.3")
    execute(made.url, "create table other (i int)")
    with _published(made, "for table other"):
        assert cli("plan", made.url, "--json").json()["warnings"] == []


def test_few_connections_are_named(lake: LakeFactory, cli: Cli) -> None:
    """A role or a database that may open few connections is named beforehand, with how many a migration needs."""
    made = lake("plain", "0.3")
    role = f"r{secrets.token_hex(4)}"
    execute(made.url, f"create role {role} login password 'r' connection limit 3")
    try:
        execute(
            made.url,
            f"grant all on schema public to {role}",
            f"grant select on all tables in schema public to {role}",
        )
        url = psycopg.conninfo.make_conninfo(made.url, user=role, password="r")
        planned = cli("plan", f"postgres:{url}", "--json").json()
        (said,) = planned["warnings"]
        assert said.startswith(
            "the role (CONNECTION LIMIT) has room for 2 more connections, and a migration opens up to 6"
        )
        assert any("pg_read_all_stats" in what for what in planned["not_looked_at"])
        database = one(made.url, "select current_database()")
        execute(made.url, f"alter role {role} connection limit -1", f"alter database {database} connection limit 2")
        (said,) = cli("plan", f"postgres:{url}", "--json").json()["warnings"]
        assert said.startswith("the database (CONNECTION LIMIT) has room for 1 more connections")
    finally:
        with suppress(psycopg.Error):
            execute(made.url, f"drop owned by {role}")
        execute(made.url, f"drop role {role}")


def test_event_triggers_are_named(lake: LakeFactory, cli: Cli) -> None:
    """What they do can't be told before the rehearsal: those that run for what a migration does are named."""
    made = lake("plain", "0.3")
    execute(
        made.url,
        "create function public.watch() returns event_trigger language plpgsql as 'begin end'",
        "create event trigger makes_tables on ddl_command_end when tag in ('CREATE TABLE') execute function watch()",
        "create event trigger anything on ddl_command_start execute function watch()",
        "create event trigger roles on ddl_command_end when tag in ('CREATE VIEW') execute function watch()",
        "create event trigger off on ddl_command_start execute function watch()",
        "alter event trigger off disable",
    )

    (said,) = (what for what in cli("plan", made.url, "--json").json()["not_looked_at"] if "event triggers" in what)

    assert said.endswith("when tables are made or changed: anything, makes_tables")
