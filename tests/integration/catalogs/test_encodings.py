"""Databases of other encodings than UTF8: what an engine reads there stays what it reads, or the restore is refused."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from support.cli import Cli
from support.comparison import contents, dumped, execute, psql_restore
from support.engines.engines import Engine, engine, engine_of
from support.faults.failures import failure
from support.faults.faults import MIGRATES, engine_that, failed, state
from support.longer import long
from support.migrations import migrated
from support.servers.servers import Server

from dlbackup import dump
from dlbackup.backupfile.manifest import Source
from dlbackup.catalogs.postgres import snapshot as room

_WORDS = ("Größe", "日本語", "a🦆ÿ")
_ENCODINGS = ("UTF8", "LATIN1", "WIN1252", "SQL_ASCII")
_SHOWN = (("UTF8", "LATIN1"), ("LATIN1", "UTF8"), ("SQL_ASCII", "UTF8"))
_PAIRS = [
    (one, other) if (one, other) in _SHOWN else long(one, other)
    for one in _ENCODINGS
    for other in _ENCODINGS
    if "UTF8" in (one, other) or one == other
]
_CONVERTS = "alter database {name} set client_encoding = 'UTF8'"


@contextmanager
def _database(server: Server, encoding: str, *statements: str) -> Iterator[str]:
    """Yield the URL of a new database of an encoding, dropped at the end."""
    name = f"e_{secrets.token_hex(6)}"
    how = f"encoding '{encoding}' lc_collate 'C' lc_ctype 'C' template template0"
    try:
        execute(server.url, f"create database {name} {how}", *(words.format(name=name) for words in statements))
        yield server.url_of(name)
    finally:
        server.drop_database(name)


def _make(maker: Engine, url: str, folder: Path, words: tuple[str, ...] = _WORDS) -> None:
    """Make a lake whose tables, columns, comments and inlined rows have these words."""
    statements = []
    for word in words:
        statements += [
            f'create table lake."{word}" ("s{word}" varchar, b blob)',
            f"insert into lake.\"{word}\" values ('{word}', 'x'), ('{word} ''{word}\\', 'y')",
            f"comment on table lake.\"{word}\" is '{word}'",
        ]
    folder.mkdir(exist_ok=True)
    maker.run(url, "public", statements, data_path=folder, options={"DATA_INLINING_ROW_LIMIT": 10})


def _read(reader: Engine, url: str, words: tuple[str, ...] = _WORDS) -> list[object]:
    """Return all that an engine reads of those words."""
    statements = [f'from lake."{word}" order by all' for word in words]
    about = "select table_name, comment from duckdb_tables() where database_name = 'lake' order by all"
    columns = "select column_name from duckdb_columns() where database_name = 'lake' order by all"
    return list(reader.run(url, "public", [*statements, about, columns]))


@pytest.mark.parametrize(("source", "target"), _PAIRS)
def test_engine_reads_the_same_in_another_encoding(
    server: Server, newest: Engine, cli: Cli, tmp_path: Path, source: str, target: str
) -> None:
    """What engines stored is UTF-8 everywhere, and comes as it is: by restore, by psql, and back in the next dump."""
    with (
        _database(server, source) as url,
        _database(server, target) as there,
        _database(server, target) as replayed,
    ):
        _make(newest, url, tmp_path / "data")
        before = _read(newest, url)
        assert {word for word in _WORDS if word in str(before)} == set(_WORDS)
        backup = dump(url, tmp_path / "backup.sql.zst")

        assert cli("verify", "backup.sql.zst", "--rehearse", there).exit_code == 0
        assert cli("restore", "backup.sql.zst", there).exit_code == 0
        psql_restore(server, replayed.rpartition("/")[2], backup.path)

        assert _read(newest, there) == _read(newest, replayed) == before
        assert dumped(there, tmp_path) == dumped(replayed, tmp_path) == contents(backup.path)
        assert cli("info", "backup.sql.zst", "--json").json()["encoding"] == source
        checked, was = (cli("check", it, "--json").json() for it in (there, url))
        assert {**checked, "not_looked_at": ()} == {**was, "not_looked_at": ()}  # which names the encoding


def test_backup_holds_the_text_itself(server: Server, newest: Engine, cli: Cli, tmp_path: Path) -> None:
    """A dump of LATIN1 says what engines said, not what the server takes their bytes for."""
    with _database(server, "LATIN1") as url:
        _make(newest, url, tmp_path / "data")
        dump(url, tmp_path / "backup.sql.zst")

    assert _WORDS[0] in cli("cat", "backup.sql.zst", "ducklake_table").stdout


@pytest.mark.parametrize("target", [long("LATIN1"), long("WIN1252"), "EUC_JP", long("SQL_ASCII")])
def test_ascii_goes_anywhere(server: Server, newest: Engine, cli: Cli, tmp_path: Path, target: str) -> None:
    """Most catalogs have nothing but ASCII, and no encoding stands in their way, nor what clients set."""
    with _database(server, "UTF8") as url, _database(server, target, _CONVERTS) as there:
        _make(newest, url, tmp_path / "data", ("plain",))
        dump(url, tmp_path / "backup.sql.zst")

        assert cli("restore", "backup.sql.zst", there).exit_code == 0
        assert _read(newest, there, ("plain",)) == _read(newest, url, ("plain",))


@pytest.fixture
def converted(server: Server, newest: Engine, tmp_path: Path) -> Iterator[str]:
    """A lake in a LATIN1 database whose clients have client_encoding set, so that it holds LATIN1 and no UTF-8."""
    with _database(server, "LATIN1", _CONVERTS) as url:
        _make(newest, url, tmp_path / "data", ("Größe",))
        assert execute(url, "select count(*) from ducklake_table where table_name = 'Größe'") == [(1,)]
        yield url


@pytest.mark.parametrize("target", ["UTF8", long("LATIN1"), long("LATIN1, converted"), "WIN1252, converted"])
def test_text_that_the_server_converts(
    server: Server, newest: Engine, cli: Cli, tmp_path: Path, converted: str, target: str
) -> None:
    """Where the database's settings make the server convert for engines, it does so for us, there and back."""
    before = _read(newest, converted, ("Größe",))
    backup = dump(converted, tmp_path / "backup.sql.zst")
    name, _, converts = target.partition(", ")

    with _database(server, name, *[_CONVERTS][: bool(converts)]) as there:
        assert cli("verify", "backup.sql.zst", "--rehearse", there).exit_code == 0
        assert cli("restore", "backup.sql.zst", there).exit_code == 0

        assert _read(newest, there, ("Größe",)) == before
        assert dumped(there, tmp_path) == contents(backup.path)


def test_text_that_can_not_be_converted_is_refused(server: Server, newest: Engine, cli: Cli, tmp_path: Path) -> None:
    """What the place's encoding has no sign for is refused, by a rehearsal too, and nothing is left."""
    with _database(server, "UTF8") as url, _database(server, "LATIN1", _CONVERTS) as there:
        _make(newest, url, tmp_path / "data")
        dump(url, tmp_path / "backup.sql.zst")

        failure(cli("restore", "backup.sql.zst", there), 4, "UTF8", "LATIN1", hint="TEMPLATE template0")
        failure(cli("verify", "backup.sql.zst", "--rehearse", there), 4, "UTF8", "LATIN1", hint="TEMPLATE template0")
        assert execute(there, "select count(*) from pg_class where relname like 'ducklake%'") == [(0,)]
        assert execute(there, "select count(*) from pg_namespace where nspname like 'dlbackup%'") == [(0,)]


def test_server_that_takes_no_utf8_is_refused(server: Server, newest: Engine, cli: Cli, tmp_path: Path) -> None:
    """Encodings of several bytes take no UTF-8: the server's own refusal is one of ours."""
    with _database(server, "UTF8") as url, _database(server, "EUC_JP") as there:
        _make(newest, url, tmp_path / "data")
        dump(url, tmp_path / "backup.sql.zst")

        failure(cli("restore", "backup.sql.zst", there), 4, "EUC_JP", hint="encoding")
        assert execute(there, "select count(*) from pg_class where relname like 'ducklake%'") == [(0,)]


def test_backup_that_does_not_say_its_encoding(
    server: Server, newest: Engine, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files from before they said it restore where they did; where text could turn into other text, they don't."""
    monkeypatch.setattr(room, "Source", lambda **said: Source(**{**said, "encoding": "", "converted": False}))
    with _database(server, "UTF8") as url, _database(server, "UTF8") as same, _database(server, "LATIN1") as other:
        _make(newest, url, tmp_path / "data")
        dump(url, tmp_path / "backup.sql.zst")

        assert cli("restore", "backup.sql.zst", same).exit_code == 0
        assert _read(newest, same) == _read(newest, url)
        failure(cli("restore", "backup.sql.zst", other), 4, "doesn't say", "LATIN1", hint="ENCODING 'UTF8'")


def test_definition_that_is_no_utf8_is_named(server: Server, newest: Engine, cli: Cli, tmp_path: Path) -> None:
    """A comment that is no UTF-8 can't stand in a backup; it is named instead of being altered."""
    with _database(server, "LATIN1") as url:
        _make(newest, url, tmp_path / "data", ("plain",))
        execute(url, "set client_encoding = 'UTF8'", "comment on table ducklake_tag is 'Größe'")

        failure(cli("dump", url), 1, "comment of table ducklake_tag", "LATIN1", hint="UTF8")


@pytest.mark.parametrize("encoding", ["LATIN1", long("SQL_ASCII")])
def test_text_that_is_no_utf8_is_named(server: Server, newest: Engine, cli: Cli, tmp_path: Path, encoding: str) -> None:
    """Bytes that no engine would read as text are named, in the table that has them; no backup is left."""
    with _database(server, encoding) as url:
        _make(newest, url, tmp_path / "data")
        execute(url, "set client_encoding = 'SQL_ASCII'", r"update ducklake_snapshot_changes set author = e'\xff\xfe,'")

        failure(
            cli("dump", url, "-o", "backup.sql.zst"),
            1,
            "ducklake_snapshot_changes",
            encoding,
            hint="client_encoding=UTF8",
        )
        assert not (tmp_path / "backup.sql.zst").exists()
        unseen = " ".join(cli("check", url, "--json").json()["not_looked_at"])
        assert f"texts are UTF-8, which a database of the encoding {encoding} doesn't see to: dump does" in unseen


@pytest.mark.parametrize("encoding", ["LATIN1", long("WIN1252"), long("SQL_ASCII")])
def test_migration_keeps_the_text(server: Server, newest: Engine, cli: Cli, tmp_path: Path, encoding: str) -> None:
    """Rehearsal, migration and mends leave the text as it is; so does an undo."""
    with _database(server, encoding) as url:
        _make(engine_of("0.3"), url, tmp_path / "data")
        before, stood = _read(engine("1.4.4"), url), state(url)
        raises = partial(engine_that, tmp_path, after='raise real.IOException("too late")', statement=MIGRATES)

        done = cli("migrate", url, "--json", "--no-rehearsal", "--engine", raises())

        failed(done, 6, "RolledBack", "rolled-back")
        assert state(url) == stood
        assert _read(engine("1.4.4"), url) == before
        planned = cli("plan", url, "--json").json()
        assert planned["blockers"] == []
        assert f"which a database of the encoding {encoding} doesn't see to" in " ".join(planned["not_looked_at"])
        assert migrated(cli, url)["outcome"] == "migrated"
        assert _read(newest, url) == before
