"""Other catalogs of the same lake in the same database."""

from collections.abc import Iterable

from dlbackup.catalogs.contract import Copy
from dlbackup.catalogs.postgres.schemas import catalog_schemas
from dlbackup.catalogs.postgres.sessions import Session
from dlbackup.lake.datafiles import is_same_folder
from dlbackup.tables.quoting import qualified, quote_identifier, quote_literal

_AT_ONCE = 100
"""How many catalogs are asked in one message: their locks are held together."""
_READABLE = r"""
select n.nspname
from pg_namespace n
where n.nspname = any(%s)
  and 5 = (
      select count(*) from pg_class c
      where c.relnamespace = n.oid and c.relkind = 'r'
        and c.relname in (
            'ducklake_metadata', 'ducklake_schema', 'ducklake_snapshot', 'ducklake_table', 'ducklake_data_file'
        )
        and has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT')
        and not (c.relrowsecurity and row_security_active(c.oid))
  )
order by n.nspname
"""


# Whether a file, or a folder of one, is in both under a path that is relative to nothing. Folders of 0.1 have no paths.
_SHARED = """
select exists (
    select from {one}.ducklake_data_file f join {other}.ducklake_data_file o on o.path = f.path
    where not f.path_is_relative and not o.path_is_relative
) or exists (
    with one as (
        select to_jsonb(t) as it from {one}.ducklake_table t
        union all
        select to_jsonb(s) from {one}.ducklake_schema s
    ),
    other as (
        select to_jsonb(t) as it from {other}.ducklake_table t
        union all
        select to_jsonb(s) from {other}.ducklake_schema s
    )
    select from one join other on other.it ->> 'path' = one.it ->> 'path'
    where one.it ->> 'path_is_relative' = 'false' and other.it ->> 'path_is_relative' = 'false'
)
"""


def copies(session: Session, schema: str) -> tuple[Copy, ...]:
    """
    Return the other catalogs, as far as the role may read them, that have the same uuid of schema 0 and the same data
    path, by whatever name, or some files elsewhere in common.

    Those that a restore has kept aside are none: nobody attaches them.
    """
    own = list(_known(session, _readable(session, [schema])))
    others = [name for name in catalog_schemas(session) if name != schema and not name.startswith("dlbackup_")]
    readable = _readable(session, others) if own else []
    found = []
    for begin in range(0, len(readable), _AT_ONCE):
        names = readable[begin : begin + _AT_ONCE]
        found += [
            Copy(schema=name, snapshot_id=newest)
            for name, uuid, path, newest in _known(session, names)
            if uuid == own[0][1] and (is_same_folder(path, own[0][2]) or _share_files(session, schema, name))
        ]
    return tuple(found)


def _share_files(session: Session, one: str, other: str) -> bool:
    query = _SHARED.format(one=quote_identifier(one), other=quote_identifier(other))
    return any(shared for (shared,) in session.execute(query.encode()))


def _readable(session: Session, schemas: list[str]) -> list[str]:
    return [name for (name,) in session.execute(_READABLE.encode(), [schemas])]


def _known(session: Session, schemas: list[str]) -> Iterable[tuple[str, str, str, int]]:
    """Yield schema, uuid of schema 0, data path and newest snapshot of catalogs that have all of them."""
    parts = [
        f"""
        select {quote_literal(schema)}, s.schema_uuid::text, m.value, (
            select max(snapshot_id) from {qualified(schema, "ducklake_snapshot")}
        ) as newest
        from {qualified(schema, "ducklake_schema")} s
        join {qualified(schema, "ducklake_metadata")} m on m.key = 'data_path'
        where s.schema_id = 0
        """
        for schema in schemas
    ]
    if not parts:
        return []
    return [row for row in session.execute(" union all ".join(parts).encode()) if None not in row]
