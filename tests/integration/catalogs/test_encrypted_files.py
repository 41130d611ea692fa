"""Catalogs in DuckDB files that are encrypted themselves: named as such, and the ways out can be walked."""

from pathlib import Path

import duckdb
import pytest
from support.cli import Cli
from support.engines.engines import engine
from support.faults.failures import failure
from support.files import beside, contents
from support.lakes.lakes import hash_lake

import dlbackup
from dlbackup.engine.child import load

_WRITES = "SET force_mbedtls_unsafe = 'true'"
"""Without it DuckDB writes encrypted files only with the extension httpfs."""
_KEY = "k3y-never-shown"
_MAKES = """
import sys
from engine_program import connect
connection = connect()
for statement in sys.argv[1:]:
    connection.execute(statement)
"""


@pytest.fixture
def encrypted(tmp_path: Path) -> Path:
    """The catalog's file of a lake with a table."""
    path = tmp_path / "secret.ducklake"
    attach = f"ATTACH 'ducklake:{path}' AS lake (DATA_PATH '{tmp_path}/data/', META_ENCRYPTION_KEY '{_KEY}')"
    steps = (_WRITES, attach, "CREATE TABLE lake.t AS SELECT range AS i FROM range(5)", "DETACH lake")
    engine("1.5.5").script(_MAKES, *steps)
    return path


@pytest.mark.parametrize("command", ["info", "dump", "check", "plan", "migrate", "copy", "restore"])
def test_it_is_said_and_what_to_do(command: str, encrypted: Path, tmp_path: Path, cli: Cli) -> None:
    """Every command says that the file is encrypted, not damaged, and leaves it as it is."""
    before = encrypted.read_bytes()
    words: dict[str, list[str | Path]] = {
        "copy": ["copy", encrypted, tmp_path / "other.ducklake"],
        "restore": ["restore", tmp_path / "b.sql.zst", encrypted, "--replace", "--other-lake"],
    }
    if command == "restore":
        made = tmp_path / "plain.ducklake"
        engine("1.5.5").run(str(made), "main", ["create table lake.t (i int)"], data_path=tmp_path / "more")
        dlbackup.dump(str(made), tmp_path / "b.sql.zst")

    done = cli(*words.get(command, [command, encrypted]))

    failure(done, 4 if command == "copy" else 1, "is encrypted, and dlbackup takes no key", hint="COPY FROM DATABASE")
    assert _KEY not in done.stderr
    assert (encrypted.read_bytes(), beside(encrypted)) == (before, set())
    assert not (tmp_path / "other.ducklake").exists()


def test_a_program_that_has_it_open_dumps_it(encrypted: Path, tmp_path: Path) -> None:
    """Its own connection is read, and what is restored from that is the lake."""
    with duckdb.connect() as connection:
        load(connection, "ducklake")
        connection.execute(f"ATTACH 'ducklake:{encrypted}' AS lake (META_ENCRYPTION_KEY '{_KEY}', READ_ONLY)")
        backup = dlbackup.dump(connection, tmp_path / "b.sql.zst", catalog="lake")
        read = connection.execute("SELECT count(*), sum(i) FROM lake.t").fetchall()

    dlbackup.restore(backup, str(tmp_path / "plain.ducklake"))

    with duckdb.connect() as connection:
        load(connection, "ducklake")
        connection.execute(f"ATTACH 'ducklake:{tmp_path}/plain.ducklake' AS lake (READ_ONLY)")
        assert connection.execute("SELECT count(*), sum(i) FROM lake.t").fetchall() == read == [(5, 10)]


def test_a_copy_without_encryption_and_back(encrypted: Path, tmp_path: Path) -> None:
    """DuckDB's own copy is dumped and restored; DuckDB makes an encrypted file of it again, which the engine opens."""
    plain, back, again = (tmp_path / name for name in ("plain.ducklake", "back.ducklake", "again.ducklake"))
    copy = (f"ATTACH '{encrypted}' AS a (ENCRYPTION_KEY '{_KEY}', READ_ONLY)", f"ATTACH '{plain}' AS b")
    engine("1.5.5").script(_MAKES, *copy, "COPY FROM DATABASE a TO b", "DETACH b")

    backup = dlbackup.dump(str(plain), tmp_path / "b.sql.zst")
    dlbackup.restore(backup, str(back))
    encrypting = (_WRITES, f"ATTACH '{back}' AS a (READ_ONLY)", f"ATTACH '{again}' AS b (ENCRYPTION_KEY '{_KEY}')")
    engine("1.5.5").script(_MAKES, *encrypting, "COPY FROM DATABASE a TO b", "DETACH b")

    assert contents(plain) == contents(back)
    attach = f"ATTACH 'ducklake:{again}' AS lake (META_ENCRYPTION_KEY '{_KEY}', READ_ONLY)"
    count = "print(connection.execute('SELECT count(*) FROM lake.t').fetchall(), end='')"
    assert engine("1.5.5").script(_MAKES + count, attach) == "[(5,)]"
    assert len(hash_lake(engine("1.5.5"), str(back), "main", ("last",))) == 1
