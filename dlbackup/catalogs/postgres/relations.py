"""
What is named `ducklake_...` in a schema, and which of it is the catalog's.

Such names are not DuckLake's own: what is no table of a catalog stands beside it. A table of an unknown name is the
catalog's all the same where it has the catalog's owner and a record holds all of it: a version of DuckLake to come may
have made it.
"""

from typing import NamedTuple

from dlbackup.catalogs.postgres.persistence import COUNTS_AS_PERMANENT
from dlbackup.catalogs.postgres.sessions import Session, named
from dlbackup.errors import CatalogError, Unsupported, listed
from dlbackup.lake.spec import described, known_names
from dlbackup.tables.definition import is_inlined
from dlbackup.tables.quoting import qualified

_RELATIONS = rf"""
select c.oid, c.relname as name, c.relkind as kind, pg_get_userbyid(c.relowner) as owner,
       obj_description(c.oid, 'pg_class') as comment,
       c.relacl is null or c.relacl = acldefault('r', c.relowner) as never_granted,
       coalesce(c.reloptions, '{{}}') as options, c.relreplident as replica_identity,
       c.relrowsecurity as row_security, c.relforcerowsecurity as row_security_forced,
       pg_relation_filenode(c.oid) as filenode,
       coalesce((select spcname from pg_tablespace t where t.oid = c.reltablespace), '')::text as tablespace,
       coalesce((select amname from pg_am a where a.oid = c.relam and amname <> 'heap'), '')::text as access_method,
       case when has_schema_privilege(c.relnamespace, 'USAGE') then has_table_privilege(c.oid, 'SELECT') end
         as readable,
       array_remove(array[
         case when not {COUNTS_AS_PERMANENT} then 'not being a permanent table' end,
         case when c.reloftype <> 0 then 'the type it is of' end,
         case when exists (select from pg_class t where t.oid = c.reltoastrelid and t.reloptions is not null)
              then 'the TOAST storage parameters' end,
         case when exists (select from pg_inherits where c.oid in (inhrelid, inhparent)) then 'inheritance' end,
         case when exists (select from pg_index where indrelid = c.oid and indisclustered) then 'the CLUSTER mark' end
       ], null) as left_out
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname like 'ducklake\_%%' and c.relkind not in ('i', 'I', 't', 'c')
  and not (c.relkind = 'S' and exists (select from pg_depend d where d.classid = 'pg_class'::regclass
                                       and d.objid = c.oid and d.deptype in ('a', 'i')))
order by c.relname collate "C"
"""
"""
All that is named `ducklake_...` in a schema, with what a record can't hold of it (`%s` is the schema).

Not the sequences that belong to a column: those go where that goes.
"""
_KINDS = {
    "r": "table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "p": "partitioned table",
    "S": "sequence",
}


class Relation(NamedTuple):
    """
    A row of `_RELATIONS`.

    Args:
        never_granted: whether its privileges are those that the owner has of itself.
        replica_identity: as `pg_class` has it, one letter.
        readable: None without the right to use the schema.
        left_out: what no record holds.
    """

    oid: int
    name: str
    kind: str
    owner: str
    comment: str | None
    never_granted: bool
    options: list[str]
    replica_identity: str
    row_security: bool
    row_security_forced: bool
    filenode: int
    tablespace: str
    access_method: str
    readable: bool | None
    left_out: list[str]

    @property
    def kind_of_thing(self) -> str:
        """What it is, in words."""
        return _KINDS.get(self.kind, "thing")

    @property
    def is_readable_table(self) -> bool:
        """Whether a backup could carry its rows."""
        return self.kind == "r" and bool(self.readable)


def read_relations(session: Session, schema: str) -> tuple[list[Relation], frozenset[str]]:
    """Return what is named `ducklake_...` in a schema, and the names that no version of a catalog has."""
    relations = named(session, Relation, _RELATIONS, schema)
    return relations, _strangers(session, schema, relations)


def _strangers(session: Session, schema: str, relations: list[Relation]) -> frozenset[str]:
    """Return the names that no version of a catalog has; tables only where the catalog's version is described."""
    unknown = [it for it in relations if it.name not in known_names() and not is_inlined(it.name)]
    if any(relation.kind == "r" for relation in unknown) and not _is_described(session, schema, relations):
        unknown = [relation for relation in unknown if relation.kind != "r"]
    return frozenset(relation.name for relation in unknown)


def _is_described(session: Session, schema: str, relations: list[Relation]) -> bool:
    """Tell whether the catalog has a version whose tables are known; where there is none, nothing is its table."""
    metadata = [relation for relation in relations if relation.name == "ducklake_metadata"]
    if not all(relation.is_readable_table for relation in metadata):
        return False
    versions: list[str] = []
    for relation in metadata:
        table = qualified(schema, relation.name)
        query = f"select to_jsonb(m) ->> 'value' from {table} m where to_jsonb(m) ->> 'key' = 'version'"
        versions += [row[0] for row in session.execute(query.encode())]
    return all(version in described() for version in versions)


def check_relations(relations: list[Relation]) -> None:
    """
    Refuse what can't be backed up.

    Raises:
        CatalogError: a table can't be read; Unsupported: something else stands in the place of a table.
    """
    for relation in relations:
        if relation.kind != "r":
            raise Unsupported(f"{relation.name} is a {relation.kind_of_thing}: only plain tables can be backed up")
    unreadable = [relation.name for relation in relations if not relation.readable]
    if unreadable:
        raise CatalogError(
            f"no right to read {listed(unreadable, separator=', ')}",
            "grant USAGE on the schema and SELECT on all its ducklake_ tables, or use the role that owns them",
        )
