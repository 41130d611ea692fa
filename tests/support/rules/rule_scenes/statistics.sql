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
-- dates by their values: before Christ, after 9999, infinite; 1 to 6 are as they should be, each of the others isn't
insert into ducklake_column (table_id, column_id, column_type) values (1, 1, 'date'), (1, 2, 'date'), (1, 3, 'date'),
  (1, 4, 'timestamp'), (1, 5, 'date'), (1, 6, 'timestamp_ns'), (1, 50, 'date'), (1, 51, 'timestamptz'), (1, 52, 'date'),
  (1, 53, 'date'), (1, 54, 'timestamp');
insert into ducklake_table_column_stats (table_id, column_id, min_value, max_value) values
  (1, 1, '2020-01-01', '12020-01-01'), (1, 2, '0045-03-15 (BC)', '0044-01-01 (BC)'), (1, 3, '-infinity', 'infinity'),
  (1, 4, '10000-01-01 (BC)', '0001-01-01 00:00:00'), (1, 5, '0044-03-15 (BC)', '0044-03-15 (BC)'),
  (1, 6, '0044-03-15 (BC) 10:00:00', '10000-01-01'),
  (1, 50, '2020-01-01', '2020-12-31'), (1, 51, '2020-01-01 00:00:00+00', '2020-01-01 10:00:00+00'),
  (1, 52, '2020-01-01', '9999-12-31'), (1, 53, '0044-03-15 (BC)', '2020-01-01'), (1, 54, '2020-01-01', '2021-01-01');
insert into ducklake_data_file (data_file_id, table_id) values (11, 1), (12, 1);
insert into ducklake_file_column_stats (data_file_id, table_id, column_id, min_value, max_value) values
  (11, 1, 1, '9999-12-31', '12020-01-01'), (11, 1, 2, '0045-03-15 (BC)', '0044-01-01 (BC)'),
  (12, 1, 2, '0045-12-31 (BC)', '0045-12-31 (BC)'), (11, 1, 3, '0001-01-01', '290308-01-01'),
  (12, 1, 3, '-infinity', 'infinity'), (11, 1, 4, '9999-12-31 (BC) 00:00:00', '0044-03-15 (BC) 10:00:00.5'),
  (11, 1, 5, '0044-03-15 (BC)', '0044-03-15 (BC)'), (11, 1, 6, '0044-03-15 (BC) 10:00:00.000000001', '9999-01-01'),
  (11, 1, 50, '2019-12-31', '2020-01-01'), (11, 1, 51, '2020-01-01 00:00:00+00', '2020-01-01 10:00:00.5+00'),
  (11, 1, 52, '2020-01-01', '10000-01-01'), (11, 1, 53, '0045-01-01 (BC)', '2020-01-01'),
  (11, 1, 54, '-infinity', '2020-01-01 00:00:00');
--= table_id 1, column_id 50, min_value 2020-01-01, max_value 2020-12-31, files 1
--= table_id 1, column_id 51, min_value 2020-01-01 00:00:00+00, max_value 2020-01-01 10:00:00+00, files 1
--= table_id 1, column_id 52, min_value 2020-01-01, max_value 9999-12-31, files 1
--= table_id 1, column_id 53, min_value 0044-03-15 (BC), max_value 2020-01-01, files 1
--= table_id 1, column_id 54, min_value 2020-01-01, max_value 2021-01-01, files 1
--? select table_id, column_id from ducklake_table_column_stats order by 1, 2
--> 1, 1
--> 1, 2
--> 1, 3
--> 1, 4
--> 1, 5
--> 1, 6

--@ narrow-statistics | 1.0
-- dates, more of them
insert into ducklake_column (table_id, column_id, column_type) values (1, 55, 'date'), (1, 56, 'timestamp_s'),
  (1, 57, 'timestamptz');
insert into ducklake_table_column_stats (table_id, column_id, min_value, max_value) values
  (1, 55, '0001-01-01', '2020-01-01'), (1, 56, '0044-03-15 (BC) 10:00:00', '2020-01-01 00:00:00'),
  (1, 57, '2020-01-01', '2020-01-01');
insert into ducklake_data_file (data_file_id, table_id) values (11, 1);
insert into ducklake_file_column_stats (data_file_id, table_id, column_id, min_value, max_value) values
  (11, 1, 55, '0044-03-15 (BC)', '2020-01-01'), (11, 1, 56, '0044-03-15 (BC) 09:59:59', '2020-01-01'),
  (11, 1, 57, '2020-01-01 00:00:00+00', '2020-01-01 00:00:00.000001+00');
--= table_id 1, column_id 55, min_value 0001-01-01, max_value 2020-01-01, files 1
--= table_id 1, column_id 56, min_value 0044-03-15 (BC) 10:00:00, max_value 2020-01-01 00:00:00, files 1
--= table_id 1, column_id 57, min_value 2020-01-01, max_value 2020-01-01, files 1
--? select table_id, column_id from ducklake_table_column_stats order by 1, 2

--@ narrow-statistics | 1.0
-- columns that were a date, or a timestamp of another kind: one moment in several forms; 7 is in no form of DuckDB's
insert into ducklake_column (table_id, column_id, column_type) values (1, 1, 'timestamp'), (1, 2, 'timestamptz'),
  (1, 3, 'timestamptz'), (1, 4, 'timestamp_ns'), (1, 5, 'timestamptz'), (1, 6, 'timestamp_ms'), (1, 7, 'timestamptz'),
  (1, 50, 'timestamp'), (1, 51, 'timestamptz');
insert into ducklake_table_column_stats (table_id, column_id, min_value, max_value) values
  (1, 1, '2024-01-05 00:00:00', '2024-01-05 00:00:00'), (1, 2, '2024-01-05 00:00:00+00', '2024-01-05 00:00:00+00'),
  (1, 3, '2024-01-05', '2024-01-05 00:00:00.5+00'), (1, 4, '2024-01-05 00:00:00.5', '2024-01-05 00:00:00.500000001'),
  (1, 5, '0044-03-15 (BC) 00:00:00+00', '0044-03-15 (BC) 00:00:00+00'), (1, 6, '2024-01-05', '2024-01-05'),
  (1, 7, '2024-01-05 00:00:00+00', '2024-01-05 00:00:00+00'), (1, 50, '2024-01-05 00:00:00.5', '2024-01-06'),
  (1, 51, '2024-01-04', '2024-01-05');
insert into ducklake_data_file (data_file_id, table_id) values (11, 1), (12, 1);
insert into ducklake_file_column_stats (data_file_id, table_id, column_id, min_value, max_value) values
  (11, 1, 1, '2024-01-05', '2024-01-05'), (11, 1, 2, '2024-01-05', '2024-01-05'),
  (12, 1, 2, '2024-01-05 00:00:00', '2024-01-05 00:00:00'), (11, 1, 3, '2024-01-05 00:00:00', '2024-01-05 00:00:00.5'),
  (11, 1, 4, '2024-01-05 00:00:00.500', '2024-01-05 00:00:00.5'), (11, 1, 5, '0044-03-15 (BC)', '0044-03-15 (BC)'),
  (11, 1, 6, '2024-01-05 00:00:00', '2024-01-05 00:00:00.000'), (11, 1, 7, '2020-01-01 00:00:00+05:30', 'tomorrow'),
  (12, 1, 7, '2020-01-01 00:00:00-08', '2030-01-01 00:00:00+02'), (11, 1, 50, '2024-01-05', '2024-01-06'),
  (11, 1, 51, '2024-01-04 00:00:00', '2024-01-05 00:00:00.000001+00');
--= table_id 1, column_id 50, min_value 2024-01-05 00:00:00.5, max_value 2024-01-06, files 1
--= table_id 1, column_id 51, min_value 2024-01-04, max_value 2024-01-05, files 1
--? select table_id, column_id from ducklake_table_column_stats order by 1, 2
--> 1, 1
--> 1, 2
--> 1, 3
--> 1, 4
--> 1, 5
--> 1, 6
--> 1, 7

--@ narrow-statistics | 1.0
-- decimals by their values, of columns that were whole numbers, or had fewer decimals; 5 is in no form of DuckDB's
insert into ducklake_column (table_id, column_id, column_type) values (1, 1, 'decimal(9,2)'), (1, 2, 'decimal(38,10)'),
  (1, 3, 'decimal(4,1)'), (1, 4, 'decimal(9,2)'), (1, 5, 'decimal(9,2)'), (1, 50, 'decimal(9,2)'),
  (1, 51, 'decimal(38,10)'), (1, 52, 'decimal(4,1)'), (1, 53, 'decimal(9,2)');
insert into ducklake_table_column_stats (table_id, column_id, min_value, max_value) values
  (1, 1, '-5', '10'), (1, 2, '-10000000.0000000000', '9007199254740993'), (1, 3, '-1.5', '0.0'), (1, 4, '0', '0'),
  (1, 5, '1.00', '2.00'), (1, 50, '-9.25', '99.99'), (1, 51, '9', '10.0'), (1, 52, '-1.5', '-0.5'), (1, 53, '9.50', '10.00');
insert into ducklake_data_file (data_file_id, table_id) values (11, 1), (12, 1);
insert into ducklake_file_column_stats (data_file_id, table_id, column_id, min_value, max_value) values
  (11, 1, 1, '-5.00', '9.50'), (12, 1, 1, '9', '10.00'), (11, 1, 2, '-9999999', '9007199254740993.0000000000'),
  (11, 1, 3, '-1.50', '0'), (11, 1, 4, '0.00', '0.00'), (11, 1, 5, 'NaN', '1e3'), (12, 1, 5, null, null),
  (11, 1, 50, '-9.26', '9.50'), (12, 1, 50, '-10', '10'), (11, 1, 51, '9.0000000000', '10.0000000001'),
  (11, 1, 52, '-1.4', '-0.4'), (11, 1, 53, '10.00', '100.00');
--= table_id 1, column_id 50, min_value -9.25, max_value 99.99, files 2
--= table_id 1, column_id 51, min_value 9, max_value 10.0, files 1
--= table_id 1, column_id 52, min_value -1.5, max_value -0.5, files 1
--= table_id 1, column_id 53, min_value 9.50, max_value 10.00, files 1
--? select table_id, column_id from ducklake_table_column_stats order by 1, 2
--> 1, 1
--> 1, 2
--> 1, 3
--> 1, 4
--> 1, 5

--@ narrow-statistics | 1.0
-- floats by their values, as the type has them; 4 and 5 may hold NaN, 6 has odd text, 7 numbers too large to be read
insert into ducklake_column (table_id, column_id, column_type) values (1, 1, 'float64'), (1, 2, 'float32'),
  (1, 3, 'float64'), (1, 4, 'float64'), (1, 5, 'float64'), (1, 6, 'float64'), (1, 7, 'float32'), (1, 50, 'float64'),
  (1, 51, 'float32'), (1, 52, 'float64'), (1, 53, 'float64');
insert into ducklake_table_column_stats (table_id, column_id, min_value, max_value, contains_nan) values
  (1, 1, '-1e+300', '1e+20', false), (1, 2, '-1.5', '16777216.0', false), (1, 3, '-inf', 'inf', false),
  (1, 4, '1.0', '2.0', true), (1, 5, '1.0', '2.0', null), (1, 6, '1.0', '2.0', false), (1, 7, '1.0', '2.0', false),
  (1, 50, '-1.5', '9.0', false), (1, 51, '0.2', '1.0', false), (1, 52, '0.1', '2e-05', false),
  (1, 53, '0', '1e+20', false);
insert into ducklake_data_file (data_file_id, table_id) values (11, 1), (12, 1);
insert into ducklake_file_column_stats (data_file_id, table_id, column_id, min_value, max_value) values
  (11, 1, 1, '-5', '9007199254740993'), (12, 1, 1, '-1e+300', '100000000000000000000'), (11, 1, 2, '-1.5', '16777217'),
  (11, 1, 3, '-1e+300', '1e+300'), (12, 1, 3, '-inf', 'inf'), (11, 1, 4, '0.0', '3.0'), (11, 1, 5, '0.0', '3.0'),
  (11, 1, 6, 'nan', 'e+05'), (12, 1, 6, '-', '1e+400'), (11, 1, 7, '-1e+60', '1e+300'), (11, 1, 50, '-1.5', '10'),
  (11, 1, 51, '0.1', '1'), (11, 1, 52, '0.1', '0.1'), (11, 1, 53, '-0.5', '1e+5');
--= table_id 1, column_id 50, min_value -1.5, max_value 9.0, files 1
--= table_id 1, column_id 51, min_value 0.2, max_value 1.0, files 1
--= table_id 1, column_id 52, min_value 0.1, max_value 2e-05, files 1
--= table_id 1, column_id 53, min_value 0, max_value 1e+20, files 1
--? select table_id, column_id from ducklake_table_column_stats order by 1, 2
--> 1, 1
--> 1, 2
--> 1, 3
--> 1, 4
--> 1, 5
--> 1, 6
--> 1, 7

--@ narrow-statistics | 1.0
-- times
insert into ducklake_column (table_id, column_id, column_type) values (1, 1, 'time'), (1, 2, 'timetz'), (1, 50, 'time'),
  (1, 51, 'time');
insert into ducklake_table_column_stats (table_id, column_id, min_value, max_value) values
  (1, 1, '09:00:00', '10:00:00.5'), (1, 2, '09:00:00+02', '10:00:00+00'), (1, 50, '09:00:00.5', '10:00:00'),
  (1, 51, '09:00:00', '10:00:00');
insert into ducklake_data_file (data_file_id, table_id) values (11, 1);
insert into ducklake_file_column_stats (data_file_id, table_id, column_id, min_value, max_value) values
  (11, 1, 1, '09:00:00', '10:00:00.5'), (11, 1, 2, '08:00:00+02', '11:00:00+00'), (11, 1, 50, '09:00:00', '10:00:00'),
  (11, 1, 51, '09:00:00', '10:00:00.000001');
--= table_id 1, column_id 50, min_value 09:00:00.5, max_value 10:00:00, files 1
--= table_id 1, column_id 51, min_value 09:00:00, max_value 10:00:00, files 1
--? select table_id, column_id from ducklake_table_column_stats order by 1, 2
--> 1, 1
--> 1, 2

--@ narrow-statistics | 1.0
-- text by its bytes; floats that may be NaN, nested and dropped columns and other tables' files are not compared
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

--@ narrow-statistics | 1.0
-- types that compare as text
insert into ducklake_column (table_id, column_id, column_type) values
  (1, 1, 'json'), (1, 2, 'uuid'), (1, 3, 'blob'), (50, 1, 'json'), (50, 2, 'uuid');
insert into ducklake_data_file (data_file_id, table_id) values (1, 1), (50, 50);
insert into ducklake_file_column_stats (data_file_id, table_id, column_id, min_value, max_value) values
  (1, 1, 1, '[10]', '{"a": 1}'), (1, 1, 2, '12345678-1234-5678-1234-567812345678', 'f2345678-1234-5678-1234-567812345678'),
  (1, 1, 3, '61', '62'), (50, 50, 1, '9', '[10]'),
  (50, 50, 2, '12345678-1234-5678-1234-567812345678', 'f2345678-1234-5678-1234-567812345678');
insert into ducklake_table_column_stats (table_id, column_id, min_value, max_value) values
  (1, 1, '[10]', '{"a": 1}'), (1, 2, '12345678-1234-5678-1234-567812345678', 'f2345678-1234-5678-1234-567812345678'),
  (1, 3, '61', '61'), (50, 1, '[10]', '[10]'),
  (50, 2, '12345678-1234-5678-1234-567812345678', 'e2345678-1234-5678-1234-567812345678');
--= table_id 50, column_id 1, min_value [10], max_value [10], files 1
--= table_id 50, column_id 2, min_value 12345678-1234-5678-1234-567812345678, max_value e2345678-1234-5678-1234-567812345678, files 1
--? select table_id, column_id from ducklake_table_column_stats order by 1, 2
--> 1, 1
--> 1, 2
--> 1, 3
