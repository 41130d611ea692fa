"""
Clients that stay attached while the catalog becomes one of another spec version, or of another branch.

What they are told is committed reads as they wrote it, or they are told that it failed.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from support.cli import Cli
from support.comparison import dumped, execute
from support.engines.engines import EngineError, engine_of
from support.faults.writers import Client, attached, writer
from support.files import is_healthy
from support.servers.postgres import Server

import dlbackup

_VALUES = {
    "varchar": [r"'plain'", r"'C:\101dir'", r"'\x4142'", r"'a\\b'", "'Zoë'", "'it''s'"],
    "json": ["""'{"a": 1}'""", r"""'"C:\\x"'"""],
    "date": ["'2020-01-02'", "'0044-03-15 (BC)'", "'infinity'"],
    "timestamp": ["'2020-01-02 03:04:05'", "'0044-03-15 (BC) 03:04:05'", "'infinity'"],
    "timestamptz": ["'2020-01-02 03:04:05+00'", "'infinity'"],
    "timestamp_ns": ["'2020-01-02 03:04:05.123456789'"],
    "time": ["'10:11:12'"],
    "interval": ["'1 month 2 days'"],
    "float": ["1.5", "0.1", "3e38"],
    "double": ["0.1"],
    "decimal(18, 3)": ["1.125"],
    "hugeint": ["123456789012345678901234567890"],
    "utinyint": ["200"],
    "ubigint": ["18446744073709551615"],
    "boolean": ["true"],
    "uuid": ["'00000000-0000-0000-0000-000000000001'"],
    "blob": ["'abc'"],
    "integer[]": ["[1, 2]"],
    "varchar[]": ["['a', 'b c']"],
}
_FILES = """
    create table lake.in_files as select range as i, 'text ' || range as v from range(100);
"""
_CHANGES = [
    "insert into lake.in_files select range, 'more' from range(100)",
    "insert into lake.in_files values (1000, 'few')",
    "update lake.in_files set v = 'updated' where i = 3",
    "delete from lake.in_files where i = 4",
    "update lake.t0 set k = 77 where k = 0",
    "delete from lake.t1 where k = 0",
    "begin; insert into lake.in_files values (1001, 'in one'); insert into lake.t0 values (9, 'go'); commit",
    "create table lake.made (i integer)",
    "create table lake.made_as as select 1 as i",
    "create schema lake.s",
    "create view lake.v as select 1 as one",
    "alter table lake.in_files add column added integer",
    "alter table lake.t2 rename column v to w",
    "alter table lake.in_files set partitioned by (i)",
    "comment on table lake.t3 is 'a comment'",
    "call ducklake_flush_inlined_data('lake')",
    "call ducklake_merge_adjacent_files('lake')",
    "drop table lake.in_files",
]
"""Every kind of commit; those of the catalog's own engine come after each other."""
_SILENT = ("call lake.set_option('parquet_compression', 'zstd')",)
"""What is no commit: the same in every version."""
_INLINING = {"DATA_INLINING_ROW_LIMIT": 10}


@dataclass(frozen=True, slots=True)
class _Lake:
    """A lake with a table for each type, and what was inserted into it at first."""

    url: str
    data_path: Path


@contextmanager
def _typed_lake(server: Server, folder: Path, spec: str) -> Iterator[_Lake]:
    with server.database() as url:
        engine = engine_of(spec)
        statements = [] if _may_inline(spec) else ["call lake.set_option('data_inlining_row_limit', 10)"]
        for number, (type_, values) in enumerate(_VALUES.items()):
            statements.append(f"create table lake.t{number} (k integer, v {type_})")
            statements.append(f"insert into lake.t{number} values (0, {values[0]})")
        engine.run(url, None, [*statements, _FILES], data_path=folder, options=_inlining(spec))
        yield _Lake(url, folder)


def _may_inline(spec: str) -> bool:
    return spec > "0.2"


def _inlining(spec: str) -> dict[str, str | int | bool]:
    return dict(_INLINING) if _may_inline(spec) else {}


def _inserts() -> Iterator[tuple[str, tuple[str, int, str, str]]]:
    """Yield a statement for each value, and what is to be there afterwards: table, key, type, value."""
    for number, (type_, values) in enumerate(_VALUES.items()):
        for key, value in enumerate(values, 1):
            yield f"insert into lake.t{number} values ({key}, {value})", (f"t{number}", key, type_, value)


def _tried(client: Client, statement: str) -> str:
    """Execute a statement; return what the engine says against it."""
    try:
        client.say(statement)
    except EngineError as error:
        return str(error)
    return ""


def _read_as_written(url: str, spec: str, acknowledged: list[tuple[str, int, str, str]]) -> None:
    engine = engine_of(spec)
    queries = []
    for table, key, type_, value in acknowledged:
        queries.append(f"select v = {value}::{type_} from lake.{table} where k = {key}")
    for query, rows in zip(queries, engine.run(url, None, queries), strict=True):
        assert rows == [[True]], query


def _head(url: str) -> int:
    ((head,),) = execute(url, "select max(snapshot_id) from ducklake_snapshot")
    return int(head)


@contextmanager
def _migrated_under(
    server: Server, cli: Cli, folder: Path, before: str, after: str, *words: str
) -> Iterator[tuple[_Lake, Client]]:
    """A lake that was brought to another version while a client of the older one is attached."""
    with (
        _typed_lake(server, folder / "data", before) as made,
        attached(engine_of(before), made.url, options=_inlining(before)) as client,
    ):
        client.say("show all tables")
        migrate = [*_to(after, before), "--backup-dir", str(folder), "--ignore-clients", "--no-rehearsal", "--json"]
        done = cli("migrate", made.url, *migrate, *words)
        assert done.exit_code == 0, done.stderr
        yield made, client


@contextmanager
def _rolled_back_under(
    server: Server, cli: Cli, folder: Path, before: str, after: str, *words: str
) -> Iterator[tuple[_Lake, Client]]:
    """A lake that was brought back to an older version while a client of the newer one is attached."""
    with _typed_lake(server, folder / "data", after) as made:
        backup = folder / "before.sql.zst"
        assert cli("dump", made.url, "-o", str(backup)).exit_code == 0
        migrated = cli("migrate", made.url, *_to(before, after), "--backup-dir", str(folder), "--no-rehearsal")
        assert migrated.exit_code == 0, migrated.stderr
        with attached(engine_of(before), made.url, options=_INLINING) as client:
            client.say("show all tables")
            back = ["--replace", "--drop-replaced", "--ignore-clients", "--json"]
            done = cli("restore", str(backup), made.url, *back, *words)
            assert done.exit_code == 0, done.stderr
            assert done.json()["barred"] is ("--bar-stale-clients" in words)
            assert [other["application"] for other in done.json()["stale_clients"]] != []
            yield made, client


def _to(spec: str, before: str) -> list[str]:
    if spec == "1.0":
        return ["--engine", str(engine_of("0.3").python)] if before == "0.2" else []
    return ["--engine", str(engine_of(spec).python), "--to", spec]


_LIKE_0_3 = pytest.param("0.2", marks=pytest.mark.long)
_LIKE_1_0 = pytest.param("0.4", marks=pytest.mark.long)
"""Of one generation with what is always tried."""
_BARRED = [
    *(("0.3", "1.0"), ("1.0", "0.3")),
    *(pytest.param(*specs, marks=pytest.mark.long) for specs in (("0.2", "1.0"), ("1.0", "0.2"))),
]
"""Client and catalog, where one is of 0.4 or later and the other is not."""
_FORGETS = [
    *(("0.3", "--terminate-clients"), ("1.0", "--ignore-clients")),
    *(pytest.param("0.3", "--ignore-clients", marks=pytest.mark.long),),
    *(pytest.param("1.0", "--terminate-clients", marks=pytest.mark.long),),
    *(
        pytest.param(spec, ended, marks=pytest.mark.long)
        for spec in ("0.2", "0.4")
        for ended in ("--terminate-clients", "--ignore-clients")
    ),
]
_NEIGHBOURS = [
    ("0.4", "1.0"),
    *(pytest.param(*specs, marks=pytest.mark.long) for specs in (("0.2", "0.3"), ("0.3", "0.2"), ("1.0", "0.4"))),
]


@pytest.mark.parametrize(("client_spec", "catalog_spec"), _BARRED)
def test_with_the_bar_a_stale_client_commits_nothing(
    client_spec: str, catalog_spec: str, server: Server, cli: Cli, tmp_path: Path
) -> None:
    """Every commit of a client of the other generation fails, whatever it is of, and leaves nothing in the catalog."""
    under = _migrated_under if client_spec < catalog_spec else _rolled_back_under
    with under(server, cli, tmp_path, client_spec, catalog_spec, "--bar-stale-clients") as (made, client):
        before, head = dumped(made.url, tmp_path), _head(made.url)
        said = [_tried(client, statement) for statement, _ in _inserts()]
        said += [_tried(client, statement) for statement in _CHANGES]

        assert all(said), [number for number, text in enumerate(said) if not text]
        # Elsewhere the client fails earlier, since it finds another schema version and tables of another form.
        assert (sum("dlbackup_bar_snapshot_changes" in text for text in said) > 20) == (client_spec == "0.3")
        assert _head(made.url) == head
        assert dumped(made.url, tmp_path) == before
        assert cli("check", made.url).exit_code == 0


_SNAPSHOT = 'INSERT INTO "it\'s ""q"" 100%".ducklake_snapshot VALUES (9, now(), 1, 1, 1)'
_CHANGED = """INSERT INTO "it's ""q"" 100%".ducklake_snapshot_changes(snapshot_id, changes_made) VALUES (9, '')"""


@pytest.mark.parametrize(
    ("spec", "message", "passes"),
    [
        ("1.0", f"{_SNAPSHOT};{_CHANGED}", True),
        ("1.0", f"create table other (t text);{_SNAPSHOT};\n{_CHANGED}", False),
        ("1.0", f"{_SNAPSHOT};create table other (t text);{_SNAPSHOT.replace('9', '10')};{_CHANGED}", True),
        ("0.3", f"{_SNAPSHOT};{_CHANGED}", False),
        ("0.3", f"create table other (t text);{_SNAPSHOT};{_CHANGED}", True),
        ("0.3", _CHANGED, True),
        ("1.0", _CHANGED, True),
    ],
)
def test_the_bar_looks_at_the_form_of_a_commit(
    spec: str, message: str, passes: bool, server: Server, cli: Cli, tmp_path: Path
) -> None:
    """Newer engines begin a commit with the row of its snapshot, older ones don't; other messages pass."""
    schema, backup = 'it\'s "q" 100%', tmp_path / "backup.sql.zst"
    with server.database() as url:
        engine_of(spec).run(url, None, ["create table lake.t (i integer)"], data_path=tmp_path / "data")
        assert cli("dump", url, "-o", str(backup)).exit_code == 0
        words = ["--metadata-schema", schema, "--bar-stale-clients"]
        assert cli("restore", str(backup), url, *words).exit_code == 0
        if passes:
            execute(url, message)
        else:
            with pytest.raises(psycopg.errors.CheckViolation, match="dlbackup_bar_snapshot_changes"):
                execute(url, message)


@pytest.mark.parametrize(("client_spec", "catalog_spec"), _NEIGHBOURS)
def test_without_a_bar_neighbours_fail_or_write_what_they_mean(
    client_spec: str, catalog_spec: str, server: Server, cli: Cli, tmp_path: Path
) -> None:
    """Between 0.2 and 0.3 every insert fails, between 0.4 and 1.0 every one reads as it was written."""
    under = _migrated_under if client_spec < catalog_spec else _rolled_back_under
    with under(server, cli, tmp_path, client_spec, catalog_spec) as (made, client):
        acknowledged = [row for statement, row in _inserts() if not _tried(client, statement)]

        assert bool(acknowledged) == (client_spec >= "0.4")
        _read_as_written(made.url, catalog_spec, acknowledged)
        assert cli("check", made.url).exit_code == 0


@pytest.mark.parametrize("spec", [_LIKE_0_3, pytest.param("0.3", marks=pytest.mark.long), _LIKE_1_0, "1.0"])
def test_the_bar_lets_the_catalog_s_own_engine_do_everything(
    spec: str, server: Server, cli: Cli, tmp_path: Path
) -> None:
    """What an engine can do in its own catalog it can do behind the bar; and dumps and restores carry the bar."""
    outcomes = []
    for barred in (False, True):
        with _typed_lake(server, tmp_path / f"data-{barred}", spec) as made, server.database() as place:
            backup = tmp_path / f"{spec}-{barred}.sql.zst"
            assert cli("dump", made.url, "-o", str(backup)).exit_code == 0
            words = ["--bar-stale-clients"] if barred else []
            done = cli("restore", str(backup), place, "--json", *words)
            assert (done.exit_code, done.json()["barred"]) == (0, barred), done.stderr
            if barred:
                again = tmp_path / f"{spec}-again.sql.zst"
                assert cli("dump", place, "-o", str(again)).exit_code == 0
                done = cli("restore", str(again), place, "--replace", "--drop-replaced", "--json")
                assert (done.exit_code, done.json()["barred"]) == (0, True), done.stderr
            with attached(engine_of(spec), place, options=_inlining(spec)) as client:
                said = [_tried(client, statement) for statement, _ in _inserts()]
                said += [_tried(client, statement) for statement in [*_CHANGES, *_SILENT]]
            outcomes.append([bool(text) for text in said])
            assert not [text for text in said if "dlbackup_bar" in text]
            assert is_healthy(dlbackup.check(place))
    assert outcomes[0] == outcomes[1]
    assert outcomes[1].count(False) > len(list(_inserts()))


def test_a_barred_catalog_stays_barred_over_a_migration(server: Server, cli: Cli, tmp_path: Path) -> None:
    """A bar that was put up at a rollback lets migrate through, and is made one for the new version."""
    with _rolled_back_under(server, cli, tmp_path, "1.0", "0.3", "--bar-stale-clients") as (made, _):
        done = cli("migrate", made.url, "--backup-dir", str(tmp_path), "--terminate-clients", "--json")
        assert done.exit_code == 0, done.stderr
        assert done.json()["barred"] is True
        engine_of("1.0").run(made.url, None, ["insert into lake.t0 values (5, 'new')"], options=_INLINING)
        assert cli("unbar", made.url, "--json").json() == {"removed": ["dlbackup_bar_snapshot_changes"]}
        assert cli("unbar", made.url, "--json").json() == {"removed": []}


def test_bars_of_earlier_versions_are_taken_away(plain_1_0: str, cli: Cli) -> None:
    """What dlbackup left behind under other names, unbar takes away as well."""
    for table in ("schema_versions", "data_file"):
        execute(plain_1_0, f"alter table ducklake_{table} add constraint dlbackup_bar_{table} check (true)")
    removed = cli("unbar", plain_1_0, "--json").json()["removed"]
    assert removed == ["dlbackup_bar_data_file", "dlbackup_bar_schema_versions"]


@pytest.fixture
def plain_1_0(server: Server, tmp_path: Path) -> Iterator[str]:
    with server.database() as url:
        engine_of("1.0").run(url, None, ["create table lake.t (i integer)"], data_path=tmp_path / "data")
        yield url


@pytest.mark.parametrize(("spec", "ended"), _FORGETS)
def test_a_client_forgets_what_a_restore_took_back(
    spec: str, ended: str, server: Server, cli: Cli, tmp_path: Path
) -> None:
    """
    A table made after the backup is gone for who made it, also when somebody else makes one of the same number.

    Without the bar, that client's rows end in the other table, and it is told that they are committed.
    """
    engine, backup = engine_of(spec), tmp_path / "backup.sql.zst"
    with server.database() as url, ExitStack() as clients:
        engine.run(url, None, ["create table lake.t as select 1 as i"], data_path=tmp_path / "data")
        assert cli("dump", url, "-o", str(backup)).exit_code == 0
        client = clients.enter_context(attached(engine, url))
        client.say("create table lake.taken_back (i integer, v varchar)")
        client.say("insert into lake.taken_back values (1, 'one')")
        head = _head(url)
        back = ["--replace", "--drop-replaced", "--discard-newer", "--bar-stale-clients", "--no-owner", ended]
        assert cli("restore", str(backup), url, *back).exit_code == 0
        assert _head(url) == head + 1
        engine.run(url, None, ["create table lake.another (d date)", "insert into lake.another values ('2020-01-01')"])

        said = [_tried(client, "insert into lake.taken_back values (7, 'seven')") for _ in range(3)]
        assert all(said)
        assert "taken_back" in said[-1]
        client.say("insert into lake.t values (2)")
        read = engine.run(url, None, ["from lake.t order by 1", "select d::varchar from lake.another"])
        assert read == [[[1], [2]], [["2020-01-01"]]]
        assert cli("check", url).exit_code == 0


def test_who_comes_back_during_a_restore_is_ended_and_named(server: Server, cli: Cli, tmp_path: Path) -> None:
    """Beside a writer that reconnects in a loop, restore gets its locks, and what is acknowledged later is there."""
    engine, backup = engine_of("1.0"), tmp_path / "backup.sql.zst"
    with server.database() as url:
        engine.run(url, None, ["create table lake.t as select 1 as i"], data_path=tmp_path / "data")
        with writer(engine, url, table="w") as running:
            running.wait_for(3)
            assert cli("dump", url, "-o", str(backup)).exit_code == 0
            words = ["--replace", "--drop-replaced", "--discard-newer", "--terminate-clients", "--bar-stale-clients"]
            done = cli("restore", str(backup), url, *words, "--json")
            assert done.exit_code == 0, done.stderr
            at = len(running.acknowledged)
            running.wait_for(at + 3)
        (rows,) = engine.run(url, None, ["select i from lake.w"])
        assert {number for (number,) in rows} >= set(running.acknowledged[at:])
        assert cli("check", url).exit_code == 0
