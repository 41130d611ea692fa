"""
Take away the constraints that `migrate --bar-stale-clients` left.
"""

from dataclasses import dataclass

from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.open import open_served


@dataclass(frozen=True, slots=True)
class Unbarred:
    """What `unbar` took away: the names of the constraints."""

    removed: tuple[str, ...]


def unbar(address: str, *, metadata_schema: str | None = None) -> Unbarred:
    """
    Take the bars away, where there are any.

    Raises:
        CatalogError: the catalog can't be reached or altered.
        Locked: somebody holds its tables.
    """
    with open_served(parse_address(address), metadata_schema) as catalog:
        return Unbarred(catalog.remove_bars())
