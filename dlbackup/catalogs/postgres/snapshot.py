"""
A catalog on PostgreSQL: where it is, and one consistent view of it.

Reading takes locks for as long as one table is read: a savepoint around each gives them back while the
REPEATABLE READ snapshot stays. So a dump never makes a writer wait for long, not even one that drops
a table, and 20,000 tables need no more locks than one. What the snapshot doesn't protect, a table
dropped, rewritten, altered or replaced by another in between, is noticed and reported as `MovedOn`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass

from dlbackup.addresses.address import Address
from dlbackup.backupfile.manifest import Source
from dlbackup.backupfile.origin import Moment, Origin
from dlbackup.catalogs.contract import Change, Claim, Head, Pages, Snapshot
from dlbackup.catalogs.postgres.answers import PostgresAnswers, answering
from dlbackup.catalogs.postgres.bulk.copy_out import Copies, copy_query
from dlbackup.catalogs.postgres.head import read_head
from dlbackup.catalogs.postgres.introspection import Definitions, read_definitions
from dlbackup.catalogs.postgres.locks import LOCKS_PER_TABLE, locks_available, refuse_shared
from dlbackup.catalogs.postgres.rights import missing_rights, schema_rights
from dlbackup.catalogs.postgres.sessions import AS_STORED, Session, connect, one, set_ours, translated
from dlbackup.catalogs.postgres.unchanged import VIEW, View, changes_since, moment_of, nothing_committed, origins_of
from dlbackup.catalogs.postgres.utf8 import checked, refuse_definitions
from dlbackup.errors import CannotMigrate, CatalogError, DlbackupError, MovedOn, TooManyLocks, Unreachable, listed
from dlbackup.tables.definition import ColumnSequence, Table
from dlbackup.tables.digest import Block
from dlbackup.tables.quoting import qualified, quote_identifier, quote_literal
from dlbackup.tables.types import Dialect

ONE_VIEW = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_NEW_TABLES = 10
"""At most so many more are there after a migration."""
_ABOUT = f"""
select current_database(), current_setting('server_version'), getdatabaseencoding()::text,
       current_setting('client_encoding'), {VIEW}
"""
_NO_IDENTITY = """
select c.relname::text, p.pubname::text
from pg_class c
join pg_publication_tables t on t.schemaname = %(schema)s and t.tablename = c.relname
join pg_publication p on p.pubname = t.pubname and (p.pubupdate or p.pubdelete)
where c.relnamespace = %(quoted)s::regnamespace and c.relname = any(%(tables)s)
  and (c.relreplident = 'n'
       or c.relreplident = 'd' and not exists (select from pg_index where indrelid = c.oid and indisprimary))
order by 1, 2
"""
"""Tables that are published and have no replica identity."""
_FILES = """
select case when not exists (
    select from pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      and (pg_identify_object_as_address('pg_class'::regclass, c.oid, a.attnum)).object_names
          is distinct from array[n.nspname, c.relname, a.attname]::text[]
) then pg_relation_filenode(c.oid) end
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = any(array[{oids}]::oid[])
order by array_position(array[{oids}]::oid[], c.oid)
"""
"""
The files of tables; none of one that has another name by now, or a column that has.

Catalogs that are read as tables are those of the snapshot, whereas functions, and the names in a query, mean what is
there at present.
"""
RUN_TABLES = 100
RUN_PAGES = 256
"""How many tables, and pages of 8 KiB, are asked for in one message: their locks are held together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSnapshot:
    """A `Snapshot` on an open REPEATABLE READ transaction."""

    session: Session
    schema: str
    source: Source
    head: Head
    definitions: Definitions
    view: View
    exported: "Exported | None" = None

    @classmethod
    def begin(cls, session: Session, schema: str, exported: "Exported | None" = None) -> "PostgresSnapshot":
        """Take the snapshot by reading head and definitions; `exported` says where others may join it."""
        session.execute("SAVEPOINT dlbackup")
        database, version, encoding, ours, *view = one(session, _ABOUT)
        if ours not in ("UTF8", AS_STORED):
            raise CatalogError(
                f"a proxy has set client_encoding to {ours}, so that texts would not be read as engines read them",
                "connect to the server itself",
            )
        rights = schema_rights(session, schema)
        definitions = read_definitions(session, schema)
        refuse_definitions(encoding, database, schema, definitions)
        head = read_head(session, schema, definitions)
        session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        return cls(
            session=session,
            schema=schema,
            source=Source(
                database=database,
                schema=schema,
                server_version=version,
                rights=rights,
                encoding=encoding,
                converted=encoding != ours == "UTF8",
            ),
            head=head,
            definitions=definitions,
            view=View(*view),
            exported=exported,
        )

    @property
    def readers(self) -> int:
        """This process: what else is at work is the server's."""
        return 1

    @property
    def may_go_over_a_file(self) -> bool:
        """Its migration may go over a file."""
        return True

    @property
    def adds_columns_with_defaults(self) -> bool:
        """DuckDB's connector does not let engines."""
        return False

    @property
    def dialect(self) -> Dialect:
        """In whose words its backups are written."""
        return "postgres"

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables' definitions, in the order of their names' bytes."""
        return self.definitions.tables

    @property
    def left_out(self) -> tuple[str, ...]:
        """What is not in a backup."""
        return (*self.definitions.left_out, *self.definitions.strangers)

    @property
    def dependents(self) -> tuple[str, ...]:
        """What belongs to the tables but is not in their records."""
        return self.definitions.left_out

    def rows(self, table: Table, pages: Pages | None = None) -> Iterator[Block]:
        """
        Yield a table's rows in blocks of any size: all, or those on some pages.

        Raises:
            MovedOn: the table was dropped, rewritten, altered or replaced since the snapshot, which doesn't protect
                from that.
        """
        with closing(self._asked([table], pages)) as copies:
            yield from self._utf8(table, copies.rows(table))
            self._still_there([table], copies.values())

    def each(self, tables: Sequence[Table], *, alone: bool = False) -> Iterator[tuple[Table, Iterator[Block]]]:
        """
        Yield tables with their rows, as `rows` does; those of each must be read before the next.

        Args:
            alone: no table keeps its lock while another is read; slow for many small ones.

        Raises:
            MovedOn: as `rows`, at the latest some tables later.
        """
        for run in runs(tables, {} if alone else self._weights(), 1 if alone else RUN_TABLES):
            with closing(self._asked(run)) as copies:
                for table in run:
                    yield table, self._utf8(table, copies.rows(table))
                self._still_there(run, copies.values())

    def _utf8(self, table: Table, blocks: Iterator[Block]) -> Iterator[Block]:
        """Pass rows on; refuse what no backup can hold, nor an engine read."""
        if self.source.encoding == "UTF8" or self.source.converted:  # the server sees to it
            return blocks
        return checked(table, self.source.encoding, blocks)

    def _weights(self) -> dict[str, int]:
        """Return how many pages each table has, those of long values included."""
        query = """
            select oid,
                   (pg_relation_size(oid) + coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0))
                   / current_setting('block_size')::int
            from pg_class
            where oid = any(%s::oid[])
        """
        oids = self.definitions.oids
        found: dict[int, int | None] = dict(self.session.execute(query.encode(), [list(oids.values())]).fetchall())
        self.session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        return {name: found.get(oid) or 0 for name, oid in oids.items()}

    def _asked(self, tables: Sequence[Table], pages: Pages | None = None) -> Copies:
        numbers = ", ".join(str(self.definitions.oids[table.name]) for table in tables)
        queries = [copy_query(self.schema, table, pages) for table in tables]
        return Copies(self.session, queries, [_FILES.format(oids=numbers), "ROLLBACK TO SAVEPOINT dlbackup"])

    def _still_there(self, tables: Sequence[Table], filenodes: Sequence[str | None]) -> None:
        for table, filenode in zip(tables, filenodes, strict=True):
            if filenode != str(self.definitions.filenodes[table.name]):
                what = "replaced or altered" if filenode is None else "rewritten"
                raise MovedOn(f"table {table.name} was {what} while the catalog was read", "try again")

    def pages(self) -> dict[str, int]:
        """Return how many pages each table has on the server's disk, in the order of the tables."""
        query = "select o, pg_relation_size(o) / current_setting('block_size')::int from unnest(%s::oid[]) o"
        oids = self.definitions.oids
        found: dict[int, int | None] = dict(self.session.execute(query.encode(), [list(oids.values())]).fetchall())
        self.session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        return {table.name: found[oids[table.name]] or 0 for table in self.tables}

    def densities(self) -> dict[str, float]:
        """Return how many rows a page holds, of the tables that the server has statistics of."""
        query = """
            select oid, reltuples / relpages
            from pg_class
            where oid = any(%s::oid[]) and reltuples > 0 and relpages > 0
        """
        oids = self.definitions.oids
        found: dict[int, float] = dict(self.session.execute(query.encode(), [list(oids.values())]).fetchall())
        self.session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        return {name: found[oid] for name, oid in oids.items() if oid in found}

    def moment(self) -> Moment | None:
        """Return what a later snapshot can be held against."""
        return moment_of(self.session)

    def origins(self) -> dict[str, Origin]:
        """Return, by name, what tables are beyond their definitions."""
        return origins_of(self.session, self.tables, self.definitions.oids, self.definitions.filenodes)

    def since(self, then: Moment, claims: Sequence[Claim]) -> list[Change | None]:
        """Return what became of rows that an earlier snapshot saw; see the contract, and `unchanged`."""
        named = {claim.table.name: claim.table for claim in claims if claim.table.name in self.definitions.oids}
        oids = {name: self.definitions.oids[name] for name in named}
        present = origins_of(self.session, tuple(named.values()), oids, self.definitions.filenodes)
        return changes_since(self.session, self.schema, present, then, claims)

    def shows_what(self, earlier: Snapshot) -> bool:
        """Tell whether it is proved that nothing was committed since; see `unchanged`."""
        return (
            isinstance(earlier, PostgresSnapshot)
            and _sequences(self) == _sequences(earlier)  # their numbers are taken whether anything is committed or not
            and nothing_committed(self.session, earlier.view, self.view)
        )

    def joinable(self, tables: Sequence[Table]) -> "SharedSnapshot | None":
        """Return what another session needs to read these tables; None where the snapshot was not exported."""
        if self.exported is None:
            return None
        names = [table.name for table in tables]
        oids, filenodes = self.definitions.oids, self.definitions.filenodes
        part = Definitions(
            tables=tuple(tables),
            oids={n: oids[n] for n in names},
            filenodes={n: filenodes[n] for n in names},
            left_out=(),
            beside={},
        )
        return SharedSnapshot(
            exported=self.exported,
            schema=self.schema,
            source=self.source,
            head=self.head,
            definitions=part,
            view=self.view,
        )

    def counts(self, tables: Sequence[Table]) -> dict[str, int]:
        """Return the number of rows by table name, counted by the server."""
        counts: dict[str, int] = {}
        for run in runs(tables, {}, RUN_TABLES):
            queries = (
                f"select {number}, count(*) from {qualified(self.schema, table.name)}"
                for number, table in enumerate(run)
            )
            found: dict[int, int] = dict(self.session.execute(" union all ".join(queries).encode()).fetchall())
            self.session.execute("ROLLBACK TO SAVEPOINT dlbackup")
            counts |= {table.name: found[number] for number, table in enumerate(run)}
        return counts

    def size_bytes(self) -> int:
        """Return the size of the tables on the server's disk, with their indexes and long values."""
        oids = list(self.definitions.oids.values())
        query = "select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint from unnest(%s::oid[]) oid"
        (size,) = one(self.session, query, oids)
        self.session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        return int(size)

    def missing_rights(self, *, rehearsal: bool) -> list[DlbackupError]:
        """Return what the role may not do that a migration needs."""
        return missing_rights(self.session, self.schema, self.tables, rehearsal=rehearsal)

    def undo_refused(self) -> list[DlbackupError]:
        """Return why the server couldn't take back a migration, as errors to raise."""
        needed = LOCKS_PER_TABLE * (2 * len(self.tables) + _NEW_TABLES)
        if needed <= locks_available(self.session):
            return []
        hint = "raise max_locks_per_transaction, or move what is named into another schema"
        try:
            refuse_shared(self.session, self.schema, self.definitions.oids.values(), needed, hint)
        except TooManyLocks as exc:
            return [exc]
        return []

    def updates_refused(self) -> list[DlbackupError]:
        """Return the refusal of tables that are published without a replica identity."""
        fixed = [table.name for table in self.tables if table.kind == "fixed"]
        place = {"schema": self.schema, "quoted": quote_identifier(self.schema), "tables": fixed}
        found = self.session.execute(_NO_IDENTITY.encode(), place).fetchall()
        if not found:
            return []
        names = sorted({name for name, _ in found})
        return [
            CannotMigrate(
                f"publication {found[0][1]} publishes tables without a replica identity, so that PostgreSQL refuses to"
                f" update or delete their rows, which a migration does: {listed(names, separator=', ')}",
                " ".join(f"ALTER TABLE {qualified(self.schema, name)} REPLICA IDENTITY FULL;" for name in names),
            )
        ]

    def answers(self) -> AbstractContextManager[PostgresAnswers]:
        """Let the view answer SQL inside the block."""
        return answering(self.session, self.schema, self.tables)


def _sequences(snapshot: Snapshot) -> list[tuple[ColumnSequence, ...]]:
    return [table.sequences for table in snapshot.tables]


@dataclass(frozen=True, slots=True)
class Exported:
    """The server that a snapshot is on, and the name under which other sessions may take it."""

    address: Address
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSnapshot:
    """What another session needs to see what a snapshot sees."""

    exported: Exported
    schema: str
    source: Source
    head: Head
    definitions: Definitions
    view: View

    @contextmanager
    def join(self) -> Iterator[PostgresSnapshot]:
        """
        Open a session of its own on the snapshot. Errors of the server inside the block are translated.

        Raises:
            Unreachable: it is another server that answers now, as behind an address of several.
        """
        address = self.exported.address
        session = connect(address)
        try:
            with translated(address, f"reading the catalog in schema {self.schema}"), session.transaction():
                session.execute(ONE_VIEW)
                session.execute(f"SET TRANSACTION SNAPSHOT {quote_literal(self.exported.name)}".encode())
                set_ours(session)
                if View(*one(session, f"select {VIEW}")) != self.view:
                    raise Unreachable(f"another server than before answers at {address}", "name one of them")
                session.execute("SAVEPOINT dlbackup")
                yield PostgresSnapshot(
                    session=session,
                    schema=self.schema,
                    source=self.source,
                    head=self.head,
                    definitions=self.definitions,
                    view=self.view,
                    exported=self.exported,
                )
        finally:
            session.close()


def runs(tables: Sequence[Table], pages: Mapping[str, int], most: int) -> Iterator[list[Table]]:
    """Divide tables, in their order, into runs that are asked for together; those without pages count for none."""
    run: list[Table] = []
    size = 0
    for table in tables:
        count = pages.get(table.name, 0)
        if run and (len(run) == most or size + count > RUN_PAGES):
            yield run
            run, size = [], 0
        run.append(table)
        size += count
    if run:
        yield run
