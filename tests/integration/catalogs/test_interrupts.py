"""A session that an interrupt has met is usable afterwards, or closed: what has to be cleaned up is cleaned up."""

import random
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

import pytest
from psycopg import transaction
from psycopg.pq import TransactionStatus

from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.postgres.sessions import Session, connect, is_idle, one
from dlbackup.errors import Interrupted

_TIMES = 200
_LONGEST_S = 0.004


@pytest.fixture
def alarms() -> Iterator[Callable[[float], object]]:
    """Raise an interrupt in so many seconds."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted("in the middle")

    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def _ask(session: Session) -> None:
    session.execute("select generate_series(1, 3000)").fetchall()


def _ask_in_transaction(session: Session) -> None:
    with session.transaction():
        session.execute("select 1")
        _ask(session)


def test_a_transaction_after_one_that_was_interrupted_anywhere(database: str) -> None:
    """At each call of psycopg's own transactions: a session that is idle begins another one, as if nothing had been."""
    address = parse_address(database)
    session = connect(address)
    calls = 0
    try:
        while _is_interrupted_at(calls, session):
            calls += 1
            if session.closed or not is_idle(session):
                session.close()
                session = connect(address)
            _ask_in_transaction(session)
            assert is_idle(session)
    finally:
        session.close()
    assert calls > 20


def _is_interrupted_at(call: int, session: Session) -> bool:
    """Ask in a transaction; tell whether psycopg came to that call in what transactions do, where an interrupt came."""
    left = call

    def trace(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        if transaction.__file__ in (frame.f_code.co_filename, frame.f_back and frame.f_back.f_code.co_filename):
            left -= 1
            if left == -1:
                raise Interrupted("here")

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        _ask_in_transaction(session)
    except Interrupted:
        return True
    finally:
        sys.settrace(before)
    return left < 0


# An interrupt also meets what is called when something is deleted, where nobody can catch it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("ask", [_ask, _ask_in_transaction])
def test_session_after_an_interrupt(
    database: str, pytestconfig: pytest.Config, alarms: Callable[[float], object], ask: Callable[[Session], None]
) -> None:
    """Whenever the interrupt comes, the session is not left in the middle of a query; it may be in a transaction."""
    address, chance = parse_address(database), random.Random(pytestconfig.getoption("seed"))
    session = connect(address)
    met, closed = 0, 0
    try:
        for _ in range(_TIMES):
            try:
                try:
                    alarms(chance.uniform(0.00005, _LONGEST_S))
                    ask(session)
                finally:
                    alarms(0)
            except Interrupted:
                met += 1
            closed += session.closed
            if not is_idle(session):
                assert session.closed or session.info.transaction_status != TransactionStatus.ACTIVE
                session.close()
                session = connect(address)
            assert one(session, "select 7") == (7,)
    finally:
        session.close()
    assert met > _TIMES / 10
    assert closed < _TIMES / 10
