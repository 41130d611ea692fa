"""Tables made and filled in a SQLite file, in an open transaction."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from dlbackup.catalogs.sqlite.answers import FileAnswers, answering
from dlbackup.catalogs.sqlite.introspection import REAL_OF, read_definitions
from dlbackup.catalogs.sqlite.rows import Connection, row_texts
from dlbackup.tables.definition import Table, by_name
from dlbackup.tables.digest import Block
from dlbackup.tables.quoting import quote_literal
from dlbackup.tables.rows import END, insert_header
from dlbackup.tables.statements import definition, finishing
from dlbackup.tables.types import written_as

_REAL = re.compile(rb"-?[0-9]+(?:\.[0-9]+(?:e[-+]?[0-9]+)?|e[-+]?[0-9]+)")


_CALL = REAL_OF.encode() + rb"('\g<0>')"


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A file to be filled."""

    connection: Connection
    schema: str

    def create(self, tables: Sequence[Table]) -> None:
        """Create tables with their keys."""
        for table in tables:
            self.connection.execute(definition(table))

    def load(self, table: Table, texts: Iterable[bytes]) -> int:
        """Load rows that stand as in an INSERT; return how many SQLite says it took."""
        header = insert_header(table)
        if any(written_as(column.type) in ("real", "any") for column in table.columns):
            texts = map(_with_exact_reals, texts)
        return sum(self.connection.execute((header + text + END).decode()).rowcount for text in texts)

    def finish(self, tables: Sequence[Table], *, privileges: bool, row_security: bool = False) -> None:
        """Make what encoded texts are; a file has no owners, grants or row-level security."""
        for table in tables:
            for statement in finishing(table):
                self.connection.execute(statement)

    def open_schema(self, statements: Sequence[str]) -> list[int]:
        """Return that none of the statements is taken: a file has one schema, and nobody owns it."""
        return list(range(len(statements)))

    def shut_out(self, tables: Iterable[Table]) -> list[tuple[str, list[str]]]:
        """Return nobody: a file has no roles."""
        return []

    def definitions(self) -> tuple[Table, ...]:
        """Return all catalog tables of the place as SQLite has them now."""
        return read_definitions(self.connection).tables

    def read_back(self, counts: Sequence[tuple[Table, int]]) -> Iterator[tuple[Table, Iterator[Block]]]:
        """Yield tables with their rows."""
        for table, _ in counts:
            yield table, row_texts(self.connection, table)

    def set_data_path(self, path: str) -> int:
        """Change the lake's data path; return how many rows of ducklake_metadata that were."""
        metadata = by_name(self.definitions())["ducklake_metadata"]
        scope = " AND scope IS NULL" if "scope" in metadata.column_names else ""
        update = f"UPDATE ducklake_metadata SET value = {quote_literal(path)} WHERE key = 'data_path'{scope}"
        return self.connection.execute(update).rowcount

    def answers(self, tables: Sequence[Table]) -> AbstractContextManager[FileAnswers]:
        """Let the tables answer SQL inside the block."""
        return answering(self.connection, tuple(tables))


def _with_exact_reals(text: bytes) -> bytes:
    """Have Python read the reals of a VALUES list."""
    pieces = text.split(b"'")
    pieces[::2] = [_REAL.sub(_CALL, piece) for piece in pieces[::2]]
    return b"'".join(pieces)
