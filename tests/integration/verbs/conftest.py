"""What tests of `attach` need: a program that attaches."""

from collections.abc import Iterator

import duckdb
import pytest
from support.engines.programs import connect


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A program's own DuckDB."""
    with connect() as made:
        yield made
