"""An open catalog on PostgreSQL: its session, its schema, and snapshots of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from dlbackup.addresses.address import Address
from dlbackup.catalogs.postgres.schemas import find_schema
from dlbackup.catalogs.postgres.sessions import LOCAL_SETTINGS, Session, connect, one, translated
from dlbackup.catalogs.postgres.snapshot import ONE_VIEW, PostgresSnapshot


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
            name = one(self.session, "select pg_export_snapshot()")[0] if share else ""  # before the first savepoint
            yield PostgresSnapshot.begin(self.session, self.schema, name)
