"""Views are what their users made of them: no migration, rehearsal or post-check depends on what they read."""

import os
import time
from pathlib import Path

import pytest
from support.cli import Cli
from support.comparison import execute
from support.engines.engines import engine, engine_of
from support.faults.faults import OPENS, engine_that, failed, state
from support.lakes.lakes import Lake, LakeFactory

from dlbackup.addresses.address import parse_address
from dlbackup.engine import engine as room
from dlbackup.engine.engine import check_opens, probe
from dlbackup.engine.statements import Target
from dlbackup.errors import AttachFailed

_PARQUET = "copy (select 1 as i) to '{file}' (format parquet)"
_CSV = "copy (select 1 as i) to '{file}' (format csv)"
_VIEWS = {
    "over-csv": [_CSV, "create view lake.main.v as from read_csv('{file}')"],
    "over-parquet": [_PARQUET, "create view lake.main.v as from read_parquet('{file}')"],
    "over-a-view": [
        _PARQUET,
        "create view lake.main.v as from read_parquet('{file}')",
        "create view lake.main.w as select v.i, c.id from lake.main.v v, lake.sales.customers c",
    ],
    "over-a-macro": [
        _CSV,
        "create macro memory.main.m() as table from read_csv('{file}')",
        "create view lake.main.v as from memory.main.m()",
    ],
    "over-a-missing-table": [
        "create table lake.main.gone (i int)",
        "create view lake.main.v as from lake.main.gone",
        "drop table lake.main.gone",
    ],
}


def _make(made: Lake, file: Path, statements: list[str]) -> None:
    """Make views of a lake; then nobody ever answers who opens the file that they read."""
    made.engine.run(made.url, made.schema, [statement.format(file=file) for statement in statements])
    file.unlink(missing_ok=True)
    os.mkfifo(file)


@pytest.mark.parametrize(
    "view",
    [
        "over-a-view",
        *(pytest.param(it, marks=pytest.mark.long) for it in _VIEWS if it != "over-a-view"),
    ],
)
def test_migration_binds_no_view(plain: Lake, cli: Cli, tmp_path: Path, view: str) -> None:
    """Rehearsal and migration go through at once, whatever a view reads and whether that answers."""
    _make(plain, tmp_path / "file", _VIEWS[view])

    done = cli("migrate", plain.url, "--json", "--attach-timeout", "30")

    assert done.exit_code == 0, done.stderr
    assert done.json()["outcome"] == "migrated"
    assert done.json()["writer_pause_seconds"] < room.OPEN_TIMEOUT_S


@pytest.mark.parametrize("spec", ["0.3", pytest.param("0.4", marks=pytest.mark.long), "1.0"])
def test_no_engine_binds_views_to_open_a_lake(lake: LakeFactory, cli: Cli, tmp_path: Path, spec: str) -> None:
    """Engines of every generation open a lake of their own in a rehearsal, also where its macros read what hangs."""
    made = lake("plain", spec)
    statements = list(_VIEWS["over-csv"])
    if spec == "1.0":
        statements += [
            "create macro lake.main.m() as table from read_csv('{file}')",
            "create view lake.main.w as from lake.main.m()",
        ]
    _make(made, tmp_path / "file", statements)
    backup = cli("dump", made.url, "--json").json()["path"]

    done = cli("verify", backup, "--rehearse", made.url, "--json", "--engine", made.engine.python)

    assert done.exit_code == 0, done.stderr
    assert done.json()["findings"] == []


_OF_CUSTOMERS = "table_id in (select table_id from ducklake_table where table_name = 'customers')"
_DEFECTS = {
    "type": ("update ducklake_column set column_type = 'nonsense' where column_name = 'name'", "nonsense"),
    "no-columns": (
        f"delete from ducklake_column where {_OF_CUSTOMERS}",
        "does not have any columns",
    ),
    "no-schema": ("update ducklake_table set schema_id = 99 where table_name = 'customers'", "schema id 99"),
}


@pytest.mark.parametrize("version", ["1.4.4", "1.5.1", "1.5.5"])
@pytest.mark.parametrize("defect", _DEFECTS)
def test_table_that_can_not_be_opened_is_found(lake: LakeFactory, version: str, defect: str) -> None:
    """A table that an engine can't load fails the opening, although no view is bound and no column asked for."""
    statement, words = _DEFECTS[defect]
    opener = engine(version)
    made = lake("plain", opener.spec)
    execute(made.url, statement)
    target = Target(address=parse_address(made.url), schema=made.schema, name="dlbackup-engine-1", lock_timeout_ms=1000)

    (newest,) = execute(made.url, "select max(snapshot_id) from ducklake_snapshot")[0]

    with probe(opener.python) as found, pytest.raises(AttachFailed, match=words):
        check_opens(found, target, (1, newest))


def test_opening_has_a_short_deadline_of_its_own(
    plain: Lake, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that migrates and then hangs over the opening costs writers that deadline, not --attach-timeout."""
    assert room.OPEN_TIMEOUT_S <= 30
    monkeypatch.setattr(check_opens, "__defaults__", (1.0,))
    before = state(plain.url)
    hangs = engine_that(tmp_path, before="time.sleep(600)", statement=OPENS, python=engine_of("1.0").python)

    begun = time.monotonic()
    done = cli("migrate", plain.url, "--json", "--no-rehearsal", "--engine", hangs, "--attach-timeout", "600")

    assert "did not answer within 1 s" in failed(done, 6, "RolledBack", "rolled-back")
    assert time.monotonic() - begun < 60
    assert state(plain.url) == before
