"""DuckDB's errors turned into dlbackup's, without the statement that failed: it may hold a password."""

from collections.abc import Iterator
from contextlib import contextmanager

from dlbackup.addresses.address import Address, scrub
from dlbackup.errors import EngineError


@contextmanager
def translated(doing: str, address: Address | None = None) -> Iterator[None]:
    """Turn DuckDB's errors into dlbackup's; `doing` says what was under way, e.g. `looking for the alias`."""
    import duckdb

    try:
        yield
    except duckdb.Error as exc:
        message = f"{doing}: {type(exc).__name__}: {str(exc).strip()}"
        raise EngineError(scrub(message, address) if address else message) from None
