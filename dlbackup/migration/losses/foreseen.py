"""
A lake of 0.2 as the step to 0.3 will leave it, so that the losses of the step after can be looked for before the first.

What that step does to tables that losses are found in: ducklake.md, section 6, and `MigrateV02` of the extension.
"""

import re
from collections.abc import Iterator, Sequence

from dlbackup.lake.answers import Answer, Answers, Row
from dlbackup.tables.definition import Table

_AS_OF_0_3 = {
    "ducklake_file_column_stats": "select x.*, null::text as extra_stats from {s}.ducklake_file_column_statistics x",
    "ducklake_table_column_stats": "select x.*, null::text as extra_stats from {s}.ducklake_table_column_stats x",
    "ducklake_schema_versions": """
        select min(snapshot_id) as begin_snapshot, schema_version from {s}.ducklake_snapshot group by 2""",
}
"""Tables that the step makes, renames or widens, by the names that they will have."""


class AsOf03:
    """The answers of a lake of 0.2, to questions that are asked of one of 0.3."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    @property
    def schema(self) -> str:
        """The quoted name of the schema."""
        return self._answers.schema

    @property
    def tables(self) -> tuple[Table, ...]:
        """The definitions as they are in 0.2."""
        return self._answers.tables

    @property
    def rules_at_once(self) -> int:
        """How many rules about inlined rows one question may hold."""
        return self._answers.rules_at_once

    def ask(self, sql: str) -> Answer:
        """Return what a query for 0.3 says."""
        return self._answers.ask(self._for_0_2(sql))

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield the rows of a query for 0.3."""
        return self._answers.stream(self._for_0_2(sql))

    def inlined(self, tables: Sequence[Table], registered: frozenset[str]) -> Iterator[str]:
        """Yield queries for inlined rows, which both versions keep alike."""
        return self._answers.inlined(tables, registered)

    def _for_0_2(self, sql: str) -> str:
        named = []
        for name, query in _AS_OF_0_3.items():
            sql, found = re.subn(re.escape(f"{self.schema}.{name}") + r"\b", name, sql)
            if found:
                named.append(f"{name} as ({query.replace('{s}', self.schema)})")
        if not named:
            return sql
        # PostgreSQL takes no WITH of its own in what follows one.
        own = re.match(r"\s*with\b(?P<expressions>.*)", sql, re.DOTALL | re.IGNORECASE)
        rest = f",{own['expressions']}" if own else f" ({sql})"
        return f"with {', '.join(named)}{rest}"
