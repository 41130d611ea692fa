"""Waiting until something is so, with a deadline, in place of sleeping and hoping."""

import time
from collections.abc import Callable

import psycopg

from .postgres import Server

__all__ = ["blocked", "until"]

_DEADLINE_S = 30
_PAUSE_S = 0.01


def until(condition: Callable[[], bool], timeout_s: float = _DEADLINE_S) -> None:
    """Return as soon as the condition holds; raise TimeoutError when it doesn't in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come about in time")
        time.sleep(_PAUSE_S)


def blocked(server: Server, dbname: str) -> int:
    """Return how many sessions of a database wait for a lock."""
    query = "select count(*) from pg_stat_activity where datname = %s and wait_event_type = 'Lock'"
    with psycopg.connect(server.url, autocommit=True) as admin:
        row = admin.execute(query, [dbname]).fetchone()
    return int(row[0]) if row else 0
