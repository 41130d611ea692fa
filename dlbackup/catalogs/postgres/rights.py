"""What is granted on a catalog's schema, and what a role may not do that a migration needs."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from psycopg.errors import InsufficientPrivilege, InvalidParameterValue

from dlbackup.catalogs.postgres.sessions import Session, named, one
from dlbackup.errors import DlbackupError, NotOwner
from dlbackup.tables.definition import Grant, SchemaRights, Table
from dlbackup.tables.quoting import quote_identifier, quote_literal

_ROLE = """
select current_user::text as name,
       current_setting('default_transaction_read_only')::boolean or pg_is_in_recovery() as read_only,
       has_schema_privilege(%s::text, 'CREATE') as makes_tables,
       has_database_privilege(current_database(), 'TEMP') as makes_temporary_tables,
       has_database_privilege(current_database(), 'CREATE') as makes_schemas
"""


_SCHEMA = """
select pg_get_userbyid(n.nspowner)::text, n.nspacl is null,
       n.nspname = 'public' and n.nspacl is not distinct from (
           select initprivs from pg_init_privs where classoid = 'pg_namespace'::regclass and objoid = n.oid)
from pg_namespace n where n.nspname = %s
"""
"""Whose a schema is, whether nothing was ever granted on it, and whether it is `public` as a new database has it."""
_GRANTS = """
select case x.grantee when 0 then '' else pg_get_userbyid(x.grantee)::text end, x.is_grantable,
       array_agg(x.privilege_type order by x.privilege_type)
from pg_namespace n cross join aclexplode(n.nspacl) x where n.nspname = %s group by 1, 2 order by 1, 2
"""
_SHUT_OUT = """
select name, array_agg(privilege order by privilege)
from unnest(%(names)s::text[], %(privileges)s::text[]) wanted (name, privilege)
where not case name when '' then has_schema_privilege('public', %(schema)s, privilege)
                    else has_schema_privilege(name::name, %(schema)s, privilege) end
group by name order by name
"""
"""Which roles lack which privileges on a schema, of those given pairwise."""


_STORAGE = """
select array(select spcname::text from pg_tablespace t
             where has_tablespace_privilege(t.oid, 'CREATE')
                or t.oid = (select dattablespace from pg_database where datname = current_database())),
       array(select amname::text from pg_am where amtype = 't')
"""
"""The tablespaces that the role may use, and the access methods of tables."""


_COLLATIONS = """
select c.collname::text from pg_collation c
where c.collname = any(%s::text[]) and pg_collation_is_visible(c.oid)
  and c.collencoding in (-1, (select encoding from pg_database where datname = current_database()))
"""
"""Which of these collations the database has."""


class _Role(NamedTuple):
    """The only row of `_ROLE`: the session's role and what it may do."""

    name: str
    read_only: bool
    makes_tables: bool
    makes_temporary_tables: bool
    makes_schemas: bool


class _Needed(NamedTuple):
    """A right that the job needs, whether the role has it, what needs it, and the way around it."""

    granted: bool
    name: str
    why: str
    otherwise: str = ""


def missing_rights(session: Session, schema: str, tables: Sequence[Table], *, rehearsal: bool) -> list[DlbackupError]:
    """Return what the role may not do, as errors to raise; a rehearsal needs more."""
    owners = sorted({table.owner for table in tables})
    rows = session.execute(
        "select r from unnest(%s::text[]) r where not pg_has_role(current_user, r::name, 'USAGE')", [owners]
    ).fetchall()
    foreign = [table.name for table in tables if (table.owner,) in rows]
    (role,) = named(session, _Role, _ROLE, schema)
    errors: list[DlbackupError] = []
    if role.read_only:
        errors.append(
            NotOwner(
                f"{role.name} can only read on this server: it is a standby, or default_transaction_read_only is on",
                "migrate on the primary server, as a role whose default_transaction_read_only is off",
            )
        )
    if foreign:
        errors.append(
            NotOwner(
                f"{role.name} does not own {', '.join(foreign[:3])}{' and others' if len(foreign) > 3 else ''}"
                f" (owner: {', '.join(row[0] for row in rows)}): the engine alters the catalog's tables",
                "migrate as the owner, or as a member of that role",
            )
        )
    tablespaces, _ = missing_storage(session, tables)
    needed = [
        *(
            _Needed(False, f"CREATE on tablespace {name}", "an undo, which makes tables there again, needs")
            for name in sorted(tablespaces)
        ),
        _Needed(role.makes_tables, f"CREATE on schema {schema}", "the engine's migration needs"),
        _Needed(role.makes_temporary_tables, "TEMP on the database", "the engine's migration needs"),
    ]
    if rehearsal:
        otherwise = ", or go without a rehearsal with --no-rehearsal"
        why = "the rehearsal in a scratch schema needs"
        needed.append(_Needed(role.makes_schemas, "CREATE on the database", why, otherwise))
    errors += [
        NotOwner(
            f"{role.name} has no right of {right.name}, which {right.why}",
            f"grant {right.name} to {role.name}{right.otherwise}",
        )
        for right in needed
        if not right.granted
    ]
    return errors


def schema_rights(session: Session, schema: str) -> SchemaRights | None:
    """Return whose a schema is and what is granted on it; None for `public` as a new database has it."""
    owner, never_granted, as_new = one(session, _SCHEMA, schema)
    if as_new:
        return None
    rows = session.execute(_GRANTS.encode(), [schema]).fetchall()
    grants = tuple(Grant(grantee, tuple(privileges), grantable) for grantee, grantable, privileges in rows)
    return SchemaRights(owner, None if never_granted else grants)


def shut_out(session: Session, schema: str, tables: Iterable[Table]) -> list[tuple[str, list[str]]]:
    """Return the roles that own tables, or were granted something on them, and what they lack on the schema."""
    owners = {table.owner for table in tables} - {""}
    users = {role for table in tables for role in table.grantees}
    wanted = [*((name, "CREATE") for name in sorted(owners)), *((name, "USAGE") for name in sorted(owners | users))]
    names, privileges = [name for name, _ in wanted], [privilege for _, privilege in wanted]
    given = {"names": names, "privileges": privileges, "schema": schema}
    return session.execute(_SHUT_OUT.encode(), given).fetchall()


def missing_storage(session: Session, tables: Iterable[Table]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the tablespaces that the role may not use, and the access methods that there are not, of tables."""
    tables = list(tables)
    tablespaces = {name for table in tables for name in table.tablespaces}
    methods = {table.access_method for table in tables} - {""}
    if not (tablespaces or methods):
        return frozenset(), frozenset()
    usable, known = one(session, _STORAGE)
    return frozenset(tablespaces.difference(usable)), frozenset(methods.difference(known))


def unknown_options(session: Session, tables: Iterable[Table]) -> frozenset[tuple[str, str]]:
    """Return the storage parameters of tables, with their values, that the server doesn't take: it is asked."""
    return frozenset(
        option for option in {it for table in tables for it in table.options} if not _takes(session, option)
    )


def missing_collations(session: Session, tables: Iterable[Table]) -> frozenset[str]:
    """Return the collations of columns that the server doesn't have, or not for the database's encoding."""
    wanted = {column.collation for table in tables for column in table.columns if column.collation is not None}
    if not wanted:
        return frozenset()
    rows = session.execute(_COLLATIONS, [sorted(wanted)]).fetchall()
    return frozenset(wanted.difference(name for (name,) in rows))


def _takes(session: Session, option: tuple[str, str]) -> bool:
    """Ask the server."""
    name = ".".join(map(quote_identifier, option[0].split(".")))
    try:
        with session.transaction(force_rollback=True):
            session.execute(f"CREATE TEMP TABLE dlbackup_option () WITH ({name} = {quote_literal(option[1])})".encode())
    except InvalidParameterValue:
        return False
    except InsufficientPrivilege:  # without temporary tables nobody can tell
        return True
    return True
