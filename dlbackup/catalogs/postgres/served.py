"""A catalog on PostgreSQL as it is migrated where it is: see `catalogs.served`."""

from dlbackup.catalogs.postgres.catalog import PostgresCatalog
from dlbackup.catalogs.postgres.clients.bars import remove_bars
from dlbackup.catalogs.postgres.sessions import LOCAL_SETTINGS


class ServedCatalog(PostgresCatalog):
    """An open catalog, with what a migration beside clients needs of it."""

    def remove_bars(self) -> tuple[str, ...]:
        """Take the bars away in one transaction; return the names of the constraints."""
        with self.doing("taking the bars away"), self.session.transaction():
            self.session.execute(LOCAL_SETTINGS.encode())
            return remove_bars(self.session, self.schema)
