"""Rules about what migrations, and clients of older versions, leave behind."""

from dlbackup.health.rules.rule import HEAD, Rule, union

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
_PATH_MEND = """
UPDATE {s}.ducklake_schema SET path = '', path_is_relative = true WHERE path IS NULL AND path_is_relative IS NULL;
UPDATE {s}.ducklake_table SET path = '', path_is_relative = true WHERE path IS NULL AND path_is_relative IS NULL;
"""
_SEVERAL = "(select count(*) from {s}.ducklake_snapshot) > 1"
"""Not a frozen lake of one snapshot, in which such a number keeps later rows from being shown."""
# A file of several snapshots was made after the one that it begins at; what a client added was made in that one.
# Where that snapshot has expired, only the names of DuckLake's own files are left to go by.
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
