"""Rules about what refers to what: nothing in a catalog may point to something that is not there."""

from dlbackup.health.rules.rule import Rule, union


def _missing(kind: str, what: str, table: str, condition: str, target: str) -> str:
    """Rows `x` of a table for which there is no row `y` of another."""
    return f"""
        select '{kind}' as kind, x.{what} as id
        from {{s}}.ducklake_{table} x
        where not exists (select 1 from {{s}}.ducklake_{target} y where {condition})
    """


def _schema_alive(kind: str, key: str, table: str) -> str:
    return _missing(
        kind,
        key,
        table,
        """y.schema_id = x.schema_id
          and y.begin_snapshot <= x.begin_snapshot
          and (y.end_snapshot is null or x.end_snapshot <= y.end_snapshot)""",
        "schema",
    )


def _left_alive(kind: str, what: str, table: str) -> str:
    return f"""
        select '{kind}' as kind, x.{what} as id
        from {{s}}.ducklake_{table} x
        where x.end_snapshot is null
          and not exists (
              select 1 from {{s}}.ducklake_table t
              where t.table_id = x.table_id and t.end_snapshot is null
          )
    """


_OF_TABLE = "y.table_id = x.table_id"
_BIT = "cast(1 as bigint) << cast(coalesce((column_id % 62 + 62) % 62, 0) as integer)"
RULES = (
    Rule(
        name="schema-of-object",
        severity="error",
        what="the schema of a table or view is missing, or was dropped before it",
        why="the whole lake fails to load: 'references schema id ... that does not exist'",
        query=union(_schema_alive("table", "table_id", "table"), _schema_alive("view", "view_id", "view")),
    ),
    Rule(
        name="table-without-columns",
        severity="error",
        what="a living table has no living column",
        why="the lake fails to load: 'Table entry does not have any columns'",
        query="""
        select t.table_id
        from {s}.ducklake_table t
        where t.end_snapshot is null
          and not exists (
              select 1 from {s}.ducklake_column c
              where c.table_id = t.table_id and c.end_snapshot is null
          )
        """,
    ),
    Rule(
        name="column-without-table",
        severity="error",
        what="a column or partition key belongs to no table",
        why="a table was lost from the catalog",
        query=union(
            _missing("column of table", "table_id", "column", _OF_TABLE, "table"),
            _missing("partition", "partition_id", "partition_info", _OF_TABLE, "table"),
        ),
    ),
    Rule(
        name="file-without-table",
        severity="error",
        what="a data file or delete file belongs to no table",
        why="its rows can't be read: a table was lost from the catalog",
        query=union(
            _missing("data file", "data_file_id", "data_file", _OF_TABLE, "table"),
            _missing("delete file", "delete_file_id", "delete_file", _OF_TABLE, "table"),
        ),
    ),
    Rule(
        name="file-of-dropped-table",
        severity="warning",
        what="a data file of a dropped table is still alive",
        why="harmless; DuckDB up to 1.3.2 leaves them behind when it drops a table",
        query=_left_alive("data file", "data_file_id", "data_file"),
        mend="""
        UPDATE {s}.ducklake_data_file f SET end_snapshot = t.gone
        FROM (SELECT table_id, max(end_snapshot) AS gone FROM {s}.ducklake_table GROUP BY table_id
              HAVING count(*) = count(end_snapshot)) t
        WHERE f.table_id = t.table_id AND f.end_snapshot IS NULL;
        """,
    ),
    Rule(
        name="part-of-dropped-table",
        severity="warning",
        what="a column, partition key, comment or delete file outlives its table or file",
        why="harmless; DuckDB 1.3 leaves them behind when it drops a table, later ones a delete file now and then",
        query=union(
            _left_alive("column of table", "table_id", "column"),
            _left_alive("partition", "partition_id", "partition_info"),
            _left_alive("delete file", "delete_file_id", "delete_file"),
            """
            select 'delete file of an ended file', d.delete_file_id
            from {s}.ducklake_delete_file d
            join {s}.ducklake_data_file f on f.data_file_id = d.data_file_id and f.end_snapshot is not null
            where d.end_snapshot is null
            """,
            """
            select 'comment', g.object_id
            from {s}.ducklake_tag g
            where g.end_snapshot is null
              and not exists (
                  select 1 from {s}.ducklake_table t
                  where t.table_id = g.object_id and t.end_snapshot is null
              )
              and not exists (
                  select 1 from {s}.ducklake_view v
                  where v.view_id = g.object_id and v.end_snapshot is null
              )
            """,
        ),
    ),
    Rule(
        name="parent-column",
        severity="error",
        what="a living nested column has no living parent in its table",
        why="the table does not load",
        query="""
        select c.table_id, c.column_id, c.parent_column
        from {s}.ducklake_column c
        where c.parent_column is not null
          and c.end_snapshot is null
          and not exists (
              select 1 from {s}.ducklake_column p
              where p.table_id = c.table_id and p.column_id = c.parent_column and p.end_snapshot is null
          )
        """,
    ),
    Rule(
        name="delete-file-without-data-file",
        severity="error",
        what="a delete file belongs to no data file of its table",
        why="a data file was lost, or its deletes: deleted rows come back",
        query="""
        select d.delete_file_id, d.data_file_id
        from {s}.ducklake_delete_file d
        where not exists (
            select 1 from {s}.ducklake_data_file f
            where f.data_file_id = d.data_file_id and f.table_id = d.table_id
        )
        """,
    ),
    Rule(
        name="statistics-without-file",
        severity="error",
        what="column statistics belong to no data file of their table",
        why="a data file was lost from the catalog, with its rows",
        query="""
        select s.data_file_id, s.table_id, s.column_id
        from {s}.{stats} s
        where not exists (
            select 1 from {s}.ducklake_data_file f
            where f.data_file_id = s.data_file_id and f.table_id = s.table_id
        )
        """,
    ),
    Rule(
        name="statistics-without-column",
        severity="error",
        what="column statistics belong to no column of their table",
        why="a column was lost from the catalog",
        query="""
        select s.data_file_id, s.table_id, s.column_id
        from {s}.{stats} s
        where not exists (
            select 1 from {s}.ducklake_column c
            where c.table_id = s.table_id and c.column_id = s.column_id
        )
        """,
    ),
    Rule(
        name="statistics-once",
        severity="error",
        what="a data file has statistics of one column several times",
        why="files are skipped by the wrong values, so that rows are missing from results",
        # Counting three million pairs is slow, so only files whose columns share a bit are counted: the sum of
        # different bits is their union (3.1 s for all pairs, 1.6 s so; tables with more than 62 columns: both).
        query=f"""
        select s.data_file_id, s.column_id, count(*) as found
        from {{s}}.{{stats}} s
        join (
            select data_file_id
            from (select data_file_id, {_BIT} as bit from {{s}}.{{stats}}) x
            group by data_file_id
            having sum(bit) <> bit_or(bit)
        ) shared on shared.data_file_id = s.data_file_id
        group by s.data_file_id, s.column_id
        having count(*) > 1
        """,
    ),
    Rule(
        name="partition-of-file",
        severity="error",
        what="the partition of a data file does not exist for its table",
        why="reads with a filter on the partition key miss rows or fail",
        query="""
        select f.data_file_id, f.partition_id
        from {s}.ducklake_data_file f
        where f.partition_id is not null
          and not exists (
              select 1 from {s}.ducklake_partition_info p
              where p.partition_id = f.partition_id and p.table_id = f.table_id
          )
        """,
    ),
    Rule(
        name="partition-values",
        severity="error",
        what="a partitioned data file has not one value for each key of its partition",
        why="reads with a filter on the partition key miss rows or fail",
        query="""
        select f.data_file_id, f.partition_id, coalesce(v.found, 0) as found, coalesce(k.wanted, 0) as wanted
        from {s}.ducklake_data_file f
        left join (
            select data_file_id, count(*) as found
            from {s}.ducklake_file_partition_value
            group by data_file_id
        ) v on v.data_file_id = f.data_file_id
        left join (
            select partition_id, count(*) as wanted
            from {s}.ducklake_partition_column
            group by partition_id
        ) k on k.partition_id = f.partition_id
        where f.partition_id is not null and coalesce(v.found, 0) <> coalesce(k.wanted, 0)
        """,
    ),
    Rule(
        name="partition-value-of-other-table",
        severity="error",
        what="a partition value names another table than its file does",
        why="reads with a filter on the partition key miss rows",
        query="""
        select v.data_file_id, v.table_id, f.table_id as file_table_id
        from {s}.ducklake_file_partition_value v
        join {s}.ducklake_data_file f on f.data_file_id = v.data_file_id
        where f.table_id <> v.table_id
        """,
    ),
    Rule(
        name="partition-value-unused",
        severity="warning",
        what="a partition value belongs to a file that is gone or has no partition",
        why="harmless; DuckDB up to 1.4 leaves them behind when snapshots expire",
        query=union(
            """
            select 'no partition' as kind, v.data_file_id
            from {s}.ducklake_file_partition_value v
            join {s}.ducklake_data_file f on f.data_file_id = v.data_file_id
            where f.table_id = v.table_id and f.partition_id is null
            """,
            """
            select 'no file', v.data_file_id
            from {s}.ducklake_file_partition_value v
            where not exists (select 1 from {s}.ducklake_data_file f where f.data_file_id = v.data_file_id)
            """,
        ),
    ),
    Rule(
        name="partition-column",
        severity="error",
        what="a key of a partition belongs to no partition, or to no column of its table",
        why="the table can't be written to, or the lake does not load",
        query=union(
            """
            select 'no partition' as kind, c.partition_id, c.column_id
            from {s}.ducklake_partition_column c
            where not exists (
                select 1 from {s}.ducklake_partition_info p
                where p.partition_id = c.partition_id and p.table_id = c.table_id
            )
            """,
            """
            select 'no column', c.partition_id, c.column_id
            from {s}.ducklake_partition_column c
            where not exists (
                select 1 from {s}.ducklake_column k
                where k.table_id = c.table_id and k.column_id = c.column_id
            )
            """,
        ),
    ),
    Rule(
        name="partition-transform",
        severity="error",
        what="a partition key has a transform that DuckLake does not know",
        why="the lake does not load",
        query="""
        select partition_id, partition_key_index, transform
        from {s}.ducklake_partition_column
        where transform is null
          or partition_key_index is null
          or (
              transform not in (
                  'identity', 'year', 'month', 'day', 'hour', 'epoch_year', 'epoch_month', 'epoch_day', 'epoch_hour'
              )
              and transform not like 'bucket(%)'
          )
        """,
    ),
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
        query=union(
            """
            select 'comment' as kind, g.object_id as id
            from {s}.ducklake_tag g
            where not exists (select 1 from {s}.ducklake_table t where t.table_id = g.object_id)
              and not exists (select 1 from {s}.ducklake_view v where v.view_id = g.object_id)
            """,
            _missing(
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
        query=union(
            _missing("no schema", "macro_id", "macro", "y.schema_id = x.schema_id", "schema"),
            _missing("no body", "macro_id", "macro", "y.macro_id = x.macro_id", "macro_impl"),
            _missing("body without macro", "macro_id", "macro_impl", "y.macro_id = x.macro_id", "macro"),
            _missing(
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
            _missing("no table", "sort_id", "sort_info", _OF_TABLE, "table"),
            _missing("no expression", "sort_id", "sort_info", "y.sort_id = x.sort_id", "sort_expression"),
            _missing("expression without sort key", "sort_id", "sort_expression", "y.sort_id = x.sort_id", "sort_info"),
        ),
        since="0.4",
    ),
    Rule(
        name="part-once",
        severity="error",
        what="a partition key, partition value or mapped name is there several times",
        why="reads fail, or find rows twice",
        query=union(
            """
            select 'partition' as kind, partition_id as id, partition_key_index as part
            from {s}.ducklake_partition_column
            group by partition_id, partition_key_index
            having count(*) > 1
            """,
            """
            select 'data file', data_file_id, partition_key_index
            from {s}.ducklake_file_partition_value
            group by data_file_id, partition_key_index
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
