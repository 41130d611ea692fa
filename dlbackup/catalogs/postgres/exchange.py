"""
Two schemas change their names, so that a catalog is the old or the new one, whole.

A schema that arrives by its name is another object: owner, grants and comment are carried over and compared, and a
schema that holds or is known to anything else is refused.
"""

from collections.abc import Sequence

from dlbackup.catalogs.postgres.clients.connected import lock_all
from dlbackup.catalogs.postgres.schemas import DROPPED, aside_name, catalog_tables, own_name
from dlbackup.catalogs.postgres.sessions import Session, one, quoted_text, set_ours
from dlbackup.errors import CatalogError
from dlbackup.tables.quoting import qualified, quote_identifier

_RIGHTS = """
select pg_get_userbyid(n.nspowner)::text, obj_description(n.oid, 'pg_namespace'),
       array(select format('%%s %%s %%s', case x.grantee when 0 then 'PUBLIC'
                           else quote_ident(pg_get_userbyid(x.grantee)) end, x.privilege_type, x.is_grantable)
             from aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) x order by 1)
from pg_namespace n where n.nspname = %s
"""
"""Owner, comment, and who may do what; compared before and after."""
_GRANTS = """
select case x.grantee when 0 then '' else pg_get_userbyid(x.grantee)::text end, x.privilege_type,
       x.is_grantable and x.grantee <> n.nspowner
from pg_namespace n cross join aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) x where n.nspname = %s
order by 1, 2
"""
"""The grants, the owner's own among them."""


def exchange(session: Session, schema: str, staging: str, *, drop: bool) -> str | None:
    """
    Let a filled schema take another's name, owner, grants and comment, in the session's transaction.

    Returns:
        The schema in which the old catalog is now, None where there was none.
    """
    set_ours(session)
    before = session.execute(_RIGHTS, [schema]).fetchone()
    if before is None:
        session.execute(_renaming(staging, schema))
        return None
    held = catalog_tables(session, schema)
    aside = own_name(DROPPED, schema) if drop else aside_name(schema)
    grants = session.execute(_GRANTS, [schema]).fetchall()
    session.execute(_renaming(schema, aside))
    session.execute(_renaming(staging, schema))
    name = quote_identifier(schema)
    if before[0] != one(session, "select current_user::text")[0]:
        session.execute(f"ALTER SCHEMA {name} OWNER TO {quote_identifier(before[0])}".encode())
    _grant_alike(session, schema, before[0], grants)
    if before[1] is not None:
        session.execute(f"COMMENT ON SCHEMA {name} IS {quoted_text(session, before[1])}".encode())
    after = session.execute(_RIGHTS, [schema]).fetchone()
    if after != before:
        raise CatalogError(
            f"owner and grants of schema {schema} can't be carried over: {after}, not {before}",
            "restore as the schema's owner, or into a schema of its own with --metadata-schema",
        )
    if not held:
        session.execute(f"DROP SCHEMA {quote_identifier(aside)}".encode())
        return None
    return aside


def _grant_alike(session: Session, schema: str, owner: str, grants: Sequence[tuple[str, str, bool]]) -> None:
    """Grant on a schema what `_GRANTS` says, and nothing that default privileges of the database gave it."""
    given = session.execute(_GRANTS, [schema]).fetchall()
    if given == grants:
        return
    name = quote_identifier(schema)
    for grantee in sorted({grantee for grantee, *_ in given} | {owner}):
        session.execute(f"REVOKE ALL ON SCHEMA {name} FROM {_whom(grantee)}".encode())
    for grantee, privilege, grantable in grants:
        option = " WITH GRANT OPTION" if grantable else ""
        session.execute(f"GRANT {privilege} ON SCHEMA {name} TO {_whom(grantee)}{option}".encode())


def _whom(grantee: str) -> str:
    return quote_identifier(grantee) if grantee else "PUBLIC"


def lock_out_commits(session: Session, schema: str) -> None:
    """Wait for commits under way and keep others out: each inserts into ducklake_snapshot."""
    name = qualified(schema, "ducklake_snapshot")
    if one(session, "select to_regclass(%s) is not null", name)[0]:
        lock_all(session, schema, [name])


def _renaming(schema: str, to: str) -> bytes:
    return f"ALTER SCHEMA {quote_identifier(schema)} RENAME TO {quote_identifier(to)}".encode()
