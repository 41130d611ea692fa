"""DuckDBs of programs that open lakes by `dlbackup.attach`, in the tests' own process."""

from typing import Any

import duckdb

__all__ = ["CUSTOMERS", "connect", "value"]

CUSTOMERS = "select count(*) from lake.sales.customers where id in (1, 2)"
"""Is 2 in the plain lake of any version."""


def connect() -> duckdb.DuckDBPyConnection:
    """Return a DuckDB in memory without extensions, on one thread, that checks no signatures of those it loads."""
    return duckdb.connect(config={"threads": "1", "allow_unsigned_extensions": "true"})


def value(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    """Return the one value that a query gives."""
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]
