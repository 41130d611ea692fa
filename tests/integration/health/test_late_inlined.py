"""Inlined rows that DuckDB 1.5.5 reads by the columns of the table's creation: found, and read rightly once mended."""

from pathlib import Path

import duckdb
import pytest
from support.engines.engines import engine_of

import dlbackup

_OF_1_4 = {
    "added": ["create table lake.t (i int)", "alter table lake.t add column c int"],
    "renamed": ["create table lake.t (i int, z int)", "alter table lake.t rename column z to c"],
}
_AFTER = ["insert into lake.t values (1, 11), (2, 22)", "create table lake.other (x int)"]
_READ = ["from lake.t", "select c from lake.t at (version => 4)"]


@pytest.mark.parametrize("change", _OF_1_4)
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
