"""
The fence on PostgreSQL: what keeps commits out while a migration runs, and who else is connected.

`LOCK TABLE ducklake_snapshot IN SHARE MODE` in an open transaction: every DuckLake commit inserts into
that table, so commits wait and reads go on; an engine's own migration never locks it (tried with 1.5.1 and 1.5.5).
The lock is gone with the session. One advisory lock per catalog keeps migrators and restores apart. A guard
stands beside the fence: clients that wait there, or sit in a transaction, hold locks that the engine needs.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import xxhash

from dlbackup.address import Address
from dlbackup.catalogs.postgres import one
from dlbackup.catalogs.sessions import Session, answers, connect, translated
from dlbackup.errors import CatalogError, DlbackupError, Locked, MigratorRuns, Pooled
from dlbackup.migration import Client, clients_connected
from dlbackup.statements import qualified

_LOCK_CLASS = 0x444C4B42  # "DLKB"
_POLL_S = 0.05
_GRACE_S = 0.5
"""How long a session that is just going may still be seen."""
_GUARD_S = 0.02
"""How often the guard looks; a migration beside writers that reconnect in a loop then takes 0.6 s (measured)."""
_IS_CLIENT = "(a.backend_type = 'client backend' or a.backend_type is null and a.usename is not null)"
"""The server hides the type of other roles' backends from a role without pg_read_all_stats."""
_CLIENT = (
    " a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''),"
    " coalesce(a.state, ''), coalesce(extract(epoch from clock_timestamp() - a.backend_start)::float8, 0),"
)


def other_clients(session: Session, schema: str, own: frozenset[int]) -> tuple[Client, ...]:
    """
    Return the client sessions on the database, oldest first.

    Left out are `own` backends and other sessions of dlbackup: none of them is an attached DuckLake client,
    and migrators keep each other away by the advisory lock.
    """
    rows = session.execute(
        f"select {_CLIENT}"
        " exists (select from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on"
        "         n.oid = c.relnamespace where l.pid = a.pid and n.nspname = %s and c.relname like 'ducklake\\_%%')"
        f" from pg_stat_activity a where a.datname = current_database() and {_IS_CLIENT}"
        " and a.pid <> pg_backend_pid() and a.pid <> all(%s)"
        " and coalesce(a.application_name, '') !~ '^dlbackup(-|$)' order by a.backend_start, a.pid",
        [schema, list(own)],
    )
    return tuple(Client(*row) for row in rows)


def end_clients(session: Session, pids: list[int], timeout_s: float = 10.0) -> None:
    """
    End backends and wait until they are gone.

    Raises:
        CatalogError: one can't be ended.
    """
    until = time.monotonic() + timeout_s
    while pids:
        _terminate(session, pids)
        rows = session.execute("select pid from pg_stat_activity where pid = any(%s)", [pids]).fetchall()
        pids = [row[0] for row in rows]
        if pids and time.monotonic() > until:
            raise CatalogError(f"the sessions {', '.join(map(str, pids))} do not end")
        time.sleep(_POLL_S if pids else 0)


def _terminate(session: Session, pids: list[int]) -> None:
    try:
        session.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid = any(%s)", [pids])
    except psycopg.errors.InsufficientPrivilege as exc:
        raise CatalogError(
            "no right to end other sessions", "use a role with pg_signal_backend, or close the clients"
        ) from exc


def settle_clients(
    session: Session, schema: str, own: frozenset[int], *, ignore: bool, terminate: bool
) -> tuple[Client, ...]:
    """
    Refuse, end or accept other clients, as the user chose; return those that were there.

    Raises:
        ClientsConnected: there are some, and the user chose nothing.
    """
    clients = other_clients(session, schema, own)
    until = time.monotonic() + _GRACE_S
    while clients and not (ignore or terminate) and time.monotonic() < until:
        time.sleep(_POLL_S)
        clients = other_clients(session, schema, own)
    if clients and terminate:
        end_clients(session, [client.pid for client in clients])
    elif clients and not ignore:
        raise clients_connected(clients)
    return clients


def end_by_name(session: Session, name: str) -> None:
    """End all backends with that application_name and wait until their locks are gone."""
    rows = session.execute("select pid from pg_stat_activity where application_name = %s", [name]).fetchall()
    end_clients(session, [row[0] for row in rows], timeout_s=30.0)


def engine_name(schema: str) -> str:
    """Return a new name for an engine's backends, by which the catalog's next migrator finds those left behind."""
    return f"{_engine_prefix(schema)}{secrets.token_hex(6)}"


def _engine_prefix(schema: str) -> str:
    return f"dlbackup-engine-{xxhash.xxh32_hexdigest(schema.encode())}-"


def refuse_pooler(session: Session) -> None:
    """
    Find out whether the session is ours alone: a proxy that shares sessions doesn't know the server's process.

    Raises:
        Pooled: it isn't, so that no lock in it can be trusted.
    """
    if one(session, "select pg_backend_pid()")[0] != session.pgconn.backend_pid:
        raise Pooled(
            "a transaction-pooling proxy (such as PgBouncer) is between dlbackup and the server",
            "connect to the server itself",
        )


@contextmanager
def only_migrator(session: Session, schema: str) -> Iterator[None]:
    """
    Hold the catalog's advisory lock, and end what engines of a dead holder left behind: they keep their locks.

    Raises:
        MigratorRuns: somebody else holds it.
        Pooled: the session isn't ours alone, so that no lock in it can be trusted.
    """
    refuse_pooler(session)
    key = lock_key(schema)
    if not one(session, "select pg_try_advisory_lock(%s)", key)[0]:
        raise MigratorRuns(
            f"another migration or restore of the catalog in schema {schema} is running",
            "wait until it is done",
        )
    try:
        left = session.execute(
            "select pid from pg_stat_activity where datname = current_database() and starts_with(application_name, %s)",
            [_engine_prefix(schema)],
        ).fetchall()
        end_clients(session, [row[0] for row in left], timeout_s=30.0)
        yield
    finally:
        with suppress(psycopg.Error):  # a session that is lost or busy takes its lock with it when it is closed
            session.execute("select pg_advisory_unlock(%s)", [key])


def lock_key(schema: str) -> int:
    """Return the advisory lock key of a schema; advisory locks are per database already."""
    return (_LOCK_CLASS << 32) | xxhash.xxh32_intdigest(schema.encode())


class Fence:
    """A fence that stands: the session whose transaction holds it, and since when."""

    def __init__(self, session: Session, schema: str) -> None:
        self.session, self.schema = session, schema
        self.since = time.monotonic()
        self.ends_waiting = False
        """Whether who still waits is ended when the fence falls: what they planned was for another catalog."""

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
        try:
            session.execute(f"LOCK TABLE {qualified(schema, 'ducklake_snapshot')} IN SHARE MODE".encode())
        except psycopg.errors.LockNotAvailable as exc:
            raise Locked(
                f"a commit or another session held ducklake_snapshot for {lock_timeout_ms / 1000:g} s",
                "try again, or give --lock-timeout more seconds",
            ) from exc
        fence = Fence(session, schema)
        yield fence
        if fence.ends_waiting:  # they die at once or, should the lock be theirs first, before they can commit
            _terminate(session, fence.waiting())


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
            f"select distinct {_CLIENT} true, exists (select from pg_locks l where l.pid = a.pid and not l.granted"
            "  and l.relation = to_regclass(%(snapshot)s))"
            " from pg_stat_activity w cross join unnest(pg_blocking_pids(w.pid)) b(pid) join pg_stat_activity a"
            f"  on a.pid = b.pid where w.wait_event_type = 'Lock' and {_IS_CLIENT}"
            "  and (w.application_name = %(engine)s or w.pid = any(%(own)s))"
            "  and a.application_name <> %(engine)s and a.pid <> all(%(own)s)",
            {"snapshot": self._snapshot, "engine": self._engine, "own": self._own},
        ).fetchall()
        now = time.monotonic()
        self._since = {row[0]: self._since.get(row[0], now) for row in rows}
        if rows and self.ends_clients and not self._powerless:
            try:
                _terminate(self._session, list(self._since))
            except CatalogError as exc:
                self._powerless = True
                self._give_up(exc)
        elif rows and self.gave_up is None:
            hopeless = [Client(*row[:-1]) for row in rows if row[-1] or now - self._since[row[0]] > self._patience_s]
            if hopeless:
                self._give_up(_in_the_way(hopeless))

    def _give_up(self, reason: DlbackupError) -> None:
        self.gave_up = reason
        self._session.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s", [self._engine]
        )


def _in_the_way(clients: list[Client]) -> Locked:
    listed = "; ".join(str(client) for client in clients[:5])
    return Locked(
        f"the engine can't get its locks because of other clients: {listed}",
        "close them, or end them with --terminate-clients",
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
