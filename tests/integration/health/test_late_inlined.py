"""Inlined rows that DuckDB reads by the columns of the table's creation: found, and read rightly once mended."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.engines.engines import EngineError, engine_of

import dlbackup
from dlbackup import MigrateOptions

_OF_1_4 = {
    "added": ["create table lake.t (i int)", "alter table lake.t add column c int"],
    "renamed": ["create table lake.t (i int, z int)", "alter table lake.t rename column z to c"],
}
_AFTER = ["insert into lake.t values (1, 11), (2, 22)", "create table lake.other (x int)"]
_READ = ["from lake.t", "select c from lake.t at (version => 4)"]


@pytest.mark.parametrize("change", ["added", pytest.param("renamed", marks=pytest.mark.long)])
def test_late_inlined_rows_are_found_and_mended(tmp_path: Path, change: str) -> None:
    """A lake of DuckDB 1.4 is migrated, gets a small insert, and something else of it changes."""
    lake, data = str(tmp_path / "lake.ducklake"), tmp_path / "data"
    engine_of("0.3").run(lake, "main", _OF_1_4[change], data_path=data)
    newest, options = engine_of("1.0"), {"AUTOMATIC_MIGRATION": True}
    newest.run(lake, "main", _AFTER[:1], data_path=data, options=options)
    assert newest.run(lake, "main", _READ[:1], data_path=data) == [[[1, 11], [2, 22]]]
    assert dlbackup.check(lake).findings == ()
    newest.run(lake, "main", _AFTER[1:], data_path=data)

    (finding,) = dlbackup.check(lake).findings

    assert (finding.rule, finding.severity, finding.count) == ("inlined-version-unknown", "warning", 2)
    with duckdb.connect(lake) as catalog:
        catalog.execute(finding.mend)
    assert dlbackup.check(lake).findings == ()
    assert newest.run(lake, "main", _READ, data_path=data) == [[[1, 11], [2, 22]], [[11], [22]]]


_SMALL = {"DATA_INLINING_ROW_LIMIT": 10}
_CREATED = ["create table lake.t (i int)", "insert into lake.t values (0)"]
_STRUCT = ["create table lake.t (i int, c struct(a int))", "insert into lake.t values (0, {a: 1})"]
OLDER: dict[str, tuple[list[str], str, list[list[object]], int]] = {
    "added": ([*_CREATED, "alter table lake.t add column c int"], "11", [[0, None], [1, None]], 1),
    "preset": ([*_CREATED, "alter table lake.t add column c int default 7"], "11", [[0, 7], [1, 7]], 1),
    "again": (
        [
            "create table lake.t (i int, c int)",
            "insert into lake.t values (0, 1)",
            "alter table lake.t drop column c",
            "alter table lake.t add column c int",
        ],
        "11",
        [[0, None], [1, None]],
        1,
    ),
    "field": (
        [*_STRUCT, "alter table lake.t add column c.b int"],
        "{a: 11, b: 12}",
        [[0, {"a": 1, "b": None}], [1, {"a": 11, "b": None}]],
        1,
    ),
    "dropped": (
        ["create table lake.t (i int, x int, c int)", "alter table lake.t drop column x"],
        "11",
        [[1, 11]],
        0,
    ),
    "widened": (["create table lake.t (i int, c int)", "alter table lake.t alter c type bigint"], "11", [[1, 11]], 0),
    "later": (
        ["create table lake.t (i int, c int)", "insert into lake.t values (1, 11)", "alter table lake.t add d int"],
        "",
        [[1, 11]],
        0,
    ),
}
"""What was done to a table; what is inserted then; what is read once anything else changed; rows that are named."""


_IN_EVERY_RUN = {("0.3", "added"), ("0.3", "widened"), ("0.4", "field")}


def _of_older(spec: str, what: str) -> Any:
    """Return the parameters; what is like another case of the same engine is left to long runs."""
    is_shown = (spec, what) in _IN_EVERY_RUN
    return pytest.param(spec, what, marks=[] if is_shown else [pytest.mark.long])


# DuckDB 1.5.1 reads a column of a wider type as NULL too, but in DuckDB files alone; no rule names that.
@pytest.mark.parametrize(
    ("spec", "what"),
    [_of_older(spec, what) for spec in ("0.3", "0.4") for what in OLDER if (spec, what) != ("0.4", "widened")],
)
def test_what_older_engines_read_by_the_creation_is_found(
    tmp_path: Path, spec: str, what: str, pytestconfig: pytest.Config
) -> None:
    """The rows that DuckDB 1.4.4 and 1.5.1 read otherwise than they were written are named, and no others."""
    changes, value, read, named = OLDER[what]
    lake, data, ask = str(tmp_path / "lake.ducklake"), tmp_path / "data", "select i, c from lake.t order by i"
    old = engine_of(spec)
    insert = [f"insert into lake.t values (1, {value})"] if value else []
    old.run(lake, "main", [*changes, *insert], data_path=data, options=_SMALL)
    written = old.run(lake, "main", [ask])
    assert dlbackup.check(lake).findings == ()

    old.run(lake, "main", ["create table lake.other (x int)"])

    assert old.run(lake, "main", [ask]) == [read]
    assert (written == [read]) == (named == 0)
    found = dlbackup.check(lake)
    assert {finding.rule: finding.count for finding in found.findings} == (
        {"inlined-column-added": named} if named else {}
    )
    assert found.ok

    is_long = pytestconfig.option.all or pytestconfig.option.long
    if what in ("added", "field") and is_long:  # a migration mends all of them as in test_inlined_versions
        dlbackup.migrate(lake, MigrateOptions(backup_dir=tmp_path, rehearsal=False))
        assert engine_of("1.0").run(lake, "main", [ask]) == written
        assert dlbackup.check(lake).findings == ()


_ADDED, _RENAMED = ("add column c.b int", "{a: 11, b: 12}"), ("rename column c.a to z", "{z: 11}")


@pytest.mark.parametrize(
    ("spec", "change", "value"),
    [
        *(("0.3", *_ADDED), ("0.4", *_RENAMED)),
        *(pytest.param(*it, marks=pytest.mark.long) for it in (("0.4", *_ADDED), ("0.3", *_RENAMED))),
    ],
)
def test_structs_whose_fields_changed_are_found(
    database: str, tmp_path: Path, spec: str, change: str, value: str
) -> None:
    """On PostgreSQL, where a STRUCT is inlined as text, nothing of its column can be read any more."""
    old, ask = engine_of(spec), ["select c from lake.t"]
    steps = [*_STRUCT, f"alter table lake.t {change}", f"insert into lake.t values (1, {value})"]
    old.run(database, "public", steps, data_path=tmp_path / "data", options=_SMALL)
    old.run(database, "public", ask)
    assert dlbackup.check(database).findings == ()

    old.run(database, "public", ["create table lake.other (x int)"])

    with pytest.raises(EngineError, match="Failed to read inlined data"):
        old.run(database, "public", ask)
    assert [(it.rule, it.count) for it in dlbackup.check(database).findings] == [("inlined-column-added", 1)]
