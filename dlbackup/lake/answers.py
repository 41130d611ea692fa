"""
Asking a lake in SQL, whatever holds it: the one way for rules, known losses and the look for data files.

Queries are written in what PostgreSQL and DuckDB understand alike; `{s}` stands for the quoted schema in them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dlbackup.tables.definition import Table

Row = tuple[Any, ...]
"""What a query gave; only the query says of which types."""
ALL_RULES = 1000
"""More than there are."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query, and the names of their columns."""

    columns: tuple[str, ...]
    rows: list[Row]


class Answers(Protocol):
    """One consistent view of a catalog that answers queries, one at a time."""

    @property
    def schema(self) -> str:
        """The quoted name of its schema in queries."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """The definitions."""

    @property
    def rules_at_once(self) -> int:
        """How many rules about inlined rows one question may hold: each takes memory, a question more takes time."""

    def ask(self, sql: str) -> Answer:
        """Return what a query says; no lock of it is held afterwards."""

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield the rows of a query that may have many; read it to its end before the next question."""

    def inlined(self, tables: Sequence[Table], registered: frozenset[str]) -> Iterator[str]:
        """
        Yield queries for the rows of inlined tables of one kind, in this order of tables.

        Args:
            registered: the tables that the catalog itself knows of.
        """


def rows_of(answers: Answers, sql: str) -> list[Row]:
    """Return the rows of a query in which `{s}` stands for the schema."""
    return answers.ask(sql.replace("{s}", answers.schema)).rows
