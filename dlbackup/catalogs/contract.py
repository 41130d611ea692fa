"""
What can be asked of any catalog, whatever holds it.

A `Snapshot` is one consistent view for reading; `Answers` are what SQL asked of one view says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dlbackup.addresses.address import Address
from dlbackup.backupfile.manifest import Source
from dlbackup.errors import ClientsConnected
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Block

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres.snapshot import SharedSnapshot


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


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query, and the names of their columns."""

    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]


class Answers(Protocol):
    """A catalog that answers queries."""

    @property
    def schema(self) -> str:
        """The quoted name of its schema in queries."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """The definitions."""

    def ask(self, sql: str) -> Answer:
        """Run one query."""

    def inlined(self, tables: Sequence[Table], registered: frozenset[str]) -> Iterator[str]:
        """Yield queries for the rows of inlined tables of one kind, in this order of tables."""


@dataclass(frozen=True, slots=True)
class Client:
    """Another session on the catalog's database; `uses_catalog` when it holds a lock on a catalog table."""

    pid: int
    user: str
    application: str
    address: str
    state: str
    connected_s: float
    uses_catalog: bool

    def __str__(self) -> str:
        where = f" from {self.address}" if self.address else ""
        what = f" ({self.application})" if self.application else ""
        return f"pid {self.pid}: {self.user}{where}{what}, {self.state or 'active'}, for {self.connected_s:.0f} s"


def clients_connected(clients: tuple[Client, ...]) -> ClientsConnected:
    """Return the refusal because of other clients."""
    shown = "; ".join(str(client) for client in clients[:5])
    more = f"; and {len(clients) - 5} more" if len(clients) > 5 else ""
    count = "1 other client is" if len(clients) == 1 else f"{len(clients)} other clients are"
    return ClientsConnected(
        f"{count} connected to the database: {shown}{more}",
        "close them, or end them with --terminate-clients, or accept with --ignore-clients that attached"
        " DuckLake clients go on with a stale view of the catalog",
    )
