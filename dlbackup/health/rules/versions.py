"""Rules about schema versions."""

from dlbackup.health.rules.rule import HEAD, Rule, in_order, union
from dlbackup.lake.changes import NUMBERED, UNNAMED

_CHANGE_MEND = (
    "\nINSERT INTO {s}.ducklake_schema_versions (begin_snapshot, schema_version, table_id)"
    + UNNAMED.replace("{begun}", "").replace("{of_table}", "v.table_id = c.table_id and ")
    + ";\n"
)
_LAKE_MEND = f"""
INSERT INTO {{s}}.ducklake_schema_versions (begin_snapshot, schema_version)
with {NUMBERED.strip().replace("{begun}", "")}
select min(n.begins), n.number
from numbered n
where n.changed = 1
  and n.number is not null
  and not exists (
      select 1 from {{s}}.ducklake_schema_versions v where v.schema_version = n.number and v.begin_snapshot <= n.begins
  )
group by n.number;
"""


_BEGIN_WHY = (
    "merge_adjacent_files and rewrite_data_files end in 'INTERNAL Error: Calling GetValueInternal on a value that"
    " is NULL'; a migration from 0.2 over 0.3 of a lake with expired snapshots leaves it so"
)


def _changes_between_files(columns: str, *, of_table: str, by_table: str) -> str:
    """
    Return a query for changes of columns, gone snapshots', between two living files of one schema version.

    Args:
        columns: those of the answer that say which.
        of_table: which table a row of ducklake_schema_versions is of.
        by_table: what divides the rows into those of one table, where versions are not the lake's.
    """
    return f"""
        select {columns}, count(*)
        from (
            select kind, table_id, begins, taken,
                   min(case when kind = 'file' then begins end) over (partition by table_id, taken) as first_file,
                   max(case when kind = 'file' then begins end) over (partition by table_id, taken) as last_file
            from (
                select kind, table_id, begins,
                       max(case when kind = 'version' then begins end) over ({by_table}order by begins, later) as taken
                from (
                    select 'version' as kind, {of_table} as table_id, begin_snapshot as begins, 0 as later
                    from {{s}}.ducklake_schema_versions
                    union all
                    select 'column', table_id, begin_snapshot, 1 from {{s}}.ducklake_column
                    union all
                    select 'file', table_id, begin_snapshot, 1 from {{s}}.ducklake_data_file where end_snapshot is null
                ) marks
            ) taken_for
        ) x
        where kind = 'column'
          and taken < begins
          and first_file < begins
          and begins <= last_file
          and not exists (select 1 from {{s}}.ducklake_snapshot s where s.snapshot_id = x.begins)
        group by table_id, begins
    """


RULES = (
    Rule(
        name="schema-version-without-table",
        severity="error",
        what="a row of ducklake_schema_versions has no table",
        why="a client of DuckDB 1.4 that had attached before a migration changed the schema after it; merging and"
        " rewriting files then end in an INTERNAL error",
        query="""
        select begin_snapshot, schema_version
        from {s}.ducklake_schema_versions
        where table_id is null
        """,
        since="0.4",
        mend="""
        INSERT INTO {s}.ducklake_schema_versions (begin_snapshot, schema_version, table_id)
        SELECT DISTINCT v.begin_snapshot, v.schema_version, x.table_id
        FROM {s}.ducklake_schema_versions v
        JOIN (SELECT table_id, begin_snapshot AS s FROM {s}.ducklake_table
              UNION SELECT table_id, begin_snapshot FROM {s}.ducklake_column
              UNION SELECT table_id, end_snapshot FROM {s}.ducklake_column WHERE end_snapshot IS NOT NULL) x
          ON x.s = v.begin_snapshot
        WHERE v.table_id IS NULL AND NOT EXISTS (SELECT FROM {s}.ducklake_schema_versions w
          WHERE w.table_id = x.table_id AND w.begin_snapshot = v.begin_snapshot);
        DELETE FROM {s}.ducklake_schema_versions WHERE table_id IS NULL;
        """,
        advice="end the old client first: nothing else keeps it from doing that again",
    ),
    Rule(
        name="schema-version-range",
        severity="error",
        what="a schema version is beyond the newest snapshot, or not set",
        why="compaction reads files by the wrong columns",
        query=f"""
        select begin_snapshot, schema_version
        from {{s}}.ducklake_schema_versions
        where begin_snapshot is null
          or schema_version is null
          or begin_snapshot > {HEAD}
          or schema_version > (select max(schema_version) from {{s}}.ducklake_snapshot)
        """,
        since="0.3",
    ),
    Rule(
        name="schema-version-of-snapshot",
        severity="error",
        what="a schema version begins at a snapshot that has another one",
        why="compaction reads files by the wrong columns",
        # A commit that makes several inlined tables uses up as many versions, and its snapshot has the last.
        query="""
        select v.begin_snapshot, v.schema_version, s.schema_version as of_snapshot
        from {s}.ducklake_schema_versions v
        join (
            select snapshot_id, schema_version, lag(schema_version) over (order by snapshot_id) as version_before
            from {s}.ducklake_snapshot
        ) s on s.snapshot_id = v.begin_snapshot
        where v.schema_version > s.schema_version
          or (v.schema_version < s.schema_version and v.schema_version <= s.version_before)
        """,
        since="0.3",
    ),
    Rule(
        name="schema-version-missing",
        severity="error",
        what="a column began at a snapshot whose schema version ducklake_schema_versions does not know",
        why="compaction reads files by the wrong columns, so that values are lost, and a migration to 0.4 carries the"
        " gap over; where a snapshot before the change had expired in 0.2, DuckDB 1.4 leaves it so by its migration",
        query=union(
            """
            select s.snapshot_id, s.schema_version, count(*) as columns
            from {s}.ducklake_column c
            join {s}.ducklake_snapshot s on s.snapshot_id = c.begin_snapshot
            where not exists (select 1 from {s}.ducklake_schema_versions v where v.schema_version = s.schema_version)
            group by s.snapshot_id, s.schema_version
            """,
            """
            select c.begin_snapshot, cast(null as bigint), count(*)
            from {s}.ducklake_column c
            cross join (select min(snapshot_id) as snapshot_id from {s}.ducklake_snapshot) o
            where c.begin_snapshot < o.snapshot_id
              and not exists (
                  select 1 from {s}.ducklake_schema_versions v where v.begin_snapshot <= o.snapshot_id
              )
            group by c.begin_snapshot
            """,
            _changes_between_files(
                "begins, cast(null as bigint) as schema_version", of_table="cast(null as bigint)", by_table=""
            ),
        ),
        since="0.3",
        until="0.3",
        mend=_LAKE_MEND,
    ),
    Rule(
        name="schema-version-of-change",
        severity="error",
        what="a column began at a snapshot for which its table has no schema version",
        why="compaction reads files by the wrong columns, so that values are lost",
        query=union(
            """
            select c.table_id, c.begin_snapshot, count(*) as columns
            from {s}.ducklake_column c
            join {s}.ducklake_snapshot s on s.snapshot_id = c.begin_snapshot
            where not exists (
                select 1 from {s}.ducklake_schema_versions v
                where v.table_id = c.table_id and v.begin_snapshot = c.begin_snapshot
            )
            group by c.table_id, c.begin_snapshot
            """,
            _changes_between_files("table_id, begins", of_table="table_id", by_table="partition by table_id "),
        ),
        since="0.4",
        mend=_CHANGE_MEND,
    ),
    Rule(
        name="schema-version-of-table",
        severity="error",
        what="a table has no schema version at its beginning",
        why=_BEGIN_WHY,
        query="""
        select t.table_id, t.begin_snapshot
        from (
            select table_id, min(begin_snapshot) as begin_snapshot
            from {s}.ducklake_table
            group by table_id
        ) t
        left join (
            select table_id, min(begin_snapshot) as first
            from {s}.ducklake_schema_versions
            group by table_id
        ) v on v.table_id = t.table_id
        where v.first is null or v.first > t.begin_snapshot
        """,
        since="0.4",
        mend=_CHANGE_MEND,
    ),
    Rule(
        name="schema-version-of-file",
        severity="error",
        what="a living data file began before the first schema version of its table",
        why=_BEGIN_WHY,
        query="""
        select f.data_file_id, f.table_id, f.begin_snapshot
        from {s}.ducklake_data_file f
        left join (
            select table_id, min(begin_snapshot) as first
            from {s}.ducklake_schema_versions
            group by table_id
        ) v on v.table_id = f.table_id
        where f.end_snapshot is null
          and (v.first is null or v.first > f.begin_snapshot)
          and exists (
              select 1 from {s}.ducklake_table t
              where t.table_id = f.table_id and t.end_snapshot is null
          )
        """,
        since="0.4",
        mend=_CHANGE_MEND,
    ),
    Rule(
        name="schema-versions-at-one-snapshot",
        severity="error",
        what="several schema versions of a table begin at one snapshot",
        why="the migration from 0.3 to 0.4 by DuckDB 1.5.0 and 1.5.1 writes the table's first snapshot into all of"
        " them; compaction then reads files by the wrong columns",
        query="""
        select table_id, begin_snapshot, count(distinct schema_version) as found
        from {s}.ducklake_schema_versions
        where table_id is not null
        group by table_id, begin_snapshot
        having count(distinct schema_version) > 1
        """,
        since="0.4",
        mend=in_order(
            """
            DELETE FROM {s}.ducklake_schema_versions;
            INSERT INTO {s}.ducklake_schema_versions (begin_snapshot, schema_version, table_id)
            SELECT s.b, s.schema_version, t.table_id
            FROM (SELECT min(snapshot_id) AS b, schema_version FROM {s}.ducklake_snapshot GROUP BY schema_version) s
            JOIN {s}.ducklake_table t ON s.b BETWEEN t.begin_snapshot AND coalesce(t.end_snapshot, s.b);
            """,
            _CHANGE_MEND,
        ),
    ),
    Rule(
        name="schema-version-of-dropped-table",
        severity="warning",
        what="schema versions belong to a table that is gone",
        why="harmless; left behind when snapshots expire",
        query="""
        select v.table_id, count(*) as found
        from {s}.ducklake_schema_versions v
        where v.table_id is not null
          and not exists (select 1 from {s}.ducklake_table t where t.table_id = v.table_id)
        group by v.table_id
        """,
        since="0.4",
        mend="""
        DELETE FROM {s}.ducklake_schema_versions v WHERE NOT EXISTS
          (SELECT FROM {s}.ducklake_table t WHERE t.table_id = v.table_id) AND table_id IS NOT NULL;
        """,
    ),
)
