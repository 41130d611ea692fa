"""Copies of a catalog that nobody else knows: one to try something on, and one that takes its place in the end."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from dlbackup.catalogs.contract.catalog import Catalog


class Trial(Protocol):
    """A scratch place beside a catalog, which nobody else knows, for a backup to be restored into and tried."""

    @property
    def catalog(self) -> Catalog:
        """What is restored there."""

    def blamed(self, version: str) -> AbstractContextManager[None]:
        """
        Restore in the block; where tables come to be others by the place's doing, say so: it is no fault of the backup.

        Args:
            version: of the server that the backup is from.

        Raises:
            CatalogError: instead of RestoredOtherwise.
        """

    def filled(self, tables: Sequence[str]) -> None:
        """Get ready to answer questions about tables that were just loaded."""


class Remake(Protocol):
    """
    A catalog that is held, so that nobody else uses it, and a copy for an engine to migrate, which nobody else knows.

    The catalog itself is not changed before the exchange.
    """

    @property
    def held(self) -> Catalog:
        """The catalog as it is."""

    @property
    def copy(self) -> Catalog:
        """Its copy, which is not open, once that is made."""

    def make_copy(self) -> None:
        """Copy all that is there, also what is not the catalog's."""

    def exchange(self) -> str | None:
        """Put the copy, all of it on the disk, in the place of the catalog; return where that is kept."""
