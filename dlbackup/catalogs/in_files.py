"""What is alike in all catalogs that are in a file: there is no server, so nobody else is connected to one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dlbackup.catalogs.contract import Client, Copy, Locks


class InFile:
    """The part of a `Catalog` that says so."""

    def settle_clients(self, *, ignore: bool, terminate: bool) -> tuple[Client, ...]:
        """Return nothing: who has the file open keeps us from opening it."""
        return ()

    @contextmanager
    def making_way(self) -> Iterator[None]:
        """Do nothing: nobody holds locks that we could wait for."""
        yield

    def refuse_pooler(self) -> None:
        """Do nothing: nobody is in between."""

    def copies(self) -> tuple[Copy, ...]:
        """Return nothing: what other files there are, nobody says."""
        return ()

    def surroundings(self) -> tuple[list[str], list[str]]:
        """Return nothing: a file has none."""
        return [], []

    def clients(self) -> tuple[Client, ...]:
        """Return nothing, as `settle_clients`."""
        return ()

    def may_end(self, clients: Sequence[Client]) -> bool:
        """Tell that there is nobody to be ended."""
        return not clients

    def locks(self, tables: int) -> Locks:
        """Return that a file has one lock, whatever is in it."""
        return Locks(0, 0)
