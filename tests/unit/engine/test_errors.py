"""DuckDB's errors become dlbackup's, whichever they are."""

import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import duckdb
import pytest
from support.backups import write_backup

from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.loaded_backup import LoadedBackup, load
from dlbackup.engine.errors import reason_first, translated
from dlbackup.engine.texts import Texts
from dlbackup.errors import EngineError, Interrupted, StorageError
from dlbackup.stores.folder import local


def _all(kind: type[duckdb.Error]) -> Iterator[type[duckdb.Error]]:
    yield kind
    for special in kind.__subclasses__():
        yield from _all(special)


EVERY = sorted(set(_all(duckdb.Error)), key=lambda kind: kind.__name__)


class _Failing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def execute(self, sql: str, parameters: object = None) -> None:
        raise self._error


def test_duckdb_has_many_errors() -> None:
    """All kinds are found by way of their parents, those of Python's database interface and DuckDB's own."""
    assert len(EVERY) > 25
    assert {duckdb.IOException, duckdb.OutOfMemoryException, duckdb.HTTPException, duckdb.DataError} <= set(EVERY)


def test_every_error_is_translated() -> None:
    """Each becomes an EngineError that says what was under way and the error's kind, and hides the password."""
    address = parse_address("postgresql://user:hunter2@host/db")
    for kind in EVERY:
        with pytest.raises(EngineError) as caught, translated("attaching", address):
            raise kind("password=hunter2 is wrong\n")

        assert caught.value.message == f"attaching: {kind.__name__}: password=*** is wrong"
        assert caught.value.__suppress_context__


_CONNINFO = "host=/run/x dbname=lake password=hunter2 options='-c lock_timeout=7 -c x=\\'y\\'' application_name=x"
_LONG = "SELECT 1;\n" * 90
_ATTACH = f'Failed to attach DuckLake MetaData "__ducklake_metadata_lake" at path + "postgres:{_CONNINFO}"'


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            f'IO Error: {_ATTACH}Unable to connect to Postgres at "{_CONNINFO}": connection failed: FATAL: too many\n',
            "IO Error: can't connect: connection failed: FATAL: too many",
        ),
        (f"{_ATTACH}Unable to connect to Postgres at {_CONNINFO}: timeout expired", "can't connect: timeout expired"),
        (
            'Failed to execute query "CREATE TABLE "public"."a"("k" VARCHAR);": ERROR:  relation "x": no',
            'ERROR:  relation "x": no; in the query CREATE TABLE "public"."a"("k" VARCHAR);',
        ),
        (
            f'Failed to migrate: Failed to execute query "{_LONG}": ERROR:  disk full\n',
            f"Failed to migrate: ERROR:  disk full; in the query {('SELECT 1; ' * 90)[:120]}...",
        ),
        (
            'Failed to attach DuckLake MetaData "m" at path + "/a/lake.ducklake": IO Error: no such file',
            'Failed to attach DuckLake MetaData "m" at path + "/a/lake.ducklake": IO Error: no such file',
        ),
        (
            f'Existing DuckLake at metadata catalog "postgres:{_CONNINFO}" does not exist',
            "Existing DuckLake at metadata catalog the address does not exist",
        ),
        ("Binder Error: Referenced column x not found", "Binder Error: Referenced column x not found"),
    ],
)
def test_reason_comes_first(said: str, reason: str) -> None:
    """What a server said is not hidden behind a connection string or a query; a file that can't be read is named."""
    assert reason_first(said) == reason


def test_no_error_leaves_a_loaded_backup() -> None:
    """Questions that fail for want of room say so, all others name DuckDB's error."""
    for kind in EVERY:
        loaded = LoadedBackup(cast("duckdb.DuckDBPyConnection", _Failing(kind("words"))), ())
        expected = StorageError if issubclass(kind, duckdb.IOException | duckdb.OutOfMemoryException) else EngineError
        with pytest.raises(expected, match="words") as asked:
            loaded.ask("select 1")
        with pytest.raises(expected, match="words") as streamed:
            list(loaded.stream("select 1"))

        assert type(asked.value) is type(streamed.value) is expected, kind


def test_no_room_for_the_database_itself(tmp_path: Path) -> None:
    """Where not even an empty database fits, the error names the folder and how to choose another."""
    path = tmp_path / "a.sql.zst"
    write_backup(path, [])
    with BackupReader(local(path)) as reader:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            with pytest.raises(StorageError, match="no room for the backup's rows in"), load(reader, lambda table: ()):
                pass
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_interrupt_of_a_query_stays_one(tmp_path: Path) -> None:
    """A signal that comes while DuckDB works is not called a bug of ours, and is not lost."""
    path = tmp_path / "a.sql.zst"
    write_backup(path, [])

    def interrupt(*_: object) -> None:
        raise Interrupted("interrupted by SIGALRM")

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with (
            BackupReader(local(path)) as reader,
            pytest.raises(Interrupted, match="SIGALRM"),
            load(reader, lambda table: ()) as loaded,
        ):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            loaded.ask("select sum(a.range * b.range) from range(1000000) a, range(1000000) b")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_interrupt_of_a_judgement_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it count as a text that can't be parsed."""
    query_interrupted = RuntimeError("Query interrupted")
    query_interrupted.__cause__ = Interrupted("interrupted by SIGINT")
    texts = Texts()
    monkeypatch.setattr(texts, "_made", _Failing(query_interrupted))

    for judge in (texts.is_expression, texts.is_query):
        with pytest.raises(Interrupted):
            judge("1 + 1")
    with pytest.raises(Interrupted):
        texts.casts("1", "int32")
