"""
A catalog on PostgreSQL: where it is, and one consistent view of it.

Reading takes locks for as long as one table is read: a savepoint around each gives them back while the
REPEATABLE READ snapshot stays. So a dump never makes a writer wait for long, not even one that drops
a table, and 20,000 tables need no more locks than one. What the snapshot doesn't protect, a table
dropped or rewritten in between, is noticed and reported as `MovedOn`.
"""

import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat, takewhile
from typing import Any

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.generators import execute, fetch_many

from dlbackup.address import Address
from dlbackup.backupfile import Source
from dlbackup.catalogs import Head, Pages
from dlbackup.catalogs.definitions import Definitions, find_schema, read_definitions
from dlbackup.catalogs.sessions import LOCAL_SETTINGS, Session, connect, translated
from dlbackup.errors import MovedOn
from dlbackup.fingerprint import Fingerprint, Fingerprinter, Seen
from dlbackup.rows import Block, statements_of, summed, uncollected
from dlbackup.statements import qualified, quote_identifier, quote_literal
from dlbackup.tables import INTEGERS, Rows, Table

_IS_ROW: Callable[[tuple[int, memoryview]], bool] = (0, memoryview(b"")).__lt__
"""Tells a row from libpq's (0, nothing yet) and (-1, the end), without a Python function's call."""
_ONE_VIEW = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_POLL_MS = 100
"""TLS may hold bytes back that no poll sees."""


class PostgresCatalog:
    """One catalog: a schema of a database. Holds one session, closed by `with`."""

    def __init__(self, address: Address, session: Session, schema: str) -> None:
        self.address, self.session, self.schema = address, session, schema

    @classmethod
    @contextmanager
    def open(cls, address: Address, schema: str | None = None) -> Iterator["PostgresCatalog"]:
        """Connect and find the catalog; `schema` names it where the database holds several."""
        session = connect(address)
        try:
            with translated(address, "looking for the catalog"):
                found = find_schema(session, schema)
            yield cls(address, session, found)
        finally:
            session.close()

    @contextmanager
    def snapshot(self, *, share: bool = False) -> Iterator["PostgresSnapshot"]:
        """
        Open one consistent view. Errors of the server inside the block are translated.

        Args:
            share: other sessions may join it.
        """
        doing = f"reading the catalog in schema {self.schema}"
        with translated(self.address, doing), self.session.transaction():
            self.session.execute(_ONE_VIEW)
            self.session.execute(LOCAL_SETTINGS.encode())
            name = one(self.session, "select pg_export_snapshot()")[0] if share else ""  # before the first savepoint
            yield PostgresSnapshot.begin(self.session, self.schema, name)


@dataclass(frozen=True, slots=True)
class PostgresSnapshot:
    """A `Snapshot` on an open REPEATABLE READ transaction."""

    session: Session
    schema: str
    source: Source
    head: Head
    definitions: Definitions
    name: str

    @classmethod
    def begin(cls, session: Session, schema: str, name: str = "") -> "PostgresSnapshot":
        """Take the snapshot by reading head and definitions; `name` is that under which others may join it."""
        session.execute("SAVEPOINT dlbackup")
        database, version = one(session, "select current_database(), current_setting('server_version')")
        definitions = read_definitions(session, schema)
        head = read_head(session, schema, definitions)
        session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        return cls(session, schema, Source(database, schema, version), head, definitions, name)

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables' definitions, in the order of their names' bytes."""
        return self.definitions.tables

    @property
    def left_out(self) -> tuple[str, ...]:
        """What belongs to the tables but is not in their records."""
        return self.definitions.left_out

    def rows(self, table: Table, pages: Pages | None = None) -> Iterator[Block]:
        """
        Yield a table's rows in blocks fit for one INSERT: all, or those on some pages.

        Raises:
            MovedOn: the table was dropped or rewritten since the snapshot, which doesn't protect from that.
        """
        yield from copy_out(self.session, self.schema, table, pages)
        (filenode,) = one(self.session, "select pg_relation_filenode(%s::oid)", self.definitions.oids[table.name])
        self.session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        if filenode != self.definitions.filenodes[table.name]:
            raise MovedOn(f"table {table.name} was rewritten while the catalog was read", "try again")

    def pages(self) -> dict[str, int]:
        """Return how many pages each table has on the server's disk, in the order of the tables."""
        query = "select o, pg_relation_size(o) / current_setting('block_size')::int from unnest(%s::oid[]) o"
        oids = self.definitions.oids
        found: dict[int, int | None] = dict(self.session.execute(query.encode(), [list(oids.values())]).fetchall())
        self.session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        return {table.name: found[oids[table.name]] or 0 for table in self.tables}

    def densities(self) -> dict[str, float]:
        """Return how many rows a page holds, of the tables that the server has statistics of."""
        query = (
            "select oid, reltuples / relpages from pg_class"
            " where oid = any(%s::oid[]) and reltuples > 0 and relpages > 0"
        )
        oids = self.definitions.oids
        found: dict[int, float] = dict(self.session.execute(query.encode(), [list(oids.values())]).fetchall())
        self.session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        return {name: found[oid] for name, oid in oids.items() if oid in found}

    def shared(self, address: Address, tables: Sequence[Table]) -> "SharedSnapshot":
        """Return what another session needs to read these tables, as long as this snapshot is open."""
        names = [table.name for table in tables]
        oids, filenodes = self.definitions.oids, self.definitions.filenodes
        part = Definitions(tuple(tables), {n: oids[n] for n in names}, {n: filenodes[n] for n in names}, ())
        return SharedSnapshot(address, self.schema, self.source, self.head, part, self.name)

    def contents(self) -> dict[str, Rows]:
        """Read all rows; return counts and digests by table name."""
        with uncollected():
            return {table.name: summed(self.rows(table)) for table in self.tables}

    def read(self, seen: Seen | None = None) -> tuple[dict[str, Rows], Fingerprint]:
        """Read all rows; return counts and digests by table name, and the fingerprint. `seen` is told each row."""
        found = {}
        fingerprint = Fingerprinter(self.head.spec_version, seen)
        with uncollected():
            for table in self.tables:
                fingerprint.begin(table)
                found[table.name] = summed(self.rows(table), fingerprint.add)
        return found, fingerprint.result()

    def counts(self) -> dict[str, int]:
        """Return the number of rows by table name, counted by the server."""
        counts = {}
        for table in self.tables:
            counts[table.name] = one(self.session, f"select count(*) from {qualified(self.schema, table.name)}")[0]
            self.session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        return counts

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query in which `{s}` stands for the quoted schema."""
        rows = self.session.execute(sql.replace("{s}", quote_identifier(self.schema)).encode()).fetchall()
        self.session.execute("ROLLBACK TO SAVEPOINT dlbackup")
        return rows


@dataclass(frozen=True, slots=True)
class SharedSnapshot:
    """What another session needs to see what a snapshot sees."""

    address: Address
    schema: str
    source: Source
    head: Head
    definitions: Definitions
    name: str

    @contextmanager
    def join(self) -> Iterator[PostgresSnapshot]:
        """Open a session of its own on the snapshot. Errors of the server inside the block are translated."""
        session = connect(self.address)
        try:
            with translated(self.address, f"reading the catalog in schema {self.schema}"), session.transaction():
                session.execute(_ONE_VIEW)
                session.execute(f"SET TRANSACTION SNAPSHOT {quote_literal(self.name)}".encode())
                session.execute(LOCAL_SETTINGS.encode())
                session.execute("SAVEPOINT dlbackup")
                yield PostgresSnapshot(session, self.schema, self.source, self.head, self.definitions, self.name)
        finally:
            session.close()


def one(session: Session, sql: str, *parameters: object) -> tuple[Any, ...]:
    """Return the only row of a query."""
    row = session.execute(sql.encode(), parameters or None).fetchone()
    if row is None:
        raise psycopg.DataError(f"no row from: {sql[:80]}")
    return row


def read_head(session: Session, schema: str, definitions: Definitions) -> Head:
    """Read version and newest snapshot in the session's transaction; tolerate what a damaged catalog lacks."""
    columns = {table.name: table.column_names for table in definitions.tables}
    versions: tuple[str, ...] = ()
    if {"key", "value"} <= set(columns.get("ducklake_metadata", ())):
        scope = " and scope is null" if "scope" in columns["ducklake_metadata"] else ""
        metadata = qualified(schema, "ducklake_metadata")
        rows = session.execute(f"select value from {metadata} where key = 'version'{scope} order by 1".encode())
        versions = tuple(row[0] for row in rows)
    snapshot_id = snapshot_time = None
    if {"snapshot_id", "snapshot_time"} <= set(columns.get("ducklake_snapshot", ())):
        newest = session.execute(
            "select snapshot_id, to_char(snapshot_time at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
            f" from {qualified(schema, 'ducklake_snapshot')} order by snapshot_id desc limit 1".encode()
        ).fetchone()
        snapshot_id, snapshot_time = newest or (None, None)
    return Head(versions, snapshot_id, snapshot_time)


def copy_out(session: Session, schema: str, table: Table, pages: Pages | None = None) -> Iterator[Block]:
    """
    Yield the texts of a table's rows, formatted by the server, in blocks fit for one INSERT.

    Left before its end, it closes the session: a COPY can't be abandoned otherwise.
    """
    columns, forced = [], []
    for column in table.columns:
        name = quote_identifier(column.name)
        columns.append(f"{name}::text AS {name}" if column.type == "boolean" else name)
        if column.type not in INTEGERS and column.type != "boolean":
            forced.append(name)
    force = f", FORCE_QUOTE ({', '.join(forced)})" if forced else ""
    query = (
        f"COPY (SELECT {', '.join(columns)} FROM {qualified(schema, table.name)}{_on(pages)}) TO STDOUT"
        f" (FORMAT csv, QUOTE '''', NULL 'NULL'{force})"
    )
    connection = session.pgconn
    connection.send_query(query.encode())
    (result,) = session.wait(execute(connection))  # can be interrupted while it waits for a lock
    if result.status != pq.ExecStatus.COPY_OUT:
        raise error_from_result(result, "utf-8")
    count = 0
    ended = False
    try:
        for block in statements_of(_arriving(connection)):
            count += len(block)
            yield block
        ended = True
        result = (session.wait(fetch_many(connection)) or [result])[-1]
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise error_from_result(result, "utf-8")
        if count != result.command_tuples:
            raise psycopg.DataError(f"{count} rows arrived of {result.command_tuples} in table {table.name}")
    finally:
        if not ended:
            session.close()


def _on(pages: Pages | None) -> str:
    if pages is None:
        return ""
    end = "" if pages.end is None else f" AND ctid < '({pages.end},0)'"
    return f" WHERE ctid >= '({pages.first},0)'{end}"


def _arriving(connection: pq.abc.PGconn) -> Iterator[Block]:
    """
    Yield the rows of a COPY as they arrive; that it ended well is for the caller to ask.

    One Python call a row is most of a dump's work, so the rows that libpq holds are taken in one go.
    """
    arrived = select.poll()
    arrived.register(connection.socket, select.POLLIN)
    take = connection.get_copy_data
    while True:
        batch = [row for _, row in takewhile(_IS_ROW, map(take, repeat(1)))]
        if batch:
            yield batch
        try:
            length, row = take(1)
        except psycopg.OperationalError:  # no COPY any more: takewhile swallowed its end
            return
        if length < 0:
            return
        if length == 0:  # libpq's own wait would hear no signal
            arrived.poll(_POLL_MS)
            connection.consume_input()
        else:
            yield [row]
