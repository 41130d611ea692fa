"""Rules about data files and delete files: counts, sizes, paths, row ids, keys."""

from dlbackup.health.rules.rule import Rule, union
from dlbackup.lake.datafiles import PLACES

_ENCRYPTED = """exists (
    select 1 from {s}.ducklake_metadata
    where key = 'encrypted' and value = 'true' and scope is null
)"""
_PATH = "case when f.path_is_relative then t.path || f.path else f.path end"
"""Where a file `f` lies, whose table's folder is `t`."""
# Compared by bytes: sorting millions of paths by a language's rules takes five times as long. Within a folder paths are
# compared as they stand; only files that may lie in another folder than their table's are looked for in all of them.
_TWICE_IN_A_TABLE = f"""\
{PLACES}
select min(data_file_id) as data_file_id, count(*) as found
from {{s}}.ducklake_data_file
where end_snapshot is null
group by table_id, path_is_relative, path collate "C"
having count(*) > 1
union all
select f.data_file_id, 2
from {{s}}.ducklake_data_file f
join tables t on t.table_id = f.table_id and substr(f.path, 1, length(t.path)) = t.path
join {{s}}.ducklake_data_file o on o.table_id = f.table_id and o.path = substr(f.path, length(t.path) + 1)
where f.end_snapshot is null and not f.path_is_relative and o.end_snapshot is null and o.path_is_relative"""
_IN_TWO_TABLES = f"""\
{PLACES},
crowded as (
    select table_id from tables
    where path in (select path from tables group by path having count(*) > 1)
       or path in (select path from schemas)
       or path in (select path from lake)
),
placed as (
    select f.data_file_id, f.table_id, {_PATH} as path,
           not f.path_is_relative or c.table_id is not null as may_be_elsewhere
    from {{s}}.ducklake_data_file f
    left join tables t on t.table_id = f.table_id
    left join crowded c on c.table_id = f.table_id
)
select distinct least(f.data_file_id, o.data_file_id) as data_file_id,
       greatest(f.data_file_id, o.data_file_id) as other_file_id, f.path
from (select * from placed where may_be_elsewhere) f
join placed o on o.path = f.path and o.table_id <> f.table_id"""
_FILES_OF_TABLES = f"""\
select {_PATH} as path
from {{s}}.ducklake_data_file f
left join tables t on t.table_id = f.table_id
union all
select {_PATH}
from {{s}}.ducklake_delete_file f
left join tables t on t.table_id = f.table_id"""
_SCHEDULED_PATH = "case when s.path_is_relative then (select max(path) from lake) || s.path else s.path end"
_SCHEDULED_AND_IN_USE = f"""\
{PLACES},
files as (
{_FILES_OF_TABLES}
),
scheduled as (
    select s.data_file_id, s.path, {_SCHEDULED_PATH} as place
    from {{s}}.ducklake_files_scheduled_for_deletion s
)
select s.data_file_id, s.path from scheduled s where s.path is null
union
select s.data_file_id, s.path from scheduled s join {{s}}.ducklake_data_file f on f.data_file_id = s.data_file_id
union
select s.data_file_id, s.path from scheduled s join {{s}}.ducklake_delete_file f on f.delete_file_id = s.data_file_id
union
select s.data_file_id, s.path from scheduled s join files f on f.path = s.place"""
# It stands in front of users, whose lines are those of docs/rules.md.
_UNSCHEDULE = f"""\
DELETE FROM {{s}}.ducklake_files_scheduled_for_deletion s
WHERE EXISTS (SELECT FROM {{s}}.ducklake_data_file f WHERE f.data_file_id = s.data_file_id)
   OR EXISTS (SELECT FROM {{s}}.ducklake_delete_file f WHERE f.delete_file_id = s.data_file_id)
   OR (data_file_id, path) IN (
{PLACES}
select s.data_file_id, s.path
from {{s}}.ducklake_files_scheduled_for_deletion s
join (
{_FILES_OF_TABLES}
) f on f.path = {_SCHEDULED_PATH});"""
_PLAIN_FILES = f"""
select x.data_file_id
from {{s}}.ducklake_data_file x
where x.end_snapshot is null and x.encryption_key is null and x.mapping_id is not null and {_ENCRYPTED}
"""
_REFUSED_TEXT = (
    "DuckDB refuses to read rows of its table: 'Database is encrypted, but file ... does not have an encryption key'"
)
_PLAIN_ADVICE = (
    "insert the file's rows with read_parquet into a table of the lake that has no such file, so that they are"
    " encrypted; keep the file until they are there"
)
RULES = (
    Rule(
        name="file-counts",
        severity="error",
        what="a data file or delete file has an impossible count or size, no path, or an unknown format",
        why="reads of the table fail, or give wrong totals",
        query=union(
            """
            select 'data file' as kind, data_file_id as id
            from {s}.ducklake_data_file
            where record_count is null
              or record_count < 0
              or file_size_bytes is null
              or file_size_bytes <= 0
              or path is null
              or path = ''
              or path_is_relative is null
              or file_format is null
              or file_format <> 'parquet'
              or row_id_start < 0
              or footer_size < 0
              or footer_size >= file_size_bytes
            """,
            """
            select 'delete file', delete_file_id
            from {s}.ducklake_delete_file
            where delete_count is null
              or delete_count <= 0
              or path is null
              or path = ''
              or path_is_relative is null
              or format is null
              or format not in ('parquet', 'puffin')
            """,
        ),
    ),
    Rule(
        name="delete-count",
        severity="error",
        what="a delete file deletes more rows than its data file has",
        why="totals are wrong, and the data file is not the one that was deleted from",
        query="""
        select d.delete_file_id, d.data_file_id, d.delete_count, f.record_count
        from {s}.ducklake_delete_file d
        join {s}.ducklake_data_file f on f.data_file_id = d.data_file_id
        where d.delete_count > f.record_count
        """,
    ),
    Rule(
        name="path-once",
        severity="error",
        what="one file is alive in a table several times",
        why="its rows show several times",
        query=_TWICE_IN_A_TABLE,
    ),
    Rule(
        name="file-of-two-tables",
        severity="warning",
        what="one file belongs to two tables",
        why="each shows its rows, but once one of them is dropped, merged or rewritten and its snapshots expire, the"
        " clean-up deletes the file, which the other needs",
        query=_IN_TWO_TABLES,
        advice="let one of the tables write its rows anew, with CREATE TABLE ... AS; check after expiring snapshots and"
        " before cleaning up: scheduled-file-in-use gives the SQL that keeps the file",
    ),
    Rule(
        name="row-id-counter",
        severity="error",
        what="next_row_id of a table is not beyond the row ids of a data file",
        why="new rows get ids that are taken, and later deletes hit the wrong rows",
        query="""
        select f.data_file_id, f.table_id, f.row_id_start, f.record_count, s.next_row_id
        from {s}.ducklake_data_file f
        join {s}.ducklake_table_stats s on s.table_id = f.table_id
        where f.row_id_start + f.record_count > s.next_row_id and f.{partial} is null
        """,
        mend="""
        UPDATE {s}.ducklake_table_stats s SET next_row_id = x.beyond
        FROM (SELECT table_id, max(row_id_start + record_count) AS beyond FROM {s}.ducklake_data_file
              GROUP BY table_id) x
        WHERE x.table_id = s.table_id AND x.beyond > s.next_row_id;
        """,
    ),
    Rule(
        name="row-id-overlap",
        severity="error",
        what="the row ids of two living data files overlap",
        why="two rows have one id: deletes and updates hit the wrong one",
        # A merged file has its row ids inside, and those of a flush of updated rows may meet other ranges.
        query="""
        select table_id, data_file_id, row_id_start, end_before
        from (
            select f.table_id, f.data_file_id, f.row_id_start,
                   max(f.row_id_start + f.record_count) over (
                       partition by f.table_id
                       order by f.row_id_start, f.data_file_id
                       rows between unbounded preceding and 1 preceding
                   ) as end_before
            from {s}.ducklake_data_file f
            where f.end_snapshot is null and f.record_count > 0 and f.{partial} is null
        ) x
        where row_id_start < end_before
        """,
    ),
    Rule(
        name="value-counts",
        severity="error",
        what="values and NULLs of a column do not add up to the rows of the data file",
        why="the statistics are those of another file: rows are missing from results",
        # Nested columns may have more values than rows; they are sorted out after the counts were compared.
        query="""
        select x.data_file_id, x.column_id, x.value_count, x.null_count, x.record_count
        from (
            select s.*, f.record_count
            from {s}.{stats} s
            join {s}.ducklake_data_file f on f.data_file_id = s.data_file_id
            where s.value_count + s.null_count <> f.record_count and s.value_count + s.null_count > 0
              -- a frozen lake of one snapshot shows of a file of several only the rows until then
              and not (s.value_count + s.null_count > f.record_count
                       and f.{partial} is not null
                       and (select count(*) from {s}.ducklake_snapshot) = 1)
            offset 0
        ) x
        join (
            select distinct table_id, column_id
            from {s}.ducklake_column
            where parent_column is null and column_type not in ('struct', 'list', 'map', 'variant', 'geometry')
        ) c on c.table_id = x.table_id and c.column_id = x.column_id
        """,
    ),
    Rule(
        name="row-total",
        severity="error",
        what="the row total of a table is less than what its living files hold",
        why="count(*) is wrong, and plans are bad",
        query="""
        select s.table_id, s.record_count, x.alive
        from {s}.ducklake_table_stats s
        join (
            select f.table_id, sum(f.record_count) - sum(coalesce(d.deleted, 0)) as alive
            from {s}.ducklake_data_file f
            left join (
                select data_file_id, sum(delete_count) as deleted
                from {s}.ducklake_delete_file
                where end_snapshot is null
                group by data_file_id
            ) d on d.data_file_id = f.data_file_id
            where f.end_snapshot is null
            group by f.table_id
        ) x on x.table_id = s.table_id
        where s.record_count is null or s.next_row_id is null or s.record_count < x.alive
        """,
    ),
    Rule(
        name="file-key",
        severity="error",
        what="a file of an encrypted lake has no key, or one of a plain lake has one",
        why="an encrypted file without its key is lost",
        # A file with a name mapping was added from outside, where it had no key.
        query=union(
            f"""
            select 'data file' as kind, x.data_file_id as id
            from {{s}}.ducklake_data_file x
            where (x.encryption_key is not null and not {_ENCRYPTED})
               or (x.encryption_key is null and x.mapping_id is null and {_ENCRYPTED})
            """,
            f"""
            select 'delete file', x.delete_file_id
            from {{s}}.ducklake_delete_file x
            where (x.encryption_key is null) = {_ENCRYPTED}
            """,
        ),
        advice="restore the key column from a backup; nothing else can read the file",
    ),
    Rule(
        name="plain-file-in-encrypted-lake",
        severity="error",
        what="a plain file was added to an encrypted lake",
        why=f"nothing is lost, but {_REFUSED_TEXT}",
        query=_PLAIN_FILES,
        until="0.4",
        advice=_PLAIN_ADVICE,
    ),
    Rule(
        name="plain-file-among-encrypted",
        severity="warning",
        what="a plain file was added to an encrypted lake",
        why=f"the catalog is in order and count(*) is right, but {_REFUSED_TEXT}, up to 1.5.5",
        query=_PLAIN_FILES,
        since="1.0",
        advice=_PLAIN_ADVICE,
    ),
    Rule(
        name="scheduled-file-in-use",
        severity="error",
        what="a file that is scheduled for deletion is in use, or has no path",
        why="the next clean-up deletes data of the lake",
        query=_SCHEDULED_AND_IN_USE,
        mend=_UNSCHEDULE,
        advice="run no clean-up before",
    ),
)
