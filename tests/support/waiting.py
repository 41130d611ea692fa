"""Waiting until something is so, with a deadline, in place of sleeping and hoping."""

import time
from collections.abc import Callable

import psycopg

from support.servers.postgres import Server

__all__ = ["PATIENCE_S", "blocked", "wait_until"]

PATIENCE_S = 60
"""How long a test waits for what comes at once on an idle machine: the slowest and busiest must get by with it."""

_PAUSE_S = 0.01


def wait_until(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds; raise TimeoutError when it doesn't in time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE_S} s")
        time.sleep(_PAUSE_S)


def blocked(server: Server, dbname: str) -> int:
    """Return how many sessions of a database wait for a lock."""
    query = "select count(*) from pg_stat_activity where datname = %s and wait_event_type = 'Lock'"
    with psycopg.connect(server.url, autocommit=True) as admin:
        row = admin.execute(query, [dbname]).fetchone()
    return int(row[0]) if row else 0
