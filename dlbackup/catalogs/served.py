"""
What a catalog on a server promises beside `contract`: it is migrated where it is, while others are connected to it.

A catalog in a file has none of this: whoever migrates it has it for himself, and works on a copy.
"""

from typing import Protocol

from dlbackup.catalogs.contract import Catalog


class Served(Catalog, Protocol):
    """A catalog on a server, open; closed by the `with` of `open_served`."""

    def remove_bars(self) -> tuple[str, ...]:
        """
        Take away what bars stale clients; return its names.

        Raises:
            Locked: somebody holds the tables.
        """
