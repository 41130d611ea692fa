"""A scratch schema beside a catalog, in which a backup is tried; it is dropped at the end, whatever happens."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from dlbackup.addresses.address import Address
from dlbackup.catalogs.postgres.catalog import PostgresCatalog
from dlbackup.catalogs.postgres.schemas import analyze, claimed, drop_left, drop_schema, own_name
from dlbackup.catalogs.postgres.sessions import Session, connect, is_idle, translated
from dlbackup.errors import CatalogError, OtherRows, RestoredOtherwise, Unreachable, listed

_KIND = "rehearsal"
_NAME = "dlbackup-rehearsal"
_EVENT_TRIGGERS = "select evtname from pg_event_trigger where evtenabled <> 'D' order by 1"


@dataclass(frozen=True, slots=True)
class PostgresTrial:
    """A scratch schema, which the catalog's session has claimed."""

    catalog: PostgresCatalog

    @contextmanager
    def blamed(self, version: str) -> Iterator[None]:
        """Name another major version, or event triggers, where tables come to be others than the backup's."""
        try:
            yield
        except OtherRows:
            raise
        except RestoredOtherwise as exc:
            was = version.partition(".")[0]
            with _usable(self.catalog.address, self.catalog.session) as own:
                major = str(own.info.server_version // 10000)
                triggers = [name for (name,) in own.execute(_EVENT_TRIGGERS).fetchall()]
            if major != was:
                hint = f"rehearse on PostgreSQL {was}, which the backup is from"
                raise CatalogError(f"PostgreSQL {major} makes other tables: {exc.message}", hint) from exc
            if not triggers:
                raise
            names = listed(triggers, separator=", ")
            hint = f"disable them meanwhile (ALTER EVENT TRIGGER ... DISABLE), or rehearse in another database: {names}"
            raise CatalogError(f"event triggers of the database change new tables: {exc.message}", hint) from exc

    def filled(self, tables: Sequence[str]) -> None:
        """Have the server learn what the tables hold."""
        analyze(self.catalog.session, self.catalog.schema, tables)


@contextmanager
def trying(address: Address, schema: str) -> Iterator[PostgresTrial]:
    """Name a scratch schema beside a catalog's, on a session of its own; see `catalogs.open.trying`."""
    session = connect(address, _NAME)
    try:
        with translated(address, "rehearsing in a scratch schema"), _scratch(address, session, schema) as scratch:
            yield PostgresTrial(PostgresCatalog(address, session, scratch))
    finally:
        session.close()


@contextmanager
def _scratch(address: Address, session: Session, schema: str) -> Iterator[str]:
    """Name a scratch schema, drop what killed rehearsals of this catalog left, and drop the new one at the end."""
    drop_left(session, schema, [_KIND])
    name = own_name(_KIND, schema)
    with claimed(session, name):
        try:
            yield name
        finally:
            with suppress(Unreachable), _usable(address, session) as own:  # what is left, the next rehearsal drops
                drop_schema(own, name)


@contextmanager
def _usable(address: Address, session: Session) -> Iterator[Session]:
    """
    Give a session for what remains to be done.

    Who stops in the middle of a table's rows has closed his own, and an interrupt may leave one in a transaction.
    """
    if is_idle(session):
        yield session
        return
    session.close()
    with closing(connect(address, _NAME)) as own:
        yield own
