"""Rules about what a catalog is: its settings, its snapshots, its ids and counters."""

from dlbackup.health.rules.rule import NEXT_CATALOG_ID, NEXT_FILE_ID, Rule, union

_CATALOG_IDS = union(
    "select 'schema' as kind, schema_id as id from {s}.ducklake_schema",
    "select 'table', table_id from {s}.ducklake_table",
    "select 'view', view_id from {s}.ducklake_view",
    "select 'partition', partition_id from {s}.ducklake_partition_info",
)
_LATER_CATALOG_IDS = union(
    "select 'macro' as kind, macro_id as id from {s}.ducklake_macro",
    "select 'sort key', sort_id from {s}.ducklake_sort_info",
)
_FILE_IDS = union(
    "select 'data file' as kind, data_file_id as id from {s}.ducklake_data_file",
    "select 'delete file', delete_file_id from {s}.ducklake_delete_file",
    "select 'mapping', mapping_id from {s}.ducklake_column_mapping",
)
_WORDS = (
    "created_schema|created_table|created_view|created_scalar_macro|created_table_macro"
    "|dropped_schema|dropped_table|dropped_view|dropped_scalar_macro|dropped_table_macro"
    "|altered_table|altered_view|inserted_into_table|deleted_from_table|compacted_table|merge_adjacent"
    "|rewrite_delete|inlined_insert|inlined_delete|inline_flush|flushed_inlined"
)
_SNAPSHOT_KEY_WHY = (
    "every statement then fails with 'Corrupt DuckLake - multiple snapshots returned from database';"
    " it happens when clients commit without the primary key of ducklake_snapshot"
)
RULES = (
    Rule(
        name="one-version",
        severity="error",
        what="ducklake_metadata does not name exactly one spec version",
        why="without a version any engine opens the catalog as its own, with two the migration runs twice",
        query="""
        select 'version' as kind, count(*) as found
        from {s}.ducklake_metadata
        where key = 'version' and scope is null
        having count(*) <> 1
        """,
    ),
    Rule(
        name="lake-settings",
        severity="error",
        what="a setting of the lake is missing, doubled or impossible",
        why="engines read data_path and encrypted when they attach: files are not found, or attaching fails",
        query=union(
            """
            select k.kind, count(m.key) as found
            from (select 'data_path' as kind union all select 'encrypted' union all select 'created_by') k
            left join {s}.ducklake_metadata m on m.key = k.kind and m.scope is null
            group by k.kind
            having count(m.key) <> 1
            """,
            """
            select key, 1
            from {s}.ducklake_metadata
            where scope is null
              and ((key = 'encrypted' and value not in ('true', 'false')) or (key = 'data_path' and value = ''))
            """,
        ),
    ),
    Rule(
        name="option-once",
        severity="error",
        what="an option is set twice in one place, or in a place that does not exist",
        why="which of the rows an engine takes is chance, and it refuses to attach when the scope is unknown",
        query="""
        select key collate "C" as key, scope collate "C" as scope, scope_id, count(*) as found
        from {s}.ducklake_metadata
        where key <> 'version'
        group by key, scope, scope_id
        having count(*) > 1
          or case
              when scope is null and scope_id is null then 0
              when scope in ('schema', 'table') and scope_id is not null then 0
              else 1
          end = 1
        """,
    ),
    Rule(
        name="one-head-snapshot",
        severity="error",
        what="the newest snapshot is not exactly one row of ducklake_snapshot",
        why=_SNAPSHOT_KEY_WHY,
        query="""
        select max(snapshot_id) as snapshot_id, count(*) as found
        from {s}.ducklake_snapshot
        where snapshot_id = (select max(snapshot_id) from {s}.ducklake_snapshot)
        having count(*) <> 1
        """,
        advice="restore the newest backup that has one head snapshot",
    ),
    Rule(
        name="snapshot-once",
        severity="error",
        what="a snapshot is there several times",
        why=_SNAPSHOT_KEY_WHY + "; for an older snapshot, travelling to it",
        query="""
        select snapshot_id, count(*) as found
        from {s}.ducklake_snapshot
        where snapshot_id is null or snapshot_id < (select max(snapshot_id) from {s}.ducklake_snapshot)
        group by snapshot_id
        having count(*) > 1 or snapshot_id is null
        """,
    ),
    Rule(
        name="snapshot-changes",
        severity="error",
        what="ducklake_snapshot and ducklake_snapshot_changes do not hold the same snapshots, once each",
        why="clients that lose a race read the changes since their own snapshot, and would overlook a conflict",
        query=union(
            """
            select s.snapshot_id, 'without changes' as kind
            from {s}.ducklake_snapshot s
            where not exists (select 1 from {s}.ducklake_snapshot_changes c where c.snapshot_id = s.snapshot_id)
            """,
            """
            select c.snapshot_id, 'without snapshot'
            from {s}.ducklake_snapshot_changes c
            where not exists (select 1 from {s}.ducklake_snapshot s where s.snapshot_id = c.snapshot_id)
            """,
            """
            select snapshot_id, 'changes twice'
            from {s}.ducklake_snapshot_changes
            group by snapshot_id
            having count(*) > 1
            """,
        ),
    ),
    Rule(
        name="snapshot-counters",
        severity="error",
        what="the counters of a snapshot are missing or go down",
        why="ids that were given out would be given out again: two tables or files with one id",
        query="""
        select snapshot_id, schema_version, next_catalog_id, next_file_id
        from (
            select snapshot_id, snapshot_time,
                   schema_version, lag(schema_version) over w as version_before,
                   next_catalog_id, lag(next_catalog_id) over w as catalog_before,
                   next_file_id, lag(next_file_id) over w as file_before
            from {s}.ducklake_snapshot
            window w as (order by snapshot_id)
        ) x
        where schema_version is null
          or next_catalog_id is null
          or next_file_id is null
          or snapshot_time is null
          or schema_version < 0
          or next_catalog_id < 1
          or next_file_id < 0
          or schema_version < version_before
          or next_catalog_id < catalog_before
          or next_file_id < file_before
        """,
    ),
    Rule(
        name="change-words",
        severity="warning",
        what="changes_made of a snapshot is not a list of changes that DuckLake knows",
        why="a client that loses a race must understand it, and fails; so does the list of snapshots",
        query=f"""
        select snapshot_id, changes_made
        from {{s}}.ducklake_snapshot_changes
        where regexp_replace(
            regexp_replace(changes_made, '"([^"]|"")*"', '', 'g'),
            '^(({_WORDS}):[0-9.]*(,({_WORDS}):[0-9.]*)*)?$',
            ''
        ) <> ''
        """,
    ),
    Rule(
        name="catalog-id-range",
        severity="error",
        what="a catalog id is not below next_catalog_id of the newest snapshot",
        why="the next object gets an id that is taken already",
        query=f"select kind, id from ({_CATALOG_IDS}) x where id is null or id < 0 or id >= {NEXT_CATALOG_ID}",
    ),
    Rule(
        name="macro-id-range",
        severity="error",
        what="the id of a macro or sort key is not below next_catalog_id of the newest snapshot",
        why="the next object gets an id that is taken already",
        query=f"select kind, id from ({_LATER_CATALOG_IDS}) x where id is null or id < 0 or id >= {NEXT_CATALOG_ID}",
        since="0.4",
    ),
    Rule(
        name="file-id-range",
        severity="error",
        what="a file or mapping id is not below next_file_id of the newest snapshot",
        why="the next file gets an id that is taken already",
        query=f"select kind, id from ({_FILE_IDS}) x where id is null or id < 0 or id >= {NEXT_FILE_ID}",
    ),
    Rule(
        name="catalog-id-once",
        severity="error",
        what="one catalog id belongs to objects of several kinds",
        why="schemas, tables, views and partitions share one counter; comments and options find the wrong object",
        query=f"""
        select id, min(kind) as one, max(kind) as other
        from ({_CATALOG_IDS}) x
        group by id
        having count(distinct kind) > 1
        """,
    ),
    Rule(
        name="macro-id-once",
        severity="error",
        what="the id of a macro or sort key belongs to another object too",
        why="all catalog ids come from one counter",
        query=f"""
        select id, min(kind) as one, max(kind) as other
        from ({union(_CATALOG_IDS, _LATER_CATALOG_IDS)}) x
        group by id
        having count(distinct kind) > 1 and max(case when kind in ('macro', 'sort key') then 1 else 0 end) = 1
        """,
        since="0.4",
    ),
    Rule(
        name="schema-once",
        severity="error",
        what="a schema is there several times",
        why="the whole lake fails to load, or shows objects twice",
        query="""
        select schema_id, count(*) as found
        from {s}.ducklake_schema
        group by schema_id
        having count(*) > 1
        """,
    ),
    Rule(
        name="file-id-once",
        severity="error",
        what="one file id is used several times",
        why="data files, delete files and mappings share one counter; deletes and statistics meet the wrong file",
        query=f"""
        select id, min(kind) as one, max(kind) as other, count(*) as found
        from ({_FILE_IDS}) x
        group by id
        having count(*) > 1
        """,
    ),
    Rule(
        name="uuid-once",
        severity="error",
        what="an object has no uuid, several, or that of another object",
        why="folders of odd names are made from uuids, so that files of two objects would meet",
        query=union(
            """
            select 'table' as kind, table_id as id
            from {s}.ducklake_table
            group by table_id
            having count(distinct table_uuid) <> 1
            """,
            """
            select 'view', view_id
            from {s}.ducklake_view
            group by view_id
            having count(distinct view_uuid) <> 1
            """,
            "select 'schema', schema_id from {s}.ducklake_schema where schema_uuid is null",
            """
            select 'shared by tables', min(table_id)
            from {s}.ducklake_table
            where table_uuid is not null
            group by table_uuid
            having count(distinct table_id) > 1
            """,
            """
            select 'shared by views', min(view_id)
            from {s}.ducklake_view
            where view_uuid is not null
            group by view_uuid
            having count(distinct view_id) > 1
            """,
            """
            select 'shared by schemas', min(schema_id)
            from {s}.ducklake_schema
            where schema_uuid is not null
            group by schema_uuid
            having count(distinct schema_id) > 1
            """,
        ),
    ),
)
