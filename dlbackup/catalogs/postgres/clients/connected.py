"""
Who is connected to a catalog, and how they are ended.
"""

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress

import psycopg
import xxhash
from psycopg.rows import TupleRow

from dlbackup.catalogs.contract import Client, clients_connected
from dlbackup.catalogs.postgres.sessions import Session, one
from dlbackup.errors import CatalogError, Locked, listed

_POLL_S = 0.05
_GRACE_S = 0.5
"""How long a session that is just going may still be seen."""
IS_CLIENT = "(a.backend_type = 'client backend' or a.backend_type is null and a.usename is not null)"
"""The server hides the type of other roles' backends from a role without pg_read_all_stats."""
NOT_OURS = "coalesce(a.application_name, '') !~ '^dlbackup(-|$)'"
"""Other sessions of dlbackup are no attached DuckLake clients, and migrators keep each other away by a lock."""
CLIENT = """
    a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''),
    coalesce(a.state, ''), coalesce(extract(epoch from clock_timestamp() - a.backend_start)::float8, 0),
    coalesce(to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '')"""
"""The first columns of what `client_of` takes; whether the session uses the catalog comes next."""


def client_of(row: TupleRow) -> Client:
    """Return the client that a row says something of; more columns may follow."""
    pid, user, application, address, state, connected_s, since, uses_catalog, *_ = row
    return Client(
        pid=pid,
        user=user,
        application=application,
        address=address,
        state=state,
        connected_s=connected_s,
        uses_catalog=uses_catalog,
        since=since,
        comes_back=not application or application.startswith("ducklake "),  # as `attach` names a program's sessions
    )


def other_clients(session: Session, schema: str, own: frozenset[int]) -> tuple[Client, ...]:
    """
    Return the client sessions on the database, oldest first.

    Left out are `own` backends and other sessions of dlbackup: none of them is an attached DuckLake client,
    and migrators keep each other away by the advisory lock.
    """
    rows = session.execute(
        rf"""
        select {CLIENT},
               exists (
                   select from pg_locks l
                   join pg_class c on c.oid = l.relation
                   join pg_namespace n on n.oid = c.relnamespace
                   where l.pid = a.pid and n.nspname = %s and c.relname like 'ducklake\_%%'
               )
        from pg_stat_activity a
        where a.datname = current_database()
          and {IS_CLIENT}
          and a.pid <> pg_backend_pid()
          and a.pid <> all(%s)
          and {NOT_OURS}
        order by a.backend_start, a.pid
        """,
        [schema, list(own)],
    )
    return tuple(map(client_of, rows))


def holders(session: Session, tables: Sequence[str], modes: Sequence[str] = ()) -> tuple[Client, ...]:
    """
    Return who holds locks on tables, dlbackup's own sessions too, oldest first.

    Args:
        tables: as they are written in SQL.
        modes: which locks, as pg_locks names them; by default all.
    """
    rows = session.execute(
        f"""
        select {CLIENT}, true
        from pg_stat_activity a
        where a.pid <> pg_backend_pid()
          and exists (
              select from pg_locks l
              where l.pid = a.pid and l.granted and l.relation = any(%s::regclass[]::oid[])
                and (l.mode = any(%s) or %s)
          )
        order by a.backend_start, a.pid
        """,
        [list(tables), list(modes), not modes],
    )
    return tuple(map(client_of, rows))


def named(clients: Sequence[Client]) -> str:
    """Return clients as the end of a message; nothing where there are none any more."""
    return f": {listed(clients)}" if clients else ""


def lock_all(session: Session, schema: str, tables: Sequence[str]) -> None:
    """
    Lock tables in the session's transaction, so that nobody else reads or writes them.

    Raises:
        Locked: they can't be had in time.
    """
    try:
        with session.transaction():
            session.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE".encode())
    except psycopg.errors.LockNotAvailable as exc:
        raise Locked(
            f"the catalog in schema {schema} is in use, and its locks can't be had{named(holders(session, tables))}",
            "try again when they are done, or end them with --terminate-clients",
        ) from exc


def end_clients(session: Session, pids: list[int], timeout_s: float = 10.0) -> None:
    """
    End backends and wait until they are gone.

    Raises:
        CatalogError: one can't be ended.
    """
    until = time.monotonic() + timeout_s
    while pids:
        terminate(session, pids)
        rows = session.execute("select pid from pg_stat_activity where pid = any(%s)", [pids]).fetchall()
        pids = [row[0] for row in rows]
        if pids and time.monotonic() > until:
            raise CatalogError(f"the sessions {', '.join(map(str, pids))} do not end")
        time.sleep(_POLL_S if pids else 0)


def may_end(session: Session, pids: Sequence[int]) -> bool:
    """Tell whether the session's role may end all of these sessions: a superuser's only another one ends."""
    (may,) = one(
        session,
        """
        select coalesce(bool_and(
            me.rolsuper
            or not theirs.rolsuper and (pg_has_role(theirs.oid, 'usage') or pg_has_role('pg_signal_backend', 'usage'))
        ), true)
        from pg_stat_activity a
        join pg_roles theirs on theirs.oid = a.usesysid
        join pg_roles me on me.rolname = current_user
        where a.pid = any(%s)
        """,
        list(pids),
    )
    return bool(may)


def terminate(session: Session, pids: list[int]) -> None:
    """End sessions by their backends' pids; raise CatalogError where the role may not."""
    try:
        session.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid = any(%s)", [pids])
    except psycopg.errors.InsufficientPrivilege as exc:
        raise CatalogError(
            "no right to end other sessions", "use a role with pg_signal_backend, or close the clients"
        ) from exc


def end_waiting(session: Session) -> None:
    """
    End clients that wait for a lock of the session's transaction: what they want to read or write is being replaced.

    Where the role may not, they go on and find tables in which their transaction sees no rows, which is an error.
    """
    with suppress(psycopg.errors.InsufficientPrivilege), session.transaction():
        session.execute(
            f"""
            select pg_terminate_backend(a.pid)
            from pg_stat_activity a
            where {IS_CLIENT} and {NOT_OURS} and pg_backend_pid() = any(pg_blocking_pids(a.pid))
            """.encode()
        )


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
    return f"{engine_prefix(schema)}{secrets.token_hex(6)}"


def engine_prefix(schema: str) -> str:
    """Return how the application names of a catalog's engines begin."""
    return f"dlbackup-engine-{xxhash.xxh32_hexdigest(schema.encode())}-"
