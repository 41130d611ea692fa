"""Catalogs in MySQL: read as they are, in one state, copied away exactly, and never written."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli
from support.engines.engines import engine, with_mysql, with_sqlite
from support.faults.failures import failure
from support.lakes.in_files import FileLake, FileLakes
from support.lakes.lakes import LakeKind, hash_lake
from support.longer import long
from support.servers.mysql import PASSWORD, MysqlServer, mysql_server
from support.servers.proxy import Proxy

import dlbackup
from dlbackup import errors
from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.mysql import copying
from dlbackup.engine.engine import probe
from dlbackup.stores.folder import local

_LAKES: list[tuple[LakeKind, str]] = [("plain", "1.5.5"), ("zoo", "1.4.4")]
_VALUES = {
    "hugeint": "170141183460469231731687303715884105727",
    "uhugeint": "7",
    "uuid": "'2bb7a4ee-5d3f-4c8b-9d6a-0a1b2c3d4e5f'",
    "interval": "'1 month 2 days 3 seconds'",
    "time": "'01:02:03.000004'",
    "timetz": "'01:02:03+05:30'",
    "timestamp_s": "'1969-01-01'",
    "timestamp_ms": "'2020-01-01 00:00:00.123'",
    "timestamp_ns": "'2020-01-01 00:00:00.123456789'",
    "timestamp": "'-infinity'",
    "timestamptz": "'2020-01-01 00:00:00.5+00'",
    "float": "'nan'",
    "double": "'-inf'",
    "date": "'0044-03-15 (BC)'",
    "struct(x integer, y varchar)": "{'x': 1, 'y': 'it''s'}",
    "integer[]": "[1, null]",
    "map(varchar, integer)": "map {'k': 2}",
    "json": """'{"a": [1]}'""",
    "tinyint": "-128",
    "utinyint": "255",
    "ubigint": "18446744073709551615",
    "decimal(38, 5)": "-1.5",
    "blob": r"'\x00\xFF'",
    "varchar": r"'Zoë 😀 \ '",
    "boolean": "true",
}
_OF_EVERY_TYPE = (
    f"create table lake.t ({', '.join(f'c{number} {kind}' for number, kind in enumerate(_VALUES))})",
    f"insert into lake.t values ({', '.join(_VALUES.values())})",
    "insert into lake.t (c11, c12, c13) values (1e-40, 0.1, 'infinity')",
    "delete from lake.t where c12 = 0.1",
)
_COLUMNS = "i integer, v varchar, d double, f float, b boolean, s timestamp, z timestamptz, n date, u ubigint, x blob"
_ROW = r"1, 'it''s Zoë \ ', 1.5, 16777216, true, '2020-01-02 03:04:05', '2020-01-02 03:04:05+00', '2020-02-03'"
_MADE_BY_DUCKDB = (
    f"create table lake.t ({_COLUMNS}, p decimal(10, 3))",
    rf"insert into lake.t values ({_ROW}, 18446744073709551615, '\x00\xff', 1.250)",
)
_READ = "select * replace (z::varchar as z, s::varchar as s, n::varchar as n, u::varchar as u, hex(x) as x) from lake.t"


@pytest.fixture(scope="module")
def mysql() -> Iterator[MysqlServer]:
    """A server."""
    with mysql_server() as running:
        yield running


@pytest.fixture(scope="module")
def plain(mysql: MysqlServer, file_lakes: FileLakes, tmp_path_factory: pytest.TempPathFactory) -> FileLake:
    """A plain lake, of which the server's database `plain` has a catalog that nobody changes."""
    lake = file_lakes.copy("plain", "1.5.5", tmp_path_factory.mktemp("plain"))
    mysql.fill("plain", lake.path)
    return lake


def _rules(address: str) -> set[tuple[str, str]]:
    return {(finding.severity, finding.rule) for finding in dlbackup.check(address).findings}


@pytest.mark.parametrize(("kind", "version"), [long(*_LAKES[0]), *_LAKES[1:]])
def test_a_lake_gets_away(
    kind: LakeKind, version: str, mysql: MysqlServer, file_lakes: FileLakes, tmp_path: Path
) -> None:
    """What a catalog means, and what an engine reads of it, is the same in a file afterwards."""
    lake = file_lakes.copy(kind, version, tmp_path)
    mysql.fill(f"away_{kind}", lake.path)

    _gets_away(mysql.url(f"away_{kind}"), lake, tmp_path)


def test_inlined_values_get_away(mysql: MysqlServer, database: str, tmp_path: Path) -> None:
    """So are inlined values of every type, those that MySQL has no type for as texts, in a file and on PostgreSQL."""
    lake = FileLake(tmp_path / "lake.ducklake", tmp_path / "data", engine("1.5.5"))
    options = {"DATA_INLINING_ROW_LIMIT": 10}
    lake.engine.run(str(lake.path), "main", _OF_EVERY_TYPE, data_path=lake.data_path, options=options)
    mysql.fill("inlined", lake.path, texts=True)

    _gets_away(mysql.url("inlined"), lake, tmp_path)
    dlbackup.copy(mysql.url("inlined"), database)
    ends = ("first", "last")
    assert hash_lake(lake.engine, database, "public", ends) == lake.read_by(ends)
    meant = dlbackup.info(str(lake.path), fingerprint=True).fingerprint
    assert dlbackup.info(database, fingerprint=True).fingerprint == meant


def _gets_away(address: str, lake: FileLake, folder: Path) -> None:
    ends = ("first", "last")
    before = lake.read_by(ends)
    meant = dlbackup.info(str(lake.path), fingerprint=True).fingerprint

    assert dlbackup.info(address, fingerprint=True).fingerprint == meant
    assert _rules(address) == _rules(str(lake.path))
    dlbackup.copy(address, str(folder / "away.ducklake"))
    assert lake.read_by(ends, folder / "away.ducklake") == before
    assert dlbackup.info(str(folder / "away.ducklake"), fingerprint=True).fingerprint == meant


def test_as_duckdb_makes_it(mysql: MysqlServer, cli: Cli, tmp_path: Path) -> None:
    """A catalog with inlined rows that DuckDB itself has made in MySQL, backed up, verified, restored and read."""
    mysql.execute(None, "create database made character set utf8mb4")
    address, by = mysql.url("made"), with_mysql(engine("1.5.5"))
    by.run(address, None, _MADE_BY_DUCKDB, data_path=tmp_path / "data", options={"DATA_INLINING_ROW_LIMIT": 10})

    dumped = cli("dump", address, "-o", "made.sql.zst", "--json")
    assert dumped.exit_code == 0, dumped
    assert cli("verify", "made.sql.zst").exit_code == 0
    restored = cli("restore", "made.sql.zst", "away.ducklake")

    assert restored.exit_code == 0, restored
    (row,) = engine("1.5.5").run(str(cli.cwd / "away.ducklake"), "main", [_READ])[0]
    assert row[:5] == [1, r"it's Zoë \ ", 1.5, 16777216, True]
    assert row[5:8] == ["2020-01-02 03:04:05", "2020-01-02 03:04:05+00", "2020-02-03"]
    assert (*row[8:10], str(row[10])) == ("18446744073709551615", "00FF", "1.250")
    assert PASSWORD not in dumped.stdout + dumped.stderr + restored.stdout + restored.stderr
    assert PASSWORD.encode() not in (cli.cwd / "made.sql.zst").read_bytes()


_WITHOUT_A_TYPE = (
    "create table lake.t (h hugeint, z timestamptz, d double)",
    "insert into lake.t values (123456789012345678901, '2020-01-02 03:04:05+05', 1e22), (-1, null, -1e-7)",
)


def test_what_mysql_has_no_type_for(mysql: MysqlServer, database: str, tmp_path: Path) -> None:
    """An engine reads a HUGEINT, which is a double there, and a time with a zone as from MySQL, wherever they go."""
    mysql.execute(None, "create database typeless character set utf8mb4")
    address, by, options = mysql.url("typeless"), with_mysql(engine("1.5.5")), {"DATA_INLINING_ROW_LIMIT": 10}
    by.run(address, None, _WITHOUT_A_TYPE, data_path=tmp_path / "data", options=options)
    asked = ["select h::varchar, epoch(z), d from lake.t order by rowid"]
    read = by.run(address, None, asked)
    meant = dlbackup.info(address, fingerprint=True).fingerprint

    for target in (f"{tmp_path}/away.ducklake", f"sqlite:{tmp_path}/away.sqlite", database):
        dlbackup.copy(address, target)
        reader = with_sqlite(engine("1.5.5")) if target.startswith("sqlite:") else engine("1.5.5")
        assert reader.run(target, None, asked) == read, target
        assert dlbackup.info(target, fingerprint=True).fingerprint == meant


def test_copy_is_read_beside_it(
    mysql: MysqlServer, file_lakes: FileLakes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An engine reads the same of what was copied out of MySQL as of what is to be published."""
    monkeypatch.setattr("dlbackup.transfer.witness.probe", probe)
    monkeypatch.setattr("dlbackup.transfer.witness.MOST_READINGS", 1)
    mysql.fill("seen", file_lakes.copy("plain", "1.5.5", tmp_path).path)

    copied = dlbackup.copy(mysql.url("seen"), str(tmp_path / "away.ducklake"))

    assert (copied.snapshots_read, copied.source_read) == (2, True)


def test_nothing_is_written(mysql: MysqlServer, plain: FileLake, cli: Cli, tmp_path: Path) -> None:
    """Commands that write refuse the address, with what to do instead."""
    address = mysql.url("plain")
    backup = dlbackup.dump(str(plain.path), tmp_path / "b.sql.zst").path

    for words in (
        ("restore", backup, address, "--replace"),
        ("migrate", address),
        ("plan", address),
        ("copy", plain.path, address),
        ("verify", backup, "--rehearse", address),
    ):
        done = cli(*words)
        assert "reads and does not change" in failure(done, 2, hint="dlbackup copy ADDRESS TARGET"), words
        assert PASSWORD not in done.stdout + done.stderr


def test_one_state(mysql: MysqlServer, file_lakes: FileLakes, tmp_path: Path) -> None:
    """What is committed while the copy is made is not in it."""
    mysql.fill("moves", file_lakes.copy("plain", "1.5.5", tmp_path).path)
    before = dlbackup.info(mysql.url("moves"), fingerprint=True)
    commit = "insert into ducklake_snapshot select 999, now(), 99, 99, 99"

    with _struck(lambda: mysql.execute("moves", commit, "delete from ducklake_table")):
        after = dlbackup.info(mysql.url("moves"), fingerprint=True)

    assert (after.snapshot_id, after.fingerprint) == (before.snapshot_id, before.fingerprint)


_LIMITS = {
    "sql_select_limit": "400",
    "sql_mode": "'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'",
    "sql_big_selects": "0",
    "max_join_size": "1",
}


def test_limits_of_the_server_do_not_count(mysql: MysqlServer, file_lakes: FileLakes, tmp_path: Path) -> None:
    """A server that gives its clients some rows alone, or reads their queries otherwise: all is copied."""
    mysql.fill("limited", file_lakes.copy("plain", "1.5.5", tmp_path).path)
    with mysql.connected("limited") as session, session.cursor() as cursor:
        cursor.executemany("insert into ducklake_metadata (`key`, value) values (%s, 'x')", [[n] for n in range(500)])
    before = dlbackup.info(mysql.url("limited"), fingerprint=True)
    with mysql.connected() as session, session.cursor() as cursor:
        for name, value in _LIMITS.items():
            cursor.execute(f"set global {name} = {value}")
        try:
            limited = dlbackup.info(mysql.url("limited"), fingerprint=True)
        finally:
            for name in _LIMITS:
                cursor.execute(f"set global {name} = default")

    assert (limited.rows, limited.fingerprint) == (before.rows, before.fingerprint)


def test_who_sees_some_tables_alone_copies_none(mysql: MysqlServer, tmp_path: Path) -> None:
    """A server hides tables that a user may not read, so that nobody can tell whether one is missing: refused."""
    made = ("create table lake.t (i int)", "insert into lake.t values (1)")
    options = {"DATA_INLINING_ROW_LIMIT": 10}
    engine("1.5.5").run(str(tmp_path / "l.ducklake"), "main", made, data_path=tmp_path / "data", options=options)
    mysql.fill("partly", tmp_path / "l.ducklake")
    mysql.execute(None, f"create user seer@'127.0.0.1' identified by '{PASSWORD}'")
    with mysql.connected("partly") as session, session.cursor() as cursor:
        cursor.execute("show tables")
        for (table,) in cursor.fetchall():
            if table != "ducklake_inlined_data_1_1":
                cursor.execute(f"grant select on partly.`{table}` to seer@'127.0.0.1'")
    address = mysql.url("partly").replace("user=tester", "user=seer")

    with pytest.raises(errors.NoRight, match=r"some tables of .* alone") as refused:
        dlbackup.copy(address, str(tmp_path / "away.ducklake"))
    assert "GRANT SELECT ON partly.*" in refused.value.hint
    assert not (tmp_path / "away.ducklake").exists()

    mysql.execute(None, "grant select on partly.* to seer@'127.0.0.1'")
    assert dlbackup.info(address).spec_version == "1.0"


def test_a_table_that_is_made_anew_meanwhile(mysql: MysqlServer, file_lakes: FileLakes, tmp_path: Path) -> None:
    """MySQL can't show it as it was: the copy is begun again, some times."""
    mysql.fill("anew", file_lakes.copy("plain", "1.5.5", tmp_path).path)
    times: list[int] = []

    def once() -> None:
        times.append(1)
        if len(times) == 1:
            mysql.execute("anew", "alter table ducklake_view force")

    with _struck(once):
        assert dlbackup.info(mysql.url("anew")).spec_version == "1.0"
    assert len(times) == 2

    changes = _struck(lambda: mysql.execute("anew", "alter table ducklake_view force"))
    with changes, pytest.raises(dlbackup.DlbackupError, match="changed all the time") as refused:
        dlbackup.info(mysql.url("anew"))
    assert refused.value.transient


def test_a_table_that_is_dropped_meanwhile(mysql: MysqlServer, tmp_path: Path) -> None:
    """Of one whose rows are in the state that is read MySQL says nothing any more: the copy is begun again."""
    made = ("create table lake.t (i int)", "insert into lake.t values (1)")
    options = {"DATA_INLINING_ROW_LIMIT": 10}
    engine("1.5.5").run(str(tmp_path / "l.ducklake"), "main", made, data_path=tmp_path / "data", options=options)
    mysql.fill("drops", tmp_path / "l.ducklake")
    drop = ("drop table if exists ducklake_inlined_data_1_1", "delete from ducklake_inlined_data_tables")

    with _struck(lambda: mysql.execute("drops", *drop), before_listing=True):
        backup = dlbackup.dump(mysql.url("drops"), tmp_path / "b.sql.zst").path

    with BackupReader(local(Path(backup))) as reader:
        tables = {entry.table.name: entry.rows for entry in reader.manifest.tables}
    assert "ducklake_inlined_data_1_1" not in tables
    assert tables["ducklake_inlined_data_tables"] == 0


@contextmanager
def _struck(strike: Callable[[], object], *, before_listing: bool = False) -> Iterator[None]:
    """Have something happen once the transaction has begun, before a table is read, or even listed."""
    tables = copying._tables

    def meanwhile(server: Any, copy: Any) -> Any:
        if before_listing:
            strike()
            return tables(server, copy)
        found = tables(server, copy)
        strike()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copying, "_tables", meanwhile)
        yield


_WRONG = {
    "nobody": ("user=nobody", 1, "lets us not in"),
    "password": ("password=wrong", 1, "lets us not in"),
    "database": ("database=none_such", 1, "no such database"),
    "empty": ("database=mysql", 1, "holds no DuckLake catalog"),
    "port": ("port=1", 1, "can't be reached"),
    "mode": ("ssl_mode=sometimes", 2, "ssl_mode"),
    "certificates": ("ssl_ca=/nowhere.pem", 1, "can't read the certificates"),
    "unknown": ("compression=1", 2, "has no compression"),
    "no number": ("port=x", 2, "no number"),
    "no port": ("port=99999999", 2, "no number up to 65535"),
    "no digit": ("port=²", 2, "no number"),
    "no host": ("host=a..b", 1, "can't be reached"),
    "not of Latin-1": ("password=€", 1, "lets us not in"),
}


@pytest.mark.parametrize("wrong", _WRONG)
def test_what_goes_wrong_is_said(mysql: MysqlServer, wrong: str, cli: Cli) -> None:
    """Each in words, with the exit code of its kind, and without the password."""
    given, exit_code, words = _WRONG[wrong]

    done = cli("dump", f"{mysql.url('mysql')} {given}", "-o", "x.sql.zst")

    assert words in failure(done, exit_code)
    assert PASSWORD not in done.stdout + done.stderr
    assert list(cli.cwd.iterdir()) == []


def test_a_password_may_hold_any_letter(mysql: MysqlServer, plain: FileLake) -> None:
    """Of Latin-1, of others, and of none."""
    del plain
    for number, password in enumerate(("pä", "p€", "пароль 🔑")):
        user = f"u{number}@'127.0.0.1'"
        mysql.execute(None, f"create user {user} identified by '{password}'", f"grant select on plain.* to {user}")
        assert dlbackup.info(f"{mysql.url('plain')} user=u{number} password='{password}'").spec_version == "1.0"


def test_a_port_of_the_environment_is_looked_at(
    mysql: MysqlServer, plain: FileLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of the address is, which comes first."""
    del plain
    monkeypatch.setenv("MYSQL_TCP_PORT", "x")

    with pytest.raises(errors.UsageError, match="MYSQL_TCP_PORT"):
        dlbackup.info(f"mysql:host=127.0.0.1 user=tester password={PASSWORD} database=plain")
    assert dlbackup.info(mysql.url("plain")).spec_version == "1.0"


def test_the_environment_counts(mysql: MysqlServer, plain: FileLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an address doesn't say, the variables of DuckDB's connector do; a URI is an address too."""
    for name, value in {
        "MYSQL_HOST": "127.0.0.1",
        "MYSQL_TCP_PORT": str(mysql.port),
        "MYSQL_USER": "tester",
        "MYSQL_PWD": PASSWORD,
        "MYSQL_DATABASE": "plain",
    }.items():
        monkeypatch.setenv(name, value)
    head = dlbackup.info("ducklake:mysql:").snapshot_id

    assert dlbackup.info("mysql:", metadata_schema="plain").snapshot_id == head
    for name in [name for name in os.environ if name.startswith("MYSQL_")]:
        monkeypatch.delenv(name)
    uri = f"mysql://tester:{PASSWORD}@127.0.0.1:{mysql.port}/plain"
    assert dlbackup.info(uri).snapshot_id == head
    assert str(parse_address(uri)) == f"mysql:host=127.0.0.1 port={mysql.port} database=plain user=tester"


def test_tables_without_transactions_are_refused(mysql: MysqlServer, file_lakes: FileLakes, tmp_path: Path) -> None:
    """A table of another storage engine is never in one state with the others; a type that nobody makes is named."""
    mysql.fill("mixed", file_lakes.copy("plain", "1.5.5", tmp_path).path)
    mysql.execute("mixed", "alter table ducklake_tag engine = MyISAM")
    with pytest.raises(dlbackup.DlbackupError, match=r"ducklake_tag \(MyISAM\)") as refused:
        dlbackup.dump(mysql.url("mixed"), tmp_path / "x.sql.zst")
    assert "ENGINE = InnoDB" in refused.value.hint

    mysql.execute("mixed", "alter table ducklake_tag engine = InnoDB", "alter table ducklake_tag add column g geometry")
    with pytest.raises(dlbackup.DlbackupError, match="column g of table ducklake_tag is of type geometry"):
        dlbackup.dump(mysql.url("mixed"), tmp_path / "x.sql.zst")


def test_other_keys(mysql: MysqlServer, tmp_path: Path) -> None:
    """A server may number the rows of tables without keys, out of sight, and another engine make keys of its own."""
    lake = FileLake(tmp_path / "lake.ducklake", tmp_path / "data", engine("1.5.5"))
    options = {"DATA_INLINING_ROW_LIMIT": 10}
    lake.engine.run(str(lake.path), "main", _OF_EVERY_TYPE, data_path=lake.data_path, options=options)
    mysql.fill("keyed", lake.path, texts=True)
    number = "add column my_row_id bigint unsigned not null auto_increment invisible primary key first"
    for table in ("ducklake_tag", "ducklake_table", "ducklake_inlined_data_1_1"):
        mysql.execute("keyed", f"alter table {table} {number}")
    mysql.execute("keyed", "alter table ducklake_column add primary key (column_id, table_id, begin_snapshot)")

    _gets_away(mysql.url("keyed"), lake, tmp_path)

    mysql.execute("keyed", "create table ducklake_TAG like ducklake_tag")
    with pytest.raises(errors.Unsupported, match="differ by capital letters"):
        dlbackup.dump(mysql.url("keyed"), tmp_path / "x.sql.zst")


def test_a_server_that_goes(mysql: MysqlServer, plain: FileLake, cli: Cli) -> None:
    """A connection that is cut while it is read leaves no backup."""
    with Proxy("127.0.0.1", mysql.port) as proxy:
        proxy.strike("reset", "down", 4000)
        done = cli("dump", f"{mysql.url('plain')} port={proxy.port}", "-o", "x.sql.zst")

    assert "gone" in failure(done, 1)
    assert not (cli.cwd / "x.sql.zst").exists()
