"""
Rules about what refers to what: nothing in a catalog may point to something that is not there.

Here are schemas, tables, columns, files and partitions; what hangs on those is in `attached`.
"""

from dlbackup.health.rules.rule import OF_TABLE, Rule, missing, union


def _schema_alive(kind: str, key: str, table: str) -> str:
    return missing(
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
            missing("column of table", "table_id", "column", OF_TABLE, "table"),
            missing("partition", "partition_id", "partition_info", OF_TABLE, "table"),
        ),
    ),
    Rule(
        name="file-without-table",
        severity="error",
        what="a data file or delete file belongs to no table",
        why="its rows can't be read: a table was lost from the catalog",
        query=union(
            missing("data file", "data_file_id", "data_file", OF_TABLE, "table"),
            missing("delete file", "delete_file_id", "delete_file", OF_TABLE, "table"),
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
        select f.data_file_id, f.partition_id, coalesce(v.found, 0) as found, coalesce(k.wanted, 0) as wanted,
               coalesce(x.fitting, 0) as fitting
        from {s}.ducklake_data_file f
        left join (
            select data_file_id, count(*) as found
            from {s}.ducklake_file_partition_value
            group by data_file_id
        ) v on v.data_file_id = f.data_file_id
        left join (
            select d.data_file_id, count(*) as fitting
            from {s}.ducklake_file_partition_value p
            join {s}.ducklake_data_file d on d.data_file_id = p.data_file_id
            join {s}.ducklake_partition_column c
              on c.partition_id = d.partition_id and c.partition_key_index = p.partition_key_index
            group by d.data_file_id
        ) x on x.data_file_id = f.data_file_id
        left join (
            select partition_id, count(*) as wanted
            from {s}.ducklake_partition_column
            group by partition_id
        ) k on k.partition_id = f.partition_id
        where f.partition_id is not null
          and (coalesce(v.found, 0) <> coalesce(k.wanted, 0) or coalesce(x.fitting, 0) <> coalesce(k.wanted, 0))
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
        name="bucket-value",
        severity="error",
        what="a data file is in no bucket that there is, or in that of NULL with values in it",
        why="filters by equality, and deletes and updates with one, miss its rows",
        query="""
        select v.data_file_id, k.table_id, k.column_id, v.partition_value, k.transform
        from {s}.ducklake_partition_column k
        join {s}.ducklake_data_file f on f.partition_id = k.partition_id and f.end_snapshot is null
        join {s}.ducklake_file_partition_value v
          on v.data_file_id = f.data_file_id and v.partition_key_index = k.partition_key_index
        left join {s}.{stats} c on c.data_file_id = f.data_file_id and c.column_id = k.column_id
        where k.transform similar to 'bucket[(][0-9]+[)]'
          and not exists (
            select 1
            from {s}.ducklake_column n
            where n.table_id = k.table_id
              and n.column_id = k.column_id
              and n.end_snapshot is null
              and n.column_type = 'variant'
          )
          and case
              when v.partition_value is null then c.value_count > 0
              when v.partition_value not similar to '[0-9]+' or length(v.partition_value) > 9 then true
              else cast(v.partition_value as bigint)
                   >= cast(replace(replace(k.transform, 'bucket(', ''), ')', '') as bigint)
          end
        """,
        since="1.0",
        advice="write the rows again: UPDATE the_table SET the_column = the_column",
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
)
