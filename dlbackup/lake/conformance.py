"""How a catalog's tables differ from what its spec version says."""

import re
from collections.abc import Callable

from dlbackup.lake.findings import Finding
from dlbackup.lake.spec import holds_alike, load
from dlbackup.tables.definition import Table, by_name

_PRIMARY_KEY = re.compile(r"PRIMARY KEY \((.+)\)")


def _missing_key(table: str, key: str) -> Finding:
    """Say that a table lacks the primary key on these columns."""
    text = f"table {table} has no primary key on ({key}): concurrent commits would destroy the lake"
    return Finding(severity="error", rule="missing-key", message=text)


def differences(
    version: str, tables: tuple[Table, ...], missing_key: Callable[[str, str], Finding] = _missing_key
) -> list[Finding]:
    """
    Return how `tables` differ from a spec version, errors first.

    Args:
        missing_key: says that a table, by its name, lacks the primary key on some columns.
    """
    expected = load(version)
    if not expected:
        what = f"spec version {version}" if version else "a catalog without one spec version"
        return [
            Finding(
                severity="warning",
                rule="unknown-version",
                message=f"conformance is not checked: dlbackup has no schema for {what}",
            )
        ]
    found = by_name(tables)
    findings = [
        Finding(severity="error", rule="missing-table", message=f"table {name} is missing")
        for name in expected
        if name not in found
    ]
    for table in tables:
        if table.kind != "fixed":
            findings += _check_inlined(table)
        elif table.name in expected:
            findings += _check_columns(expected[table.name], table)
            key = primary_key(expected[table.name])
            if key and primary_key(table) != key:
                findings.append(missing_key(table.name, key))
        else:
            findings.append(
                Finding(
                    severity="warning",
                    rule="extra-table",
                    message=f"table {table.name} does not belong to spec version {version}",
                )
            )
    return sorted(findings, key=lambda finding: finding.severity)


def errors(version: str, tables: tuple[Table, ...]) -> list[Finding]:
    """Return those differences for which a backup does not verify."""
    return [finding for finding in differences(version, tables) if finding.severity == "error"]


def _check_columns(expected: Table, found: Table) -> list[Finding]:
    findings = []
    types = {column.name: column.type for column in found.columns}
    for column in expected.columns:
        if column.name not in types:
            text = f"table {found.name} has no column {column.name}"
            findings.append(Finding(severity="error", rule="missing-column", message=text))
        elif not holds_alike(column.type, types[column.name]):
            text = f"column {column.name} of table {found.name} is {types[column.name]}, not {column.type}"
            findings.append(Finding(severity="error", rule="wrong-type", message=text))
        elif types[column.name] != column.type:
            text = f"column {column.name} of table {found.name} is {types[column.name]}, not {column.type}: the same"
            findings.append(Finding(severity="warning", rule="wrong-type", message=f"{text} to engines"))
    names = found.column_names
    extra = [name for name in names if name not in expected.column_names]
    findings += [
        Finding(
            severity="warning", rule="extra-column", message=f"column {name} of table {found.name} is not in the spec"
        )
        for name in extra
    ]
    # DuckLake inserts by position, without column lists.
    if not any(f.severity == "error" for f in findings) and names[: len(expected.columns)] != expected.column_names:
        findings.append(
            Finding(
                severity="error", rule="column-order", message=f"the columns of table {found.name} are in another order"
            )
        )
    not_null = {column.name for column in found.columns if column.not_null} | set(primary_key(found).split(", "))
    findings += [
        Finding(
            severity="warning",
            rule="nullable-column",
            message=f"column {column.name} of table {found.name} may be NULL",
        )
        for column in expected.columns
        if column.not_null and column.name in types and column.name not in not_null
    ]
    return findings


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
        return [
            Finding(
                severity="error",
                rule="inlined-layout",
                message=f"table {table.name} does not begin with {', '.join(wanted)}",
            )
        ]
    return []
