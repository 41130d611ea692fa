"""Changes of tables whose snapshots expired before there were schema versions: compaction loses nothing of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.cli import Cli
from support.comparison import execute
from support.engines.engines import engine, engine_of
from support.migrations import migrated

import dlbackup

_CHANGES = [
    "create table lake.t (i integer)",
    "insert into lake.t values (1)",
    "alter table lake.t add column c integer",
    "insert into lake.t values (2, 3)",
    "alter table lake.t add column d integer",
    "insert into lake.t values (4, 5, 6)",
    "create table lake.u (i integer)",
    "insert into lake.u values (7)",
    "alter table lake.u add column e integer",
    "insert into lake.u values (8, 9)",
    "create view lake.v as select 1 as i",
]
_LAST_CHANGE = 9
"""The snapshot of the last one to a table."""
_READ = ["from lake.t order by i", "from lake.u order by i"]
_ROWS = [[[1, None, None], [2, 3, None], [4, 5, 6]], [[7, None], [8, 9]]]
_MERGE = "create temp table merged as from ducklake_merge_adjacent_files('lake')"
EXPIRED = {"first": "older_than => now()", "middle": "versions => [3, 4, 5, 6, 7, 8, 9]"}
"""Which snapshots expire: all but the newest, or those of changes after the first one."""
_VERSIONS = "select begin_snapshot, schema_version, table_id from ducklake_schema_versions order by 3, 1"


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a lake of each backend can be made."""
    return request.getfixturevalue("database") if request.param == "postgres" else f"{tmp_path}/lake.ducklake"


def _schema(address: str) -> str:
    return "public" if address.startswith("postgresql:") else "main"


def _run(version: str, address: str, *statements: str, **options: bool) -> list[list[list[Any]]]:
    return engine(version).run(address, _schema(address), statements, options=options)


def _ask(address: str, *statements: str) -> Sequence[Any]:
    if address.startswith("postgresql:"):
        return execute(address, *statements)
    with duckdb.connect(address) as catalog:
        return [catalog.execute(statement).fetchall() for statement in statements][-1]


def _lake_of_0_3(address: str, tmp_path: Path, expired: str) -> None:
    """Make a lake in 0.2, let snapshots expire, and migrate it with its engine alone."""
    expire = f"create temp table gone as from ducklake_expire_snapshots('lake', {EXPIRED[expired]})"
    options = {"DATA_INLINING_ROW_LIMIT": 0}
    statements = [*_CHANGES, expire]
    engine_of("0.2").run(address, _schema(address), statements, data_path=tmp_path / "data", options=options)
    _run("1.4.4", address, MIGRATE_IF_REQUIRED=True)


def _rising(address: str) -> dict[int, list[int]]:
    """Return at which snapshots each table has a schema version, up to the last change, each above the one before."""
    found: dict[int, dict[int, int]] = {}
    for begin, version, table in _ask(address, _VERSIONS):
        if begin <= _LAST_CHANGE:
            assert version > max(found.setdefault(table, {}).values(), default=0)
            found[table][begin] = version
    return {table: [*versions] for table, versions in found.items()}


@pytest.mark.parametrize(
    ("address", "expired"),
    [
        ("postgres", "middle"),
        *(
            pytest.param(*it, marks=pytest.mark.long)
            for it in (("postgres", "first"), ("duckdb", "first"), ("duckdb", "middle"))
        ),
    ],
    indirect=["address"],
)
def test_files_are_merged_by_their_own_columns_after_a_migration(
    address: str, tmp_path: Path, cli: Cli, expired: str
) -> None:
    """Plan names the changes, migrate gives each the schema version that it made, and a merge then keeps all values."""
    _lake_of_0_3(address, tmp_path, expired)
    losses = {loss.rule: loss for loss in dlbackup.plan(address).losses}
    assert losses["schema-version-gaps"].mended

    mends = {mend["rule"]: mend["rows"] for mend in migrated(cli, address)["mends"]}

    assert mends["schema-version-gaps"] == losses["schema-version-gaps"].rows == (4 if expired == "first" else 3)
    assert _rising(address) == {1: [1, 3, 5], 2: [7, 9]}
    assert dlbackup.check(address).findings == ()
    assert _run("1.5.5", address, _MERGE, *_READ)[1:] == _ROWS


def test_what_is_asked_of_one_table_is_not_read_for_another(tmp_path: Path, cli: Cli) -> None:
    """A table that was never changed has no number of another one's change: an engine keeps columns by these alone."""
    address = f"{tmp_path}/lake.ducklake"
    statements = [
        "create table lake.a (i integer)",
        "create table lake.b (i integer)",
        *(f"insert into lake.a values ({number})" for number in (1, 2)),
        "alter table lake.b add column c integer",
        *(f"insert into lake.b values ({number}, 7)" for number in (3, 4)),
        "alter table lake.b add column d integer",
        "insert into lake.a values (5)",
        f"create temp table gone as from ducklake_expire_snapshots('lake', {EXPIRED['first']})",
    ]
    options = {"DATA_INLINING_ROW_LIMIT": 0}
    engine_of("0.2").run(address, "main", statements, data_path=tmp_path / "data", options=options)

    migrated(cli, address)

    merged = [f"create temp table {it} as from ducklake_merge_adjacent_files('lake', '{it}')" for it in "ab"]
    rows = _run("1.5.5", address, *merged, "from lake.a order by i", "from lake.b order by i")[2:]
    assert rows == [[[1], [2], [5]], [[3, 7, None], [4, 7, None]]]
    assert _ask(address, "select count(distinct schema_version) from ducklake_schema_versions where table_id = 1") == [
        (2,)
    ]


@pytest.mark.parametrize(
    ("address", "expired"),
    [
        *(("postgres", "middle"), ("duckdb", "first")),
        *(pytest.param(*it, marks=pytest.mark.long) for it in (("postgres", "first"), ("duckdb", "middle"))),
    ],
    indirect=["address"],
)
def test_files_are_merged_by_their_own_columns_after_a_mend(address: str, tmp_path: Path, expired: str) -> None:
    """What an engine's own migration leaves is found, and the mend of the first finding is that of all."""
    _lake_of_0_3(address, tmp_path, expired)
    _run("1.5.5", address, AUTOMATIC_MIGRATION=True)
    first, *_ = found = dlbackup.check(address).findings
    assert {finding.rule for finding in found} == {"schema-version-of-table", "schema-version-of-file"} | (
        {"schema-version-of-change"} if expired == "middle" else set()
    )

    _ask(address, first.mend)

    assert dlbackup.check(address).findings == ()
    assert _run("1.5.5", address, _MERGE, *_READ)[1:] == _ROWS


def test_changes_between_files_are_found_before_the_next_migration(database: str, tmp_path: Path) -> None:
    """DuckDB 1.4.4 leaves gaps between versions by its migration from 0.2, which a merge of it would lose values by."""
    _lake_of_0_3(database, tmp_path, "middle")
    (finding,) = dlbackup.check(database).findings
    assert (finding.rule, finding.count) == ("schema-version-missing", 2)

    execute(database, finding.mend)

    assert dlbackup.check(database).findings == ()
    assert _run("1.4.4", database, _MERGE, *_READ)[1:] == _ROWS


def _begins(url: str) -> Sequence[Any]:
    return execute(
        url,
        "select begin_snapshot, count(distinct schema_version) from ducklake_schema_versions"
        f" where begin_snapshot between 1 and {_LAST_CHANGE} group by 1 order by 1",
    )


@pytest.mark.parametrize(
    ("spec", "lost"),
    [
        *(("0.3", "all"), ("0.4", "one"), ("1.0", "one")),
        *(pytest.param(*it, marks=pytest.mark.long) for it in (("0.3", "one"), ("0.4", "all"), ("1.0", "all"))),
    ],
)
def test_lost_versions_of_expired_changes_are_found(database: str, tmp_path: Path, spec: str, lost: str) -> None:
    """Values are lost when files are merged, or compaction leaves files out or fails, until they are there again."""
    options = {"DATA_INLINING_ROW_LIMIT": 0}
    expire = f"create temp table gone as from ducklake_expire_snapshots('lake', {EXPIRED['first']})"
    version = engine_of(spec).version
    statements = [*_CHANGES, expire]
    engine_of(spec).run(database, "public", statements, data_path=tmp_path / "data", options=options)
    assert dlbackup.check(database).findings == ()
    before = _begins(database)

    execute(database, f"delete from ducklake_schema_versions{' where begin_snapshot = 3' if lost == 'one' else ''}")
    first, *_ = found = dlbackup.check(database).findings
    expected = (
        "schema-version-missing" if spec == "0.3" else "schema-version-of-change" if lost == "one" else first.rule
    )
    assert expected in {finding.rule for finding in found}

    execute(database, first.mend)

    assert _begins(database) == before
    assert dlbackup.check(database).findings == ()
    assert _run(version, database, _MERGE, *_READ)[1:] == _ROWS
