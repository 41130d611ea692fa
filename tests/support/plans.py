"""DuckDB without its optimizer, which takes half of the time of a query over a few rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pytest

__all__ = ["plain_plans"]


@contextmanager
def plain_plans() -> Iterator[None]:
    """Let what is opened in the block, in this process, take queries as they are written."""
    connect = duckdb.connect

    def connected(*words: Any, **more: Any) -> duckdb.DuckDBPyConnection:
        connection = connect(*words, **more)
        connection.execute("pragma disable_optimizer")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duckdb, "connect", connected)
        yield
