"""Contents, names and settings that a text format, a shell or a driver could stumble over."""

import secrets
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from support.backups import HEADER, SEQUENCE, catalog, write_backup
from support.cli import Cli
from support.comparison import (
    contents,
    dumped,
    execute,
    psql_restore,
    schema_lines,
    schemas,
    server_digests,
    text_of,
)
from support.engines.quoting import quoted, text_literal
from support.faults.failures import failure
from support.lakes.inlined import TEXTS
from support.lakes.lakes import LakeFactory, hash_lake
from support.longer import long
from support.servers.servers import Server

from dlbackup import RestoreOptions, dump, restore, verify
from dlbackup.catalogs.postgres.rights import unknown_options
from dlbackup.tables.definition import Grant, SchemaRights, Table

_SEQUENCE = replace(SEQUENCE, column="snapshot_id")

# The values of each type that text could lose: NULL stands in each column too.
_VALUES = {
    "boolean": ["true", "false"],
    "smallint": ["-32768", "32767"],
    "integer": ["-2147483648", "0"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "real": ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1.1", "3.4028235e38", "1e-45"],
    "double precision": ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0.1", "5e-324", "1.7976931348623157e308"],
    "numeric": ["'NaN'", "'Infinity'", "'-Infinity'", "0.000", "1e100", "-1e-100"],
    "numeric(38,10)": ["1234567890123456789012345678.0123456789", "'NaN'"],
    "bytea": ["''", r"'\x00ff275c0a2729'", "convert_to(E'\n),(\n', 'UTF8')", "convert_to(E'\n\\\\.\n', 'UTF8')"],
    "text": ["''", "'NULL'", "'null'", r"'\.'", r"'\N'", "E'\\n),(\\n'", "E'\\n\\\\.\\n'", "E'\\n);\\n'", "E'\\r\\n'"],
    "character varying(5)": ["''", "'a '", "'😀😀😀😀😀'"],
    "character(4)": ["''", "'a'", "'it''s'"],
    "date": ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'", "'2024-02-29'"],
    "time without time zone": ["'24:00'", "'00:00:00.000001'"],
    "time with time zone": ["'12:34:56.000001+15:59:59'", "'00:00-15:59'"],
    "timestamp without time zone": ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'294276-12-31 23:59:59.999999'"],
    "timestamp with time zone": ["'infinity'", "'0044-03-15 10:00:00+01:23:45 BC'", "'2024-10-27 02:30:00+02'"],
    "interval": ["'1 year -2 months 3 days -04:05:06.789'", "'-178000000 years'", "'0'"],
    "uuid": ["'12345678-1234-5678-1234-567812345678'"],
    "json": ["""'{"a": [1, null, "it''s"]}'""", "'null'", r"""'"\\\n"'"""],
    "jsonb": ["""'{"a": "''\\\\"}'"""],
    "integer[]": ["'{}'", "'{1,NULL,3}'", "'[2:3]={1,2}'"],
    "text[]": ["""array['it''s', 'NULL', null, '', '"', '\\', ',', '}']"""],
}
_NAMES = (
    'Say "Hi"',
    "it's",
    "back\\slash",
    "two\nlines",
    "),(",
    "\\.",
    "a,b",
    "select",
    "NULL",
    "😀",
    " ",
    "100%",
    "%s",
)
_LONG_NAME = "63 bytes, it's … 😀 ".ljust(63 - 5, "x")
_ALL_AT_ONCE = " W\"e'S 100% %s {} a.b;c-- \\ ünï ☃ "
SCHEMAS = ("We\"ird'S", " blanks and ünï ☃ ", _LONG_NAME, "100% %s {}", "dlbackup", "a.b;c--")


def _every_type() -> str:
    columns, rows = [], []
    for number, (kind, values) in enumerate(_VALUES.items()):
        columns.append(f"c{number} {kind}")
        rows += [(f"c{number}", value) for value in values]
    inserted = "; ".join(
        f"insert into ducklake_inlined_data_900_1 (row_id, {column}) values ({number}, {value})"
        for number, (column, value) in enumerate(rows)
    )
    return (
        "create table ducklake_inlined_data_900_1 (row_id bigint, begin_snapshot bigint, end_snapshot bigint,"
        f" {', '.join(columns)}); {inserted};"
        "insert into ducklake_inlined_data_900_1 (row_id) values (1000)"
    )


def _odd_table() -> str:
    table = ("ducklake_" + _LONG_NAME).encode()[:63].decode(errors="ignore")
    columns = ", ".join(f"{quoted(name)} text not null default ''" for name in (*_NAMES, _LONG_NAME))
    values = ", ".join(text_literal(name) for name in (*_NAMES, _LONG_NAME))
    return (
        f"create table {quoted(table)} ({columns},"
        f" constraint {quoted(_LONG_NAME)} primary key ({quoted(_LONG_NAME)}, {quoted('),(')}),"
        f" constraint {quoted('it is 100%')} check ({quoted(_NAMES[0])} <> '),('));"
        f"insert into {quoted(table)} values ({values});"
        f"create index {quoted('),(')} on {quoted(table)} ({quoted('100%')}, {quoted(_NAMES[3])});"
        f"comment on column {quoted(table)}.{quoted('%s')} is '100% of %s'"
    )


def _texts() -> str:
    values = "), (".join(text_literal(text) for text in TEXTS)
    return f"create table ducklake_texts (x text); insert into ducklake_texts values ({values}), (null)"


@pytest.mark.every_major
def test_hostile_values_and_names_survive(lake: LakeFactory, server: Server, tmp_path: Path) -> None:
    """Extreme values of every type and the oddest names come back by restore and by psql."""
    made = lake("plain", "0.3")
    execute(made.url, _every_type(), _odd_table(), _texts())
    backup = dump(made.url, tmp_path)
    before, wanted = server_digests(made.url), contents(backup.path)

    with server.database() as restored, server.database() as replayed:
        restore(backup.path, restored)
        psql_restore(server, replayed, backup.path)

        assert verify(backup).ok
        for url in (restored, replayed):
            assert server_digests(url) == before
            assert dumped(url, tmp_path) == wanted
            assert schema_lines(server, url) == schema_lines(server, made.url)
            assert set(execute(url, "select x from ducklake_texts")) == {(text,) for text in (*TEXTS, None)}


@pytest.mark.parametrize("spec", ["0.3", "1.0"])
def test_separators_inside_a_view_survive(lake: LakeFactory, server: Server, tmp_path: Path, spec: str) -> None:
    """Lines that look like the separators of a backup or of COPY survive inside the SQL of a view."""
    made = lake("inlined", spec)
    backup = dump(made.url, tmp_path)
    query = "select sql from ducklake_view where view_name = 'hostile'"
    ((sql,),) = execute(made.url, query)

    with server.database() as restored, server.database() as replayed:
        restore(backup.path, restored)
        psql_restore(server, replayed, backup.path)

        assert "\n),(\n" in sql
        assert "\n\\.\n" in sql
        assert text_literal(sql).encode() in text_of(backup.path)
        assert execute(restored, query) == execute(replayed, query) == [(sql,)]


@pytest.mark.parametrize("name", [_ALL_AT_ONCE, _LONG_NAME, *(long(name) for name in SCHEMAS if name != _LONG_NAME)])
def test_schema_may_have_any_name(lake: LakeFactory, server: Server, tmp_path: Path, name: str) -> None:
    """A catalog in a schema with an odd name is dumped, restored, replayed, replaced and given a new data path."""
    made = lake("plain", "0.3")
    execute(made.url, f"alter schema public rename to {quoted(name)}", "create schema public")
    backup = dump(made.url, tmp_path)
    wanted = contents(backup.path)

    with server.database() as restored, server.database() as replayed:
        assert restore(backup.path, restored).schema == name
        replaced = restore(backup.path, restored, RestoreOptions(replace=True, ignore_clients=True)).replaced
        execute(replayed, f"create schema {quoted(name)}")
        psql_restore(server, replayed, backup.path, f"SET search_path = {quoted(name)};\n")

        assert replaced is not None
        assert dumped(restored, tmp_path, replaced) == wanted
        for url in (restored, replayed):
            assert dumped(url, tmp_path) == wanted
            assert schema_lines(server, url, name) == schema_lines(server, made.url, name)
        options = RestoreOptions(replace=True, drop_replaced=True, ignore_clients=True, data_path="s3://new/100%")
        assert restore(backup.path, restored, options).replaced is None
        path = f"select value from {quoted(name)}.ducklake_metadata where key = 'data_path'"
        assert execute(restored, path) == [("s3://new/100%/",)]


def test_engine_reads_a_lake_in_an_odd_schema(lake: LakeFactory, server: Server, tmp_path: Path) -> None:
    """A lake that an engine made in a schema with an odd name is the same lake after a restore."""
    made = lake("plain", "1.0", schema=SCHEMAS[0])

    with server.database() as url:
        restore(dump(made.url, tmp_path).path, url)

        tables = hash_lake(made.engine, made.url, made.schema)
        assert len(tables) > 4
        assert hash_lake(made.engine, url, made.schema) == tables


def test_two_catalogs_in_one_database(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """Without a schema's name, two catalogs are refused and listed; with it, each is restored beside the other."""
    made = lake("plain", "0.3")
    other = "We\"ird'S"
    backup = dump(made.url, tmp_path)
    execute(made.url, "insert into ducklake_metadata (key, value) values ('theirs', 'public')")
    restore(backup.path, made.url, RestoreOptions(metadata_schema=other))
    execute(made.url, f"insert into {quoted(other)}.ducklake_metadata (key, value) values ('theirs', 'other')")
    ours, theirs = dumped(made.url, tmp_path, "public"), dumped(made.url, tmp_path, other)
    files = set(tmp_path.iterdir())

    for command in (["info"], ["dump"], ["migrate"], ["restore", backup.path, "--replace", "--ignore-clients"]):
        failure(cli(command[0], *command[1:2], made.url, *command[2:]), 1, "public", other, hint="--metadata-schema")

    assert set(tmp_path.iterdir()) == files
    restore(backup.path, made.url, RestoreOptions(metadata_schema=other, replace=True, ignore_clients=True))
    assert dumped(made.url, tmp_path, other) == contents(backup.path) != theirs
    assert dumped(made.url, tmp_path, "public") == ours
    restore(backup.path, made.url, RestoreOptions(metadata_schema="public", replace=True, ignore_clients=True))
    assert dumped(made.url, tmp_path, "public") == dumped(made.url, tmp_path, other) == contents(backup.path)


def test_other_tables_of_the_schema_stay(lake: LakeFactory, tmp_path: Path) -> None:
    """Tables, views, sequences and functions beside the catalog are not touched by replacing it."""
    made = lake("plain", "0.3")
    execute(
        made.url,
        """
        create table orders (id serial primary key, ducklake_snapshot bigint);
        insert into orders (ducklake_snapshot) values (1), (2);
        create table "Ducklake_snapshot" as select 'not of the catalog' as x;
        create table ducklakes as select 1 as x;
        create view latest as select max(id) from orders;
        create index ducklake_orders on orders (ducklake_snapshot);
        create function answer() returns int language sql return 42;
        """,
    )
    objects = """
        select c.oid, c.relname, pg_relation_filenode(c.oid) from pg_class c
        where relnamespace = 'public'::regnamespace and relname !~ '^ducklake_[a-np-z]' order by 2
    """
    before = execute(made.url, objects)

    restored = restore(
        dump(made.url, tmp_path).path, made.url, RestoreOptions(replace=True, drop_replaced=True, ignore_clients=True)
    )

    assert len(before) == 7
    assert execute(made.url, objects) == before
    assert execute(made.url, "select answer(), max from latest") == [(42, 2)]
    assert "ducklake_orders" not in contents(dump(made.url, tmp_path).path)
    assert restored.replaced is None


# As a database or a role may have them set.
_SETTINGS = {
    "datestyle": "German",
    "intervalstyle": "iso_8601",
    "timezone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "extra_float_digits": "0",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "search_path": "pg_temp",
    "client_min_messages": "debug1",
    "default_transaction_isolation": "serializable",
    "lc_monetary": "C",
    "xmlbinary": "hex",
    "quote_all_identifiers": "on",
}


def test_settings_of_a_database_change_nothing(lake: LakeFactory, server: Server, tmp_path: Path) -> None:
    """Backups are the same whatever the database's settings are, and restores come out the same."""
    made = lake("inlined", "0.3")
    execute(made.url, _every_type())
    wanted, digests = contents(dump(made.url, tmp_path).path), server_digests(made.url)

    with server.database() as url:
        for database in (made.dbname, url.rpartition("/")[2]):
            execute(server.url, *(f"alter database {database} set {key} = '{_SETTINGS[key]}'" for key in _SETTINGS))
        backup = dump(made.url, tmp_path)
        restore(backup.path, url)

        assert contents(backup.path) == wanted
        assert dumped(url, tmp_path) == wanted
        execute(server.url, f"alter database {url.rpartition('/')[2]} reset all")
        assert server_digests(url) == digests


def test_database_may_have_any_name(lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path) -> None:
    """A database whose name is no good in a file name or a URL gives a backup with a name that is."""
    made = lake("plain", "0.3")
    name = f"od/d na'm%e ☃ {secrets.token_hex(4)}"
    execute(server.url, f"create database {quoted(name)} template {quoted(made.dbname)}")
    try:
        escaped = name.replace("'", "\\'")
        address = (
            f"ducklake:postgres:host={server.host} port={server.port} user={server.user}"
            f" password={server.password} dbname='{escaped}'"
        )
        done = cli("dump", address, "--json")

        assert done.exit_code == 0
        (path,) = tmp_path.glob("*.sql.zst")
        assert path.name == Path(done.json()["path"]).name
        assert path.name.startswith("ducklake-od_d_na_m_e___")
        assert contents(path) == dumped(made.url, tmp_path)
    finally:
        server.drop_database(name)


_EVIL = "; create table public.evil (); --"


@pytest.mark.parametrize(
    "part",
    [
        "options",
        "collation",
        "privilege",
        "sequence",
        "identity",
        "rights",
    ],
)
def test_nothing_of_a_forged_backup_runs(database: str, cli: Cli, tmp_path: Path, part: str) -> None:
    """Hostile words in what is asked or done beside the tables' statements are refused by every command (exit 3)."""
    first, *others = catalog("0.3")
    table, header = first[0], replace(HEADER, spec_version="0.3")
    if part == "options":
        table = replace(table, options=((f"fillfactor = 70){_EVIL}", "1"),))
    elif part == "collation":
        table = replace(table, columns=(replace(table.columns[0], collation='C"\0'), *table.columns[1:]))
    elif part == "privilege":
        table = replace(table, grants=(Grant("", (f"SELECT ON TABLE ducklake_tag TO PUBLIC{_EVIL}",)),))
    elif part == "sequence":
        table = replace(table, sequences=(replace(_SEQUENCE, type=f"bigint{_EVIL}"),))
    elif part == "identity":
        table = replace(table, replica_identity=f"full{_EVIL}")
    else:
        table = replace(table, owner="tester")  # without an owner nothing is granted
        rights = SchemaRights("tester", (Grant("", (f"USAGE ON SCHEMA public TO PUBLIC{_EVIL}",)),))
        header = replace(header, source=replace(header.source, rights=rights))
    path = tmp_path / "forged.sql.zst"
    write_backup(path, [(table, first[1]), *others], header)

    for command in (
        ["restore", str(path), database],
        ["restore", str(path), database, "--metadata-schema", "fresh", "--no-owner"],
        ["restore", str(path), database, "--replace", "--terminate-clients"],
        ["copy", str(path), str(tmp_path / "copy.ducklake")],
        ["verify", str(path), "--rehearse", database],
    ):
        assert cli(*command).exit_code == 3, command
    assert execute(database, "select to_regclass('evil') is null") == [(True,)]
    assert schemas(database) == {"public"}
    assert not execute(database, "select from pg_class where relname like 'ducklake%'")


def test_names_of_storage_parameters_are_no_sql(database: str) -> None:
    """The server is asked for them with quoted names, whoever has checked them."""
    taken, hostile = ("toast.autovacuum_enabled", "false"), ("fillfactor = 70); commit; create table evil (); --", "1")
    table = Table(name="ducklake_tag", columns=(), options=(taken, hostile))

    with psycopg.connect(database, autocommit=True) as session:
        assert unknown_options(session, [table]) == {hostile}

    assert execute(database, "select to_regclass('evil') is null") == [(True,)]
