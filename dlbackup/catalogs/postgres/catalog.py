"""An open catalog on PostgreSQL: its session, its schema, and snapshots of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Client, Locks
from dlbackup.catalogs.postgres.clients.advisory_lock import refuse_pooler
from dlbackup.catalogs.postgres.clients.connected import other_clients
from dlbackup.catalogs.postgres.locks import LOCKS_PER_TABLE, locks_available
from dlbackup.catalogs.postgres.mark import PostgresMark
from dlbackup.catalogs.postgres.schemas import find_schema
from dlbackup.catalogs.postgres.sessions import LOCAL_SETTINGS, Session, connect, one, translated
from dlbackup.catalogs.postgres.snapshot import ONE_VIEW, Exported, PostgresSnapshot


class PostgresCatalog:
    """One catalog: a schema of a database. Holds one session, closed by `with`."""

    def __init__(self, address: Address, session: Session, schema: str) -> None:
        self.address, self.session, self.schema = address, session, schema

    @classmethod
    @contextmanager
    def open(cls, address: Address, schema: str | None = None) -> Iterator["PostgresCatalog"]:
        """
        Connect and find the catalog; `schema` names it where the database holds several.

        Errors of the server inside the block are translated, also where nothing inside says what was under way.
        """
        session = connect(address)
        try:
            with translated(address, "looking for the catalog"):
                found = find_schema(session, schema)
            with translated(address, f"working on the catalog in schema {found}"):
                yield cls(address, session, found)
        finally:
            session.close()

    @contextmanager
    def snapshot(self, *, share: bool = False) -> Iterator["PostgresSnapshot"]:
        """
        Open one consistent view. Errors of the server inside the block are translated.

        Args:
            share: other sessions may join it.
        """
        doing = f"reading the catalog in schema {self.schema}"
        with translated(self.address, doing), self.session.transaction():
            self.session.execute(ONE_VIEW)
            self.session.execute(LOCAL_SETTINGS.encode())
            exported = None
            if share:  # before the first savepoint
                exported = Exported(self.address, one(self.session, "select pg_export_snapshot()")[0])
            yield PostgresSnapshot.begin(self.session, self.schema, exported)

    @property
    def mark(self) -> PostgresMark:
        """The mark of a migration that is under way, or was cut off."""
        return PostgresMark(self.session, self.schema)

    def refuse_pooler(self) -> None:
        """Raise Pooled where a proxy shares the session with others."""
        refuse_pooler(self.session)

    def clients(self) -> tuple[Client, ...]:
        """Return the client sessions on the database, oldest first."""
        return other_clients(self.session, self.schema, frozenset())

    def locks(self, tables: int) -> Locks:
        """Return what restoring so many tables in one transaction needs, and what the server's settings promise."""
        return Locks(LOCKS_PER_TABLE * tables, locks_available(self.session))
