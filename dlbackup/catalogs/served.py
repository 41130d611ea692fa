"""
What a catalog on a server promises beside `contract`: it is migrated where it is, while others are connected to it.

A catalog in a file has none of this: whoever migrates it has it for himself, and works on a copy.
"""

from dataclasses import dataclass
from typing import Protocol

from dlbackup.catalogs.contract import Catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """
    What a catalog says of itself, to who opens it.

    Args:
        versions: every spec version that it names; healthy catalogs name one.
        data_paths: where its data files are.
    """

    versions: tuple[str, ...]
    data_paths: tuple[str, ...]


class Served(Catalog, Protocol):
    """A catalog on a server, open; closed by the `with` of `open_served`."""

    @property
    def is_open(self) -> bool:
        """Whether its session has not been closed, so that something may be asked in it."""

    def declared(self) -> Declared:
        """Read what the catalog says of itself, without its definitions: that is cheap."""

    def somebody_works(self) -> bool:
        """Tell whether somebody has his turn with the catalog (`Catalog.turn`), without waiting for it."""

    def remove_bars(self) -> tuple[str, ...]:
        """
        Take away what bars stale clients; return its names.

        Raises:
            Locked: somebody holds the tables.
        """
