"""
Take away the constraints that `migrate --bar-stale-clients` left.
"""

from dataclasses import dataclass

from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.open import open_postgres
from dlbackup.catalogs.postgres.clients.bars import remove_bars


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
    from dlbackup.catalogs.postgres.sessions import LOCAL_SETTINGS, translated

    where = parse_address(address)
    with (
        open_postgres(where, metadata_schema) as catalog,
        translated(where, "taking the bars away"),
        catalog.session.transaction(),
    ):
        catalog.session.execute(LOCAL_SETTINGS.encode())
        return Unbarred(remove_bars(catalog.session, catalog.schema))
