"""A catalog on PostgreSQL answers SQL: rules, many tables at once, rows as text."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dlbackup.catalogs.postgres.sessions import Session, one
from dlbackup.lake.answers import ALL_RULES, Answer, Row
from dlbackup.lake.inlined import HEXADECIMAL, INLINED_COLUMNS, lake_table_id, text_columns
from dlbackup.tables.definition import Table
from dlbackup.tables.quoting import quote_identifier, quote_literal

TABLES_AT_ONCE = 50
"""How many inlined tables one query reads: their locks are held together."""
_WORK_MEMORY = "SET LOCAL work_mem = '64MB'"
_UNKNOWN = r"""
select exists (
    select from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = {schema} and c.relname like 'ducklake\_%' and c.relkind = 'r' and c.reltuples < 0
)
"""
"""Tell whether there is a table of a catalog that nobody analyzed."""
_GIVE_BACK = "ROLLBACK TO SAVEPOINT dlbackup_query"
_MORE_ROWS = b"FETCH 5000 FROM dlbackup_rows"
_NO_LOOPS = "SET LOCAL enable_nestloop = off; "
"""
For a catalog that was just restored: the server takes tables that nobody analyzed for small, and nested loops
for cheap. On 1.1 million rows one query then took a hundred times longer; to look for 3,000 files of 20,000 tables
took 5.3 s.
"""


@dataclass(frozen=True, slots=True)
class PostgresAnswers:
    """A catalog on a server, in a transaction that is open; `schema` is quoted."""

    session: Session
    schema: str
    tables: tuple[Table, ...]
    rules_at_once: int = ALL_RULES

    def ask(self, sql: str) -> Answer:
        """Return what a query says, and hold no lock of it afterwards."""
        cursor = self.session.execute(sql.encode())
        answer = Answer(tuple(column.name for column in cursor.description or ()), list(cursor))
        self._give_back()
        return answer

    def stream(self, sql: str) -> Iterator[Row]:
        """
        Yield the rows of a query that may have many, some thousand at a time.

        The cursor ends with the savepoint: psycopg's own would stay open where the connection is lost while it closes.
        """
        self.session.execute(f"{_GIVE_BACK}; DECLARE dlbackup_rows NO SCROLL CURSOR FOR {sql}".encode())
        while rows := self.session.execute(_MORE_ROWS).fetchall():
            yield from rows
        self._give_back()

    def _give_back(self) -> None:
        """Give the locks of a query back."""
        self.session.execute(_GIVE_BACK.encode())

    def inlined(self, tables: Sequence[Table], registered: frozenset[str]) -> Iterator[str]:
        """Yield queries for the rows of inlined tables, some tables in each."""
        for first in range(0, len(tables), TABLES_AT_ONCE):
            selects = (
                _rows_of(self.schema, table, table.name in registered)
                for table in tables[first : first + TABLES_AT_ONCE]
            )
            yield " union all ".join(selects)


@contextmanager
def answering(
    session: Session, schema: str, tables: tuple[Table, ...], *, fresh: bool = False
) -> Iterator[PostgresAnswers]:
    """
    Let a schema answer in the session's transaction; what is set for that holds in the block only.

    Args:
        fresh: it was made in this transaction, so that nobody can have analyzed it.
    """
    session.execute("SAVEPOINT dlbackup_answers")
    careful = _NO_LOOPS if fresh or one(session, _UNKNOWN.format(schema=quote_literal(schema)))[0] else ""
    session.execute(f"{_WORK_MEMORY}; {careful}SAVEPOINT dlbackup_query".encode())
    yield PostgresAnswers(session, quote_identifier(schema), tables)
    session.execute("ROLLBACK TO SAVEPOINT dlbackup_answers; RELEASE SAVEPOINT dlbackup_answers")


def _rows_of(schema: str, table: Table, registered: bool) -> str:
    """Return a query for what rules ask of the rows in one inlined table."""
    first = ", ".join(
        f"{quote_identifier(column.name)} as {name}"
        for column, name in zip(table.columns, INLINED_COLUMNS[table.kind], strict=False)
    )
    texts = " or ".join(_is_hexadecimal(column.name) for column in text_columns(table)) or "false"
    about = f", {str(registered).lower()} as registered, {texts} as hexadecimal" if table.kind == "inlined-data" else ""
    return f"""
        select cast({lake_table_id(table)} as bigint) as table_id, cast({quote_literal(table.name)} as varchar) as name,
               {first}{about}
        from {schema}.{quote_identifier(table.name)}
    """


def _is_hexadecimal(column: str) -> str:
    name = quote_identifier(column)
    return rf"(substr({name}, 1, 2) = '\x' and {name} ~ '^{HEXADECIMAL}$')"
