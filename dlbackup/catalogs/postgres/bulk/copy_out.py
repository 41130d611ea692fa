"""
Tables read by COPY: several in one message to the server, one after the other.

The round trip costs more than a small table, so tables that follow each other are asked for together.
"""

import select
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from operator import itemgetter

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.generators import execute, fetch_many

from dlbackup.catalogs.contract import Pages
from dlbackup.catalogs.postgres.sessions import Session
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Block
from dlbackup.tables.quoting import qualified, quote_identifier
from dlbackup.tables.types import written_as

_NOTHING_YET = (0, memoryview(b""))
"""What libpq returns while the next row has not arrived."""
_TEXT = itemgetter(1)
_POLL_MS = 100
"""TLS may hold bytes back that no poll sees."""


class Copies:
    """
    The rows of tables that one message asks for, and the results of what else it asks.

    All must be taken, in that order; `close` closes the session otherwise: a COPY can't be abandoned.
    """

    def __init__(self, session: Session, queries: Sequence[str], others: Sequence[str] = ()) -> None:
        self._session, self._connection = session, session.pgconn
        self._left = len(queries)
        self._connection.send_query(";\n".join([*queries, *others]).encode())
        # Can be interrupted while it waits for a lock.
        self._results: deque[pq.abc.PGresult] = deque(session.wait(execute(self._connection)))

    def rows(self, table: Table) -> Iterator[Block]:
        """Yield the texts of the rows that come next, as many at once as have arrived; they are that table's."""
        self._next(pq.ExecStatus.COPY_OUT)
        count = 0
        for block in _arriving(self._connection):
            count += len(block)
            yield block
        self._results += self._session.wait(fetch_many(self._connection))
        done = self._next(pq.ExecStatus.COMMAND_OK)
        if count != done.command_tuples:
            raise psycopg.DataError(f"{count} rows arrived of {done.command_tuples} in table {table.name}")
        self._left -= 1

    def values(self) -> list[str | None]:
        """Return the first column of the query that was asked after the tables."""
        result = self._next(pq.ExecStatus.TUPLES_OK)
        found = [result.get_value(row, 0) for row in range(result.ntuples)]
        return [None if value is None else value.decode() for value in found]

    def close(self) -> None:
        """Close the session unless all rows were taken."""
        if self._left:
            self._session.close()

    def _next(self, status: pq.ExecStatus) -> pq.abc.PGresult:
        result = self._results.popleft()
        if result.status != status:
            self._left = 0  # an error is the end of the message
            raise error_from_result(result, "utf-8")
        return result


def copy_query(schema: str, table: Table, pages: Pages | None = None) -> str:
    """Return what makes the server send a table's rows, all or those on some pages, as texts of our format."""
    columns, forced = [], []
    for column in table.columns:
        name = quote_identifier(column.name)
        written = written_as(column.type)
        columns.append(f"{name}::text AS {name}" if written == "boolean" else name)
        if written == "text":
            forced.append(name)
    force = f", FORCE_QUOTE ({', '.join(forced)})" if forced else ""
    return (
        f"COPY (SELECT {', '.join(columns)} FROM {qualified(schema, table.name)}{on_pages(pages)}) TO STDOUT"
        f" (FORMAT csv, QUOTE '''', NULL 'NULL'{force})"
    )


def on_pages(pages: Pages | None) -> str:
    """Return the condition that finds the rows on some pages; nothing for all."""
    if pages is None:
        return ""
    end = "" if pages.end is None else f" AND ctid < '({pages.end},0)'"
    return f" WHERE ctid >= '({pages.first},0)'{end}"


def _arriving(connection: pq.abc.PGconn) -> Iterator[Block]:
    """
    Yield the rows of a COPY as they arrive; that it ended well is for the caller to ask.

    One Python call a row is most of a dump's work, so the rows that libpq holds are taken in one go.
    """
    arrived = select.poll()
    arrived.register(connection.socket, select.POLLIN)
    take = partial(connection.get_copy_data, 1)
    while True:
        batch: list[memoryview] = []
        try:
            batch.extend(map(_TEXT, iter(take, _NOTHING_YET)))  # what it takes before an error stays in the list
            ended = False
        except psycopg.OperationalError:  # no COPY any more
            ended = True
        if batch and not batch[-1]:  # libpq's (-1, the end); a row holds its line feed at least
            batch.pop()
        if batch:
            yield batch
        if ended:
            return
        arrived.poll(_POLL_MS)  # libpq's own wait would hear no signal
        connection.consume_input()
