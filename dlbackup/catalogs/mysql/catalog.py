"""A catalog in MySQL as a catalog: what was copied out of it, in a SQLite file that only we know."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access
from dlbackup.catalogs.mysql.copying import copied
from dlbackup.catalogs.sqlite.catalog import SqliteCatalog
from dlbackup.errors import UsageError


class MysqlCatalog:
    """One catalog: a database of a MySQL server."""

    @classmethod
    @contextmanager
    def open(cls, address: Address, schema: str | None = None, access: Access | None = None) -> Iterator[SqliteCatalog]:
        """Copy the catalog and open the copy; see `catalogs.open.open_catalog`."""
        with copied(address, schema) as file:
            copy = Address("sqlite", path=str(file), shown=str(address))
            with SqliteCatalog.open(copy, None, access) as catalog:
                yield catalog

    @classmethod
    def open_for_restore(
        cls, address: Address, wanted: str | None, own: str, access: Access | None = None, *, replace: bool
    ) -> AbstractContextManager[SqliteCatalog]:
        """Refuse it."""
        raise read_only(address)


def read_only(address: Address) -> UsageError:
    """Return what to say to who wants to write there."""
    return UsageError(
        f"{address} is a MySQL database, whose catalog dlbackup reads and does not change",
        "DuckLake advises against MySQL, where engines fail at most that they write: dlbackup copy ADDRESS TARGET moves"
        " the catalog to PostgreSQL, to a DuckDB file or to a SQLite file, and there it can be migrated",
    )
