"""
The guard beside the fence: clients that wait there, or sit in a transaction, hold locks that the engine needs.

PostgreSQL doesn't see that deadlock, since one side of it waits in the engine's process (tried: 0.2 to 0.3 and 0.3 to
1.0 hang behind one waiting writer).
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Client
from dlbackup.catalogs.postgres.clients.connected import CLIENT, IS_CLIENT, client_of, engine_name, terminate
from dlbackup.catalogs.postgres.sessions import Session, backend_pid, connect
from dlbackup.errors import CatalogError, DlbackupError, Locked, listed
from dlbackup.tables.quoting import qualified

_GUARD_S = 0.02
"""How often the guard looks; a migration beside writers that reconnect in a loop then takes 0.6 s (measured)."""


class Guard:
    """
    Who stands in the way of an engine or of ourselves, watched by a thread on a session of its own.

    With `ends_clients` it ends them; otherwise it ends the engine when one waits at the fence, since that wait
    has no end, or has been in the way for `patience_s`.
    """

    def __init__(
        self, session: Session, schema: str, engine: str, own: frozenset[int], patience_s: float, *, ends_clients: bool
    ) -> None:
        self.ends_clients = ends_clients
        self.gave_up: DlbackupError | None = None
        self._session, self._engine, self._own = session, engine, list(own)
        self._snapshot = qualified(schema, "ducklake_snapshot")
        self._patience_s = patience_s
        self._powerless = False
        self._since: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="dlbackup-guard", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch; returns when the thread is gone."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        # A lost session ends the watch: the engine's lock timeout still bounds what it may wait.
        with suppress(psycopg.Error):
            while not self._stop.wait(_GUARD_S):
                self._look()

    def _look(self) -> None:
        rows = self._session.execute(
            f"""
            select distinct {CLIENT}, true,
                   exists (
                       select from pg_locks l
                       where l.pid = a.pid and not l.granted and l.relation = to_regclass(%(snapshot)s)
                   )
            from pg_stat_activity w
            cross join unnest(pg_blocking_pids(w.pid)) b(pid)
            join pg_stat_activity a on a.pid = b.pid
            where w.wait_event_type = 'Lock'
              and {IS_CLIENT}
              and (w.application_name = %(engine)s or w.pid = any(%(own)s))
              and a.application_name <> %(engine)s
              and a.pid <> all(%(own)s)
            """,
            {"snapshot": self._snapshot, "engine": self._engine, "own": self._own},
        ).fetchall()
        now = time.monotonic()
        self._since = {row[0]: self._since.get(row[0], now) for row in rows}
        if rows and self.ends_clients and not self._powerless:
            try:
                terminate(self._session, list(self._since))
            except CatalogError as exc:
                self._powerless = True
                self._give_up(exc)
        elif rows and self.gave_up is None:
            hopeless = [client_of(row) for row in rows if row[-1] or now - self._since[row[0]] > self._patience_s]
            if hopeless:
                self._give_up(_in_the_way(hopeless))

    def _give_up(self, reason: DlbackupError) -> None:
        self.gave_up = reason
        self._session.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s", [self._engine]
        )


def _in_the_way(clients: list[Client]) -> Locked:
    return Locked(
        f"the engine can't get its locks because of other clients: {listed(clients)}",
        "close them, end them with --terminate-clients, or wait longer with --lock-timeout for those that only read",
    )


@contextmanager
def guarded(
    address: Address, schema: str, engine: str, own: frozenset[int], patience_s: float, *, ends_clients: bool
) -> Iterator[Guard]:
    """
    Keep a guard beside the fence while the block runs.

    Args:
        engine: the application_name of the engine's backends.
        own: backends of ours that may wait and are never ended.

    Raises:
        Unreachable: no session for it.
    """
    session = connect(address, "dlbackup-guard")
    try:
        guard = Guard(session, schema, engine, own, patience_s, ends_clients=ends_clients)
        guard.start()
        try:
            yield guard
        finally:
            guard.stop()
    finally:
        session.close()


@contextmanager
def making_way(session: Session, address: Address, schema: str) -> Iterator[None]:
    """Keep a guard while the block runs that ends who holds up our session; no engine is about."""
    own = frozenset({backend_pid(session)})
    with guarded(address, schema, engine_name(schema), own, patience_s=0.0, ends_clients=True):
        yield
