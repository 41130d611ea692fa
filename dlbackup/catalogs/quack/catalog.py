"""A catalog behind a Quack server as a catalog: what was copied out of it, in a DuckDB file that only we know."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access
from dlbackup.catalogs.duckdb.catalog import FileCatalog
from dlbackup.catalogs.quack.copying import copied
from dlbackup.errors import UsageError


class QuackCatalog:
    """One catalog: a schema of the database that a server has."""

    @classmethod
    @contextmanager
    def open(cls, address: Address, schema: str | None = None, access: Access | None = None) -> Iterator[FileCatalog]:
        """Copy the catalog and open the copy; see `catalogs.open.open_catalog`."""
        access = access or Access()
        with copied(address, schema, access) as file:
            copy = Address("duckdb", path=str(file), shown=str(address))
            with FileCatalog.open(copy, schema, access) as catalog:
                yield catalog

    @classmethod
    def open_for_restore(
        cls, address: Address, wanted: str | None, own: str, access: Access | None = None, *, replace: bool
    ) -> AbstractContextManager[FileCatalog]:
        """Refuse it."""
        raise read_only(address)


def read_only(address: Address) -> UsageError:
    """Return what to say to who wants to write there."""
    return UsageError(
        f"{address} is a Quack server, whose catalog dlbackup reads and does not change",
        "do it on the server's machine, to the file that it serves, while it is not running: dlbackup restore BACKUP"
        " FILE, dlbackup plan FILE, dlbackup migrate FILE; clients attach the lake by DuckLake's own"
        " ATTACH 'ducklake:quack:HOST'",
    )
