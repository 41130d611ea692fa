"""One snapshot of a lake, frozen: an engine reads of it what it reads of the lake at that snapshot, and no more."""

import json
from pathlib import Path

import duckdb
import pytest
from support.cli import Cli
from support.engines.engines import CHILD, Engine, engine
from support.faults.failures import json_failure
from support.lakes.in_files import FileLakes
from support.lakes.lakes import LakeFactory
from support.longer import long, runs_all

import dlbackup
from dlbackup import errors

_FROZEN = dlbackup.RestoreOptions(frozen=True)
_READS = Path(CHILD).with_name("frozen_program.py")
_MISREAD = {"1.5.5": 0, "1.4.4": 1, "1.3.2": 2}
"""How many tables of an earlier snapshot an engine itself fails to read, at most."""
_STEPS = (
    "create table lake.t (i integer, s varchar)",
    "insert into lake.t select range, 'a' || range from range(10)",
    "insert into lake.t select range, 'b' || range from range(10, 20)",
    "alter table lake.t rename column s to text",
    "create table lake.gone as select 'secret of a dropped table' as s",
    "create view lake.v as select count(*) as n from lake.t",
    "comment on table lake.t is 'of the middle'",
    "delete from lake.t where i % 5 = 0",
    "drop table lake.gone",
    "create table lake.small (i integer, s varchar)",
    "call lake.set_option('data_inlining_row_limit', 50, schema => 'main', table_name => 'small')",
    "insert into lake.small values (1, 'it''s'), (2, null), (3, 'inlined secret')",
    "delete from lake.small where i = 3",
    "alter table lake.small add column x integer",
    "insert into lake.small values (4, 'four', 4)",
    "insert into lake.t select range, 'c' || range from range(100, 110)",
    "alter table lake.t drop column text",
    "drop view lake.v",
    "create table lake.merged as select range as i from range(10)",
    "insert into lake.merged select range from range(10, 30)",
    "insert into lake.merged select range from range(30, 60)",
    "call ducklake_merge_adjacent_files('lake')",
    "select count(*) from ducklake_cleanup_old_files('lake', cleanup_all => true)",
    "update lake.small set s = 'later' where i = 1",
    "delete from lake.t where i > 5",
    "insert into lake.t (i) values (-1)",
    "comment on table lake.t is 'of the end'",
)
"""Renamed and dropped columns, tables and views, deletes, inlined rows of two layouts, files put together later."""


def _reads(reader: Engine, address: str, schema: str, at: int | None = None) -> dict[str, object]:
    """Return what a client that attached a lake reads of it: as it is, or at a snapshot."""
    attach = reader.attach_statement(address, schema, options={"READ_ONLY": True})
    found: dict[str, object] = json.loads(
        reader.script(_READS, attach, schema, "" if at is None else str(at), timeout_s=120)
    )
    return found


def _compare(found: dict[str, object], expected: dict[str, object], version: str) -> None:
    """See that both are the same, but for tables of which an old engine can't read the earlier snapshot itself."""
    misread = {name for name, read in expected.items() if isinstance(read, str)}
    assert len(misread) <= _MISREAD[version]
    assert found.keys() == expected.keys()
    for name in expected.keys() - misread:
        assert found[name] == expected[name], name


def _snapshots(address: str | Path) -> list[int]:
    with duckdb.connect(str(address), read_only=True) as connection:
        rows = connection.execute("select snapshot_id from ducklake_snapshot order by 1").fetchall()
    return [number for (number,) in rows]


def _chosen(there: list[int], version: str, config: pytest.Config) -> list[int]:
    """Return at which snapshots to look: two of the newest engine and one of each other, with --all four of each."""
    if config.option.long:
        return there
    return there[3::6] if runs_all(config) else {"1.5.5": there[9::12], "1.4.4": there[15:16]}.get(version, there[3:4])


@pytest.mark.parametrize("version", _MISREAD)
def test_any_snapshot_is_read_as_it_was(version: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Frozen at one of its snapshots, a lake is what it was then, and `check` finds nothing wrong with it."""
    made, path = engine(version), tmp_path / "lake.ducklake"
    # 1.3.2 gives a renamed column two lives, and fails to put files together.
    lacks = ("set_option", "ducklake_", "rename column", "drop column") if version == "1.3.2" else ()
    steps = [it for it in _STEPS if not any(word in it for word in lacks)]
    options = {"DATA_INLINING_ROW_LIMIT": 5} if version == "1.3.2" else {}
    made.run(str(path), "main", steps, data_path=tmp_path / "data", options=options)

    there = _snapshots(path)
    for number in _chosen(there, version, pytestconfig):
        frozen = tmp_path / f"{number}.ducklake"
        done = dlbackup.copy(str(path), str(frozen), _FROZEN, snapshot=number)

        assert (done.snapshot_id, done.frozen, _snapshots(frozen)) == (number, True, [number])
        _compare(_reads(made, str(frozen), "main"), _reads(made, str(path), "main", number), version)
        assert dlbackup.check(str(frozen)).ok


@pytest.mark.parametrize("version", ["1.5.5", long("1.4.4")])
def test_zoo_is_read_as_it_was(
    version: str, file_lakes: FileLakes, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """All that DuckLake can do to a catalog, at snapshots at which files were put together, flushed and expired."""
    lake = file_lakes.copy("zoo", version, tmp_path)
    if version == "1.5.5":
        lake.engine.run(str(lake.path), "main", ["call ducklake_flush_inlined_data('lake', table_name => 't_variant')"])
    there = _snapshots(lake.path)

    # At 108 a file holds later rows, and a delete file later deletes that it doesn't tell of.
    wanted = {108} if version == "1.5.5" else {there[60]}
    for number in there if pytestconfig.option.long else wanted:
        frozen = tmp_path / f"{number}.ducklake"
        dlbackup.copy(str(lake.path), str(frozen), _FROZEN, snapshot=number)

        _compare(_reads(lake.engine, str(frozen), "main"), _reads(lake.engine, str(lake.path), "main", number), version)
        assert dlbackup.check(str(frozen)).ok


@pytest.mark.parametrize("kind", ["postgres", long("duckdb"), "sqlite", long("backup")])
def test_from_every_kind(kind: str, lake: LakeFactory, file_lakes: FileLakes, tmp_path: Path, cli: Cli) -> None:
    """Whatever holds the lake, with inlined rows of every type: from each the same snapshot, in the middle, is read."""
    if kind == "postgres":
        made = lake("inlined", "1.0")
        source, url, schema, reader = made.url, made.url, made.schema, made.engine
    else:
        file = file_lakes.copy("inlined", "1.5.5", tmp_path, "sqlite" if kind == "sqlite" else "ducklake")
        source, url, schema, reader = str(file.path), file.url, "main", file.engine
    number = 12
    expected = _reads(reader, url, schema, number)
    if kind == "backup":
        source = dlbackup.dump(source, tmp_path / "b.sql.zst").path

    frozen = tmp_path / "frozen.ducklake"
    done = cli("copy", source, frozen, "--frozen", "--snapshot", str(number), "--json")

    assert (done.exit_code, done.json()["snapshot_id"]) == (0, number), done.stderr
    assert _reads(engine("1.5.5"), str(frozen), "main") == expected
    assert frozen.stat().st_mode & 0o777 == 0o444
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(("frozen", "."))} == {"frozen.ducklake"}


def test_nothing_else_is_in_the_file(tmp_path: Path) -> None:
    """Rows and names of other snapshots are in no page of the file, which somebody may put where all can read it."""
    made, path, frozen = engine("1.5.5"), tmp_path / "lake.ducklake", tmp_path / "frozen.ducklake"
    made.run(str(path), "main", _STEPS, data_path=tmp_path / "data")
    newest = _snapshots(path)[-1]

    dlbackup.copy(str(path), str(frozen), _FROZEN, snapshot=newest)

    text = frozen.read_bytes()
    assert b"inlined secret" not in text
    assert b"gone" not in text
    with duckdb.connect(str(frozen), read_only=True) as connection:
        assert connection.execute("select count(*) from ducklake_files_scheduled_for_deletion").fetchall() == [(0,)]
        assert connection.execute("select distinct end_snapshot from ducklake_data_file").fetchall() == [(None,)]


def test_snapshot_by_its_time(tmp_path: Path, cli: Cli) -> None:
    """The newest one at that time, as SNAPSHOT_TIME of ATTACH has it; before the first there is none."""
    made, path, frozen = engine("1.5.5"), tmp_path / "lake.ducklake", tmp_path / "frozen.ducklake"
    made.run(str(path), "main", _STEPS[:3], data_path=tmp_path / "data")
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute("select epoch_us(snapshot_time) from ducklake_snapshot order by 1").fetchall()
        times = connection.execute("select snapshot_time::varchar from ducklake_snapshot order by 1").fetchall()
    assert len(set(rows)) == 4

    done = cli("copy", path, frozen, "--frozen", "--snapshot-time", times[2][0], "--json").json()
    early = cli("copy", path, tmp_path / "no.ducklake", "--frozen", "--snapshot-time", "2001-01-01T00:00:00Z", "--json")

    assert done["snapshot_id"] == 2
    json_failure(early, 4, "no snapshot of 2001-01-01")


def test_what_can_not_be_frozen(tmp_path: Path, cli: Cli) -> None:
    """An expired snapshot is refused, and one that never was is wrong usage; a backup from before still has it."""
    made, path, frozen = engine("1.5.5"), tmp_path / "lake.ducklake", tmp_path / "frozen.ducklake"
    made.run(str(path), "main", _STEPS, data_path=tmp_path / "data")
    expected = _reads(made, str(path), "main", 8)
    before = dlbackup.dump(str(path), tmp_path / "b.sql.zst")
    made.run(str(path), "main", ["select count(*) from ducklake_expire_snapshots('lake', versions => [8, 9])"])

    expired = cli("copy", path, frozen, "--frozen", "--snapshot", "8")
    never = cli("copy", path, frozen, "--frozen", "--snapshot", "999")
    alone = cli("copy", path, frozen, "--snapshot", "3")
    both = cli("copy", path, frozen, "--frozen", "--snapshot", "3", "--snapshot-time", "2026-01-01")
    no_number = cli("copy", path, frozen, "--frozen", "--snapshot", "last")
    no_time = cli("copy", path, frozen, "--frozen", "--snapshot-time", "yesterday")

    assert (expired.exit_code, "7 before it and 10 after it" in expired.stderr) == (4, True)
    assert "dlbackup list" in expired.stderr
    assert [it.exit_code for it in (never, alone, both, no_number, no_time)] == [2] * 5
    assert not frozen.exists()
    dlbackup.copy(before, str(frozen), _FROZEN, snapshot=8)
    assert _reads(made, str(frozen), "main") == expected


def test_rows_that_can_not_be_counted(tmp_path: Path, cli: Cli) -> None:
    """Files put together later must be read to tell how many of their rows are shown: where they are gone, refused."""
    made, path, data = engine("1.5.5"), tmp_path / "lake.ducklake", tmp_path / "data"
    made.run(str(path), "main", _STEPS, data_path=data)
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute("select begin_snapshot from ducklake_data_file where partial_max is not null")
        ((number,),) = rows.fetchall()
    expected = _reads(made, str(path), "main", number)
    data.rename(tmp_path / "moved")
    frozen = tmp_path / "frozen.ducklake"

    refused = cli("copy", path, frozen, "--frozen", "--snapshot", str(number))
    whole = cli("copy", path, tmp_path / "all.ducklake", "--frozen")
    done = cli("copy", path, frozen, "--frozen", "--snapshot", str(number), "--data-path", tmp_path / "moved")

    assert (refused.exit_code, "--data-path" in refused.stderr, "SNAPSHOT_VERSION" in refused.stderr) == (4, True, True)
    assert (whole.exit_code, done.exit_code) == (0, 0), done.stderr
    assert _reads(made, str(frozen), "main") == expected


def test_api_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    """A text that is no time, and a snapshot for a copy that others may write to."""
    for options, more in (
        (_FROZEN, {"snapshot_time": "soon"}),
        (dlbackup.RestoreOptions(), {"snapshot": 1}),
        (_FROZEN, {"snapshot": 1, "snapshot_time": "2026-01-01"}),
    ):
        with pytest.raises(errors.UsageError):
            dlbackup.copy("lake.ducklake", str(tmp_path / "f.ducklake"), options, **more)
