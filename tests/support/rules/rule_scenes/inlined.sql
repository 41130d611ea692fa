-- Scenes for the rules about inlined rows; `support.rules.scenes` says how they are written.

--@ inlined-registry | 0.2 1.0
-- versions up to 9 have been; 50 is registered twice
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1'), (1, 9, 'ducklake_inlined_data_1_9'), (50, 2, 'ducklake_inlined_data_50_2'),
  (50, 2, 'ducklake_inlined_data_50_2'), (51, 10, 'ducklake_inlined_data_51_10'),
  (52, 1, 'ducklake_inlined_data_52_2'),
  (53, 1, 'inlined_data_53_1'), (54, 1, 'ducklake_inlined_data_55_1');
--= table_id 50, schema_version 2, table_name ducklake_inlined_data_50_2
--= table_id 51, schema_version 10, table_name ducklake_inlined_data_51_10
--= table_id 52, schema_version 1, table_name ducklake_inlined_data_52_2
--= table_id 53, schema_version 1, table_name inlined_data_53_1
--= table_id 54, schema_version 1, table_name ducklake_inlined_data_55_1

--@ inlined-registry | 0.2 1.0
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (null, 1, 'ducklake_inlined_data_1_1'), (50, null, 'ducklake_inlined_data_50_1'), (51, 1, null),
  (56, 1, 'ducklake_inlined_data_57_1'), (57, 1, 'ducklake_inlined_data_57_1');
--= table_id 50, schema_version NULL, table_name ducklake_inlined_data_50_1
--= table_id 51, schema_version 1, table_name NULL
--= table_id 56, schema_version 1, table_name ducklake_inlined_data_57_1
--= table_id 56, schema_version 2, table_name ducklake_inlined_data_57_1
--= table_id NULL, schema_version 1, table_name ducklake_inlined_data_1_1

--@ inlined-table-missing | 0.2 1.0
create table ducklake_inlined_data_1_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1'), (50, 1, 'ducklake_inlined_data_50_1');
--= table_id 50, table_name ducklake_inlined_data_50_1

--@ inlined-table-of-dropped-table | 0.2 1.0
insert into ducklake_table (table_id, end_snapshot) values (1, 5);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1'), (50, 1, 'ducklake_inlined_data_50_1');
--= table_id 50, table_name ducklake_inlined_data_50_1

--@ inlined-table-unregistered | 0.2 1.0
create table ducklake_inlined_data_1_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
create table ducklake_inlined_data_50_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
create table ducklake_inlined_delete_1 (file_id bigint, row_id bigint, begin_snapshot bigint);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1');
--= table_id 50, name ducklake_inlined_data_50_1

--@ inlined-rows-unregistered | 0.2 1.0
create table ducklake_inlined_data_1_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_1 values (1, 1, null);
create table ducklake_inlined_data_1_2 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_2 values (2, 1, 4), (50, 1, null);
create table ducklake_inlined_data_2_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_2_1 values (3, 1, null);
create table ducklake_inlined_data_3_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_3_1 values (4, 1, null);
insert into ducklake_table (table_id, end_snapshot) values (1, null), (1, 3), (1, null), (2, 5);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1');
--= table_id 1, name ducklake_inlined_data_1_2, row_id 50, begin_snapshot 1, end_snapshot NULL

--@ inlined-version-unknown | 1.0
-- 50: a column was added at 2, and 3 is not named; the others are named, newest, without a change, or changed later
create table ducklake_inlined_data_50_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_50_3 values (1, 4, 5), (50, 4, null);
create table ducklake_inlined_data_1_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_3 values (2, 4, null);
create table ducklake_inlined_data_2_9 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_2_9 values (3, 9, null);
create table ducklake_inlined_data_3_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_3_3 values (4, 4, null);
create table ducklake_inlined_data_4_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_4_3 values (5, 4, null);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 3, 'ducklake_inlined_data_1_3'), (2, 9, 'ducklake_inlined_data_2_9'), (3, 3, 'ducklake_inlined_data_3_3'),
  (4, 3, 'ducklake_inlined_data_4_3'), (50, 3, 'ducklake_inlined_data_50_3');
insert into ducklake_table (table_id, begin_snapshot) values (1, 1), (2, 1), (3, 1), (4, 1), (50, 1);
insert into ducklake_column (table_id, column_id, begin_snapshot, end_snapshot, parent_column) values
  (1, 1, 2, null, null), (2, 1, 2, null, null), (3, 1, 1, null, null), (3, 2, 2, 3, null), (3, 3, 2, null, 1),
  (4, 1, 5, null, null), (50, 1, 1, null, null), (50, 2, 2, null, null);
insert into ducklake_schema_versions (begin_snapshot, schema_version, table_id) values
  (1, 1, 1), (3, 3, 1), (1, 1, 2), (1, 1, 3), (1, 1, 50), (2, 2, 50), (3, 3, 51);
--= table_id 50, name ducklake_inlined_data_50_3, row_id 50, begin_snapshot 4, end_snapshot NULL
--? select table_id, schema_version, begin_snapshot from ducklake_schema_versions where schema_version > 2 order by 1
--> 1, 3, 3
--> 2, 9, 9
--> 3, 3, 3
--> 50, 3, 3
--> 51, 3, 3

--@ inlined-column-added | 0.3 0.4
-- 50: a column was added at 2, 51: a field, 52: a field got another name; in 1 a column was added after the row, in 2
-- one of another type and name, in 3 one that is gone, 4 is of the newest version, 5 has its columns since creation
create table ducklake_inlined_data_50_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_50_3 values (1, 4, 5), (2, 1, null), (50, 2, null);
create table ducklake_inlined_data_51_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_51_3 values (51, 4, null);
create table ducklake_inlined_data_52_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_52_3 values (3, 2, null), (52, 4, null);
create table ducklake_inlined_data_1_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_3 values (4, 4, null);
create table ducklake_inlined_data_2_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_2_3 values (5, 4, null);
create table ducklake_inlined_data_3_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_3_3 values (6, 4, null);
create table ducklake_inlined_data_4_9 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_4_9 values (7, 9, null);
create table ducklake_inlined_data_5_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_5_3 values (8, 4, null);
create table ducklake_inlined_data_6_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_6_3 values (9, 4, null);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 3, 'ducklake_inlined_data_1_3'), (2, 3, 'ducklake_inlined_data_2_3'), (3, 3, 'ducklake_inlined_data_3_3'),
  (4, 9, 'ducklake_inlined_data_4_9'), (5, 3, 'ducklake_inlined_data_5_3'), (50, 3, 'ducklake_inlined_data_50_3'),
  (51, 3, 'ducklake_inlined_data_51_3'), (52, 3, 'ducklake_inlined_data_52_3');
insert into ducklake_table (table_id, begin_snapshot) values (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (5, 3), (6, 1),
  (50, 1), (50, 3), (51, 1), (52, 1);
insert into ducklake_column (table_id, column_id, begin_snapshot, end_snapshot, parent_column, column_name) values
  (1, 1, 1, null, null, 'a'), (1, 2, 5, null, null, 'b'), (2, 1, 1, 2, null, 'a'), (2, 1, 2, null, null, 'b'),
  (3, 1, 1, null, null, 'a'), (3, 2, 2, 3, null, 'b'), (4, 1, 2, null, null, 'a'), (5, 1, 0, null, null, 'a'),
  (5, 2, 1, null, 1, 'b'), (6, 1, 2, null, null, 'a'), (50, 1, 1, null, null, 'a'), (50, 2, 2, 4, null, 'b'),
  (50, 2, 4, null, null, 'c'), (51, 1, 1, null, null, 'a'), (51, 2, 3, null, 1, 'b'), (52, 1, 1, null, null, 'a'),
  (52, 2, 1, 3, 1, 'b'), (52, 2, 3, null, 1, 'c');
--= table_id 50, name ducklake_inlined_data_50_3, row_id 50, begin_snapshot 2, end_snapshot NULL
--= table_id 51, name ducklake_inlined_data_51_3, row_id 51, begin_snapshot 4, end_snapshot NULL
--= table_id 52, name ducklake_inlined_data_52_3, row_id 52, begin_snapshot 4, end_snapshot NULL

--@ inlined-row-range | 0.2 1.0
create table ducklake_inlined_data_1_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_1 values (0, 0, null), (1, 9, null), (2, 3, 3), (3, 0, 9), (null, 1, null),
  (50, null, null), (51, 3, 2), (52, 10, null), (53, 1, 10);
create table ducklake_inlined_data_1_2 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_2 values (4, 10, null);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1');
--= table_id 1, name ducklake_inlined_data_1_1, row_id 50, begin_snapshot NULL, end_snapshot NULL
--= table_id 1, name ducklake_inlined_data_1_1, row_id 51, begin_snapshot 3, end_snapshot 2
--= table_id 1, name ducklake_inlined_data_1_1, row_id 52, begin_snapshot 10, end_snapshot NULL
--= table_id 1, name ducklake_inlined_data_1_1, row_id 53, begin_snapshot 1, end_snapshot 10
--= table_id 1, name ducklake_inlined_data_1_1, row_id NULL, begin_snapshot 1, end_snapshot NULL

--@ inlined-row-once | 0.2 1.0
create table ducklake_inlined_data_1_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_1 values (1, 1, 3), (1, 3, null), (2, 1, null), (3, 1, 2), (3, 1, 2),
  (50, 1, null),
  (50, 4, null);
create table ducklake_inlined_data_1_2 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_2 values (2, 1, null);
create table ducklake_inlined_data_1_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_3 values (4, 1, null), (4, 1, null);
create table ducklake_inlined_data_2_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_2_1 values (1, 1, null), (2, 1, null);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1'), (1, 2, 'ducklake_inlined_data_1_2'), (2, 1, 'ducklake_inlined_data_2_1');
--= table_id 1, name ducklake_inlined_data_1_1, row_id 50, begin_snapshot 1, end_snapshot NULL

--@ inlined-columns-changed | 0.4 1.0
-- 1 has its columns still, but for a name; 2 has one more since, 3 one less, 4 another type, 5 another one in a struct;
-- 6 has a newer inlined table, 7 was dropped, 8 is told not to inline
insert into ducklake_table (table_id, schema_id, begin_snapshot, end_snapshot) values (1, 0, 1, null),
  (2, 0, 1, null), (3, 0, 1, null), (4, 0, 1, null), (5, 0, 1, null), (6, 0, 1, null), (7, 0, 1, 6), (8, 0, 1, null);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name)
  select t, 3, 'ducklake_inlined_data_' || t || '_3' from generate_series(1, 8) n(t);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (6, 5, 'ducklake_inlined_data_6_5');
insert into ducklake_schema_versions (begin_snapshot, schema_version, table_id) values (3, 3, 2);
insert into ducklake_column (table_id, column_id, begin_snapshot, end_snapshot, column_name, column_type, parent_column)
  values (1, 1, 1, 5, 'a', 'int32', null), (1, 1, 5, null, 'b', 'int32', null), (1, 2, 1, 3, 'c', 'int32', null),
  (2, 1, 1, null, 'a', 'int32', null), (2, 2, 4, null, 'b', 'int32', null),
  (3, 1, 3, null, 'a', 'int32', null), (3, 2, 3, 4, 'b', 'int32', null), (3, 3, 3, 9, 'c', 'int32', null),
  (4, 1, 1, 4, 'a', 'int32', null), (4, 1, 4, null, 'a', 'int64', null),
  (5, 1, 1, null, 'a', 'struct', null), (5, 2, 1, 4, 'b', 'int32', 1), (5, 3, 4, null, 'b', 'int32', 1),
  (6, 1, 5, null, 'a', 'int32', null), (7, 1, 5, null, 'a', 'int32', null), (8, 1, 5, null, 'a', 'int32', null);
insert into ducklake_metadata (key, value, scope, scope_id) values ('data_inlining_row_limit', '0', 'table', 8);
--= table_id 2, name ducklake_inlined_data_2_3, columns 1
--= table_id 3, name ducklake_inlined_data_3_3, columns 2
--= table_id 4, name ducklake_inlined_data_4_3, columns 2
--= table_id 5, name ducklake_inlined_data_5_3, columns 2

--@ inlined-row-id | 0.2 1.0
-- the last counter counts; a table without statistics has given no ids
create table ducklake_inlined_data_1_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_1 values (0, 1, null), (49, 1, 3), (50, 1, null), (51, 1, 3);
create table ducklake_inlined_data_1_2 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_2 values (60, 1, null);
create table ducklake_inlined_data_2_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_2_1 values (0, 1, null);
insert into ducklake_table_stats (table_id, next_row_id) values (1, 50), (1, 20);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1'), (2, 1, 'ducklake_inlined_data_2_1'), (3, 1, 'ducklake_inlined_data_3_1');
-- table 3 was dropped, and its snapshots have expired
create table ducklake_inlined_data_3_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_3_1 values (0, 1, null);
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (1, 1, 2), (1, 2, null), (2, 1, 3);
--= table_id 1, name ducklake_inlined_data_1_1, row_id 50, begin_snapshot 1, end_snapshot NULL
--= table_id 1, name ducklake_inlined_data_1_1, row_id 51, begin_snapshot 1, end_snapshot 3
--= table_id 2, name ducklake_inlined_data_2_1, row_id 0, begin_snapshot 1, end_snapshot NULL

--@ inlined-row-overlap | 0.2 1.0
create table ducklake_inlined_data_1_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_1 values (1, 1, 3), (1, 3, null), (2, 1, 3), (2, 5, 6), (3, 4, null), (50, 1, 4),
  (50, 3, null), (51, 1, null), (51, 3, 4), (5, 3, null), (5, 3, null);
create table ducklake_inlined_data_1_2 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_2 values (3, 1, null);
create table ducklake_inlined_data_1_3 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
insert into ducklake_inlined_data_1_3 values (4, 1, 4), (4, 3, null);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1'), (1, 2, 'ducklake_inlined_data_1_2');
--= table_id 1, name ducklake_inlined_data_1_1, row_id 50, begin_snapshot 1, end_snapshot 4
--= table_id 1, name ducklake_inlined_data_1_1, row_id 51, begin_snapshot 1, end_snapshot NULL

--@ inlined-delete | 0.4 1.0
create table ducklake_inlined_delete_1 (file_id bigint, row_id bigint, begin_snapshot bigint);
insert into ducklake_inlined_delete_1 values (11, 0, 1), (11, 9, 9), (50, 0, 1), (11, null, 1), (11, -1, 1),
  (11, 10, 1),
  (12, 3, 1), (100, 0, 1);
insert into ducklake_data_file (data_file_id, table_id, record_count) values (11, 1, 10), (12, 2, 10);
--= table_id 1, name ducklake_inlined_delete_1, file_id 11, row_id -1, begin_snapshot 1
--= table_id 1, name ducklake_inlined_delete_1, file_id 11, row_id 10, begin_snapshot 1
--= table_id 1, name ducklake_inlined_delete_1, file_id 11, row_id NULL, begin_snapshot 1
--= table_id 1, name ducklake_inlined_delete_1, file_id 12, row_id 3, begin_snapshot 1
--= table_id 1, name ducklake_inlined_delete_1, file_id 100, row_id 0, begin_snapshot 1

--@ inlined-delete | 0.4 1.0
create table ducklake_inlined_delete_1 (file_id bigint, row_id bigint, begin_snapshot bigint);
insert into ducklake_inlined_delete_1 values (11, 0, 1), (12, 0, 1), (11, 1, null), (11, 2, 10), (11, 3, 4),
  (11, 3, 5);
create table ducklake_inlined_delete_2 (file_id bigint, row_id bigint, begin_snapshot bigint);
insert into ducklake_inlined_delete_2 values (13, 3, 4), (13, 4, 4);
insert into ducklake_data_file (data_file_id, table_id, record_count) values (11, 1, 10), (12, 1, 10), (13, 2, 10);
--= table_id 1, name ducklake_inlined_delete_1, file_id 11, row_id 1, begin_snapshot NULL
--= table_id 1, name ducklake_inlined_delete_1, file_id 11, row_id 2, begin_snapshot 10
--= table_id 1, name ducklake_inlined_delete_1, file_id 11, row_id 3, begin_snapshot 4

--@ inlined-delete-without-file | 0.4 1.0
-- 11 is there, 12 is of another table, 100 never was; 50 and 51 are gone
create table ducklake_inlined_delete_1 (file_id bigint, row_id bigint, begin_snapshot bigint);
insert into ducklake_inlined_delete_1 values (11, 0, 1), (12, 1, 1), (50, 2, 3), (99, 3, 4), (100, 0, 1), (null, 0, 1);
create table ducklake_inlined_delete_2 (file_id bigint, row_id bigint, begin_snapshot bigint);
insert into ducklake_inlined_delete_2 values (12, 0, 1);
create table ducklake_inlined_delete_3 (file_id bigint, row_id bigint, begin_snapshot bigint);
insert into ducklake_inlined_delete_3 values (51, 0, 1);
insert into ducklake_data_file (data_file_id, table_id, record_count) values (11, 1, 10), (12, 2, 10);
--= table_id 1, name ducklake_inlined_delete_1, file_id 50, row_id 2, begin_snapshot 3
--= table_id 1, name ducklake_inlined_delete_1, file_id 99, row_id 3, begin_snapshot 4
--= table_id 3, name ducklake_inlined_delete_3, file_id 51, row_id 0, begin_snapshot 1
--? select 1, file_id from ducklake_inlined_delete_1 where file_id <> 100 union all select 3, file_id from ducklake_inlined_delete_3 order by 1, 2
--> 1, 11
--> 1, 12

--@ inlined-deletes-of-dropped-table | 0.4 1.0
create table ducklake_inlined_data_51_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint);
create table ducklake_inlined_delete_1 (file_id bigint, row_id bigint, begin_snapshot bigint);
create table ducklake_inlined_delete_50 (file_id bigint, row_id bigint, begin_snapshot bigint);
insert into ducklake_table (table_id, end_snapshot) values (1, 5);
--= table_id 50, name ducklake_inlined_delete_50

--@ inlined-types | 0.4 1.0
-- only the newest inlined table of a living table counts, and only its own columns
create table ducklake_inlined_data_1_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint, a date, b varchar);
create table ducklake_inlined_data_1_2 (row_id bigint, begin_snapshot bigint, end_snapshot bigint, a date, b varchar,
  c timestamp, d double precision, e varchar, f varchar, g varchar);
create table ducklake_inlined_data_2_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint, a date);
insert into ducklake_table (table_id, end_snapshot) values (1, null), (2, 5);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1'), (1, 2, 'ducklake_inlined_data_1_2'), (2, 1, 'ducklake_inlined_data_2_1');
insert into ducklake_column (table_id, column_id, column_name, column_type, end_snapshot, parent_column) values
  (1, 50, 'a', 'date', null, null), (1, 51, 'b', 'varchar', null, null), (1, 52, 'c', 'timestamp', null, null),
  (1, 53, 'd', 'float32', null, null), (1, 6, 'e', 'date', null, null), (1, 7, 'f', 'varchar', 4, null),
  (1, 8, 'g', 'varchar', null, 6), (2, 1, 'a', 'date', null, null);
--= table_id 1, column_id 50, name ducklake_inlined_data_1_2, column_name a, column_type date, type date
--= table_id 1, column_id 51, name ducklake_inlined_data_1_2, column_name b, column_type varchar, type character varying
--= table_id 1, column_id 52, name ducklake_inlined_data_1_2, column_name c, column_type timestamp, type timestamp without time zone
--= table_id 1, column_id 53, name ducklake_inlined_data_1_2, column_name d, column_type float32, type double precision
--? select table_name, column_name, data_type from information_schema.columns
--? where table_name like 'ducklake_inlined_data_%_%' and ordinal_position > 3 order by table_name, ordinal_position
--> ducklake_inlined_data_1_1, a, date
--> ducklake_inlined_data_1_1, b, character varying
--> ducklake_inlined_data_1_2, a, character varying
--> ducklake_inlined_data_1_2, b, bytea
--> ducklake_inlined_data_1_2, c, character varying
--> ducklake_inlined_data_1_2, d, real
--> ducklake_inlined_data_1_2, e, character varying
--> ducklake_inlined_data_1_2, f, character varying
--> ducklake_inlined_data_1_2, g, character varying
--> ducklake_inlined_data_2_1, a, date

--@ inlined-types | 1.0
create table ducklake_inlined_data_1_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint, a json, b varchar,
  c timestamp with time zone, d double precision, e date, f varchar, g date, h date, i json, j varchar, k timestamp,
  l varchar, m timestamp with time zone, n varchar, o double precision);
insert into ducklake_table (table_id, end_snapshot) values (1, null);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1');
insert into ducklake_column (table_id, column_id, column_name, column_type) values (1, 50, 'a', 'json'),
  (1, 51, 'b', 'json'), (1, 52, 'c', 'timestamptz'), (1, 4, 'd', 'float64'), (1, 5, 'e', 'timestamp'),
  (1, 6, 'f', 'decimal'),
  (1, 7, 'g', 'varchar'), (1, 8, 'h', 'json'), (1, 9, 'i', 'decimal'), (1, 10, 'j', 'timestamp'),
  (1, 11, 'k', 'decimal'),
  (1, 12, 'l', 'timestamptz'), (1, 13, 'm', 'decimal'), (1, 14, 'n', 'float32'), (1, 15, 'o', 'varchar');
--= table_id 1, column_id 50, name ducklake_inlined_data_1_1, column_name a, column_type json, type json
--= table_id 1, column_id 51, name ducklake_inlined_data_1_1, column_name b, column_type json, type character varying
--= table_id 1, column_id 52, name ducklake_inlined_data_1_1, column_name c, column_type timestamptz, type timestamp with time zone
--? select table_name, column_name, data_type from information_schema.columns
--? where table_name like 'ducklake_inlined_data_%_%' and ordinal_position > 3 order by table_name, ordinal_position
--> ducklake_inlined_data_1_1, a, bytea
--> ducklake_inlined_data_1_1, b, bytea
--> ducklake_inlined_data_1_1, c, character varying
--> ducklake_inlined_data_1_1, d, double precision
--> ducklake_inlined_data_1_1, e, date
--> ducklake_inlined_data_1_1, f, character varying
--> ducklake_inlined_data_1_1, g, date
--> ducklake_inlined_data_1_1, h, date
--> ducklake_inlined_data_1_1, i, json
--> ducklake_inlined_data_1_1, j, character varying
--> ducklake_inlined_data_1_1, k, timestamp without time zone
--> ducklake_inlined_data_1_1, l, character varying
--> ducklake_inlined_data_1_1, m, timestamp with time zone
--> ducklake_inlined_data_1_1, n, character varying
--> ducklake_inlined_data_1_1, o, double precision

--@ inlined-text-as-hexadecimal | 0.4 1.0
create table ducklake_inlined_data_1_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint, n bigint, a
  varchar,
  b varchar);
insert into ducklake_inlined_data_1_1 values (1, 1, null, 1, 'abc', null), (2, 1, null, 1, '\x6', ''),
  (3, 1, null, 1, '\xzz', 'x'), (4, 1, null, 1, 'a\x61', '\X61'), (5, 1, null, 1, '\x61' || chr(10), 'x'),
  (50, 1, null, 1, '\x6162', 'a'), (51, 1, 3, 1, null, '\x');
create table ducklake_inlined_data_1_2 (row_id bigint, begin_snapshot bigint, end_snapshot bigint, a varchar);
insert into ducklake_inlined_data_1_2 values (6, 1, null, '\x61');
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1');
--= table_id 1, name ducklake_inlined_data_1_1, row_id 50, begin_snapshot 1, end_snapshot NULL
--= table_id 1, name ducklake_inlined_data_1_1, row_id 51, begin_snapshot 1, end_snapshot 3
