"""
How many locks a server has for one transaction, and how many tables they suffice for.

Where they don't, a catalog is replaced by an exchange of schemas, which a schema that holds more can't be part of.
"""

from collections.abc import Iterable

from dlbackup.catalogs.postgres.sessions import Session, one
from dlbackup.errors import TooManyLocks

LOCKS_PER_TABLE = 5
"""A table, its toast table and that one's index, keys and indexes (measured with 20,000 inlined tables)."""
AT_ONCE = 100
"""Statements in one message: the round trip costs more than a small table."""
_BATCH_TABLES = 500
_BATCH_SHARE = 16
"""A batch takes no more than this part of the server's locks: others need some, ten that restore at once among them."""

_OTHERS = """
select pg_describe_object(d.classid, d.objid, d.objsubid) from pg_depend d
where d.refclassid = 'pg_namespace'::regclass and d.refobjid = (select oid from pg_namespace where nspname = %(name)s)
  and not (d.classid = 'pg_class'::regclass
           and (d.objid = any(%(tables)s)
                or exists (select from pg_depend o where o.classid = 'pg_class'::regclass and o.objid = d.objid
                           and o.refclassid = 'pg_class'::regclass and o.refobjid = any(%(tables)s)
                           and o.deptype in ('a', 'i'))))
union all
select format('the membership of schema %%s in %%s', n.nspname, pg_describe_object(d.refclassid, d.refobjid, 0))
from pg_depend d join pg_namespace n on n.oid = d.objid
where d.classid = 'pg_namespace'::regclass and d.refclassid = 'pg_extension'::regclass and n.nspname = %(name)s
union all
select 'the security label of schema ' || n.nspname from pg_seclabel l join pg_namespace n on n.oid = l.objoid
where l.classoid = 'pg_namespace'::regclass and n.nspname = %(name)s
union all
select 'grants on schema ' || n.nspname || ' by others than its owner' from pg_namespace n
where n.nspname = %(name)s and exists (select from aclexplode(n.nspacl) x where x.grantor <> n.nspowner)
order by 1 limit 5
"""
"""What a schema holds or is known to beside the tables of its catalog, the first five."""


def locks_available(session: Session) -> int:
    """Return how many locks the server's settings promise to all transactions together."""
    return int(
        one(
            session,
            """
            select current_setting('max_locks_per_transaction')::int
                 * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)
            """,
        )[0]
    )


def batch_tables(session: Session) -> int:
    """Return how many tables one transaction makes."""
    return max(1, min(_BATCH_TABLES, locks_available(session) // (LOCKS_PER_TABLE * _BATCH_SHARE)))


def refuse_shared(session: Session, schema: str, tables: Iterable[int], needed: int, hint: str = "") -> None:
    """
    Refuse a schema that can't be exchanged, because it is more than a catalog.

    Args:
        tables: the oids of the catalog's.
        needed: how many locks one transaction would need.

    Raises:
        TooManyLocks: names what else there is.
    """
    others = [row[0] for row in session.execute(_OTHERS.encode(), {"name": schema, "tables": list(tables)})]
    if others:
        raise TooManyLocks(
            f"one transaction would need about {needed} locks of the server's {locks_available(session)}, and schema"
            f" {schema}, which could be exchanged as a whole, holds more than the catalog: {'; '.join(others)}",
            hint or "restore into a schema of its own with --metadata-schema, or raise max_locks_per_transaction",
        )
