"""
The fence on PostgreSQL: what keeps commits out while a migration runs.

`LOCK TABLE ducklake_snapshot IN SHARE MODE` in an open transaction: every DuckLake commit inserts into
that table, so commits wait and reads go on; an engine's own migration never locks it (tried with 1.5.1 and 1.5.5).
The lock is gone with the session.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

import psycopg

from dlbackup.catalogs.contract import Client
from dlbackup.catalogs.postgres.catalog import PostgresCatalog
from dlbackup.catalogs.postgres.clients.connected import (
    end_clients,
    holders,
    named,
    other_clients,
    settle_clients,
    terminate,
)
from dlbackup.catalogs.postgres.clients.guard import Guard, guarded
from dlbackup.catalogs.postgres.sessions import answers, backend_pid, translated
from dlbackup.errors import Locked
from dlbackup.tables.quoting import qualified

C = TypeVar("C", bound=PostgresCatalog)
_WRITING = (
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
"""The locks that the fence waits for."""
_HINT = "close what holds it, end it with --terminate-clients, or give --lock-timeout more seconds"


class PostgresFence(Generic[C]):
    """
    A session whose transaction holds the fence; see `contract.Fence`.

    Args:
        outside: the catalog as the migration has it, on another session, which clients are ended by.
        catalog: the catalog on the fence's session.
    """

    def __init__(self, outside: C, catalog: C) -> None:
        self.catalog = catalog
        self._outside, self._session = outside, catalog.session
        self._snapshots = qualified(catalog.schema, "ducklake_snapshot")
        self._ends_waiting = False

    def settle_clients(self, *, ignore: bool, terminate: bool) -> tuple[Client, ...]:
        """Refuse, end or accept clients other than our two sessions."""
        session, schema = self._outside.session, self.catalog.schema
        return settle_clients(session, schema, self._own, ignore=ignore, terminate=terminate)

    @contextmanager
    def raised(self, lock_timeout_s: float) -> Iterator[float]:
        """Hold the lock in the block."""
        session, timeout_ms = self._session, int(lock_timeout_s * 1000)
        with translated(self.catalog.address, "holding the fence"), session.transaction():
            session.execute("SET LOCAL statement_timeout = 0")
            session.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            session.execute(f"SET LOCAL lock_timeout = {timeout_ms}".encode())
            try:
                self._share(self._snapshots)
            except psycopg.errors.LockNotAvailable as exc:
                held = f"a commit or another session held ducklake_snapshot for {timeout_ms / 1000:g} s"
                raise Locked(held + named(holders(session, [self._snapshots], _WRITING)), _HINT) from exc
            yield time.monotonic()
            if self._ends_waiting:  # they die at once or, should the lock be theirs first, before they can commit
                terminate(session, self._waiting())

    def hold(self, tables: Iterable[str]) -> None:
        """Lock more tables in the same mode."""
        for name in tables:
            table = qualified(self.catalog.schema, name)
            try:
                self._share(table)
            except psycopg.errors.LockNotAvailable as exc:
                writers = holders(self._session, [table], _WRITING)
                raise Locked(f"another session writes into table {name}{named(writers)}", _HINT) from exc

    def stands(self) -> bool:
        """Tell whether the session still holds its lock."""
        return answers(self._session)

    def at_once(self) -> AbstractContextManager[object]:
        """Make the block one transaction of the session."""
        return self._session.transaction()

    def guarded(self, engine: str, patience_s: float, *, ends_clients: bool) -> AbstractContextManager[Guard]:
        """Keep a guard that spares our two sessions."""
        address, schema = self.catalog.address, self.catalog.schema
        return guarded(address, schema, engine, self._own, patience_s, ends_clients=ends_clients)

    def end_waiting(self) -> tuple[Client, ...]:
        """End who waits for ducklake_snapshot, and who will until the lock is gone; return who else is connected."""
        end_clients(self._outside.session, self._waiting())
        others = other_clients(self._outside.session, self.catalog.schema, self._own)
        self._ends_waiting = True
        return others

    @property
    def _own(self) -> frozenset[int]:
        return frozenset({backend_pid(self._outside.session), backend_pid(self._session)})

    def _share(self, table: str) -> None:
        """Lock a table in the session's transaction, which can go on when that fails."""
        with self._session.transaction():
            self._session.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())

    def _waiting(self) -> list[int]:
        """Return the backends that wait for a lock on ducklake_snapshot; who vacuums it commits nothing, and stays."""
        rows = self._session.execute(
            "select l.pid from pg_locks l"
            " where l.relation = %s::regclass and not l.granted and l.mode <> 'ShareUpdateExclusiveLock'",
            [self._snapshots],
        )
        return [row[0] for row in rows]
