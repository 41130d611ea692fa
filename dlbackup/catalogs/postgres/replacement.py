"""
A backup becomes a catalog on PostgreSQL, in one of two ways.

Where the locks of one transaction suffice, it is one part in one transaction. A catalog that is in the way is moved as
it is, keys, indexes and all, into a schema of its own named `dlbackup_replaced_<time>_<schema>`. Other tables of the
schema stay where they are.

Otherwise the tables are made in a schema of dlbackup's own, `dlbackup_restoring_<time>_<hash>_<schema>`, into which
nobody else writes: some hundred in each transaction, on a session of its own. At last that schema and the catalog's
change their names in one short transaction. Killed before that one, it leaves the catalog as it was, and a schema that
the next restore drops. A scratch schema is filled so too, and needs no exchange.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext, suppress

from dlbackup.addresses.address import Address
from dlbackup.backupfile.manifest import Entry
from dlbackup.catalogs.contract import Client, Encoding, Part, Replacement, Terms
from dlbackup.catalogs.postgres import existing
from dlbackup.catalogs.postgres.clients.bars import bar
from dlbackup.catalogs.postgres.clients.connected import end_waiting, other_clients
from dlbackup.catalogs.postgres.clients.fresh_start import Counters, start_afresh
from dlbackup.catalogs.postgres.commit import committed_or_known
from dlbackup.catalogs.postgres.exchange import exchange, lock_out_commits
from dlbackup.catalogs.postgres.existing import PostgresExisting
from dlbackup.catalogs.postgres.locks import LOCKS_PER_TABLE, batch_tables, locks_available, refuse_shared
from dlbackup.catalogs.postgres.place import PostgresPlace
from dlbackup.catalogs.postgres.rights import missing_collations, missing_storage, unknown_options
from dlbackup.catalogs.postgres.schemas import (
    RESTORING,
    aside_name,
    catalog_tables,
    claimed,
    drop_unclaimed,
    own_name,
    relations,
)
from dlbackup.catalogs.postgres.sessions import Session, connect, in_transaction, set_ours, translated
from dlbackup.errors import CatalogError, DlbackupError, MovedOn, listed
from dlbackup.runtime.progress import Event, OnEvent
from dlbackup.tables.definition import Constraint, Table
from dlbackup.tables.quoting import qualified, quote_identifier

_GOING_S = 2.0
"""How long a session of ours that is lost may take to end on the server."""
_OTHER_OWNERS = """
select r.rolname::text from pg_roles r join pg_roles me on me.rolname = current_user
where r.rolname = any(%s) and r.rolname <> me.rolname and not me.rolsuper
order by 1
"""
_OWN_TABLESPACE = b"SET LOCAL default_tablespace = ''"


@contextmanager
def replacing(
    session: Session, address: Address, schema: str, tables: int, terms: Terms, on_event: OnEvent
) -> Iterator[Replacement]:
    """Put a backup of so many tables in a schema's place; `Catalog.replacement` says what holds for that."""
    doing = f"restoring into schema {schema}"
    with translated(address, doing):
        there = catalog_tables(session, schema) if terms.replace else 0
        needed = LOCKS_PER_TABLE * (tables + there)
        in_one = needed <= locks_available(session)
    if in_one:
        with committed_or_known(session, address, schema, doing, scratch=terms.scratch):
            yield _InOneTransaction(session, existing.lock(session, schema), terms)
        return
    with ExitStack() as held:
        with translated(address, doing):
            with in_transaction(session):
                there_now = existing.look_at(session, schema)
            batches = _InBatches(session, address, there_now, terms, needed, on_event, held)
            yield batches
        if not terms.scratch:
            batches.exchange()


class _Replacing:
    """What both ways have in common: what is asked of the server, and what is done about clients."""

    def __init__(self, session: Session, there: PostgresExisting, terms: Terms) -> None:
        self._session, self._schema, self._terms = session, there.schema, terms
        self.existing = there
        self.replaced: str | None = None
        self.came: tuple[Client, ...] = ()

    def _place(self, session: Session, schema: str) -> PostgresPlace:
        """Return where tables are made: those of a scratch schema are nothing to subscribers and standbys."""
        return PostgresPlace(session, schema, unlogged=self._terms.scratch)

    def missing_roles(self, names: Iterable[str]) -> list[str]:
        """Return which of the roles the server doesn't have."""
        return existing.missing_roles(self._session, names)

    @property
    def encoding(self) -> Encoding:
        """How the database keeps texts."""
        return existing.encoding(self._session)

    def missing_storage(self, tables: Sequence[Table]) -> tuple[frozenset[str], frozenset[str]]:
        """Return the tablespaces, and the access methods, of tables that the role can't have here."""
        return missing_storage(self._session, tables)

    def unknown_privileges(self) -> frozenset[str]:
        """Return which privileges came with a later server."""
        return existing.unknown_privileges(self._session)

    def unknown_options(self, tables: Sequence[Table]) -> frozenset[tuple[str, str]]:
        """Return the storage parameters that came with a later server or with an access method."""
        return unknown_options(self._session, tables)

    def unknown_keys(self, tables: Sequence[Table]) -> frozenset[Constraint]:
        """Return the constraints that came with a later server."""
        return existing.unknown_keys(self._session, tables)

    def missing_collations(self, tables: Sequence[Table]) -> frozenset[str]:
        """Return the collations that the server was built without, or that don't go with the database's encoding."""
        return missing_collations(self._session, tables)

    def _seen(self, tables: Iterable[Table]) -> Counters | None:
        """Return how far the catalog of these tables has counted, where its clients are to forget it."""
        return Counters.of(self._session, self._schema, tables) if self._terms.bar else None

    def _bar(self, entries: Sequence[Entry], seen: Counters | None) -> None:
        """Keep stale clients of what was replaced from writing to what is there now, where that is wanted."""
        if self._terms.bar:
            bar(self._session, self._schema, self._terms.bar)
        if seen is not None:
            start_afresh(self._session, self._schema, [entry.table for entry in entries], seen)

    def _turn_away(self) -> None:
        """Note who else is connected, and end those who wait for what is replaced, where that is wanted."""
        self.came = other_clients(self._session, self._schema, frozenset())
        if self._terms.ends_waiting:
            end_waiting(self._session)


class _InOneTransaction(_Replacing):
    """What is made in the session's transaction; what stands there is locked already."""

    def parts(self, entries: Sequence[Entry]) -> Iterator[AbstractContextManager[Part]]:
        """Clear the place, yield one part, and deal with clients when it is filled."""
        self._terms.accept(self.existing)
        seen = self._seen(self.existing.tables)
        if self._terms.exact:
            self._session.execute(_OWN_TABLESPACE)
        if self.existing.tables:
            self._clear()
        yield nullcontext(Part(self._place(self._session, self._schema), entries, whole=True))
        self._bar(entries, seen)
        if self.existing.tables:
            self._turn_away()

    def _clear(self) -> None:
        """Move the existing tables aside, or drop them."""
        names = [table.name for table in self.existing.tables]
        if self._terms.drop_replaced:
            listed = ", ".join(qualified(self._schema, name) for name in names)
            self._session.execute(f"DROP TABLE {listed}".encode())
            return
        self.replaced = aside_name(self._schema)
        aside = quote_identifier(self.replaced)
        self._session.execute(f"CREATE SCHEMA {aside}".encode())
        for name in names:
            self._session.execute(f"ALTER TABLE {qualified(self._schema, name)} SET SCHEMA {aside}".encode())


class _InBatches(_Replacing):
    """
    What is made in a schema of our own, in many transactions.

    Args:
        session: for looks and the exchange; it may be in a transaction, which then decides on that.
        there: was looked at without locks, so it is looked at again for the exchange.
        needed: how many locks one transaction would need.
        held: what has to be done in the end; on a failure the schema is dropped.
    """

    def __init__(
        self,
        session: Session,
        address: Address,
        there: PostgresExisting,
        terms: Terms,
        needed: int,
        on_event: OnEvent,
        held: ExitStack,
    ) -> None:
        super().__init__(session, there, terms)
        self._address, self._needed = address, needed
        self._on_event, self._held = on_event, held
        self._name = there.schema if terms.scratch else own_name(RESTORING, there.schema)
        self._own: Session | None = None
        self._all_made = False
        self._proved: list[tuple[int, str, int]] = []
        self._entries: Sequence[Entry] = ()

    def parts(self, entries: Sequence[Entry]) -> Iterator[AbstractContextManager[Part]]:
        """Yield batches of tables, and at last the whole of them."""
        self._terms.accept(self.existing)
        self._entries = entries
        if not self._terms.scratch:
            self._refuse_shared(self.existing)
            how = f"in batches: one transaction would need about {self._needed} locks"
            self._on_event(Event(stage="restore", message=how))
            self._held.enter_context(_dropped_on_failure(self._address, self._name))
            self._held.enter_context(claimed(self._session, self._name))
        self._own = own = self._held.enter_context(closing(connect(self._address)))
        with self._translated():
            own.execute(f"CREATE SCHEMA {quote_identifier(self._name)}".encode())
            size = batch_tables(own)
            owners = self._other_owners(own, entries)
            self._let_in(own, "GRANT CREATE ON SCHEMA {} TO {}", owners)
        for begin in range(0, len(entries), size):
            yield self._part(own, entries[begin : begin + size], whole=False)
        with self._translated():
            self._let_in(own, "REVOKE CREATE ON SCHEMA {} FROM {}", owners)
        yield self._part(own, (), whole=True)
        self._all_made = True

    def _other_owners(self, own: Session, entries: Sequence[Entry]) -> list[str]:
        """Return the roles that tables may be given to by a role that is no superuser."""
        names = {table.owner for table in (*self.existing.tables, *(entry.table for entry in entries))}
        return [] if self._terms.scratch else [name for (name,) in own.execute(_OTHER_OWNERS, [sorted(names)])]

    def _let_in(self, own: Session, statement: str, roles: Sequence[str]) -> None:
        """Let roles be given tables of our own schema, as they can be of the catalog's, or no longer."""
        for role in roles:
            own.execute(statement.format(quote_identifier(self._name), quote_identifier(role)).encode())

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._address, f"restoring into schema {self._name}")

    @contextmanager
    def _part(self, own: Session, entries: Sequence[Entry], *, whole: bool) -> Iterator[Part]:
        with self._translated(), in_transaction(own):
            if self._terms.exact:
                own.execute(_OWN_TABLESPACE)
            yield Part(self._place(own, self._name), entries, whole)
            if whole:
                self._proved = relations(own, self._name)

    def _refuse_shared(self, there: PostgresExisting) -> None:
        refuse_shared(self._session, self._schema, there.definitions.oids.values(), self._needed)

    def _refuse_hidden(self, there: PostgresExisting) -> None:
        """Refuse to show rows by new tables that the old ones have come to hide while the new ones were made."""
        now, then = (
            {(table.name, on) for table in tables for on in (table.row_security, 2 * table.row_security_forced) if on}
            for tables in (there.tables, self.existing.tables)
        )
        if hidden := sorted({name for name, _ in now - then}):
            raise MovedOn(
                f"row-level security was switched on meanwhile for {listed(hidden, separator=', ')}",
                "nothing was replaced; try again",
            )

    def exchange(self) -> None:
        """Put what was made in the place of the catalog, which is looked at and accepted again once commits wait."""
        if self._own is None:  # nobody has asked for parts
            return
        if not self._all_made:
            raise AssertionError("all parts are made before a catalog is replaced")
        self._own.close()
        doing = f"putting the restored catalog in the place of schema {self._schema}"
        with committed_or_known(self._session, self._address, self._schema, doing):
            set_ours(self._session)
            lock_out_commits(self._session, self._schema)
            there = existing.look_at(self._session, self._schema)
            self._terms.accept(there)
            self._refuse_hidden(there)
            seen = self._seen(there.tables)
            self._refuse_shared(there)
            aside = exchange(self._session, self._schema, self._name, drop=self._terms.drop_replaced)
            if relations(self._session, self._schema) != self._proved:
                raise CatalogError(
                    f"somebody has changed schema {self._name} since its tables were proved",
                    "nothing was replaced; find out who drops or rewrites tables of schemas dlbackup_restoring_...",
                )
            self._bar(self._entries, seen)
            self._turn_away()
        self.replaced = None if self._terms.drop_replaced else aside


@contextmanager
def _dropped_on_failure(address: Address, name: str) -> Iterator[None]:
    """
    Drop a schema of our own when the block fails; what can't be dropped then, the next restore drops.

    That is one too whose exchange may still be committed: its session is lost to us, and not to the server.
    """
    try:
        yield
    except BaseException:
        with suppress(DlbackupError), translated(address, f"dropping schema {name}"), closing(connect(address)) as own:
            drop_unclaimed(own, name, _GOING_S)
        raise
