"""Rules about versions in time: when rows begin and end, and what there may be only once at a time."""

from collections.abc import Sequence

from dlbackup.health.rules.rule import HEAD, Rule, folded, union


def _ranges(tables: Sequence[tuple[str, str, str]]) -> str:
    rows = union(
        *(
            f"select '{kind}' as kind, {key} as id, begin_snapshot, end_snapshot from {{s}}.ducklake_{table}"
            for kind, key, table in tables
        )
    )
    # A delete file may begin and end at one snapshot: all rows deleted, never visible.
    return f"""
        select kind, id, begin_snapshot, end_snapshot
        from ({rows}) x
        where begin_snapshot is null
          or end_snapshot < begin_snapshot
          or (end_snapshot = begin_snapshot and kind <> 'delete file')
          or begin_snapshot > {HEAD}
          or end_snapshot > {HEAD}
    """


def _overlaps(kind: str, table: str, keys: str, shown: str) -> str:
    return f"""
        select '{kind}' as kind, {shown} as id, begin_snapshot, next_begin
        from (
            select {keys}, begin_snapshot, end_snapshot,
                   lead(begin_snapshot) over (partition by {keys} order by begin_snapshot) as next_begin
            from {{s}}.ducklake_{table}
        ) x
        where next_begin is not null and (end_snapshot is null or end_snapshot > next_begin)
    """


def _alive_twice(kind: str, table: str, keys: str, shown: str) -> str:
    return f"""
        select '{kind}' as kind, {shown}, count(*) as found
        from {{s}}.ducklake_{table}
        where end_snapshot is null
        group by {keys}
        having count(*) > 1
    """


_NAMED = union(
    """
    select schema_id, table_id as id, table_name as name
    from {s}.ducklake_table
    where end_snapshot is null
    """,
    """
    select schema_id, view_id, view_name
    from {s}.ducklake_view
    where end_snapshot is null
    """,
)
RULES = (
    Rule(
        name="snapshot-range",
        severity="error",
        what="a row begins nowhere, ends before it begins, or lies beyond the newest snapshot",
        why="it shows in the wrong snapshots, or appears by itself when the head gets there",
        query=_ranges(
            (
                ("schema", "schema_id", "schema"),
                ("table", "table_id", "table"),
                ("view", "view_id", "view"),
                ("column of table", "table_id", "column"),
                ("comment", "object_id", "tag"),
                ("column comment of table", "table_id", "column_tag"),
                ("data file", "data_file_id", "data_file"),
                ("delete file", "delete_file_id", "delete_file"),
                ("partition", "partition_id", "partition_info"),
            )
        ),
    ),
    Rule(
        name="macro-range",
        severity="error",
        what="a macro or sort key begins nowhere, ends before it begins, or lies beyond the newest snapshot",
        why="it shows in the wrong snapshots, or appears by itself when the head gets there",
        query=_ranges((("macro", "macro_id", "macro"), ("sort key", "sort_id", "sort_info"))),
        since="0.4",
    ),
    Rule(
        name="version-overlap",
        severity="error",
        what="two versions of a table, view or partition key are valid at one snapshot",
        why="the lake shows the object twice, or does not load",
        query=union(
            _overlaps("table", "table", "table_id", "table_id"),
            _overlaps("view", "view", "view_id", "view_id"),
            _overlaps("partition of table", "partition_info", "table_id", "table_id"),
        ),
    ),
    Rule(
        name="sort-key-overlap",
        severity="error",
        what="two sort keys of a table are valid at one snapshot",
        why="which of them sorts the rows of an insert is chance",
        query=_overlaps("sort key of table", "sort_info", "table_id", "table_id"),
        since="0.4",
    ),
    Rule(
        name="column-once",
        severity="error",
        what="a column has two living versions, or one twice",
        why="every read of the table fails with 'Column with name x already exists'",
        query=union(
            """
            select table_id, column_id, count(*) as found
            from {s}.ducklake_column
            where end_snapshot is null
            group by table_id, column_id
            having count(*) > 1
            """,
            """
            select table_id, column_id, count(*)
            from {s}.ducklake_column
            group by table_id, column_id, begin_snapshot
            having count(*) > 1
            """,
        ),
    ),
    Rule(
        name="column-overlap",
        severity="warning",
        what="two versions of a column are valid at one snapshot",
        why="travelling to it fails with 'Column with name x already exists'; DuckDB up to 1.4.3 does this by itself"
        " when a column is altered several times; the newest snapshot is right",
        query="""
        select table_id, column_id, begin_snapshot, next_begin
        from (
            select table_id, column_id, begin_snapshot, end_snapshot,
                   lead(begin_snapshot) over (partition by table_id, column_id order by begin_snapshot) as next_begin
            from {s}.ducklake_column
        ) x
        where end_snapshot > next_begin
        """,
        mend="""
        UPDATE {s}.ducklake_column c SET end_snapshot = x.next_begin
        FROM (SELECT ctid AS place, end_snapshot, lead(begin_snapshot) OVER (PARTITION BY table_id, column_id
              ORDER BY begin_snapshot) AS next_begin FROM {s}.ducklake_column) x
        WHERE c.ctid = x.place AND x.end_snapshot > x.next_begin;
        """,
    ),
    Rule(
        name="name-once",
        severity="error",
        what="two living objects of one place have the same name",
        why="DuckDB doesn't tell A from a, only such letters: the lake or the table does not load, or one of them can't"
        " be reached",
        query=union(
            f"""
            select 'schema' as kind, min(schema_id) as id, {folded("schema_name")} as name
            from {{s}}.ducklake_schema
            where end_snapshot is null
            group by {folded("schema_name")}
            having count(*) > 1
            """,
            f"""
            select 'table or view', min(id), {folded("name")}
            from ({_NAMED}) x
            group by schema_id, {folded("name")}
            having count(*) > 1
            """,
            f"""
            select 'column of table', table_id, {folded("column_name")}
            from {{s}}.ducklake_column
            where end_snapshot is null
            group by table_id, parent_column, {folded("column_name")}
            having count(*) > 1
            """,
        ),
    ),
    Rule(
        name="macro-name-once",
        severity="error",
        what="two living macros of one schema and kind have the same name",
        why="the lake does not load, or one of them can't be reached; a scalar and a table macro of one name are fine",
        query=f"""
        select min(m.macro_id) as macro_id, {folded("m.macro_name")} as name
        from {{s}}.ducklake_macro m
        left join (select distinct macro_id, type from {{s}}.ducklake_macro_impl) i on i.macro_id = m.macro_id
        where m.end_snapshot is null
        group by m.schema_id, i.type, {folded("m.macro_name")}
        having count(*) > 1
        """,
        since="0.4",
    ),
    Rule(
        name="name-missing",
        severity="error",
        what="an object has no name, a column no type or number, a view no text",
        why="the lake does not load",
        query=union(
            "select 'schema' as kind, schema_id as id from {s}.ducklake_schema where schema_name is null",
            "select 'table', table_id from {s}.ducklake_table where table_name is null",
            """
            select 'view', view_id
            from {s}.ducklake_view
            where view_name is null or sql is null or dialect is null
            """,
            """
            select 'column of table', table_id
            from {s}.ducklake_column
            where column_name is null
              or column_type is null
              or column_type = ''
              or column_id is null
              or column_order is null
              or nulls_allowed is null
            """,
        ),
    ),
    Rule(
        name="comment-once",
        severity="error",
        what="an object has two living comments of one key",
        why="which of them shows is chance",
        query=union(
            _alive_twice("object", "tag", "object_id, key", "object_id as id"),
            _alive_twice("column of table", "column_tag", "table_id, column_id, key", "table_id"),
        ),
    ),
    Rule(
        name="comment-overlap",
        severity="warning",
        what="two versions of a comment are valid at one snapshot",
        why="older snapshots may show the wrong comment; DuckDB up to 1.5.2 does this by itself",
        query=union(
            _overlaps("object", "tag", "object_id, key", "object_id"),
            _overlaps("column of table", "column_tag", "table_id, column_id, key", "table_id"),
        ),
    ),
    Rule(
        name="delete-file-once",
        severity="error",
        what="a living data file has several living delete files",
        why="rows show twice, or deleted rows come back",
        query="""
        select d.data_file_id, count(*) as found
        from {s}.ducklake_delete_file d
        join {s}.ducklake_data_file f on f.data_file_id = d.data_file_id and f.end_snapshot is null
        where d.end_snapshot is null
        group by d.data_file_id
        having count(*) > 1
        """,
    ),
    Rule(
        name="delete-file-overlap",
        severity="warning",
        what="two delete files of a data file are valid at one snapshot",
        why="travelling to it shows rows twice; DuckDB 1.5 does this by itself when inlined deletes are flushed"
        " after a rewrite",
        query="""
        select data_file_id, delete_file_id, begin_snapshot, next_begin
        from (
            select data_file_id, delete_file_id, begin_snapshot, end_snapshot,
                   lead(begin_snapshot) over (
                       partition by data_file_id
                       order by begin_snapshot, delete_file_id
                   ) as next_begin
            from {s}.ducklake_delete_file
            where end_snapshot is null or end_snapshot > begin_snapshot
        ) x
        where next_begin is not null and (end_snapshot is null or end_snapshot > next_begin)
        """,
    ),
)
