"""
Make a large catalog: the fixed tables of spec version 0.3, N rows of file statistics, and inlined tables.

    python benchmarks/catalog.py ADDRESS [ROWS [INLINED]]

The rows are what a lake of wide tables has: ten columns a file, min and max values of several kinds. The
inlined tables hold three rows each, in the types of DuckDB 1.4, so that a migration has to mend them. The
database must be empty; it is made from the schema files, without any engine.
"""

import sys

from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.postgres.sessions import Session, connect
from dlbackup.lake import spec
from dlbackup.tables.statements import definition

COLUMNS = 10

_SMALL = """
insert into ducklake_metadata values ('version', '0.3', null, null), ('created_by', 'benchmark', null, null),
  ('data_path', 'files/', null, null), ('encrypted', 'false', null, null);
insert into ducklake_schema values (0, gen_random_uuid(), 0, null, 'main', 'main/', true);
insert into ducklake_table select t, gen_random_uuid(), 1, null, 0, 'table_' || t, 'table_' || t || '/', true
  from generate_series(1, 50) t;
insert into ducklake_column select c, 1, null, t, c, 'column_' || c, 'varchar', null, null, true, null
  from generate_series(1, 50) t, generate_series(1, 10) c;
"""

_LARGE = """
insert into ducklake_snapshot
  select s, timestamptz '2025-01-01 00:00:00.123456+00' + s * interval '7.25 seconds', least(s, 1), 1000000, s * 100
  from generate_series(0::bigint, greatest(%(files)s / 100, 1)) s;
insert into ducklake_snapshot_changes
  select s, 'inserted_into_table:' || 1 + s %% 50, null, null, null
  from generate_series(0::bigint, greatest(%(files)s / 100, 1)) s;
insert into ducklake_data_file
  select f, 1 + f %% 50, 1 + f / 100, null, null, 'ducklake-' || gen_random_uuid() || '.parquet', true, 'parquet',
         1000 + f %% 977, 100000 + f * 7 %% 90001, 1200 + f %% 100, f * 1000, null, null, null, null
  from generate_series(0::bigint, %(files)s - 1) f;
insert into ducklake_file_column_stats
  select f, 1 + f %% 50, c, 1000 + (f * 31 + c * 7) %% 50000, 1000 + f %% 977 - (f + c) %% 13, (f + c) %% 13,
         case c %% 4 when 0 then (f * 7919 %% 100000)::text
                     when 1 then 'customer-' || lpad((f * 104729 %% 1000000)::text, 7, '0')
                     when 2 then (timestamp '2024-01-01' + f * interval '1 minute')::text
                     else ((f * 15485863 %% 1000000) / 997.0)::float8::text end,
         case c %% 4 when 0 then (f * 7919 %% 100000 + 1000)::text
                     when 1 then 'customer-' || lpad((f * 104729 %% 1000000 + 5000)::text, 7, '0')
                     when 2 then (timestamp '2024-01-01' + f * interval '1 minute' + interval '1 day')::text
                     else ((f * 15485863 %% 1000000 + 70000) / 997.0)::float8::text end,
         case c %% 4 when 3 then false end, null
  from generate_series(0::bigint, %(files)s - 1) f, generate_series(1, 10) c;
insert into ducklake_schema_versions values (0, 0), (1, 1);
insert into ducklake_table_stats
  select table_id, sum(record_count), max(row_id_start + record_count), sum(file_size_bytes)
  from ducklake_data_file group by table_id;
"""

FIRST_INLINED = 1000

_INLINED = """
insert into ducklake_table values ({t}, gen_random_uuid(), 1, null, 0, 'inlined_{t}', 'inlined_{t}/', true);
insert into ducklake_column values
  (1, 1, null, {t}, 1, 'id', 'int64', null, null, true, null),
  (2, 1, null, {t}, 2, 'name', 'varchar', null, null, true, null);
insert into ducklake_inlined_data_tables values ({t}, 'ducklake_inlined_data_{t}_1', 1);
create table ducklake_inlined_data_{t}_1
  (row_id bigint, begin_snapshot bigint, end_snapshot bigint, "id" bigint, "name" varchar);
insert into ducklake_inlined_data_{t}_1 select r, 1, null, r, 'customer ' || r from generate_series(0, 2) r;
insert into ducklake_table_stats values ({t}, 3, 3, 0);
"""


def make(session: Session, rows: int, inlined: int = 0) -> None:
    """Make the catalog with about `rows` rows of statistics and some inlined tables in the session's database."""
    session.execute("set search_path = public")
    for table in spec.load("0.3").values():
        session.execute(definition(table).encode())
    session.execute(_SMALL)
    files = rows // COLUMNS
    for statement in _LARGE.split(";\n"):
        if statement.strip():
            session.execute(statement.encode(), {"files": files})
    for number in range(FIRST_INLINED, FIRST_INLINED + inlined):
        session.execute(_INLINED.format(t=number).encode())
    session.execute("vacuum analyze")


def main() -> None:
    address, *numbers = sys.argv[1:]
    with connect(parse_address(address)) as session:
        make(session, *map(int, numbers or ["3000000"]))


if __name__ == "__main__":
    main()
