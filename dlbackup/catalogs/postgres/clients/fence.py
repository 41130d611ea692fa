"""
The fence on PostgreSQL: what keeps commits out while a migration runs.

`LOCK TABLE ducklake_snapshot IN SHARE MODE` in an open transaction: every DuckLake commit inserts into
that table, so commits wait and reads go on; an engine's own migration never locks it (tried with 1.5.1 and 1.5.5).
The lock is gone with the session.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psycopg

from dlbackup.addresses.address import Address
from dlbackup.catalogs.postgres.clients.connected import holders, named, terminate
from dlbackup.catalogs.postgres.sessions import Session, answers, translated
from dlbackup.errors import Locked
from dlbackup.tables.quoting import qualified

_WRITING = (
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
"""The locks that the fence waits for."""
_HINT = "close what holds it, end it with --terminate-clients, or give --lock-timeout more seconds"


class Fence:
    """A fence that stands: the session whose transaction holds it, and since when."""

    def __init__(self, session: Session, schema: str) -> None:
        self.session, self.schema = session, schema
        self.since = time.monotonic()
        self.ends_waiting = False
        """Whether who still waits is ended when the fence falls: what they planned was for another catalog."""

    def hold(self, tables: Iterable[str]) -> None:
        """
        Let writers of more tables wait too; for those that an undo would replace and no commit protects.

        Raises:
            Locked: one could not be had within the timeout.
        """
        for name in tables:
            table = qualified(self.schema, name)
            try:
                _share(self.session, table)
            except psycopg.errors.LockNotAvailable as exc:
                writers = holders(self.session, [table], _WRITING)
                raise Locked(f"another session writes into table {name}{named(writers)}", _HINT) from exc

    def stands(self) -> bool:
        """Tell whether the session still holds its lock."""
        return answers(self.session)

    def waiting(self) -> list[int]:
        """Return the backends that wait for a lock on ducklake_snapshot."""
        rows = self.session.execute(
            "select l.pid from pg_locks l where l.relation = %s::regclass and not l.granted",
            [qualified(self.schema, "ducklake_snapshot")],
        )
        return [row[0] for row in rows]


def _share(session: Session, table: str) -> None:
    """Lock a table in the session's transaction, which can go on when that fails."""
    with session.transaction():
        session.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())


@contextmanager
def raise_fence(session: Session, address: Address, schema: str, lock_timeout_ms: int) -> Iterator[Fence]:
    """
    Put up the fence; it falls when the block ends.

    Raises:
        Locked: it could not be had within the timeout.
    """
    with translated(address, "holding the fence"), session.transaction():
        session.execute("SET LOCAL statement_timeout = 0")
        session.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        session.execute(f"SET LOCAL lock_timeout = {int(lock_timeout_ms)}")
        table = qualified(schema, "ducklake_snapshot")
        try:
            _share(session, table)
        except psycopg.errors.LockNotAvailable as exc:
            held = f"a commit or another session held ducklake_snapshot for {lock_timeout_ms / 1000:g} s"
            raise Locked(held + named(holders(session, [table], _WRITING)), _HINT) from exc
        fence = Fence(session, schema)
        yield fence
        if fence.ends_waiting:  # they die at once or, should the lock be theirs first, before they can commit
            terminate(session, fence.waiting())
