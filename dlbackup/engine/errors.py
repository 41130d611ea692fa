"""DuckDB's errors turned into dlbackup's: the reason first, and no connection string, which may hold a password."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from dlbackup.addresses.address import Address, scrub
from dlbackup.errors import EngineError

_PAIR = r"""\w+=(?:'(?:[^'\\]|\\.)*'|[^\s'"]*)"""
_PAIRS = rf"{_PAIR}(?:\s+{_PAIR})*\s*"
_AT_PATH = re.compile(rf'Failed to attach DuckLake MetaData "[^"]*" at path \+ ?"postgres:{_PAIRS}"')
_AT_SERVER = re.compile(rf'Unable to connect to Postgres at "?{_PAIRS}"?: ')
_ADDRESS = re.compile(rf'"?(?:ducklake:)?postgres:{_PAIRS}"?')
_OF_QUERY = re.compile(r'Failed to [\w ]+ "(?P<query>.*)": *(?P<reason>(?:ERROR|FATAL|PANIC): .*)', re.DOTALL)
_QUERY_SHOWN = 120


def reason_first(text: str) -> str:
    """
    Return the words of a DuckDB without the connection string, and what a server said before the query.

    An engine repeats both whole, and a migration's query is hundreds of lines.
    """
    text = _AT_SERVER.sub("can't connect: ", _AT_PATH.sub("", text))
    text = _ADDRESS.sub("the address", text)
    return _OF_QUERY.sub(_turned, text).strip()


def _turned(found: re.Match[str]) -> str:
    query = " ".join(found["query"].split())
    shown = query if len(query) <= _QUERY_SHOWN else f"{query[:_QUERY_SHOWN]}..."
    return f"{found['reason'].strip()}; in the query {shown}"


def raise_interrupt(error: Exception) -> None:
    """Raise what a signal's handler raised during a query: DuckDB gives a RuntimeError whose cause that is."""
    if isinstance(error.__cause__, KeyboardInterrupt):
        raise error.__cause__ from None


@contextmanager
def translated(doing: str, address: Address | None = None) -> Iterator[None]:
    """Turn DuckDB's errors into dlbackup's; `doing` says what was under way, e.g. `looking for the alias`."""
    import duckdb

    try:
        yield
    except RuntimeError as exc:
        raise_interrupt(exc)
        raise
    except duckdb.Error as exc:
        message = f"{doing}: {type(exc).__name__}: {reason_first(str(exc))}"
        raise EngineError(scrub(message, address) if address else message) from None
