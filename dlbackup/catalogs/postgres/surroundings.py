"""
What stands around a catalog on its server that a migration touches or needs, in words for whoever plans one.

Nothing of it is in the way: what is, is an obstacle, and refused.
"""

from dlbackup.catalogs.postgres.clients.connected import IS_CLIENT
from dlbackup.catalogs.postgres.sessions import AS_STORED, Session, one
from dlbackup.errors import listed

CONNECTIONS = 6
"""How many connections a migration has open at once: its own, fence, guard, rehearsal or reader, two of the engine."""

_PUBLICATIONS = r"""
select distinct p.pubname::text
from pg_publication p join pg_publication_tables t on t.pubname = p.pubname
where t.schemaname = %s and t.tablename like 'ducklake\_%%'
  and not exists (select from pg_publication_rel r where r.prpubid = p.oid)
order by 1
"""
"""The publications of all tables, or of all of the schema; one that lists tables is an obstacle to an undo."""
_SUBSCRIBED = r"""
select count(*)
from pg_subscription_rel s join pg_class c on c.oid = s.srrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname like 'ducklake\_%%'
"""
_ROOM = f"""
select what, room::int from (
    select 'the server (max_connections)',
           current_setting('max_connections')::int
           - case when rolsuper then 0 else current_setting('superuser_reserved_connections')::int
                                            + coalesce(current_setting('reserved_connections', true), '0')::int end
           - (select count(*) from pg_stat_activity a where {IS_CLIENT})
    from pg_roles where rolname = current_user
    union all
    select 'the role (CONNECTION LIMIT)',
           rolconnlimit - (select count(*) from pg_stat_activity a where a.usesysid = r.oid and {IS_CLIENT})
    from pg_roles r where rolname = current_user and rolconnlimit >= 0 and not rolsuper
    union all
    select 'the database (CONNECTION LIMIT)',
           datconnlimit - (select count(*) from pg_stat_activity a where a.datid = d.oid and {IS_CLIENT})
    from pg_database d, pg_roles r
    where datname = current_database() and datconnlimit >= 0 and rolname = current_user and not rolsuper
) x (what, room)
order by room limit 1
"""
"""How many more connections the role can open, and what limits that."""
_EVENT_TRIGGERS = """
select evtname::text from pg_event_trigger
where evtenabled in ('O', 'A') and evtevent <> 'login'
  and (evttags is null or evttags && array['CREATE SCHEMA', 'CREATE TABLE', 'ALTER TABLE', 'DROP TABLE', 'DROP SCHEMA'])
order by 1
"""
"""Those that run for what a migration, a rehearsal or an undo does."""
_SEES_OTHERS = "select pg_has_role('pg_read_all_stats', 'usage')"


def surroundings(session: Session, schema: str) -> list[str]:
    """Return what a migration of the catalog in a schema does to others, or lacks, beside what it is refused for."""
    said = []
    for (name,) in session.execute(_PUBLICATIONS, [schema]).fetchall():
        said.append(
            f"publication {name} takes in all of the catalog's tables: the migration's new columns and tables are not"
            " made for subscribers, which stop at the first row of one: disable the subscription before, and give it"
            " the new layout"
        )
    if one(session, _SUBSCRIBED, schema)[0]:
        said.append(
            "a subscription writes into the catalog's tables: it is a copy of another catalog, and rows of that come"
            " after the migration in the old form; migrate the other one"
        )
    limit, room = one(session, _ROOM)
    if room < CONNECTIONS:
        said.append(
            f"{limit} has room for {max(room, 0)} more connections, and a migration opens up to {CONNECTIONS} at once:"
            " close some, or raise the limit"
        )
    return said


def unseen(session: Session) -> list[str]:
    """Return what can't be looked at with this role or on this server, in words."""
    said = []
    if not one(session, _SEES_OTHERS)[0]:
        said.append("what other roles' clients do, and from where: the role lacks pg_read_all_stats")
    if triggers := [name for (name,) in session.execute(_EVENT_TRIGGERS).fetchall()]:
        names = listed(triggers, separator=", ")
        said.append(f"what the database's event triggers do, or refuse, when tables are made or changed: {names}")
    if session.info.parameter_status("client_encoding") == AS_STORED:
        encoding = session.info.parameter_status("server_encoding")
        said.append(f"whether all texts are UTF-8, which a database of the encoding {encoding} doesn't see to")
    return said
