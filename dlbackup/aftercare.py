"""
What engines' migrations are known to lose without a word, as named rules with a detection in plain SQL.

A rule that applies blocks the migration until the user accepts that loss by name. The facts behind each
rule are in docs/losses.md; every rule was reproduced with the real engines.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlbackup.migration import Step
from dlbackup.tables import by_name, inlined_table_id

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres import PostgresSnapshot


@dataclass(frozen=True, slots=True)
class Loss:
    """What would be lost: the rule, how many rows or tables it is about, and what it means to the user."""

    rule: str
    rows: int
    message: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One known loss; `detect` counts what is affected in a catalog before the migration."""

    name: str
    applies: Callable[[Step], bool]
    detect: Callable[["PostgresSnapshot"], int]
    message: str


def known_losses(snapshot: "PostgresSnapshot", step: Step) -> tuple[Loss, ...]:
    """Return what this migration of this catalog would lose."""
    return tuple(
        Loss(rule.name, rows, rule.message.format(rows=rows))
        for rule in RULES
        if rule.applies(step) and (rows := rule.detect(snapshot))
    )


def _partial_lists(snapshot: "PostgresSnapshot") -> int:
    if "partial_file_info" not in by_name(snapshot.tables)["ducklake_data_file"].column_names:
        return 0
    sql = (
        "select count(*) from {s}.ducklake_data_file"
        " where partial_file_info is not null and partial_file_info not like 'partial_max:%'"
    )
    return int(snapshot.query(sql)[0][0])


_CHANGED_TYPES = frozenset({"json", "date", "timestamp without time zone", "timestamp with time zone"})
_TEXT_TYPES = frozenset({"varchar", "json"})


def _old_inlined_tables(snapshot: "PostgresSnapshot") -> int:
    """Count the inlined tables that new rows would go into and that the new engine writes differently."""
    tables = by_name(snapshot.tables)
    current = snapshot.query(
        "select distinct on (i.table_id) i.table_name from {s}.ducklake_inlined_data_tables i"
        " join {s}.ducklake_table t on t.table_id = i.table_id and t.end_snapshot is null"
        " order by i.table_id, i.schema_version desc"
    )
    columns = snapshot.query(
        "select table_id, column_name, column_type from {s}.ducklake_column"
        " where end_snapshot is null and parent_column is null"
    )
    types = {(table, name): type_ for table, name, type_ in columns}
    affected = 0
    for (name,) in current:
        if name not in tables:
            continue
        table_id = inlined_table_id(name)
        affected += any(
            column.type in _CHANGED_TYPES
            or (column.type == "character varying" and types.get((table_id, column.name), "varchar") in _TEXT_TYPES)
            for column in tables[name].columns[3:]
        )
    return affected


RULES = (
    Rule(
        "partial-file-lists",
        lambda step: step.crosses("0.4"),
        _partial_lists,
        "{rows} compacted data files would lose the list of their snapshots: time travel shows too many rows",
    ),
    Rule(
        "inlined-types",
        lambda step: step.crosses("0.4"),
        _old_inlined_tables,
        "{rows} inlined tables keep column types that the new engine misuses: new text comes back as \\x...,"
        " new dates are refused",
    ),
    Rule(
        "unreadable-defaults",
        lambda step: step.crosses("0.4") and step.duckdb_version in ("1.5.0", "1.5.1"),
        lambda snapshot: int(snapshot.query("select count(*) from {s}.ducklake_column")[0][0]),
        "DuckDB 1.5.0 and 1.5.1 leave {rows} columns without a default type: every read fails afterwards",
    ),
)
