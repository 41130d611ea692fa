-- Scenes for the rules about history; `support.rules.scenes` says how they are written.

--@ snapshot-range | 0.2 1.0
insert into ducklake_schema (schema_id, begin_snapshot, end_snapshot) values (1, 0, null), (2, 9, null), (3, 0, 9),
  (4, 8, 9), (50, null, null), (51, null, 3), (52, 10, null), (53, 5, 4), (54, 5, 5);
--= schema, id 50, begin_snapshot NULL, end_snapshot NULL
--= schema, id 51, begin_snapshot NULL, end_snapshot 3
--= schema, id 52, begin_snapshot 10, end_snapshot NULL
--= schema, id 53, begin_snapshot 5, end_snapshot 4
--= schema, id 54, begin_snapshot 5, end_snapshot 5

--@ snapshot-range | 0.2 1.0
insert into ducklake_schema (schema_id, begin_snapshot, end_snapshot) values (1, 0, null), (50, 5, 10);
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (2, 0, 1), (51, 10, null);
insert into ducklake_view (view_id, begin_snapshot, end_snapshot) values (3, 0, 1), (52, 3, 3);
insert into ducklake_column (table_id, begin_snapshot, end_snapshot) values (4, 0, 1), (53, 3, 2);
insert into ducklake_delete_file (delete_file_id, begin_snapshot, end_snapshot) values (5, 3, 3), (54, 3, 2);
--= column of table, id 53, begin_snapshot 3, end_snapshot 2
--= delete file, id 54, begin_snapshot 3, end_snapshot 2
--= schema, id 50, begin_snapshot 5, end_snapshot 10
--= table, id 51, begin_snapshot 10, end_snapshot NULL
--= view, id 52, begin_snapshot 3, end_snapshot 3

--@ snapshot-range | 0.2 1.0
insert into ducklake_tag (object_id, begin_snapshot, end_snapshot) values (2, 0, 1), (50, 10, null);
insert into ducklake_column_tag (table_id, begin_snapshot, end_snapshot) values (3, 0, 1), (51, 3, 3);
insert into ducklake_data_file (data_file_id, begin_snapshot, end_snapshot) values (4, 0, 1), (52, 3, 3);
insert into ducklake_partition_info (partition_id, begin_snapshot, end_snapshot) values (5, 3, 4), (53, 3, 2);
--= column comment of table, id 51, begin_snapshot 3, end_snapshot 3
--= comment, id 50, begin_snapshot 10, end_snapshot NULL
--= data file, id 52, begin_snapshot 3, end_snapshot 3
--= partition, id 53, begin_snapshot 3, end_snapshot 2

--@ macro-range | 0.4 1.0
insert into ducklake_macro (macro_id, begin_snapshot, end_snapshot) values (1, 0, null), (2, 9, null), (3, 0, 9),
  (4, 8, 9), (50, null, null), (51, 10, null), (52, 5, 5);
insert into ducklake_sort_info (sort_id, begin_snapshot, end_snapshot) values (5, 0, 9), (53, 5, 10), (54, 5, 4);
--= macro, id 50, begin_snapshot NULL, end_snapshot NULL
--= macro, id 51, begin_snapshot 10, end_snapshot NULL
--= macro, id 52, begin_snapshot 5, end_snapshot 5
--= sort key, id 53, begin_snapshot 5, end_snapshot 10
--= sort key, id 54, begin_snapshot 5, end_snapshot 4

--@ version-overlap | 0.2 1.0
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (1, 0, 5), (1, 5, null), (2, 0, 3),
  (2, 5, 7),
  (3, 0, null), (50, 0, 6), (50, 5, null), (51, 0, null), (51, 5, null);
insert into ducklake_view (view_id, begin_snapshot, end_snapshot) values (4, 0, 5), (4, 5, null), (52, 0, 9),
  (52, 5, 7);
insert into ducklake_partition_info (partition_id, table_id, begin_snapshot, end_snapshot) values
  (5, 1, 0, 5), (6, 1, 5, null), (7, 53, 0, 6), (8, 53, 5, null);
--= partition of table, id 53, begin_snapshot 0, next_begin 5
--= table, id 50, begin_snapshot 0, next_begin 5
--= table, id 51, begin_snapshot 0, next_begin 5
--= view, id 52, begin_snapshot 0, next_begin 5

--@ version-overlap | 1.0
insert into ducklake_view (view_id, begin_snapshot, end_snapshot) values (50, 0, null), (50, 5, null);
insert into ducklake_partition_info (partition_id, table_id, begin_snapshot, end_snapshot) values (1, 51, 0, null),
  (2, 51, 5, null);
--= partition of table, id 51, begin_snapshot 0, next_begin 5
--= view, id 50, begin_snapshot 0, next_begin 5

--@ sort-key-overlap | 0.4 1.0
insert into ducklake_sort_info (sort_id, table_id, begin_snapshot, end_snapshot) values
  (5, 1, 0, 5), (6, 1, 5, null), (7, 2, 0, 3), (8, 2, 5, 7), (9, 50, 0, 6), (10, 50, 5, null), (11, 51, 0, null),
  (12, 51, 5, 9);
--= sort key of table, id 50, begin_snapshot 0, next_begin 5
--= sort key of table, id 51, begin_snapshot 0, next_begin 5

--@ column-once | 0.2 1.0
insert into ducklake_column (table_id, column_id, begin_snapshot, end_snapshot) values (1, 1, 0, 5), (1, 1, 5, null),
  (1, 2, 0, null), (2, 1, 0, null), (3, 1, 0, 2), (3, 1, 2, 3), (50, 1, 0, null), (50, 1, 5, null),
  (51, 1, 0, 5), (51, 1, 0, 6);
--= table_id 50, column_id 1, found 2
--= table_id 51, column_id 1, found 2

--@ column-overlap | 0.2 1.0
-- the last version is never in the way, and two living ones are another rule's
insert into ducklake_column (table_id, column_id, begin_snapshot, end_snapshot) values (1, 1, 0, 5), (1, 1, 5, null),
  (1, 2, 0, 7), (2, 1, 3, 9), (3, 1, 0, null), (3, 1, 2, null), (50, 1, 0, 6), (50, 1, 5, null), (51, 1, 0, 9),
  (51, 1, 2, 3), (51, 2, 1, 4);
--= table_id 50, column_id 1, begin_snapshot 0, next_begin 5
--= table_id 51, column_id 1, begin_snapshot 0, next_begin 2
--? select table_id, column_id, begin_snapshot, end_snapshot from ducklake_column order by 1, 2, 3
--> 1, 1, 0, 5
--> 1, 1, 5, NULL
--> 1, 2, 0, 7
--> 2, 1, 3, 9
--> 3, 1, 0, NULL
--> 3, 1, 2, NULL
--> 50, 1, 0, 5
--> 50, 1, 5, NULL
--> 51, 1, 0, 2
--> 51, 1, 2, 3
--> 51, 2, 1, 4

--@ name-once | 0.2 1.0
insert into ducklake_schema (schema_id, schema_name, end_snapshot) values (0, 'main', null), (1, 'a', 3),
  (2, 'A', null),
  (50, 'twice', null), (51, 'TWICE', null);
insert into ducklake_table (table_id, schema_id, table_name, end_snapshot) values (3, 0, 't', null),
  (4, 0, 'gone', 2),
  (5, 2, 't', null), (52, 0, 'same', null), (53, 0, 'Same', null), (54, 0, 'v', null);
insert into ducklake_view (view_id, schema_id, view_name, end_snapshot) values (6, 2, 'w', null),
  (7, 0, 'gone', null),
  (8, 0, 't', 5), (55, 0, 'V', null);
insert into ducklake_column (table_id, column_id, column_name, parent_column, end_snapshot) values
  (3, 1, 'a', null, null), (3, 2, 'a', null, 4), (3, 3, 'b', null, null), (3, 4, 'a', 3, null), (3, 5, 'A', 1, null),
  (4, 1, 'a', null, null), (56, 1, 'x', null, null), (56, 2, 'X', null, null);
--= column of table, id 56, name x
--= schema, id 50, name twice
--= table or view, id 52, name same
--= table or view, id 54, name v

--@ name-once | 0.2 1.0
-- only A to Z are the same as a to z, in every database
insert into ducklake_schema (schema_id, schema_name) values (0, 'main'), (1, 'Ö'), (2, 'ö'), (50, 'isi'), (51, 'ISI');
insert into ducklake_table (table_id, schema_id, table_name) values (3, 0, 'Ä'), (4, 0, 'ä'), (5, 0, 'I'), (6, 0, 'ı'),
  (7, 0, 'İ'), (8, 0, 'STRASSE'), (9, 0, 'straße'), (10, 0, 'Σ'), (11, 0, 'σ'), (12, 0, 'ς'), (13, 1, 'i'),
  (52, 0, 'Äi'), (53, 0, 'ÄI');
insert into ducklake_view (view_id, schema_id, view_name) values (14, 0, 'É'), (15, 0, 'é'), (54, 1, 'I');
insert into ducklake_column (table_id, column_id, column_name) values (3, 1, 'Ü'), (3, 2, 'ü'), (3, 3, 'İ'), (3, 4, 'i'),
  (55, 1, 'üI'), (55, 2, 'üi');
--= column of table, id 55, name üi
--= schema, id 50, name isi
--= table or view, id 13, name i
--= table or view, id 52, name Äi

--@ macro-name-once | 0.4 1.0
insert into ducklake_macro (macro_id, schema_id, macro_name, end_snapshot) values (1, 0, 'm', null), (2, 0, 'M', 4),
  (3, 1, 'm', null), (50, 0, 'n', null), (51, 0, 'N', null);
--= macro_id 50, name n

--@ macro-name-once | 0.4 1.0
-- a scalar and a table macro may share a name; several bodies of one macro are one
insert into ducklake_macro (macro_id, schema_id, macro_name) values (1, 0, 'both'), (2, 0, 'BOTH'), (3, 0, 'many'),
  (4, 0, 'Ä'), (5, 0, 'ä'), (50, 0, 'twice'), (51, 0, 'twice'), (52, 0, 'twice');
insert into ducklake_macro_impl (macro_id, impl_id, type) values (1, 0, 'scalar'), (2, 0, 'table'), (3, 0, 'scalar'),
  (3, 1, 'scalar'), (4, 0, 'scalar'), (5, 0, 'scalar'), (50, 0, 'table'), (51, 0, 'scalar'), (52, 0, 'table');
--= macro_id 50, name twice

--@ name-missing | 0.2 1.0
insert into ducklake_schema (schema_id, schema_name) values (1, ''), (50, null);
insert into ducklake_table (table_id, table_name) values (2, ''), (51, null);
insert into ducklake_view (view_id, view_name, sql, dialect) values (3, 'v', 'select 1', 'duckdb'),
  (52, null, 'select 1', 'duckdb'), (53, 'v', null, 'duckdb'), (54, 'v', 'select 1', null);
--= schema, id 50
--= table, id 51
--= view, id 52
--= view, id 53
--= view, id 54

--@ name-missing | 0.2 1.0
insert into ducklake_column (table_id, column_id, column_name, column_type, column_order, nulls_allowed) values
  (1, 1, 'a', 'int32', 1, true), (2, 0, '', 'x', 0, false), (50, 1, null, 'int32', 1, true),
  (51, 1, 'a', null, 1, true),
  (52, 1, 'a', '', 1, true), (53, null, 'a', 'int32', 1, true);
--= column of table, id 50
--= column of table, id 51
--= column of table, id 52
--= column of table, id 53

--@ name-missing | 1.0
insert into ducklake_column (table_id, column_id, column_name, column_type, column_order, nulls_allowed) values
  (1, 1, 'a', 'int32', 1, true), (54, 1, 'a', 'int32', null, true), (55, 1, 'a', 'int32', 1, null);
--= column of table, id 54
--= column of table, id 55

--@ comment-once | 0.2 1.0
insert into ducklake_tag (object_id, key, end_snapshot) values (1, 'comment', null), (1, 'comment', 3),
  (1, 'k', null),
  (2, 'comment', null), (50, 'comment', null), (50, 'comment', null);
insert into ducklake_column_tag (table_id, column_id, key, end_snapshot) values (1, 1, 'comment', null),
  (1, 1, 'comment', 3), (1, 2, 'comment', null), (2, 1, 'comment', null), (1, 1, 'k', null),
  (51, 1, 'comment', null), (51, 1, 'comment', null);
--= column of table, id 51, found 2
--= object, id 50, found 2

--@ comment-overlap | 0.2 1.0
insert into ducklake_tag (object_id, key, begin_snapshot, end_snapshot) values (1, 'a', 0, 5), (1, 'a', 5, null),
  (1, 'b', 2, null), (2, 'a', 3, 4), (3, 'a', 0, 2), (3, 'a', 4, 9), (50, 'a', 0, 6), (50, 'a', 5, null),
  (51, 'a', 0, null), (51, 'a', 4, 5);
insert into ducklake_column_tag (table_id, column_id, key, begin_snapshot, end_snapshot) values (1, 1, 'a', 0, 5),
  (1, 1, 'a', 5, null), (1, 2, 'a', 2, null), (2, 1, 'a', 3, 4), (1, 1, 'b', 1, null), (52, 1, 'a', 0, 6),
  (52, 1, 'a', 5, null), (53, 1, 'a', 0, null), (53, 1, 'a', 5, null);
--= column of table, id 52, begin_snapshot 0, next_begin 5
--= column of table, id 53, begin_snapshot 0, next_begin 5
--= object, id 50, begin_snapshot 0, next_begin 5
--= object, id 51, begin_snapshot 0, next_begin 4

--@ delete-file-once | 0.2 1.0
insert into ducklake_data_file (data_file_id, end_snapshot) values (1, null), (2, null), (3, 5), (50, null);
insert into ducklake_delete_file (delete_file_id, data_file_id, end_snapshot) values (11, 1, null), (12, 2, 4),
  (13, 2, null), (14, 3, null), (15, 3, null), (16, 50, null), (17, 50, null), (18, 49, null), (19, 49, null);
--= data_file_id 50, found 2

--@ delete-file-overlap | 0.2 1.0
-- 13 begins and ends at one snapshot: it is never visible
insert into ducklake_delete_file (delete_file_id, data_file_id, begin_snapshot, end_snapshot) values (11, 1, 2, 4),
  (12, 1, 4, null), (14, 2, 3, null), (13, 2, 5, 5), (15, 3, 1, 2), (16, 3, 4, 5), (52, 50, 2, 6), (53, 50, 4, null),
  (54, 51, 2, null), (55, 51, 4, null), (61, 52, 3, 5), (60, 52, 3, 5);
--= data_file_id 50, delete_file_id 52, begin_snapshot 2, next_begin 4
--= data_file_id 51, delete_file_id 54, begin_snapshot 2, next_begin 4
--= data_file_id 52, delete_file_id 60, begin_snapshot 3, next_begin 3
