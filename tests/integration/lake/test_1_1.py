"""
Catalogs of DuckLake 1.1: a known version, dumped, proved, checked and restored as any other.

All of them are made by hand from catalogs of a real engine of 1.0, and say nothing of what an engine of 1.1 does.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli
from support.comparison import dumped, execute, schemas
from support.faults.failures import failure
from support.files import contents
from support.lakes.by_hand import engine_of_1_1, make_1_1, make_1_1_in_file
from support.lakes.in_files import FileLakes
from support.lakes.lakes import LakeFactory, LakeKind

import dlbackup

_KINDS = ["zoo", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("plain", "inlined"))]


@pytest.mark.parametrize("kind", _KINDS)
def test_is_as_good_as_any_other(lake: LakeFactory, cli: Cli, tmp_path: Path, kind: LakeKind) -> None:
    """Dump, verify, check, restore and dump again: no finding, and the same bytes."""
    made = lake(kind, "1.0")
    before = dlbackup.info(made.url, fingerprint=True).fingerprint
    make_1_1(made)

    backup = cli("dump", made.url, "-o", "one.sql.zst", "--json")
    assert (backup.exit_code, backup.json()["spec_version"]) == (0, "1.1"), backup
    verified = cli("verify", "one.sql.zst", "--json")
    assert (verified.exit_code, verified.json()["findings"]) == (0, [])
    for target in ("one.sql.zst", made.url):
        checked = cli("check", target, "--json")
        assert (checked.exit_code, checked.json()["findings"]) == (0, []), checked
    assert cli("restore", "one.sql.zst", made.url, "--metadata-schema", "again").exit_code == 0
    assert schemas(made.url) == {"public", "again"}
    assert dumped(made.url, tmp_path, "again") == dumped(made.url, tmp_path, "public")
    assert backup.json()["fingerprint"] == before


def test_goes_from_file_to_file_and_back(file_lakes: FileLakes, tmp_path: Path) -> None:
    """In a DuckDB file and a SQLite file it means the same and has no finding; back, it is as it was."""
    one, other, back = (tmp_path / name for name in ("lake.ducklake", "other.sqlite", "back.ducklake"))
    file_lakes.copy("inlined", "1.5.5", tmp_path)
    before = dlbackup.info(str(one), fingerprint=True).fingerprint
    make_1_1_in_file(one)

    for source, target in pairwise((str(one), str(other), str(back))):
        copied = dlbackup.copy(source, target)
        assert (copied.spec_version, copied.fingerprint) == ("1.1", before)
        assert dlbackup.check(target).findings == ()
    assert contents(back) == contents(one)


def test_is_named_with_its_engines(lake: LakeFactory, cli: Cli) -> None:
    """An older engine is told that it can't, and a person which DuckDB opens it."""
    made = lake("plain", "1.0")
    make_1_1(made)

    assert "DuckLake 1.1 (opened by DuckDB 2.0 or later)" in cli("info", made.url).stdout
    failure(cli("migrate", made.url), 4, "spec version 1.1, newer than 1.0", hint="use a newer engine")
    assert cli("plan", made.url, "--json").json()["blockers"][0]["type"] == "CannotMigrate"


@pytest.mark.parametrize("kind", _KINDS)
def test_migrating_to_it_keeps_what_the_lake_means(lake: LakeFactory, cli: Cli, tmp_path: Path, kind: LakeKind) -> None:
    """Planned, rehearsed, migrated and restored: new columns and names of columns are no other meaning."""
    made = lake(kind, "1.0")
    before = dlbackup.info(made.url, fingerprint=True).fingerprint
    engine = engine_of_1_1(made, tmp_path)

    planned = cli("plan", made.url, "--engine", engine, "--json").json()
    assert (planned["needed"], planned["opens_as_it_is"], planned["blockers"]) == (True, True, [])
    assert (planned["to_version"], planned["opened_by"]) == ("1.1", "DuckDB 2.0 or later")
    assert (planned["engine_opens"], planned["engine_makes"]) == (["1.0", "1.1"], "1.1")
    said = cli("plan", made.url, "--engine", engine).stdout
    assert "which opens 1.0 as it is, and writes to it; new lakes of it are 1.1" in said
    done = cli("migrate", made.url, "--engine", engine, "--json")
    assert done.exit_code == 0, done
    assert (done.exit_code, done.json()["outcome"], done.json()["to_version"]) == (0, "migrated", "1.1"), done
    assert dlbackup.info(made.url, fingerprint=True).fingerprint == before
    assert cli("check", made.url, "--json").json()["findings"] == []
    assert cli("restore", done.json()["backup"], made.url, "--replace").exit_code == 0
    assert dlbackup.info(made.url).spec_version == "1.0"


def test_such_an_engine_leaves_1_0_alone(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """Where 1.0 is asked for, a catalog of 1.0 is current, and an older one is migrated so far and no further."""
    current, older = lake("plain", "1.0"), lake("plain", "0.3")
    engine = engine_of_1_1(current, tmp_path)

    assert (
        "already; new lakes of DuckDB 2.0.0 are 1.1"
        in cli("plan", current.url, "--engine", engine, "--to", "1.0").stdout
    )
    done = cli("migrate", current.url, "--engine", engine, "--to", "1.0", "--json")
    assert (done.exit_code, done.json()["outcome"], done.json()["to_version"]) == (0, "current", "1.0")
    done = cli("migrate", older.url, "--engine", engine_of_1_1(older, tmp_path), "--to", "1.0", "--json")
    assert done.exit_code == 0, done
    assert (done.exit_code, done.json()["outcome"], done.json()["to_version"]) == (0, "migrated", "1.0"), done
    drilled = cli("drill", cli("dump", current.url, "--json").json()["path"], "--on", current.url, "--engine", engine)
    assert (drilled.exit_code, "not-opened" in drilled.stdout) == (0, False), drilled
    failure(cli("migrate", current.url, "--engine", engine, "--to", "0.4"), 4, "to spec version 1.0 or 1.1 only")


_A_FIELD = "(select min(column_id) from {s}.ducklake_column where table_id = c.table_id and parent_column is not null)"
_REPAIRS = {
    "a missing schema version": "insert into {s}.ducklake_schema_versions values (%s);",
    "a field's default": f"""
        update {{s}}.ducklake_column c set default_value = '7', default_value_type = 'literal', initial_default = '7'
        where column_id = {_A_FIELD};
    """,
    "bounds of the wrong type": """
        update {s}.ducklake_table_column_stats set min_value = null, max_value = null where column_id = 1;
        update {s}.ducklake_file_column_stats set max_value = null where column_id = 1;
    """,
}
_NO_REPAIRS = {
    "a schema version is gone": "delete from {s}.ducklake_schema_versions where begin_snapshot > 100;",
    "a field's name": f"update {{s}}.ducklake_column c set column_name = 'other' where column_id = {_A_FIELD};",
    "a column's default": "update {s}.ducklake_column set default_value = '7' where parent_column is null;",
    "a default is gone": "update {s}.ducklake_column set initial_default = null where initial_default is not null;",
    "another bound": "update {s}.ducklake_file_column_stats set max_value = '0' where max_value is not null;",
    "counts": "update {s}.ducklake_file_column_stats set null_count = null_count + 1, max_value = null;",
}


_IN_EVERY_RUN = ("a field's default", "a column's default")


def _changes(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=[] if name in _IN_EVERY_RUN else [pytest.mark.long]) for name in names]


@pytest.mark.parametrize("repair", _changes(_REPAIRS))
def test_what_its_migration_repairs_is_no_loss(lake: LakeFactory, cli: Cli, tmp_path: Path, repair: str) -> None:
    """The three repairs that its specification names change what a catalog says, and the migration succeeds."""
    made = lake("zoo", "1.0")
    last = "select v.ctid from ducklake_schema_versions v join ducklake_inlined_data_tables using (table_id)"
    last += " order by begin_snapshot desc limit 1"
    gone = (
        f"delete from ducklake_schema_versions where ctid = ({last}) returning begin_snapshot, schema_version, table_id"
    )
    also = _REPAIRS[repair]
    if "%s" in also:
        also = also.replace("%s", ", ".join(map(str, *execute(made.url, gone))))
    before = dlbackup.info(made.url, fingerprint=True).fingerprint
    engine = engine_of_1_1(made, tmp_path, also)

    done = cli("migrate", made.url, "--engine", engine, "--json")

    assert (done.exit_code, done.json().get("outcome")) == (0, "migrated"), done
    assert dlbackup.info(made.url, fingerprint=True).fingerprint != before


@pytest.mark.parametrize("change", _changes(_NO_REPAIRS))
def test_any_other_change_is_a_loss(lake: LakeFactory, cli: Cli, tmp_path: Path, change: str) -> None:
    """In the same tables what isn't one of these repairs fails the rehearsal, and the catalog is as it was."""
    made = lake("zoo", "1.0")
    before = dlbackup.info(made.url, fingerprint=True).fingerprint
    assert execute(made.url, "select count(*) from ducklake_column where initial_default is not null") != [(0,)]

    done = cli("migrate", made.url, "--engine", engine_of_1_1(made, tmp_path, _NO_REPAIRS[change]))

    failure(done, 1, "the lake means something else")
    assert dlbackup.info(made.url, fingerprint=True).fingerprint == before
