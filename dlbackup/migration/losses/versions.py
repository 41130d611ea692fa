"""Schema versions whose beginnings were expired, and defaults that say NULL as text."""

from bisect import bisect_right
from typing import Any

from dlbackup.catalogs.contract import Mending
from dlbackup.lake.answers import Answers, rows_of
from dlbackup.lake.canonical import NULL_TEXT_DEFAULT
from dlbackup.lake.changes import UNNAMED, begun
from dlbackup.lake.inlined import begins_right
from dlbackup.tables.definition import by_name
from dlbackup.tables.quoting import quote_literal, quote_pairs

_SCHEMA_VERSIONS = "ducklake_schema_versions"


def expired_beginnings(answers: Answers) -> list[Any]:
    """Return the tables whose first schema version went with an expired snapshot."""
    return rows_of(
        answers,
        """
        select t.table_id
        from (select table_id, min(begin_snapshot) b from {s}.ducklake_table group by 1) t
        where not exists (select 1 from {s}.ducklake_schema_versions v where v.begin_snapshot = t.b)
        """,
    )


def fill_schema_versions(mending: Mending, found: list[Any]) -> int:
    """Give each table the schema version that it began with."""
    return mending.execute(
        """
        insert into {s}.ducklake_schema_versions (begin_snapshot, schema_version, table_id)
        select t.b,
               coalesce((select min(schema_version) from {s}.ducklake_schema_versions v
                         where v.table_id = t.table_id), 1) - 1,
               t.table_id
        from (select table_id, min(begin_snapshot) b from {s}.ducklake_table group by 1) t
        where not exists (
            select 1 from {s}.ducklake_schema_versions v
            where v.table_id = t.table_id and v.begin_snapshot <= t.b
        )
        """
    )


def unnamed_changes(answers: Answers) -> list[Any]:
    """
    Return (begin, schema version, table, version that it is instead of) of changes of tables, and of their begins.

    Their snapshots have expired before the catalog had schema versions. What `fill_schema_versions` gives the table's
    begin may be the number of another change, of this table or of another one; it gets its own then. Engines keep what
    the lake was like by the number alone: of two changes with one, the first that is asked for counts for both.
    """
    created: dict[Any, int] = dict(
        rows_of(
            answers,
            """
            select table_id, min(begin_snapshot)
            from {s}.ducklake_table
            where begin_snapshot is not null
            group by table_id
            """,
        )
    )
    unnamed = [
        (begin, version, table) for begin, version, table in rows_of(answers, _unnamed(answers)) if table in created
    ]
    filled = _filled_versions(answers) if unnamed else {}
    return sorted(
        (begin, version, table, filled.get(table, 0) if begin == created[table] else None)
        for begin, version, table in unnamed
        if begin > created[table] or version != filled.get(table, 0)
    )


def _unnamed(answers: Answers) -> str:
    marks: list[tuple[int, int]] = []
    for begins, version, _ in _late_inlined(answers):
        if not marks or version > marks[-1][1]:  # numbers rise with snapshots
            marks.append((begins, version))
    return UNNAMED.format(s="{s}", of_table="", begun=begun(marks))


def _late_inlined(answers: Answers) -> list[tuple[int, int, int]]:
    """
    Return (snapshot of the first row, schema version, table) of inlined tables that came with it, in that order.

    Those are meant whose version nothing else has: their snapshot has expired, or their commit made several and has
    the version of the last. One that came with a change of its table, and got rows later, has that change's number:
    no more than there were changes until its first row.
    """
    by_table = _by_table(answers)
    unknown: dict[Any, int] = dict(
        rows_of(
            answers,
            f"""
            select i.table_name, i.schema_version
            from {{s}}.ducklake_inlined_data_tables i
            where not exists (select 1 from {{s}}.ducklake_snapshot s where s.schema_version = i.schema_version)
              and not exists (
                  select 1 from {{s}}.ducklake_schema_versions v
                  where {by_table}v.schema_version = i.schema_version
              )
            """,
        )
    )
    tables = [table for table in answers.tables if table.name in unknown and begins_right(table)]
    if not tables:
        return []
    changes = "select begin_snapshot from {s}.ducklake_column union select begin_snapshot from {s}.ducklake_table"
    changed = sorted(begins for (begins,) in rows_of(answers, changes) if begins is not None)
    firsts = "select name, table_id, min(begin_snapshot) from ({rows}) r group by name, table_id"
    return sorted(
        (begins, version, table)
        for rows in answers.inlined(tables, frozenset(unknown))
        for name, table, begins in rows_of(answers, firsts.replace("{rows}", rows))
        if begins is not None and (version := unknown.get(name)) is not None and version > bisect_right(changed, begins)
    )


def _filled_versions(answers: Answers) -> dict[Any, int]:
    """Return the version that a table gets from its begin on where none is there: the one before its lowest."""
    lowest = rows_of(
        answers,
        """
        select t.table_id, min(v.schema_version)
        from (
            select schema_version, min(begin_snapshot) as begins
            from {s}.ducklake_schema_versions
            group by schema_version
        ) v
        join {s}.ducklake_table t
          on t.begin_snapshot <= v.begins and (t.end_snapshot is null or v.begins <= t.end_snapshot)
        group by t.table_id
        """,
    )
    return {table: version - 1 for table, version in lowest if version is not None}


def name_changes(mending: Mending, found: list[Any]) -> int:
    """Give changes of tables their schema versions, and the tables' begins theirs."""
    return _name(mending, found, "v.begin_snapshot = x.begins")


def name_versions(mending: Mending, found: list[Any]) -> int:
    """Give tables the schema versions of their inlined tables."""
    return _name(mending, found, "v.schema_version = x.version")


def _name(mending: Mending, found: list[Any], is_there: str) -> int:
    """Replace and add versions, as `unnamed_changes` returns them; `is_there` as `_add_versions` takes it."""
    replaced = ", ".join(
        f"({int(begin)}, {int(version)}, {int(table)}, {int(instead)})"
        for begin, version, table, instead in found
        if instead is not None
    )
    done = 0
    if replaced:
        done = mending.execute(
            f"""
            with x (begins, version, table_id, instead) as (values {replaced})
            update {{s}}.ducklake_schema_versions as v
            set schema_version = x.version
            from x
            where v.table_id = x.table_id and v.begin_snapshot = x.begins and v.schema_version = x.instead
            """
        )
    begins = [(begin, version, table) for begin, version, table, _ in found]
    return done + _add_versions(mending, begins, is_there)


def versions_named(found: list[Any]) -> dict[str, list[bytes]]:
    """Return the rows that `name_changes` and `name_versions` leave, by table."""
    return _rows_named([(begin, version, table) for begin, version, table, _ in found])


def versions_replaced(found: list[Any]) -> dict[str, list[bytes]]:
    """Return the rows that they replace, by table."""
    return _rows_named([(begin, instead, table) for begin, _, table, instead in found if instead is not None])


def unknown_versions(answers: Answers) -> list[Any]:
    """
    Return (begin, schema version, table, version that it is instead of) of inlined tables of changed lake tables.

    They are those that engines will not find: an inlined table that came with the first small insert has a schema
    version that no change of a table made. Where no snapshot has that version, it begins with its first row; without
    rows, any snapshot says the same between the one before and the insert. The version of the commit may stand there,
    which is of another table's change or inlined table.
    """
    by_table = _by_table(answers)
    first_rows = ", ".join(f"({begins}, {version}, {table})" for begins, version, table in _late_inlined(answers))
    return rows_of(
        answers,
        f"""
        select i.begins, i.schema_version, i.table_id, (
            select max(v.schema_version) from {{s}}.ducklake_schema_versions v
            where {by_table}v.begin_snapshot = i.begins
              and not exists (
                  select 1 from {{s}}.ducklake_inlined_data_tables o
                  where o.table_id = i.table_id and o.schema_version = v.schema_version
              )
              and not exists (
                  select 1 from {{s}}.ducklake_column c where c.table_id = i.table_id and c.begin_snapshot = i.begins
              )
        ) as instead
        from (
            select i.table_id, i.schema_version, t.created, coalesce(
                (select min(s.snapshot_id) from {{s}}.ducklake_snapshot s where s.schema_version = i.schema_version),
                (select min(r.begins) from {_FIRST_ROWS.format(rows=first_rows or _NO_ROW)}
                 where r.table_id = i.table_id and r.version = i.schema_version),
                greatest(
                    (select max(v.begin_snapshot) from {{s}}.ducklake_schema_versions v
                     where {by_table}v.schema_version < i.schema_version),
                    (select max(s.snapshot_id) from {{s}}.ducklake_snapshot s
                     where s.schema_version < i.schema_version)
                ) + 1
            ) as begins
            from (select distinct table_id, schema_version from {{s}}.ducklake_inlined_data_tables) i
            join (select table_id, min(begin_snapshot) as created from {{s}}.ducklake_table group by table_id) t
              on t.table_id = i.table_id
            where not exists (
                select 1 from {{s}}.ducklake_schema_versions v
                where {by_table}v.schema_version = i.schema_version
            )
        ) i
        where exists (
            select 1 from {{s}}.ducklake_column c
            where c.table_id = i.table_id and c.begin_snapshot > i.created and c.begin_snapshot <= i.begins
        )
        order by 1, 2, 3
        """,
    )


_FIRST_ROWS = "(values {rows}) r (begins, version, table_id)"
_NO_ROW = "(cast(null as bigint), cast(null as bigint), cast(null as bigint))"


def _by_table(answers: Answers) -> str:
    return "v.table_id = i.table_id and " if has_versions_by_table(answers) else ""


def has_versions_by_table(answers: Answers) -> bool:
    """Tell whether the catalog says of each schema version of which table it is; before 0.4 all are the lake's."""
    table = by_name(answers.tables).get(_SCHEMA_VERSIONS)
    return table is not None and "table_id" in table.column_names


def _add_versions(mending: Mending, found: list[Any], is_there: str) -> int:
    """Add (begin, schema version, table) to the versions; not where a row `v` of the table says already what `x` is."""
    values = ", ".join(f"({int(begin)}, {int(version)}, {int(table)})" for begin, version, table in found)
    return mending.execute(
        f"""
        insert into {{s}}.ducklake_schema_versions (begin_snapshot, schema_version, table_id)
        with x (begins, version, table_id) as (values {values})
        select x.begins, x.version, x.table_id
        from x
        where not exists (
            select 1 from {{s}}.ducklake_schema_versions v
            where v.table_id = x.table_id and {is_there}
        )
        """
    )


def _rows_named(found: list[Any]) -> dict[str, list[bytes]]:
    return {_SCHEMA_VERSIONS: [f"{begin},{version},{table}\n".encode() for begin, version, table in found]}


_NULL_AS_TEXT = "default_value = 'NULL' and column_type in ('varchar', 'blob')"


def null_as_text(answers: Answers) -> list[Any]:
    """Return the columns whose default is the text NULL; no default at all is an SQL NULL up to 0.3."""
    return rows_of(
        answers,
        f"""
        select table_id, column_id, begin_snapshot
        from {{s}}.ducklake_column
        where {_NULL_AS_TEXT}
        order by 1, 2, 3
        """,
    )


def quote_null_as_text(mending: Mending, found: list[Any]) -> int:
    """Quote defaults that are the text NULL."""
    return mending.execute(
        f"""
        update {{s}}.ducklake_column
        set default_value = {quote_literal(NULL_TEXT_DEFAULT)},
            default_value_type = 'expression',
            default_value_dialect = 'duckdb'
        where {_NULL_AS_TEXT}
        """
    )


def schema_versions(answers: Answers) -> list[Any]:
    """Return (first snapshot, schema version) for all versions of the lake."""
    return rows_of(
        answers,
        """
        select min(begin_snapshot), schema_version
        from {s}.ducklake_schema_versions
        group by schema_version
        order by schema_version
        """,
    )


def set_beginnings(mending: Mending, found: list[Any]) -> int:
    """Let each schema version of each table begin where the lake's does."""
    return mending.execute(
        f"""
        with x (begins, version) as ({quote_pairs(found)})
        update {{s}}.ducklake_schema_versions as v
        set begin_snapshot = x.begins
        from x
        where v.schema_version = x.version and v.begin_snapshot <> x.begins
        """
    )


def set_default_types(mending: Mending, found: list[Any]) -> int:
    """Say of defaults from before 0.4, all of them literals, that they are."""
    return mending.execute(
        "update {s}.ducklake_column set default_value_type = 'literal' where default_value_type is null"
    )


def all_columns(answers: Answers) -> list[Any]:
    """Find columns."""
    return rows_of(answers, "select column_id from {s}.ducklake_column")
