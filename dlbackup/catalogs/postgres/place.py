"""
Tables made and filled in a schema, in a transaction that somebody else commits.

The search path stays empty, so that no name in a backup can mean a function that somebody planted in the
schema.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass

from psycopg.errors import InsufficientPrivilege, UndefinedObject

from dlbackup.catalogs.postgres.answers import answering
from dlbackup.catalogs.postgres.bulk.copy_out import Copies, copy_query
from dlbackup.catalogs.postgres.bulk.copy_text import OPTIONS
from dlbackup.catalogs.postgres.introspection import read_definitions
from dlbackup.catalogs.postgres.locks import AT_ONCE
from dlbackup.catalogs.postgres.rights import shut_out
from dlbackup.catalogs.postgres.sessions import Session
from dlbackup.catalogs.postgres.snapshot import RUN_TABLES, runs
from dlbackup.errors import CatalogError
from dlbackup.lake.answers import Answers
from dlbackup.tables.definition import Table, by_name
from dlbackup.tables.digest import Block
from dlbackup.tables.quoting import qualified, quote_identifier
from dlbackup.tables.statements import adding, definition, finishing, keyless, ownership

_ROWS_A_PAGE = 50
_SET_ON_TABLES = """
select relname::text, obj_description(oid, 'pg_class'),
       array(select split_part(option, '=', 1) from unnest(reloptions) option), relreplident::text,
       relrowsecurity, relforcerowsecurity
from pg_class
where relnamespace = %s::regnamespace and relname = any(%s)
  and (relrowsecurity or relforcerowsecurity or relreplident <> 'd' or reloptions is not null
       or obj_description(oid, 'pg_class') is not null)
"""
"""What is set on tables of a schema beside what CREATE TABLE says."""


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """
    A schema to be filled, in an open transaction.

    Args:
        unlogged: its tables won't outlive a crash, and belong to no publication.
    """

    session: Session
    schema: str
    unlogged: bool = False

    def create(self, tables: Sequence[Table]) -> None:
        """Create tables; `finish` adds their keys."""
        kind = "CREATE UNLOGGED TABLE" if self.unlogged else "CREATE TABLE"
        made = [_kept(definition(keyless(table)[0], self.schema), table) for table in tables]
        self._execute([kind + text.removeprefix("CREATE TABLE") for text in made])

    def load(self, table: Table, texts: Iterable[bytes]) -> int:
        """Load rows in the form of `copy_text.OPTIONS`; return how many the server says it took."""
        columns = ", ".join(quote_identifier(name) for name in table.column_names)
        name = qualified(self.schema, table.name)
        query = f"COPY {name} ({columns}) FROM STDIN ({OPTIONS})"
        with self.session.cursor() as cursor:
            with cursor.copy(query.encode()) as copy:
                for text in texts:
                    copy.write(text)
            return cursor.rowcount

    def finish(self, tables: Sequence[Table], *, privileges: bool, row_security: bool = False) -> None:
        """Make keys, indexes, comments, owners and grants; take away what the server gave by itself."""
        made: list[str] = []
        for table in tables:
            name = qualified(self.schema, table.name)
            made += [adding(name, key) for key in keyless(table)[1]]
            made += finishing(table, self.schema)
            made += [
                f"ALTER INDEX {qualified(self.schema, index)} SET TABLESPACE {quote_identifier(tablespace)};\n"
                for index, tablespace in table.index_tablespaces
            ]
        self._execute(made)
        if privileges:
            self._revoke_defaults(
                [name for table in tables for name in (table.name, *(it.name for it in table.sequences))]
            )
        self._take_back(tables, row_security=row_security)
        try:
            self._execute([it for table in tables for it in ownership(table, self.schema)])
        except InsufficientPrivilege as exc:
            raise CatalogError(
                f"no right to give the tables the owners and grants that they had: {exc.diag.message_primary}",
                "restore as a role that may, or with --no-owner and --no-privileges",
            ) from exc

    def _execute(self, statements: Sequence[str]) -> None:
        for begin in range(0, len(statements), AT_ONCE):
            self.session.execute("".join(statements[begin : begin + AT_ONCE]).encode())

    def _revoke_defaults(self, names: list[str]) -> None:
        where = "c.relnamespace = %s::regnamespace and c.relname = any(%s)"
        place = [quote_identifier(self.schema), names]
        query = f"select c.relname from pg_class c where {where} and c.relacl is not null"
        for (table,) in self.session.execute(query.encode(), place).fetchall():
            self.session.execute(f"GRANT ALL ON TABLE {qualified(self.schema, table)} TO CURRENT_USER".encode())
        granted = self.session.execute(
            f"""
            select distinct c.relname, coalesce(r.rolname, '')
            from pg_class c
            cross join aclexplode(c.relacl) x
            left join pg_roles r on r.oid = x.grantee
            where {where} and x.grantee <> c.relowner
            """.encode(),
            place,
        ).fetchall()
        for table, role in granted:
            whom = quote_identifier(role) if role else "PUBLIC"
            self.session.execute(f"REVOKE ALL ON TABLE {qualified(self.schema, table)} FROM {whom}".encode())

    def _take_back(self, tables: Sequence[Table], *, row_security: bool) -> None:
        """Take back what the server, by an event trigger, has set on new tables and their records have not."""
        wanted = by_name(tables)
        for name, comment, options, identity, secured, forced in self.session.execute(
            _SET_ON_TABLES.encode(), [quote_identifier(self.schema), list(wanted)]
        ).fetchall():
            table, as_wanted = qualified(self.schema, name), wanted[name]
            done: list[str] = []
            if comment is not None and as_wanted.comment is None:
                done.append(f"COMMENT ON TABLE {table} IS NULL")
            if more := sorted(set(options) - {key for key, _ in as_wanted.options}):
                done.append(f"ALTER TABLE {table} RESET ({', '.join(more)})")
            if identity != "d" and as_wanted.replica_identity == "default":
                done.append(f"ALTER TABLE {table} REPLICA IDENTITY DEFAULT")
            if secured and row_security and not as_wanted.row_security:
                done.append(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
            if forced and row_security and not as_wanted.row_security_forced:
                done.append(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            for statement in done:
                self.session.execute(statement.encode())

    def open_schema(self, statements: Sequence[str]) -> list[int]:
        """Execute statements that give the schema away; return the numbers of those that the server refuses."""
        refused = []
        for number, statement in enumerate(statements):
            try:
                with self.session.transaction():
                    self.session.execute(statement.encode())
            except (InsufficientPrivilege, UndefinedObject):
                refused.append(number)
        return refused

    def shut_out(self, tables: Iterable[Table]) -> list[tuple[str, list[str]]]:
        """Return the roles that own tables, or were granted something, and which privileges on the schema they lack."""
        return shut_out(self.session, self.schema, tables)

    def read_back(self, counts: Sequence[tuple[Table, int]]) -> Iterator[tuple[Table, Iterator[Block]]]:
        """Yield tables with their rows; those of each must be read before the next. `counts` are of rows."""
        pages = {table.name: count // _ROWS_A_PAGE for table, count in counts}
        for run in runs([table for table, _ in counts], pages, RUN_TABLES):
            with closing(Copies(self.session, [copy_query(self.schema, table) for table in run])) as copies:
                for table in run:
                    yield table, copies.rows(table)

    def definitions(self) -> tuple[Table, ...]:
        """Return the tables as the server has them now."""
        return read_definitions(self.session, self.schema).tables

    def set_data_path(self, path: str) -> int:
        """Change the lake's data path; return how many rows that were."""
        metadata = qualified(self.schema, "ducklake_metadata").replace("%", "%%")  # it stands beside a parameter
        scope = " and scope is null" if "scope" in by_name(self.definitions())["ducklake_metadata"].column_names else ""
        return self.session.execute(
            f"update {metadata} set value = %s where key = 'data_path'{scope}".encode(), [path]
        ).rowcount

    def answers(self, tables: Sequence[Table]) -> AbstractContextManager[Answers]:
        """Let the restored catalog answer SQL inside the block."""
        return answering(self.session, self.schema, tuple(tables), fresh=True)


def _kept(statement: str, table: Table) -> str:
    """Let a table be made in its tablespace, by its access method."""
    method = f" USING {quote_identifier(table.access_method)}" if table.access_method else ""
    tablespace = f" TABLESPACE {quote_identifier(table.tablespace)}" if table.tablespace else ""
    return statement.removesuffix(";\n") + method + tablespace + ";\n"
