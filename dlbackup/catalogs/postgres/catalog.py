"""An open catalog on PostgreSQL: its session, its schema, and snapshots of it."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Self

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Access, Client, Copy, Existing, Locks, Mending, Replacement, Terms
from dlbackup.catalogs.postgres.clients.advisory_lock import only_migrator, refuse_pooler
from dlbackup.catalogs.postgres.clients.connected import (
    end_by_name,
    engine_prefix,
    may_end,
    other_clients,
    settle_clients,
)
from dlbackup.catalogs.postgres.clients.guard import making_way
from dlbackup.catalogs.postgres.copies import copies
from dlbackup.catalogs.postgres.existing import look_at
from dlbackup.catalogs.postgres.locks import LOCKS_PER_TABLE, batch_tables, locks_available
from dlbackup.catalogs.postgres.mark import PostgresMark
from dlbackup.catalogs.postgres.meanings import ON_STANDBY
from dlbackup.catalogs.postgres.mending import mending
from dlbackup.catalogs.postgres.ready import NOTHING
from dlbackup.catalogs.postgres.replacement import replacing
from dlbackup.catalogs.postgres.schemas import catalog_schemas, drop_left, find_schema
from dlbackup.catalogs.postgres.sessions import Session, connect, one, set_ours, translated, with_options_of_service
from dlbackup.catalogs.postgres.snapshot import ONE_VIEW, Exported, PostgresSnapshot
from dlbackup.catalogs.postgres.surroundings import surroundings, unseen
from dlbackup.errors import MovedOn, Unreachable
from dlbackup.runtime.progress import OnEvent, ignore

_MAY_EXPORT = """
select coalesce(bool_or(has_function_privilege(p.oid, 'execute')), false)
from pg_proc p
where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = 'pg_export_snapshot'
"""
"""Tell whether the role may let others join its snapshot: some servers withhold that."""


class PostgresCatalog:
    """One catalog: a schema of a database. Holds one session, closed by `with`."""

    def __init__(self, address: Address, session: Session, schema: str) -> None:
        self.address, self.session, self.schema = with_options_of_service(address, session), session, schema
        self.ready = NOTHING
        """What a mend puts in the place of the catalog's tables; see `contract.Served.readied`."""

    @classmethod
    @contextmanager
    def open(cls, address: Address, schema: str | None = None, access: Access | None = None) -> Iterator[Self]:
        """
        Connect and find the catalog; `schema` names it where the database holds several.

        A server needs no `access`: readers wait for nobody.

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

    @classmethod
    @contextmanager
    def open_for_restore(
        cls, address: Address, wanted: str | None, own: str, access: Access | None = None, *, replace: bool
    ) -> Iterator[Self]:
        """Connect and choose the schema that a backup goes into; see `catalogs.open.open_for_restore`."""
        session = connect(address)
        try:
            with translated(address, "looking for the place to restore to"):
                schema = wanted if wanted is not None else _place_of(session, own, replace=replace)
            with translated(address, f"restoring into schema {schema}"):
                yield cls(address, session, schema)
        finally:
            session.close()

    @contextmanager
    def snapshot(self, *, share: bool = False) -> Iterator["PostgresSnapshot"]:
        """
        Open one consistent view. Errors of the server inside the block are translated.

        Args:
            share: other sessions may join it.

        Raises:
            MovedOn: also where a standby ended the session without a word, as it does in the middle of rows.
        """
        doing = f"reading the catalog in schema {self.schema}"
        on_standby = False
        try:
            with translated(self.address, doing), self.session.transaction():
                self.session.execute(ONE_VIEW)
                set_ours(self.session)
                exported = None
                if share and one(self.session, _MAY_EXPORT)[0]:  # before the first savepoint
                    exported = Exported(self.address, one(self.session, "select pg_export_snapshot()")[0])
                snapshot = PostgresSnapshot.begin(self.session, self.schema, exported)
                on_standby = snapshot.view.on_standby
                yield snapshot
        except Unreachable as exc:
            if not on_standby:
                raise
            raise MovedOn(exc.message, ON_STANDBY) from exc

    def replacement(self, tables: int, terms: Terms, on_event: OnEvent = ignore) -> AbstractContextManager[Replacement]:
        """Begin to put a backup of so many tables in the schema's place."""
        return replacing(self.session, self.address, self.schema, tables, terms, on_event)

    @contextmanager
    def looked_at(self) -> Iterator[Existing]:
        """Look at what stands in the schema, in one view."""
        with self.doing(f"reading the catalog in schema {self.schema}"), self.session.transaction():
            self.session.execute(ONE_VIEW)
            set_ours(self.session)
            yield look_at(self.session, self.schema)

    def for_engines(self) -> AbstractContextManager[Address]:
        """Give the catalog's own address: who reads keeps nobody waiting."""
        return nullcontext(self.address)

    def doing(self, what: str) -> AbstractContextManager[None]:
        """Translate errors of the server inside the block."""
        return translated(self.address, what)

    def turn(self) -> AbstractContextManager[None]:
        """Hold the catalog's advisory lock in the block."""
        return only_migrator(self.session, self.address, self.schema)

    def settle_clients(self, *, ignore: bool, terminate: bool) -> tuple[Client, ...]:
        """Refuse, end or accept other clients, as the user chose; return those that were there."""
        return settle_clients(self.session, self.schema, frozenset(), ignore=ignore, terminate=terminate)

    def making_way(self) -> AbstractContextManager[None]:
        """End clients, in the block, whose locks our session waits for."""
        return making_way(self.session, self.address, self.schema)

    @property
    def place(self) -> str:
        """What it is called in messages."""
        return f"schema {self.schema}"

    def where_kept(self, replaced: str) -> tuple[Address, str]:
        """Return the same address, and the schema in which a replaced catalog is kept."""
        return self.address, replaced

    def said_of_kept(self, replaced: str) -> str:
        """Say where it is kept, and how it is taken away by hand."""
        return f"in schema {replaced}; drop that schema when it is not needed"

    def end_engine(self, name: str) -> None:
        """End the sessions of the engine of that name, which may outlive its process."""
        end_by_name(self.session, name)

    def mending(self) -> AbstractContextManager[Mending]:
        """Put right what an engine's migration lost, in one transaction of the session."""
        return mending(self.session, self.address, self.schema, self.ready)

    def tables_at_once(self) -> int:
        """Return how many tables the locks of one transaction suffice for."""
        return batch_tables(self.session)

    def drop_left(self) -> None:
        """Drop what a restore left that was killed, or that had no time to drop what it replaced."""
        drop_left(self.session, self.schema)

    @property
    def engines(self) -> str:
        """How the application names of the catalog's engines begin."""
        return engine_prefix(self.schema)

    @property
    def mark(self) -> PostgresMark:
        """The mark of a migration that is under way, or was cut off."""
        return PostgresMark(self.session, self.schema)

    def refuse_pooler(self) -> None:
        """Raise Pooled where a proxy shares the session with others."""
        refuse_pooler(self.session, self.address)

    def copies(self) -> tuple[Copy, ...]:
        """Return the other catalogs of the same lake in the same database."""
        return copies(self.session, self.schema)

    def surroundings(self) -> tuple[list[str], list[str]]:
        """Return publications, limits and the like that a migration touches; and what this role can't see."""
        return surroundings(self.session, self.schema), unseen(self.session)

    def clients(self) -> tuple[Client, ...]:
        """Return the client sessions on the database, oldest first."""
        return other_clients(self.session, self.schema, frozenset())

    def may_end(self, clients: Sequence[Client]) -> bool:
        """Tell whether the role may end all of these sessions."""
        return may_end(self.session, [client.pid for client in clients])

    def locks(self, tables: int) -> Locks:
        """Return what restoring so many tables in one transaction needs, and what the server's settings promise."""
        return Locks(LOCKS_PER_TABLE * tables, locks_available(self.session))


def _place_of(session: Session, own: str, *, replace: bool) -> str:
    """Return the schema of the one catalog that is to be replaced; `own` where there is none, or none may be."""
    found = [name for name in catalog_schemas(session) if not name.startswith("dlbackup_")]
    return find_schema(session, None) if replace and found else own
