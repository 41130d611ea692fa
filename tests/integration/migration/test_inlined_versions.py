"""Inlined rows of tables that were changed before: after a migration the engine reads them by the right columns."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli
from support.engines.engines import Engine, engine_of, with_sqlite
from support.migrations import migrated

import dlbackup

_CHANGED = {
    "added": ["(i int)", "add column c int"],
    "preset": ["(i int)", "add column c int default 7"],
    "renamed": ["(i int, z int)", "rename column z to c"],
    "widened": ["(i int, c int)", "alter c set data type bigint"],
}
"""How tables of two columns come about, by two commits each."""
_MADE = [
    statement
    for table, (columns, change) in _CHANGED.items()
    for statement in (f"create table lake.{table} {columns}", f"alter table lake.{table} {change}")
]
_FEW = [f"insert into lake.{table} values (1, 11), (2, 22)" for table in _CHANGED]
_MORE = [f"insert into lake.{table} values (3, 33)" for table in _CHANGED]
_READ = [f"from lake.{table} order by i" for table in _CHANGED]
_READ_WITH_FEW = [f"from lake.{table} at (version => {{head}}) order by i" for table in _CHANGED]
Reading = list[list[Any]]


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a lake of each backend can be made."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("database")
        return url
    return f"sqlite:{tmp_path}/lake.sqlite" if request.param == "sqlite" else f"{tmp_path}/lake.ducklake"


@pytest.fixture
def by(address: str, tmp_path: Path) -> Callable[..., list[Reading]]:
    """Let the engine of a spec version execute statements in the lake, inlining up to so many rows."""

    def run(spec: str, *statements: str, limit: int = 100) -> list[Reading]:
        chosen: Engine = engine_of(spec)
        engine = with_sqlite(chosen) if address.startswith("sqlite:") else chosen
        schema = "public" if address.startswith("postgresql:") else "main"
        options = {"DATA_INLINING_ROW_LIMIT": limit}
        return engine.run(address, schema, statements, data_path=tmp_path / "data", options=options)

    return run


def _loss(address: str, rule: str) -> int:
    """Return of how many rows `plan` tells by that rule, as something that is mended."""
    return sum(loss.rows for loss in dlbackup.plan(address).losses if loss.rule == rule and loss.mended)


@pytest.mark.parametrize(
    ("address", "spec"),
    [
        *(("postgres", "0.3"), ("duckdb", "0.4"), ("sqlite", "0.3")),
        *(
            pytest.param(*it, marks=pytest.mark.long)
            for it in (("postgres", "0.4"), ("duckdb", "0.3"), ("sqlite", "0.4"))
        ),
    ],
    indirect=["address"],
)
def test_late_inlined_rows_are_read_rightly(
    spec: str, address: str, by: Callable[..., list[Reading]], cli: Cli
) -> None:
    """Few rows came into tables that were changed while nothing was inlined, and then something else changed."""
    few = _FEW if spec == "0.3" else ["begin", *_FEW, "commit"]
    by(spec, *_MADE, limit=0)
    by(spec, *few)
    by(spec, "create table lake.other (x int)")
    head = dlbackup.info(address).snapshot_id
    assert _loss(address, "inlined-versions") == len(_CHANGED)

    assert {"rule": "inlined-versions", "rows": len(_CHANGED)} in migrated(cli, address)["mends"]

    by("1.0", *_MORE, "create table lake.last (x int)")
    assert by("1.0", *_READ) == [[[1, 11], [2, 22], [3, 33]]] * len(_CHANGED)
    assert by("1.0", *(query.format(head=head) for query in _READ_WITH_FEW)) == [[[1, 11], [2, 22]]] * len(_CHANGED)
    assert dlbackup.check(address).findings == ()


_EXPIRE = "create temp table gone as select * from ducklake_expire_snapshots('lake', older_than => now())"


@pytest.mark.parametrize("has_expired", [False, True])
@pytest.mark.parametrize("address", ["duckdb"], indirect=True)
def test_late_inlined_rows_of_0_2_are_read_rightly(
    has_expired: bool, address: str, by: Callable[..., list[Reading]], cli: Cli
) -> None:
    """
    One commit inlined rows into several tables, and made one more; DuckDB 1.3 then fails to read them.

    Each of the tables takes a schema version, and the snapshot has the last; where it has expired, so have all numbers.
    """
    by("0.2", *_MADE, limit=0)
    by("0.2", "begin", "create table lake.new (x int)", *reversed(_FEW), "commit")
    by("0.2", "create table lake.other (x int)", *([_EXPIRE] if has_expired else []))
    assert _loss(address, "inlined-versions") == len(_CHANGED) - (not has_expired)

    migrated(cli, address)

    by("1.0", *_MORE, "create table lake.last (x int)")
    assert by("1.0", *_READ) == [[[1, 11], [2, 22], [3, 33]]] * len(_CHANGED)
    assert dlbackup.check(address).ok


@pytest.mark.parametrize("address", ["duckdb"], indirect=True)
def test_inlined_tables_of_0_2_that_came_before_their_rows(
    address: str, by: Callable[..., list[Reading]], cli: Cli
) -> None:
    """Each change made one, whose number is the change's: its first row, which came later, says nothing of that."""
    by("0.2", *_MADE, *_FEW, "create table lake.other (x int)", _EXPIRE)

    migrated(cli, address)

    numbers = by("1.0", "from __ducklake_metadata_lake.ducklake_schema_versions order by all")[0]
    assert [row[:2] for row in numbers[: len(_MADE)]] == [[number, number] for number in range(1, len(_MADE) + 1)]
    by("1.0", *_MORE, "create table lake.last (x int)")
    assert by("1.0", *_READ) == [[[1, 11], [2, 22], [3, 33]]] * len(_CHANGED)
    assert dlbackup.check(address).ok


@pytest.mark.parametrize(
    "address",
    ["postgres", *(pytest.param(it, marks=pytest.mark.long) for it in ("duckdb", "sqlite"))],
    indirect=True,
)
def test_inlined_tables_of_other_columns_get_no_rows(address: str, by: Callable[..., list[Reading]], cli: Cli) -> None:
    """Columns were changed while nothing was inlined: DuckDB 1.5 would write their values into the older ones."""
    by("0.3", "create table lake.t (i int, a int)", "create table lake.u (i int, a int[])")
    by("0.3", "insert into lake.u values (1, [1, 2])")
    again = ("drop column a", "add column a varchar")
    by("0.3", *(f"alter table lake.{table} {change}" for table in "tu" for change in again), limit=0)
    planned = dlbackup.plan(address)
    assert [(loss.rule, loss.rows, loss.mended) for loss in planned.losses] == [
        ("inlined-columns", 1, True),
        ("inlined-column-rows", 1, False),
    ]
    assert [blocker.type for blocker in planned.blockers] == ["WouldLose"]

    answer = migrated(cli, address, "--accept-loss", "inlined-column-rows")

    assert answer["mends"] == [{"rule": "inlined-columns", "rows": 1}]
    by("1.0", "insert into lake.t values (2, 'x')")
    read = ["from lake.t", "from lake.u", "from lake.u at (version => 3)"]
    assert by("1.0", *read) == [[[2, "x"]], [[1, None]], [[1, [1, 2]]]]
    assert dlbackup.check(address).ok
