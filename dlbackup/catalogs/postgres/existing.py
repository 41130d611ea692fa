"""What stands in a schema before something is put there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dlbackup.catalogs.contract import Encoding, Head
from dlbackup.catalogs.postgres.clients.connected import lock_all
from dlbackup.catalogs.postgres.head import read_head
from dlbackup.catalogs.postgres.introspection import Definitions, read_definitions
from dlbackup.catalogs.postgres.sessions import Session, one, set_ours
from dlbackup.lake.lineage import Lineage
from dlbackup.tables.definition import Constraint, Table, by_name
from dlbackup.tables.guarded import LATER_KEY_SINCE, PRIVILEGES_SINCE, later_keys
from dlbackup.tables.quoting import qualified, quote_identifier

_SNAPSHOTS = """
select snapshot_id,
       case when snapshot_time::timestamptz between '0001-01-02' and '9999-12-30'
            then (extract(epoch from snapshot_time::timestamptz) * 1000000)::bigint end
from {table}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresExisting:
    """
    The catalog tables of a schema, and what they say of themselves.

    Args:
        is_new: there was no such schema.
    """

    session: Session
    schema: str
    definitions: Definitions
    head: Head
    is_new: bool

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables' definitions, in the order of their names' bytes."""
        return self.definitions.tables

    @property
    def place(self) -> str:
        """What the place is called in messages."""
        return f"schema {self.schema}"

    @property
    def another(self) -> str:
        """How a user names another one."""
        return "name another place with --metadata-schema"

    @property
    def left_out(self) -> tuple[str, ...]:
        """What belongs to the tables but is not in their records."""
        return self.definitions.left_out

    @property
    def beside(self) -> Mapping[str, str]:
        """What bears a catalog table's name and is none: of which kind, by name."""
        return self.definitions.beside

    def newer_snapshots(self, than: int | None) -> str:
        """Say what the existing catalog has committed after a snapshot: how many, from when, by whom."""
        snapshot = qualified(self.schema, "ducklake_snapshot")
        changes = by_name(self.tables).get("ducklake_snapshot_changes")
        authors = "null"
        if changes is not None and "author" in changes.column_names:
            where = qualified(self.schema, changes.name)
            authors = f"(select string_agg(distinct author, ', ') from {where} where snapshot_id > %(than)s)"
        count, first, last, names = self.session.execute(
            f"""
            select count(*), min(snapshot_time)::text, max(snapshot_time)::text, {authors}
            from {snapshot}
            where snapshot_id > %(than)s
            """.encode(),
            {"than": -1 if than is None else than},
        ).fetchone() or (0, None, None, None)
        return f"{count}, committed from {first} to {last}" + (f" by {names[:200]}" if names else "")

    def lineage(self) -> Lineage:
        """Return which lake it is of, and all its snapshots; what the tables don't say counts as none."""
        uuid = self._first("ducklake_schema", "schema_uuid::text", "schema_id", "schema_id = 0")
        path = self._first("ducklake_metadata", "value", "key", "key = 'data_path'")
        snapshots: list[tuple[int, int | None]] = []
        if self._has("ducklake_snapshot", "snapshot_id", "snapshot_time"):
            query = _SNAPSHOTS.format(table=qualified(self.schema, "ducklake_snapshot"))
            snapshots = self.session.execute(query.encode()).fetchall()
        return Lineage(uuid, path, snapshots)

    def _has(self, table: str, *columns: str) -> bool:
        there = by_name(self.tables).get(table)
        return there is not None and set(columns) <= set(there.column_names)

    def _first(self, table: str, value: str, column: str, condition: str) -> str | None:
        if not self._has(table, value.partition("::")[0], column):
            return None
        query = f"select {value} from {qualified(self.schema, table)} where {condition} limit 1"
        row = self.session.execute(query.encode()).fetchone()
        return None if row is None else row[0]

    def scheduled_for_deletion(self) -> list[tuple[int, str]]:
        """Return the data files that the existing catalog wants to be rid of, and since when."""
        table = by_name(self.tables).get("ducklake_files_scheduled_for_deletion")
        if table is None or not {"data_file_id", "schedule_start"} <= set(table.column_names):
            return []
        query = f"select data_file_id, schedule_start::text from {qualified(self.schema, table.name)} order by 2"
        return self.session.execute(query.encode()).fetchall()


def look_at(session: Session, schema: str, *, is_new: bool | None = None) -> PostgresExisting:
    """Look at what stands in a schema, without locks and without a transaction of its own."""
    if is_new is None:
        is_new = not _is_there(session, schema)
    definitions = read_definitions(session, schema)
    head = read_head(session, schema, definitions)
    return PostgresExisting(session=session, schema=schema, definitions=definitions, head=head, is_new=is_new)


def _is_there(session: Session, schema: str) -> bool:
    return bool(one(session, "select exists (select from pg_namespace where nspname = %s)", schema)[0])


def lock(session: Session, schema: str) -> PostgresExisting:
    """
    Lock what stands in a schema, in the session's transaction; make the schema where there is none.

    Raises:
        CatalogError: the schema can't be made.
        Locked: its tables can't be had within ten seconds.
    """
    set_ours(session)
    is_new = not _is_there(session, schema)
    if is_new:
        session.execute(f"CREATE SCHEMA {quote_identifier(schema)}".encode())
    if tables := read_definitions(session, schema).tables:
        names = [qualified(schema, table.name) for table in tables]
        lock_all(session, schema, names)
    return look_at(session, schema, is_new=is_new)


def missing_roles(session: Session, names: Iterable[str]) -> list[str]:
    """Return which of the roles the server doesn't have."""
    wanted = sorted(set(names))
    rows = session.execute(
        "select name from unnest(%s::text[]) name where not exists (select from pg_roles where rolname = name)",
        [wanted],
    )
    return [row[0] for row in rows]


def unknown_privileges(session: Session) -> frozenset[str]:
    """Return which privileges on tables the server doesn't know: MAINTAIN came with PostgreSQL 17."""
    return frozenset(name for name, since in PRIVILEGES_SINCE.items() if session.info.server_version < since)


def unknown_keys(session: Session, tables: Iterable[Table]) -> frozenset[Constraint]:
    """Return the constraints of tables that the server doesn't know: NULLS NOT DISTINCT came with PostgreSQL 15."""
    if session.info.server_version >= LATER_KEY_SINCE:
        return frozenset()
    return frozenset(key for table in tables for key in later_keys(table))


def encoding(session: Session) -> Encoding:
    """Return the database's encoding, and whether the server converts for clients, and so for us."""
    name, ours = one(session, "select getdatabaseencoding()::text, current_setting('client_encoding')")
    return Encoding(name, converts=name != ours == "UTF8")
