"""Changing what is in a SQLite file that nobody else knows, in one transaction."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from dlbackup.addresses.address import Address
from dlbackup.catalogs.contract import Retyped
from dlbackup.catalogs.sqlite.copying import translated
from dlbackup.catalogs.sqlite.introspection import opened, read_definitions
from dlbackup.tables.definition import by_name
from dlbackup.tables.quoting import quote_identifier
from dlbackup.tables.statements import definition


@dataclass(frozen=True, slots=True)
class FileMending:
    """The connection in its transaction; see `contract.Mending`."""

    connection: sqlite3.Connection

    def execute(self, sql: str) -> int:
        """Execute a statement; return how many rows it touched."""
        self.connection.execute(sql.replace("{s}", "main"))
        ((rows,),) = self.connection.execute("select changes()")  # what begins with WITH has no row count in Python
        return int(rows)

    def retype(self, tables: Retyped) -> None:
        """Make empty inlined tables anew, whose columns are declared otherwise."""
        there = by_name(read_definitions(self.connection).tables)
        for name, columns in tables:
            new = {column: kind for column, _, kind in columns}
            table = there[name]
            declared = (replace(it, declared=new.get(it.name, it.declared)) for it in table.columns)
            self.connection.execute(f"drop table {quote_identifier(name)}")
            self.connection.execute(definition(replace(table, columns=tuple(declared))))

    def bar(self, version: str) -> None:
        """Do nothing: there are no bars in a SQLite file."""


@contextmanager
def mending(address: Address) -> Iterator[FileMending]:
    """Open the file for the block."""
    with translated(address), closing(opened(address.path)) as connection:
        connection.execute("begin immediate")
        yield FileMending(connection)
        connection.execute("commit")
