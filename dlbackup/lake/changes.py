"""
Which schema version each change of a table's columns made, as SQL: also where its snapshot has expired.

Every change of columns has a schema version of its own, and numbers rise with snapshots. What is known are the numbers
in `ducklake_schema_versions` and those of the snapshots that are there. Between two of these, changes count on from
the one before; changes before all of them count back from the first.
"""

from collections.abc import Iterable

NUMBERED = """
marks as (
    select begins, max(version) as version, max(changed) as changed
    from (
        select begin_snapshot as begins, schema_version as version, 0 as changed from {s}.ducklake_schema_versions
        union all
        select snapshot_id, schema_version, 0 from {s}.ducklake_snapshot
        union all
        select begin_snapshot, cast(null as bigint), 1 from {s}.ducklake_column
        union all
        select begin_snapshot, cast(null as bigint), 1 from {s}.ducklake_table{begun}
    ) x
    where begins <= (select max(snapshot_id) from {s}.ducklake_snapshot)
    group by begins
), parts as (
    select begins, version, changed, count(version) over (order by begins) as part
    from marks
), places as (
    select begins, version, changed, part,
           max(version) over (partition by part) as known,
           row_number() over (partition by part order by begins) as place,
           count(*) over (partition by part) as size
    from parts
), numbered as (
    select p.begins, p.changed,
           case
               when p.part > 0 then p.known + p.place - 1
               else f.version - f.changed - p.size + p.place
           end as number
    from places p
    left join places f on f.part = 1 and f.version is not null
)"""
"""
Common table expressions of which the last, `numbered`, has the schema version of each snapshot that is known of.

`{begun}` is empty, or what `begun` makes of inlined tables.
"""

CHANGES_OF_TABLES = """
(
    select table_id, begin_snapshot from {s}.ducklake_column
    union
    select table_id, min(begin_snapshot) from {s}.ducklake_table group by table_id
)"""
"""The snapshots at which columns of each table began, and the table itself."""


def begun(tables: Iterable[tuple[int, int]]) -> str:
    """
    Return what is known by inlined tables, of which each is made by a commit and takes a version of the lake's.

    Args:
        tables: (snapshot of the first row, version), of those whose versions no snapshot has.
    """
    versions: dict[int, list[int]] = {}
    for begins, version in sorted(tables):
        versions.setdefault(begins, []).append(version)
    marks = (f"({begins}, {found[-1]}, {found[-1] - found[0] + 1})" for begins, found in versions.items())
    rows = ", ".join(marks)
    return f"\n        union all\n        select * from (values {rows}) inlined" if rows else ""


UNNAMED = f"""
with {NUMBERED.strip()}
select c.begin_snapshot, n.number as schema_version, c.table_id
from {CHANGES_OF_TABLES.strip()} c
join numbered n on n.begins = c.begin_snapshot
where n.number is not null
  and exists (select 1 from {{s}}.ducklake_table t where t.table_id = c.table_id)
  and not exists (
      select 1 from {{s}}.ducklake_schema_versions v
      where {{of_table}}v.begin_snapshot = c.begin_snapshot
  )"""
"""
Changes of tables at which no schema version begins, as rows of `ducklake_schema_versions`.

`{begun}` as in `NUMBERED`; `{of_table}` is empty before 0.4, where versions are the lake's, and
`v.table_id = c.table_id and ` since.
"""
