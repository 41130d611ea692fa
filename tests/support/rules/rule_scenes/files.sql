-- Scenes for the rules about files; `support.rules.scenes` says how they are written.

--@ file-counts | 0.2 1.0
insert into ducklake_data_file (data_file_id, record_count, file_size_bytes, path, path_is_relative, file_format,
  row_id_start) values (1, 0, 1, 'a', true, 'parquet', 0), (2, 5, 9, 'a', false, 'parquet', null),
  (50, null, 1, 'a', true, 'parquet', 0), (51, -1, 1, 'a', true, 'parquet', 0),
  (52, 1, null, 'a', true, 'parquet', 0),
  (53, 1, 0, 'a', true, 'parquet', 0);
--= data file, id 50
--= data file, id 51
--= data file, id 52
--= data file, id 53

--@ file-counts | 0.2 1.0
insert into ducklake_data_file (data_file_id, record_count, file_size_bytes, path, path_is_relative, file_format,
  row_id_start) values (54, 1, 1, null, true, 'parquet', 0), (55, 1, 1, '', true, 'parquet', 0),
  (56, 1, 1, 'a', null, 'parquet', 0), (57, 1, 1, 'a', true, null, 0), (58, 1, 1, 'a', true, 'csv', 0);
--= data file, id 54
--= data file, id 55
--= data file, id 56
--= data file, id 57
--= data file, id 58

--@ file-counts | 0.2 1.0
insert into ducklake_data_file (data_file_id, record_count, file_size_bytes, footer_size, path, path_is_relative,
  file_format) values (1, 1, 9, 8, 'a', true, 'parquet'), (2, 1, 9, 0, 'a', true, 'parquet'),
  (3, 1, 9, null, 'a', true, 'parquet'), (50, 1, 9, -1, 'a', true, 'parquet'), (51, 1, 9, 9, 'a', true, 'parquet');
--= data file, id 50
--= data file, id 51

--@ file-counts | 1.0
insert into ducklake_data_file (data_file_id, record_count, file_size_bytes, path, path_is_relative, file_format,
  row_id_start) values (1, 1, 1, 'a', true, 'parquet', 0),
  (59, 1, 1, 'a', true, 'parquet', -1);
--= data file, id 59

--@ file-counts | 0.2 1.0
insert into ducklake_delete_file (delete_file_id, delete_count, path, path_is_relative, format) values
  (1, 1, 'a', true, 'parquet'), (2, 1, 'a', false, 'puffin'), (50, null, 'a', true, 'parquet'),
  (51, 0, 'a', true, 'parquet'), (52, 1, null, true, 'parquet'), (53, 1, '', true, 'parquet');
--= delete file, id 50
--= delete file, id 51
--= delete file, id 52
--= delete file, id 53

--@ file-counts | 1.0
insert into ducklake_delete_file (delete_file_id, delete_count, path, path_is_relative, format) values
  (1, 1, 'a', true, 'parquet'), (54, 1, 'a', null, 'parquet'), (55, 1, 'a', true, null), (56, 1, 'a', true, 'csv');
--= delete file, id 54
--= delete file, id 55
--= delete file, id 56

--@ delete-count | 0.2 1.0
insert into ducklake_data_file (data_file_id, record_count) values (1, 5), (2, 0);
insert into ducklake_delete_file (delete_file_id, data_file_id, delete_count) values (11, 1, 5), (12, 2, 0),
  (50, 1, 6),
  (13, 3, 7);
--= delete_file_id 50, data_file_id 1, delete_count 6, record_count 5

--@ path-once | 0.2 1.0
insert into ducklake_data_file (data_file_id, table_id, end_snapshot, path, path_is_relative) values
  (1, 1, null, 'a', true), (2, 1, 4, 'a', true), (3, 2, null, 'a', true), (4, 1, null, 'b', true),
  (5, 1, null, '/a', false), (6, 1, 5, '/a', false), (7, 1, null, 'b', false), (8, 2, null, '/same', false),
  (50, 3, null, 'same', true), (51, 3, null, 'same', true), (52, 1, null, '/same', false),
  (53, 1, null, '/same', false);
--= data_file_id 50, found 2
--= data_file_id 52, found 2

--@ path-once | 0.2 1.0
-- the same file by its place in the table's folder and by its whole path; 8 and 9 end, 10 is of another table
insert into ducklake_schema (schema_id, begin_snapshot, path, path_is_relative) values (0, 0, 'main/', true);
insert into ducklake_table (table_id, begin_snapshot, schema_id, path, path_is_relative) values (1, 1, 0, 't/', true),
  (2, 1, 0, 'u/', true);
insert into ducklake_data_file (data_file_id, table_id, end_snapshot, path, path_is_relative) values
  (1, 1, null, 'a', true), (2, 1, null, 'b', true), (3, 1, null, 'c', true), (8, 1, 4, 'lake/main/t/b', false),
  (9, 1, 4, 'd', true), (10, 2, null, 'lake/main/t/c', false), (11, 1, null, 'lake/main/t/d', false),
  (12, 1, null, 'a', false), (50, 1, null, 'lake/main/t/a', false);
--= data_file_id 50, found 2

--@ file-of-two-tables | 0.2 1.0
-- in t/ and u/: 1 and 11 have like names; 2 and 12 are one file, 13 and 14, and 5 (ended) and 15
insert into ducklake_schema (schema_id, begin_snapshot, path, path_is_relative) values (0, 0, 'main/', true);
insert into ducklake_table (table_id, begin_snapshot, schema_id, path, path_is_relative) values (1, 1, 0, 't/', true),
  (2, 1, 0, 'u/', true);
insert into ducklake_data_file (data_file_id, table_id, end_snapshot, path, path_is_relative) values
  (1, 1, null, 'a', true), (2, 1, null, 'b', true), (13, 1, null, '/x', false), (5, 1, 4, 'e', true),
  (6, 1, null, '/y', false), (7, 1, null, '/y', false), (11, 2, null, 'a', true),
  (12, 2, null, 'lake/main/t/b', false), (14, 2, null, '/x', false), (15, 2, null, 'lake/main/t/e', false);
--= data_file_id 2, other_file_id 12, path lake/main/t/b
--= data_file_id 5, other_file_id 15, path lake/main/t/e
--= data_file_id 13, other_file_id 14, path /x

--@ file-of-two-tables | 0.2 1.0
-- tables whose folders are one, or the schema's, or the lake's; 4 has a folder of its own; 5 was renamed
insert into ducklake_schema (schema_id, begin_snapshot, path, path_is_relative) values (0, 0, 'main/', true);
insert into ducklake_table (table_id, begin_snapshot, end_snapshot, schema_id, path, path_is_relative) values
  (1, 1, null, 0, 'one/', true), (2, 1, null, 0, 'lake/main/one/', false), (3, 1, null, 0, '', true),
  (4, 1, null, 0, 'four/', true), (5, 1, 2, 0, 'one/', true), (5, 2, null, 0, 'five/', true),
  (6, 1, null, 0, 'lake/', false);
insert into ducklake_data_file (data_file_id, table_id, path, path_is_relative) values
  (11, 1, 'a', true), (12, 2, 'a', true), (13, 3, 'four/b', true), (14, 4, 'b', true), (15, 5, 'a', true),
  (16, 6, 'main/four/c', true), (17, 4, 'c', true), (18, 3, 'b', true);
--= data_file_id 11, other_file_id 12, path lake/main/one/a
--= data_file_id 13, other_file_id 14, path lake/main/four/b
--= data_file_id 16, other_file_id 17, path lake/main/four/c

--@ row-id-counter | 0.2 1.0
insert into ducklake_table_stats (table_id, next_row_id) values (1, 10), (2, 20), (4, 100);
insert into ducklake_data_file (data_file_id, table_id, row_id_start, record_count, :partial) values
  (11, 1, 0, 10, null),
  (12, 2, 5, 10, null), (13, 1, 5, 6, '4'), (14, 3, 5, 90, null), (15, 4, 0, 10, null), (50, 1, 5, 6, null),
  (51, 2, 20, 1, null),
  (52, 2, 15, 7, null);
--= data_file_id 50, table_id 1, row_id_start 5, record_count 6, next_row_id 10
--= data_file_id 51, table_id 2, row_id_start 20, record_count 1, next_row_id 20
--= data_file_id 52, table_id 2, row_id_start 15, record_count 7, next_row_id 20
--? select table_id, next_row_id from ducklake_table_stats order by 1
--> 1, 11
--> 2, 22
--> 4, 100

--@ row-id-overlap | 0.2 1.0
-- the files of one table, in the order of their rows: 0-10, 10-20, then 50 inside of an earlier one that is longer
insert into ducklake_data_file (data_file_id, table_id, row_id_start, record_count, end_snapshot, :partial) values
  (11, 1, 0, 10, null, null), (12, 1, 10, 10, null, null), (13, 2, 5, 10, null, null), (14, 1, 12, 3, 4, null),
  (15, 1, 13, 0, null, null), (16, 1, 3, 4, null, '4'), (17, 1, null, 5, null, null), (18, 1, null, 5, null, null),
  (19, 3, 0, 100, null, null), (50, 3, 1, 2, null, null), (51, 3, 50, 5, null, null), (53, 4, 7, 1, null, null),
  (52, 4, 7, 1, null, null);
--= table_id 3, data_file_id 50, row_id_start 1, end_before 100
--= table_id 3, data_file_id 51, row_id_start 50, end_before 100
--= table_id 4, data_file_id 53, row_id_start 7, end_before 8

--@ value-counts | 0.2 1.0
insert into ducklake_column (table_id, column_id, parent_column, column_type) values (1, 1, null, 'int32'),
  (1, 1, null, 'int64'), (1, 2, null, 'struct'), (1, 3, 2, 'int32'), (1, 4, null, 'list'), (1, 5, null, 'map'),
  (1, 6, null, 'variant'), (1, 7, null, 'geometry'), (1, 50, null, 'varchar'), (2, 51, null, 'date');
insert into ducklake_data_file (data_file_id, table_id, record_count) values (11, 1, 10), (12, 2, 10), (50, 1, 10);
insert into :stats (data_file_id, table_id, column_id, value_count, null_count) values (11, 1, 1, 10, 0),
  (11, 1, 50, 4, 6),
  (12, 2, 51, 0, 0), (11, 1, 2, 12, 0), (11, 1, 3, 12, 0), (11, 1, 4, 12, 0), (11, 1, 5, 12, 0), (11, 1, 6, 12, 0),
  (11, 1, 7, 12, 0), (11, 1, 51, 3, 0), (11, 1, 9, 3, 0), (13, 1, 1, 3, 0), (50, 1, 1, 9, 0), (50, 1, 50, 6, 6),
  (12, 2, 51, 1, 0), (11, 1, 1, null, null);
--= data_file_id 12, column_id 51, value_count 1, null_count 0, record_count 10
--= data_file_id 50, column_id 1, value_count 9, null_count 0, record_count 10
--= data_file_id 50, column_id 50, value_count 6, null_count 6, record_count 10

--@ value-counts | 1.0
insert into ducklake_column (table_id, column_id, column_type) values (1, 50, 'int32');
insert into ducklake_data_file (data_file_id, table_id, record_count) values (50, 1, 10);
insert into :stats (data_file_id, table_id, column_id, value_count, null_count) values (50, 1, 50, 9, 0);
--= data_file_id 50, column_id 50, value_count 9, null_count 0, record_count 10

--@ value-counts | 0.2 1.0
-- of one snapshot alone: file 11 is of several, and only some of its rows are shown
delete from ducklake_snapshot where snapshot_id < 9;
insert into ducklake_column (table_id, column_id, column_type) values (1, 1, 'int32');
insert into ducklake_data_file (data_file_id, table_id, record_count, :partial) values (11, 1, 9, '12'), (50, 1, 9, null),
  (51, 1, 11, '12');
insert into :stats (data_file_id, table_id, column_id, value_count, null_count) values (11, 1, 1, 10, 0),
  (50, 1, 1, 10, 0), (51, 1, 1, 10, 0);
--= data_file_id 50, column_id 1, value_count 10, null_count 0, record_count 9
--= data_file_id 51, column_id 1, value_count 10, null_count 0, record_count 11

--@ row-total | 0.2 1.0
insert into ducklake_table_stats (table_id, record_count, next_row_id) values (1, 7, 9), (2, 9, 9), (3, 0, 0),
  (4, 2, 5), (5, null, 5), (6, 9, 20),
  (50, 9, 9), (51, null, 9), (52, 9, null), (53, 14, 50), (54, 1, 9);
insert into ducklake_data_file (data_file_id, table_id, record_count, end_snapshot) values (11, 1, 10, null),
  (12, 2, 5, null),
  (13, 2, 50, 4), (14, 4, 2, null), (20, 50, 10, null), (21, 51, 1, null), (22, 52, 1, null), (23, 53, 10, null),
  (24, 53, 5, null), (25, 54, 3, null), (15, 6, 8, null), (16, 6, 8, null);
insert into ducklake_delete_file (delete_file_id, data_file_id, delete_count, end_snapshot) values (31, 11, 3, null),
  (32, 20, 5, 6), (33, 25, 1, null), (34, 15, 2, null), (35, 15, 3, null), (36, 16, 2, null);
--= table_id 50, record_count 9, alive 10
--= table_id 51, record_count NULL, alive 1
--= table_id 52, record_count 9, alive 1
--= table_id 53, record_count 14, alive 15
--= table_id 54, record_count 1, alive 2

--@ file-key | 0.2 1.0
-- a plain lake, whatever is said of single tables
insert into ducklake_metadata values ('encrypted', 'true', 'table', 1), ('other', 'true', null, null);
insert into ducklake_data_file (data_file_id, encryption_key, mapping_id) values (1, null, null), (50, 'k', null),
  (52, 'k', 7);
insert into ducklake_delete_file (delete_file_id, encryption_key) values (2, null), (51, 'k');
--= data file, id 50
--= data file, id 52
--= delete file, id 51

--@ file-key | 0.2 1.0
-- 3 was added from outside, plain
update ducklake_metadata set value = 'true' where key = 'encrypted';
insert into ducklake_data_file (data_file_id, encryption_key, mapping_id) values (1, 'k', null), (3, null, 7),
  (50, null, null);
insert into ducklake_delete_file (delete_file_id, encryption_key) values (2, 'k'), (51, null);
--= data file, id 50
--= delete file, id 51

--@ plain-file-in-encrypted-lake | 0.2 0.4
update ducklake_metadata set value = 'true' where key = 'encrypted';
insert into ducklake_data_file (data_file_id, encryption_key, mapping_id, end_snapshot) values (1, 'k', null, null),
  (2, 'k', 7, null), (3, null, null, null), (4, null, 7, 5), (50, null, 7, null);
--= data_file_id 50

--@ plain-file-in-encrypted-lake | 0.2 0.4
-- a plain lake
insert into ducklake_data_file (data_file_id, mapping_id) values (1, 7);

--@ plain-file-among-encrypted | 1.0
update ducklake_metadata set value = 'true' where key = 'encrypted';
insert into ducklake_data_file (data_file_id, encryption_key, mapping_id, end_snapshot) values (1, 'k', null, null),
  (2, 'k', 7, null), (3, null, null, null), (4, null, 7, 5), (50, null, 7, null);
--= data_file_id 50

--@ scheduled-file-in-use | 0.2 1.0
insert into ducklake_data_file (data_file_id) values (1), (50);
insert into ducklake_delete_file (delete_file_id) values (2), (51);
insert into ducklake_files_scheduled_for_deletion (data_file_id, path) values (3, 'a'), (50, 'b'), (51, 'c'),
  (52, null);
--= data_file_id 50, path b
--= data_file_id 51, path c
--= data_file_id 52, path NULL
--? select data_file_id from ducklake_files_scheduled_for_deletion order by 1
--> 3
--> 52

--@ scheduled-file-in-use | 0.2 1.0
-- by its path, of data files that live or ended and of delete files, from the lake's folder or whole
insert into ducklake_schema (schema_id, begin_snapshot, path, path_is_relative) values (0, 0, 'main/', true);
insert into ducklake_table (table_id, begin_snapshot, schema_id, path, path_is_relative) values (1, 1, 0, 't/', true);
insert into ducklake_data_file (data_file_id, table_id, end_snapshot, path, path_is_relative) values
  (1, 1, null, 'a', true), (2, 1, 4, 'b', true), (3, 1, null, '/c', false), (4, 9, null, '/d', false);
insert into ducklake_delete_file (delete_file_id, table_id, path, path_is_relative) values (5, 1, 'e', true),
  (6, 1, '/f', false);
insert into ducklake_files_scheduled_for_deletion (data_file_id, path, path_is_relative) values
  (10, 'a', true), (11, 'main/t/a', false), (12, 't/a', true), (13, '/a', false), (14, 'c', true),
  (50, 'main/t/a', true), (51, 'lake/main/t/b', false), (52, '/c', false), (53, '/d', false), (54, 'main/t/e', true);
--= data_file_id 50, path main/t/a
--= data_file_id 51, path lake/main/t/b
--= data_file_id 52, path /c
--= data_file_id 53, path /d
--= data_file_id 54, path main/t/e
--? select data_file_id from ducklake_files_scheduled_for_deletion order by 1
--> 10
--> 11
--> 12
--> 13
--> 14
