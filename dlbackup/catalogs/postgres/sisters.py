"""
Tables that an engine's migration has made anew are given what their sisters have: owner, grants, replica identity, and
whether row-level security is on.

The engine makes six tables, owned by whoever migrates and granted to nobody: readers are locked out of the lake, other
members of the owning role can't attach or walk the way back, and under a publication every DELETE fails for ever after.
Where the old tables are granted differently, whoever may read or write all of them may do so with the new ones.
"""

from collections.abc import Iterable, Mapping, Sequence

from dlbackup.catalogs.postgres.introspection import read_definitions
from dlbackup.catalogs.postgres.place import PostgresPlace
from dlbackup.catalogs.postgres.sessions import Session, in_transaction
from dlbackup.errors import CatalogError
from dlbackup.tables import likeness
from dlbackup.tables.definition import Table
from dlbackup.tables.likeness import shared
from dlbackup.tables.quoting import qualified
from dlbackup.tables.statements import granting

_SHUT_OUT = """
select quote_ident(r.rolname), p.privilege
from pg_roles r
cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p(privilege)
where not r.rolsuper
  and (r.oid in (select x.grantee from pg_class c cross join aclexplode(c.relacl) x where c.oid = any(%(old)s::oid[]))
       or r.oid in (select member from pg_auth_members))
  and (select bool_and(has_table_privilege(r.oid, t, p.privilege)) from unnest(%(old)s::oid[]) t)
  and not (select bool_and(has_table_privilege(r.oid, t, p.privilege)) from unnest(%(new)s::oid[]) t)
order by 1, 2
"""
"""Who may do something with all old tables, by whatever way, and not with all new ones."""


def give_alike(session: Session, schema: str, sisters: Iterable[Table]) -> list[str]:
    """
    Give the tables that are not among `sisters` what these share; all of it, or nothing where the role may not.

    Returns:
        What differs among the sisters, or could not be given, in words: a person decides on it.
    """
    old = {table.name: table for table in sisters}
    said: list[str] = []
    new: list[Table] = []
    try:
        with in_transaction(session):
            definitions = read_definitions(session, schema)
            new += [table for table in definitions.tables if table.name not in old]
            # A table that the migration has renamed (0.2 to 0.3) is no sister: it is found under no old name any more.
            fixed = [table for table in old.values() if table.kind == "fixed" and table.name in definitions.oids]
            if new and fixed:
                said += _give(PostgresPlace(session, schema), new, fixed, definitions.oids)
    except CatalogError as exc:
        said.append(f"{_names(new)} could not be given the owner and grants of the other tables: {exc.message}")
    return said


def _give(place: PostgresPlace, new: Sequence[Table], sisters: Sequence[Table], oids: Mapping[str, int]) -> list[str]:
    """Give new tables what all sisters have; return what these don't agree on, in words."""
    owner, grants = shared(sisters, likeness.owner), shared(sisters, likeness.grants)
    identity, security = shared(sisters, likeness.replica_identity), shared(sisters, likeness.row_security)
    wanted = [
        Table(
            name=table.name,
            columns=(),
            comment=table.comment,
            options=table.options,
            owner=owner[0] if owner else table.owner,
            grants=grants[0] if grants else table.grants,
            replica_identity=identity[0] if identity else table.replica_identity,
            row_security=(security[0] if security else likeness.row_security(table))[0],
            row_security_forced=(security[0] if security else likeness.row_security(table))[1],
        )
        for table in new
    ]
    place.finish(wanted, privileges=bool(grants), row_security=bool(security))
    _let_in(place, new, sisters, oids)
    unlike = [
        f"the catalog's tables differ in their {what}, so the new ones have what the engine gave them, and what all"
        f" others have: {_names(new)}"
        for what in likeness.differences(sisters)
    ]
    return [*unlike, *likeness.granted_by_column(sisters)]


def _let_in(place: PostgresPlace, new: Sequence[Table], sisters: Sequence[Table], oids: Mapping[str, int]) -> None:
    """Grant on the new tables what is granted on every old one, and what somebody may do with all of those."""
    names = [qualified(place.schema, table.name) for table in new]
    for grant in likeness.common_grants(sisters):
        for name in names:
            place.session.execute(granting(grant, name).encode())
    tables = {"old": [oids[table.name] for table in sisters], "new": [oids[table.name] for table in new]}
    for role, privilege in place.session.execute(_SHUT_OUT.encode(), tables).fetchall():
        place.session.execute(f"GRANT {privilege} ON TABLE {', '.join(names)} TO {role}".encode())


def _names(tables: Iterable[Table]) -> str:
    return ", ".join(table.name for table in tables)
