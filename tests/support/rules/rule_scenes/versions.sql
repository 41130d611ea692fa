-- Scenes for the rules about versions; `support.rules.scenes` says how they are written.

--@ schema-version-without-table | 0.4 1.0
-- at 4 table 1 got its columns; at 5 table 2 lost one; at 6 table 3 was made, which has a version there already
insert into ducklake_schema_versions (begin_snapshot, schema_version, table_id) values (0, 0, 1), (4, 4, null),
  (4, 4, null), (5, 5, null), (6, 6, null), (6, 6, 3), (7, 7, null);
insert into ducklake_table (table_id, begin_snapshot) values (1, 0), (2, 5), (3, 6), (4, 7);
insert into ducklake_column (table_id, column_id, begin_snapshot, end_snapshot) values (1, 1, 4, null),
  (1, 2, 4, null),
  (5, 1, 0, 5), (3, 1, 6, null), (6, 1, 0, null);
--= begin_snapshot 4, schema_version 4
--= begin_snapshot 4, schema_version 4
--= begin_snapshot 5, schema_version 5
--= begin_snapshot 6, schema_version 6
--= begin_snapshot 7, schema_version 7
--? select begin_snapshot, schema_version, table_id from ducklake_schema_versions order by 1, 3
--> 0, 0, 1
--> 4, 4, 1
--> 5, 5, 2
--> 5, 5, 5
--> 6, 6, 3
--> 7, 7, 4

--@ schema-version-range | 0.3 1.0
insert into ducklake_schema_versions (begin_snapshot, schema_version) values (0, 0), (9, 9), (null, 1), (50, 1),
  (10, 2),
  (1, null), (2, 10);
--= begin_snapshot 1, schema_version NULL
--= begin_snapshot 2, schema_version 10
--= begin_snapshot 10, schema_version 2
--= begin_snapshot 50, schema_version 1
--= begin_snapshot NULL, schema_version 1

--@ schema-version-of-snapshot | 0.3 1.0
-- snapshot 8 used up two versions
update ducklake_snapshot set schema_version = 9 where snapshot_id = 8;
insert into ducklake_schema_versions (begin_snapshot, schema_version) values (0, 0), (9, 9), (5, 4), (20, 3), (6, 7),
  (8, 7), (8, 8);
--= begin_snapshot 5, schema_version 4, of_snapshot 5
--= begin_snapshot 6, schema_version 7, of_snapshot 6
--= begin_snapshot 8, schema_version 7, of_snapshot 9

--@ schema-version-missing | 0.3
-- a column that began at a snapshot which is gone is no matter
update ducklake_snapshot set schema_version = 6 where snapshot_id = 7;
insert into ducklake_schema_versions (begin_snapshot, schema_version) values (1, 1), (2, 2);
insert into ducklake_column (table_id, column_id, begin_snapshot) values (1, 1, 1), (1, 2, 2), (1, 3, 5), (1, 4, 5),
  (1, 5, 7), (1, 6, 6), (1, 7, 20);
--= snapshot_id 5, schema_version 5, columns 2
--= snapshot_id 6, schema_version 6, columns 1
--= snapshot_id 7, schema_version 6, columns 1
--? select begin_snapshot, schema_version from ducklake_schema_versions order by 1, 2
--> 1, 1
--> 2, 2
--> 5, 5
--> 6, 6

--@ schema-version-missing | 0.3
-- the snapshots of the changes at 2, 3 and 4 are gone: table 1 has files on both sides of that at 3 and none of 4,
-- 2 and 3 on one side, 4 has one that is there no more, 6 has one from after the next version
delete from ducklake_snapshot where snapshot_id < 6;
insert into ducklake_schema_versions (begin_snapshot, schema_version) values (0, 0), (1, 1), (5, 5);
insert into ducklake_column (table_id, column_id, begin_snapshot) values (1, 1, 1), (1, 2, 3), (1, 3, 3), (1, 4, 4),
  (2, 1, 2), (3, 1, 1), (3, 2, 4), (4, 1, 1), (4, 2, 3), (6, 1, 1), (6, 2, 4);
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, end_snapshot) values (1, 1, 2, null),
  (2, 1, 3, null), (3, 2, 2, null), (4, 2, 4, null), (5, 3, 1, null), (6, 3, 3, null), (7, 4, 2, 5), (8, 4, 4, null),
  (9, 6, 3, null), (10, 6, 5, null);
--= snapshot_id 3, schema_version NULL, columns 2
--? select begin_snapshot, schema_version from ducklake_schema_versions order by 1, 2
--> 0, 0
--> 1, 1
--> 2, 2
--> 3, 3
--> 4, 4
--> 5, 5

--@ schema-version-missing | 0.3
-- no version at all; what came before the first snapshot counts back from its version, less the change that made it
delete from ducklake_snapshot where snapshot_id < 6;
insert into ducklake_column (table_id, column_id, begin_snapshot) values (1, 1, 2), (1, 2, 4), (2, 1, 4), (1, 3, 6),
  (1, 4, 7);
--= snapshot_id 2, schema_version NULL, columns 1
--= snapshot_id 4, schema_version NULL, columns 2
--= snapshot_id 6, schema_version 6, columns 1
--= snapshot_id 7, schema_version 7, columns 1
--? select begin_snapshot, schema_version from ducklake_schema_versions order by 1, 2
--> 2, 4
--> 4, 5
--> 6, 6
--> 7, 7

--@ schema-version-missing | 0.3
-- versions since the first snapshot that is there: what went before is older than the versions themselves
delete from ducklake_snapshot where snapshot_id < 6;
insert into ducklake_schema_versions (begin_snapshot, schema_version) values (6, 6);
insert into ducklake_column (table_id, column_id, begin_snapshot) values (1, 1, 2), (1, 2, 4);
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot) values (1, 1, 3), (2, 1, 5), (3, 1, 7);

--@ schema-version-of-change | 0.4 1.0
insert into ducklake_schema_versions (begin_snapshot, schema_version, table_id) values (1, 1, 1), (2, 2, 2),
  (3, 3, 1);
insert into ducklake_table (table_id, begin_snapshot) values (1, 1), (2, 2), (50, 3);
insert into ducklake_column (table_id, column_id, begin_snapshot) values (1, 1, 1), (2, 1, 2), (1, 2, 20), (1, 3, 2),
  (1, 4, 2), (50, 1, 3);
--= table_id 1, begin_snapshot 2, columns 2
--= table_id 50, begin_snapshot 3, columns 1
--? select begin_snapshot, schema_version, table_id from ducklake_schema_versions order by 1, 3
--> 1, 1, 1
--> 2, 2, 1
--> 2, 2, 2
--> 3, 3, 1
--> 3, 3, 50

--@ schema-version-of-change | 0.4 1.0
-- the snapshots of changes are gone: table 50 has files on both sides of those at 3 and 4, 2 on one side of that at 3,
-- 3 has no version, and 4 has one from between
delete from ducklake_snapshot where snapshot_id < 6;
insert into ducklake_schema_versions (begin_snapshot, schema_version, table_id) values (1, 1, 50), (5, 4, 50), (1, 1, 2),
  (1, 1, 4), (3, 2, 4);
insert into ducklake_table (table_id, begin_snapshot) values (50, 1), (2, 1), (3, 1), (4, 1);
insert into ducklake_column (table_id, column_id, begin_snapshot) values (50, 1, 1), (50, 2, 3), (50, 3, 3), (50, 4, 4),
  (50, 5, 5), (2, 1, 1), (2, 2, 3), (3, 1, 1), (3, 2, 3), (4, 1, 1), (4, 2, 3), (9, 1, 4);
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot) values (1, 50, 2), (2, 50, 4), (3, 50, 5),
  (4, 2, 2), (5, 3, 2), (6, 3, 3), (7, 4, 2), (8, 4, 3);
--= table_id 50, begin_snapshot 3, columns 2
--= table_id 50, begin_snapshot 4, columns 1
--? select begin_snapshot, schema_version, table_id from ducklake_schema_versions order by 3, 1
--> 1, 1, 2
--> 3, 2, 2
--> 1, 1, 3
--> 3, 2, 3
--> 1, 1, 4
--> 3, 2, 4
--> 1, 1, 50
--> 3, 2, 50
--> 4, 3, 50
--> 5, 4, 50

--@ schema-version-of-table | 0.4 1.0
-- 51 has a version at the begin of its second form only
insert into ducklake_table (table_id, begin_snapshot) values (1, 2), (1, 4), (2, 5), (50, 1), (51, 1), (51, 3);
insert into ducklake_schema_versions (begin_snapshot, schema_version, table_id) values (2, 2, 1), (4, 4, 1),
  (3, 3, 2),
  (3, 3, 51), (4, 4, 51), (0, 0, 9);
--= table_id 50, begin_snapshot 1
--= table_id 51, begin_snapshot 1
--? select begin_snapshot, schema_version, table_id from ducklake_schema_versions order by 3, 1
--> 2, 2, 1
--> 4, 4, 1
--> 3, 3, 2
--> 5, 5, 2
--> 0, 0, 9
--> 1, 1, 50
--> 1, 1, 51
--> 3, 3, 51
--> 4, 4, 51

--@ schema-version-of-file | 0.4 1.0
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (1, 2, null), (2, 1, 5), (3, 1, 3),
  (3, 3, null), (4, 3, null);
insert into ducklake_schema_versions (begin_snapshot, schema_version, table_id) values (2, 2, 1), (4, 4, 1),
  (3, 3, 3),
  (4, 4, 3), (0, 0, 9);
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, end_snapshot) values (11, 1, 2, null),
  (12, 1, 5, null), (13, 1, 1, 4), (14, 2, 1, null), (15, 9, 1, null), (50, 1, 1, null), (51, 3, 2, null),
  (52, 4, 3, null);
--= data_file_id 50, table_id 1, begin_snapshot 1
--= data_file_id 51, table_id 3, begin_snapshot 2
--= data_file_id 52, table_id 4, begin_snapshot 3
--? select begin_snapshot, schema_version, table_id from ducklake_schema_versions order by 3, 1
--> 2, 2, 1
--> 4, 4, 1
--> 1, 1, 2
--> 1, 1, 3
--> 3, 3, 3
--> 4, 4, 3
--> 3, 3, 4
--> 0, 0, 9

--@ schema-versions-at-one-snapshot | 0.4 1.0
insert into ducklake_table (table_id, begin_snapshot, end_snapshot) values (1, 2, null), (50, 3, 5), (51, 0, 0),
  (52, 7, 8), (52, 8, null), (53, 7, 7);
insert into ducklake_schema_versions (begin_snapshot, schema_version, table_id) values (2, 2, 1), (3, 3, 1),
  (2, 2, 2),
  (4, 4, 1), (4, 4, 1), (3, 3, 50), (3, 4, 50), (3, 4, 50), (6, 6, null), (6, 7, null);
update ducklake_snapshot set schema_version = 6 where snapshot_id = 7;
--= table_id 50, begin_snapshot 3, found 2
--? select begin_snapshot, schema_version, table_id from ducklake_schema_versions order by 3, 1
--> 2, 2, 1
--> 3, 3, 1
--> 4, 4, 1
--> 5, 5, 1
--> 6, 6, 1
--> 8, 8, 1
--> 9, 9, 1
--> 3, 3, 50
--> 4, 4, 50
--> 5, 5, 50
--> 0, 0, 51
--> 7, 6, 52
--> 8, 8, 52
--> 8, 8, 52
--> 9, 9, 52
--> 7, 6, 53

--@ schema-version-of-dropped-table | 0.4 1.0
insert into ducklake_table (table_id, end_snapshot) values (1, 3);
insert into ducklake_schema_versions (begin_snapshot, schema_version, table_id) values (1, 1, 1), (2, 2, null),
  (3, 3, 50), (4, 4, 50);
--= table_id 50, found 2
--? select begin_snapshot, table_id from ducklake_schema_versions order by 1
--> 1, 1
--> 2, NULL

--@ default-type | 0.4 1.0
insert into ducklake_column (table_id, column_id, default_value_type) values (1, 1, 'literal'), (2, 1, 'expression'),
  (3, 1, ''), (50, 1, null), (51, 1, 'number');
--= table_id 50, column_id 1, begin_snapshot NULL, default_value_type NULL
--= table_id 51, column_id 1, begin_snapshot NULL, default_value_type number
--? select table_id, default_value_type from ducklake_column order by 1
--> 1, literal
--> 2, expression
--> 3, 
--> 50, literal
--> 51, number

--@ stale-mapping | 0.4 1.0
-- 93 was flushed or merged after snapshot 2
insert into ducklake_column_mapping (mapping_id, table_id) values (4, 1), (4, 1), (5, 2);
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, path, mapping_id, partial_max) values
  (93, 1, 2, 'ducklake-1.parquet', null, 4), (12, 1, 4, 'added.parquet', 4, 4), (13, 1, 4, 'added.parquet', 4, null),
  (14, 1, 4, 'added.parquet', null, 5), (15, 1, 4, 'added.parquet', null, 6), (50, 1, 2, 'added.parquet', null, 4),
  (51, 1, 4, 'ducklake-1.parquet', null, 4), (53, 2, 5, 'x.parquet', null, 5), (92, 1, 2, 'ducklake-2.parquet', null, 4);
--= data_file_id 50, begin_snapshot 2, partial_max 4
--= data_file_id 51, begin_snapshot 4, partial_max 4
--= data_file_id 53, begin_snapshot 5, partial_max 5
--= data_file_id 92, begin_snapshot 2, partial_max 4
--? select data_file_id, mapping_id, partial_max from ducklake_data_file order by 1
--> 12, 4, 4
--> 13, 4, NULL
--> 14, NULL, 5
--> 15, NULL, 6
--> 50, 4, NULL
--> 51, 4, NULL
--> 53, 5, NULL
--> 92, 4, NULL
--> 93, NULL, 4

--@ stale-mapping | 0.4 1.0
-- the snapshot of all these has expired
delete from ducklake_snapshot where snapshot_id = 3;
insert into ducklake_column_mapping (mapping_id, table_id) values (2, 1), (3, 1), (4, 1);
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, path, mapping_id, partial_max) values
  (11, 1, 3, 'ducklake-1.parquet', null, 3), (12, 1, 3, 'y=2020/ducklake-1.parquet', null, 4),
  (50, 1, 3, 'added.parquet', null, 4), (51, 1, 3, 'ducklake-1.parquet', null, 2);
--= data_file_id 50, begin_snapshot 3, partial_max 4
--= data_file_id 51, begin_snapshot 3, partial_max 2
--? select data_file_id, mapping_id, partial_max from ducklake_data_file order by 1
--> 11, NULL, 3
--> 12, NULL, 4
--> 50, 4, NULL
--> 51, 2, NULL

--@ partial-range | 0.4 1.0
-- 15 is a stale client's
insert into ducklake_column_mapping (mapping_id, table_id) values (3, 1);
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, path, mapping_id, partial_max) values
  (11, 1, 2, 'ducklake-1.parquet', null, null), (12, 1, 2, 'ducklake-1.parquet', null, 2),
  (13, 1, 2, 'ducklake-1.parquet', null, 9), (15, 1, 5, 'added.parquet', null, 3),
  (50, 1, 2, 'ducklake-1.parquet', null, 1), (51, 1, 2, 'ducklake-1.parquet', null, 10),
  (52, 1, 5, 'added.parquet', 3, 3), (53, 2, 5, 'added.parquet', null, 3), (54, 1, 5, 'added.parquet', null, 4);
--= data_file_id 50, begin_snapshot 2, partial_max 1
--= data_file_id 51, begin_snapshot 2, partial_max 10
--= data_file_id 52, begin_snapshot 5, partial_max 3
--= data_file_id 53, begin_snapshot 5, partial_max 3
--= data_file_id 54, begin_snapshot 5, partial_max 4

--@ partial-range | 1.0
-- beyond the newest snapshot, or before the begin of an own file: a stale client's, but for one made later
insert into ducklake_column_mapping (mapping_id, table_id) values (3, 1), (20, 1);
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, path, mapping_id, partial_max) values
  (11, 1, 5, 'added.parquet', null, 20), (12, 1, 5, 'ducklake-1.parquet', null, 3),
  (97, 1, 5, 'ducklake-1.parquet', null, 20);
--= data_file_id 97, begin_snapshot 5, partial_max 20

--@ delete-partial-range | 0.4 1.0
insert into ducklake_delete_file (delete_file_id, begin_snapshot, partial_max) values (11, 2, null), (12, 2, 2),
  (13, 2, 9), (50, 2, 1), (51, 2, 10);
--= delete_file_id 50, begin_snapshot 2, partial_max 1
--= delete_file_id 51, begin_snapshot 2, partial_max 10

--@ partial-file-lists | 0.2 0.3
insert into ducklake_data_file (data_file_id, partial_file_info) values (11, null), (12, 'partial_max:4'),
  (50, '2:5|3:9'),
  (51, 'x');
--= data_file_id 50, partial_file_info 2:5|3:9
--= data_file_id 51, partial_file_info x

--@ lost-partial-list | 0.4 1.0
-- files are numbered by tens: what snapshot 4 made has the numbers 30 to 39; each table got rows at 3, 4 or 5
update ducklake_snapshot set next_file_id = 10 * snapshot_id;
update ducklake_snapshot_changes set changes_made =
  'inserted_into_table:1,inserted_into_table:2,inserted_into_table:3,inserted_into_table:8'
  where snapshot_id = 3;
update ducklake_snapshot_changes set changes_made =
  'inserted_into_table:4,inserted_into_table:5,inserted_into_table:50'
  where snapshot_id = 4;
update ducklake_snapshot_changes set changes_made =
  'inserted_into_table:51,inserted_into_table:6,inserted_into_table:50'
  where snapshot_id = 5;
update ducklake_snapshot_changes set changes_made = 'deleted_from_table:7' where snapshot_id = 6;
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, end_snapshot, partial_max) values
  (25, 1, 3, null, null),                            -- what the insert made
  (60, 2, 2, null, 3),                               -- the newer form
  (35, 3, 2, 3, null),                               -- ended before the insert
  (39, 4, 2, null, null),                            -- made with the insert
  (61, 5, 4, null, null),                            -- begins with the insert
  (62, 6, 1, null, null), (45, 6, 5, 7, null),       -- another file has the rows
  (63, 7, 1, null, null),                            -- nothing was inserted
  (66, 8, 5, null, null),                            -- begins later
  (64, 50, 2, null, null),                           -- holds the rows of two inserts
  (50, 51, 2, 6, null);                              -- ended right after the insert
--= data_file_id 50, table_id 51, begin_snapshot 2, last_snapshot 5
--= data_file_id 64, table_id 50, begin_snapshot 2, last_snapshot 5

--@ lost-partial-list | 1.0
-- rows of an insert are in another merged file when that one begins before and goes at least so far
update ducklake_snapshot set next_file_id = 10 * snapshot_id;
update ducklake_snapshot_changes set changes_made =
  'inserted_into_table:1,inserted_into_table:2,inserted_into_table:50,inserted_into_table:51,inserted_into_table:52'
  where snapshot_id = 4;
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, end_snapshot, partial_max) values
  (61, 1, 1, null, null), (62, 1, 3, null, 4), (63, 2, 1, null, null), (64, 2, 2, null, 5),
  (71, 50, 1, null, null), (72, 50, 6, null, 7), (73, 51, 1, null, null), (74, 51, 2, null, 3),
  (75, 52, 1, null, null), (76, 9, 4, null, null), (77, 9, 2, null, 9);
--= data_file_id 71, table_id 50, begin_snapshot 1, last_snapshot 4
--= data_file_id 73, table_id 51, begin_snapshot 1, last_snapshot 4
--= data_file_id 75, table_id 52, begin_snapshot 1, last_snapshot 4

--@ lost-partial-list | 1.0
-- the snapshot in which the file begins has expired, or says that the file was there by then
update ducklake_snapshot set next_file_id = 10 * snapshot_id;
update ducklake_snapshot_changes set changes_made =
  'inserted_into_table:1,inserted_into_table:50,inserted_into_table:51'
  where snapshot_id = 4;
update ducklake_snapshot set next_file_id = 71 where snapshot_id = 1;
update ducklake_snapshot set next_file_id = 55 where snapshot_id = 3;
delete from ducklake_snapshot where snapshot_id = 2;
insert into ducklake_data_file (data_file_id, table_id, begin_snapshot) values (70, 1, 1), (71, 50, 2), (55, 51, 3);
--= data_file_id 55, table_id 51, begin_snapshot 3, last_snapshot 4
--= data_file_id 71, table_id 50, begin_snapshot 2, last_snapshot 4

--@ stale-column | 0.4 1.0
insert into ducklake_column (table_id, column_id, begin_snapshot, default_value_dialect) values (1, 1, 2, null),
  (1, 2, 3, 'duckdb'), (1, 3, 3, null), (1, 4, 5, 'duckdb'), (1, 50, 4, null), (1, 51, 6, null);
--= table_id 1, column_id 50, begin_snapshot 4
--= table_id 1, column_id 51, begin_snapshot 6

--@ path-missing | 0.2 1.0
insert into ducklake_schema (schema_id, path, path_is_relative) values (1, '', true), (50, null, null),
  (51, 'a', null),
  (52, null, true);
--= schema, id 50
--= schema, id 51
--= schema, id 52
--? select schema_id, path, path_is_relative from ducklake_schema order by 1
--> 1, , True
--> 50, , True
--> 51, a, NULL
--> 52, NULL, True

--@ path-missing | 0.2 1.0
insert into ducklake_table (table_id, path, path_is_relative) values (2, 'x', false), (50, null, null),
  (51, 'b', null),
  (52, null, false);
--= table, id 50
--= table, id 51
--= table, id 52
--? select table_id, path, path_is_relative from ducklake_table order by 1
--> 2, x, False
--> 50, , True
--> 51, b, NULL
--> 52, NULL, False
