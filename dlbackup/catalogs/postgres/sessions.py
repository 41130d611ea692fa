"""
Sessions on a PostgreSQL server: how dlbackup connects, and what psycopg's errors mean to a user.

Every psycopg error that leaves layer 3 goes through `translated`, which keeps secrets out of messages.
"""

import logging
import os
import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

import psycopg
from psycopg import IsolationLevel, waiting
from psycopg.abc import PQGen
from psycopg.adapt import Buffer, Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import InsufficientPrivilege
from psycopg.generators import fetch_many
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row

from dlbackup.addresses.address import Address, parameters_for, scrub
from dlbackup.addresses.libpq import conninfo
from dlbackup.catalogs.postgres.meanings import meaning_of, of_connecting
from dlbackup.errors import DlbackupError, UsageError
from dlbackup.runtime import signals
from dlbackup.tables.statements import SETTINGS

T = TypeVar("T")
Session = psycopg.Connection[tuple[Any, ...]]
_open_sessions: "weakref.WeakSet[Session]" = weakref.WeakSet()
_backend_pids: "weakref.WeakKeyDictionary[Session, int]" = weakref.WeakKeyDictionary()
_INTERVAL_S = 0.1
"""How often a wait looks for signals."""
_END_S = 5.0
"""How long a query that was cancelled may take to end."""
LOCK_TIMEOUT_MS = 10_000
"""How long dlbackup waits behind somebody's lock, such as the ACCESS EXCLUSIVE ones of a migration."""
LOCAL_SETTINGS = f"""\
{SETTINGS.replace("SET ", "SET LOCAL ")}\
SET LOCAL search_path = '';
SET LOCAL jit = off;
SET LOCAL row_security = off;
SET LOCAL default_table_access_method = 'heap';
SET LOCAL quote_all_identifiers = off;
SET LOCAL synchronize_seqscans = off;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS};
"""
"""What every transaction of dlbackup that reads or writes a catalog sets first."""
_SESSION_SETTINGS = f"""
select pg_catalog.set_config('statement_timeout', '0', false) where pg_catalog.pg_backend_pid() = {{pid}};
select pg_catalog.set_config('search_path', '', false) where pg_catalog.pg_backend_pid() = {{pid}};
select pg_catalog.set_config(name, case name when 'lock_timeout' then '{LOCK_TIMEOUT_MS}' else '0' end, false)
from pg_catalog.pg_settings where pg_catalog.pg_backend_pid() = {{pid}}
and name in ('lock_timeout', 'idle_session_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout');
select pg_catalog.set_config(name, 'local', false) from pg_catalog.pg_settings
where name = 'synchronous_commit' and setting = 'off' and pg_catalog.pg_backend_pid() = {{pid}};
select pg_catalog.pg_backend_pid()
"""
"""
What holds between transactions: no limit of time but for locks, and what is said to be done outlives a crash.

Behind a proxy that shares sessions it would stay for others, so not there.
"""
AS_STORED = "SQL_ASCII"
"""The client_encoding under which a server gives and takes the bytes of texts as they are."""
_TEXTS = ("text", "varchar", "name", "bpchar", '"char"', 0)
"""The types that psycopg gives as bytes under that; 0 stands for all that have no loader of their own."""


# A cancel that does not get through is told by the error that follows.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


class _Interruptible(psycopg.Connection[tuple[Any, ...]]):
    """
    A connection that an interrupt doesn't leave in the middle of a query: what clears away after it can use it.

    psycopg cancels the query that it waits for, and waits for its end; but an interrupt that comes while its own code
    runs has ended what would wait, and the next query fails with "another command is already in progress".
    It counts the transactions that it is in, too, and one that was interrupted as it ended may still be counted.
    """

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """Begin as psycopg does; an idle session is in no transaction."""
        if self.pgconn.transaction_status == TransactionStatus.IDLE:
            self._num_transactions = 0
        with super().transaction(savepoint_name, force_rollback) as transaction:
            yield transaction

    def wait(self, gen: PQGen[T], interval: float = _INTERVAL_S, timeout: float | None = None) -> T:
        """Wait as psycopg does; after an interrupt, to the end of the query."""
        try:
            return super().wait(gen, interval, timeout)
        except KeyboardInterrupt:
            self._end_query()
            raise

    def _end_query(self) -> None:
        """Wait for the end of a query that was cancelled; close the connection where it doesn't come."""
        try:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                waiting.wait(fetch_many(self.pgconn), self.pgconn.socket, interval=_INTERVAL_S, timeout=_END_S)
        except psycopg.Error:
            self.pgconn.finish()
        except BaseException:
            self.pgconn.finish()
            raise
        if self.pgconn.transaction_status == TransactionStatus.ACTIVE:  # rows come or are waited for
            self.pgconn.finish()


def connect(address: Address, name: str = "dlbackup") -> Session:
    """
    Open an autocommit session; the caller closes it.

    Raises:
        UsageError: libpq doesn't know a parameter of the address.
        Unreachable: no server, no such database, or not let in.
    """
    parameters = parameters_for(address, name)
    try:
        conninfo_to_dict(conninfo(parameters))
    except psycopg.ProgrammingError as exc:
        raise UsageError(f"the address is not valid: {_text(exc, address)}") from None
    try:
        session = _opened(conninfo(parameters), "UTF8")
        if session.info.parameter_status("server_encoding") != "UTF8" and not _converts_for_engines(parameters):
            session.close()
            session = _opened(conninfo(parameters), AS_STORED)
            for kind in _TEXTS:
                session.adapters.register_loader(kind, _StoredText)
        return _with_settings(session)
    except psycopg.Error as exc:
        error, hint = of_connecting(exc)
        raise error(f"can't connect to {address}: {_text(exc, address)}", hint) from None


def _converts_for_engines(parameters: dict[str, str]) -> bool:
    """
    Tell whether the server converts texts for an engine in a database of another encoding than UTF8.

    Engines send UTF-8 and take what comes for UTF-8, and their connections convert nothing unless the database, the
    role or the address sets client_encoding. We have to see what they see: a database of LATIN1 has their UTF-8 in it,
    and would give us each byte of it as a character of its own. The environment is not asked: theirs may be another.
    """
    probe = _opened(conninfo(parameters), parameters.get("client_encoding", ""))
    try:
        return probe.info.parameter_status("client_encoding") == "UTF8"
    finally:
        probe.close()


def set_ours(session: Session) -> None:
    """Give the transaction that is open the settings that all of ours have."""
    session.execute(LOCAL_SETTINGS.encode())


@contextmanager
def in_transaction(session: Session) -> Iterator[None]:
    """Open a transaction, or a savepoint in one that is open, with the settings that all of ours have."""
    with session.transaction():
        set_ours(session)
        yield


def with_options_of_service(address: Address, session: Session) -> Address:
    """
    Return an address with the options that a service file has for it, such as `-c role=...`.

    Whoever sets options of its own, as for engines is done, would leave out those of the file.
    """
    if "options" in address.parameters or not (address.parameters.get("service") or os.environ.get("PGSERVICE")):
        return address
    found = next((option.val for option in session.pgconn.info if option.keyword == b"options"), None)
    return replace(address, parameters=address.parameters | {"options": found.decode()}) if found else address


def _opened(text: str, encoding: str) -> Session:
    """Open a session; its client_encoding is the server's choice where that is empty."""
    session = _Interruptible.connect(text, autocommit=True, prepare_threshold=None, client_encoding=encoding)
    session.isolation_level = IsolationLevel.READ_COMMITTED  # else what was locked would be seen as of before that
    _open_sessions.add(session)
    return session


class _StoredText(Loader):
    """Texts of a session that converts nothing; bytes that are no UTF-8 survive the way back."""

    def load(self, data: Buffer) -> str:
        """Return a text."""
        return bytes(data).decode(errors="surrogateescape")


def answers(session: Session) -> bool:
    """Tell whether the server still knows the session."""
    try:
        session.execute("select 1")
    except psycopg.Error:
        return False
    return True


def is_idle(session: Session) -> bool:
    """Tell whether a session can be used for something else: it is open, and in no transaction."""
    return not session.closed and session.info.transaction_status == TransactionStatus.IDLE


def _cut_all() -> None:
    """Shut the connections of all sessions, so that nothing waits any longer for a server that is silent."""
    for session in list(_open_sessions):
        with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(session.fileno())) as connection:
            connection.shutdown(socket.SHUT_RDWR)


signals.on_second(_cut_all)


def _with_settings(session: Session) -> Session:
    try:
        make_settings(session, session.pgconn.backend_pid)
    except BaseException:
        session.close()
        raise
    return session


def make_settings(session: Session, only_pid: int) -> None:
    """Set what holds between transactions, if that process serves the session, and note which does."""
    cursor = session.execute(_SESSION_SETTINGS.format(pid=only_pid).encode())
    while cursor.nextset():
        pass
    ((_backend_pids[session],),) = cursor.fetchall()


def backend_pid(session: Session) -> int:
    """Return the process that serves a session, in the server's own words: a proxy may tell its clients another one."""
    return _backend_pids[session]


def _text(exc: psycopg.Error, address: Address) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    # libpq says which address it tried, then why: the reason is what helps.
    text = "; ".join(lines) if lines else type(exc).__name__
    return scrub(text, address, os.environ.get("PGPASSWORD", ""))


@contextmanager
def translated(address: Address, doing: str) -> Iterator[None]:
    """Turn psycopg's errors into dlbackup's; `doing` says what was under way, e.g. `reading the catalog`."""
    try:
        yield
    except psycopg.Error as exc:
        raise _translate(exc, address, doing) from exc


def _translate(exc: psycopg.Error, address: Address, doing: str) -> DlbackupError:
    error, hint = meaning_of(exc)
    return error(f"{doing}: {_text(exc, address)}", hint)


def quoted_text(session: Session, text: str) -> str:
    """Return `text` as a literal for statements that take no parameters."""
    return psycopg.sql.Literal(text).as_bytes(session).decode()


def named(session: Session, kind: type[T], sql: str, *parameters: object) -> list[T]:
    """Return the rows of a query as records whose fields have the names of its columns."""
    with session.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(sql.encode(), parameters or None).fetchall()


def system_identifier(session: Session) -> str:
    """Return what tells the server's cluster from all others; empty where the role may not read it."""
    try:
        with session.transaction():
            (server,) = one(session, "select system_identifier::text from pg_control_system()")
    except InsufficientPrivilege:
        return ""
    return str(server)


def one(session: Session, sql: str, *parameters: object) -> tuple[Any, ...]:
    """Return the only row of a query."""
    row = session.execute(sql.encode(), parameters or None).fetchone()
    if row is None:
        raise psycopg.DataError(f"no row from: {sql[:80]}")
    return row
