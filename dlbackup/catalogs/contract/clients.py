"""Who else is connected to a catalog's database."""

from dataclasses import dataclass

from dlbackup.errors import ClientsConnected, listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """
    Another session on the catalog's database.

    Args:
        connected_s: for how many seconds.
        uses_catalog: it holds a lock on a catalog table.
        since: when it connected, UTC, ISO 8601; empty where that isn't known.
        comes_back: it may be an attached DuckDB, which connects again when its session is ended: these give no name
            of an application, unless the program does.
    """

    pid: int
    user: str
    application: str
    address: str
    state: str
    connected_s: float
    uses_catalog: bool
    since: str = ""
    comes_back: bool = False

    def __str__(self) -> str:
        where = f" from {self.address}" if self.address else ""
        what = f" ({self.application})" if self.application else ""
        since = f", since {self.since}" if self.since else ""
        back = ", comes back by itself if it is a DuckDB" if self.comes_back else ""
        age = f"for {self.connected_s:.0f} s{since}{back}"
        return f"pid {self.pid}: {self.user}{where}{what}, {self.state or 'active'}, {age}"


def clients_connected(clients: tuple[Client, ...]) -> ClientsConnected:
    """Return the refusal because of other clients."""
    count = "1 other client is" if len(clients) == 1 else f"{len(clients)} other clients are"
    return ClientsConnected(
        f"{count} connected to the database: {listed(clients)}",
        "close them, or end them with --terminate-clients, or accept with --ignore-clients that attached"
        " DuckLake clients go on with a stale view of the catalog",
    )
