"""Tables that a migration makes anew are like their sisters: whoever could work with the lake still can."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from support.cli import Cli
from support.comparison import execute
from support.hiding import HIDES_NEW_TABLES
from support.lakes.lakes import Lake, LakeFactory

_ALL = (
    "select c.oid::regclass::text, c.relreplident::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where n.nspname = 'public' and c.relname like 'ducklake\\_%' and c.relkind = 'r'"
)


def _tables(made: Lake) -> list[str]:
    return [name for name, _ in execute(made.url, _ALL)]


def _migrated(cli: Cli, url: str) -> str:
    """Migrate without a rehearsal; return what was said on the way."""
    done = cli("migrate", url, "--no-rehearsal", "--ignore-clients")
    assert done.exit_code == 0, done.stderr
    return done.stderr


@contextmanager
def _roles(made: Lake, *attributes: str) -> Iterator[list[str]]:
    """Make roles with those attributes, for as long as the lake is there."""
    names = [f"r{secrets.token_hex(4)}" for _ in attributes]
    execute(made.url, *(f"create role {name} {how}" for name, how in zip(names, attributes, strict=True)))
    try:
        yield names
    finally:
        for name in names:
            execute(made.url, f"reassign owned by {name} to current_user", f"drop owned by {name}")
        execute(made.url, *(f"drop role {name}" for name in names))


def test_readers_can_read_the_new_tables(lake: LakeFactory, cli: Cli) -> None:
    """What was granted on every table is granted on the new ones, and what default privileges gave them is not."""
    made = lake("plain", "0.3")
    with _roles(made, "nologin", "nologin") as (reader, stranger):
        execute(
            made.url,
            f"grant select on all tables in schema public to {reader}",
            f"alter default privileges in schema public grant insert on tables to {stranger}",
        )
        before = len(_tables(made))

        assert "differ in their grants" not in _migrated(cli, made.url)

        assert len(_tables(made)) > before
        for table in _tables(made):
            may = f"select has_table_privilege('{reader}', '{table}', 'select'),"
            may += f" has_table_privilege('{reader}', '{table}', 'insert'),"
            may += f" has_table_privilege('{stranger}', '{table}', 'insert')"
            assert execute(made.url, may) == [(True, False, False)], table
        execute(made.url, f"alter default privileges in schema public revoke insert on tables from {stranger}")


def test_a_member_of_the_owning_role_leaves_the_tables_to_it(lake: LakeFactory, cli: Cli) -> None:
    """New tables belong to the role that owns all others, and not to the member of it who migrated."""
    made = lake("plain", "0.3")
    with _roles(made, "nologin", "login password 'secret-7' superuser") as (owner, member):
        execute(made.url, f"alter schema public owner to {owner}", f"grant {owner} to {member}")
        execute(made.url, *(f"alter table {table} owner to {owner}" for table in _tables(made)))
        url = re.sub(r"//[^@]*@", f"//{member}:secret-7@", made.url)

        _migrated(cli, url)

        owners = execute(made.url, "select distinct tableowner from pg_tables where tablename like 'ducklake\\_%'")
        assert owners == [(owner,)]


def test_new_tables_can_be_replicated(lake: LakeFactory, cli: Cli) -> None:
    """Where every table has a full replica identity, the new ones have it too: a publication needs it for DELETE."""
    made = lake("plain", "0.3")
    execute(made.url, *(f"alter table {table} replica identity full" for table in _tables(made)))

    _migrated(cli, made.url)

    assert {identity for _, identity in execute(made.url, _ALL)} == {"f"}


def test_sisters_that_differ_are_named(lake: LakeFactory, cli: Cli) -> None:
    """Where the old tables don't agree, that is said, and whoever may read or write them all may do so with the new."""
    made = lake("plain", "0.3")
    with _roles(made, "nologin", "nologin", "login", "nologin") as (reader, group, member, monitor):
        execute(
            made.url,
            f"grant select on all tables in schema public to {reader}",
            f"grant select, insert on all tables in schema public to {group}",
            f"revoke select on ducklake_snapshot from {group}",
            f"grant select on ducklake_snapshot to {member}, {monitor}",
            f"grant {group} to {member}",
        )

        said = _migrated(cli, made.url)

        assert "the catalog's tables differ in their grants" in said
        assert "ducklake_macro" in said
        may = ", ".join(
            f"has_table_privilege(r, 'ducklake_macro', '{privilege}')" for privilege in ("select", "insert")
        )
        roles = f"unnest(array['{reader}', '{group}', '{member}', '{monitor}']) with ordinality u(r, n)"
        assert execute(made.url, f"select {may} from {roles} order by n") == [
            (True, False),
            (False, True),
            (True, True),
            (False, False),
        ]


def test_who_reads_columns_only_is_named(lake: LakeFactory, cli: Cli) -> None:
    """Columns granted one by one lock their readers out of what a migration makes: `plan` and `migrate` name them."""
    made = lake("plain", "0.3")
    with _roles(made, "nologin", "nologin") as (reader, both):
        columns = execute(
            made.url,
            "select table_name, string_agg(quote_ident(column_name), ', ') from information_schema.columns"
            " where table_schema = 'public' and table_name like 'ducklake\\_%' group by 1",
        )
        execute(made.url, *(f"grant select ({names}) on {table} to {reader}, {both}" for table, names in columns))
        execute(made.url, f"grant select on all tables in schema public to {both}")
        text = f"privileges on columns of the catalog's tables are granted to {reader}: "

        planned = cli("plan", made.url)
        assert planned.exit_code == 0, planned.stderr
        assert text in planned.stdout + planned.stderr

        assert text in _migrated(cli, made.url)


_HIDDEN = "select relname from pg_class where relrowsecurity and relname like 'ducklake\\_%' and relkind = 'r'"


def test_new_tables_are_as_hidden_as_the_others(lake: LakeFactory, cli: Cli) -> None:
    """Where row-level security is on for every table, it is on for the new ones, grants or not."""
    made = lake("plain", "0.3")
    with _roles(made, "nologin") as (reader,):
        execute(made.url, f"grant select on all tables in schema public to {reader}")
        execute(made.url, *(f"alter table {table} enable row level security" for table in _tables(made)))

        _migrated(cli, made.url)

        assert len(execute(made.url, _HIDDEN)) == len(_tables(made))
        assert execute(made.url, f"set role {reader}", "select count(*) from ducklake_snapshot") == [(0,)]


def test_new_tables_are_as_open_as_the_others(lake: LakeFactory, cli: Cli) -> None:
    """Where a platform switches row-level security on for new tables and the old ones have none, they have none."""
    made = lake("plain", "0.3")
    execute(made.url, HIDES_NEW_TABLES)

    _migrated(cli, made.url)

    assert execute(made.url, _HIDDEN) == []


def test_tables_that_are_not_alike_hidden_are_named(lake: LakeFactory, cli: Cli) -> None:
    """Where row-level security is on for some tables only, that is said."""
    made = lake("plain", "0.3")
    execute(made.url, "alter table ducklake_tag enable row level security")

    planned = cli("plan", made.url)
    assert "warning: the catalog's tables differ in their row-level security" in planned.stdout

    assert "the catalog's tables differ in their row-level security" in _migrated(cli, made.url)
