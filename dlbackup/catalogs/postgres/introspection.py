"""
Definitions of catalog tables, read from PostgreSQL's own catalogs by OID.

`information_schema` hides what the role may not see, so it is not used. Texts are printed with an empty
search path, which makes equal definitions equal texts. What a `Table` record can't hold is listed by
name, never dropped silently.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from dlbackup.catalogs.postgres.relations import Relation, check_relations, read_relations
from dlbackup.catalogs.postgres.sequences import Numbering, read_numberings, read_standings, read_uses
from dlbackup.catalogs.postgres.sessions import Session, named
from dlbackup.errors import UnsafeStatement, Unsupported
from dlbackup.tables.allowlist import split_unsafe
from dlbackup.tables.definition import Column, Constraint, Grant, Index, Table

_COLUMNS = """
select a.attrelid as oid, a.attnum as number, a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
       a.attnotnull and u.name is null as not_null, pg_get_expr(d.adbin, d.adrelid) as default,
       case when a.attcollation <> t.typcollation then l.collname end as collation,
       col_description(a.attrelid, a.attnum) as comment,
       a.attgenerated <> '' as computed,
       t.typnamespace = 'pg_catalog'::regnamespace as built_in,
       array_remove(array[
         case when a.attstorage <> t.typstorage then 'the storage mode' end,
         case when a.attcompression <> '' then 'the compression' end,
         case when coalesce(a.attstattarget, -1) <> -1 then 'the statistics target' end,
         case when a.attoptions is not null then 'the options' end,
         case when u.name is not null then format('the NOT NULL %%s, which is NOT VALID,', u.name) end
       ], null) as left_out
from pg_attribute a join pg_type t on t.oid = a.atttypid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_collation l on l.oid = a.attcollation
left join (select conrelid, conkey, conname::text as name from pg_constraint where contype = 'n' and not convalidated) u
  on u.conrelid = a.attrelid and u.conkey = array[a.attnum] and a.attnotnull
where a.attrelid = any(%s) and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""
"""The columns of tables, with what a record can't hold of them (`%s` are the tables' oids, as below)."""
_GRANTS = """
select c.oid, 0, x.grantee, x.privilege_type, x.is_grantable, x.grantor = c.relowner
from pg_class c, aclexplode(c.relacl) x where c.oid = any(%(oids)s) and c.relacl is not null
union all
select a.attrelid, a.attnum, x.grantee, x.privilege_type, x.is_grantable, x.grantor = c.relowner
from pg_attribute a join pg_class c on c.oid = a.attrelid, aclexplode(a.attacl) x
where a.attrelid = any(%(oids)s) and a.attacl is not null and not a.attisdropped
"""
"""The privileges on tables, as column 0, and on columns; the owner's own are among them."""
_CONSTRAINTS = """
select conrelid, conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint')
from pg_constraint where conrelid = any(%s) and contype in ('p', 'u', 'c')
order by conrelid, contype = 'c', contype, conname collate "C"
"""
"""Primary keys, unique and check constraints, the checks last."""
_INDEXES = """
select i.indrelid, c.relname, i.indisunique, pg_get_indexdef(c.oid), obj_description(c.oid, 'pg_class'),
       format('CREATE %%sINDEX %%I ON %%I.%%I ', case when i.indisunique then 'UNIQUE ' else '' end,
              c.relname, n.nspname, t.relname),
       i.indisvalid and not exists (select from pg_attribute a where a.attrelid = c.oid
                                    and a.attstattarget <> -1)
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
join pg_namespace n on n.oid = t.relnamespace
where i.indrelid = any(%s)
  and not exists (select from pg_constraint where conindid = i.indexrelid and contype in ('p', 'u', 'x'))
order by i.indrelid, c.relname collate "C"
"""
"""Indexes that belong to no constraint, with how each definition begins and whether a record can hold it."""
_REPLICA_INDEXES = """
select i.indrelid, c.relname from pg_index i join pg_class c on c.oid = i.indexrelid
where i.indrelid = any(%s) and i.indisreplident
"""
"""The index that a table is replicated by, where it has one."""
_INDEX_TABLESPACES = """
select i.indrelid, c.relname::text, t.spcname::text
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_tablespace t on t.oid = c.reltablespace
where i.indrelid = any(%s)
order by i.indrelid, c.relname collate "C"
"""
"""The keys and indexes that are elsewhere than the database."""


# All that hangs on the tables and is none of the kinds that a record holds: views, triggers, policies,
# rules, publications, foreign keys from either side, extended statistics, sequences that no record holds,
# functions, uses of a table's row type, security labels; and what belongs to a constraint's index, which its
# definition does not say.
_DEPENDENTS = """
select distinct d.refobjid, case when d.classid = 'pg_policy'::regclass then 'row-level security: ' else '' end
                            || pg_describe_object(d.classid, d.objid, d.objsubid)
from pg_depend d
where d.refclassid = 'pg_class'::regclass and d.refobjid = any(%(oids)s) and d.deptype in ('n', 'a')
  and d.classid not in ('pg_attrdef'::regclass, 'pg_type'::regclass)
  and not (d.classid = 'pg_class'::regclass
           and (d.objid = any(%(sequences)s)
                or d.objid in (select indexrelid from pg_index where indrelid = any(%(oids)s))))
  and not (d.classid = 'pg_constraint'::regclass
           and d.objid in (select oid from pg_constraint
                           where conrelid = any(%(oids)s) and contype in ('p', 'u', 'c', 'n')))
union
select t.oid, pg_describe_object(d.classid, d.objid, d.objsubid)
from pg_depend d join pg_type y on y.oid = d.refobjid
join pg_class t on t.reltype = case when y.typelem <> 0 then y.typelem else y.oid end
where d.refclassid = 'pg_type'::regclass and t.oid = any(%(oids)s) and d.deptype in ('n', 'a')
union
select d.objid, format('the membership in %%s', pg_describe_object(d.refclassid, d.refobjid, 0))
from pg_depend d
where d.classid = 'pg_class'::regclass and d.objid = any(%(oids)s)
  and d.deptype = 'e' and d.refclassid = 'pg_extension'::regclass
union
select l.objoid, format('the security label by %%s of %%s', l.provider,
                        pg_describe_object(l.classoid, l.objoid, l.objsubid))
from pg_seclabel l
where l.classoid = 'pg_class'::regclass and l.objoid = any(%(oids)s)
union
select i.indrelid, format('what was set or said of index %%s itself', c.relname)
from pg_index i join pg_class c on c.oid = i.indexrelid
where i.indrelid = any(%(oids)s)
  and (c.reloptions is not null or obj_description(c.oid, 'pg_class') is not null)
  and exists (select from pg_constraint where conindid = c.oid and conrelid = i.indrelid)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """
    What was found in a schema.

    Args:
        tables: in the order of their names' bytes.
        oids: by table name.
        filenodes: by table name; another number later means that the table was rewritten.
        left_out: what belongs to the tables and is in no record: replacing them would lose or break it.
        beside: by name, what kind of thing bears a catalog table's name and is none. It stays where it is.
    """

    tables: tuple[Table, ...]
    oids: dict[str, int]
    filenodes: dict[str, int]
    left_out: tuple[str, ...]
    beside: dict[str, str]

    @property
    def strangers(self) -> tuple[str, ...]:
        """What stands beside the catalog, in words."""
        return tuple(f"{kind} {name}, which is no table of the catalog" for name, kind in self.beside.items())


def read_definitions(session: Session, schema: str) -> Definitions:
    """
    Read the definitions of all `ducklake_` tables of a schema, in the session's transaction.

    The session's search path must be empty but for pg_catalog or the schema itself.

    Raises:
        CatalogError: the schema can't be used, or a table can't be read.
        Unsupported: something can't be backed up at all, such as a view in the place of a table.
    """
    relations, strangers = read_relations(session, schema)
    beside = {it.name: it.kind_of_thing for it in relations if it.name in strangers and not it.is_readable_table}
    relations = [relation for relation in relations if relation.name not in beside]
    check_relations(relations)
    parts = _read_parts(session, schema, [relation.oid for relation in relations])
    owners = {relation.owner for relation in relations if relation.name == "ducklake_metadata"}
    tables: dict[str, Table] = {}
    notes: list[str] = []
    for relation in relations:
        try:
            table, left_out = _definition(relation, parts)
        except Unsupported:
            if relation.name not in strangers:
                raise
            beside[relation.name] = relation.kind_of_thing
            continue
        is_ours = relation.name not in strangers or (
            not left_out and owners <= {table.owner} and _as_engines_make(table)
        )
        if not is_ours:
            beside[relation.name] = relation.kind_of_thing
            continue
        tables[relation.name] = table
        notes += left_out
    return Definitions(
        tables=tuple(tables.values()),
        oids={relation.name: relation.oid for relation in relations if relation.name in tables},
        filenodes={relation.name: relation.filenode for relation in relations if relation.name in tables},
        left_out=tuple(notes),
        beside=dict(sorted(beside.items())),
    )


class _Attribute(NamedTuple):
    """A row of `_COLUMNS`; `oid` is the table's, `computed` a generated column."""

    oid: int
    number: int
    name: str
    type: str
    not_null: bool
    default: str | None
    collation: str | None
    comment: str | None
    computed: bool
    built_in: bool
    left_out: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """
    What belongs to tables, by their oids.

    Args:
        grants: by table and number of the column, 0 for the table itself.
        foreign_grants: tables with privileges that somebody else than the owner gave.
        replica_indexes: names.
        standings: where sequences stand, by their oids.
        left_out: what no record holds, beside what relations and attributes say of themselves.
    """

    attributes: dict[int, list[_Attribute]]
    constraints: dict[int, list[Constraint]]
    indexes: dict[int, list[Index]]
    grants: dict[tuple[int, int], tuple[Grant, ...]]
    foreign_grants: set[int]
    replica_indexes: dict[int, str]
    index_tablespaces: dict[int, list[tuple[str, str]]]
    numberings: dict[int, list[Numbering]]
    standings: dict[int, tuple[int, bool]]
    left_out: dict[int, list[str]]


def _read_parts(session: Session, schema: str, oids: list[int]) -> _Parts:
    attributes: dict[int, list[_Attribute]] = defaultdict(list)
    for attribute in named(session, _Attribute, _COLUMNS, oids):
        attributes[attribute.oid].append(attribute)
    numberings: dict[int, list[Numbering]] = defaultdict(list)
    for numbering in read_numberings(session, oids):
        numberings[numbering.table].append(numbering)
    carried = [it for several in numberings.values() for it in several if it.is_carried]
    sequences = [it.oid for it in carried]
    grants, foreign_grants = _read_grants(session, [*oids, *sequences])
    constraints: dict[int, list[Constraint]] = defaultdict(list)
    for oid, name, text, comment in session.execute(_CONSTRAINTS, [oids]):
        constraints[oid].append(Constraint(name, text, comment))
    replica_indexes: dict[int, str] = dict(session.execute(_REPLICA_INDEXES, [oids]).fetchall())
    index_tablespaces: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for oid, name, tablespace in session.execute(_INDEX_TABLESPACES, [oids]):
        index_tablespaces[oid].append((name, tablespace))
    left_out: dict[int, list[str]] = defaultdict(list)
    indexes = _read_indexes(session, oids, left_out)
    for oid, description in session.execute(_DEPENDENTS, {"oids": oids, "sequences": sequences}):
        left_out[oid].append(description)
    for oid, description in read_uses(session, carried):
        left_out[oid].append(description)
    return _Parts(
        attributes=attributes,
        constraints=constraints,
        indexes=indexes,
        grants=grants,
        foreign_grants=foreign_grants,
        replica_indexes=replica_indexes,
        index_tablespaces=index_tablespaces,
        numberings=numberings,
        standings=read_standings(session, schema, carried),
        left_out=left_out,
    )


def _table(relation: Relation, parts: _Parts) -> Table:
    oid = relation.oid
    return Table(
        name=relation.name,
        columns=tuple(_column(relation.name, attribute, parts) for attribute in parts.attributes[oid]),
        constraints=tuple(parts.constraints[oid]),
        indexes=tuple(parts.indexes[oid]),
        comment=relation.comment,
        owner=relation.owner,
        grants=None if relation.never_granted else parts.grants.get((oid, 0), ()),
        options=tuple(sorted(_option(text) for text in relation.options)),
        replica_identity=_replica_identity(relation.replica_identity, parts.replica_indexes.get(oid, "")),
        row_security=relation.row_security,
        row_security_forced=relation.row_security_forced,
        sequences=tuple(
            it.record(parts.grants.get((it.oid, 0), ()), parts.standings[it.oid])
            for it in parts.numberings[oid]
            if it.is_carried
        ),
        tablespace=relation.tablespace,
        index_tablespaces=tuple(parts.index_tablespaces[oid]),
        access_method=relation.access_method,
    )


def _notes(relation: Relation, parts: _Parts) -> list[str]:
    """Return what belongs to a table and is in no record, in words."""
    oid, name = relation.oid, relation.name
    notes = [f"{what} of table {name}" for what in relation.left_out]
    notes += [f"{what} of column {name}.{column.name}" for column in parts.attributes[oid] for what in column.left_out]
    notes += [f"{what} (table {name})" for what in sorted(parts.left_out[oid])]
    notes += [it.note(name) for it in parts.numberings[oid] if it.identity and not it.is_carried]
    granted = {oid, *(it.oid for it in parts.numberings[oid])}
    notes += [f"the grantor of privileges on table {name}"] if granted & parts.foreign_grants else []
    return notes


def _definition(relation: Relation, parts: _Parts) -> tuple[Table, list[str]]:
    """Return what a record holds of a table, and what it doesn't, in words."""
    try:
        table, unsafe = split_unsafe(_table(relation, parts))
    except UnsafeStatement as exc:
        raise Unsupported(exc.message, "a backup carries built-in types only") from exc
    return table, [*unsafe, *_notes(relation, parts)]


def _as_engines_make(table: Table) -> bool:
    """Tell whether a table has nothing that engines never give theirs."""
    return not (table.sequences or table.row_security)


def _column(table: str, column: _Attribute, parts: _Parts) -> Column:
    if column.computed:
        raise Unsupported(
            f"column {column.name} of table {table} is generated, and DuckLake made no such column",
            f"drop it (ALTER TABLE {table} DROP COLUMN {column.name}); a view can compute the same",
        )
    if not column.built_in:
        raise Unsupported(
            f"column {column.name} of table {table} has a type that is not built in: {column.type}",
            "a backup carries the types that DuckLake uses: give it the one that DuckLake made it with (ALTER TABLE ..."
            " ALTER COLUMN ... TYPE ...)",
        )
    numbered = {it.column for it in parts.numberings[column.oid] if it.is_carried}
    return Column(
        name=column.name,
        type=column.type,
        not_null=column.not_null,
        default=None if column.name in numbered else column.default,
        collation=column.collation,
        comment=column.comment,
        grants=parts.grants.get((column.oid, column.number), ()),
    )


def _option(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def _replica_identity(code: str, index: str) -> str:
    return {"d": "default", "f": "full", "n": "nothing"}.get(code, f"index {index}")


def _read_grants(session: Session, oids: list[int]) -> tuple[dict[tuple[int, int], tuple[Grant, ...]], set[int]]:
    found: dict[tuple[int, int], dict[tuple[int, bool], list[str]]] = defaultdict(lambda: defaultdict(list))
    foreign: set[int] = set()
    for oid, attnum, grantee, privilege, grantable, by_owner in session.execute(_GRANTS, {"oids": oids}):
        found[oid, attnum][grantee, grantable].append(privilege)
        if not by_owner:
            foreign.add(oid)
    names: dict[int, str] = {0: ""}
    names |= dict(session.execute("select oid, rolname from pg_roles").fetchall())
    return {
        place: tuple(
            sorted(
                (
                    Grant(names.get(grantee, str(grantee)), tuple(sorted(privileges)), grantable)
                    for (grantee, grantable), privileges in grants.items()
                ),
                key=lambda grant: (grant.grantee, grant.grantable),
            )
        )
        for place, grants in found.items()
    }, foreign


def _read_indexes(session: Session, oids: list[int], left_out: dict[int, list[str]]) -> dict[int, list[Index]]:
    indexes: dict[int, list[Index]] = defaultdict(list)
    for oid, name, unique, text, comment, beginning, usable in session.execute(_INDEXES, [oids]):
        if usable and text.startswith(beginning):
            indexes[oid].append(
                Index(name=name, definition=text.removeprefix(beginning), unique=unique, comment=comment)
            )
        else:
            left_out[oid].append(f"index {name}")
    return indexes
