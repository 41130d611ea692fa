"""
Inlined tables made beside a catalog with the types that newer engines write, to be exchanged while commits wait.

ALTER TABLE writes a table anew to change a type, and the COMMIT takes the old file away, which is most of the time, as
for DROP TABLE (3.0 s of 3.4 for 500 tables). To exchange two tables touches no file: the old ones are dropped later.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Retyped
from dlbackup.catalogs.postgres.introspection import read_definitions
from dlbackup.catalogs.postgres.locks import batch_tables
from dlbackup.catalogs.postgres.place import PostgresPlace
from dlbackup.catalogs.postgres.schemas import DROPPED, READY, claimed, drop_left, drop_schema, own_name
from dlbackup.catalogs.postgres.sessions import AS_STORED, Session, connect, in_transaction, translated
from dlbackup.errors import DlbackupError, Interrupted
from dlbackup.tables.definition import Table, by_name
from dlbackup.tables.quoting import qualified, quote_identifier

_USING = " USING "


@dataclass(frozen=True, slots=True)
class Ready:
    """
    What may take the place of a catalog's tables.

    Args:
        schema: in which the tables are, by the names of those.
        aside: the schema that these go to.
    """

    schema: str
    aside: str
    tables: frozenset[str]

    def exchanging(self, schema: str, table: str) -> str:
        """Return the statements that put a table in the place of that of a catalog's schema."""
        return (
            f"ALTER TABLE {qualified(schema, table)} SET SCHEMA {quote_identifier(self.aside)};"
            f" ALTER TABLE {qualified(self.schema, table)} SET SCHEMA {quote_identifier(schema)}"
        )


NOTHING = Ready("", "", frozenset())


@contextmanager
def readied(address: Address, schema: str, tables: Retyped) -> Iterator[Ready]:
    """
    Make tables anew in a scratch schema, which is dropped at the end with what was exchanged; see `contract.Served`.

    One whose definition would not be the same but for the types is left out, and all are, where something fails.
    """
    with closing(connect(address, "dlbackup-ready")) as session:
        name, aside = own_name(READY, schema), own_name(DROPPED, schema)
        with claimed(session, name), claimed(session, aside):
            try:
                yield _made(address, session, schema, Ready(name, aside, frozenset()), tables)
            finally:
                with suppress(DlbackupError), translated(address, "dropping tables that were exchanged"):
                    drop_schema(session, aside)
                    drop_schema(session, name)


def _made(address: Address, session: Session, schema: str, new: Ready, tables: Retyped) -> Ready:
    place = PostgresPlace(session, new.schema)
    try:
        with translated(address, "making tables with other types"):
            drop_left(session, schema, [READY])
            with in_transaction(session):
                known = by_name(read_definitions(session, schema).tables)
                for name in (new.schema, new.aside):
                    session.execute(f"CREATE SCHEMA {quote_identifier(name)}".encode())
            wanted = _wanted(known, tables)
            size = batch_tables(session)
            for begin in range(0, len(wanted), size):
                with in_transaction(session):
                    _fill(place, schema, wanted[begin : begin + size])
            with in_transaction(session):
                made = by_name(place.definitions())
    except Interrupted:
        raise
    except DlbackupError:
        return NOTHING
    return replace(new, tables=frozenset(table.name for table, _ in wanted if table == made.get(table.name)))


def _wanted(known: dict[str, Table], tables: Retyped) -> list[tuple[Table, dict[str, str]]]:
    """Return the tables to be made, with how columns change; not those that have changed since they were looked at."""
    found = []
    for name, conversions in tables:
        table = known.get(name)
        changes = {column: how for column, old, how in conversions if _has(table, column, old)}
        if table is not None and len(changes) == len(conversions) and not table.sequences:
            found.append((_retyped(table, changes), changes))
    return found


def _fill(place: PostgresPlace, schema: str, wanted: list[tuple[Table, dict[str, str]]]) -> None:
    as_stored = place.session.info.parameter_status("client_encoding") == AS_STORED
    tables = [table for table, _ in wanted]
    place.create(tables)
    filling = []
    for table, changes in wanted:
        columns = ", ".join(map(quote_identifier, table.column_names))
        values = ", ".join(_value(column, changes, as_stored=as_stored) for column in table.column_names)
        filling.append(
            f"INSERT INTO {qualified(place.schema, table.name)} ({columns})"
            f" SELECT {values} FROM {qualified(schema, table.name)}"
        )
    place.session.execute("; ".join(filling).encode())
    place.finish(tables, privileges=True, row_security=True)


def _has(table: Table | None, column: str, type_: str) -> bool:
    return table is not None and any(it.name == column and it.type == type_ for it in table.columns)


def _retyped(table: Table, changes: dict[str, str]) -> Table:
    columns = (
        replace(column, type=changes[column.name].partition(_USING)[0]) if column.name in changes else column
        for column in table.columns
    )
    return replace(table, columns=tuple(columns))


def _value(column: str, changes: dict[str, str], *, as_stored: bool) -> str:
    quoted = quote_identifier(column)
    if column not in changes:
        return quoted
    return converting(changes[column], column, as_stored=as_stored).partition(_USING)[2]


def converting(how: str, column: str, *, as_stored: bool) -> str:
    """
    Return the type that a column gets and by what, as `ALTER COLUMN ... TYPE` takes it.

    Args:
        as_stored: the session gives and takes texts as they are: engines read them so.
    """
    done = how.format(c=quote_identifier(column))
    return done.replace("::text, 'UTF8')", f"::text, '{AS_STORED}')") if as_stored else done
