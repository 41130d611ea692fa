"""
One advisory lock per catalog keeps migrators and restores apart.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import psycopg
import xxhash

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Client
from dlbackup.catalogs.postgres.clients.connected import CLIENT, client_of, end_clients, engine_prefix, named
from dlbackup.catalogs.postgres.sessions import Session, connect, make_settings, one
from dlbackup.errors import MigratorRuns, Pooled

_LOOKS = 10
"""How often another client is let in between: one of the pooler's own may come first, now and then."""
_LOCK_CLASS = 0x444C4B42  # "DLKB"


def refuse_pooler(session: Session, address: Address) -> None:
    """
    Find out whether the session, which is in no transaction, is ours alone.

    It is where its process is the one that the client was told. A proxy tells another one; so do poolers in session
    mode and some managed servers, which share nothing. What shares sessions between transactions is found by doing:
    it gives ours to a transaction of another client, or us another one while that lasts.

    Raises:
        Pooled: it isn't, so that no lock in it can be trusted.
    """
    if _process(session) == session.pgconn.backend_pid:
        return
    if _is_shared(session, address):
        raise Pooled(
            "a transaction-pooling proxy (such as PgBouncer) is between dlbackup and the server",
            "connect to the server itself",
        )
    make_settings(session, _process(session))


def _is_shared(session: Session, address: Address) -> bool:
    first = _process(session)
    with closing(connect(address)) as other:
        for _ in range(_LOOKS):
            own = _process(session)
            with other.transaction():
                theirs = _process(other)
                again = _process(session)
            if own != first or again != first or theirs == first:
                return True
    return False


def _process(session: Session) -> int:
    (pid,) = one(session, "select pg_backend_pid()")
    return int(pid)


@contextmanager
def only_migrator(session: Session, address: Address, schema: str) -> Iterator[None]:
    """
    Hold the catalog's advisory lock, and end what engines of a dead holder left behind: they keep their locks.

    Raises:
        MigratorRuns: somebody else holds it.
        Pooled: the session isn't ours alone, so that no lock in it can be trusted.
    """
    refuse_pooler(session, address)
    key = lock_key(schema)
    if not one(session, "select pg_try_advisory_lock(%s)", key)[0]:
        raise MigratorRuns(
            f"another migration or restore of the catalog in schema {schema} is running{named(_holders(session, key))}",
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


def _holders(session: Session, key: int) -> tuple[Client, ...]:
    """Return whose session holds an advisory lock."""
    rows = session.execute(
        f"""
        select {CLIENT}, true
        from pg_locks l
        join pg_stat_activity a on a.pid = l.pid
        where l.locktype = 'advisory' and l.granted and l.objsubid = 1
          and l.database = (select oid from pg_database where datname = current_database())
          and (l.classid::bigint << 32 | l.objid::bigint) = %s
        """,
        [key],
    )
    return tuple(map(client_of, rows))


def is_held(session: Session, schema: str) -> bool:
    """Tell whether anybody holds a catalog's lock, which is not taken for that."""
    key = lock_key(schema)
    held = """
        select exists (
            select from pg_locks
            where locktype = 'advisory' and classid = %s and objid = %s and objsubid = 1
              and database = (select oid from pg_database where datname = current_database())
        )
    """
    return bool(one(session, held, key >> 32, key & 0xFFFFFFFF)[0])


def lock_key(schema: str) -> int:
    """Return the advisory lock key of a schema; advisory locks are per database already."""
    return (_LOCK_CLASS << 32) | xxhash.xxh32_intdigest(schema.encode())
