"""Which backend an address means; a backend and its driver are imported when an address asks for them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Catalog
from dlbackup.errors import Unsupported

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres.catalog import PostgresCatalog

Opening = Callable[[Address, str | None], AbstractContextManager[Catalog]]


def _postgres() -> Opening:
    from dlbackup.catalogs.postgres.catalog import PostgresCatalog

    return PostgresCatalog.open


_BACKENDS: dict[str, Callable[[], Opening]] = {"postgres": _postgres}
"""What imports each backend, by the kind of its addresses."""
_KINDS = {"duckdb": "a DuckDB file", "sqlite": "a SQLite file"}


def open_catalog(address: Address, schema: str | None = None) -> AbstractContextManager[Catalog]:
    """
    Open the catalog at an address; the caller closes it with `with`.

    Args:
        schema: names it where the place holds several.

    Raises:
        Unsupported: a kind of catalog that this version can't handle.
        CatalogError: unreachable, not a lake, or ambiguous.
    """
    return _backend(address)(address, schema)


def open_postgres(address: Address, schema: str | None = None) -> AbstractContextManager["PostgresCatalog"]:
    """Open a catalog for what only PostgreSQL's can do so far: be migrated, and bar clients. Raises as above."""
    _backend(address)
    from dlbackup.catalogs.postgres.catalog import PostgresCatalog

    return PostgresCatalog.open(address, schema)


def _backend(address: Address) -> Opening:
    if address.kind not in _BACKENDS:
        raise Unsupported(
            f"the catalog at {address} is in {_KINDS[address.kind]}, and this version of dlbackup handles PostgreSQL"
            " only",
            "copy the file while no client is attached",
        )
    return _BACKENDS[address.kind]()
