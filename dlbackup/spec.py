"""
The spec versions of DuckLake: which there are, what tables each has, and how a catalog differs.

`schemas/ducklake-<version>.sql` is the only source of tables, columns, types and keys; the files have
exactly the form in which dlbackup writes definitions. Versions are ordered by a list, not as numbers:
`0.3-dev1` comes before `0.3`.
"""

import re
from functools import cache
from importlib.resources import files

from dlbackup.tables import Column, Constraint, Finding, Table, by_name

ORDER = ("0.1", "0.2", "0.3-dev1", "0.3", "0.4-dev1", "0.4", "1.0", "1.1-dev1")
"""Every version string that DuckLake's own code knows (duckdb/ducklake, src/common/ducklake_version.cpp)."""

ENGINES = {
    "0.1": "DuckDB 1.3.0",
    "0.2": "DuckDB 1.3.1 to 1.3.2",
    "0.3": "DuckDB 1.4",
    "0.4": "DuckDB 1.5.0 to 1.5.1",
    "1.0": "DuckDB 1.5.2 or later",
}
"""Which engines open a catalog of that version without migrating it."""

_TABLE = re.compile(r'CREATE TABLE "(\w+)" \(\n(.*?)\n\);\n', re.DOTALL)
_COLUMN = re.compile(r'    "(\w+)" ([a-z ]+?)( NOT NULL)?')
_CONSTRAINT = re.compile(r'    CONSTRAINT "(\w+)" (.+)')
_PRIMARY_KEY = re.compile(r"PRIMARY KEY \((.+)\)")


@cache
def load(version: str) -> dict[str, Table]:
    """
    Return the tables of a spec version by name; empty where dlbackup has no schema for it.

    Raises:
        ValueError: the schema file is not in the form that dlbackup writes.
    """
    if version not in described():
        return {}
    text = files("dlbackup.schemas").joinpath(f"ducklake-{version}.sql").read_text("utf-8")
    return by_name(_parse(match[1], match[2]) for match in _TABLE.finditer(text))


@cache
def described() -> tuple[str, ...]:
    """Return the versions that have a schema file, oldest first."""
    names = {item.name for item in files("dlbackup.schemas").iterdir()}
    return tuple(version for version in ORDER if f"ducklake-{version}.sql" in names)


def is_older(version: str, other: str) -> bool:
    """
    Tell whether `version` came before `other`.

    Raises:
        ValueError: one of them is not a known version.
    """
    return ORDER.index(version) < ORDER.index(other)


def differences(version: str, tables: tuple[Table, ...]) -> list[Finding]:
    """Return how `tables` differ from a spec version, errors first."""
    expected = load(version)
    if not expected:
        what = f"spec version {version}" if version else "a catalog without one spec version"
        return [Finding("warning", "unknown-version", f"conformance is not checked: dlbackup has no schema for {what}")]
    found = by_name(tables)
    findings = [Finding("error", "missing-table", f"table {name} is missing") for name in expected if name not in found]
    for table in tables:
        if table.kind != "fixed":
            findings += _check_inlined(table)
        elif table.name in expected:
            findings += _check_columns(expected[table.name], table)
            findings += _check_key(expected[table.name], table)
        else:
            findings.append(
                Finding("warning", "extra-table", f"table {table.name} does not belong to spec version {version}")
            )
    return sorted(findings, key=lambda finding: finding.severity)


def _parse(name: str, body: str) -> Table:
    columns, constraints = [], []
    for line in body.split(",\n"):
        if match := _CONSTRAINT.fullmatch(line):
            constraints.append(Constraint(match[1], match[2]))
        elif match := _COLUMN.fullmatch(line):
            columns.append(Column(match[1], match[2], not_null=match[3] is not None))
        else:
            raise ValueError(f"schema of table {name}: {line!r} is not a column or a constraint")
    return Table(name, tuple(columns), tuple(constraints))


def _check_columns(expected: Table, found: Table) -> list[Finding]:
    findings = []
    types = {column.name: column.type for column in found.columns}
    for column in expected.columns:
        if column.name not in types:
            text = f"table {found.name} has no column {column.name}"
            findings.append(Finding("error", "missing-column", text))
        elif types[column.name] != column.type:
            text = f"column {column.name} of table {found.name} is {types[column.name]}, not {column.type}"
            findings.append(Finding("error", "wrong-type", text))
    names = found.column_names
    extra = [name for name in names if name not in expected.column_names]
    findings += [
        Finding("warning", "extra-column", f"column {name} of table {found.name} is not in the spec") for name in extra
    ]
    # DuckLake inserts by position, without column lists.
    if not any(f.severity == "error" for f in findings) and names[: len(expected.columns)] != expected.column_names:
        findings.append(Finding("error", "column-order", f"the columns of table {found.name} are in another order"))
    not_null = {column.name for column in found.columns if column.not_null}
    findings += [
        Finding("warning", "nullable-column", f"column {column.name} of table {found.name} may be NULL")
        for column in expected.columns
        if column.not_null and column.name in types and column.name not in not_null
    ]
    return findings


def _check_key(expected: Table, found: Table) -> list[Finding]:
    key, keys = primary_key(expected), primary_key(found)
    if key and keys != key:
        text = f"table {found.name} has no primary key on ({key}): concurrent commits would destroy the lake"
        return [Finding("error", "missing-key", text)]
    return []


def primary_key(table: Table) -> str:
    """Return the columns of the primary key as PostgreSQL prints them, empty without one."""
    for constraint in table.constraints:
        if match := _PRIMARY_KEY.match(constraint.definition):
            return match[1]
    return ""


def _check_inlined(table: Table) -> list[Finding]:
    if table.kind == "inlined-delete":
        wanted: tuple[str, ...] = ("file_id", "row_id", "begin_snapshot")
    else:
        wanted = ("row_id", "begin_snapshot", "end_snapshot")
    first = table.columns[: len(wanted)]
    names = tuple(column.name.removeprefix("_ducklake_") for column in first)
    if names != wanted or any(column.type != "bigint" for column in first):
        return [Finding("error", "inlined-layout", f"table {table.name} does not begin with {', '.join(wanted)}")]
    return []
