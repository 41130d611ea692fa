"""
What each kind of role can do with each command: it works, or is refused with the missing right by name.

Whatever is refused is refused before anything is changed: the whole database is compared. docs/privileges.md
is the same table for users.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from support.changes import everything
from support.cli import Cli, Finished
from support.comparison import contents, execute
from support.engines.quoting import text_literal
from support.faults.failures import failure
from support.faults.faults import new_role, one, role_of
from support.lakes.lakes import Lake
from support.longer import long
from support.waiting import wait_until

from dlbackup import dump, verify

_PASSWORD = "a-role's-own"
_HIDE = "create policy hides on ducklake_data_file using (data_file_id > 1)"


@dataclass(frozen=True)
class Says:
    """How a command ends: its exit code, words of the message, and of the hint."""

    exit_code: int = 0
    words: tuple[str, ...] = ()
    hint: str = ""


_GOOD = Says()
_NOT_OWNER = Says(4, ("does not own",), "as the owner")
_UNREADABLE = Says(1, ("no right to read ducklake_tag",), "SELECT")
_FILTERED = Says(1, ("row-level security",), "")
_HAS_POLICY = Says(4, ("row-level security",), "drop what is named")


@dataclass(frozen=True)
class Kind:
    """
    A role: how it comes to be, and what each command says to it. What is not named works.

    Args:
        prepare: takes rights away, given the lake and the quoted name of the role.
        blocked: words of what `plan` names as the first blocker.
    """

    name: str
    owner: bool
    prepare: Callable[[Lake, str], None]
    says: Mapping[str, Says] = field(default_factory=dict)
    blocked: str = ""


def _sql(*statements: str) -> Callable[[Lake, str], None]:
    def prepare(made: Lake, role: str) -> None:
        execute(made.url, *(text.format(role=role, database=made.dbname) for text in statements))

    return prepare


_READERS = ("info", "check", "dump")
_ALL = (*_READERS, "plan", "migrate", "replace")
_KINDS = [
    Kind("owner", True, _sql("select 1")),
    Kind(
        "non-owner-with-all-privileges",
        False,
        _sql("select 1"),
        {"migrate": _NOT_OWNER, "replace": Says(1, ("must be owner of table",), "owns")},
        blocked="does not own",
    ),
    Kind(
        "reader",
        False,
        _sql(
            "revoke all on all tables in schema public from {role}",
            "grant select on all tables in schema public to {role}",
            "revoke create on schema public from public, {role}",
            "revoke all on database {database} from public, {role}",
            "grant connect on database {database} to {role}",
        ),
        {
            "migrate": _NOT_OWNER,
            "replace": Says(1, ("permission denied for table ducklake_",), "owns"),
            "new": Says(1, ("permission denied for database",), "rights"),
        },
        blocked="does not own",
    ),
    Kind(
        "no-select-on-one-table",
        False,
        _sql("revoke select on ducklake_tag from {role}"),
        dict.fromkeys(_ALL, _UNREADABLE),
    ),
    Kind(
        "no-usage-on-the-schema",
        False,
        _sql("revoke usage on schema public from public, {role}"),
        dict.fromkeys(_ALL, Says(1, ("no right to read",), "USAGE on the schema")),
    ),
    Kind(
        "no-create-on-the-schema",
        True,
        _sql("revoke create on schema public from public, {role}"),
        {
            "migrate": Says(4, ("CREATE on schema public",), "grant CREATE on schema public"),
            "replace": Says(1, ("permission denied for schema public",), "rights"),
        },
        blocked="CREATE on schema public",
    ),
    Kind(
        "no-temp-on-the-database",
        True,
        _sql("revoke temp on database {database} from public, {role}"),
        {"migrate": Says(4, ("TEMP on the database",), "grant TEMP on the database")},
        blocked="TEMP on the database",
    ),
    Kind(
        "no-create-on-the-database",
        True,
        _sql("revoke create on database {database} from public, {role}"),
        {
            "migrate": Says(4, ("CREATE on the database",), "--no-rehearsal"),
            "replace": Says(1, ("permission denied for database",), "rights"),
            "new": Says(1, ("permission denied for database",), "rights"),
        },
        blocked="CREATE on the database",
    ),
    Kind(
        "policy-that-hides-rows",
        False,
        _sql(_HIDE, "alter table ducklake_data_file enable row level security"),
        {**dict.fromkeys(_ALL, _FILTERED), "replace": _HAS_POLICY},
    ),
    Kind(
        "policy-forced-on-the-owner",
        True,
        _sql(
            _HIDE,
            "alter table ducklake_data_file enable row level security",
            "alter table ducklake_data_file force row level security",
        ),
        {**dict.fromkeys(_ALL, _FILTERED), "replace": _HAS_POLICY},
    ),
    Kind(
        "policy-not-forced-on-the-owner",
        True,
        _sql(_HIDE, "alter table ducklake_data_file enable row level security"),
        dict.fromkeys(("migrate", "replace"), _HAS_POLICY),
        blocked="row-level security",
    ),
]


def _words(command: str, url: str, backup: str) -> list[str]:
    own = ["--no-owner", "--no-privileges"]
    return {
        "info": ["info", url],
        "check": ["check", url],
        "dump": ["dump", url, "-o", "backup.sql.zst"],
        "plan": ["plan", url, "--json"],
        "migrate": ["migrate", url],
        "replace": ["restore", backup, url, "--replace", *own],
        "new": ["restore", backup, url, "--metadata-schema", "new", *own],
    }[command]


def _check_end(done: Finished, says: Says) -> None:
    if says.exit_code:
        failure(done, says.exit_code, *says.words, hint=says.hint)
    else:
        assert done.exit_code == 0, done


_ALIKE = ("no-usage-on-the-schema", "policy-not-forced-on-the-owner", "non-owner-with-all-privileges")
"""As who may not read a table, as the owner, and as a reader."""


@pytest.mark.parametrize(
    "kind", [long(kind, name=kind.name) if kind.name in _ALIKE else pytest.param(kind, id=kind.name) for kind in _KINDS]
)
def test_role_does_what_it_may(plain: Lake, cli: Cli, tmp_path: Path, kind: Kind) -> None:
    """Each command works for a role or names the right that it lacks, and what it refuses changes nothing."""
    backup = dump(plain.url, tmp_path).path
    with new_role(plain, _PASSWORD, owner=kind.owner) as url:
        kind.prepare(plain, role_of(url))
        before, files = everything(plain), set(tmp_path.iterdir())

        for command in (*_READERS, "plan"):
            done = cli(*_words(command, url, backup))
            if command == "plan" and "plan" not in kind.says:
                assert done.exit_code == (4 if kind.blocked else 0), done
                assert done.stderr == ""
                blockers = [blocker["message"] for blocker in done.json()["blockers"]]
                assert kind.blocked in (blockers[0] if blockers else "")
                assert bool(blockers) == bool(kind.blocked)
            else:
                _check_end(done, kind.says.get(command, _GOOD))
        if "dump" in kind.says:
            assert set(tmp_path.iterdir()) == files
        else:
            assert verify(tmp_path / "backup.sql.zst").ok
            assert _rows(tmp_path / "backup.sql.zst") == _rows(Path(backup))
        assert everything(plain) == before
        for command in ("new", "replace", "migrate"):
            says = kind.says.get(command, _GOOD)
            files = set(tmp_path.iterdir())
            done = cli(*_words(command, url, backup), *_public(command))
            _check_end(done, says)
            if says.exit_code:
                assert everything(plain) == before
                assert set(tmp_path.iterdir()) == files
            else:
                before = everything(plain)
        assert _left(plain) == []
        execute(plain.url, f"revoke all on database {plain.dbname} from {role_of(url)}")


def _public(command: str) -> list[str]:
    # A restore into a new schema makes a second catalog, so that the place has to be named.
    return [] if command == "new" else ["--metadata-schema", "public"]


def _rows(path: Path) -> dict[str, object]:
    return {name: rows for name, (_, rows) in contents(path).items()}


def _left(made: Lake) -> list[object]:
    """Return the schemas of dlbackup's own, but for what a restore kept aside."""
    names = execute(made.url, "select nspname from pg_namespace where nspname ~ '^dlbackup_'")
    return [name for (name,) in names if not name.startswith("dlbackup_replaced_")]


def test_member_of_the_owner_does_all_that_the_owner_does(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """A member that inherits the owner's rights needs none of its own, and what it makes belongs to the owner again."""
    with new_role(plain, _PASSWORD, owner=True) as owner, _member(plain, owner, "inherit") as member:
        backup = dump(plain.url, tmp_path).path
        for command in _READERS:
            assert cli(*_words(command, member, backup)).exit_code == 0
        replaced = cli("restore", backup, member, "--replace", "--drop-replaced")
        assert replaced.exit_code == 0, replaced
        assert _owners(plain) == [role_of(owner)]

        migrated = cli("migrate", member)

        assert migrated.exit_code == 0, migrated


def test_member_that_does_not_inherit_is_no_owner(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """A member with NOINHERIT is refused; with the owner's role as its default it does all that the owner does."""
    with new_role(plain, _PASSWORD, owner=True) as owner, _member(plain, owner, "noinherit") as member:
        before = everything(plain)
        failure(cli("dump", member), 1, "no right to read", hint="the role that owns them")
        failure(cli("migrate", member), 1, "no right to read")
        assert everything(plain) == before
        execute(plain.url, f"alter role {role_of(member)} in database {plain.dbname} set role = {role_of(owner)}")

        assert cli("dump", member).exit_code == 0
        migrated = cli("migrate", member)

        assert migrated.exit_code == 0, migrated
        assert _owners(plain) == [role_of(owner)]


@contextmanager
def _member(made: Lake, owner: str, inherits: str) -> Iterator[str]:
    """Yield the URL for a new role that has no right but its membership in the owner's."""
    name = f"member_{secrets.token_hex(4)}"
    execute(made.url, f"create role {name} login {inherits} password {text_literal(_PASSWORD)}")
    execute(made.url, f"grant {role_of(owner)} to {name}")
    try:
        yield made.url.replace(f"//{made.server.user}:{made.server.password}@", f"//{name}:{_PASSWORD}@")
    finally:
        execute(made.url, f"drop owned by {name}", f"drop role {name}")


def _owners(made: Lake) -> list[str]:
    rows = execute(made.url, "select distinct quote_ident(tableowner) from pg_tables where schemaname = 'public'")
    return [name if name.startswith('"') else f'"{name}"' for (name,) in rows]


def test_role_that_may_end_nobody_is_told_so(plain: Lake, cli: Cli) -> None:
    """--terminate-clients by a role that may not end a superuser's session is refused, and nothing has changed."""
    with new_role(plain, _PASSWORD, owner=True) as url, psycopg.connect(plain.url, autocommit=True) as client:
        execute(plain.url, f"grant pg_read_all_stats to {role_of(url)}")
        before = everything(plain)

        done = cli("migrate", url, "--terminate-clients")

        failure(done, 1, "no right to end other sessions", hint="pg_signal_backend")
        assert everything(plain) == before
        assert client.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("command", ["migrate", "replace"])
def test_clients_of_other_roles_are_seen(plain: Lake, cli: Cli, tmp_path: Path, command: str) -> None:
    """Clients of other roles count also for a role from which the server hides what they do."""
    backup = dump(plain.url, tmp_path).path
    with new_role(plain, _PASSWORD, owner=True) as url, psycopg.connect(plain.url, application_name="theirs"):
        seen = "select count(*) from pg_stat_activity where datname = current_database() and application_name <> ''"
        wait_until(lambda: one(plain.url, seen) == 1)
        before = everything(plain)

        done = cli(*_words(command, url, backup))

        failure(done, 4, "1 other client is connected", "theirs", hint="--terminate-clients")
        assert everything(plain) == before


def test_reader_with_a_hint_of_the_docs_dumps(plain: Lake, cli: Cli) -> None:
    """The grants that docs/privileges.md gives for a role that only dumps are enough, also for tables made later."""
    name = f"reader_{secrets.token_hex(4)}"
    text = (Path(__file__).parents[3] / "docs" / "privileges.md").read_text()
    grants = text.partition("```sql\n")[2].partition("```")[0].replace("backup_reader", name)
    execute(plain.url, f"create role {name} login password 'a-pass-word'", "revoke all on schema public from public")
    try:
        for statement in grants.split(";"):
            if statement.strip():
                execute(plain.url, statement.replace("lake_owner", plain.server.user).replace("lake_db", plain.dbname))
        execute(plain.url, "create table ducklake_made_later (x bigint)")
        url = plain.url.replace(f"//{plain.server.user}:{plain.server.password}@", f"//{name}:a-pass-word@")

        done = cli("dump", url, "-o", "backup.sql.zst")

        assert done.exit_code == 0, done
        assert contents(cli.cwd / "backup.sql.zst") == {**contents(dump(plain.url, cli.cwd).path)}
        failure(cli("migrate", url), 4, "does not own")
    finally:
        execute(plain.url, f"drop owned by {name}", f"drop role {name}")
