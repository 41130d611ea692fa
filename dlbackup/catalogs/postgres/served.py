"""A catalog on PostgreSQL as it is migrated where it is: see `contract.Served`."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Declared, Retyped, Site
from dlbackup.catalogs.postgres.catalog import PostgresCatalog
from dlbackup.catalogs.postgres.clients.advisory_lock import is_held
from dlbackup.catalogs.postgres.clients.bars import bars, remove_bars
from dlbackup.catalogs.postgres.fence import PostgresFence
from dlbackup.catalogs.postgres.new_lake import making_lake
from dlbackup.catalogs.postgres.ready import NOTHING, readied
from dlbackup.catalogs.postgres.sessions import answers, connect, in_transaction
from dlbackup.catalogs.postgres.sisters import give_alike
from dlbackup.tables.definition import Table
from dlbackup.tables.quoting import qualified

_DECLARED = """
select key, value from {metadata} m
where key in ('version', 'data_path') and to_jsonb(m) ->> 'scope' is null
order by 1, 2
"""


class ServedCatalog(PostgresCatalog):
    """An open catalog, with what a migration beside clients needs of it."""

    @staticmethod
    def making_lake(address: Address, wanted: str | None) -> AbstractContextManager[Site]:
        """Be the one who makes a lake, in the block."""
        return making_lake(address, wanted)

    @property
    def is_open(self) -> bool:
        """Whether the session has not been closed."""
        return not self.session.closed

    @contextmanager
    def revived(self) -> Iterator[None]:
        """Take another session in the place of one that is lost."""
        if answers(self.session):
            yield
            return
        with closing(connect(self.address)) as self.session:
            yield

    @contextmanager
    def fence(self) -> Iterator[PostgresFence["ServedCatalog"]]:
        """Open the session of a fence."""
        with closing(connect(self.address, "dlbackup-fence")) as session:
            yield PostgresFence(self, ServedCatalog(self.address, session, self.schema))

    def give_alike(self, sisters: Iterable[Table]) -> list[str]:
        """Give tables that a migration made what these have in common."""
        with self.doing("giving new tables what the others have"):
            return give_alike(self.session, self.schema, sisters)

    @contextmanager
    def readied(self, tables: Retyped) -> Iterator[None]:
        """Make tables anew, which `mending` puts in their place in the block."""
        with readied(self.address, self.schema, tables) as self.ready:
            try:
                yield
            finally:
                self.unready()

    def unready(self) -> None:
        """Leave the tables where they were made: they are not those of the catalog as it is now."""
        self.ready = NOTHING

    def declared(self) -> Declared:
        """Read ducklake_metadata, and nothing else."""
        with in_transaction(self.session):
            query = _DECLARED.format(metadata=qualified(self.schema, "ducklake_metadata"))
            rows = self.session.execute(query.encode()).fetchall()
        return Declared(
            versions=tuple(value for key, value in rows if key == "version"),
            data_paths=tuple(value for key, value in rows if key == "data_path"),
        )

    def somebody_works(self) -> bool:
        """Tell whether somebody holds the catalog's advisory lock."""
        return is_held(self.session, self.schema)

    def is_barred(self) -> bool:
        """Tell whether there is a bar, of this version of dlbackup or an earlier one."""
        return bool(bars(self.session, self.schema))

    def remove_bars(self) -> tuple[str, ...]:
        """Take the bars away in one transaction; return the names of the constraints."""
        with self.doing("taking the bars away"), in_transaction(self.session):
            return remove_bars(self.session, self.schema)
