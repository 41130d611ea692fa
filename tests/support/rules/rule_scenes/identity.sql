-- Scenes for the rules about identity; `support.rules.scenes` says how they are written.

--@ one-version | 0.2 1.0
insert into ducklake_metadata values ('version', '0.1', 'schema', 1);

--@ one-version | 0.2 1.0
insert into ducklake_metadata values ('version', '0.1', null, null);
--= version, found 2

--@ one-version | 0.2 1.0
update ducklake_metadata set scope = 'table' where key = 'version';
--= version, found 0

--@ lake-settings | 0.2 1.0
update ducklake_metadata set value = 'true' where key = 'encrypted';
insert into ducklake_metadata values ('encrypted', 'maybe', 'table', 3), ('data_path', '', 'schema', 1),
  ('created_by', '', 'schema', 1), ('other', '', null, null), ('another', 'maybe', null, null);

--@ lake-settings | 0.2 1.0
-- two paths, one of them empty; nobody made it
insert into ducklake_metadata values ('data_path', '', null, null);
delete from ducklake_metadata where key = 'created_by';
--= created_by, found 0
--= data_path, found 1
--= data_path, found 2

--@ lake-settings | 0.2 1.0
update ducklake_metadata set value = 'maybe' where key = 'encrypted';
delete from ducklake_metadata where key = 'data_path';
--= data_path, found 0
--= encrypted, found 1

--@ lake-settings | 0.2 1.0
update ducklake_metadata set scope = 'table', scope_id = 1 where key = 'encrypted';
--= encrypted, found 0

--@ option-once | 0.2 1.0
insert into ducklake_metadata values ('version', '7', null, null), ('version', '7', null, null),
  ('a', '1', null, null), ('a', '1', 'table', 1), ('a', '1', 'table', 2), ('a', '1', 'schema', 1),
  ('b', '1', null, null), ('c', '1', 'table', 1), ('d', '1', 'schema', 0);

--@ option-once | 0.2 1.0
insert into ducklake_metadata values ('a', '1', 'table', 1), ('a', '2', 'table', 1), ('b', '1', 'column', 1),
  ('c', '1', 'table', null), ('d', '1', null, 5);
--= key a, scope table, scope_id 1, found 2
--= key b, scope column, scope_id 1, found 1
--= key c, scope table, scope_id NULL, found 1
--= key d, scope NULL, scope_id 5, found 1

--@ option-once | 0.2 1.0
insert into ducklake_metadata values ('a', '1', 'schema', null), ('b', '1', null, null), ('b', '1', null, null),
  ('c', '1', null, null);
--= key a, scope schema, scope_id NULL, found 1
--= key b, scope NULL, scope_id NULL, found 2

--@ one-head-snapshot | 0.2 1.0
insert into ducklake_snapshot select * from ducklake_snapshot where snapshot_id = 3;

--@ one-head-snapshot | 0.2 1.0
insert into ducklake_snapshot select * from ducklake_snapshot where snapshot_id = 9;
--= snapshot_id 9, found 2

--@ one-head-snapshot | 0.2 1.0
delete from ducklake_snapshot;
--= snapshot_id NULL, found 0

--@ snapshot-once | 0.2 1.0
-- 3 twice, and one without a number; the head is another rule's
insert into ducklake_snapshot (snapshot_id) values (3), (null), (9);
--= snapshot_id 3, found 2
--= snapshot_id NULL, found 1

--@ snapshot-changes | 0.2 1.0
delete from ducklake_snapshot_changes where snapshot_id = 3;
delete from ducklake_snapshot where snapshot_id = 5;
insert into ducklake_snapshot_changes (snapshot_id) values (7);
--= snapshot_id 3, without changes
--= snapshot_id 5, without snapshot
--= snapshot_id 7, changes twice

--@ snapshot-counters | 0.2 1.0
-- broken from 3 on, each in one column
delete from ducklake_snapshot;
insert into ducklake_snapshot (snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id) values
  (0, '2026-03-01', 0, 1, 0), (1, '2026-03-01', 0, 1, 0), (2, '2026-03-01', 5, 10, 20),
  (3, '2026-03-01', 4, 10, 20), (4, '2026-03-01', 5, 9, 20), (5, '2026-03-01', 5, 10, 19);
--= snapshot_id 3, schema_version 4, next_catalog_id 10, next_file_id 20
--= snapshot_id 4, schema_version 5, next_catalog_id 9, next_file_id 20
--= snapshot_id 5, schema_version 5, next_catalog_id 10, next_file_id 19

--@ snapshot-counters | 0.2 1.0
delete from ducklake_snapshot;
insert into ducklake_snapshot (snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id) values
  (3, '2026-03-01', null, 10, 20), (4, '2026-03-01', 5, null, 20), (5, '2026-03-01', 5, 10, null),
  (6, null, 5, 10, 20), (7, '2026-03-01', 5, 10, 20);
--= snapshot_id 3, schema_version NULL, next_catalog_id 10, next_file_id 20
--= snapshot_id 4, schema_version 5, next_catalog_id NULL, next_file_id 20
--= snapshot_id 5, schema_version 5, next_catalog_id 10, next_file_id NULL
--= snapshot_id 6, schema_version 5, next_catalog_id 10, next_file_id 20

--@ snapshot-counters | 1.0
update ducklake_snapshot set schema_version = -1 where snapshot_id = 0;
--= snapshot_id 0, schema_version -1, next_catalog_id 91, next_file_id 91

--@ snapshot-counters | 1.0
update ducklake_snapshot set next_catalog_id = 0 where snapshot_id = 0;
--= snapshot_id 0, schema_version 0, next_catalog_id 0, next_file_id 91

--@ snapshot-counters | 1.0
update ducklake_snapshot set next_file_id = -1 where snapshot_id = 0;
--= snapshot_id 0, schema_version 0, next_catalog_id 91, next_file_id -1

--@ change-words | 0.2 1.0
delete from ducklake_snapshot_changes;
insert into ducklake_snapshot_changes (snapshot_id, changes_made) values (1, ''), (2, 'inserted_into_table:5'),
  (3, 'created_table:"main"."a,"" b",inserted_into_table:12'), (4, null),
  (5, 'created_schema:"s",created_view:"s"."v",created_scalar_macro:"s"."m",created_table_macro:"s"."n"'),
  (6, 'dropped_schema:1,dropped_table:2,dropped_view:3,dropped_scalar_macro:4,dropped_table_macro:5'),
  (7, 'altered_table:1,altered_view:2,inserted_into_table:3,deleted_from_table:4,compacted_table:5'),
  (8, 'merge_adjacent:1,rewrite_delete:2,inlined_insert:3,inlined_delete:4,inline_flush:5,flushed_inlined:6');

--@ change-words | 0.2 1.0
delete from ducklake_snapshot_changes;
insert into ducklake_snapshot_changes (snapshot_id, changes_made) values (50, 'polished_table:5'),
  (51, 'inserted_into_table:5,'), (52, 'inserted_into_table'), (53, 'inserted_into_table:x'),
  (54, 'created_table:"a"b');
--= snapshot_id 50, changes_made polished_table:5
--= snapshot_id 51, changes_made inserted_into_table:5,
--= snapshot_id 52, changes_made inserted_into_table
--= snapshot_id 53, changes_made inserted_into_table:x
--= snapshot_id 54, changes_made created_table:"a"b

--@ catalog-id-range | 0.2 1.0
-- the counter is 100, so that 99 is right and 100 is not
insert into ducklake_schema (schema_id) values (0), (99), (100);
insert into ducklake_table (table_id) values (99), (null);
insert into ducklake_view (view_id) values (0), (-1);
insert into ducklake_partition_info (partition_id) values (99), (101);
--= partition, id 101
--= schema, id 100
--= table, id NULL
--= view, id -1

--@ catalog-id-range | 1.0
insert into ducklake_table (table_id) values (-1);
insert into ducklake_view (view_id) values (100);
insert into ducklake_partition_info (partition_id) values (0), (null);
--= partition, id NULL
--= table, id -1
--= view, id 100

--@ macro-id-range | 0.4 1.0
insert into ducklake_macro (macro_id) values (0), (99), (100), (null);
insert into ducklake_sort_info (sort_id) values (99), (100), (-1), (0);
--= macro, id 100
--= macro, id NULL
--= sort key, id -1
--= sort key, id 100

--@ file-id-range | 0.2 1.0
insert into ducklake_data_file (data_file_id) values (0), (99), (100);
insert into ducklake_delete_file (delete_file_id) values (0), (99), (100), (-1);
insert into ducklake_column_mapping (mapping_id) values (99), (null);
--= data file, id 100
--= delete file, id -1
--= delete file, id 100
--= mapping, id NULL

--@ catalog-id-once | 0.2 1.0
insert into ducklake_schema (schema_id) values (0), (50);
insert into ducklake_table (table_id) values (1), (1), (50), (51), (52);
insert into ducklake_view (view_id) values (2), (51), (53);
insert into ducklake_partition_info (partition_id) values (3), (3), (52), (53);
--= id 50, one schema, other table
--= id 51, one table, other view
--= id 52, one partition, other table
--= id 53, one partition, other view

--@ macro-id-once | 0.4 1.0
-- 4 is a schema and a table: another rule's
insert into ducklake_schema (schema_id) values (0), (4), (50);
insert into ducklake_table (table_id) values (1), (4), (51);
insert into ducklake_view (view_id) values (2), (52);
insert into ducklake_partition_info (partition_id) values (3), (53);
insert into ducklake_macro (macro_id) values (5), (5), (50), (51), (54);
insert into ducklake_sort_info (sort_id) values (6), (6), (52), (53), (54);
--= id 50, one macro, other schema
--= id 51, one macro, other table
--= id 52, one sort key, other view
--= id 53, one partition, other sort key
--= id 54, one macro, other sort key

--@ schema-once | 0.2 1.0
insert into ducklake_schema (schema_id) values (0), (1), (50), (50);
--= schema_id 50, found 2

--@ file-id-once | 0.2 1.0
insert into ducklake_data_file (data_file_id) values (1), (50), (50), (51);
insert into ducklake_delete_file (delete_file_id) values (2), (51), (52);
insert into ducklake_column_mapping (mapping_id) values (3), (52);
--= id 50, one data file, other data file, found 2
--= id 51, one data file, other delete file, found 2
--= id 52, one delete file, other mapping, found 2

--@ uuid-once | 0.2 1.0
insert into ducklake_table (table_id, table_uuid) values
  (1, '00000000000000000000000000000001'), (1, '00000000000000000000000000000001'),
  (50, '00000000000000000000000000000050'), (50, '00000000000000000000000000000051'), (51, null), (53, null),
  (2, '00000000000000000000000000000052'), (52, '00000000000000000000000000000052');
--= shared by tables, id 2
--= table, id 50
--= table, id 51
--= table, id 53

--@ uuid-once | 1.0
insert into ducklake_view (view_id, view_uuid) values
  (1, '00000000000000000000000000000001'), (1, '00000000000000000000000000000001'),
  (50, '00000000000000000000000000000050'), (50, '00000000000000000000000000000051'), (51, null), (53, null),
  (2, '00000000000000000000000000000052'), (52, '00000000000000000000000000000052');
--= shared by views, id 2
--= view, id 50
--= view, id 51
--= view, id 53

--@ uuid-once | 1.0
insert into ducklake_schema (schema_id, schema_uuid) values
  (1, '00000000000000000000000000000001'), (1, '00000000000000000000000000000001'), (51, null), (52, null),
  (2, '00000000000000000000000000000052'), (53, '00000000000000000000000000000052');
--= schema, id 51
--= schema, id 52
--= shared by schemas, id 2

--@ uuid-once | 1.0
-- equal in objects of different kinds is no matter
insert into ducklake_table (table_id, table_uuid) values (1, '00000000000000000000000000000001');
insert into ducklake_view (view_id, view_uuid) values (2, '00000000000000000000000000000001');
insert into ducklake_schema (schema_id, schema_uuid) values (3, '00000000000000000000000000000001');
