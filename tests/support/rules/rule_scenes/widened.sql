--@ bucket-of-other-type | 1.0
-- 1: types of one bucket. 50: a file from before the change, from after it, gone, of no bucket, of NULLs. 53: keys of no
-- more. 54: other keys now.
insert into ducklake_column (table_id, column_id, column_type, begin_snapshot, end_snapshot) values
  (1, 1, 'int8', 1, 3), (1, 1, 'int64', 3, null), (2, 1, 'uint8', 1, 3), (2, 1, 'uint128', 3, null),
  (3, 1, 'float32', 1, 3), (3, 1, 'float64', 3, null), (4, 1, 'timestamp', 1, 3), (4, 1, 'timestamptz', 3, null),
  (50, 1, 'int8', 1, 3), (50, 1, 'int128', 3, null), (51, 1, 'decimal(4,1)', 1, 3), (51, 1, 'decimal(9,2)', 3, null),
  (52, 1, 'int8', 1, 3), (52, 1, 'float64', 3, 5), (53, 1, 'int8', 1, 3), (53, 1, 'int128', 3, null),
  (54, 1, 'int8', 1, 3), (54, 1, 'int128', 3, null);
insert into ducklake_partition_info (partition_id, table_id, begin_snapshot, end_snapshot) values
  (1, 1, 1, null), (2, 2, 1, null), (3, 3, 1, null), (4, 4, 1, null), (50, 50, 1, null), (51, 51, 1, null),
  (52, 52, 1, null), (53, 53, 1, 2), (54, 54, 1, 2), (55, 54, 2, null);
insert into ducklake_partition_column (partition_id, table_id, partition_key_index, column_id, transform) values
  (1, 1, 0, 1, 'bucket(4)'), (2, 2, 0, 1, 'bucket(4)'), (3, 3, 0, 1, 'bucket(4)'), (4, 4, 0, 1, 'bucket(4)'),
  (50, 50, 0, 1, 'bucket(16)'), (51, 51, 0, 1, 'bucket(4)'), (52, 52, 0, 1, 'bucket(4)'), (53, 53, 0, 1, 'bucket(4)'),
  (54, 54, 0, 1, 'bucket(4)'), (55, 54, 0, 1, 'bucket(8)');
insert into ducklake_data_file (data_file_id, table_id, partition_id, begin_snapshot, end_snapshot) values
  (1, 1, 1, 2, null), (2, 2, 2, 2, null), (3, 3, 3, 2, null), (4, 4, 4, 2, null),
  (50, 50, 50, 2, null), (51, 50, 50, 3, null), (52, 50, 50, 2, 4), (53, 50, null, 2, null), (54, 51, 51, 2, null),
  (55, 52, 52, 2, null), (56, 50, 50, 2, null), (57, 53, 53, 1, null), (58, 54, 54, 1, null);
insert into ducklake_file_partition_value (data_file_id, table_id, partition_key_index, partition_value) values
  (1, 1, 0, '1'), (2, 2, 0, '1'), (3, 3, 0, '1'), (4, 4, 0, '1'), (50, 50, 0, '1'), (51, 50, 0, '1'), (52, 50, 0, '1'),
  (54, 51, 0, '1'), (55, 52, 0, '1'), (56, 50, 0, null), (57, 53, 0, '1'), (58, 54, 0, '1');
--= data_file_id 50, table_id 50, column_id 1, old_type int8, new_type int128
--= data_file_id 54, table_id 51, column_id 1, old_type decimal(4,1), new_type decimal(9,2)

--@ file-outside-buckets | 1.0
-- 1: a file of the keys, one of NULLs, one from before the column, one whose keys have expired, one that is gone.
-- 2: keys of no more. 3: other functions than buckets. 4: of no column that buckets are looked into for. 50: a file of no keys, of no statistics, of other keys: another
-- number of buckets, another column, another place. 51: one from before a column with a default. 52: a column that is gone.
insert into ducklake_column (table_id, column_id, column_type, initial_default, begin_snapshot, end_snapshot) values
  (1, 1, 'int32', null, 3, null), (2, 1, 'int32', null, 1, null), (3, 1, 'int32', null, 1, null),
  (50, 1, 'int32', null, 1, 2), (50, 1, 'int64', null, 2, null), (50, 2, 'int32', null, 1, null),
  (51, 1, 'int32', '7', 3, null), (52, 1, 'int32', null, 1, 5), (4, 1, 'variant', null, 1, null);
insert into ducklake_partition_info (partition_id, table_id, begin_snapshot, end_snapshot) values
  (1, 1, 1, null), (2, 2, 1, 2), (3, 3, 1, null), (50, 50, 3, null), (51, 51, 3, null), (52, 52, 3, null), (60, 50, 1, 2),
  (61, 50, 2, 3), (4, 4, 1, null);
insert into ducklake_partition_column (partition_id, table_id, partition_key_index, column_id, transform) values
  (1, 1, 0, 1, 'bucket(4)'), (2, 2, 0, 1, 'bucket(4)'), (3, 3, 0, 1, 'identity'), (50, 50, 0, 1, 'bucket(4)'),
  (50, 50, 1, 2, 'year'), (51, 51, 0, 1, 'bucket(4)'), (52, 52, 0, 1, 'bucket(4)'), (60, 50, 0, 1, 'bucket(8)'),
  (61, 50, 0, 2, 'bucket(4)'), (61, 50, 1, 1, 'bucket(4)'), (4, 4, 0, 1, 'bucket(4)');
insert into ducklake_data_file (data_file_id, table_id, partition_id, begin_snapshot, end_snapshot) values
  (1, 1, 1, 3, null), (2, 1, null, 3, null), (3, 1, null, 2, null), (4, 1, 9, 3, null), (5, 1, null, 3, 4),
  (6, 2, null, 3, null), (7, 3, null, 3, null), (50, 50, null, 2, null), (51, 50, null, 2, null), (52, 50, 60, 2, null),
  (53, 50, 61, 2, null), (54, 51, null, 2, null), (55, 52, null, 2, null), (56, 50, 50, 2, null),
  (9, 4, null, 2, null), (8, 50, null, 2, null);
insert into ducklake_file_partition_value (data_file_id, table_id, partition_key_index, partition_value) values
  (1, 1, 0, '1'), (4, 1, 0, '1'), (52, 50, 0, '1'), (53, 50, 0, '1'), (53, 50, 1, '1'), (56, 50, 0, '1'),
  (56, 50, 1, '1');
insert into ducklake_file_column_stats (data_file_id, table_id, column_id, value_count) values
  (1, 1, 1, 3), (2, 1, 1, 0), (50, 50, 1, 3), (52, 50, 1, 3), (53, 50, 1, null), (8, 50, 1, 2);
-- of 8 as many rows are deleted as have values, of 50 they were, and of 52 after the keys came
insert into ducklake_delete_file (delete_file_id, data_file_id, table_id, delete_count, begin_snapshot, end_snapshot)
values (20, 8, 50, 2, 3, null), (21, 50, 50, 3, 3, 4), (22, 52, 50, 3, 4, null);
--= data_file_id 50, table_id 50, column_id 1, partition_key_index 0, transform bucket(4)
--= data_file_id 51, table_id 50, column_id 1, partition_key_index 0, transform bucket(4)
--= data_file_id 52, table_id 50, column_id 1, partition_key_index 0, transform bucket(4)
--= data_file_id 53, table_id 50, column_id 1, partition_key_index 0, transform bucket(4)
--= data_file_id 54, table_id 51, column_id 1, partition_key_index 0, transform bucket(4)

--@ truth-statistics | 1.0
-- 1: a BOOLEAN, a text, numbers, one that was a BOOLEAN. 50: a minimum, a maximum.
insert into ducklake_column (table_id, column_id, column_type, begin_snapshot, end_snapshot) values
  (1, 1, 'boolean', 1, null), (1, 2, 'varchar', 1, null), (1, 3, 'int32', 1, null), (1, 4, 'boolean', 1, 3),
  (1, 4, 'int128', 3, null), (1, 5, 'int8', 1, 2), (50, 1, 'int8', 1, null), (50, 2, 'uint64', 1, null);
insert into ducklake_table_column_stats (table_id, column_id, min_value, max_value) values
  (1, 1, 'false', 'true'), (1, 2, 'true', 'true'), (1, 3, '0', '1'), (1, 4, 'true', 'true'), (1, 5, 'true', 'true'),
  (50, 1, 'false', null), (50, 2, '0', 'true');
--= table_id 50, column_id 1, min_value false, max_value NULL
--= table_id 50, column_id 2, min_value 0, max_value true
--? select table_id, column_id from ducklake_table_column_stats order by 1, 2
--> 1, 1
--> 1, 2
--> 1, 3
--> 1, 4
--> 1, 5
