"""How many locks a server has for one transaction, and how many tables they suffice for."""

from dlbackup.catalogs.postgres.sessions import Session, one

LOCKS_PER_TABLE = 5
"""A table, its toast table and that one's index, keys and indexes (measured with 20,000 inlined tables)."""
AT_ONCE = 100
"""Statements in one message: the round trip costs more than a small table."""
_BATCH_TABLES = 500
_BATCH_SHARE = 4
"""A batch takes no more than this part of the server's locks: others need some."""


def locks_available(session: Session) -> int:
    """Return how many locks the server's settings promise to all transactions together."""
    return int(
        one(
            session,
            """
            select current_setting('max_locks_per_transaction')::int
                 * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)
            """,
        )[0]
    )


def batch_tables(session: Session) -> int:
    """Return how many tables one transaction makes."""
    return max(1, min(_BATCH_TABLES, locks_available(session) // (LOCKS_PER_TABLE * _BATCH_SHARE)))
