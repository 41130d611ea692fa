"""Statistics that the newer engine takes for complete where nothing is known."""

from typing import Any

from dlbackup.catalogs.contract import Mending
from dlbackup.lake.answers import Answers, rows_of
from dlbackup.tables.quoting import quote_pairs

# Types that DuckDB 1.5 takes no statistics from; 1.4 doesn't keep any of a boolean, and 1.5 skips nothing by them.
_WITHOUT_STATISTICS = "('boolean', 'int128', 'uint128', 'interval', 'blob')"
_UNKNOWN = "min_value is null and max_value is null and extra_stats is null"


def unknown_statistics(answers: Answers) -> list[Any]:
    """
    Return (table, column) for the statistics that know neither minimum nor maximum of a column that has values.

    All values are NULL where every data file says so, and none are in the catalog.
    """
    return rows_of(
        answers,
        f"""
        select s.table_id, s.column_id
        from {{s}}.ducklake_table_column_stats s
        join {{s}}.ducklake_column c on c.table_id = s.table_id and c.column_id = s.column_id
        left join (select table_id, count(*) as files from {{s}}.ducklake_data_file group by 1) f
          on f.table_id = s.table_id
        left join (
            select table_id, column_id, count(*) as files
            from {{s}}.ducklake_file_column_stats
            where value_count = 0
            group by 1, 2
        ) n on n.table_id = s.table_id and n.column_id = s.column_id
        where {_UNKNOWN}
          and c.end_snapshot is null
          and c.column_type not in {_WITHOUT_STATISTICS}
          and (
              f.files > coalesce(n.files, 0)
              or exists (select 1 from {{s}}.ducklake_inlined_data_tables i where i.table_id = s.table_id)
          )
        order by 1, 2
        """,
    )


def forget_statistics(mending: Mending, found: list[Any]) -> int:
    """Delete statistics that say nothing, so that engines don't take them for complete."""
    return mending.execute(
        f"""
        with x (table_id, column_id) as ({quote_pairs(found)})
        delete from {{s}}.ducklake_table_column_stats as s
        where {_UNKNOWN} and exists (select 1 from x where x.table_id = s.table_id and x.column_id = s.column_id)
        """
    )
