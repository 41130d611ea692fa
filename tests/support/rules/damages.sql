-- Single damages to the catalog of a zoo lake, each with the rule that must find it.
-- Header of each: --@ rule | spec versions that it is tried on | what it does. `support.rules.damages` reads this
-- and fills in the words that begin with a colon: the newest snapshot, a table, a file and so on.

--@ one-version | 0.2 0.3 1.0 | version lost
delete from ducklake_metadata where key = 'version';
--@ one-version | 1.0 | version doubled
insert into ducklake_metadata select * from ducklake_metadata where key = 'version';
--@ lake-settings | 0.2 0.3 1.0 | data path lost
delete from ducklake_metadata where key = 'data_path';
--@ lake-settings | 1.0 | unclear flag
update ducklake_metadata set value = 'maybe' where key = 'encrypted';
--@ option-once | 0.2 0.3 1.0 | option doubled
insert into ducklake_metadata select * from ducklake_metadata where scope = 'table';
--@ option-once | 1.0 | odd scope
update ducklake_metadata set scope = 'column' where scope = 'table';
--@ one-head-snapshot | 0.2 0.3 1.0 | head doubled
alter table ducklake_snapshot drop constraint ducklake_snapshot_pkey; insert into ducklake_snapshot select * from
  ducklake_snapshot where snapshot_id = :head;
--@ one-head-snapshot | 1.0 | no snapshots
delete from ducklake_snapshot;
--@ snapshot-once | 0.2 0.3 1.0 | old snapshot doubled
alter table ducklake_snapshot drop constraint ducklake_snapshot_pkey; insert into ducklake_snapshot select * from
  ducklake_snapshot where snapshot_id = 10;
--@ snapshot-changes | 0.2 0.3 1.0 | changes lost
delete from ducklake_snapshot_changes where snapshot_id = 10;
--@ snapshot-changes | 1.0 | snapshot lost
delete from ducklake_snapshot where snapshot_id = 10;
--@ snapshot-changes | 1.0 | changes doubled
alter table ducklake_snapshot_changes drop constraint ducklake_snapshot_changes_pkey; insert into
  ducklake_snapshot_changes select * from ducklake_snapshot_changes where snapshot_id = 10;
--@ snapshot-counters | 0.2 0.3 1.0 | file counter set back
update ducklake_snapshot set next_file_id = 5 where snapshot_id = :head;
--@ snapshot-counters | 1.0 | schema version lost
update ducklake_snapshot set schema_version = null where snapshot_id = 10;
--@ change-words | 0.2 0.3 1.0 | unknown word
update ducklake_snapshot_changes set changes_made = 'polished_table:3' where snapshot_id = 10;
--@ catalog-id-range | 0.2 0.3 1.0 | table beyond the counter
update ducklake_table set table_id = 100000 where table_id = :table;
--@ macro-id-range | 0.4 1.0 | macro beyond the counter
update ducklake_macro set macro_id = 100000 where macro_id = :macro;
--@ file-id-range | 0.2 0.3 1.0 | mapping beyond the counter
update ducklake_column_mapping set mapping_id = 100000;
--@ file-id-range | 1.0 | file counter set back everywhere
update ducklake_snapshot set next_file_id = least(next_file_id, 20);
--@ catalog-id-once | 0.2 0.3 1.0 | view with a table's id
update ducklake_view set view_id = :table;
--@ macro-id-once | 0.4 1.0 | macro with a table's id
update ducklake_macro set macro_id = :table where macro_id = :macro;
--@ schema-once | 0.2 0.3 1.0 | schema doubled
alter table ducklake_schema drop constraint ducklake_schema_pkey; insert into ducklake_schema select * from
  ducklake_schema where schema_id = 0;
--@ file-id-once | 0.2 0.3 1.0 | delete file with a data file's id
update ducklake_delete_file set delete_file_id = :file where delete_file_id = :deleted;
--@ file-id-once | 1.0 | data file doubled
alter table ducklake_data_file drop constraint ducklake_data_file_pkey; insert into ducklake_data_file select * from
  ducklake_data_file where data_file_id = :file;
--@ uuid-once | 0.2 0.3 1.0 | uuid lost
update ducklake_table set table_uuid = null where table_id = :table;
--@ uuid-once | 1.0 | uuid shared
update ducklake_view set view_uuid = '00000000000000000000000000000000';
--@ snapshot-range | 0.2 0.3 1.0 | column of the future
update ducklake_column set begin_snapshot = 100000 where :column;
--@ snapshot-range | 1.0 | table ends before it begins
update ducklake_table set end_snapshot = begin_snapshot - 1 where table_id = :table;
--@ snapshot-range | 1.0 | file without begin
update ducklake_data_file set begin_snapshot = null where data_file_id = :file;
--@ macro-range | 0.4 1.0 | macro without begin
update ducklake_macro set begin_snapshot = null;
--@ version-overlap | 0.2 0.3 1.0 | table version doubled
insert into ducklake_table select * from ducklake_table where table_id = :table;
--@ version-overlap | 1.0 | renamed table alive twice
update ducklake_table set end_snapshot = null where table_id in (select table_id from ducklake_table group by table_id
  having count(*) > 1);
--@ sort-key-overlap | 0.4 1.0 | sort keys alive twice
update ducklake_sort_info set end_snapshot = null;
--@ column-once | 0.2 0.3 1.0 | column doubled
insert into ducklake_column select * from ducklake_column where :column;
--@ column-overlap | 0.3 1.0 | old column version ends too late
update ducklake_column c set end_snapshot = :head where end_snapshot is not null and exists (select from
  ducklake_column d where d.table_id = c.table_id and d.column_id = c.column_id and d.begin_snapshot = c.end_snapshot);
--@ name-once | 0.2 0.3 1.0 | two tables of one name
update ducklake_table set table_name = 'T_LAST' where table_name = 't_rec' and end_snapshot is null;
--@ name-once | 1.0 | two columns of one name
update ducklake_column set column_name = 'same' where table_id = :table and end_snapshot is null;
--@ macro-name-once | 0.4 1.0 | two macros of one name
update ducklake_macro set macro_name = 'same', schema_id = 0;
--@ name-missing | 0.2 0.3 1.0 | type lost
update ducklake_column set column_type = null where :column;
--@ name-missing | 1.0 | view text lost
update ducklake_view set sql = null;
--@ comment-once | 0.2 0.3 1.0 | comment doubled
insert into ducklake_tag select * from ducklake_tag where end_snapshot is null;
--@ comment-overlap | 0.2 0.3 1.0 | old comment alive
update ducklake_tag t set end_snapshot = :head from ducklake_tag n where n.object_id = t.object_id and n.key = t.key
  and n.begin_snapshot = t.end_snapshot and n.begin_snapshot < :head;
--@ delete-file-once | 0.2 0.3 1.0 | two delete files for one data file
insert into ducklake_delete_file select (jsonb_populate_record(d, jsonb_build_object('delete_file_id', 1 +
  delete_file_id))).* from ducklake_delete_file d where delete_file_id = :deleted;
--@ delete-file-overlap | 0.2 0.3 1.0 | an ended delete file overlaps
insert into ducklake_delete_file select (jsonb_populate_record(d, jsonb_build_object('delete_file_id', 1 +
  delete_file_id, 'end_snapshot', :head))).* from ducklake_delete_file d where delete_file_id = :deleted;
--@ schema-of-object | 0.2 0.3 1.0 | schema lost
delete from ducklake_schema where schema_id = 0;
--@ schema-of-object | 1.0 | schema ended
update ducklake_schema set end_snapshot = :head;
--@ table-without-columns | 0.2 0.3 1.0 | columns lost
delete from ducklake_column where table_id = :table;
--@ column-without-table | 0.2 0.3 1.0 | table lost
delete from ducklake_table where table_id = :table;
--@ file-without-table | 0.2 0.3 1.0 | table of files lost
delete from ducklake_table where table_id = :table;
--@ file-without-table | 1.0 | file of another table
update ducklake_data_file set table_id = 99999 where data_file_id = :file;
--@ file-of-dropped-table | 0.3 1.0 | table ended, its files not
update ducklake_table set end_snapshot = :head where table_id = :table;
--@ part-of-dropped-table | 0.3 1.0 | table ended, its columns not
update ducklake_table set end_snapshot = :head where table_id = :table;
--@ parent-column | 0.2 0.3 1.0 | parent of nested columns lost
delete from ducklake_column where column_type = 'struct' and end_snapshot is null;
--@ delete-file-without-data-file | 0.2 0.3 1.0 | data file lost
delete from ducklake_data_file where data_file_id in (select data_file_id from ducklake_delete_file);
--@ statistics-without-file | 0.2 0.3 1.0 | data file lost
delete from ducklake_data_file where data_file_id = :file;
--@ statistics-without-column | 0.2 0.3 1.0 | statistics of another column
update :stats set column_id = 99 where data_file_id = :file and column_id = 1;
--@ statistics-once | 0.2 0.3 1.0 | statistics doubled
insert into :stats select * from :stats where data_file_id = :file;
--@ partition-of-file | 0.2 0.3 1.0 | partition lost
delete from ducklake_partition_info;
--@ partition-values | 0.2 0.3 1.0 | partition value lost
delete from ducklake_file_partition_value where data_file_id = :split;
--@ bucket-value | 1.0 | no number of a bucket
update ducklake_partition_column set transform = 'bucket(4)'; update ducklake_file_partition_value
  set partition_value = 'x' where data_file_id = :split;
--@ partition-value-of-other-table | 0.2 0.3 1.0 | value of another table
update ducklake_file_partition_value set table_id = :table where data_file_id = :split;
--@ partition-value-unused | 0.2 0.3 1.0 | file without partition
update ducklake_data_file set partition_id = null where data_file_id = :split;
--@ partition-column | 0.2 0.3 1.0 | key of no column
update ducklake_partition_column set column_id = 99;
--@ partition-transform | 0.2 0.3 1.0 | unknown transform
update ducklake_partition_column set transform = 'decade';
--@ mapping-of-file | 0.2 0.3 1.0 | mapping lost
delete from ducklake_column_mapping;
--@ mapping-of-file | 1.0 | names lost
delete from ducklake_name_mapping;
--@ mapping-of-column | 0.2 0.3 1.0 | name of no column
update ducklake_name_mapping set target_field_id = 99;
--@ mapping-of-dropped-table | 0.2 0.3 1.0 | mapping of no table
update ducklake_column_mapping set table_id = 99999;
--@ mapping-is-partition | 0.3 1.0 | flag lost
update ducklake_name_mapping set is_partition = null;
--@ comment-without-object | 0.2 0.3 1.0 | comment of nothing
update ducklake_tag set object_id = 99999;
--@ comment-without-object | 1.0 | comment of no column
update ducklake_column_tag set column_id = 99;
--@ macro-parts | 0.4 1.0 | body lost
delete from ducklake_macro_impl where macro_id = :macro;
--@ macro-parts | 1.0 | macro lost
delete from ducklake_macro where macro_id = :macro;
--@ sort-key-parts | 0.4 1.0 | expression lost
delete from ducklake_sort_expression where sort_id = :sort;
--@ part-once | 0.2 0.3 1.0 | mapped names doubled
insert into ducklake_name_mapping select * from ducklake_name_mapping;
--@ part-once | 1.0 | partition key doubled
insert into ducklake_partition_column select * from ducklake_partition_column;
--@ partition-key-of-added-file | 0.2 0.3 1.0 | values of an added file numbered alike
update ducklake_data_file set mapping_id = (select min(mapping_id) from ducklake_column_mapping) where data_file_id =
  :split; insert into ducklake_file_partition_value select * from ducklake_file_partition_value where data_file_id =
  :split;
--@ macro-part-once | 0.4 1.0 | body doubled
insert into ducklake_macro_impl select * from ducklake_macro_impl;
--@ table-statistics | 0.2 0.3 1.0 | statistics lost
delete from ducklake_table_stats where table_id = :table;
--@ table-statistics | 1.0 | statistics doubled
insert into ducklake_table_stats select * from ducklake_table_stats;
--@ column-statistics | 0.2 0.3 1.0 | statistics doubled
insert into ducklake_table_column_stats select * from ducklake_table_column_stats;
--@ column-statistics | 1.0 | statistics of no column
update ducklake_table_column_stats set column_id = column_id + 900;
--@ narrow-statistics | 1.0 | minimum set to the maximum
update ducklake_table_column_stats set min_value = max_value;
--@ unknown-statistics | 1.0 | range lost
update ducklake_table_column_stats set min_value = null, max_value = null;
--@ variant-statistics-without-file | 1.0 | data file lost
delete from ducklake_data_file where data_file_id in (select data_file_id from ducklake_file_variant_stats);
--@ schema-version-without-table | 0.4 1.0 | stale client altered a table
update ducklake_schema_versions set table_id = null where table_id = :table;
--@ schema-version-range | 0.3 1.0 | version of the future
update ducklake_schema_versions set schema_version = 100000 where begin_snapshot = (select max(begin_snapshot) from
  ducklake_schema_versions);
--@ schema-version-of-snapshot | 0.3 1.0 | version moved
update ducklake_schema_versions set schema_version = schema_version - 1 where begin_snapshot = (select
  max(begin_snapshot) from ducklake_schema_versions);
--@ schema-version-missing | 0.3 | versions lost
delete from ducklake_schema_versions;
--@ schema-version-of-change | 0.4 1.0 | version lost
delete from ducklake_schema_versions where begin_snapshot = (select max(begin_snapshot) from ducklake_schema_versions);
--@ schema-version-of-table | 0.4 1.0 | first version lost
delete from ducklake_schema_versions where table_id = :table;
--@ schema-version-of-file | 0.4 1.0 | first version lost
delete from ducklake_schema_versions where table_id = :table;
--@ schema-versions-at-one-snapshot | 0.4 1.0 | all versions at the table's begin
update ducklake_schema_versions v set begin_snapshot = (select min(begin_snapshot) from ducklake_table t where
  t.table_id = v.table_id);
--@ schema-version-of-dropped-table | 0.4 1.0 | version of no table
insert into ducklake_schema_versions values (2, 2, 99999);
--@ default-type | 0.4 1.0 | default type lost
update ducklake_column set default_value_type = null;
--@ stale-mapping | 0.4 1.0 | stale client added a file
update ducklake_data_file set partial_max = mapping_id, mapping_id = null where data_file_id = :mapped;
--@ partial-range | 0.4 1.0 | range before the begin
update ducklake_data_file set partial_max = 0, mapping_id = null where data_file_id = :file;
--@ delete-partial-range | 0.4 1.0 | range before the begin
update ducklake_delete_file set partial_max = 0;
--@ partial-file-lists | 0.2 0.3 | another list
update ducklake_data_file set partial_file_info = '1:2|2:3' where data_file_id = :file;
--@ lost-partial-list | 0.4 1.0 | lists dropped
update ducklake_data_file set partial_max = null;
--@ stale-column | 0.4 1.0 | stale client added a column
update ducklake_column set default_value_dialect = null where begin_snapshot = (select max(begin_snapshot) from
  ducklake_column);
--@ path-missing | 0.2 0.3 1.0 | path lost
update ducklake_table set path = null, path_is_relative = null where table_id = :table;
--@ file-counts | 0.2 0.3 1.0 | size lost
update ducklake_data_file set file_size_bytes = null;
--@ file-counts | 1.0 | unknown format
update ducklake_delete_file set format = 'csv';
--@ delete-count | 0.2 0.3 1.0 | more deletes than rows
update ducklake_delete_file set delete_count = 1000000 where delete_file_id = :deleted;
--@ path-once | 0.2 0.3 1.0 | two files of one path
update ducklake_data_file set path = 'same' where table_id = :table and path_is_relative;
--@ file-of-two-tables | 0.2 0.3 1.0 | one path in two tables
update ducklake_data_file set path = '/one', path_is_relative = false where data_file_id in (:file, (select
  max(data_file_id) from ducklake_data_file where table_id <> (select table_id from ducklake_data_file where
  data_file_id = :file)));
--@ row-id-counter | 0.2 0.3 1.0 | counter set back
update ducklake_table_stats set next_row_id = 1;
--@ row-id-overlap | 0.2 0.3 1.0 | row ids moved
update ducklake_data_file set row_id_start = 0 where row_id_start is not null;
--@ value-counts | 0.2 0.3 1.0 | row count changed
update ducklake_data_file set record_count = record_count - 1 where data_file_id = :file;
--@ row-total | 0.2 0.3 1.0 | total set back
update ducklake_table_stats set record_count = 0;
--@ file-key | 0.2 0.3 1.0 | flag changed
update ducklake_metadata set value = 'true' where key = 'encrypted';
--@ file-key | 1.0 | key on a plain file
update ducklake_data_file set encryption_key = 'x' where data_file_id = :file;
--@ plain-file-in-encrypted-lake | 0.2 0.3 | flag changed where files were added
update ducklake_metadata set value = 'true' where key = 'encrypted';
--@ plain-file-among-encrypted | 1.0 | flag changed where files were added
update ducklake_metadata set value = 'true' where key = 'encrypted';
--@ scheduled-file-in-use | 0.2 0.3 1.0 | path of a living file scheduled under another number
insert into ducklake_files_scheduled_for_deletion select 99999, p.value || s.path || t.path || f.path, false, now()
  from ducklake_metadata p, ducklake_data_file f join ducklake_table t using (table_id) join ducklake_schema s using
  (schema_id) where p.key = 'data_path' and f.path_is_relative and f.end_snapshot is null limit 1;
--@ scheduled-file-in-use | 0.2 0.3 1.0 | living file scheduled
insert into ducklake_files_scheduled_for_deletion select data_file_id, path, true, now() from ducklake_data_file where
  data_file_id = :file;
--@ inlined-registry | 0.2 0.3 1.0 | registered twice
insert into ducklake_inlined_data_tables select * from ducklake_inlined_data_tables;
--@ inlined-registry | 1.0 | another version
update ducklake_inlined_data_tables set schema_version = schema_version + 1;
--@ inlined-table-missing | 0.2 0.3 1.0 | table lost
drop table :rows;
--@ inlined-table-of-dropped-table | 0.2 0.3 1.0 | registered for no table
update ducklake_inlined_data_tables set table_id = 99999;
--@ inlined-table-unregistered | 0.2 0.3 1.0 | registry lost
delete from ducklake_inlined_data_tables;
--@ inlined-rows-unregistered | 0.2 0.3 1.0 | registration lost
delete from ducklake_inlined_data_tables where table_name = ':rows';
--@ inlined-version-unknown | 1.0 | version of an inlined table not named
update ducklake_schema_versions v set schema_version = v.schema_version - 1 from ducklake_inlined_data_tables i
  where i.table_name = ':rows' and v.table_id = i.table_id and v.schema_version = i.schema_version;
update ducklake_table t set begin_snapshot = -1 from ducklake_inlined_data_tables i
  where i.table_name = ':rows' and t.table_id = i.table_id;
update ducklake_snapshot set schema_version = schema_version + 1 where snapshot_id = :head;
--@ inlined-column-added | 0.3 0.4 | columns from after the table
update ducklake_table t set begin_snapshot = -1 from ducklake_inlined_data_tables i
  where i.table_name = ':rows' and t.table_id = i.table_id;
update ducklake_snapshot set schema_version = schema_version + 1 where snapshot_id = :head;
--@ inlined-columns-changed | 0.4 1.0 | a column that came while nothing was inlined
insert into ducklake_column (column_id, begin_snapshot, table_id, column_order, column_name, column_type, nulls_allowed,
  default_value_type) select 99, :head, table_id, 99, 'later', 'int32', true, 'literal' from
  ducklake_inlined_data_tables where table_name = ':rows';
--@ inlined-row-range | 0.2 0.3 1.0 | rows of the future
update :rows set begin_snapshot = 100000;
--@ inlined-row-range | 1.0 | rows from before all snapshots
update :rows set begin_snapshot = -1;
--@ inlined-row-range | 1.0 | rows without id
update :rows set row_id = null;
--@ inlined-row-once | 0.2 0.3 1.0 | rows doubled
insert into :rows select * from :rows where end_snapshot is null;
--@ inlined-row-id | 0.2 0.3 1.0 | row beyond the counter
update :rows set row_id = 100000;
--@ inlined-row-overlap | 0.2 0.3 1.0 | an old version alive
insert into :rows select (jsonb_populate_record(r, jsonb_build_object('begin_snapshot', begin_snapshot - 1))).* from
  :rows r where end_snapshot is null;
--@ inlined-delete | 0.4 1.0 | delete of no file
update :deletes set file_id = 99999;
--@ inlined-delete | 1.0 | delete of a file with an impossible number
update :deletes set file_id = -1;
--@ inlined-delete | 1.0 | delete before all snapshots
update :deletes set begin_snapshot = -1;
--@ inlined-delete-without-file | 0.4 1.0 | delete of a file that is gone
update :deletes set file_id = (select min(id) from generate_series(0, 1000) id where not exists (select from
  ducklake_data_file f where f.data_file_id = id)) where file_id in (select data_file_id from ducklake_data_file);
--@ inlined-delete | 1.0 | delete of no row
update :deletes set row_id = 1000000;
--@ inlined-delete | 1.0 | deletes doubled
insert into :deletes select * from :deletes;
--@ inlined-deletes-of-dropped-table | 0.4 1.0 | table of no lake table
alter table :deletes rename to ducklake_inlined_delete_99999;
--@ inlined-types | 1.0 | types of DuckDB 1.4
do $$ declare t record; begin for t in select format('alter table %I alter %I type varchar', c.table_name,
  c.column_name) as s from information_schema.columns c where table_name like 'ducklake_inlined_data_%' and data_type
  = 'bytea' loop execute t.s; end loop; end $$;
--@ inlined-text-as-hexadecimal | 1.0 | text of DuckDB 1.5 in a table of 1.4
alter table :rows add column more varchar; update :rows set more = '\x6465';
--@ missing-key | 0.2 0.3 1.0 | key dropped
alter table ducklake_snapshot drop constraint ducklake_snapshot_pkey;
--@ missing-key | 1.0 | file key dropped
alter table ducklake_data_file drop constraint ducklake_data_file_pkey;
--@ missing-table | 0.2 0.3 1.0 | table lost
drop table ducklake_tag;
--@ missing-table | 0.2 0.3 1.0 | files lost
drop table ducklake_data_file;
--@ missing-table | 1.0 | registry lost
drop table ducklake_inlined_data_tables;
--@ missing-table | 1.0 | snapshots lost
drop table ducklake_snapshot;
--@ missing-column | 0.2 0.3 1.0 | column lost
alter table ducklake_data_file drop column row_id_start;
--@ wrong-type | 0.2 0.3 1.0 | column of another type
alter table ducklake_table alter table_id type varchar;
--@ column-order | 1.0 | columns in another order
alter table ducklake_view rename dialect to x; alter table ducklake_view rename sql to dialect; alter table
  ducklake_view rename x to sql;
--@ extra-table | 1.0 | a table more
create table ducklake_notes (text varchar);
--@ extra-column | 1.0 | a column more
alter table ducklake_tag add column note varchar;
--@ nullable-column | 1.0 | NULL allowed
alter table ducklake_metadata alter value drop not null;
--@ inlined-layout | 0.2 0.3 1.0 | inlined columns renamed
alter table :rows rename row_id to id;
--@ unknown-version | 1.0 | another version
update ducklake_metadata set value = '7.5' where key = 'version';
--@ unknown-version | 1.0 | a version to come
update ducklake_metadata set value = '1.1-dev1' where key = 'version';
--@ unknown-version | 0.2 | a version of long ago
update ducklake_metadata set value = '0.1' where key = 'version';
--@ column-without-table | 1.0 | table lost from a version to come
update ducklake_metadata set value = '1.1-dev1' where key = 'version'; delete from ducklake_table where table_id = :table;
--@ column-without-table | 0.2 0.3 1.0 | table lost, and the version
delete from ducklake_metadata where key = 'version'; delete from ducklake_table where table_id = :table;
--@ column-type | 0.2 0.3 1.0 | a type that nobody has
update ducklake_column set column_type = 'nosuch' where :column;
--@ column-type | 0.2 0.3 1.0 | a decimal beyond its limits
update ducklake_column set column_type = 'decimal(99,3)' where :column;
--@ nested-column-parts | 0.2 0.3 1.0 | the element of a list lost
delete from ducklake_column where end_snapshot is null and parent_column in (select column_id from ducklake_column p
  where p.table_id = ducklake_column.table_id and p.column_type = 'list' and p.end_snapshot is null);
--@ initial-default | 0.2 0.3 1.0 | no value of the type
update ducklake_column set initial_default = 'x', column_type = 'date' where :column;
--@ column-default | 0.2 0.3 | no value of the type
update ducklake_column set default_value = 'x', column_type = 'date' where :column;
--@ default-literal | 0.4 1.0 | no value of the type
update ducklake_column set default_value = 'x', default_value_type = 'literal', column_type = 'date' where :column;
--@ default-expression | 0.4 1.0 | no expression
update ducklake_column set default_value = '(', default_value_type = 'expression' where :column;
--@ macro-type | 0.4 1.0 | a parameter of a type that nobody has
update ducklake_macro_parameters set parameter_type = 'nosuch' where macro_id in (select macro_id from ducklake_macro where
  end_snapshot is null);
--@ macro-default | 0.4 1.0 | NULL as a date
update ducklake_macro_parameters set default_value = 'NULL', default_value_type = 'date' where macro_id in (select macro_id from
  ducklake_macro where end_snapshot is null);
--@ macro-text | 0.4 1.0 | no expression
update ducklake_macro_impl set sql = '(' where macro_id in (select macro_id from ducklake_macro where
  end_snapshot is null);
--@ macro-null-default | 0.4 1.0 | NULL as text
update ducklake_macro_parameters set default_value = 'NULL', default_value_type = 'varchar' where macro_id in (select macro_id from ducklake_macro where
  end_snapshot is null);
--@ view-aliases | 0.2 0.3 1.0 | no names in quotes
update ducklake_view set column_aliases = 'a' where end_snapshot is null;
--@ view-text | 0.4 1.0 | no statement
update ducklake_view set sql = 'SELEC' where end_snapshot is null;
--@ sort-key-text | 0.4 1.0 | no expression
update ducklake_sort_info set end_snapshot = null; update ducklake_sort_expression set expression = '(';
--@ column-comment-key | 0.2 0.3 1.0 | another tag
insert into ducklake_column_tag select table_id, column_id, begin_snapshot, null, 'unit', 'm' from ducklake_column
  where :column;
--@ cut-column-name | 0.2 0.3 1.0 | a name of more than 63 bytes
do $$ begin execute format('alter table :rows rename %I to %I', (select attname from pg_attribute where attrelid =
  ':rows'::regclass and attnum = 4), repeat('a', 63)); end $$; update ducklake_column set column_name = repeat('a', 70)
  where table_id = (select table_id from ducklake_inlined_data_tables where table_name = ':rows') and column_id = 1;
--@ float-bounds | 0.2 0.3 1.0 | a FLOAT that has become DOUBLE
update ducklake_column set column_type = 'float64', begin_snapshot = :head where :column; insert into ducklake_column
  (table_id, column_id, begin_snapshot, end_snapshot, column_order, column_name, column_type, nulls_allowed)
  select table_id, column_id, 1, :head, column_order, column_name, 'float32', true from ducklake_column where :column;
  update :stats set min_value = '0.1', max_value = '0.1' where column_id = 1 and table_id = :table;
--@ renamed-inlined-column | 0.3 | another name before the version of an inlined table
insert into ducklake_column (column_id, begin_snapshot, end_snapshot, table_id, column_order, column_name, column_type)
  select c.column_id, 1, v.begin_snapshot, c.table_id, c.column_order, 'before', c.column_type
  from ducklake_column c join ducklake_inlined_data_tables i on i.table_id = c.table_id
  join ducklake_schema_versions v on v.schema_version = i.schema_version
  join ducklake_table t on t.table_id = c.table_id and t.end_snapshot is null
  where c.end_snapshot is null and c.parent_column is null and c.begin_snapshot <= v.begin_snapshot
    and t.begin_snapshot < v.begin_snapshot
    and i.schema_version < (select max(schema_version) from ducklake_snapshot)
  order by c.column_id, i.schema_version limit 1;
update ducklake_column c set begin_snapshot = o.end_snapshot from ducklake_column o
  where o.column_name = 'before' and c.table_id = o.table_id and c.column_id = o.column_id and c.end_snapshot is null;
--@ wide-table | 0.4 1.0 | more columns than PostgreSQL has
insert into ducklake_column (table_id, column_id, begin_snapshot, column_order, column_name, column_type, nulls_allowed,
  default_value_type) select :table, 1000 + n, :head, 1000 + n, 'c' || n, 'int32', true, 'literal' from
  generate_series(1, 1600) n;
--@ file-outside-buckets | 1.0 | a file from before the keys
update ducklake_partition_column k set transform = 'bucket(4)' from ducklake_partition_info p
  where p.partition_id = k.partition_id and p.end_snapshot is null;
delete from ducklake_file_partition_value where data_file_id = :split;
update ducklake_data_file set partition_id = null where data_file_id = :split;
--@ bucket-of-other-type | 1.0 | a bucketed column that has become a DECIMAL
update ducklake_partition_column set transform = 'bucket(4)';
insert into ducklake_column select (jsonb_populate_record(c, jsonb_build_object('begin_snapshot', :head, 'column_type',
  'decimal(5,1)'))).* from ducklake_column c where end_snapshot is null and (table_id, column_id) in (select table_id,
  column_id from ducklake_partition_column);
update ducklake_column set end_snapshot = :head where end_snapshot is null and column_type <> 'decimal(5,1)' and
  (table_id, column_id) in (select table_id, column_id from ducklake_partition_column);
--@ truth-statistics | 1.0 | a BOOLEAN that has become a BIGINT
update ducklake_table_column_stats s set min_value = 'true' from ducklake_column c where c.table_id = s.table_id and
  c.column_id = s.column_id and c.end_snapshot is null and c.column_type = 'int64';
