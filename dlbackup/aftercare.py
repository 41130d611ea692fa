"""
What engines' migrations are known to lose without a word, as named rules: how it is found, and mended.

A rule finds what a migration would lose in plain SQL, remembers what the mend will need, and mends after the
engine is done, so that doing it again changes nothing more. What can't be mended exactly blocks the migration
until the user accepts that loss by name. The facts are in docs/losses.md; each rule was reproduced with real engines.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dlbackup.fingerprint import NULL_TEXT_DEFAULT
from dlbackup.migration import Step
from dlbackup.partial_files import (
    lists_with_flushed_files,
    lists_with_rewritten_files,
    plain_lists,
    set_partial_max,
    unordered_lists,
)
from dlbackup.rules.inlined import CONVERSIONS, CURRENT
from dlbackup.statements import quote_identifier, quote_literal, quote_numbers
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
    before: Any


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One known loss.

    Args:
        find: returns what is affected in a catalog before the migration: one item for each row or table.
        mend: puts it right in a migrated catalog, given a session, the schema and what was found; returns
            how many rows or tables it touched. None where nothing can. Done twice, it changes nothing more.
        by_table: what is found are tables, each of which the mend has to lock.
    """

    name: str
    applies: Callable[[Step], bool]
    find: Callable[["PostgresSnapshot"], list[Any]]
    message: str
    part: str = ""
    mend: Callable[["Session", str, list[Any]], int] | None = None
    by_table: bool = False


def known_losses(snapshot: "PostgresSnapshot", step: Step) -> tuple[Loss, ...]:
    """Return what this migration of this catalog would lose."""
    return tuple(
        Loss(rule.name, len(found), rule.message.format(rows=len(found)), rule.part, rule.mend is not None, found)
        for rule in RULES
        if rule.applies(step) and (found := rule.find(snapshot))
    )


def batches(losses: tuple[Loss, ...], tables: int) -> Iterator[tuple[Loss, ...]]:
    """Divide what is to be mended into what one transaction has the locks for: all at once up to so many tables."""
    by_table = [loss for loss in losses if _RULES[loss.rule].by_table]
    if sum(len(loss.before) for loss in by_table) <= tables:
        yield losses
        return
    for loss in by_table:
        for begin in range(0, len(loss.before), tables):
            yield (replace(loss, before=loss.before[begin : begin + tables]),)
    yield tuple(loss for loss in losses if loss not in by_table)


def mend(session: "Session", schema: str, losses: tuple[Loss, ...]) -> list[tuple[str, int]]:
    """Put right what can be, in the session's open transaction; return rules and how much each touched."""
    done = []
    for loss in losses:
        rule = _RULES[loss.rule]
        if rule.mend is not None:
            done.append((loss.rule, rule.mend(session, schema, loss.before)))
    return done


def _old_inlined_tables(snapshot: "PostgresSnapshot") -> list[Any]:
    """Return (table, [(column, type, conversion)]) for the inlined tables that new rows would go into."""
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
            for column in tables[name].columns
            if (types.get((table_id, column.name), ""), column.type) in CONVERSIONS
        ]
        if conversions:
            found.append((name, conversions))
    return found


def _types(session: "Session", schema: str, tables: list[str]) -> dict[tuple[str, str], str]:
    """Return the types of the columns of some tables, by table and name."""
    rows = session.execute(
        "select c.relname, a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a"
        " join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relname = any(%s)",
        [schema, tables],
    )
    return {(table, name): type_ for table, name, type_ in rows}


def _convert_inlined(session: "Session", schema: str, found: list[Any]) -> int:
    from dlbackup.catalogs.staging import AT_ONCE

    there = _types(session, schema, [table for table, _ in found])
    statements = []
    for table, conversions in found:
        actions = ", ".join(
            f"ALTER COLUMN {quote_identifier(name)} TYPE {how.format(c=quote_identifier(name))}"
            for name, old_type, how in conversions
            if there.get((table, name)) == old_type  # done already, when a migration that was cut off is finished
        )
        if actions:
            statements.append(f"ALTER TABLE {quote_identifier(schema)}.{quote_identifier(table)} {actions}")
    for begin in range(0, len(statements), AT_ONCE):
        session.execute("; ".join(statements[begin : begin + AT_ONCE]).encode())
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


# Types that DuckDB 1.5 takes no statistics from; 1.4 doesn't keep any of a boolean, and 1.5 skips nothing by them.
_WITHOUT_STATISTICS = "('boolean', 'int128', 'uint128', 'interval', 'blob')"
_UNKNOWN = "min_value is null and max_value is null and extra_stats is null"


def _unknown_statistics(snapshot: "PostgresSnapshot") -> list[Any]:
    """
    Return (table, column) for the statistics that know neither minimum nor maximum of a column that has values.

    All values are NULL where every data file says so, and none are in the catalog.
    """
    return snapshot.query(
        "select s.table_id, s.column_id from {s}.ducklake_table_column_stats s"
        " join {s}.ducklake_column c on c.table_id = s.table_id and c.column_id = s.column_id"
        " left join (select table_id, count(*) as files from {s}.ducklake_data_file group by 1) f"
        " on f.table_id = s.table_id"
        " left join (select table_id, column_id, count(*) as files from {s}.ducklake_file_column_stats"
        " where value_count = 0 group by 1, 2) n on n.table_id = s.table_id and n.column_id = s.column_id"
        f" where {_UNKNOWN} and c.end_snapshot is null and c.column_type not in {_WITHOUT_STATISTICS}"
        " and (f.files > coalesce(n.files, 0) or exists"
        " (select from {s}.ducklake_inlined_data_tables i where i.table_id = s.table_id)) order by 1, 2"
    )


def _forget_statistics(session: "Session", schema: str, found: list[Any]) -> int:
    tables = quote_numbers(item[0] for item in found)
    columns = quote_numbers(item[1] for item in found)
    return session.execute(
        f"delete from {quote_identifier(schema)}.ducklake_table_column_stats s"
        f" using unnest({tables}, {columns}) as x (table_id, column_id)"
        f" where s.table_id = x.table_id and s.column_id = x.column_id and {_UNKNOWN}".encode()
    ).rowcount


_NULL_AS_TEXT = "default_value = 'NULL' and column_type in ('varchar', 'blob')"


def _null_as_text(snapshot: "PostgresSnapshot") -> list[Any]:
    """Return the columns whose default is the text NULL; no default at all is an SQL NULL up to 0.3."""
    return snapshot.query(
        f"select table_id, column_id, begin_snapshot from {{s}}.ducklake_column where {_NULL_AS_TEXT} order by 1, 2, 3"
    )


def _quote_null_as_text(session: "Session", schema: str, found: list[Any]) -> int:
    return session.execute(
        f"update {quote_identifier(schema)}.ducklake_column set default_value = {quote_literal(NULL_TEXT_DEFAULT)},"
        f" default_value_type = 'expression', default_value_dialect = 'duckdb' where {_NULL_AS_TEXT}".encode()
    ).rowcount


def _columns(snapshot: "PostgresSnapshot") -> list[Any]:
    return snapshot.query("select column_id from {s}.ducklake_column")


RULES = (
    Rule(
        "partial-file-lists",
        lambda step: step.crosses("0.4"),
        plain_lists,
        "{rows} compacted data files would lose the list of their snapshots: time travel shows too many rows",
        "ducklake_data_file",
        set_partial_max,
    ),
    Rule(
        "unordered-partial-files",
        lambda step: step.crosses("0.4"),
        unordered_lists,
        "{rows} compacted data files have lists of snapshots that the new layout can't express: time travel over"
        " them shows too many rows, or rows twice",
        "ducklake_data_file",
    ),
    Rule(
        "rewritten-partial-files",
        lambda step: step.crosses("0.4"),
        lists_with_rewritten_files,
        "{rows} compacted data files may hold rewritten files: in the new layout snapshots from before the rewrite"
        " show their rows twice",
        "ducklake_data_file",
    ),
    Rule(
        "flushed-partial-files",
        lambda step: step.crosses("0.4"),
        lists_with_flushed_files,
        "{rows} compacted data files would lose the list of their snapshots, and may hold flushed rows that DuckDB 1.4"
        " shows before they were inserted: mended, they show from their insert on",
        "ducklake_data_file",
        set_partial_max,
    ),
    Rule(
        "inlined-types",
        lambda step: step.crosses("0.4"),
        _old_inlined_tables,
        "{rows} inlined tables keep column types that the new engine misuses: new text comes back as \\x...,"
        " new dates are refused",
        mend=_convert_inlined,
        by_table=True,
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
        "unknown-statistics",
        lambda step: step.crosses("1.0"),
        _unknown_statistics,
        "{rows} columns have statistics without minimum and maximum, which the new engine takes for no values at all:"
        " after the next insert, queries with a filter miss the older rows",
        mend=_forget_statistics,
    ),
    Rule(
        "null-text-defaults",
        lambda step: step.crosses("0.4"),
        _null_as_text,
        "{rows} columns would lose the text NULL as their default: the new engine takes it for none",
        "ducklake_column",
        _quote_null_as_text,
    ),
    Rule(
        "unreadable-defaults",
        lambda step: step.crosses("0.4") and step.duckdb_version in ("1.5.0", "1.5.1"),
        _columns,
        "DuckDB 1.5.0 and 1.5.1 leave {rows} columns without a default type: every read fails afterwards",
        "ducklake_column",
    ),
)
_RULES = {rule.name: rule for rule in RULES}
