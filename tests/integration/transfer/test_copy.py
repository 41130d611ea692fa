"""Catalogs moved to another kind of backend: what they mean, and what engines read of them, stays."""

from pathlib import Path

import pytest
from support.comparison import execute
from support.engines.engines import Engine
from support.lakes.in_files import FileLakes, Hashes
from support.lakes.lakes import LakeFactory, hash_lake
from support.servers.servers import Server

import dlbackup
from dlbackup import errors
from dlbackup.runtime.progress import Event

GENERATIONS = [("1.5.5", "1.0"), ("1.4.4", "0.3")]
_WRITING = (
    "create table lake.after_the_move (i integer, s varchar)",
    "insert into lake.after_the_move values (1, 'it''s'), (2, null)",
    "insert into lake.texts (i, s) values (2000, 'moved')",
    "delete from lake.texts where i = 1",
    "select count(*), count(s) from lake.texts",
)


def _at(version: str, pytestconfig: pytest.Config) -> tuple[str, ...] | None:
    """Return at which snapshots engines read: at each, or for older engines the ends, without --long."""
    return None if version == "1.5.5" or pytestconfig.option.long else ("first", "last")


def _dumped(address: str, folder: Path) -> dlbackup.Backup:
    return dlbackup.dump(address, f"{folder}/{len(list(folder.glob('*.zst')))}.sql.zst")


def _writes_on(engine: Engine, address: str, schema: str) -> list[list[object]]:
    """Have an engine write to a catalog, and return what it reads then."""
    return list(engine.run(address, schema, _WRITING)[-1])


@pytest.mark.parametrize(("version", "spec"), GENERATIONS)
def test_file_to_postgres_and_back(
    version: str, spec: str, file_lakes: FileLakes, database: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """A lake with inlined rows of every type means the same in all three, at every snapshot, and is written to."""
    lake = file_lakes.copy("inlined", version, tmp_path)
    odd = tmp_path / "it's a ?lake# ünd so.ducklake"
    at = _at(version, pytestconfig)
    before: Hashes = lake.read_by(at)

    first = _dumped(str(lake.path), tmp_path)
    moved = dlbackup.restore(first, database)
    second = _dumped(database, tmp_path)
    back = dlbackup.restore(second, f"duckdb:{odd}")

    assert (moved.spec_version, moved.schema, back.schema) == (spec, "public", "main")
    assert dlbackup.check(database).ok
    assert dlbackup.info(f"duckdb:{odd}", fingerprint=True).fingerprint == second.fingerprint == first.fingerprint
    assert hash_lake(lake.engine, database, "public", at) == before
    assert lake.read_by(at, odd) == before
    assert _writes_on(lake.engine, database, "public") == _writes_on(lake.engine, str(odd), "main")


@pytest.mark.parametrize(("version", "spec"), GENERATIONS)
def test_postgres_to_file_and_back(
    version: str, spec: str, lake: LakeFactory, server: Server, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """What an engine stored on PostgreSQL is read from a file; and moved back, as if it had been written there."""
    made = lake("inlined", spec)
    file = tmp_path / "lake.ducklake"
    at = None if pytestconfig.option.long else ("first", "last")
    before = hash_lake(made.engine, made.url, made.schema, at)

    dlbackup.restore(_dumped(made.url, tmp_path), str(file))
    copied = _dumped(str(file), tmp_path)

    assert hash_lake(made.engine, str(file), "main", at) == before
    with server.database() as url:
        dlbackup.restore(copied, url)
        assert dlbackup.info(url, fingerprint=True).fingerprint == copied.fingerprint
        assert hash_lake(made.engine, url, "public", at) == before


def test_zoo_moves(lake: LakeFactory, tmp_path: Path) -> None:
    """A lake with everything else that there is: the fingerprint and what an engine reads are the same."""
    made = lake("zoo", "1.0")
    file = tmp_path / "zoo.ducklake"

    backup = _dumped(made.url, tmp_path)
    dlbackup.restore(backup, str(file))

    found = dlbackup.info(str(file), fingerprint=True)
    assert (found.snapshot_id, found.rows) == (backup.snapshot_id, backup.rows)
    ends = ("first", "last")
    assert hash_lake(made.engine, str(file), "main", ends) == hash_lake(made.engine, made.url, made.schema, ends)


def test_what_postgres_cant_hold_is_refused(file_lakes: FileLakes, database: str, tmp_path: Path) -> None:
    """A NUL that 1.4's tables have no place for there, and a name that is too long: by name, and nothing is written."""
    lake = file_lakes.copy("plain", "1.4.4", tmp_path)
    lake.engine.run(
        str(lake.path),
        "main",
        [
            "call lake.set_option('data_inlining_row_limit', 100)",
            'create table lake.odd ("a name" varchar)',
            "insert into lake.odd values ('a' || chr(0) || 'b')",
        ],
    )

    with pytest.raises(errors.NotCarried, match="in column a name") as refused:
        dlbackup.restore(_dumped(str(lake.path), tmp_path), database)

    assert (refused.value.exit_code, "ducklake_flush_inlined_data" in refused.value.hint) == (4, True)
    with pytest.raises(errors.NotALake):
        dlbackup.info(database)


def test_moving_leaves_and_says_what_only_postgres_has(lake: LakeFactory, tmp_path: Path) -> None:
    """An index of somebody's and grants stay behind, with a warning; a table that isn't DuckLake's is refused."""
    made = lake("plain", "1.0")
    execute(made.url, "create index mine on ducklake_column (column_name)", "grant select on ducklake_column to public")
    said: list[Event] = []

    dlbackup.restore(_dumped(made.url, tmp_path), str(tmp_path / "a.ducklake"), on_event=said.append)
    execute(made.url, "create table ducklake_of_mine (i bigint)")

    (warning,) = [event.message for event in said if event.warning and event.stage == "convert"]
    assert "index mine; privileges on table ducklake_column" in warning
    with pytest.raises(errors.NotCarried, match="ducklake_of_mine"):
        dlbackup.restore(_dumped(made.url, tmp_path), str(tmp_path / "b.ducklake"))
    assert not (tmp_path / "b.ducklake").exists()
