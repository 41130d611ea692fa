"""
One advisory lock per catalog keeps migrators and restores apart.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import xxhash

from dlbackup.catalogs.postgres.clients.connected import end_clients, engine_prefix
from dlbackup.catalogs.postgres.sessions import Session, one
from dlbackup.errors import MigratorRuns, Pooled

_LOCK_CLASS = 0x444C4B42  # "DLKB"


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
            [engine_prefix(schema)],
        ).fetchall()
        end_clients(session, [row[0] for row in left], timeout_s=30.0)
        yield
    finally:
        with suppress(psycopg.Error):  # a session that is lost or busy takes its lock with it when it is closed
            session.execute("select pg_advisory_unlock(%s)", [key])


def lock_key(schema: str) -> int:
    """Return the advisory lock key of a schema; advisory locks are per database already."""
    return (_LOCK_CLASS << 32) | xxhash.xxh32_intdigest(schema.encode())
