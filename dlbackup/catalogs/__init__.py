"""
Catalogs by address: what can be asked of any backend, and which one an address means.

A `Snapshot` is one consistent view for reading. Drivers are imported when an address asks for them.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dlbackup.address import Address
from dlbackup.backupfile import Source
from dlbackup.errors import Unsupported
from dlbackup.rows import Block
from dlbackup.tables import Table

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres import PostgresCatalog, SharedSnapshot


@dataclass(frozen=True, slots=True)
class Head:
    """
    What a catalog says of itself.

    Args:
        versions: every value of `version` in ducklake_metadata; healthy catalogs have one.
        snapshot_id: the newest snapshot, None where there is none.
        snapshot_time: UTC, ISO 8601.
    """

    versions: tuple[str, ...]
    snapshot_id: int | None
    snapshot_time: str | None

    @property
    def spec_version(self) -> str:
        """The spec version; empty where the catalog names none, or several."""
        return self.versions[0] if len(self.versions) == 1 else ""


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages of a table from the first to before the end; to its last where the end is None."""

    first: int
    end: int | None


class Snapshot(Protocol):
    """One consistent view of a catalog."""

    @property
    def source(self) -> Source:
        """Where it is."""

    @property
    def head(self) -> Head:
        """What the catalog says of itself."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """The definitions, in the order of their names' bytes."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """What belongs to the tables but is not in their records, by name."""

    def rows(self, table: Table, pages: Pages | None = None) -> Iterator[Block]:
        """Yield the texts of rows, all or those on some pages, in blocks of any size. Read it to its end."""

    def each(self, tables: Sequence[Table], *, alone: bool = False) -> Iterator[tuple[Table, Iterator[Block]]]:
        """Yield tables with all their rows, several asked for at once unless `alone`. Read each to its end."""

    def pages(self) -> dict[str, int]:
        """Return how many pages each table has."""

    def densities(self) -> dict[str, float]:
        """Return how many rows a page holds, of the tables that the server has statistics of."""

    def shared(self, address: Address, tables: Sequence[Table]) -> "SharedSnapshot":
        """Return what another session needs to read these tables, as long as this snapshot is open."""


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
    from dlbackup.catalogs.postgres import PostgresCatalog

    return PostgresCatalog.open(address, schema)
