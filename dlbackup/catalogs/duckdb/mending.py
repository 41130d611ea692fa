"""Changing what is in a DuckDB file that nobody else knows, in one transaction, until all of it is on the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access, Retyped
from dlbackup.catalogs.duckdb.child import ALIAS
from dlbackup.catalogs.duckdb.process import FileProcess
from dlbackup.errors import CatalogError
from dlbackup.tables.quoting import quote_identifier


@dataclass(frozen=True, slots=True)
class FileMending:
    """The process that has the file open, in its transaction; see `contract.Mending`."""

    process: FileProcess
    schema: str

    def execute(self, sql: str) -> int:
        """Execute a statement; return how many rows it touched."""
        statement = sql.replace("{s}", f"{ALIAS}.{quote_identifier(self.schema)}")
        said = self.process.do("execute", statements=[statement])["said"]
        return int(said[0]) if said else 0

    def retype(self, tables: Retyped) -> None:
        """Do nothing: all engines keep inlined values in a DuckDB file as the types that they are."""

    def bar(self, version: str) -> None:
        """Do nothing: nobody has the file open while it is migrated."""


@contextmanager
def mending(address: Address, access: Access, schema: str) -> Iterator[FileMending]:
    """
    Open the file for the block; at its end what was changed is on the disk, and there is no WAL.

    Raises:
        CatalogError: DuckDB can't do it.
    """
    with FileProcess(address, access, "changed") as process:
        process.do("amend", path=process.path, folder=process.folder)
        yield FileMending(process, schema)
        if process.do("finish", path=process.path)["has_wal"]:
            raise CatalogError(f"DuckDB has left a WAL beside {address}", "report it; nothing was changed")
