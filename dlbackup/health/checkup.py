"""
The invariants of a healthy catalog: each rule asked of a live catalog or of a backup's rows.

One rule that can't be asked says so as a finding, and the others are asked all the same.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Snapshot
from dlbackup.engine.texts import Texts
from dlbackup.errors import Unhealthy
from dlbackup.health.evidence import Broken, evidence_of, integer
from dlbackup.health.questions import cut, filled, first_rows, present, suspects
from dlbackup.health.rules import rules_for
from dlbackup.health.rules.rule import Breaks, Rule, Scope
from dlbackup.lake import conformance, spec
from dlbackup.lake.answers import Answer, Answers
from dlbackup.lake.findings import Finding, first_error
from dlbackup.lake.inlined import CONVERSIONS, CURRENT, begins_right, lake_table_id
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.tables.definition import Kind, Table
from dlbackup.tables.quoting import quote_identifier

MENDED_TABLES = 100
"""For how many inlined tables a mend is spelled out; the next check names the others."""
MENDED_COLUMNS = 1000
"""For how many columns of tables."""
_NO_MEND = "dump what is there, then restore a backup from before the damage, or put the rows right by hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """
    What a check found.

    Args:
        ok: no finding is an error.
        findings: errors first.
        looked_at: what was looked at, in words.
        not_looked_at: what was not, and why or how it can be.
    """

    ok: bool
    spec_version: str
    findings: tuple[Finding, ...]
    looked_at: tuple[str, ...] = ()
    not_looked_at: tuple[str, ...] = ()

    def raise_for_errors(self) -> Self:
        """
        Return this record when the catalog is healthy.

        Raises:
            Unhealthy: it isn't; `result` is this record.
        """
        if self.ok:
            return self
        error = Unhealthy(
            f"the catalog is damaged: {first_error(self.findings)}",
            "dump it before anything else; then do what each finding says, and check again",
        )
        error.result = self
        raise error


def check_snapshot(
    snapshot: Snapshot,
    *,
    on_event: OnEvent = ignore,
    settled: Callable[[Rule], bool] = lambda rule: False,
) -> Check:
    """
    Check a catalog in a snapshot that is open already.

    Args:
        settled: tells which rules need no answer.
    """
    with snapshot.answers() as content:
        schema = quote_identifier(snapshot.source.schema)
        return _check(content, snapshot.head.spec_version, schema, on_event, settled)


def check_backup(reader: BackupReader, *, on_event: OnEvent = ignore) -> Check:
    """
    Prove an open backup and check the catalog in it; the statements of mends name the schema that it came from.

    Raises:
        BackupError: the file is damaged.
    """
    from dlbackup.catalogs.loaded_backup import load

    header, tables = reader.manifest.header, tuple(entry.table for entry in reader.manifest.tables)
    wanted = _Wanted(_layout(header.spec_version, tables))
    with load(reader, wanted, on_event) as content:
        return _check(content, header.spec_version, quote_identifier(header.source.schema), on_event)


def findings_of(content: Answers, version: str, wanted: Callable[[Rule], bool]) -> list[Finding]:
    """Ask only some of the rules that catalogs of a spec version must keep."""
    return _Run(
        content, _layout(version, content.tables), content.schema, ignore, lambda rule: not wanted(rule)
    ).findings()


class _Wanted:
    """Which columns of a backup's table the rules read."""

    def __init__(self, layout: str) -> None:
        self._rules = rules_for(layout) if layout else ()
        self._words = {word for rule in self._rules for word in re.findall(r"\w+", rule.sql(layout))}

    def __call__(self, table: Table) -> list[str]:
        return [name for name in table.column_names if table.kind == "fixed" and name in self._words]


def _check(
    content: Answers,
    version: str,
    schema: str,
    on_event: OnEvent,
    settled: Callable[[Rule], bool] = lambda rule: False,
) -> Check:
    findings = _structure(version, content.tables, schema)
    looked_at: tuple[str, ...] = ()
    not_looked_at: tuple[str, ...] = ()
    if layout := _layout(version, content.tables):
        run = _Run(content, layout, schema, on_event, settled)
        findings += run.findings()
        looked_at, not_looked_at = run.looked_at, run.not_looked_at
    findings = [
        replace(
            finding,
            advice=finding.advice or ("" if finding.mend or finding.severity == "warning" else _NO_MEND),
        )
        for finding in findings
    ]
    findings.sort(key=lambda finding: finding.severity)
    ok = all(finding.severity != "error" for finding in findings)
    return Check(
        ok=ok,
        spec_version=version,
        findings=tuple(findings),
        looked_at=looked_at,
        not_looked_at=not_looked_at,
    )


def _structure(version: str, tables: tuple[Table, ...], schema: str) -> list[Finding]:
    """Return how the tables differ from the spec version, with a mend for each missing key."""

    def missing_key(table: str, key: str) -> Finding:
        return Finding(
            severity="error",
            rule="missing-key",
            message=f"table {table} has no primary key on ({key})",
            count=1,
            why="concurrent commits write one id twice, and the lake becomes unreadable",
            mend=f"ALTER TABLE {schema}.{quote_identifier(table)} ADD PRIMARY KEY ({key});",
        )

    return conformance.differences(version, tables, missing_key)


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
    """Return the names of the fixed tables that have all columns of the spec version, of types that hold the same."""
    expected = spec.load(version)

    def has_all(table: Table) -> bool:
        types = {column.name: column.type for column in table.columns}
        return all(spec.holds_alike(it.type, types.get(it.name, "")) for it in expected[table.name].columns)

    return frozenset(table.name for table in tables if table.name in expected and has_all(table))


class _Run:
    """One pass of all rules over one catalog."""

    def __init__(
        self,
        content: Answers,
        layout: str,
        schema: str,
        on_event: OnEvent,
        settled: Callable[[Rule], bool] = lambda rule: False,
    ) -> None:
        self._content, self._layout, self._schema, self._on_event = content, layout, schema, on_event
        self._sound = _sound(layout, content.tables)
        rules = rules_for(layout)
        self._unsound = [rule.name for rule in rules if not rule.tables(layout) <= self._sound]
        self._rules = [rule for rule in rules if rule.tables(layout) <= self._sound and not settled(rule)]
        self._inlined = sorted(
            filter(begins_right, content.tables), key=lambda table: (lake_table_id(table), table.name)
        )
        self._names = {"s": content.schema, "present": present(content.tables), "cut": cut(content.tables)}
        self._broken: dict[str, Broken] = {}
        self._untold: dict[str, int] = {}
        self._texts = Texts()

    def findings(self) -> list[Finding]:
        registered = self._asked_names("select distinct table_name from {s}.ducklake_inlined_data_tables")
        current = self._asked_names(CURRENT) if "ducklake_table" in self._sound else frozenset()
        self._names["suspects"] = suspects([table for table in self._inlined if table.name in current])
        for number, rule in enumerate(self._rules):
            self._on_event(Event(stage="check", message=rule.name, done=number, total=len(self._rules)))
            if rule.breaks is not None:
                self._judge(rule, rule.breaks)
            elif rule.scope == "catalog":
                self._take(self._content.ask(first_rows(filled(rule.sql(self._layout), self._names))), [rule])
        if self._registry_is_sound:
            self._ask_inlined("rows", "inlined-data", registered)
        self._ask_inlined("deletes", "inlined-delete", frozenset())
        self._on_event(Event(stage="check", message="all rules", done=len(self._rules), total=len(self._rules)))
        return [self._finding(rule, self._broken[rule.name]) for rule in self._rules if rule.name in self._broken]

    @property
    def looked_at(self) -> tuple[str, ...]:
        """What was asked, in words; once it has been."""
        judged = any(rule.breaks is not None for rule in self._rules)
        texts = (f"its texts, types and defaults, as DuckDB {self._texts.duckdb_version} reads them",) if judged else ()
        return (f"every row of the catalog, by {len(self._rules)} rules", *texts)

    @property
    def not_looked_at(self) -> tuple[str, ...]:
        """What could not be asked, in words; once the others have been."""
        unsound = (f"rules whose tables are damaged: {', '.join(self._unsound)}",) if self._unsound else ()
        untold = (
            f"{rule}: {count} of its texts, of which DuckDB {self._texts.duckdb_version} can't tell"
            for rule, count in self._untold.items()
        )
        return (*unsound, *untold)

    def _judge(self, rule: Rule, breaks: Breaks) -> None:
        """Ask of each row that a rule's query returns whether it breaks the rule."""
        query = f"select * from ({filled(rule.sql(self._layout), self._names)}) q"
        columns = self._content.ask(f"{query} limit 0").columns
        for row in self._content.stream(f"{query} order by q"):
            values = dict(zip(columns, row, strict=True))
            answer = breaks(values, self._layout, self._texts)
            if answer is None:
                self._untold[rule.name] = self._untold.get(rule.name, 0) + 1
            elif answer:
                number = integer(values[rule.ids]) if rule.ids else None
                self._broken.setdefault(rule.name, Broken()).add(1, evidence_of(columns, row), number)

    @property
    def _registry_is_sound(self) -> bool:
        return "ducklake_inlined_data_tables" in self._sound

    def _asked_names(self, query: str) -> frozenset[str]:
        if not self._registry_is_sound:
            return frozenset()
        return frozenset(str(row[0]) for row in self._content.ask(filled(query, self._names)).rows)

    def _ask_inlined(self, scope: Scope, kind: Kind, registered: frozenset[str]) -> None:
        """Ask all rules of a scope, for as many tables and of as many rules at once as the catalog allows."""
        rules = [rule for rule in self._rules if rule.scope == scope]
        tables = [table for table in self._inlined if table.kind == kind]
        if not rules or not tables:
            return
        names = self._names | {scope: "inlined"}
        most = self._content.rules_at_once
        for rows in self._content.inlined(tables, registered):
            for first in range(0, len(rules), most):
                run = rules[first : first + most]
                queries = [
                    f"select * from ({first_rows(filled(rule.sql(self._layout), names), number)}) rule_{number}"
                    for number, rule in enumerate(run)
                ]
                query = f"with inlined as ({rows}) select * from ({' union all '.join(queries)}) q order by q"
                self._take(self._content.ask(query), run)

    def _take(self, answer: Answer, rules: Sequence[Rule]) -> None:
        """Note the first rows that break each rule, with the number of all that do in front."""
        seen = set()
        for total, number, *row in answer.rows:
            rule = rules[integer(number)]
            count = 0 if rule.name in seen else integer(total)
            seen.add(rule.name)
            shown = evidence_of(answer.columns[2:], row)
            self._broken.setdefault(rule.name, Broken()).add(count, shown)

    def _finding(self, rule: Rule, broken: Broken) -> Finding:
        more = f" (and {broken.count - 1} more)" if broken.count > 1 else ""
        mend = self._conversions(rule) if rule.name == "inlined-types" else self._mend(rule, broken)
        message = f"{rule.what}: {broken.evidence[0]}{more}"
        evidence = tuple(broken.evidence)
        return Finding(
            severity=rule.severity,
            rule=rule.name,
            message=message,
            count=broken.count,
            evidence=evidence,
            why=rule.why,
            mend=mend,
            advice=rule.advice,
        )

    def _mend(self, rule: Rule, broken: Broken) -> str:
        """Return a rule's mend; where it names columns or inlined tables, for those that break the rule."""
        if "{found}" in rule.mend:
            query = filled(rule.sql(self._layout), self._names)
            rows = self._content.ask(
                f"select distinct table_id, column_id from ({query}) q order by 1, 2 limit {MENDED_COLUMNS}"
            ).rows
            found = ", ".join(f"({integer(table)}, {integer(column)})" for table, column in rows)
            return filled(rule.mend, {"s": self._schema, "found": found})
        if "{table}" in rule.mend:
            names = self._inlined_that_break(rule)[:MENDED_TABLES]
            return "\n".join(filled(rule.mend, {"s": self._schema, "table": quote_identifier(name)}) for name in names)
        return filled(rule.mend, {"s": self._schema, "ids": ", ".join(map(str, sorted(broken.ids)))})

    def _inlined_that_break(self, rule: Rule) -> list[str]:
        """Return the names of the tables of inlined deletes that break a rule about them."""
        tables = [table for table in self._inlined if table.kind == "inlined-delete"]
        found: list[str] = []
        for rows in self._content.inlined(tables, frozenset()):
            query = filled(rule.sql(self._layout), self._names | {"deletes": "inlined"})
            asked = f"with inlined as ({rows}) select distinct table_id, name from ({query}) q order by 1"
            found += (str(name) for _, name in self._content.ask(asked).rows)
        return found

    def _conversions(self, rule: Rule) -> str:
        """Return the statements that give old inlined tables the column types of DuckDB 1.5."""
        actions: dict[str, list[str]] = {}
        query = filled(rule.sql(self._layout), self._names)
        for _, _, name, column, lake_type, stored in self._content.ask(f"{query} order by 1, 2").rows:
            quoted = quote_identifier(str(column))
            how = CONVERSIONS[str(lake_type), str(stored)].replace("{c}", quoted)
            actions.setdefault(str(name), []).append(f"ALTER COLUMN {quoted} TYPE {how}")
        statements = [
            f"ALTER TABLE {self._schema}.{quote_identifier(name)} {', '.join(parts)};"
            for name, parts in list(actions.items())[:MENDED_TABLES]
        ]
        return "\n".join(["SET timezone = 'UTC'; SET datestyle = 'ISO';", *statements])
