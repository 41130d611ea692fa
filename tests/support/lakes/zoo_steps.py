"""The zoo's steps as (spec version that can do it, name, script)."""

__all__ = ["ADDED_FILES", "AFTER_FILES", "BEFORE_FILES"]

_Steps = tuple[tuple[str, str, str], ...]

_ROWS = """
    create schema lake.s1;
    create schema lake."we""ird 'sch.ema";
    create table lake.t_basic (i int not null, s varchar, d double default 3.5);
    insert into lake.t_basic select range, 'row ' || range, range / 2 from range(500);
    insert into lake.t_basic values (1000, 'it''s', 'NaN'), (1001, null, 'inf'), (1002, '', null);
    delete from lake.t_basic where i % 10 = 3;
    delete from lake.t_basic where i = 7;
    update lake.t_basic set s = upper(s) where i between 20 and 29;
    update lake.t_basic set d = -1 where i = 1000;
"""
_TRANSACTIONS = """
    begin;
    insert into lake.t_basic select range, 'tx', 0 from range(2000, 2050);
    delete from lake.t_basic where i between 2000 and 2004;
    create table lake.s1.t_tx as select 42 as x;
    commit;
    begin;
    create table lake.gone_in_tx (i int);
    insert into lake.gone_in_tx values (1);
    drop table lake.gone_in_tx;
    insert into lake.t_basic values (3000, 'after', 1);
    commit;
"""
_TYPES = """
    create table lake.t_types (
        b boolean, i8 tinyint, i16 smallint, i32 int, i64 bigint, i128 hugeint, u8 utinyint, u16 usmallint,
        u32 uinteger, u64 ubigint, u128 uhugeint, f float, d double, dec decimal(18, 3), dec38 decimal(38, 10),
        t time, dt date, ts timestamp, ts_s timestamp_s, ts_ms timestamp_ms, ts_ns timestamp_ns,
        tstz timestamptz, ttz timetz, iv interval, s varchar, bl blob, u uuid, js json);
    alter table lake.t_types add column st struct(a int, b varchar);
    alter table lake.t_types add column l int[];
    alter table lake.t_types add column m map(varchar, int);
    alter table lake.t_types add column nest struct(x struct(y int, z varchar[])[]);
    insert into lake.t_types values (
        true, -128, -32768, -2147483648, -9223372036854775808, -12345678901234567890, 255, 65535,
        4294967295, 18446744073709551615, 12345678901234567890, 'nan', '-inf', 123456789012345.678,
        1234567890123456789012345678.0123456789, '23:59:59.999999', '2024-02-29',
        '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56', '2024-02-29 12:34:56.789',
        '2024-02-29 12:34:56.789012345', '2024-02-29 12:34:56.789012+02', '12:34:56+05:30',
        interval '1 year 2 months 3 days 35 minutes 5.678 seconds', 'it''s a "quote" \\ back',
        '\\x00\\xFF\\x27'::blob, '12345678-1234-5678-1234-567812345678', '{"a": [1, null, "x"]}',
        {'a': 1, 'b': 'it''s'}, [1, null, 3], map {'k''1': 1, 'k2': null}, {'x': [{'y': 1, 'z': ['p', 'q']}]});
    insert into lake.t_types (dt, ts, tstz, s, bl, f, d) values
        ('infinity', 'infinity', 'infinity', '', '', '-0.0', '-0.0'),
        ('-infinity', '-infinity', '-infinity', chr(0) || 'nul' || chr(0), ''::blob, 'inf', 'nan'),
        ('0044-03-15 (BC)', '0044-03-15 (BC) 10:00:00', '0044-03-15 (BC) 10:00:00+00', 'ünï ☃', 'ab'::blob, 0, 0);
    insert into lake.t_types (i32) select null from range(3);
    insert into lake.t_types (i32, s, dec, ts, st, l)
        select range, 'f' || range, range + 0.5, timestamp '2020-01-01' + to_days(range::int),
            {'a': range, 'b': 'b' || range}, [range, range + 1] from range(200);
"""
_VARIANT = """
    create table lake.t_variant (i int, v variant);
    insert into lake.t_variant select range, {'a': range, 'b': 'x' || range}::variant from range(100);
    insert into lake.t_variant values (1000, 42::variant), (1001, null);
"""
_GEOMETRY = """
    create table lake.t_geo (i int, g geometry);
    insert into lake.t_geo select range, ('POINT(' || range || ' 1)')::geometry from range(20);
"""
_EVOLUTION = """
    create table lake.s1.t_evo (a int, b varchar, st struct(x int, y varchar));
    insert into lake.s1.t_evo select range, 'b' || range, {'x': range, 'y': 'y'} from range(50);
    alter table lake.s1.t_evo add column c int default 7;
    insert into lake.s1.t_evo (a, b) select range, 'second' from range(100, 130);
    alter table lake.s1.t_evo rename column b to "b 2'q";
    alter table lake.s1.t_evo alter column a set data type bigint;
    alter table lake.s1.t_evo alter column c set default 8;
    insert into lake.s1.t_evo (a) values (5000);
"""
_DEFAULTS = """
    create table lake.t_def (
        i int, made varchar default upper('x' || 'y'), w timestamptz default now(), n int default 5);
    insert into lake.t_def (i, w) select range, '2020-01-01' from range(20);
    alter table lake.t_def alter column made set default lower('IT''S');
    insert into lake.t_def (i, w) values (100, '2020-01-01');
"""
_MORE_EVOLUTION = """
    alter table lake.s1.t_evo alter column c drop default;
    alter table lake.s1.t_evo alter column a set not null;
    alter table lake.s1.t_evo alter column a drop not null;
    alter table lake.s1.t_evo add column st.z int;
    alter table lake.s1.t_evo drop column st.x;
    alter table lake.s1.t_evo rename column st.y to yy;
    alter table lake.s1.t_evo drop column c;
    insert into lake.s1.t_evo (a) select range from range(200, 220);
    delete from lake.s1.t_evo where a between 100 and 104;
    begin;
    alter table lake.s1.t_evo add column e1 int;
    alter table lake.s1.t_evo add column e2 varchar default 'e2';
    insert into lake.s1.t_evo (a, e1) values (6000, 1);
    commit;
"""
_TABLES = """
    alter table lake.s1.t_tx rename to t_renamed;
    insert into lake.s1.t_renamed values (43);
    create table lake.t_rec (i int);
    insert into lake.t_rec select range from range(30);
    drop table lake.t_rec;
    create table lake.t_rec (s varchar);
    insert into lake.t_rec values ('new');
    create or replace table lake.t_rec as select 'replaced' as s, 1 as n;
    create schema lake.s_gone;
    create table lake.s_gone.t (i int);
    insert into lake.s_gone.t select range from range(40);
    drop schema lake.s_gone cascade;
"""
_VIEWS = """
    create view lake.v1 as select i, s from lake.t_basic where i < 10;
    create view lake.s1.v2 (x) as select 1;
    create or replace view lake.v1 as select i from lake.t_basic where i < 5;
    create view lake.v_tmp as select 2 as two;
    alter view lake.v_tmp rename to v_tmp2;
    drop view lake.v_tmp2;
"""
_MACROS = """
    create macro lake.add_one(x) as x + 1;
    create macro lake.s1.def_arg(a, b := 'it''s') as a || b;
    create macro lake.tbl_macro(n) as table select * from range(n) r(x);
    create macro lake.gone_macro(x) as x;
    drop macro lake.gone_macro;
"""
_COMMENTS = """
    comment on table lake.t_basic is 'a ''quoted'' comment';
    comment on table lake.t_basic is 'second comment';
    comment on column lake.t_basic.s is 'col comment';
    comment on column lake.t_basic.d is 'other col comment';
    comment on column lake.t_basic.s is null;
    comment on view lake.v1 is 'view comment';
"""
_PARTITIONS = """
    create table lake.t_part (k int, ts timestamp, v varchar);
    insert into lake.t_part
        select range % 3, timestamp '2022-01-01' + to_days((range * 40)::int), 'p' || range from range(30);
    alter table lake.t_part set partitioned by (k);
    insert into lake.t_part
        select range % 3, timestamp '2022-01-01' + to_days((range * 40)::int), 'q' || range from range(30);
    alter table lake.t_part set partitioned by (year(ts), month(ts));
    insert into lake.t_part
        select range % 3, timestamp '2022-01-01' + to_days((range * 40)::int), 'r' || range from range(12);
"""
_NULL_PARTITION = "insert into lake.t_part values (null, null, 'nullpart')"
_BUCKETS = """
    create table lake.t_bucket (u bigint, v varchar);
    alter table lake.t_bucket set partitioned by (bucket(4, u));
    insert into lake.t_bucket select range, 'b' from range(40);
"""
_PARTITION_RESET = """
    alter table lake.t_part reset partitioned by;
    insert into lake.t_part values (9, '2030-01-01', 'unpartitioned');
"""
_SORTING = """
    create table lake.t_sort (i int, s varchar);
    alter table lake.t_sort set sorted by (s desc nulls last, (i + 1) asc);
    insert into lake.t_sort select range, 's' || (range * 7 % 50) from range(50);
    alter table lake.t_sort set sorted by (i asc);
    alter table lake.t_sort reset sorted by;
    insert into lake.t_sort values (100, 'x');
"""
_MAPPED_TABLE = """
    create table lake.t_map (a int, b varchar, p int);
    insert into lake.t_map values (0, 'own', 0);
    copy (select (range + 10)::int as a, 'in' || range as b, 1 as p from range(5)) to :INSIDE;
    copy (select (range + 20)::int as a, 'extra' as not_there, 2 as p from range(5)) to :OUTSIDE;
    copy (select (range + 30)::int as a, 'hive' as b from range(5)) to :HIVE;
"""
_ADD_OUTSIDE = """
    call ducklake_add_data_files('lake', 't_map', :OUTSIDE, allow_missing => true, ignore_extra_columns => true)
"""
_MAPPED_CHANGES = """
    delete from lake.t_map where a = 11;
    alter table lake.t_map rename column b to bb;
    update lake.t_map set bb = 'upd' where a = 12;
"""
_OPTIONS = """
    call lake.set_option('parquet_compression', 'zstd');
    call lake.set_option('target_file_size', '10MB');
    call lake.set_option('parquet_row_group_size', 1000, schema => 's1');
    call lake.set_option('parquet_version', 2, schema => 'main', table_name => 't_basic');
    call lake.set_option('data_inlining_row_limit', 20, schema => 'main', table_name => 't_basic');
"""
_COMMIT_MESSAGE = """
    begin;
    call lake.set_commit_message('zoo keeper', 'a ''message''', extra_info => '{"k": 1}');
    insert into lake.t_basic values (4000, 'msg', 1);
    commit;
"""
_INLINED = """
    create table lake.t_inl (i int, s varchar, l int[]);
    call lake.set_option('data_inlining_row_limit', 10, schema => 'main', table_name => 't_inl');
    insert into lake.t_inl values (1, 'a', [1]), (2, 'it''s', null), (3, null, []);
    insert into lake.t_inl values (4, 'd', [4]), (5, 'e', [5, 5]);
    delete from lake.t_inl where i = 2;
    update lake.t_inl set s = 'upd' where i = 4;
    alter table lake.t_inl add column x int default 5;
    insert into lake.t_inl values (6, 'six', [6], 6);
    alter table lake.t_inl rename column s to "s'2";
    insert into lake.t_inl values (7, 'seven', [7], 7);
    insert into lake.t_inl select range, 'big' || range, [range], range from range(100, 200);
    delete from lake.t_inl where i between 150 and 152;
"""
_FLUSH = "call ducklake_flush_inlined_data('lake', table_name => 't_inl')"
_AFTER_FLUSH = """
    insert into lake.t_inl values (8, 'eight', [8], 8);
    delete from lake.t_inl where i in (8, 160);
    create table lake.t_inl_gone (i int);
    insert into lake.t_inl_gone values (1), (2);
    drop table lake.t_inl_gone;
"""
_MERGE_INTO = """
    create table lake.t_merge (id int, v varchar);
    insert into lake.t_merge select range, 'old' from range(20);
    merge into lake.t_merge t using (select range + 10 as id, 'new' as v from range(20)) s on (t.id = s.id)
        when matched then update set v = s.v
        when not matched then insert values (s.id, s.v);
"""
_SMALL_FILES = """
    create table lake.t_trunc (i int);
    insert into lake.t_trunc select range from range(60);
    delete from lake.t_trunc;
    insert into lake.t_trunc values (1);
    create table lake.t_small (i int, s varchar);
    insert into lake.t_small select range, 'chunk0' from range(0, 30);
    insert into lake.t_small select range, 'chunk1' from range(100, 130);
    insert into lake.t_small select range, 'chunk2' from range(200, 230);
    insert into lake.t_small select range, 'chunk3' from range(300, 330);
    insert into lake.t_small select range, 'chunk4' from range(400, 430);
    insert into lake.t_small select range, 'chunk5' from range(500, 530);
    call ducklake_merge_adjacent_files('lake');
    delete from lake.t_small where i % 3 != 0;
    insert into lake.t_small select range, 'late' from range(900, 930);
"""
_REWRITE = "call ducklake_rewrite_data_files('lake', 't_small', delete_threshold => 0.1)"
_EXPIRY = """
    call ducklake_merge_adjacent_files('lake');
    call ducklake_expire_snapshots('lake', versions => [3, 4, 5, 6, 7, 12, 13, 30, 31]);
    call ducklake_cleanup_old_files('lake', cleanup_all => true);
"""
_ORPHANS = "call ducklake_delete_orphaned_files('lake', dry_run => true, cleanup_all => true)"
_LAST = """
    insert into lake.t_small select range, 'very late' from range(2000, 2030);
    delete from lake.t_small where i = 2001;
    drop table if exists lake.t_merge;
    create table lake.t_last as select 'the end' as s;
"""

BEFORE_FILES: _Steps = (
    ("0.2", "rows", _ROWS),
    ("0.2", "transactions", _TRANSACTIONS),
    ("0.2", "types", _TYPES),
    ("0.4", "variant", _VARIANT),
    ("0.4", "geometry", _GEOMETRY),
    ("0.2", "evolution", _EVOLUTION),
    ("0.4", "defaults", _DEFAULTS),
    ("0.2", "more evolution", _MORE_EVOLUTION),
    ("0.2", "tables", _TABLES),
    ("0.2", "views", _VIEWS),
    ("0.4", "macros", _MACROS),
    ("0.2", "comments", _COMMENTS),
    ("0.2", "partitions", _PARTITIONS),
    # 1.4 dies of it: "StringValue::Get on a NULL value".
    ("0.4", "null partition", _NULL_PARTITION),
    ("0.2", "delete from partitions", "delete from lake.t_part where k = 1 and v like 'q%'"),
    ("1.0", "buckets", _BUCKETS),
    ("0.2", "partition reset", _PARTITION_RESET),
    ("0.4", "sorting", _SORTING),
)
ADDED_FILES: _Steps = (
    ("0.2", "mapped table", _MAPPED_TABLE),
    ("0.2", "add inside", "call ducklake_add_data_files('lake', 't_map', :INSIDE)"),
    ("0.2", "add outside", _ADD_OUTSIDE),
    ("0.3", "add hive", "call ducklake_add_data_files('lake', 't_map', :HIVE, hive_partitioning => true)"),
    ("0.2", "mapped changes", _MAPPED_CHANGES),
)
AFTER_FILES: _Steps = (
    ("0.2", "options", _OPTIONS),
    ("0.3", "commit message", _COMMIT_MESSAGE),
    ("0.2", "inlined", _INLINED),
    ("0.3", "flush", _FLUSH),
    ("0.2", "after flush", _AFTER_FLUSH),
    ("0.3", "merge into", _MERGE_INTO),
    ("0.2", "small files", _SMALL_FILES),
    ("0.3", "rewrite", _REWRITE),
    ("0.2", "expiry", _EXPIRY),
    ("0.3", "orphans", _ORPHANS),
    ("0.2", "last", _LAST),
)
