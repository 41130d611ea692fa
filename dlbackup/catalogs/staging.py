"""
A catalog whose locks no single transaction can hold: filled in many, exchanged in one that needs a few.

The tables are made in a schema of dlbackup's own, `dlbackup_restoring_<time>_<schema>`, into which nobody else
writes. At last the two schemas change their names in one transaction, so that the catalog is the old or the new
one, whole. A schema that arrives by its name is another object: owner, grants and comment are carried over and
compared, and a schema that holds or is known to anything else is refused.
"""

from dlbackup.catalogs.postgres import one
from dlbackup.catalogs.replacement import aside_name
from dlbackup.catalogs.sessions import LOCAL_SETTINGS, Session, quoted_text
from dlbackup.errors import CatalogError, TooManyLocks
from dlbackup.statements import qualified, quote_identifier

LOCKS_PER_TABLE = 5
"""A table, its toast table and that one's index, keys and indexes (measured with 20,000 inlined tables)."""
AT_ONCE = 100
"""Statements in one message: the round trip costs more than a small table."""
_BATCH_TABLES = 500
_BATCH_SHARE = 4
"""A batch takes no more than this part of the server's locks: others need some."""

_KINDS = ("restoring", "dropped")
_KNOWN = """
select pg_describe_object(d.classid, d.objid, d.objsubid) from pg_depend d
where d.refclassid = 'pg_namespace'::regclass and d.refobjid = (select oid from pg_namespace where nspname = %(name)s)
  and not (d.classid = 'pg_class'::regclass
           and exists (select from pg_class c where c.oid = d.objid and c.relkind = 'r' and c.relname ~ '^ducklake_'))
union all
select 'the security label of schema ' || n.nspname from pg_seclabel l join pg_namespace n on n.oid = l.objoid
where l.classoid = 'pg_namespace'::regclass and n.nspname = %(name)s
union all
select 'grants on schema ' || n.nspname || ' by others than its owner' from pg_namespace n
where n.nspname = %(name)s and exists (select from aclexplode(n.nspacl) x where x.grantor <> n.nspowner)
order by 1 limit 5
"""
_RIGHTS = """
select pg_get_userbyid(n.nspowner)::text, obj_description(n.oid, 'pg_namespace'), n.nspacl is not null,
       array(select format('%%s %%s %%s', case x.grantee when 0 then 'PUBLIC'
                           else quote_ident(pg_get_userbyid(x.grantee)) end, x.privilege_type, x.is_grantable)
             from aclexplode(n.nspacl) x order by 1)
from pg_namespace n where n.nspname = %s
"""
_GRANTS = """
select case x.grantee when 0 then '' else pg_get_userbyid(x.grantee)::text end, x.privilege_type, x.is_grantable,
       x.grantee = n.nspowner
from pg_namespace n cross join aclexplode(n.nspacl) x where n.nspname = %s
"""


def locks_available(session: Session) -> int:
    """Return how many locks the server's settings promise to all transactions together."""
    return int(
        one(
            session,
            "select current_setting('max_locks_per_transaction')::int"
            " * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)",
        )[0]
    )


def batch_tables(session: Session) -> int:
    """Return how many tables one transaction makes."""
    return max(1, min(_BATCH_TABLES, locks_available(session) // (LOCKS_PER_TABLE * _BATCH_SHARE)))


def catalog_tables(session: Session, schema: str) -> int:
    """Return how many catalog tables there are in a schema."""
    query = (
        "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relkind = 'r' and c.relname like 'ducklake\\_%%'"
    )
    return int(one(session, query, schema)[0])


def staging_name(schema: str) -> str:
    """Return the name of a new schema to fill in the place of another."""
    return aside_name(schema, _KINDS[0])


def refuse_shared(session: Session, schema: str, needed: int) -> None:
    """
    Refuse a schema that can't be exchanged, because it is more than a catalog.

    Raises:
        TooManyLocks: names what else there is.
    """
    others = [row[0] for row in session.execute(_KNOWN, {"name": schema})]
    if others:
        raise TooManyLocks(
            f"one transaction would need about {needed} locks of the server's {locks_available(session)}, and schema"
            f" {schema}, which could be exchanged as a whole, holds more than the catalog: {'; '.join(others)}",
            "restore into a schema of its own with --metadata-schema, or raise max_locks_per_transaction",
        )


def exchange(session: Session, schema: str, staging: str, *, drop: bool) -> str | None:
    """
    Let a filled schema take another's name, owner, grants and comment, in the session's transaction.

    Returns:
        The schema in which the old catalog is now, None where there was none.
    """
    session.execute(LOCAL_SETTINGS.encode())
    before = session.execute(_RIGHTS, [schema]).fetchone()
    if before is None:
        session.execute(_renaming(staging, schema))
        return None
    held = catalog_tables(session, schema)
    aside = aside_name(schema, _KINDS[1] if drop else "replaced")
    grants = session.execute(_GRANTS, [schema]).fetchall()
    session.execute(_renaming(schema, aside))
    session.execute(_renaming(staging, schema))
    name = quote_identifier(schema)
    if before[2]:
        session.execute(f"GRANT ALL ON SCHEMA {name} TO CURRENT_USER".encode())
        session.execute(f"REVOKE ALL ON SCHEMA {name} FROM CURRENT_USER".encode())
        for grantee, privilege, grantable, is_owner in grants:
            whom = "CURRENT_USER" if is_owner else quote_identifier(grantee) if grantee else "PUBLIC"
            option = " WITH GRANT OPTION" if grantable and not is_owner else ""
            session.execute(f"GRANT {privilege} ON SCHEMA {name} TO {whom}{option}".encode())
    if before[1] is not None:
        session.execute(f"COMMENT ON SCHEMA {name} IS {quoted_text(session, before[1])}".encode())
    if before[0] != one(session, "select current_user::text")[0]:
        session.execute(f"ALTER SCHEMA {name} OWNER TO {quote_identifier(before[0])}".encode())
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


def lock_out_commits(session: Session, schema: str) -> None:
    """Wait for commits under way and keep others out: each inserts into ducklake_snapshot."""
    name = qualified(schema, "ducklake_snapshot")
    if one(session, "select to_regclass(%s) is not null", name)[0]:
        session.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE".encode())


def _renaming(schema: str, to: str) -> bytes:
    return f"ALTER SCHEMA {quote_identifier(schema)} RENAME TO {quote_identifier(to)}".encode()


def left_behind(session: Session, schema: str, kind: str) -> list[str]:
    """Return dlbackup's own schemas of that kind which belong to a catalog, whenever they were made."""
    tail = aside_name(schema, kind)
    tail = tail[tail.index("Z_") :]
    rows = session.execute("select nspname from pg_namespace where nspname like 'dlbackup\\_%'").fetchall()
    return [name for (name,) in rows if name.startswith(f"dlbackup_{kind}_") and name.endswith(tail)]


def drop_left(session: Session, schema: str) -> None:
    """Drop what a restore of the catalog left that was killed, or that had no time to drop what it replaced."""
    for kind in _KINDS:
        for name in left_behind(session, schema, kind):
            drop_schema(session, name)


def drop_schema(session: Session, name: str) -> None:
    """Drop a schema of dlbackup's own and its tables, in batches that need few locks."""
    size = batch_tables(session)
    while tables := session.execute(
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        f" where n.nspname = %s and c.relkind = 'r' order by 1 limit {size}",
        [name],
    ).fetchall():
        listed = ", ".join(qualified(name, table) for (table,) in tables)
        session.execute(f"DROP TABLE {listed}".encode())
    session.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(name)}".encode())
