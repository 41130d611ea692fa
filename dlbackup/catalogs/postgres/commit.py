"""A COMMIT whose answer was lost: whether it was carried out is asked of the server."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from psycopg.pq import TransactionStatus

from dlbackup.addresses.address import Address
from dlbackup.catalogs.postgres.sessions import Session, connect, one, translated
from dlbackup.errors import DlbackupError, NeedsPerson, Unreachable
from dlbackup.runtime.signals import signals_held

_LOOK_UP_S = 30.0
_LOOK_UP_PAUSE_S = 0.2
"""How long and how often it is tried to find out how a restore ended that lost its connection at the commit."""
_TABLE = """
    select c.oid::bigint from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %s and c.relname = 'ducklake_snapshot'
"""
_MADE = f"select pg_current_xact_id()::text, ({_TABLE})"
_ENDED = f"select pg_xact_status(%s::text::xid8), ({_TABLE})"


@contextmanager
def committed_or_known(
    session: Session, address: Address, schema: str, doing: str, *, scratch: bool = False
) -> Iterator[None]:
    """
    Run the block in one transaction (nested in one that is open already), and find out how it ended.

    A signal that comes at the commit comes too late.

    Args:
        schema: where the block makes a catalog.
        scratch: nobody but us knows what is committed, so that a signal is heard as ever.

    Raises:
        NeedsPerson: the connection was lost at the commit, and it can't be found out.
    """
    nested = session.info.transaction_status != TransactionStatus.IDLE
    transaction, made = "", None
    with ExitStack() as held:
        try:
            with translated(address, doing), session.transaction():
                yield
                transaction, made = one(session, _MADE, schema)
                if not (nested or scratch):
                    held.enter_context(signals_held(too_late=True))
        except DlbackupError:
            # Whatever the server's last words were: what ended the session may have come before or after the commit.
            if not session.closed or nested or not transaction or not committed(address, transaction, schema, made):
                raise


def committed(address: Address, transaction: str, schema: str, made: int | None) -> bool:
    """
    Find out on another session how a transaction ended whose COMMIT got no answer.

    Its number alone doesn't say: a standby that has taken its server's place without it may give that to another one.

    Args:
        made: the table of snapshots in the schema, as the transaction saw it.

    Raises:
        NeedsPerson: it can't be found out.
    """
    until = time.monotonic() + _LOOK_UP_S
    why = ""
    while time.monotonic() < until:
        try:
            session = connect(address)
            try:
                status, there = one(session, _ENDED, transaction, schema)
            finally:
                session.close()
            if status == "aborted" or (status == "committed" and there == made):
                return bool(status == "committed")
            why = "the server still works on it"
            if status == "committed":
                why = "what stands there now is something else: others have been at work, or another server answers"
        except (Unreachable, psycopg.Error) as exc:
            why = exc.message if isinstance(exc, Unreachable) else str(exc)
        time.sleep(_LOOK_UP_PAUSE_S)
    raise NeedsPerson(
        f"the connection was lost at the commit of the restore, and whether it was done can't be found out: {why}",
        "look at the catalog with dlbackup info when the server is back: it is the old or the restored one, whole",
    )
