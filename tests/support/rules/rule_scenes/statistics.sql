-- Scenes for the rules about statistics; `support.rules.scenes` says how they are written.

--@ narrow-statistics | 1.0
-- 1 is as it should be, 2 knows nothing; 50 and 51 leave out a file's minimum, 52 and 53 a maximum
insert into ducklake_column (table_id, column_id, column_type) values (1, 1, 'int32'), (1, 2, 'int32'),
  (1, 50, 'int64'), (1, 51, 'uint8'), (1, 52, 'int8'), (1, 53, 'uint64');
insert into ducklake_table_column_stats (table_id, column_id, min_value, max_value) values (1, 1, '-20', '100'),
  (1, 2, null, null), (1, 50, '-9', '9'), (1, 51, '10', '20'), (1, 52, '-3', '-2'), (1, 53, '5', '98');
insert into ducklake_data_file (data_file_id, table_id, end_snapshot) values (11, 1, null), (12, 1, null), (13, 1, 4);
insert into ducklake_file_column_stats (data_file_id, table_id, column_id, min_value, max_value) values
  (11, 1, 1, '-20', '9'), (12, 1, 1, '-3', '100'), (13, 1, 1, '-30', '200'), (11, 1, 2, '1', '2'),
  (12, 1, 2, null, null), (11, 1, 50, '-10', '9'), (12, 1, 50, '-9', '-1'), (11, 1, 51, '9', '20'),
  (12, 1, 51, '9', '10'), (11, 1, 52, '-3', '-1'), (11, 1, 53, '5', '100'), (12, 1, 53, '5', '98');
--= table_id 1, column_id 50, min_value -9, max_value 9, files 1
--= table_id 1, column_id 51, min_value 10, max_value 20, files 2
--= table_id 1, column_id 52, min_value -3, max_value -2, files 1
--= table_id 1, column_id 53, min_value 5, max_value 98, files 1
--? select table_id, column_id from ducklake_table_column_stats order by 1, 2
--> 1, 1
--> 1, 2

--@ narrow-statistics | 1.0
-- signs: 1 and 2 are as they should be, 3 has no values in the file
insert into ducklake_column (table_id, column_id, column_type) values (1, 1, 'int16'), (1, 2, 'int16'), (1, 3, 'int16'),
  (1, 50, 'int16'), (1, 51, 'int16'), (1, 52, 'int16'), (1, 53, 'int32');
insert into ducklake_table_column_stats (table_id, column_id, min_value, max_value) values (1, 1, '-5', '5'),
  (1, 2, '0', '19'), (1, 3, '-9', '-2'), (1, 50, '0', '5'), (1, 51, '-5', '-5'), (1, 52, '-15', '-5'), (1, 53, '-15', '15');
insert into ducklake_data_file (data_file_id, table_id) values (11, 1);
insert into ducklake_file_column_stats (data_file_id, table_id, column_id, min_value, max_value) values
  (11, 1, 1, '4', '-4'), (11, 1, 3, null, null), (11, 1, 2, '2', '18'), (11, 1, 50, '-1', '5'), (11, 1, 51, '-5', '0'),
  (11, 1, 52, '-16', '-6'), (11, 1, 53, '-14', '16');
--= table_id 1, column_id 50, min_value 0, max_value 5, files 1
--= table_id 1, column_id 51, min_value -5, max_value -5, files 1
--= table_id 1, column_id 52, min_value -15, max_value -5, files 1
--= table_id 1, column_id 53, min_value -15, max_value 15, files 1
--? select table_id, column_id from ducklake_table_column_stats order by 1, 2
--> 1, 1
--> 1, 2
--> 1, 3

--@ narrow-statistics | 1.0
-- dates that don't compare as text, on either side; only 50 and 51 do
insert into ducklake_column (table_id, column_id, column_type) values (1, 1, 'date'), (1, 2, 'date'), (1, 3, 'date'),
  (1, 4, 'timestamp'), (1, 5, 'date'), (1, 6, 'date'), (1, 50, 'date'), (1, 51, 'timestamptz');
insert into ducklake_table_column_stats (table_id, column_id, min_value, max_value) values
  (1, 1, '2020-01-01', '2020-12-31'), (1, 2, '0044-03-15 (BC)', '2020-01-01'), (1, 3, '2020-01-01', '12020-01-01'),
  (1, 4, '-infinity', '2020-01-01 00:00:00'), (1, 5, '0001-01-01', '0001-01-01'), (1, 6, '0001-01-01', '0044-03-15 (BC)'),
  (1, 50, '2020-01-01', '2020-12-31'), (1, 51, '2020-01-01 00:00:00+00', '2020-01-01 10:00:00+00');
insert into ducklake_data_file (data_file_id, table_id) values (11, 1), (12, 1);
insert into ducklake_file_column_stats (data_file_id, table_id, column_id, min_value, max_value) values
  (11, 1, 1, '12020-01-01', '12020-01-01'), (12, 1, 1, '2020-01-01', '2020-12-31'), (11, 1, 2, '0045-01-01 (BC)', '2020-01-02'),
  (11, 1, 3, '2019-01-01', '9999-01-01'), (11, 1, 4, '2000-01-01 00:00:00', '2020-01-02 00:00:00'),
  (11, 1, 5, '0044-03-15 (BC)', '0044-03-15 (BC)'), (11, 1, 6, '0001-01-01', '2020-01-01'),
  (11, 1, 50, '2019-12-31', '2020-01-01'), (11, 1, 51, '2020-01-01 00:00:00+00', '2020-01-01 10:00:00.5+00');
--= table_id 1, column_id 50, min_value 2020-01-01, max_value 2020-12-31, files 1
--= table_id 1, column_id 51, min_value 2020-01-01 00:00:00+00, max_value 2020-01-01 10:00:00+00, files 1
--? select table_id, column_id from ducklake_table_column_stats order by 1, 2
--> 1, 1
--> 1, 2
--> 1, 3
--> 1, 4
--> 1, 5
--> 1, 6

--@ narrow-statistics | 1.0
-- text by its bytes; numbers of other types, nested and dropped columns and other tables' files are not compared
insert into ducklake_column (table_id, column_id, column_type, end_snapshot, parent_column) values
  (1, 1, 'varchar', null, null), (1, 2, 'float64', null, null), (1, 3, 'varchar', null, 7), (1, 4, 'varchar', 5, null),
  (2, 1, 'varchar', null, null), (1, 50, 'varchar', null, null), (1, 51, 'varchar', null, null);
insert into ducklake_table_column_stats (table_id, column_id, min_value, max_value) values (1, 1, 'B', 'é'),
  (1, 2, '10.0', '20.0'), (1, 3, 'b', 'c'), (1, 4, 'b', 'c'), (2, 1, 'b', 'c'), (1, 50, 'a', 'z'), (1, 51, 'a', 'z');
insert into ducklake_data_file (data_file_id, table_id) values (11, 1);
insert into ducklake_file_column_stats (data_file_id, table_id, column_id, min_value, max_value) values
  (11, 1, 1, 'a', 'z'), (11, 1, 2, '9.0', '30.0'), (11, 1, 3, 'a', 'd'), (11, 1, 4, 'a', 'd'), (11, 1, 50, 'Z', 'z'),
  (11, 1, 51, 'a', 'é');
--= table_id 1, column_id 50, min_value a, max_value z, files 1
--= table_id 1, column_id 51, min_value a, max_value z, files 1
--? select table_id, column_id from ducklake_table_column_stats order by 1, 2
--> 1, 1
--> 1, 2
--> 1, 3
--> 1, 4
--> 2, 1

--@ unknown-statistics | 1.0
-- 1 has no values, 2 one end, 3 other statistics, 4 a type without; 5 is nested, 6 dropped, 7's file is gone
insert into ducklake_column (table_id, column_id, column_type, end_snapshot, parent_column) values
  (1, 1, 'int32', null, null), (1, 2, 'int32', null, null), (1, 3, 'variant', null, null), (1, 4, 'boolean', null, null),
  (1, 5, 'int32', null, 9), (1, 6, 'int32', 5, null), (1, 7, 'int32', null, null), (1, 8, 'int32', null, null),
  (1, 50, 'float64', null, null), (1, 51, 'varchar', null, null);
insert into ducklake_table_column_stats (table_id, column_id, min_value, max_value, extra_stats) values
  (1, 1, null, null, null), (1, 2, '1', null, null), (1, 3, null, null, '{}'), (1, 4, null, null, null),
  (1, 5, null, null, null), (1, 6, null, null, null), (1, 7, null, null, null), (1, 8, null, '1', null),
  (1, 50, null, null, null), (1, 51, null, null, null);
insert into ducklake_data_file (data_file_id, table_id, end_snapshot) values (11, 1, null), (12, 1, 5), (13, 1, null);
insert into ducklake_file_column_stats (data_file_id, table_id, column_id, min_value, max_value) values
  (11, 1, 1, null, null), (11, 1, 2, '1', '2'), (11, 1, 3, '1', '2'), (11, 1, 4, '1', '1'), (11, 1, 5, '1', '2'),
  (11, 1, 6, '1', '2'), (12, 1, 7, '1', '2'), (11, 1, 8, '1', '1'), (11, 1, 50, '1.5', '2.5'), (13, 1, 50, '1.5', '2.5'),
  (11, 1, 51, 'a', 'b'), (13, 1, 51, null, null);
--= table_id 1, column_id 50, files 2
--= table_id 1, column_id 51, files 1
--? select table_id, column_id from ducklake_table_column_stats order by 1, 2
--> 1, 1
--> 1, 2
--> 1, 3
--> 1, 4
--> 1, 5
--> 1, 6
--> 1, 7
--> 1, 8
