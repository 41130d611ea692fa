"""Rules about what hangs on tables and files: mappings, comments, macros, sort keys and the statistics of tables."""

from dlbackup.health.rules.rule import OF_TABLE, OLDEST, Rule, missing, union

RULES = (
    Rule(
        name="mapping-of-file",
        severity="error",
        what="the name mapping of a data file does not exist for its table, or is empty",
        why="the file can't be read: it was added from outside and has no column numbers of its own",
        query=union(
            """
            select 'no mapping' as kind, f.data_file_id, f.mapping_id
            from {s}.ducklake_data_file f
            where f.mapping_id is not null
              and not exists (
                  select 1 from {s}.ducklake_column_mapping m
                  where m.mapping_id = f.mapping_id and m.table_id = f.table_id
              )
            """,
            """
            select 'no names', f.data_file_id, f.mapping_id
            from {s}.ducklake_data_file f
            where f.mapping_id is not null
              and not exists (select 1 from {s}.ducklake_name_mapping n where n.mapping_id = f.mapping_id)
            """,
        ),
    ),
    Rule(
        name="mapping-of-column",
        severity="error",
        what="a name in a mapping belongs to no mapping, or points to no column of its table",
        why="files that use it can't be read, or read NULL",
        query=union(
            """
            select 'no mapping' as kind, n.mapping_id, n.target_field_id
            from {s}.ducklake_name_mapping n
            where not exists (select 1 from {s}.ducklake_column_mapping m where m.mapping_id = n.mapping_id)
            """,
            """
            select 'no column', n.mapping_id, n.target_field_id
            from {s}.ducklake_name_mapping n
            join {s}.ducklake_column_mapping m on m.mapping_id = n.mapping_id
            where not exists (
                select 1 from {s}.ducklake_column c
                where c.table_id = m.table_id and c.column_id = n.target_field_id
            )
            """,
        ),
    ),
    Rule(
        name="mapping-of-dropped-table",
        severity="warning",
        what="a name mapping belongs to a table that is gone",
        why="harmless; DuckDB up to 1.5.4 leaves them behind when snapshots expire",
        query="""
        select m.mapping_id, m.table_id
        from {s}.ducklake_column_mapping m
        where not exists (select 1 from {s}.ducklake_table t where t.table_id = m.table_id)
        """,
    ),
    Rule(
        name="mapping-is-partition",
        severity="error",
        what="is_partition of a name mapping is NULL",
        why="the migration from 0.2 to 0.3 by DuckDB 1.4 on PostgreSQL leaves it so: every read of such a table ends"
        " in 'INTERNAL Error: Calling GetValueInternal on a value that is NULL', which kills the client's DuckDB",
        query="""
        select mapping_id, column_id
        from {s}.ducklake_name_mapping
        where is_partition is null
        """,
        since="0.3",
        mend="""
        UPDATE {s}.ducklake_name_mapping SET is_partition = false WHERE is_partition IS NULL;
        """,
    ),
    Rule(
        name="comment-without-object",
        severity="error",
        what="a comment belongs to no table, view or column",
        why="an object was lost from the catalog",
        # DuckDB up to 1.5.1 leaves comments of dropped views alive: one from before the oldest snapshot may be that.
        query=union(
            f"""
            select 'comment' as kind, g.object_id as id
            from {{s}}.ducklake_tag g
            where not exists (select 1 from {{s}}.ducklake_table t where t.table_id = g.object_id)
              and not exists (select 1 from {{s}}.ducklake_view v where v.view_id = g.object_id)
              and coalesce(g.begin_snapshot >= {OLDEST}, true)
            """,
            missing(
                "column comment of table",
                "table_id",
                "column_tag",
                "y.table_id = x.table_id and y.column_id = x.column_id",
                "column",
            ),
        ),
    ),
    Rule(
        name="macro-parts",
        severity="error",
        what="a macro lacks its schema or body, or a part of one lacks its macro",
        why="the lake does not load, or the macro is gone",
        # DuckDB up to 1.5.1 leaves macros behind when they and their schema have been dropped and snapshots expire.
        query=union(
            f"""
            select 'no schema' as kind, x.macro_id as id
            from {{s}}.ducklake_macro x
            where not exists (select 1 from {{s}}.ducklake_schema y where y.schema_id = x.schema_id)
              and coalesce(x.end_snapshot > {OLDEST}, true)
            """,
            missing("no body", "macro_id", "macro", "y.macro_id = x.macro_id", "macro_impl"),
            missing("body without macro", "macro_id", "macro_impl", "y.macro_id = x.macro_id", "macro"),
            missing(
                "parameter without body",
                "macro_id",
                "macro_parameters",
                "y.macro_id = x.macro_id and y.impl_id = x.impl_id",
                "macro_impl",
            ),
        ),
        since="0.4",
    ),
    Rule(
        name="sort-key-parts",
        severity="error",
        what="a sort key lacks its table or expressions, or an expression lacks its sort key",
        why="inserts into the table fail, or are not sorted",
        query=union(
            missing("no table", "sort_id", "sort_info", OF_TABLE, "table"),
            missing("no expression", "sort_id", "sort_info", "y.sort_id = x.sort_id", "sort_expression"),
            missing("expression without sort key", "sort_id", "sort_expression", "y.sort_id = x.sort_id", "sort_info"),
        ),
        since="0.4",
    ),
    Rule(
        name="part-once",
        severity="error",
        what="a partition key, partition value or mapped name is there several times",
        why="reads of the table fail, or find rows twice or not at all",
        query=union(
            """
            select 'partition' as kind, partition_id as id, partition_key_index as part
            from {s}.ducklake_partition_column
            group by partition_id, partition_key_index
            having count(*) > 1
            """,
            """
            select 'data file', v.data_file_id, v.partition_key_index
            from {s}.ducklake_file_partition_value v
            left join {s}.ducklake_data_file f on f.data_file_id = v.data_file_id
            where f.mapping_id is null
            group by v.data_file_id, v.partition_key_index
            having count(*) > 1
            """,
            """
            select 'mapping', mapping_id, column_id
            from {s}.ducklake_name_mapping
            group by mapping_id, column_id
            having count(*) > 1
            """,
        ),
    ),
    Rule(
        name="partition-key-of-added-file",
        severity="warning",
        what="partition values of an added file are numbered alike",
        why="harmless; DuckDB up to 1.5.5 gives them one number when a table is partitioned by several functions of"
        " one column, and reads them right",
        query="""
        select v.data_file_id, v.partition_key_index, count(*) as found
        from {s}.ducklake_file_partition_value v
        join {s}.ducklake_data_file f on f.data_file_id = v.data_file_id and f.mapping_id is not null
        group by v.data_file_id, v.partition_key_index
        having count(*) > 1
        """,
    ),
    Rule(
        name="macro-part-once",
        severity="error",
        what="a body or parameter of a macro, or an expression of a sort key, is there several times",
        why="the lake does not load, or the macro can't be called",
        query=union(
            """
            select 'macro' as kind, macro_id as id, impl_id as part
            from {s}.ducklake_macro_impl
            group by macro_id, impl_id
            having count(*) > 1
            """,
            """
            select 'parameter of macro', macro_id, column_id
            from {s}.ducklake_macro_parameters
            group by macro_id, impl_id, column_id
            having count(*) > 1
            """,
            """
            select 'sort key', sort_id, sort_key_index
            from {s}.ducklake_sort_expression
            group by sort_id, sort_key_index
            having count(*) > 1
            """,
        ),
        since="0.4",
    ),
    Rule(
        name="table-statistics",
        severity="error",
        what="a table has several rows of statistics, or none although it has files, or the statistics no table",
        why="row ids come from there: inserts fail or give ids twice, so that deletes hit the wrong rows",
        query=union(
            """
            select 'several' as kind, table_id
            from {s}.ducklake_table_stats
            group by table_id
            having count(*) > 1
            """,
            """
            select 'no table', s.table_id
            from {s}.ducklake_table_stats s
            where not exists (select 1 from {s}.ducklake_table t where t.table_id = s.table_id)
            """,
            """
            select 'missing', f.table_id
            from (select distinct table_id from {s}.ducklake_data_file) f
            where not exists (select 1 from {s}.ducklake_table_stats s where s.table_id = f.table_id)
            """,
        ),
    ),
    Rule(
        name="column-statistics",
        severity="error",
        what="statistics of a table's column are there several times, or belong to no column or table",
        why="filters are folded away by the wrong values, so that rows are missing from results",
        query=union(
            """
            select 'several' as kind, table_id, column_id
            from {s}.ducklake_table_column_stats
            group by table_id, column_id
            having count(*) > 1
            """,
            """
            select 'no column', s.table_id, s.column_id
            from {s}.ducklake_table_column_stats s
            where not exists (
                select 1 from {s}.ducklake_column c
                where c.table_id = s.table_id and c.column_id = s.column_id
            )
            """,
            """
            select 'no table statistics', s.table_id, s.column_id
            from {s}.ducklake_table_column_stats s
            where not exists (select 1 from {s}.ducklake_table_stats t where t.table_id = s.table_id)
            """,
        ),
    ),
    Rule(
        name="variant-statistics-without-file",
        severity="warning",
        what="statistics of variants belong to a data file that is gone",
        why="harmless; DuckDB up to 1.5.2 leaves them behind when it merges files",
        query="""
        select s.data_file_id, s.table_id, s.column_id
        from {s}.ducklake_file_variant_stats s
        where not exists (
            select 1 from {s}.ducklake_data_file f
            where f.data_file_id = s.data_file_id and f.table_id = s.table_id
        )
        """,
        since="0.4",
        mend="""
        DELETE FROM {s}.ducklake_file_variant_stats s WHERE NOT EXISTS (SELECT FROM {s}.ducklake_data_file f
          WHERE f.data_file_id = s.data_file_id AND f.table_id = s.table_id);
        """,
    ),
)
