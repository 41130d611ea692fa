"""
Check a catalog, or the one in a backup, against the rules of a healthy one; change nothing.

A catalog is read in one snapshot, with locks for as long as one query takes. A backup is proved while
its rows go into an in-process DuckDB, and gives the same findings as its catalog did. A rule whose tables
are not as the spec version says does not run: what is missing there is a finding of its own.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dlbackup import spec
from dlbackup.address import parse_address
from dlbackup.backupfile import BackupReader
from dlbackup.catalogs import open_catalog
from dlbackup.progress import Event, OnEvent, ignore
from dlbackup.rules import rules_for
from dlbackup.rules.inlined import (
    CONVERSIONS,
    CURRENT,
    HEXADECIMAL,
    INLINED_COLUMNS,
    SUSPECT_TYPES,
    begins_right,
    lake_table_id,
    text_columns,
)
from dlbackup.rules.rule import Rule, Scope
from dlbackup.statements import quote_identifier, quote_literal
from dlbackup.stores import names_backup
from dlbackup.tables import Answer, Finding, Kind, Table

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres import PostgresSnapshot

EVIDENCE = 5
"""How many of the rows that break a rule a finding shows."""
TABLES_AT_ONCE = 50
"""How many inlined tables one query reads: their locks are held together."""
MENDED_TABLES = 100
"""For how many inlined tables a mend is spelled out; the next check names the others."""
_WORK_MEMORY = "SET LOCAL work_mem = '64MB'"
_UNKNOWN = (
    "select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    r" where n.nspname = {schema} and c.relname like 'ducklake\_%' and c.relkind = 'r' and c.reltuples < 0)"
)
_NO_LOOPS = "SET LOCAL enable_nestloop = off; "
"""
For a catalog that was just restored: the server takes tables that nobody analyzed for small, and nested loops
for cheap. On 1.1 million rows one query then took a hundred times longer.
"""
_TEXT_CHARACTERS = 60
_NO_MEND = "dump what is there, then restore a backup from before the damage, or put the rows right by hand"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Check:
    """
    What a check found.

    Args:
        ok: no finding is an error.
        findings: errors first.
    """

    ok: bool
    spec_version: str
    findings: tuple[Finding, ...]


class _Content(Protocol):
    """A catalog that answers queries."""

    @property
    def schema(self) -> str:
        """The quoted name of its schema in queries."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """The definitions."""

    def ask(self, sql: str) -> Answer:
        """Run one query."""

    def inlined(self, tables: Sequence[Table], registered: frozenset[str]) -> Iterator[str]:
        """Yield queries for the rows of inlined tables of one kind, in this order of tables."""


def check(target: str, *, metadata_schema: str | None = None, on_event: OnEvent = ignore) -> Check:
    """
    Check the catalog at an address, or in a backup if `target` is an existing file that isn't a catalog.

    Raises:
        CatalogError, BackupError, UsageError: as for reading either.
    """
    if names_backup(target):
        return check_backup(Path(target), on_event=on_event)
    with open_catalog(parse_address(target), metadata_schema) as catalog, catalog.snapshot() as snapshot:
        return check_snapshot(snapshot, on_event=on_event)


def check_snapshot(
    snapshot: "PostgresSnapshot",
    *,
    on_event: OnEvent = ignore,
    settled: Callable[[Rule], bool] = lambda rule: False,
) -> Check:
    """
    Check a catalog in a snapshot that is open already.

    Args:
        settled: tells which rules need no answer.
    """
    content = _Live(snapshot)
    return _check(content, snapshot.head.spec_version, quote_identifier(snapshot.schema), on_event, settled)


def check_backup(path: Path, *, on_event: OnEvent = ignore) -> Check:
    """
    Prove a backup and check the catalog in it; the statements of mends name the schema that it came from.

    Raises:
        BackupError: the file is damaged.
    """
    from dlbackup.catalogs.in_memory import load

    with BackupReader(path) as reader:
        header, tables = reader.manifest.header, tuple(entry.table for entry in reader.manifest.tables)
        wanted = _Wanted(_layout(header.spec_version, tables))
        with load(reader, wanted, on_event) as content:
            return _check(content, header.spec_version, quote_identifier(header.source.schema), on_event)


class _Live:
    """A catalog on a server."""

    def __init__(self, snapshot: "PostgresSnapshot") -> None:
        self._session = snapshot.session
        unknown = snapshot.query(_UNKNOWN.format(schema=quote_literal(snapshot.schema)))[0][0]
        careful = _NO_LOOPS if unknown else ""
        self._session.execute(f"{_WORK_MEMORY}; {careful}SAVEPOINT dlbackup_check".encode())
        self.schema, self.tables = quote_identifier(snapshot.schema), snapshot.tables

    def ask(self, sql: str) -> Answer:
        cursor = self._session.execute(sql.encode())
        answer = Answer(tuple(column.name for column in cursor.description or ()), list(cursor))
        self._session.execute("ROLLBACK TO SAVEPOINT dlbackup_check")  # gives the locks back
        return answer

    def inlined(self, tables: Sequence[Table], registered: frozenset[str]) -> Iterator[str]:
        for first in range(0, len(tables), TABLES_AT_ONCE):
            selects = (
                _rows_of(self.schema, table, table.name in registered)
                for table in tables[first : first + TABLES_AT_ONCE]
            )
            yield " union all ".join(selects)


class _Wanted:
    """Which columns of a backup's table the rules read."""

    def __init__(self, layout: str) -> None:
        self._rules = rules_for(layout) if layout else ()
        self._words = {word for rule in self._rules for word in re.findall(r"\w+", rule.sql(layout))}

    def __call__(self, table: Table) -> list[str]:
        return [name for name in table.column_names if table.kind == "fixed" and name in self._words]


def _check(
    content: _Content,
    version: str,
    schema: str,
    on_event: OnEvent,
    settled: Callable[[Rule], bool] = lambda rule: False,
) -> Check:
    findings = _structure(version, content.tables, schema)
    if layout := _layout(version, content.tables):
        findings += _Run(content, layout, schema, on_event, settled).findings()
    findings = [
        replace(
            finding,
            advice=finding.advice or ("" if finding.mend or finding.severity == "warning" else _NO_MEND),
        )
        for finding in findings
    ]
    findings.sort(key=lambda finding: finding.severity)
    return Check(all(finding.severity != "error" for finding in findings), version, tuple(findings))


def _structure(version: str, tables: tuple[Table, ...], schema: str) -> list[Finding]:
    """Return how the tables differ from the spec version, with a mend for each missing key."""
    findings = [finding for finding in spec.differences(version, tables) if finding.rule != "missing-key"]
    expected = spec.load(version)
    for table in tables:
        key = spec.primary_key(expected[table.name]) if table.name in expected else ""
        if key and spec.primary_key(table) != key:
            findings.append(
                Finding(
                    "error",
                    "missing-key",
                    f"table {table.name} has no primary key on ({key})",
                    1,
                    why="concurrent commits write one id twice, and the lake becomes unreadable",
                    mend=f"ALTER TABLE {schema}.{quote_identifier(table.name)} ADD PRIMARY KEY ({key});",
                )
            )
    return findings


def _layout(version: str, tables: tuple[Table, ...]) -> str:
    """
    Return the described version whose rules apply: the catalog's own, or the one next before it.

    A catalog that names no version, or one that nobody knows, is taken for what its tables look most like.
    """
    if version in spec.ORDER:
        older = [known for known in spec.described() if not spec.is_older(version, known)]
        return older[-1] if older else ""
    return min(reversed(spec.described()), key=lambda known: len(spec.load(known).keys() - _sound(known, tables)))


def _sound(version: str, tables: Iterable[Table]) -> frozenset[str]:
    """Return the names of the fixed tables that have all columns of the spec version, with their types."""
    expected = spec.load(version)
    return frozenset(
        table.name
        for table in tables
        if table.name in expected
        and {(column.name, column.type) for column in expected[table.name].columns}
        <= {(column.name, column.type) for column in table.columns}
    )


@dataclass(slots=True)
class _Broken:
    """What was found for one rule."""

    count: int = 0
    evidence: list[str] = field(default_factory=list)

    def add(self, count: int, row: str) -> None:
        self.count += count
        if len(self.evidence) < EVIDENCE:
            self.evidence.append(row)


class _Run:
    """One pass of all rules over one catalog."""

    def __init__(
        self,
        content: _Content,
        layout: str,
        schema: str,
        on_event: OnEvent,
        settled: Callable[[Rule], bool] = lambda rule: False,
    ) -> None:
        self._content, self._layout, self._schema, self._on_event = content, layout, schema, on_event
        self._sound = _sound(layout, content.tables)
        rules = (rule for rule in rules_for(layout) if rule.tables(layout) <= self._sound)
        self._rules = [rule for rule in rules if not settled(rule)]
        self._inlined = sorted(
            filter(begins_right, content.tables), key=lambda table: (lake_table_id(table), table.name)
        )
        self._names = {"s": content.schema, "present": _present(content.tables)}
        self._broken: dict[str, _Broken] = {}

    def findings(self) -> list[Finding]:
        registered = self._asked_names("select distinct table_name from {s}.ducklake_inlined_data_tables")
        current = self._asked_names(CURRENT) if "ducklake_table" in self._sound else frozenset()
        self._names["suspects"] = _suspects([table for table in self._inlined if table.name in current])
        for number, rule in enumerate(self._rules):
            self._on_event(Event("check", rule.name, number, len(self._rules)))
            if rule.scope == "catalog":
                self._take(self._content.ask(_first_rows(_fill(rule.sql(self._layout), self._names))), [rule])
        if self._registry_is_sound:
            self._ask_inlined("rows", "inlined-data", registered)
        self._ask_inlined("deletes", "inlined-delete", frozenset())
        self._on_event(Event("check", "all rules", len(self._rules), len(self._rules)))
        return [self._finding(rule, self._broken[rule.name]) for rule in self._rules if rule.name in self._broken]

    @property
    def _registry_is_sound(self) -> bool:
        return "ducklake_inlined_data_tables" in self._sound

    def _asked_names(self, query: str) -> frozenset[str]:
        if not self._registry_is_sound:
            return frozenset()
        return frozenset(str(row[0]) for row in self._content.ask(_fill(query, self._names)).rows)

    def _ask_inlined(self, scope: Scope, kind: Kind, registered: frozenset[str]) -> None:
        """Ask all rules of a scope in one query, for as many tables at once as the catalog allows."""
        rules = [rule for rule in self._rules if rule.scope == scope]
        tables = [table for table in self._inlined if table.kind == kind]
        if not rules or not tables:
            return
        names = self._names | {scope: "inlined"}
        queries = [
            f"select * from ({_first_rows(_fill(rule.sql(self._layout), names), number)}) rule_{number}"
            for number, rule in enumerate(rules)
        ]
        for rows in self._content.inlined(tables, registered):
            query = f"with inlined as ({rows}) select * from ({' union all '.join(queries)}) q order by q"
            self._take(self._content.ask(query), rules)

    def _take(self, answer: Answer, rules: Sequence[Rule]) -> None:
        """Note the first rows that break each rule, with the number of all that do in front."""
        seen = set()
        for total, number, *row in answer.rows:
            rule = rules[_integer(number)]
            count = 0 if rule.name in seen else _integer(total)
            seen.add(rule.name)
            shown = _evidence(answer.columns[2:], row)
            self._broken.setdefault(rule.name, _Broken()).add(count, shown)

    def _finding(self, rule: Rule, broken: _Broken) -> Finding:
        more = f" (and {broken.count - 1} more)" if broken.count > 1 else ""
        mend = self._conversions(rule) if rule.name == "inlined-types" else _fill(rule.mend, {"s": self._schema})
        message = f"{rule.what}: {broken.evidence[0]}{more}"
        evidence = tuple(broken.evidence)
        return Finding(rule.severity, rule.name, message, broken.count, evidence, rule.why, mend, rule.advice)

    def _conversions(self, rule: Rule) -> str:
        """Return the statements that give old inlined tables the column types of DuckDB 1.5."""
        actions: dict[str, list[str]] = {}
        query = _fill(rule.sql(self._layout), self._names)
        for _, _, name, column, lake_type, stored in self._content.ask(f"{query} order by 1, 2").rows:
            quoted = quote_identifier(str(column))
            how = CONVERSIONS[str(lake_type), str(stored)].replace("{c}", quoted)
            actions.setdefault(str(name), []).append(f"ALTER COLUMN {quoted} TYPE {how}")
        statements = [
            f"ALTER TABLE {self._schema}.{quote_identifier(name)} {', '.join(parts)};"
            for name, parts in list(actions.items())[:MENDED_TABLES]
        ]
        return "\n".join(["SET timezone = 'UTC'; SET datestyle = 'ISO';", *statements])


def _first_rows(query: str, number: int = 0) -> str:
    """Return a query for the first rows of another, each with the number of all rows and a mark in front."""
    mark = f"count(*) over () as row_total, {number} as rule_number"
    return f"select {mark}, q.* from ({query}) q order by q limit {EVIDENCE}"


def _fill(text: str, names: Mapping[str, str]) -> str:
    """Fill in placeholders, in one pass: what is filled in may look like one."""
    return _PLACEHOLDER.sub(lambda match: names.get(match[1], match[0]), text)


def _rows_of(schema: str, table: Table, registered: bool) -> str:
    """Return a query for what rules ask of the rows in one inlined table."""
    first = ", ".join(
        f"{quote_identifier(column.name)} as {name}"
        for column, name in zip(table.columns, INLINED_COLUMNS[table.kind], strict=False)
    )
    texts = " or ".join(_is_hexadecimal(column.name) for column in text_columns(table)) or "false"
    about = f", {str(registered).lower()} as registered, {texts} as hexadecimal" if table.kind == "inlined-data" else ""
    return (
        f"select cast({lake_table_id(table)} as bigint) as table_id,"
        f" cast({quote_literal(table.name)} as varchar) as name, {first}{about}"
        f" from {schema}.{quote_identifier(table.name)}"
    )


def _is_hexadecimal(column: str) -> str:
    name = quote_identifier(column)
    return rf"(substr({name}, 1, 2) = '\x' and {name} ~ '^{HEXADECIMAL}$')"


def _present(tables: Iterable[Table]) -> str:
    rows = [(str(lake_table_id(table)), table.name) for table in tables if table.kind != "fixed"]
    return _relation(("table_id", "name"), rows)


def _suspects(tables: Iterable[Table]) -> str:
    rows = [
        (str(lake_table_id(table)), table.name, column.name, column.type)
        for table in tables
        for column in table.columns[len(INLINED_COLUMNS["inlined-data"]) :]
        if column.type in SUSPECT_TYPES
    ]
    return _relation(("table_id", "name", "column_name", "type"), rows)


def _relation(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a relation of texts, whose first column is a number."""
    if not rows:
        empty = ", ".join(f"cast(null as {'varchar' if i else 'bigint'}) as {c}" for i, c in enumerate(columns))
        return f"(select {empty} where false)"
    listed = ", ".join(f"({row[0]}, {', '.join(map(quote_literal, row[1:]))})" for row in rows)
    return f"(select * from (values {listed}) listed ({', '.join(columns)}))"


def _integer(value: object) -> int:
    return int(str(value))


def _evidence(columns: Sequence[str], row: Sequence[object]) -> str:
    return ", ".join(
        _shown(value) if name == "kind" else f"{name} {_shown(value)}" for name, value in zip(columns, row, strict=True)
    )


def _shown(value: object) -> str:
    if value is None:
        return "NULL"
    text = str(value)
    if len(text) > _TEXT_CHARACTERS:
        text = text[:_TEXT_CHARACTERS] + "..."
    return text if text.isprintable() else ascii(text)
