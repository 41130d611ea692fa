"""
Scenes for the rules of `check`: a few rows on both sides of a rule's borders, and what of them breaks it.

A scene plays in a catalog that is empty but for ten snapshots (0 to 9, with counters up to 100) and the lake's
settings. What breaks the rule has a number of 50 or more where that is possible. `rule_scenes/*.sql` holds them:
`--@ rule | spec versions`, statements, then `--=` lines, the evidence in order; where the rule has a mend, `--?`
is a query to ask after it and `-->` are its rows. `:stats` and `:partial` are names that changed with the version.
What plays in 1.0 plays in 1.1 too, but where the versions say `!1.1`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import duckdb

from dlbackup.catalogs.postgres.answers import _rows_of
from dlbackup.health.checkup import _Run
from dlbackup.health.rules import RULES
from dlbackup.health.rules.rule import Rule, written_for
from dlbackup.lake import spec
from dlbackup.lake.answers import ALL_RULES, Answer, Answers, Row
from dlbackup.lake.findings import Finding
from dlbackup.runtime.progress import ignore
from dlbackup.tables.definition import Column, Table

__all__ = ["SCENES", "Scene", "Stage", "broken", "statements_before"]

_TYPES = {
    "BIGINT": "bigint",
    "BLOB": "bytea",
    "DATE": "date",
    "DOUBLE": "double precision",
    "JSON": "json",
    "TIMESTAMP": "timestamp without time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "VARCHAR": "character varying",
}
_SNAPSHOTS = 10
_RULES = {rule.name: rule for rule in RULES}


@dataclass(frozen=True, slots=True)
class Scene:
    """
    Rows for one rule.

    Args:
        number: which of the rule's scenes it is.
        evidence: what of them breaks the rule, as `check` says it.
        question: a query to ask once the rule's mend was executed; empty without a mend.
        mended: its answer.
    """

    rule: str
    specs: tuple[str, ...]
    number: int
    script: str
    evidence: tuple[str, ...]
    question: str
    mended: tuple[str, ...]

    def statements(self, version: str) -> list[str]:
        """Return its SQL, in the words of a spec version."""
        text = self.script.replace(":stats", written_for(version, "{stats}"))
        text = text.replace(":partial", written_for(version, "{partial}"))
        return [statement for part in re.split(r";$", text, flags=re.MULTILINE) if (statement := part.strip())]


def _read() -> Iterator[Scene]:
    numbers: Counter[str] = Counter()
    for path in sorted(Path(__file__).with_name("rule_scenes").iterdir()):
        for text in re.split(r"^--@ ", path.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            header, *lines = text.splitlines()
            rule, _, words = header.partition(" | ")
            specs = words.split()
            if "1.0" in specs and "!1.1" not in specs and _RULES[rule].holds_for("1.1"):
                specs.append("1.1")
            numbers[rule] += 1
            yield Scene(
                rule,
                tuple(spec for spec in specs if spec[0] != "!"),
                numbers[rule],
                "\n".join(line.partition(" --")[0] for line in lines if not line.startswith("--")),
                _marked("--= ", lines),
                " ".join(_marked("--? ", lines)),
                _marked("--> ", lines),
            )


def _marked(mark: str, lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(line.removeprefix(mark) for line in lines if line.startswith(mark))


SCENES = tuple(_read())


def statements_before(version: str) -> Iterator[str]:
    """Yield the statements that make the catalog in which scenes play; without keys, so that rows can be doubled."""
    for table in spec.load(version).values():
        yield f"create table {table.name} ({', '.join(f'{c.name} {c.type}' for c in table.columns)})"
    yield (
        "insert into ducklake_metadata (key, value) values"
        f" ('version', '{version}'), ('data_path', 'lake/'), ('encrypted', 'false'), ('created_by', 'DuckDB')"
    )
    numbers = ", ".join(f"({n}, '2026-03-23 17:50:0{n}+00', {n}, {91 + n}, {91 + n})" for n in range(_SNAPSHOTS))
    columns = "snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id"
    yield f"insert into ducklake_snapshot ({columns}) values {numbers}"
    yield "insert into ducklake_snapshot_changes (snapshot_id) select snapshot_id from ducklake_snapshot"


class Stage:
    """A catalog in DuckDB as it is after a scene, read in the way in which one on a server is."""

    schema = "main"
    rules_at_once = ALL_RULES

    def __init__(self, connection: duckdb.DuckDBPyConnection, version: str) -> None:
        self._connection, self._version = connection, version

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """The tables of the spec version, and the inlined ones that a scene made."""
        made: dict[str, list[Column]] = {}
        for table, column, type_ in self._connection.execute(
            "select table_name, column_name, data_type from duckdb_columns()"
            " where table_name like 'ducklake_inlined_d%_%' order by table_name, column_index"
        ).fetchall():
            made.setdefault(table, []).append(Column(name=column, type=_TYPES[type_]))
        fixed = spec.load(self._version)
        return (*fixed.values(), *(Table(name=name, columns=tuple(made[name])) for name in made if name not in fixed))

    def ask(self, sql: str) -> Answer:
        """Run one query."""
        found = self._connection.execute(sql)
        return Answer(tuple(column[0] for column in found.description or ()), found.fetchall())

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield the rows of one query."""
        yield from self.ask(sql).rows

    def inlined(self, tables: Sequence[Table], registered: frozenset[str]) -> Iterator[str]:
        """Yield one query for the rows of all these tables."""
        yield " union all ".join(_rows_of(self.schema, table, table.name in registered) for table in tables)


def broken(content: Answers, version: str, rule: Rule) -> Finding | None:
    """Run one rule as `check` does, and return its finding."""
    run = _Run(content, version, content.schema, ignore)
    run._rules = [rule]
    return next(iter(run.findings()), None)
