"""
Rules about rows and deletes that live in the catalog itself, and the registry of their tables.

Rules of the scopes `rows` and `deletes` return five columns, the table's id and name first.
"""

from dlbackup.health.rules.rule import HEAD, NEXT_FILE_ID, Rule, union
from dlbackup.lake.inlined import CONVERSIONS, LIMIT

_CONVERTIBLE = " or ".join(f"(c.column_type = '{lake}' and u.type = '{stored}')" for lake, stored in CONVERSIONS)
_ROW = "r.table_id, r.name, r.row_id, r.begin_snapshot, r.end_snapshot"
RULES = (
    Rule(
        name="inlined-registry",
        severity="error",
        what="a registered inlined table has an impossible name or version, or is there several times",
        why="the engine looks for rows under another name, or finds them twice",
        query=union(
            """
            select table_id, schema_version, table_name
            from {s}.ducklake_inlined_data_tables
            where table_id is null
              or schema_version is null
              or table_name is null
              or table_name <> 'ducklake_inlined_data_' || cast(table_id as varchar)
                 || '_' || cast(schema_version as varchar)
              or schema_version > (select max(schema_version) from {s}.ducklake_snapshot)
            """,
            """
            select min(table_id), count(*), table_name
            from {s}.ducklake_inlined_data_tables
            group by table_name
            having count(*) > 1
            """,
        ),
    ),
    Rule(
        name="inlined-table-missing",
        severity="error",
        what="a registered inlined table does not exist",
        why="reads of the lake table fail, and its inlined rows are lost",
        query="""
        select i.table_id, i.table_name
        from {s}.ducklake_inlined_data_tables i
        where not exists (select 1 from {present} p where p.name = i.table_name)
        """,
    ),
    Rule(
        name="inlined-table-of-dropped-table",
        severity="warning",
        what="an inlined table is registered for a table that is gone",
        why="harmless; DuckDB up to 1.4 leaves them behind when snapshots expire",
        query="""
        select i.table_id, i.table_name
        from {s}.ducklake_inlined_data_tables i
        where not exists (select 1 from {s}.ducklake_table t where t.table_id = i.table_id)
        """,
    ),
    Rule(
        name="inlined-table-unregistered",
        severity="warning",
        what="an inlined table is not registered, and nothing reads it",
        why="harmless while it holds no living rows; left behind when snapshots expire",
        query="""
        select p.table_id, p.name
        from {present} p
        where p.name like 'ducklake_inlined_data_%'
          and not exists (select 1 from {s}.ducklake_inlined_data_tables i where i.table_name = p.name)
        """,
    ),
    Rule(
        name="inlined-rows-unregistered",
        severity="error",
        what="an inlined table of a living lake table holds living rows, but is not registered",
        why="these rows are invisible",
        query=f"""
        select {_ROW}
        from {{rows}} r
        join (select distinct table_id from {{s}}.ducklake_table where end_snapshot is null) t
          on t.table_id = r.table_id
        where not r.registered and r.end_snapshot is null
        """,
        scope="rows",
        advice="add the table to ducklake_inlined_data_tables with the number that ends its name as schema_version",
    ),
    Rule(
        name="inlined-version-unknown",
        severity="warning",
        what="living rows are in an inlined table of an older schema version that ducklake_schema_versions does not"
        " name for the table, and columns of the table were added or changed between its creation and that version",
        why="DuckDB 1.5.5 reads the inlined table by the columns that the lake's table was created with: what was added"
        " is NULL in these rows, what was renamed or is of another type fails; a first small insert leaves it so, in a"
        " migrated lake or where inlining was off when the column came, as soon as anything else of the lake changes",
        query=f"""
        select {_ROW}
        from {{rows}} r
        join (
            select i.table_name as name, min(c.begin_snapshot) as changed
            from {{s}}.ducklake_inlined_data_tables i
            join (select table_id, min(begin_snapshot) as created from {{s}}.ducklake_table group by table_id) t
              on t.table_id = i.table_id
            join {{s}}.ducklake_column c
              on c.table_id = i.table_id
              and c.parent_column is null
              and c.end_snapshot is null
              and c.begin_snapshot > t.created
            left join {{s}}.ducklake_schema_versions v
              on v.table_id = i.table_id and v.schema_version = i.schema_version
            where v.table_id is null
              and i.schema_version < (select max(schema_version) from {{s}}.ducklake_snapshot)
            group by i.table_name
        ) x on x.name = r.name
        where r.registered and r.end_snapshot is null and x.changed <= r.begin_snapshot
        """,
        scope="rows",
        since="1.0",
        mend="""
        INSERT INTO {s}.ducklake_schema_versions (begin_snapshot, schema_version, table_id)
        SELECT coalesce(min(x.snapshot_id), greatest(max(v.begin_snapshot), (SELECT max(y.snapshot_id)
            FROM {s}.ducklake_snapshot y WHERE y.schema_version < i.schema_version)) + 1), i.schema_version, i.table_id
        FROM {s}.ducklake_inlined_data_tables i
        JOIN {s}.ducklake_schema_versions v ON v.table_id = i.table_id AND v.schema_version < i.schema_version
        LEFT JOIN {s}.ducklake_snapshot x ON x.schema_version = i.schema_version
        WHERE NOT EXISTS (SELECT 1 FROM {s}.ducklake_schema_versions w
            WHERE w.table_id = i.table_id AND w.schema_version = i.schema_version)
        GROUP BY i.schema_version, i.table_id;
        """,
        advice="flush, update and delete nothing of the table before, which makes what is read now last",
        engines_own=True,
    ),
    Rule(
        name="inlined-column-added",
        severity="warning",
        what="living rows are in an inlined table of an older schema version than the lake's, and columns or fields of"
        " their table were added, or fields renamed, between its creation and these rows",
        why="DuckDB up to 1.5.1 reads such an inlined table by the columns that the lake's table was created with: an"
        " added column is NULL in these rows, or its default, and values of a STRUCT whose fields changed fail to be"
        " read; what was written after the newest change reads rightly until anything else of the lake changes",
        query=f"""
        select {_ROW}
        from {{rows}} r
        join (
            select i.table_name as name, min(c.changed) as changed
            from {{s}}.ducklake_inlined_data_tables i
            join (
                select c.table_id,
                       case
                           when min(c.begin_snapshot) > min(t.created) then min(c.begin_snapshot)
                           when max(c.parent_column) is not null and count(distinct c.column_name) > 1
                               then min(case when c.begin_snapshot > t.created then c.begin_snapshot end)
                       end as changed
                from {{s}}.ducklake_column c
                join (select table_id, min(begin_snapshot) as created from {{s}}.ducklake_table group by table_id) t
                  on t.table_id = c.table_id
                group by c.table_id, c.column_id
                having count(*) > count(c.end_snapshot)
            ) c on c.table_id = i.table_id
            where i.schema_version < (select max(schema_version) from {{s}}.ducklake_snapshot)
            group by i.table_name
        ) x on x.name = r.name
        where r.registered and r.end_snapshot is null and x.changed <= r.begin_snapshot
        """,
        scope="rows",
        since="0.3",
        until="0.4",
        advice="migrate to 1.0 with dlbackup: DuckDB 1.5.2 or later reads them rightly; flush, update and delete"
        " nothing of the table before, which makes what is read now last",
        engines_own=True,
    ),
    Rule(
        name="inlined-columns-changed",
        severity="warning",
        what="columns of a table have changed since the inlined table was made that its next small insert goes into",
        why="DuckDB writes into it by position: the insert fails, or a column that came where another went loses its"
        " values; an ALTER TABLE leaves it so while inlining is off, of which other clients know nothing",
        query=f"""
        select x.table_id, x.name, count(*) as columns
        from (
            select i.table_id, i.name, c.column_id, c.column_type, c.parent_column,
                   max(case when c.end_snapshot is null then 1 else 0 end) as is_now,
                   max(case when c.begin_snapshot <= v.begins
                            and (c.end_snapshot is null or c.end_snapshot > v.begins) then 1 else 0 end) as was_then
            from (
                select t.table_id, max(r.table_name) as name, max(r.schema_version) as schema_version
                from {{s}}.ducklake_table t
                join {{s}}.ducklake_inlined_data_tables r on r.table_id = t.table_id
                left join {{s}}.ducklake_inlined_data_tables later
                  on later.table_id = r.table_id and later.schema_version > r.schema_version
                where t.end_snapshot is null and later.table_id is null and {LIMIT} <> '0'
                group by t.table_id
            ) i
            join (
                select schema_version, min(begins) as begins
                from (
                    select schema_version, snapshot_id as begins from {{s}}.ducklake_snapshot
                    union all
                    select schema_version, begin_snapshot from {{s}}.ducklake_schema_versions
                ) known
                group by schema_version
            ) v on v.schema_version = i.schema_version
            join {{s}}.ducklake_column c on c.table_id = i.table_id
            group by i.table_id, i.name, c.column_id, c.column_type, c.parent_column
        ) x
        where x.is_now <> x.was_then
        group by x.table_id, x.name
        """,
        since="0.4",
        advice="change the table's columns once more while inlining is on: ALTER TABLE ... ADD COLUMN makes a new one,"
        " and the column can go again; or CALL lake.set_option('data_inlining_row_limit', 0, table_name => '...')",
        engines_own=True,
    ),
    Rule(
        name="inlined-row-range",
        severity="error",
        what="an inlined row begins nowhere, ends before it begins, or lies beyond the newest snapshot",
        why="it shows in the wrong snapshots",
        query=f"""
        select {_ROW}
        from {{rows}} r
        where r.registered
          and (
              r.row_id is null
              or r.begin_snapshot is null
              or r.begin_snapshot < 0
              or r.end_snapshot < r.begin_snapshot
              or r.begin_snapshot > {HEAD}
              or r.end_snapshot > {HEAD}
          )
        """,
        scope="rows",
    ),
    Rule(
        name="inlined-row-once",
        severity="error",
        what="an inlined row is alive several times",
        why="it shows several times, and deletes hit all of them",
        query="""
        select table_id, name, row_id, min(begin_snapshot) as begin_snapshot, cast(null as bigint) as end_snapshot
        from {rows} r
        where registered and end_snapshot is null
        group by table_id, name, row_id
        having count(*) > 1
        """,
        scope="rows",
    ),
    Rule(
        name="inlined-row-id",
        severity="error",
        what="the id of an inlined row is not below next_row_id of its table",
        why="new rows get ids that are taken, and later deletes hit the wrong rows",
        query=f"""
        select {_ROW}
        from {{rows}} r
        join (select distinct table_id from {{s}}.ducklake_table) t on t.table_id = r.table_id
        left join (
            select table_id, max(next_row_id) as next_row_id
            from {{s}}.ducklake_table_stats
            group by table_id
        ) s on s.table_id = r.table_id
        where r.registered and r.row_id >= coalesce(s.next_row_id, 0)
        """,
        advice="set next_row_id of the table in ducklake_table_stats above its highest row id before anybody inserts;"
        " DuckDB 1.3 does this by itself when one commit inserts into a file and inline",
        scope="rows",
    ),
    Rule(
        name="inlined-row-overlap",
        severity="warning",
        what="two versions of an inlined row are valid at one snapshot",
        why="travelling to it shows the row twice; DuckDB up to 1.5.1 does this by itself",
        query="""
        select table_id, name, row_id, begin_snapshot, end_snapshot
        from (
            select table_id, name, row_id, begin_snapshot, end_snapshot,
                   lead(begin_snapshot) over (partition by name, row_id order by begin_snapshot) as next_begin
            from {rows} r
            where registered
        ) x
        where end_snapshot > next_begin or (end_snapshot is null and begin_snapshot < next_begin)
        """,
        scope="rows",
    ),
    Rule(
        name="inlined-delete",
        severity="error",
        what="an inlined delete points to no row of its data file or to another table's file, is there twice, or lies"
        " before all snapshots or in the future",
        why="a deleted row comes back, or a living one is missing",
        query=union(
            f"""
            select d.table_id, d.name, d.file_id, d.row_id, d.begin_snapshot
            from {{deletes}} d
            left join {{s}}.ducklake_data_file f on f.data_file_id = d.file_id
            where d.file_id is null
              or d.file_id < 0
              or d.file_id >= {NEXT_FILE_ID}
              or f.table_id <> d.table_id
              or d.row_id is null
              or d.row_id < 0
              or d.row_id >= f.record_count
              or d.begin_snapshot is null
              or d.begin_snapshot < 0
              or d.begin_snapshot > {HEAD}
            """,
            """
            select table_id, name, file_id, row_id, min(begin_snapshot)
            from {deletes} d
            group by table_id, name, file_id, row_id
            having count(*) > 1
            """,
        ),
        since="0.4",
        scope="deletes",
    ),
    Rule(
        name="inlined-delete-without-file",
        severity="warning",
        what="an inlined delete points to a data file that is gone",
        why="harmless; DuckDB 1.5 leaves them behind when a file has been rewritten and its snapshots expire",
        query=f"""
        select d.table_id, d.name, d.file_id, d.row_id, d.begin_snapshot
        from {{deletes}} d
        where d.file_id >= 0
          and d.file_id < {NEXT_FILE_ID}
          and not exists (select 1 from {{s}}.ducklake_data_file f where f.data_file_id = d.file_id)
        """,
        since="0.4",
        scope="deletes",
        mend="""
        DELETE FROM {s}.{table} d WHERE NOT EXISTS
          (SELECT FROM {s}.ducklake_data_file f WHERE f.data_file_id = d.file_id);
        """,
    ),
    Rule(
        name="inlined-deletes-of-dropped-table",
        severity="warning",
        what="a table of inlined deletes belongs to a lake table that is gone",
        why="harmless; left behind when snapshots expire",
        query="""
        select p.table_id, p.name
        from {present} p
        where p.name like 'ducklake_inlined_delete_%'
          and not exists (select 1 from {s}.ducklake_table t where t.table_id = p.table_id)
        """,
        since="0.4",
    ),
    Rule(
        name="inlined-types",
        severity="warning",
        what="the current inlined table of a lake table has a column as DuckDB 1.4 made it",
        why="DuckDB 1.5 writes into it as if it had made it: new text comes back as \\x..., rows with dates are"
        " refused",
        query=f"""
        select u.table_id, c.column_id, u.name, u.column_name, c.column_type, u.type
        from {{suspects}} u
        join {{s}}.ducklake_column c on c.table_id = u.table_id and c.column_name = u.column_name
        where c.end_snapshot is null and c.parent_column is null and ({_CONVERTIBLE})
        """,
        since="0.4",
    ),
    Rule(
        name="inlined-text-as-hexadecimal",
        severity="warning",
        what="an inlined text is hexadecimal, as DuckDB 1.5 writes it into an inlined table that DuckDB 1.4 made",
        why="it reads back as \\x... instead of what was inserted; look whether somebody meant that very text",
        query=f"select {_ROW} from {{rows}} r where r.registered and r.hexadecimal",
        since="0.4",
        scope="rows",
    ),
)
