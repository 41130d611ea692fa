-- Scenes for the rules about what engines can't read; `support.rules.scenes` says how they are written.

--@ column-type | 0.2 0.3 0.4 1.0
-- what every version knows, in any case, and decimals at their borders; a dropped table and a dropped column
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (1, 1, null), (50, 1, null), (2, 1, 5);
insert into ducklake_column (table_id, column_id, end_snapshot, column_type) values
  (1, 1, null, 'int32'), (1, 2, null, 'INT32'), (1, 3, null, 'decimal(38,38)'), (1, 4, null, 'decimal(1, 0)'),
  (1, 5, null, 'timestamp_us'), (1, 6, null, 'struct'), (1, 7, 4, 'nosuch'), (2, 1, null, 'nosuch'),
  (50, 1, null, 'nosuch'), (50, 2, null, 'decimal'), (50, 3, null, 'decimal(39,3)'), (50, 4, null, 'decimal(3,4)'),
  (50, 5, null, 'decimal(0,0)');
--= table_id 50, column_id 1, column_type nosuch
--= table_id 50, column_id 2, column_type decimal
--= table_id 50, column_id 3, column_type decimal(39,3)
--= table_id 50, column_id 4, column_type decimal(3,4)
--= table_id 50, column_id 5, column_type decimal(0,0)

--@ column-type | 0.2 1.0
insert into ducklake_table (table_id, begin_snapshot) values (50, 1);
insert into ducklake_column (table_id, column_id, column_type) values
  (50, 6, 'DECIMAL(10,2)'), (50, 7, 'decimal(10)'), (50, 8, 'unknown'), (50, 9, 'decimal(a,b)');
--= table_id 50, column_id 6, column_type DECIMAL(10,2)
--= table_id 50, column_id 7, column_type decimal(10)
--= table_id 50, column_id 8, column_type unknown
--= table_id 50, column_id 9, column_type decimal(a,b)

--@ column-type | 0.2
insert into ducklake_table (table_id, begin_snapshot) values (50, 1);
insert into ducklake_column (table_id, column_id, column_type) values (50, 1, 'geometry'), (50, 2, 'variant');
--= table_id 50, column_id 1, column_type geometry
--= table_id 50, column_id 2, column_type variant

--@ column-type | 0.3
insert into ducklake_table (table_id, begin_snapshot) values (50, 1);
insert into ducklake_column (table_id, column_id, column_type) values (50, 1, 'geometry'), (50, 2, 'variant');
--= table_id 50, column_id 2, column_type variant

--@ column-type | 0.4 1.0 !1.1
insert into ducklake_table (table_id, begin_snapshot) values (50, 1);
insert into ducklake_column (table_id, column_id, column_type) values
  (50, 1, 'geometry'), (50, 2, 'variant'), (50, 3, 'time_ns'), (50, 4, 'timestamptz_ns');
--= table_id 50, column_id 4, column_type timestamptz_ns

--@ nested-column-parts | 0.2 1.0
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (1, 1, null), (50, 1, null), (2, 1, 5);
insert into ducklake_column (table_id, column_id, column_type, parent_column, end_snapshot) values
  (1, 1, 'struct', null, null), (1, 2, 'int32', 1, null), (1, 3, 'List', null, null), (1, 4, 'int32', 3, null),
  (1, 5, 'map', null, null), (1, 6, 'int32', 5, null), (1, 7, 'int32', 5, null), (1, 8, 'int32', null, null),
  (1, 9, 'int32', 8, 4), (1, 10, 'map', null, 4), (2, 1, 'list', null, null),
  (50, 1, 'struct', null, null), (50, 2, 'int32', 1, 4), (50, 3, 'list', null, null), (50, 4, 'int32', 3, null),
  (50, 5, 'int32', 3, null), (50, 6, 'map', null, null), (50, 7, 'int32', 6, null), (50, 8, 'int32', null, null),
  (50, 9, 'int32', 8, null);
--= table_id 50, column_id 1, column_type struct, parts 0
--= table_id 50, column_id 3, column_type list, parts 2
--= table_id 50, column_id 6, column_type map, parts 1
--= table_id 50, column_id 8, column_type int32, parts 1

--@ initial-default | 0.2 1.0
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (1, 1, null), (50, 1, null), (2, 1, 5);
insert into ducklake_column (table_id, column_id, column_type, initial_default, end_snapshot) values
  (1, 1, 'int32', '42', null), (1, 2, 'varchar', 'NULL', null), (1, 3, 'date', null, null), (1, 4, 'date', 'x', 4),
  (1, 5, 'date', '2020-01-01', null), (1, 6, 'struct', 'x', null), (1, 7, 'decimal(4,1)', '1.5', null),
  (2, 1, 'date', 'x', null),
  (50, 1, 'int32', 'x', null), (50, 2, 'date', 'NULL', null), (50, 3, 'date', '2020-13-01', null),
  (50, 4, 'int8', '300', null);
--= table_id 50, column_id 1, column_type int32, initial_default x
--= table_id 50, column_id 2, column_type date, initial_default NULL
--= table_id 50, column_id 3, column_type date, initial_default 2020-13-01
--= table_id 50, column_id 4, column_type int8, initial_default 300

--@ column-default | 0.2 0.3
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (1, 1, null), (50, 1, null), (2, 1, 5);
insert into ducklake_column (table_id, column_id, column_type, default_value, end_snapshot) values
  (1, 1, 'int32', '42', null), (1, 2, 'varchar', 'NULL', null), (1, 3, 'date', null, null), (1, 4, 'date', 'x', 4),
  (2, 1, 'date', 'x', null), (50, 1, 'int32', 'x', null), (50, 2, 'date', 'NULL', null);
--= table_id 50, column_id 1, column_type int32, default_value x
--= table_id 50, column_id 2, column_type date, default_value NULL

--@ default-literal | 0.4 1.0
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (1, 1, null), (50, 1, null), (2, 1, 5);
insert into ducklake_column (table_id, column_id, column_type, default_value, default_value_type, end_snapshot) values
  (1, 1, 'int32', '42', 'literal', null), (1, 2, 'varchar', 'x', 'literal', null),
  (1, 3, 'date', 'NULL', 'literal', null), (1, 4, 'date', 'now()', 'expression', null),
  (1, 5, 'date', 'x', 'literal', 4), (2, 1, 'date', 'x', 'literal', null),
  (50, 1, 'int32', 'x', 'literal', null);
--= table_id 50, column_id 1, column_type int32, default_value x

--@ default-expression | 0.4 1.0
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (1, 1, null), (50, 1, null), (2, 1, 5);
insert into ducklake_column (table_id, column_id, default_value, default_value_type, end_snapshot) values
  (1, 1, 'now()', 'expression', null), (1, 2, 'concat(''NULL'')', 'expression', null), (1, 3, 'NULL', '', null),
  (1, 4, null, '', null), (1, 5, '(', 'literal', null), (1, 6, '(', 'expression', 4), (2, 1, '(', '', null),
  (50, 1, '(', 'expression', null), (50, 2, 'now(', 'expression', null), (50, 3, '1, 2', 'expression', null),
  (50, 4, '42', '', null);
--= table_id 50, column_id 1, default_value_type expression, default_value (
--= table_id 50, column_id 2, default_value_type expression, default_value now(
--= table_id 50, column_id 3, default_value_type expression, default_value 1, 2
--= table_id 50, column_id 4, default_value_type , default_value 42

--@ macro-type | 0.4 1.0
insert into ducklake_macro (macro_id, end_snapshot) values (1, null), (2, 5), (50, null), (51, null), (52, null);
insert into ducklake_macro_impl (macro_id, impl_id, type) values
  (1, 0, 'scalar'), (1, 1, 'table'), (2, 0, 'nosuch'), (50, 0, 'nosuch'), (51, 0, 'scalar'), (52, 0, 'scalar');
insert into ducklake_macro_parameters (macro_id, impl_id, column_id, parameter_type, default_value, default_value_type)
values
  (1, 0, 0, 'unknown', 'NULL', 'unknown'), (1, 0, 1, 'list', '1', 'INT32'), (1, 0, 2, 'decimal', '1', 'decimal(3,1)'),
  (1, 0, 3, 'date', '1', 'variant'), (2, 0, 0, 'nosuch', '1', 'int32'),
  (51, 0, 0, 'nosuch', '1', 'list'), (52, 0, 0, 'decimal(99,3)', null, 'int32');
--= macro_id 50, body, type nosuch
--= macro_id 51, default, type list
--= macro_id 51, parameter, type nosuch
--= macro_id 52, default, type NULL
--= macro_id 52, parameter, type decimal(99,3)
--? select (select string_agg(macro_id::text, ' ' order by macro_id) from ducklake_macro)
--? , (select count(*) from ducklake_macro_impl), (select count(*) from ducklake_macro_parameters)
--> 1 2, 3, 5

--@ macro-default | 0.4 1.0
insert into ducklake_macro (macro_id, end_snapshot) values (1, null), (2, 5), (50, null), (51, null);
insert into ducklake_macro_parameters (macro_id, parameter_name, default_value, default_value_type) values
  (1, 'a', 'NULL', 'unknown'), (1, 'b', 'NULL', 'varchar'), (1, 'c', '2020-01-01', 'date'), (1, 'd', '1', 'variant'),
  (1, 'e', '1.5', 'decimal(2,1)'), (1, 'f', 'NULL', 'blob'), (2, 'a', 'NULL', 'date'),
  (50, 'd', 'NULL', 'date'), (51, 'i', 'x', 'int32'), (51, 'j', 'NULL', 'json'), (51, 'k', 'NULL', 'geometry');
--= macro_id 50, parameter_name d, default_value_type date, default_value NULL
--= macro_id 51, parameter_name i, default_value_type int32, default_value x
--= macro_id 51, parameter_name j, default_value_type json, default_value NULL
--= macro_id 51, parameter_name k, default_value_type geometry, default_value NULL
--? select (select string_agg(macro_id::text, ' ' order by macro_id) from ducklake_macro)
--? , (select count(*) from ducklake_macro_parameters)
--> 1 2, 7

--@ macro-text | 0.4 1.0
insert into ducklake_macro (macro_id, end_snapshot) values (1, null), (2, 5), (50, null), (51, null);
insert into ducklake_macro_impl (macro_id, type, sql) values
  (1, 'scalar', '(SELECT 1)'), (1, 'scalar', 'nosuch(x -> x + 1)'), (1, 'table', 'VALUES (1)'), (2, 'scalar', '('),
  (1, 'table', 'WITH x AS (SELECT 1) FROM x UNION SELECT 2'), (50, 'scalar', '1, 2'), (50, 'scalar', null),
  (50, 'table', 'SELECT 1; SELECT 2'), (51, 'scalar', '(selec 1)'), (51, 'table', 'CREATE TABLE x(i INT)');
--= macro_id 50, type scalar, sql 1, 2
--= macro_id 50, type scalar, sql NULL
--= macro_id 50, type table, sql SELECT 1; SELECT 2
--= macro_id 51, type scalar, sql (selec 1)
--= macro_id 51, type table, sql CREATE TABLE x(i INT)
--? select (select string_agg(macro_id::text, ' ' order by macro_id) from ducklake_macro)
--? , (select count(*) from ducklake_macro_impl)
--> 1 2, 5

--@ macro-null-default | 0.4 1.0
insert into ducklake_macro (macro_id, end_snapshot) values (1, null), (2, 5), (50, null);
insert into ducklake_macro_parameters (macro_id, parameter_name, default_value, default_value_type) values
  (1, 'a', 'NULL', 'unknown'), (1, 'b', 'null', 'varchar'), (1, 'c', 'NULL', 'date'), (2, 'a', 'NULL', 'varchar'),
  (50, 'd', 'NULL', 'varchar'), (50, 'e', 'NULL', 'blob');
--= macro_id 50, parameter_name d, default_value_type varchar
--= macro_id 50, parameter_name e, default_value_type blob

--@ view-aliases | 0.2 1.0
insert into ducklake_view (view_id, end_snapshot, column_aliases) values
  (1, null, ''), (1, null, '"a"'), (1, null, '"a","b ""c"", d"'), (2, 5, null),
  (50, null, null), (51, null, 'a'), (52, null, '"a", "b"'), (53, null, '"a'), (54, null, '"a",');
--= view_id 50, column_aliases NULL
--= view_id 51, column_aliases a
--= view_id 52, column_aliases "a", "b"
--= view_id 53, column_aliases "a
--= view_id 54, column_aliases "a",
--? select count(*) from ducklake_view where column_aliases <> ''
--> 2

--@ view-text | 0.4 1.0
insert into ducklake_view (view_id, end_snapshot, dialect, sql) values
  (1, null, 'duckdb', 'SELECT 1'), (1, null, 'duckdb', 'FROM {DUCKLAKE_CATALOG}.t'), (1, null, 'spark', 'SELEC'), (2, 5, 'duckdb', '('),
  (50, null, 'duckdb', 'SELEC'), (51, null, 'duckdb', 'SELECT 1; SELECT 2');
--= view_id 50, sql SELEC
--= view_id 51, sql SELECT 1; SELECT 2

--@ sort-key-text | 0.4 1.0
insert into ducklake_sort_info (sort_id, table_id, end_snapshot) values (1, 1, null), (2, 2, 5), (50, 50, null);
insert into ducklake_sort_expression (sort_id, dialect, expression) values
  (1, 'duckdb', 'i + 1'), (1, 'spark', '('), (2, 'duckdb', '('), (50, 'duckdb', 'upper(');
--= table_id 50, sort_id 50, expression upper(

--@ column-comment-key | 0.2 1.0
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (1, 1, null), (50, 1, null), (2, 1, 5);
insert into ducklake_column (table_id, column_id, end_snapshot) values (1, 1, null), (1, 2, 4), (2, 1, null), (50, 1, null);
insert into ducklake_column_tag (table_id, column_id, end_snapshot, key) values
  (1, 1, null, 'comment'), (1, 1, 4, 'unit'), (1, 2, 4, 'unit'), (2, 1, 5, 'unit'), (50, 1, null, 'unit'),
  (50, 1, null, null);
--= table_id 50, column_id 1, key unit
--= table_id 50, column_id 1, key NULL
--? select count(*) from ducklake_column_tag
--> 4

--@ cut-column-name | 0.2 1.0
-- names of 63 bytes are not cut; neither is one of 64 that a longer one has as its beginning; a dropped table
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (1, 1, null), (50, 1, null), (51, 1, 5), (52, 1, null);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1'), (50, 1, 'ducklake_inlined_data_50_1'), (51, 1, 'ducklake_inlined_data_51_1'),
  (52, 1, 'ducklake_inlined_data_52_1');
insert into ducklake_column (table_id, column_id, column_name) values
  (1, 1, 'a_name_of_61_bytes_a_name_of_61_bytes_a_name_of_61_bytes_a_61'),
  (1, 2, 'a_name_of_61_bytes_a_name_of_61_bytes_a_name_of_61_bytes_a_61_and_more'),
  (1, 3, 'b_name_of_61_bytes_a_name_of_61_bytes_a_name_of_61_bytes_a_61xx'),
  (50, 1, 'a_name_of_more_than_63_bytes_a_name_of_more_than_63_bytes_a_name_of_more'),
  (52, 2, 'ä_name_of_more_than_63_bytes_a_name_of_more_than_63_bytes_a_naäme_of_more'),
  (51, 1, 'a_name_of_more_than_63_bytes_a_name_of_more_than_63_bytes_a_name_of_more');
create table ducklake_inlined_data_1_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint,
  a_name_of_61_bytes_a_name_of_61_bytes_a_name_of_61_bytes_a_61 bigint,
  b_name_of_61_bytes_a_name_of_61_bytes_a_name_of_61_bytes_a_61 bigint);
create table ducklake_inlined_data_50_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint,
  a_name_of_more_than_63_bytes_a_name_of_more_than_63_bytes_a_nam bigint);
create table ducklake_inlined_data_52_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint,
  "ä_name_of_more_than_63_bytes_a_name_of_more_than_63_bytes_a_na" bigint);
create table ducklake_inlined_data_51_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint,
  a_name_of_more_than_63_bytes_a_name_of_more_than_63_bytes_a_nam bigint);
--= table_id 50, name ducklake_inlined_data_50_1, column_name a_name_of_more_than_63_bytes_a_name_of_more_than_63_bytes_a_...
--= table_id 52, name ducklake_inlined_data_52_1, column_name ä_name_of_more_than_63_bytes_a_name_of_more_than_63_bytes_a_...

--@ renamed-inlined-column | 0.3 0.4
-- the newest schema version, a column that was dropped since, one of a struct, another one's rename, a dropped table,
-- a column that became another type, and a table that is inlined by no version with a rename. 50: also by a version
-- that came after the rename. 51: by one of a first small insert, which is that of no change
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (1, 1, null), (2, 1, null), (3, 1, 5),
  (50, 1, null), (51, 1, null);
update ducklake_snapshot set schema_version = case when snapshot_id >= 7 then 7 when snapshot_id = 6 then 4
  when snapshot_id = 5 then 3 when snapshot_id = 4 then 2 else least(snapshot_id, 1) end;
insert into ducklake_schema_versions (begin_snapshot, schema_version) values (1, 1), (4, 2), (5, 3), (7, 7);
insert into ducklake_inlined_data_tables (table_id, schema_version, table_name) values
  (1, 1, 'ducklake_inlined_data_1_1'), (1, 2, 'ducklake_inlined_data_1_2'), (1, 7, 'ducklake_inlined_data_1_7'),
  (2, 1, 'ducklake_inlined_data_2_1'), (3, 2, 'ducklake_inlined_data_3_2'),
  (50, 1, 'ducklake_inlined_data_50_1'), (50, 2, 'ducklake_inlined_data_50_2'), (50, 3, 'ducklake_inlined_data_50_3'),
  (51, 4, 'ducklake_inlined_data_51_4');
insert into ducklake_column (table_id, column_id, parent_column, begin_snapshot, end_snapshot, column_name, column_type)
values
  (1, 1, null, 1, 7, 'a', 'int32'), (1, 1, null, 7, null, 'b', 'int32'),
  (1, 2, null, 1, 4, 'c', 'int32'), (1, 2, null, 4, 6, 'd', 'int32'),
  (1, 3, null, 1, 4, 'e', 'int32'), (1, 3, null, 4, null, 'e', 'int64'),
  (1, 4, 3, 1, 4, 'x', 'int32'), (1, 4, 3, 4, null, 'y', 'int32'),
  (2, 1, null, 1, 4, 'a', 'int32'), (2, 1, null, 4, null, 'b', 'int32'),
  (3, 1, null, 1, 4, 'a', 'int32'), (3, 1, null, 4, null, 'b', 'int32'),
  (50, 1, null, 1, 4, 'a', 'int32'), (50, 1, null, 4, null, 'b', 'int32'),
  (50, 2, null, 1, 5, 'c', 'int32'), (50, 2, null, 5, 7, 'd', 'int32'), (50, 2, null, 7, null, 'c', 'int32'),
  (51, 1, null, 1, 5, 'a', 'int32'), (51, 1, null, 5, null, 'b', 'int32');
--= table_id 50, name ducklake_inlined_data_50_2, column_name a, renamed_to b
--= table_id 50, name ducklake_inlined_data_50_3, column_name a, renamed_to b
--= table_id 50, name ducklake_inlined_data_50_3, column_name c, renamed_to d
--= table_id 51, name ducklake_inlined_data_51_4, column_name a, renamed_to b

--@ float-bounds | 0.2 0.3
-- 1: bounds that are the same number as a DOUBLE. 50: a file that is older than the change, and others that are not
insert into ducklake_column (table_id, column_id, column_type, begin_snapshot, end_snapshot) values
  (1, 1, 'float32', 1, 3), (1, 1, 'float64', 3, null), (50, 1, 'float32', 1, 3), (50, 1, 'float64', 3, null),
  (51, 1, 'float32', 1, null), (52, 1, 'float32', 1, 3), (52, 1, 'float64', 3, 4);
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, end_snapshot) values
  (1, 1, 2, null), (50, 50, 2, null), (51, 50, 3, null), (52, 50, 2, 5), (53, 51, 2, null), (54, 52, 2, null),
  (55, 50, 2, null);
insert into :stats (data_file_id, table_id, column_id, min_value, max_value) values
  (1, 1, 1, '-0.5', '0.10000000149011612'), (50, 50, 1, '0.7', '0.1'), (51, 50, 1, '0.1', '0.1'),
  (52, 50, 1, '0.1', '0.1'), (53, 51, 1, '0.1', '0.1'), (54, 52, 1, '0.1', '0.1'), (55, 50, 1, 'nan', 'inf');
--= data_file_id 50, table_id 50, column_id 1, min_value 0.7, max_value 0.1, partial_file_info NULL, changed 3

--@ float-bounds | 0.4 1.0
-- 1: bounds that are the same number as a DOUBLE. 50: a file that is older than the change, and others that are not
insert into ducklake_column (table_id, column_id, column_type, begin_snapshot, end_snapshot) values
  (1, 1, 'float32', 1, 3), (1, 1, 'float64', 3, null), (50, 1, 'float32', 1, 3), (50, 1, 'float64', 3, null),
  (51, 1, 'float32', 1, null), (52, 1, 'float32', 1, 3), (52, 1, 'float64', 3, 4);
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, end_snapshot) values
  (1, 1, 2, null), (50, 50, 2, null), (51, 50, 3, null), (52, 50, 2, 5), (53, 51, 2, null), (54, 52, 2, null),
  (55, 50, 2, null);
insert into :stats (data_file_id, table_id, column_id, min_value, max_value) values
  (1, 1, 1, '-0.5', '0.10000000149011612'), (50, 50, 1, '0.7', '0.1'), (51, 50, 1, '0.1', '0.1'),
  (52, 50, 1, '0.1', '0.1'), (53, 51, 1, '0.1', '0.1'), (54, 52, 1, '0.1', '0.1'), (55, 50, 1, 'nan', 'inf');
--= data_file_id 50, table_id 50, column_id 1, min_value 0.7, max_value 0.1, partial_max NULL, changed 3

--@ float-bounds | 0.4 1.0
-- a merged file of FLOATs, and a flushed one of both types
insert into ducklake_column (table_id, column_id, column_type, begin_snapshot, end_snapshot) values
  (50, 1, 'float32', 1, 4), (50, 1, 'float64', 4, null);
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, partial_max) values (50, 50, 2, 3), (51, 50, 2, 4);
insert into :stats (data_file_id, table_id, column_id, min_value, max_value) values
  (50, 50, 1, '0.1', '0.1'), (51, 50, 1, '0.1', '0.1');
--= data_file_id 50, table_id 50, column_id 1, min_value 0.1, max_value 0.1, partial_max 3, changed 4

--@ float-bounds | 0.4 1.0
-- 1: files from before the column was FLOAT. 50: one of the time between, with a new name.
insert into ducklake_column (table_id, column_id, column_name, column_type, begin_snapshot, end_snapshot) values
  (1, 1, 'a', 'int32', 1, 3), (1, 1, 'a', 'decimal(38,10)', 3, 5), (1, 1, 'a', 'float32', 5, 7),
  (1, 1, 'b', 'float32', 7, 9), (1, 1, 'b', 'float64', 9, null);
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, end_snapshot) values
  (1, 1, 2, null), (2, 1, 4, null), (50, 1, 5, null), (51, 1, 8, null);
insert into :stats (data_file_id, table_id, column_id, min_value, max_value) values
  (1, 1, 1, '16777217', '16777217'), (2, 1, 1, '9.0000000001', '9.0000000001'), (50, 1, 1, '0.1', '0.1'),
  (51, 1, 1, '0.1', '0.1');
--= data_file_id 50, table_id 1, column_id 1, min_value 0.1, max_value 0.1, partial_max NULL, changed 9
--= data_file_id 51, table_id 1, column_id 1, min_value 0.1, max_value 0.1, partial_max NULL, changed 9

--@ float-bounds | 0.3
insert into ducklake_column (table_id, column_id, column_type, begin_snapshot, end_snapshot) values
  (50, 1, 'float32', 1, 4), (50, 1, 'float64', 4, null);
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, partial_file_info) values
  (50, 50, 2, '2:10|3:20'), (51, 50, 2, 'partial_max:4'), (52, 50, 2, '2:10|4:20'), (53, 50, 2, 'partial_max:3');
insert into :stats (data_file_id, table_id, column_id, min_value, max_value) values
  (50, 50, 1, '0.1', '0.1'), (51, 50, 1, '0.1', '0.1'), (52, 50, 1, '0.1', '0.1'), (53, 50, 1, '0.1', '0.1');
--= data_file_id 50, table_id 50, column_id 1, min_value 0.1, max_value 0.1, partial_file_info 2:10|3:20, changed 4
--= data_file_id 53, table_id 50, column_id 1, min_value 0.1, max_value 0.1, partial_file_info partial_max:3, changed 4

--@ wide-table | 0.4 1.0
insert into ducklake_table (table_id, schema_id, begin_snapshot, end_snapshot) values
  (1, 1, 1, null), (2, 2, 1, null), (3, 1, 1, null), (4, 1, 1, 5), (50, 1, 1, null), (51, 1, 1, null),
  (52, 2, 1, null);
-- what is said of the table itself counts first
insert into ducklake_metadata (key, value, scope, scope_id) values
  ('data_inlining_row_limit', '0', 'schema', 2), ('data_inlining_row_limit', '0', 'table', 3),
  ('data_inlining_row_limit', '5', 'table', 50), ('data_inlining_row_limit', '5', 'table', 52);
insert into ducklake_column (table_id, column_id) select t, c from generate_series(1, 1597) n(c), (values (1)) v(t);
insert into ducklake_column (table_id, column_id)
  select t, c from generate_series(1, 1598) n(c), (values (2), (3), (4), (50), (51), (52)) v(t);
--= table_id 50, columns 1598
--= table_id 51, columns 1598
--= table_id 52, columns 1598
