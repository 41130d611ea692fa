-- Scenes for the rules about references; `support.rules.scenes` says how they are written.

--@ schema-of-object | 0.2 1.0
insert into ducklake_schema (schema_id, begin_snapshot, end_snapshot) values (0, 0, null), (1, 3, 6);
insert into ducklake_table (table_id, schema_id, begin_snapshot, end_snapshot) values (2, 0, 0, null), (3, 1, 3, 6),
  (4, 1, 4, 5), (5, 0, 2, 9), (50, 9, 0, null), (51, 1, 2, 5), (52, 1, 3, 7), (53, 1, 3, null);
insert into ducklake_view (view_id, schema_id, begin_snapshot, end_snapshot) values (6, 0, 0, null), (54, 9, 0, 1);
--= table, id 50
--= table, id 51
--= table, id 52
--= table, id 53
--= view, id 54

--@ schema-of-object | 1.0
insert into ducklake_schema (schema_id, begin_snapshot, end_snapshot) values (0, 0, null), (1, 3, 6);
insert into ducklake_view (view_id, schema_id, begin_snapshot, end_snapshot) values (2, 0, 0, null), (3, 1, 3, 6),
  (4, 1, 4, 5), (5, 0, 2, 9), (50, 9, 0, null), (51, 1, 2, 5), (52, 1, 3, 7), (53, 1, 3, null);
--= view, id 50
--= view, id 51
--= view, id 52
--= view, id 53

--@ table-without-columns | 0.2 1.0
insert into ducklake_table (table_id, end_snapshot) values (1, null), (2, 5), (50, null), (51, null);
insert into ducklake_column (table_id, column_id, end_snapshot) values (1, 1, 4), (1, 2, null), (51, 1, 3);
--= table_id 50
--= table_id 51

--@ column-without-table | 0.2 1.0
insert into ducklake_table (table_id, end_snapshot) values (1, null), (2, 5);
insert into ducklake_column (table_id, column_id) values (1, 1), (2, 1), (50, 1);
insert into ducklake_partition_info (partition_id, table_id) values (3, 1), (51, 50);
--= column of table, id 50
--= partition, id 51

--@ file-without-table | 0.2 1.0
insert into ducklake_table (table_id, end_snapshot) values (1, null), (2, 5);
insert into ducklake_data_file (data_file_id, table_id) values (3, 1), (4, 2), (50, 9);
insert into ducklake_delete_file (delete_file_id, table_id) values (5, 1), (51, 9);
--= data file, id 50
--= delete file, id 51

--@ file-of-dropped-table | 0.2 1.0
insert into ducklake_table (table_id, end_snapshot) values (1, null), (1, 2), (2, 4), (2, 5), (3, 6);
insert into ducklake_data_file (data_file_id, table_id, end_snapshot) values (11, 1, null), (12, 2, 5), (13, 3, 3),
  (50, 2, null), (51, 9, null);
--= data file, id 50
--= data file, id 51
--? select data_file_id, end_snapshot from ducklake_data_file order by 1
--> 11, NULL
--> 12, 5
--> 13, 3
--> 50, 5
--> 51, NULL

--@ part-of-dropped-table | 0.2 1.0
insert into ducklake_table (table_id, end_snapshot) values (1, null), (2, 5);
insert into ducklake_view (view_id, end_snapshot) values (3, null), (4, 5);
insert into ducklake_column (table_id, end_snapshot) values (1, null), (1, 3), (2, 5), (2, null), (50, null);
insert into ducklake_partition_info (partition_id, table_id, end_snapshot) values (5, 1, null), (6, 2, 5),
  (51, 2, null);
insert into ducklake_data_file (data_file_id, end_snapshot) values (11, null), (12, 4);
insert into ducklake_delete_file (delete_file_id, table_id, data_file_id, end_snapshot) values (13, 1, 11, null),
  (14, 1, 12, 4), (15, 2, 11, 6), (52, 2, 11, null), (53, 1, 12, null);
--= column of table, id 2
--= column of table, id 50
--= delete file, id 52
--= delete file of an ended file, id 53
--= partition, id 51

--@ part-of-dropped-table | 0.2 1.0
insert into ducklake_table (table_id, end_snapshot) values (1, null), (2, 5);
insert into ducklake_view (view_id, end_snapshot) values (3, null), (4, 5);
insert into ducklake_tag (object_id, end_snapshot) values (1, null), (3, null), (2, 5), (4, 5), (9, 5), (2, null),
  (4, null), (50, null);
--= comment, id 2
--= comment, id 4
--= comment, id 50

--@ parent-column | 0.2 1.0
insert into ducklake_column (table_id, column_id, parent_column, end_snapshot) values (1, 1, null, null),
  (1, 2, 1, null), (1, 3, null, 4), (1, 4, 3, 4), (1, 50, 3, null), (1, 51, 9, null), (2, 52, 1, null),
  (1, 53, null, 4),
  (1, 54, 53, null);
--= table_id 1, column_id 50, parent_column 3
--= table_id 1, column_id 51, parent_column 9
--= table_id 1, column_id 54, parent_column 53
--= table_id 2, column_id 52, parent_column 1

--@ delete-file-without-data-file | 0.2 1.0
insert into ducklake_data_file (data_file_id, table_id) values (11, 1), (12, 2);
insert into ducklake_delete_file (delete_file_id, data_file_id, table_id) values (1, 11, 1), (2, 12, 2), (50, 11, 2),
  (51, 13, 1);
--= delete_file_id 50, data_file_id 11
--= delete_file_id 51, data_file_id 13

--@ statistics-without-file | 0.2 1.0
insert into ducklake_data_file (data_file_id, table_id) values (11, 1), (12, 2);
insert into :stats (data_file_id, table_id, column_id) values (11, 1, 1), (12, 2, 1), (11, 2, 50), (50, 1, 1);
--= data_file_id 11, table_id 2, column_id 50
--= data_file_id 50, table_id 1, column_id 1

--@ statistics-without-column | 0.2 1.0
insert into ducklake_column (table_id, column_id) values (1, 1), (2, 2);
insert into :stats (data_file_id, table_id, column_id) values (11, 1, 1), (12, 2, 2), (50, 1, 2), (51, 3, 1);
--= data_file_id 50, table_id 1, column_id 2
--= data_file_id 51, table_id 3, column_id 1

--@ statistics-once | 0.2 1.0
-- 1 and 63 share their bit, and so do -1 and 61
insert into :stats (data_file_id, column_id) values (11, 1), (11, 2), (11, 0), (12, 1), (13, 1), (13, 63), (14, -1),
  (14, 61), (50, 1), (50, 1), (50, 3), (51, 70), (51, 70), (52, null), (52, null), (53, -2), (53, -2), (53, -2);
--= data_file_id 50, column_id 1, found 2
--= data_file_id 51, column_id 70, found 2
--= data_file_id 52, column_id NULL, found 2
--= data_file_id 53, column_id -2, found 3

--@ partition-of-file | 0.2 1.0
insert into ducklake_partition_info (partition_id, table_id) values (1, 1), (2, 2);
insert into ducklake_data_file (data_file_id, table_id, partition_id) values (11, 1, 1), (12, 2, 2), (13, 1, null),
  (50, 1, 2), (51, 1, 3);
--= data_file_id 50, partition_id 2
--= data_file_id 51, partition_id 3

--@ partition-values | 0.2 1.0
insert into ducklake_partition_column (partition_id, partition_key_index) values (1, 0), (1, 1), (2, 0);
insert into ducklake_file_partition_value (data_file_id, partition_key_index) values (11, 0), (11, 1), (12, 0),
  (50, 0),
  (51, 0), (51, 1), (53, 0), (13, 0);
insert into ducklake_data_file (data_file_id, partition_id) values (11, 1), (12, 2), (13, null), (14, 4), (50, 1),
  (51, 2),
  (52, 2), (53, 3);
--= data_file_id 50, partition_id 1, found 1, wanted 2, fitting 1
--= data_file_id 51, partition_id 2, found 2, wanted 1, fitting 1
--= data_file_id 52, partition_id 2, found 0, wanted 1, fitting 0
--= data_file_id 53, partition_id 3, found 1, wanted 0, fitting 0

--@ partition-values | 0.2 1.0
-- values for keys that the partition has not, one key beside
insert into ducklake_partition_column (partition_id, partition_key_index) values (1, 0), (2, 0), (2, 1);
insert into ducklake_file_partition_value (data_file_id, partition_key_index) values (11, 0), (12, 0), (12, 1),
  (50, 1), (51, -1), (52, null), (53, 0), (53, 2);
insert into ducklake_data_file (data_file_id, partition_id) values (11, 1), (12, 2), (50, 1), (51, 1), (52, 1),
  (53, 2);
--= data_file_id 50, partition_id 1, found 1, wanted 1, fitting 0
--= data_file_id 51, partition_id 1, found 1, wanted 1, fitting 0
--= data_file_id 52, partition_id 1, found 1, wanted 1, fitting 0
--= data_file_id 53, partition_id 2, found 2, wanted 2, fitting 1

--@ partition-value-of-other-table | 0.2 1.0
insert into ducklake_data_file (data_file_id, table_id) values (11, 1), (50, 2);
insert into ducklake_file_partition_value (data_file_id, table_id) values (11, 1), (50, 1), (12, 1);
--= data_file_id 50, table_id 1, file_table_id 2

--@ partition-value-unused | 0.2 1.0
insert into ducklake_data_file (data_file_id, table_id, partition_id) values (11, 1, 1), (12, 2, null), (50, 1, null);
insert into ducklake_file_partition_value (data_file_id, table_id) values (11, 1), (12, 1), (50, 1), (51, 1);
--= no file, data_file_id 51
--= no partition, data_file_id 50

--@ partition-column | 0.2 1.0
insert into ducklake_partition_info (partition_id, table_id) values (1, 1), (2, 2);
insert into ducklake_column (table_id, column_id) values (1, 1), (2, 2);
insert into ducklake_partition_column (partition_id, table_id, column_id) values (1, 1, 1), (2, 2, 2), (50, 1, 1),
  (1, 2, 2), (1, 1, 51), (2, 2, 1);
--= no column, partition_id 1, column_id 51
--= no column, partition_id 2, column_id 1
--= no partition, partition_id 1, column_id 2
--= no partition, partition_id 50, column_id 1

--@ partition-transform | 0.2 1.0
insert into ducklake_partition_column (partition_id, partition_key_index, transform) values (1, 0, 'identity'),
  (2, 1, 'year'), (3, 0, 'month'), (4, 0, 'day'), (5, 0, 'hour'), (6, 0, 'epoch_year'), (7, 0, 'epoch_month'),
  (8, 0, 'epoch_day'), (9, 0, 'epoch_hour'), (10, 0, 'bucket(16)'), (50, 0, null), (51, null, 'identity'),
  (52, 0, 'decade'), (53, 0, 'bucket'), (54, 0, 'bucket(16');
--= partition_id 50, partition_key_index 0, transform NULL
--= partition_id 51, partition_key_index NULL, transform identity
--= partition_id 52, partition_key_index 0, transform decade
--= partition_id 53, partition_key_index 0, transform bucket
--= partition_id 54, partition_key_index 0, transform bucket(16

--@ bucket-value | 1.0
-- 8 and 9 are of other transforms, 10 is gone; a NULL is right where the file has no values, or doesn't say
insert into ducklake_partition_column (partition_id, table_id, partition_key_index, column_id, transform) values
  (1, 1, 0, 1, 'bucket(4)'), (1, 1, 1, 2, 'identity'), (2, 2, 0, 1, 'year'), (3, 3, 0, 1, 'bucket(4');
insert into ducklake_data_file (data_file_id, partition_id, end_snapshot) values (1, 1, null), (2, 1, null),
  (3, 1, null), (4, 1, null), (8, 2, null), (9, 3, null), (10, 1, 5), (50, 1, null), (51, 1, null), (52, 1, null),
  (54, 1, null), (55, 1, null);
insert into ducklake_file_partition_value (data_file_id, partition_key_index, partition_value) values (1, 0, '0'),
  (2, 0, '3'), (3, 0, null), (4, 0, null), (1, 1, 'x'), (8, 0, '2026'), (9, 0, 'x'), (10, 0, 'x'), (50, 0, '4'),
  (51, 0, '-1'), (52, 0, 'x'), (54, 0, null), (55, 0, '99999999999999999999');
insert into ducklake_file_column_stats (data_file_id, column_id, value_count, null_count) values (3, 1, 0, 9),
  (3, 2, 9, 0), (54, 1, 1, 8);
--= data_file_id 50, table_id 1, column_id 1, partition_value 4, transform bucket(4)
--= data_file_id 51, table_id 1, column_id 1, partition_value -1, transform bucket(4)
--= data_file_id 52, table_id 1, column_id 1, partition_value x, transform bucket(4)
--= data_file_id 54, table_id 1, column_id 1, partition_value NULL, transform bucket(4)
--= data_file_id 55, table_id 1, column_id 1, partition_value 99999999999999999999, transform bucket(4)

--@ mapping-of-file | 0.2 1.0
insert into ducklake_column_mapping (mapping_id, table_id) values (1, 1), (2, 2), (3, 1);
insert into ducklake_name_mapping (mapping_id, column_id) values (1, 1), (2, 1), (4, 1);
insert into ducklake_data_file (data_file_id, table_id, mapping_id) values (11, 1, 1), (12, 2, 2), (13, 1, null),
  (50, 1, 2), (51, 1, 3), (52, 1, 4);
--= no mapping, data_file_id 50, mapping_id 2
--= no mapping, data_file_id 52, mapping_id 4
--= no names, data_file_id 51, mapping_id 3

--@ mapping-of-column | 0.2 1.0
insert into ducklake_column_mapping (mapping_id, table_id) values (1, 1), (2, 2);
insert into ducklake_column (table_id, column_id) values (1, 1), (2, 2);
insert into ducklake_name_mapping (mapping_id, target_field_id) values (1, 1), (2, 2), (1, 2), (2, 50), (51, 1);
--= no column, mapping_id 1, target_field_id 2
--= no column, mapping_id 2, target_field_id 50
--= no mapping, mapping_id 51, target_field_id 1

--@ mapping-of-dropped-table | 0.2 1.0
insert into ducklake_table (table_id, end_snapshot) values (1, 3);
insert into ducklake_column_mapping (mapping_id, table_id) values (1, 1), (50, 2);
--= mapping_id 50, table_id 2

--@ mapping-is-partition | 0.3 1.0
insert into ducklake_name_mapping (mapping_id, column_id, is_partition) values (1, 1, true), (2, 1, false),
  (50, 1, null);
--= mapping_id 50, column_id 1
--? select mapping_id, is_partition from ducklake_name_mapping order by 1
--> 1, True
--> 2, False
--> 50, False

--@ comment-without-object | 0.2 1.0
insert into ducklake_table (table_id) values (1);
insert into ducklake_view (view_id) values (2);
insert into ducklake_column (table_id, column_id) values (1, 1), (3, 3);
insert into ducklake_tag (object_id) values (1), (2), (50);
insert into ducklake_column_tag (table_id, column_id) values (1, 1), (3, 3), (51, 1), (1, 3);
-- what a comment from before the oldest snapshot was of may have been dropped
delete from ducklake_snapshot where snapshot_id < 3;
insert into ducklake_tag (object_id, begin_snapshot, end_snapshot) values (52, 2, null), (53, 2, 4), (54, 3, null);
--= column comment of table, id 1
--= column comment of table, id 51
--= comment, id 50
--= comment, id 54

--@ macro-parts | 0.4 1.0
insert into ducklake_schema (schema_id) values (0);
insert into ducklake_macro (macro_id, schema_id) values (1, 0), (50, 9), (51, 0);
insert into ducklake_macro_impl (macro_id, impl_id) values (1, 0), (50, 1), (52, 0);
insert into ducklake_macro_parameters (macro_id, impl_id, column_id) values (1, 0, 0), (50, 1, 0), (53, 0, 0),
  (50, 0, 1);
--= body without macro, id 52
--= no body, id 51
--= no schema, id 50
--= parameter without body, id 50
--= parameter without body, id 53

--@ macro-parts | 0.4 1.0
-- no snapshot shows what ended until the oldest one
delete from ducklake_snapshot where snapshot_id < 3;
insert into ducklake_macro (macro_id, schema_id, end_snapshot) values (54, 9, 3), (55, 9, 4);
insert into ducklake_macro_impl (macro_id, impl_id) values (54, 0), (55, 0);
--= no schema, id 55

--@ sort-key-parts | 0.4 1.0
insert into ducklake_table (table_id) values (1);
insert into ducklake_sort_info (sort_id, table_id) values (2, 1), (50, 9), (51, 1);
insert into ducklake_sort_expression (sort_id) values (2), (50), (52);
--= expression without sort key, id 52
--= no expression, id 51
--= no table, id 50

--@ part-once | 0.2 1.0
insert into ducklake_partition_column (partition_id, partition_key_index) values (1, 0), (1, 1), (2, 0), (50, 0),
  (50, 0);
insert into ducklake_file_partition_value (data_file_id, partition_key_index) values (11, 0), (11, 1), (12, 0),
  (51, 1),
  (51, 1);
insert into ducklake_data_file (data_file_id, mapping_id) values (13, 1);
insert into ducklake_file_partition_value (data_file_id, partition_key_index) values (13, 1), (13, 1);
insert into ducklake_name_mapping (mapping_id, column_id) values (1, 1), (1, 2), (2, 1), (52, 1), (52, 1);
--= data file, id 51, part 1
--= mapping, id 52, part 1
--= partition, id 50, part 0

--@ partition-key-of-added-file | 0.2 1.0
insert into ducklake_data_file (data_file_id, mapping_id) values (11, null), (12, 1), (50, 1);
insert into ducklake_file_partition_value (data_file_id, partition_key_index) values (11, 1), (11, 1), (12, 0), (12, 1),
  (13, 0), (13, 0), (50, 1), (50, 1);
--= data_file_id 50, partition_key_index 1, found 2

--@ macro-part-once | 0.4 1.0
insert into ducklake_macro_impl (macro_id, impl_id) values (1, 0), (1, 1), (2, 0), (50, 0), (50, 0);
insert into ducklake_macro_parameters (macro_id, impl_id, column_id) values (1, 0, 0), (1, 0, 1), (1, 1, 0),
  (2, 0, 0),
  (51, 0, 1), (51, 0, 1);
insert into ducklake_sort_expression (sort_id, sort_key_index) values (3, 0), (3, 1), (4, 0), (52, 0), (52, 0);
--= macro, id 50, part 0
--= parameter of macro, id 51, part 1
--= sort key, id 52, part 0

--@ table-statistics | 0.2 1.0
insert into ducklake_table (table_id, end_snapshot) values (1, null), (2, 4), (50, null), (52, null);
insert into ducklake_table_stats (table_id) values (1), (2), (50), (50), (51);
insert into ducklake_data_file (data_file_id, table_id) values (11, 1), (12, 52), (13, 52);
--= missing, table_id 52
--= no table, table_id 51
--= several, table_id 50

--@ column-statistics | 0.2 1.0
insert into ducklake_table_stats (table_id) values (1), (2), (50);
insert into ducklake_column (table_id, column_id) values (1, 1), (1, 2), (2, 1), (50, 1), (51, 1), (2, 52);
insert into ducklake_table_column_stats (table_id, column_id) values (1, 1), (1, 2), (2, 1), (50, 1), (50, 1),
  (51, 1),
  (1, 52);
--= no column, table_id 1, column_id 52
--= no table statistics, table_id 51, column_id 1
--= several, table_id 50, column_id 1

--@ variant-statistics-without-file | 0.4 1.0
insert into ducklake_data_file (data_file_id, table_id) values (11, 1), (12, 2);
insert into ducklake_file_variant_stats (data_file_id, table_id, column_id) values (11, 1, 1), (12, 2, 1), (50, 1, 1),
  (11, 2, 1);
--= data_file_id 11, table_id 2, column_id 1
--= data_file_id 50, table_id 1, column_id 1
--? select data_file_id, table_id from ducklake_file_variant_stats order by 1, 2
--> 11, 1
--> 12, 2
