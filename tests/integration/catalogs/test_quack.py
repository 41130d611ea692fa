"""Catalogs behind Quack servers: read as they are in their files, in one state, and never written."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli
from support.engines.engines import engine, with_quack
from support.lakes.in_files import FileLake, FileLakes
from support.lakes.lakes import LakeKind
from support.longer import long, runs_all
from support.servers.proxy import Fault, Proxy
from support.servers.quack import QuackServer, serving
from support.waiting import PATIENCE_S, wait_until

import dlbackup
from dlbackup import RestoreOptions, errors
from dlbackup.addresses.address import Address, parse_address
from dlbackup.backupfile.manifest import Manifest
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Access
from dlbackup.catalogs.open import open_catalog
from dlbackup.catalogs.quack import copying
from dlbackup.engine.engine import probe
from dlbackup.stores.folder import local

_LAKES: list[tuple[LakeKind, str]] = [("plain", "1.3.2"), ("zoo", "1.4.4"), ("inlined", "1.5.5")]
_SNAPSHOT = """
    insert into ducklake_snapshot
    select max(snapshot_id) + 1, '2026-11-29 00:00:00+00', 1, 100, 100 from ducklake_snapshot
"""
_CHANGES = "insert into ducklake_snapshot_changes (snapshot_id) select max(snapshot_id) from ducklake_snapshot"
_TOKEN = "DLBACKUP_QUACK_TOKEN"
_FILE = "DLBACKUP_QUACK_TOKEN_FILE"
_QUESTIONS = 8
"""About how many a copy asks before it reads the first table."""


@pytest.fixture
def quack_python() -> Path:
    """The Python of an environment that has the extension."""
    return with_quack(engine("1.5.5")).python


@pytest.fixture
def lake(file_lakes: FileLakes, tmp_path: Path) -> FileLake:
    """A lake of today."""
    return file_lakes.copy("inlined", "1.5.5", tmp_path)


@pytest.fixture
def quack(lake: FileLake, monkeypatch: pytest.MonkeyPatch) -> Iterator[QuackServer]:
    """Its server, to which the environment has the token and this Python the extension."""
    with serving(lake.path, engine("1.5.5")) as running:
        _let_in(running, monkeypatch)
        yield running


def _let_in(quack: QuackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(with_quack(engine("1.5.5")).python.parent)
    monkeypatch.setenv(_TOKEN, quack.token)


def _path_with_quack() -> str:
    """Return a PYTHONPATH with which a process of its own has the extension."""
    return f"{with_quack(engine('1.5.5')).python.parent}:{os.environ.get('PYTHONPATH', '')}"


def _read(backup: Path) -> Manifest:
    with BackupReader(local(backup)) as reader:
        return reader.manifest


def _contents(manifest: Manifest) -> dict[str, object]:
    return {entry.table.name: (entry.table, entry.content) for entry in manifest.tables}


def _snapshots(backup: Path) -> tuple[int, int]:
    """Return how many snapshots there are, and how many that say what they changed."""
    rows = {entry.table.name: entry.rows for entry in _read(backup).tables}
    return rows["ducklake_snapshot"], rows["ducklake_snapshot_changes"]


@pytest.mark.parametrize(("kind", "version"), [long(*_LAKES[0]), long(*_LAKES[1]), _LAKES[2]])
def test_dump_is_that_of_the_file(
    file_lakes: FileLakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: LakeKind, version: str
) -> None:
    """Definitions, rows, fingerprint, name and storage version are those of a dump of the file; so is what restores."""
    lake = file_lakes.copy(kind, version, tmp_path)
    by_file = _read(Path(dlbackup.dump(lake.path, tmp_path / "file.sql.zst").path))
    with serving(lake.path, engine("1.5.5")) as quack:
        _let_in(quack, monkeypatch)
        backup = dlbackup.dump(quack.url, tmp_path / "served.sql.zst")
    served = _read(Path(backup.path))

    assert _contents(served) == _contents(by_file)
    assert served.fingerprint == by_file.fingerprint
    assert (served.left_out, served.header.dialect) == (by_file.left_out, "duckdb")
    assert replace(served.header.source, server_version=by_file.header.source.server_version) == by_file.header.source
    dlbackup.restore(backup, str(tmp_path / "again.ducklake"))
    again = _read(Path(dlbackup.dump(tmp_path / "again.ducklake", tmp_path / "again.sql.zst").path))
    assert _contents(again) == _contents(by_file)


def test_what_hangs_on_tables_and_stands_beside_is_told_as_of_the_file(
    lake: FileLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Defaults, comments and NOT NULL are kept; indexes, views, macros and the like are named and never run."""
    more = (
        "create table other (i int)",
        'create schema "o\'x"',
        """create table "o'x"."t""1" (i int)""",
        "create view v as select 1",
        "create sequence s",
        "create type kind as enum ('a')",
        "create macro current_database() as 'nowhere'",
        "create macro txid_current() as 1",
        "create macro quack_query_by_name(a, b) as table select 1",
        "create index ix on ducklake_data_file (path)",
        "comment on table ducklake_snapshot is 'it''s'",
        "comment on column ducklake_snapshot.snapshot_id is 'number'",
        "alter table ducklake_tag alter column key set default 'a''b'",
        "alter table ducklake_tag alter column value set not null",
    )
    with serving(lake.path, engine("1.5.5")) as quack:
        assert [quack.execute(statement) for statement in more] == [[]] * len(more)
        _let_in(quack, monkeypatch)
        served = dlbackup.dump(quack.url, tmp_path / "served.sql.zst")
        quack.execute("checkpoint")
    by_file = _read(Path(dlbackup.dump(lake.path, tmp_path / "file.sql.zst").path))

    assert _contents(_read(Path(served.path))) == _contents(by_file)
    assert by_file.left_out == _read(Path(served.path)).left_out
    assert len(by_file.left_out) == 9


@pytest.mark.parametrize("schema", ["memory", long("copy"), long("served"), long("system"), long("temp")])
def test_schema_may_be_called_as_a_database_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: str) -> None:
    """Also as one of those that the copying has."""
    path = tmp_path / "lake.ducklake"
    engine("1.5.5").run(str(path), schema, ["create table lake.t (i integer)"], data_path=tmp_path / "data")
    by_file = _read(Path(dlbackup.dump(path, tmp_path / "file.sql.zst").path))
    with serving(path, engine("1.5.5")) as quack:
        _let_in(quack, monkeypatch)
        served = _read(Path(dlbackup.dump(quack.url, tmp_path / "served.sql.zst").path))

    assert (_contents(served), served.header.source) == (_contents(by_file), by_file.header.source)
    dlbackup.restore(str(tmp_path / "served.sql.zst"), str(tmp_path / "again.ducklake"))
    again = _read(Path(dlbackup.dump(tmp_path / "again.ducklake", tmp_path / "again.sql.zst").path))
    assert _contents(again) == _contents(by_file)


@pytest.mark.parametrize(("tables", "columns"), [(30, 200), long(300, 20), long(1, 1200)])
def test_many_columns_have_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tables: int, columns: int) -> None:
    """However many inlined tables there are, and however wide, the copy takes little memory: exact all the same."""
    names = ", ".join(f"c{number} varchar" for number in range(columns))
    values = ", ".join("range" for _ in range(columns))
    made = [f"create table lake.t{number} ({names})" for number in range(tables)]
    filled = [f"insert into lake.t{number} select {values} from range(2)" for number in range(tables)]
    path, options = tmp_path / "lake.ducklake", {"DATA_INLINING_ROW_LIMIT": 10}
    statements = ["begin", *made, *filled, "commit"]
    engine("1.5.5").run(str(path), "main", statements, data_path=tmp_path / "data", options=options)
    by_file = _read(Path(dlbackup.dump(path, tmp_path / "file.sql.zst").path))
    with serving(path, engine("1.5.5")) as quack:
        _let_in(quack, monkeypatch)
        served = _read(Path(dlbackup.dump(quack.url, tmp_path / "served.sql.zst").path))

    assert _contents(served) == _contents(by_file)


def test_long_values_have_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of some megabytes, which take more than what is enough for other copies."""
    long_text = "repeat(chr(65 + range::integer), 12_000_000)"
    path, options = tmp_path / "lake.ducklake", {"DATA_INLINING_ROW_LIMIT": 10}
    statements = ["create table lake.t (s varchar)", f"insert into lake.t select {long_text} from range(5)"]
    engine("1.5.5").run(str(path), "main", statements, data_path=tmp_path / "data", options=options)
    by_file = _read(Path(dlbackup.dump(path, tmp_path / "file.sql.zst").path))
    with serving(path, engine("1.5.5")) as quack:
        _let_in(quack, monkeypatch)
        served = _read(Path(dlbackup.dump(quack.url, tmp_path / "served.sql.zst").path))

    assert _contents(served) == _contents(by_file)


@pytest.mark.parametrize("at", [long(2), 6, 12, long(20)])
def test_commit_in_the_middle_of_a_dump_is_not_half_seen(quack: QuackServer, tmp_path: Path, at: int) -> None:
    """Whenever a commit over two tables comes while a copy is made, both are as before it, or both as after it."""
    before = _snapshots(Path(dlbackup.dump(quack.url, tmp_path / "before.sql.zst").path))
    with Proxy("localhost", quack.port) as proxy:
        proxy.strike_at_message("stall", at)
        told: list[Any] = []

        def commit() -> None:
            assert proxy.struck.wait(PATIENCE_S)
            told.extend(map(quack.execute, ("begin", _SNAPSHOT, _CHANGES, "commit")))
            proxy.go_on()

        committing = threading.Thread(target=commit)
        committing.start()
        dlbackup.dump(f"quack:localhost:{proxy.port}", tmp_path / "beside.sql.zst")
        committing.join()

    beside = _snapshots(Path(tmp_path / "beside.sql.zst"))
    assert not [words for words in told if isinstance(words, str)]
    assert beside in (before, tuple(number + 1 for number in before))
    assert beside == before or at < _QUESTIONS
    dlbackup.dump(quack.url, tmp_path / "after.sql.zst")
    assert _snapshots(tmp_path / "after.sql.zst") == tuple(number + 1 for number in before)


def test_info_check_and_cat_are_those_of_the_file(quack: QuackServer, lake: FileLake, tmp_path: Path, cli: Cli) -> None:
    """What only reads works by the address as for the file, also as DuckLake writes it."""
    env = {_TOKEN: quack.token}
    served = cli("info", f"ducklake:{quack.url}", "--fingerprint", "--json", env=env).json()
    checked = cli("check", quack.url, "--data-files", "--json", env=env).json()
    dumped = cli("dump", quack.url, "-o", tmp_path, "--json", env=env).json()
    listed = cli("list", tmp_path, "--catalog", quack.url, "--json", env=env).json()
    quack.child.finish()
    by_file = cli("info", lake.path, "--fingerprint", "--json").json()

    assert {**served, "server_version": "", "bytes": 0} == {**by_file, "server_version": "", "bytes": 0}
    assert checked == cli("check", lake.path, "--data-files", "--json").json()
    assert dumped["snapshot_id"] == by_file["snapshot_id"]
    assert [backup["files"] for backup in listed["backups"]] == ["whole"]


def test_catalog_is_copied_to_other_kinds(
    quack: QuackServer, database: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """A copy on PostgreSQL, in a DuckDB file, which is frozen, and with --all in a SQLite file, means the same."""
    meant = dlbackup.info(quack.url, fingerprint=True).fingerprint

    targets = {database: False, str(tmp_path / "copy.ducklake"): True}
    if runs_all(pytestconfig):
        targets[str(tmp_path / "copy.sqlite")] = False
    for target, frozen in targets.items():
        copied = dlbackup.copy(quack.url, target, RestoreOptions(frozen=frozen))
        assert (copied.source, copied.fingerprint) == (quack.url, meant)
        assert dlbackup.info(target, fingerprint=True).fingerprint == meant


def test_copy_is_read_beside_the_server(quack: QuackServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An engine reads the same of what the server shows as of the copy, before that is there."""
    monkeypatch.setattr("dlbackup.transfer.witness.probe", probe)
    monkeypatch.setattr("dlbackup.transfer.witness.MOST_READINGS", 1)

    copied = dlbackup.copy(quack.url, str(tmp_path / "copy.ducklake"))

    assert (copied.snapshots_read, copied.source_read) == (2, True)


def test_schema_can_be_named_and_must_where_there_are_several(quack: QuackServer, tmp_path: Path) -> None:
    """Of several catalogs in a server's database one is chosen; none by itself."""
    made = ["create schema two", *(f"create table two.{name} as from {name}" for name in _names(quack))]
    assert not [words for words in map(quack.execute, made) if isinstance(words, str)]

    with pytest.raises(errors.Ambiguous, match=f"^{quack.url} holds 2 catalogs, in the schemas main, two"):
        dlbackup.info(quack.url)
    assert dlbackup.info(quack.url, metadata_schema="two").rows == dlbackup.info(quack.url, metadata_schema="main").rows
    with pytest.raises(errors.NotALake, match="'three'"):
        dlbackup.info(quack.url, metadata_schema="three")


def _names(quack: QuackServer) -> list[str]:
    return [name for (name,) in quack.execute("select table_name from duckdb_tables() where table_name like 'duckl%'")]


def test_copying_engine_can_be_another(quack: QuackServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where this Python has no extension for Quack, another's is named."""
    monkeypatch.undo()
    monkeypatch.setenv(_TOKEN, quack.token)
    monkeypatch.setenv("HOME", str(tmp_path))  # where DuckDB would have it installed

    with pytest.raises(errors.EngineError, match="no extension to read") as refused:
        dlbackup.info(quack.url)
    assert "--engine" in refused.value.hint
    assert dlbackup.info(quack.url, engine=with_quack(engine("1.5.5")).python).tables


def test_token_comes_from_a_file_and_is_never_seen(quack: QuackServer, tmp_path: Path, cli: Cli) -> None:
    """Nothing that a command writes, no argument of its processes and no backup has the token, also a wrong one."""
    python = _path_with_quack()
    file = tmp_path / "token"
    file.write_text(f"{quack.token}\n")
    seen: set[bytes] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for words in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(words.read_bytes())
                except OSError:
                    continue

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        env = {_FILE: str(file), "PYTHONPATH": python}
        good = cli.apart("dump", quack.url, "-o", "b.sql.zst", "--json", env=env)
        secret = "wrong'" + "x" * 20
        wrong = cli.apart("dump", quack.url, "-o", "c.sql.zst", env={_TOKEN: secret, "PYTHONPATH": python})
    finally:
        done.set()
        watching.join()

    assert (good.exit_code, wrong.exit_code) == (0, 1)
    assert "refuses the token" in wrong.stderr
    for told in (
        good.stdout,
        good.stderr,
        wrong.stdout,
        wrong.stderr,
        *(words.decode(errors="replace") for words in seen),
    ):
        assert quack.token not in told
        assert secret not in told
    assert any(b"dlbackup.catalogs.quack.child" in words for words in seen)


def test_what_cannot_be_read_is_refused_in_words(
    quack: QuackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token, none in its file, another one, no server, no catalog: each says what it is and what to do."""

    def refused(url: str, error: type[errors.DlbackupError], words: str, hint: str) -> None:
        with pytest.raises(error, match=words) as raised:
            dlbackup.dump(url, tmp_path / "never.sql.zst")
        assert hint in raised.value.hint
        assert not (tmp_path / "never.sql.zst").exists()

    with Proxy("localhost", quack.port) as gone:
        port = gone.port
    refused(f"quack:localhost:{port}", errors.Unreachable, "can't be reached: IO Error", "CALL quack_serve")
    quack.execute("alter table ducklake_tag alter column key set default 'a' || 'b'")
    refused(quack.url, errors.Unsupported, "default of a column", "SET DEFAULT")
    quack.execute("alter table ducklake_tag alter column key drop default")
    quack.execute("alter table ducklake_metadata rename to something")
    refused(quack.url, errors.NotALake, "the database lake, which", "duckdb lake.ducklake")
    monkeypatch.setenv(_TOKEN, "another")
    refused(quack.url, errors.Unreachable, "refuses the token", _FILE)
    monkeypatch.delenv(_TOKEN)
    refused(quack.url, errors.Unreachable, "without a token", _FILE)
    monkeypatch.setenv(_FILE, str(tmp_path / "none"))
    refused(quack.url, errors.StorageError, "can't read the token", _TOKEN)
    (tmp_path / "none").touch()
    refused(quack.url, errors.StorageError, "it is empty", _TOKEN)


@pytest.mark.parametrize("at", [1, long(5), long(12)])
def test_silent_server_is_given_up(
    at: int, quack: QuackServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that says nothing at the first question, or at a later one, counts as gone, and there is no backup."""
    monkeypatch.setattr(copying, "SILENCE_S", (1.0, 1.0))
    with Proxy("localhost", quack.port) as proxy:
        proxy.strike_at_message("stall", at)
        with pytest.raises(errors.Unreachable, match="has not answered for 1 s"):
            dlbackup.dump(f"quack:localhost:{proxy.port}", tmp_path / "b.sql.zst")
        proxy.go_on()
    assert list(tmp_path.glob("b.sql*")) == []


@pytest.mark.parametrize(("at", "fault"), [(3, "gone"), long(3, "reset"), long(12, "gone"), (12, "reset")])
def test_server_that_goes_in_the_middle_leaves_no_backup(
    quack: QuackServer, tmp_path: Path, fault: Fault, at: int
) -> None:
    """A connection that breaks while the catalog is read is said to be that; there is no half backup."""
    with Proxy("localhost", quack.port) as proxy:
        proxy.strike_at_message(fault, at)
        with pytest.raises(errors.Unreachable, match=r"has gone while it was read|can't be reached"):
            dlbackup.dump(f"quack:localhost:{proxy.port}", tmp_path / "b.sql.zst")

    assert not list(tmp_path.glob("b.sql.zst*"))


@pytest.mark.parametrize("by", [long(signal.SIGINT), signal.SIGKILL])
def test_who_is_stopped_leaves_no_transaction_on_the_server(quack: QuackServer, cli: Cli, by: signal.Signals) -> None:
    """However a dump ends, the server can write its file again: its transaction has ended too."""
    env = {_TOKEN: quack.token, "PYTHONPATH": _path_with_quack()}
    with Proxy("localhost", quack.port) as proxy:
        proxy.strike_at_message("stall", 12)
        with cli.started("dump", f"quack:localhost:{proxy.port}", "-o", "b.sql.zst", env=env) as dumping:
            assert proxy.struck.wait(PATIENCE_S)
            assert "active" in str(_checkpoint(quack))
            dumping.send_signal(by)
            time.sleep(0.2)
            proxy.go_on()
            dumping.wait()
        wait_until(lambda: _checkpoint(quack) == [])

    assert dumping.returncode == (130 if by == signal.SIGINT else -by)


def _checkpoint(quack: QuackServer) -> Any:
    quack.execute("drop table if exists more")
    quack.execute("create table more as select 1 as i")
    quack.execute("delete from more")
    return quack.execute("checkpoint")


@pytest.mark.parametrize(
    "arguments",
    [
        ["restore", "b.sql.zst", "quack:host"],
        ["restore", "b.sql.zst", "quack:host", "--replace"],
        ["migrate", "quack:host:9494"],
        ["plan", "ducklake:quack:host"],
        ["copy", "lake.ducklake", "quack:host"],
        ["copy", "quack:host", "quack:host", "--frozen"],
        ["drill", "b.sql.zst", "--on", "quack:host"],
        ["unbar", "quack:host"],
    ],
    ids=" ".join,
)
def test_what_would_write_says_what_to_do_on_the_server(cli: Cli, arguments: list[str]) -> None:
    """Nothing is connected to or made; the hint names the way that there is."""
    refused = cli(*arguments)

    assert refused.exit_code == 2
    assert "is a Quack server, whose catalog dlbackup reads and does not change" in refused.stderr
    assert "dlbackup restore BACKUP FILE" in refused.stderr


def test_program_that_attaches_is_told_too() -> None:
    """`dlbackup.attach` looks at no such address."""
    import duckdb

    with duckdb.connect() as connection, pytest.raises(errors.UsageError, match="quack:host is a Quack server"):
        dlbackup.attach(connection, "quack:host")


def test_messages_name_the_server_and_not_the_copy(quack: QuackServer) -> None:
    """A catalog is shown by the address by which it was opened."""
    with open_catalog(parse_address(quack.url), None, Access()) as catalog:
        assert str(catalog.address) == quack.url == str(Address("quack", path=f"localhost:{quack.port}"))
