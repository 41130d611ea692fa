"""Rules about data files and delete files: counts, sizes, paths, row ids, keys."""

from dlbackup.health.rules.rule import Rule, union

_ENCRYPTED = """(x.encryption_key is null) = exists (
    select 1 from {s}.ducklake_metadata
    where key = 'encrypted' and value = 'true' and scope is null
)"""
RULES = (
    Rule(
        "file-counts",
        "error",
        "a data file or delete file has an impossible count or size, no path, or an unknown format",
        "reads of the table fail, or give wrong totals",
        union(
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
        "delete-count",
        "error",
        "a delete file deletes more rows than its data file has",
        "totals are wrong, and the data file is not the one that was deleted from",
        """
        select d.delete_file_id, d.data_file_id, d.delete_count, f.record_count
        from {s}.ducklake_delete_file d
        join {s}.ducklake_data_file f on f.data_file_id = d.data_file_id
        where d.delete_count > f.record_count
        """,
    ),
    Rule(
        "path-once",
        "error",
        "one file is alive in the catalog several times",
        "its rows show several times",
        # Compared by bytes: sorting millions of paths by a language's rules takes five times as long.
        union(
            """
            select min(data_file_id) as data_file_id, count(*) as found
            from {s}.ducklake_data_file
            where end_snapshot is null and path_is_relative
            group by table_id, path collate "C"
            having count(*) > 1
            """,
            """
            select min(data_file_id), count(*)
            from {s}.ducklake_data_file
            where end_snapshot is null and not path_is_relative
            group by path collate "C"
            having count(*) > 1
            """,
        ),
    ),
    Rule(
        "row-id-counter",
        "error",
        "next_row_id of a table is not beyond the row ids of a data file",
        "new rows get ids that are taken, and later deletes hit the wrong rows",
        """
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
        "row-id-overlap",
        "error",
        "the row ids of two living data files overlap",
        "two rows have one id: deletes and updates hit the wrong one",
        # A merged file has its row ids inside, and those of a flush of updated rows may meet other ranges.
        """
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
        "value-counts",
        "error",
        "values and NULLs of a column do not add up to the rows of the data file",
        "the statistics are those of another file: rows are missing from results",
        # Nested columns may have more values than rows; they are sorted out after the counts were compared.
        """
        select x.data_file_id, x.column_id, x.value_count, x.null_count, x.record_count
        from (
            select s.*, f.record_count
            from {s}.{stats} s
            join {s}.ducklake_data_file f on f.data_file_id = s.data_file_id
            where s.value_count + s.null_count <> f.record_count and s.value_count + s.null_count > 0
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
        "row-total",
        "error",
        "the row total of a table is less than what its living files hold",
        "count(*) is wrong, and plans are bad",
        """
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
        "file-key",
        "error",
        "a file of an encrypted lake has no key, or one of a plain lake has one",
        "an encrypted file without its key is lost",
        union(
            f"""
            select 'data file' as kind, x.data_file_id as id
            from {{s}}.ducklake_data_file x
            where {_ENCRYPTED}
            """,
            f"""
            select 'delete file', x.delete_file_id
            from {{s}}.ducklake_delete_file x
            where {_ENCRYPTED}
            """,
        ),
        advice="restore the key column from a backup; nothing else can read the file",
    ),
    Rule(
        "scheduled-file-in-use",
        "error",
        "a file that is scheduled for deletion is in use, or has no path",
        "the next clean-up deletes data of the lake",
        """
        select s.data_file_id, s.path
        from {s}.ducklake_files_scheduled_for_deletion s
        where s.path is null
          or exists (select 1 from {s}.ducklake_data_file f where f.data_file_id = s.data_file_id)
          or exists (select 1 from {s}.ducklake_delete_file f where f.delete_file_id = s.data_file_id)
        """,
        mend="""
        DELETE FROM {s}.ducklake_files_scheduled_for_deletion s
        WHERE EXISTS (SELECT FROM {s}.ducklake_data_file f WHERE f.data_file_id = s.data_file_id)
           OR EXISTS (SELECT FROM {s}.ducklake_delete_file f WHERE f.delete_file_id = s.data_file_id);
        """,
        advice="run no clean-up before",
    ),
)
