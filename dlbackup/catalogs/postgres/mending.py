"""Putting right, in one transaction, what an engine's migration lost of a catalog on PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Retyped
from dlbackup.catalogs.postgres.clients.bars import bar
from dlbackup.catalogs.postgres.locks import AT_ONCE
from dlbackup.catalogs.postgres.ready import Ready, converting
from dlbackup.catalogs.postgres.sessions import AS_STORED, Session, in_transaction, translated
from dlbackup.tables.quoting import qualified, quote_identifier


@dataclass(frozen=True, slots=True)
class PostgresMending:
    """
    A session in its transaction; see `contract.Mending`.

    Args:
        ready: tables that were made with their new types already.
    """

    session: Session
    schema: str
    ready: Ready

    def execute(self, sql: str) -> int:
        """Execute a statement; return how many rows it touched."""
        return self.session.execute(sql.replace("{s}", quote_identifier(self.schema)).encode()).rowcount

    def retype(self, tables: Retyped) -> None:
        """Give columns other types, many tables in one message; a table that is ready takes the other's place."""
        # What engines read is UTF-8: as it is stored, or as the server converts it for them, and for the session.
        as_stored = self.session.info.parameter_status("client_encoding") == AS_STORED
        there = self._types([name for name, _ in tables])
        statements = []
        for name, conversions in tables:
            # Some are done already, when what was cut off is finished.
            left = [(column, how) for column, old_type, how in conversions if there.get((name, column)) == old_type]
            if len(left) == len(conversions) and name in self.ready.tables:
                statements.append(self.ready.exchanging(self.schema, name))
            elif left:
                actions = ", ".join(
                    f"ALTER COLUMN {quote_identifier(column)} TYPE {converting(how, column, as_stored=as_stored)}"
                    for column, how in left
                )
                statements.append(f"ALTER TABLE {qualified(self.schema, name)} {actions}")
        for begin in range(0, len(statements), AT_ONCE):
            self.session.execute("; ".join(statements[begin : begin + AT_ONCE]).encode())

    def _types(self, tables: list[str]) -> dict[tuple[str, str], str]:
        """Return the types of the columns of some tables, by table and name."""
        rows = self.session.execute(
            """
            select c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
            from pg_attribute a
            join pg_class c on c.oid = a.attrelid
            join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = %s and c.relname = any(%s)
            """,
            [self.schema, tables],
        )
        return {(table, name): type_ for table, name, type_ in rows}

    def bar(self, version: str) -> None:
        """Bar clients that know an older version."""
        bar(self.session, self.schema, version)


@contextmanager
def mending(session: Session, address: Address, schema: str, ready: Ready) -> Iterator[PostgresMending]:
    """Open the transaction."""
    with translated(address, "mending what the engine lost"), in_transaction(session):
        yield PostgresMending(session, schema, ready)
