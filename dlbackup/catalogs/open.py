"""Which backend an address means; drivers are imported when an address asks for them."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from dlbackup.addresses.address import Address
from dlbackup.errors import Unsupported

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres.catalog import PostgresCatalog


def open_catalog(address: Address, schema: str | None = None) -> AbstractContextManager["PostgresCatalog"]:
    """
    Open the catalog at an address; the caller closes it with `with`.

    Raises:
        Unsupported: a kind of catalog that this version can't handle.
        CatalogError: unreachable, not a lake, or ambiguous.
    """
    if address.kind != "postgres":
        kind = {"duckdb": "a DuckDB file", "sqlite": "a SQLite file"}[address.kind]
        raise Unsupported(
            f"the catalog at {address} is in {kind}, and this version of dlbackup handles PostgreSQL only",
            "copy the file while no client is attached",
        )
    from dlbackup.catalogs.postgres.catalog import PostgresCatalog

    return PostgresCatalog.open(address, schema)
