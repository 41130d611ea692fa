"""Rules about schema versions, and about what migrations and clients of older versions leave behind."""

from dlbackup.health.rules.rule import HEAD, Rule, in_order, union
from dlbackup.lake.changes import NUMBERED, UNNAMED

_INSERTS = """
select c.snapshot_id, s.next_file_id, t.table_id
from (
    select snapshot_id, unnest(string_to_array(changes_made, ',')) as change
    from {s}.ducklake_snapshot_changes
) c
join (select distinct table_id from {s}.ducklake_data_file) t
  on c.change = 'inserted_into_table:' || cast(t.table_id as varchar)
join {s}.ducklake_snapshot s on s.snapshot_id = c.snapshot_id
"""
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


_PATH_MEND = """
UPDATE {s}.ducklake_schema SET path = '', path_is_relative = true WHERE path IS NULL AND path_is_relative IS NULL;
UPDATE {s}.ducklake_table SET path = '', path_is_relative = true WHERE path IS NULL AND path_is_relative IS NULL;
"""
_BEGIN_WHY = (
    "merge_adjacent_files and rewrite_data_files end in 'INTERNAL Error: Calling GetValueInternal on a value that"
    " is NULL'; a migration from 0.2 over 0.3 of a lake with expired snapshots leaves it so"
)


# A file of several snapshots was made after the one that it begins at; what a client added was made in that one.
# Where that snapshot has expired, only the names of DuckLake's own files are left to go by.
_SEVERAL = "(select count(*) from {s}.ducklake_snapshot) > 1"
"""Not a frozen lake of one snapshot, in which such a number keeps later rows from being shown."""
_STALE_MAPPING = """
select f.data_file_id, f.begin_snapshot, f.partial_max
from {s}.ducklake_data_file f
join (select distinct mapping_id, table_id from {s}.ducklake_column_mapping) m
  on m.mapping_id = f.partial_max and m.table_id = f.table_id
left join {s}.ducklake_snapshot b on b.snapshot_id = f.begin_snapshot
where f.mapping_id is null
  and (
      f.data_file_id < b.next_file_id
      or (
          b.snapshot_id is null
          and (f.partial_max < f.begin_snapshot or f.path not like '%ducklake-%.parquet')
      )
  )
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
    Rule(
        name="default-type",
        severity="error",
        what="the type of a column's default is not set, or unknown",
        why="every read of the table fails with 'Column type  is not supported'; the migration from 0.3 to 0.4 by"
        " DuckDB 1.5.0 and 1.5.1 leaves it so",
        query="""
        select table_id, column_id, begin_snapshot, default_value_type
        from {s}.ducklake_column
        where default_value_type is null or default_value_type not in ('literal', 'expression', '')
        """,
        since="0.4",
        mend="""
        UPDATE {s}.ducklake_column SET default_value_type = 'literal' WHERE default_value_type IS NULL;
        """,
    ),
    Rule(
        name="stale-mapping",
        severity="error",
        what="an added data file has its mapping's number in partial_max",
        why="a client of DuckDB 1.4 that had attached before a migration added the file after it: it reads NULL, and"
        " compaction makes time travel wrong",
        query=_STALE_MAPPING,
        since="0.4",
        mend="""
        UPDATE {s}.ducklake_data_file f SET mapping_id = partial_max, partial_max = NULL
        WHERE mapping_id IS NULL AND EXISTS (SELECT FROM {s}.ducklake_column_mapping m
          WHERE m.mapping_id = f.partial_max AND m.table_id = f.table_id)
        AND (EXISTS (SELECT FROM {s}.ducklake_snapshot b
          WHERE b.snapshot_id = f.begin_snapshot AND f.data_file_id < b.next_file_id)
          OR (partial_max < begin_snapshot OR path NOT LIKE '%ducklake-%.parquet')
          AND NOT EXISTS (SELECT FROM {s}.ducklake_snapshot b WHERE b.snapshot_id = f.begin_snapshot));
        """,
        advice="end the old client first: nothing else keeps it from doing that again",
    ),
    Rule(
        name="partial-range",
        severity="error",
        what="partial_max of a data file is before its begin, or beyond the newest snapshot",
        why="time travel shows too few or too many rows of the file",
        query=f"""
        select f.data_file_id, f.begin_snapshot, f.partial_max
        from {{s}}.ducklake_data_file f
        where (f.partial_max < f.begin_snapshot or f.partial_max > {HEAD} and {_SEVERAL})
          and not exists (select 1 from ({_STALE_MAPPING}) x where x.data_file_id = f.data_file_id)
        """,
        since="0.4",
    ),
    Rule(
        name="delete-partial-range",
        severity="error",
        what="partial_max of a delete file is before its begin, or beyond the newest snapshot",
        why="time travel shows too few or too many rows of the file",
        query=f"""
        select d.delete_file_id, d.begin_snapshot, d.partial_max
        from {{s}}.ducklake_delete_file d
        where d.partial_max < d.begin_snapshot or d.partial_max > {HEAD}
        """,
        since="0.4",
    ),
    Rule(
        name="partial-file-lists",
        severity="warning",
        what="a compacted data file has the list of its snapshots in the old form",
        why="a migration to 0.4 or later drops the list, and time travel over the file then shows too many rows",
        query="""
        select data_file_id, partial_file_info
        from {s}.ducklake_data_file
        where partial_file_info not like 'partial_max:%'
        """,
        until="0.3",
        advice="migrate with dlbackup, which carries over the lists that can be and refuses the others by name",
    ),
    Rule(
        name="lost-partial-list",
        severity="warning",
        what="a compacted data file holds rows of a later snapshot without saying so",
        why="the migration from 0.3 to 0.4 dropped the list of its snapshots: the newest snapshot is right, older ones"
        " show too many rows",
        query=f"""
        select late.data_file_id, late.table_id, late.begin_snapshot, max(i.snapshot_id) as last_snapshot
        from (
            select f.data_file_id, f.table_id, f.begin_snapshot, f.end_snapshot
            from {{s}}.ducklake_data_file f
            left join {{s}}.ducklake_snapshot b on b.snapshot_id = f.begin_snapshot
            where f.partial_max is null and (b.next_file_id is null or f.data_file_id >= b.next_file_id)
        ) late
        join ({_INSERTS}) i
          on i.table_id = late.table_id
          and i.snapshot_id > late.begin_snapshot
          and i.next_file_id <= late.data_file_id
        where (late.end_snapshot is null or late.end_snapshot > i.snapshot_id)
          and not exists (
              select 1 from {{s}}.ducklake_data_file own
              where own.table_id = i.table_id and own.begin_snapshot = i.snapshot_id
          )
          and not exists (
              select 1 from {{s}}.ducklake_data_file part
              where part.table_id = i.table_id
                and part.begin_snapshot < i.snapshot_id
                and part.partial_max >= i.snapshot_id
          )
        group by late.data_file_id, late.table_id, late.begin_snapshot
        """,
        since="0.4",
        advice="the lists are in a backup from before that migration: partial_max is the largest snapshot in the list",
    ),
    Rule(
        name="stale-column",
        severity="warning",
        what="a column was written in the form of an older version, after others in the newer one",
        why="a client of DuckDB 1.4 that had attached before a migration goes on changing the schema",
        query="""
        select table_id, column_id, begin_snapshot
        from {s}.ducklake_column
        where default_value_dialect is null
          and begin_snapshot > (
              select min(begin_snapshot)
              from {s}.ducklake_column
              where default_value_dialect is not null
          )
        """,
        since="0.4",
        advice="end the old client, or it goes on",
    ),
    Rule(
        name="path-missing",
        severity="error",
        what="a schema or table has no path",
        why="the migration from 0.1 to 0.2 on PostgreSQL leaves it so; delete_orphaned_files of DuckDB 1.5 then takes"
        " living files for orphans",
        query=union(
            """
            select 'schema' as kind, schema_id as id
            from {s}.ducklake_schema
            where path is null or path_is_relative is null
            """,
            """
            select 'table', table_id
            from {s}.ducklake_table
            where path is null or path_is_relative is null
            """,
        ),
        mend=_PATH_MEND,
        advice="where one of the two is there, take the other from a backup: only the folder of the lake itself is ''",
    ),
)
