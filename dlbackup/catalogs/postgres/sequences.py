"""
Sequences that number the columns of catalog tables, as identities or by defaults, and where they stand.

Where one stands is not of a snapshot: it is read after that began, so it is never behind the rows that are seen.
"""

from typing import Literal, NamedTuple

from dlbackup.catalogs.postgres.persistence import COUNTS_AS_PERMANENT
from dlbackup.catalogs.postgres.sessions import Session, named
from dlbackup.tables.definition import ColumnSequence, Grant
from dlbackup.tables.quoting import qualified

_SEQUENCES = f"""
select d.refobjid as table, a.attname as column, c.oid, c.relname as name,
       case a.attidentity when 'a' then 'always' when 'd' then 'by default' else '' end as identity,
       format_type(s.seqtypid, null) as type, s.seqstart as start, s.seqincrement as increment,
       s.seqmin as minimum, s.seqmax as maximum, s.seqcache as cache, s.seqcycle as cycle,
       obj_description(c.oid, 'pg_class') as comment,
       c.relacl is null or c.relacl = acldefault('s', c.relowner) as never_granted,
       has_sequence_privilege(c.oid, 'SELECT') as readable,
       {COUNTS_AS_PERMANENT} and case d.deptype
           when 'i' then s.seqtypid = a.atttypid
           else pg_get_expr(f.adbin, f.adrelid) = format('nextval(%%L::regclass)', c.oid::regclass::text)
       end is true as simple
from pg_depend d
join pg_class c on c.oid = d.objid and c.relkind = 'S'
join pg_namespace n on n.oid = c.relnamespace
join pg_sequence s on s.seqrelid = c.oid
join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
left join pg_attrdef f on f.adrelid = a.attrelid and f.adnum = a.attnum
where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = any(%s)
  and d.deptype in ('a', 'i')
order by d.refobjid, a.attnum, c.oid
"""
"""The sequences that belong to columns of tables; simple are those that a record holds (`%s` are the tables' oids)."""
_USED = """
select d.refobjid, pg_describe_object(d.classid, d.objid, d.objsubid)
from pg_depend d
where d.refclassid = 'pg_class'::regclass and d.refobjid = any(%(oids)s) and d.deptype in ('n', 'a')
  and not (d.classid = 'pg_attrdef'::regclass and exists (
      select from pg_attrdef f
      join pg_depend o on o.classid = 'pg_class'::regclass and o.objid = d.refobjid and o.deptype = 'a'
       and o.refobjid = f.adrelid and o.refobjsubid = f.adnum
      where f.oid = d.objid))
union
select d.objid, format('the membership in %%s', pg_describe_object(d.refclassid, d.refobjid, 0))
from pg_depend d
where d.classid = 'pg_class'::regclass and d.objid = any(%(oids)s) and d.deptype in ('e', 'x')
"""
"""What uses sequences beside the columns that they belong to, and extensions that they are members of."""


class Numbering(NamedTuple):
    """
    A row of `_SEQUENCES`.

    Args:
        table: its oid; `oid` is the sequence's.
        never_granted: whether its privileges are those that the owner has of itself.
        simple: whether a record holds all of it.
    """

    table: int
    column: str
    oid: int
    name: str
    identity: Literal["", "always", "by default"]
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    comment: str | None
    never_granted: bool
    readable: bool
    simple: bool

    @property
    def is_carried(self) -> bool:
        """Whether a record can hold it and where it stands."""
        return self.simple and self.readable

    def note(self, table: str) -> str:
        """Say in words that a backup can't carry it."""
        why = "" if self.readable else f", since the role may not read sequence {self.name}"
        what = "the identity" if self.identity else f"sequence {self.name}"
        return f"{what} of column {table}.{self.column}{why}"

    def record(self, grants: tuple[Grant, ...], stands: tuple[int, bool]) -> ColumnSequence:
        """Return what a backup holds of it."""
        last_value, is_called = stands
        return ColumnSequence(
            name=self.name,
            column=self.column,
            identity=self.identity,
            type=self.type,
            start=self.start,
            increment=self.increment,
            minimum=self.minimum,
            maximum=self.maximum,
            cache=self.cache,
            cycle=self.cycle,
            last_value=last_value,
            is_called=is_called,
            comment=self.comment,
            grants=None if self.never_granted else grants,
        )


def read_numberings(session: Session, tables: list[int]) -> list[Numbering]:
    """Return the sequences that belong to columns of tables, in the order of these."""
    return named(session, Numbering, _SEQUENCES, tables)


def read_standings(session: Session, schema: str, carried: list[Numbering]) -> dict[int, tuple[int, bool]]:
    """Return the last value of sequences of a schema, and whether it was given out, by oid."""
    if not carried:
        return {}
    queries = (f"select {it.oid}, last_value, is_called from {qualified(schema, it.name)}" for it in carried)
    rows = session.execute(" union all ".join(queries).encode()).fetchall()
    return {oid: (last_value, is_called) for oid, last_value, is_called in rows}


def read_uses(session: Session, carried: list[Numbering]) -> list[tuple[int, str]]:
    """Return what else uses sequences, as the oid of the table that each numbers, and words."""
    if not carried:
        return []
    owners = {it.oid: it for it in carried}
    rows = session.execute(_USED.encode(), {"oids": list(owners)}).fetchall()
    return [(owners[oid].table, f"{what} of sequence {owners[oid].name}") for oid, what in rows]
