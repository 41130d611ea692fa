"""
What engines' migrations are known to lose without a word, as named rules: how it is found, and mended.

A rule finds what a migration would lose in plain SQL, remembers what the mend will need, and mends in one
transaction after the engine is done. What can't be mended exactly blocks the migration until the user
accepts that loss by name. The facts are in docs/losses.md; each rule was reproduced with real engines.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dlbackup.migration import Step
from dlbackup.rules.inlined import CONVERSIONS, CURRENT
from dlbackup.statements import quote_identifier
from dlbackup.tables import by_name, inlined_table_id

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres import PostgresSnapshot
    from dlbackup.catalogs.sessions import Session


@dataclass(frozen=True, slots=True)
class Loss:
    """
    What a migration would lose.

    Args:
        rows: how many rows or tables it is about.
        part: the part of the fingerprint that it changes; empty when it shows in none.
        mendable: whether `mend` puts it right.
        before: what the mend needs from the catalog as it was before.
    """

    rule: str
    rows: int
    message: str
    part: str
    mendable: bool
    before: Any = None


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One known loss.

    Args:
        find: returns what is affected in a catalog before the migration: one item for each row or table.
        mend: puts it right in a migrated catalog, given a session, the schema and what was found; returns
            how many rows or tables it touched. None where nothing can.
    """

    name: str
    applies: Callable[[Step], bool]
    find: Callable[["PostgresSnapshot"], list[Any]]
    message: str
    part: str = ""
    mend: Callable[["Session", str, list[Any]], int] | None = None


def known_losses(snapshot: "PostgresSnapshot", step: Step) -> tuple[Loss, ...]:
    """Return what this migration of this catalog would lose."""
    return tuple(
        Loss(rule.name, len(found), rule.message.format(rows=len(found)), rule.part, rule.mend is not None, found)
        for rule in RULES
        if rule.applies(step) and (found := rule.find(snapshot))
    )


def mend(session: "Session", schema: str, losses: tuple[Loss, ...]) -> list[tuple[str, int]]:
    """Put right what can be, in the session's open transaction; return rules and how much each touched."""
    rules = {rule.name: rule for rule in RULES}
    done = []
    for loss in losses:
        rule = rules[loss.rule]
        if rule.mend is not None:
            done.append((loss.rule, rule.mend(session, schema, loss.before)))
    return done


def _ascends(text: str) -> bool:
    """Tell whether a list `snapshot:rows|...` rises, as a merge of plain files leaves it; ties are right."""
    if not re.fullmatch(r"\d+:\d+(?:\|\d+:\d+)*", text):
        return False
    items = [tuple(map(int, item.split(":"))) for item in text.split("|")]
    return all(one[0] <= two[0] and one[1] < two[1] for one, two in pairwise(items))


def _lists(snapshot: "PostgresSnapshot") -> list[tuple[int, str]]:
    data_file = by_name(snapshot.tables).get("ducklake_data_file")
    if data_file is None or "partial_file_info" not in data_file.column_names:
        return []
    sql = (
        "select data_file_id, partial_file_info from {s}.ducklake_data_file"
        " where partial_file_info is not null and partial_file_info not like 'partial_max:%' order by 1"
    )
    return [(row[0], row[1]) for row in snapshot.query(sql)]


def _rising_lists(snapshot: "PostgresSnapshot") -> list[Any]:
    return [(file, max(map(int, re.findall(r"(\d+):", text)))) for file, text in _lists(snapshot) if _ascends(text)]


def _other_lists(snapshot: "PostgresSnapshot") -> list[Any]:
    return [file for file, text in _lists(snapshot) if not _ascends(text)]


def _set_partial_max(session: "Session", schema: str, found: list[Any]) -> int:
    files, newest = [item[0] for item in found], [item[1] for item in found]
    return session.execute(
        f"update {quote_identifier(schema)}.ducklake_data_file f set partial_max = x.newest"
        " from unnest(%s::bigint[], %s::bigint[]) as x (file, newest) where f.data_file_id = x.file".encode(),
        [files, newest],
    ).rowcount


_SYSTEM_COLUMNS = 3


def _old_inlined_tables(snapshot: "PostgresSnapshot") -> list[Any]:
    """Return (table, [(column, conversion)]) for the inlined tables that new rows would go into."""
    tables = by_name(snapshot.tables)
    current = snapshot.query(CURRENT + " order by i.table_id")
    columns = snapshot.query(
        "select table_id, column_name, column_type from {s}.ducklake_column"
        " where end_snapshot is null and parent_column is null"
    )
    types = {(table, name): type_ for table, name, type_ in columns}
    found = []
    for name in (row[0] for row in current if row[0] in tables):
        table_id = inlined_table_id(name)
        conversions = [
            (column.name, column.type, CONVERSIONS[types[table_id, column.name], column.type])
            for column in tables[name].columns[_SYSTEM_COLUMNS:]
            if (types.get((table_id, column.name), ""), column.type) in CONVERSIONS
        ]
        if conversions:
            found.append((name, conversions))
    return found


def _types(session: "Session", schema: str, table: str) -> dict[str, str]:
    rows = session.execute(
        "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a join pg_class c on c.oid ="
        " a.attrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname = %s and c.relname = %s"
        " and a.attnum > 0 and not a.attisdropped",
        [schema, table],
    )
    return {row[0]: row[1] for row in rows}


def _convert_inlined(session: "Session", schema: str, found: list[Any]) -> int:
    for table, conversions in found:
        there = _types(session, schema, table)
        actions = ", ".join(
            f"ALTER COLUMN {quote_identifier(name)} TYPE {how.format(c=quote_identifier(name))}"
            for name, old_type, how in conversions
            if there.get(name) == old_type  # done already, when a migration that was cut off is finished
        )
        if actions:
            session.execute(f"ALTER TABLE {quote_identifier(schema)}.{quote_identifier(table)} {actions}".encode())
    return len(found)


def _mapped_files(snapshot: "PostgresSnapshot") -> list[Any]:
    return snapshot.query("select mapping_id from {s}.ducklake_name_mapping")


def _set_is_partition(session: "Session", schema: str, found: list[Any]) -> int:
    return session.execute(
        f"update {quote_identifier(schema)}.ducklake_name_mapping set is_partition = false"
        " where is_partition is null".encode()
    ).rowcount


def _expired_beginnings(snapshot: "PostgresSnapshot") -> list[Any]:
    """Return the tables whose first schema version went with an expired snapshot."""
    if "ducklake_schema_versions" not in by_name(snapshot.tables):
        return []
    return snapshot.query(
        "select t.table_id from (select table_id, min(begin_snapshot) b from {s}.ducklake_table group by 1) t"
        " where not exists (select from {s}.ducklake_schema_versions v where v.begin_snapshot = t.b)"
    )


def _fill_schema_versions(session: "Session", schema: str, found: list[Any]) -> int:
    where = quote_identifier(schema)
    return session.execute(
        f"insert into {where}.ducklake_schema_versions (begin_snapshot, schema_version, table_id)"
        f" select t.b, coalesce((select min(schema_version) from {where}.ducklake_schema_versions v"
        f" where v.table_id = t.table_id), 1) - 1, t.table_id"
        f" from (select table_id, min(begin_snapshot) b from {where}.ducklake_table group by 1) t"
        f" where not exists (select from {where}.ducklake_schema_versions v"
        f" where v.table_id = t.table_id and v.begin_snapshot <= t.b)".encode()
    ).rowcount


def _columns(snapshot: "PostgresSnapshot") -> list[Any]:
    return snapshot.query("select column_id from {s}.ducklake_column")


RULES = (
    Rule(
        "partial-file-lists",
        lambda step: step.crosses("0.4"),
        _rising_lists,
        "{rows} compacted data files would lose the list of their snapshots: time travel shows too many rows",
        "ducklake_data_file",
        _set_partial_max,
    ),
    Rule(
        "unordered-partial-files",
        lambda step: step.crosses("0.4"),
        _other_lists,
        "{rows} compacted data files have lists of snapshots that the new layout can't express: time travel over"
        " them shows too many rows, or rows twice",
        "ducklake_data_file",
    ),
    Rule(
        "inlined-types",
        lambda step: step.crosses("0.4"),
        _old_inlined_tables,
        "{rows} inlined tables keep column types that the new engine misuses: new text comes back as \\x...,"
        " new dates are refused",
        mend=_convert_inlined,
    ),
    Rule(
        "name-mapping-partition",
        lambda step: step.crosses("0.3"),
        _mapped_files,
        "{rows} columns of added files would not be marked as no partitions: reading their tables ends the client",
        "ducklake_name_mapping",
        _set_is_partition,
    ),
    Rule(
        "schema-version-holes",
        lambda step: step.crosses("0.4"),
        _expired_beginnings,
        "{rows} tables would have no schema version from their begin on: compaction crashes",
        "ducklake_schema_versions",
        _fill_schema_versions,
    ),
    Rule(
        "unreadable-defaults",
        lambda step: step.crosses("0.4") and step.duckdb_version in ("1.5.0", "1.5.1"),
        _columns,
        "DuckDB 1.5.0 and 1.5.1 leave {rows} columns without a default type: every read fails afterwards",
        "ducklake_column",
    ),
)
