"""What is said of a migration that an engine of 0.3 begins."""

from dataclasses import replace

import pytest

from dlbackup.addresses.address import parse_address
from dlbackup.migration import pipeline
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.outcome import Migration
from dlbackup.runtime.progress import ignore

_FIRST = Migration(
    outcome="migrated",
    from_version="0.2",
    to_version="0.3",
    snapshot_id=7,
    backup="before.sql.zst",
    stages=(),
    mends=(),
    writer_pause_seconds=0.5,
    stale_clients=(),
)


def test_own_engine_of_the_first_step_has_nothing_more_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this environment has DuckDB 1.4 too, the first step was all, and is what is told."""
    current = replace(_FIRST, outcome="current", from_version="0.3", backup=None)
    runs = iter([_FIRST, current])
    monkeypatch.setattr(pipeline, "_migrate_once", lambda *_: next(runs))

    told = pipeline.run_migration(parse_address("lake.ducklake"), MigrateOptions(engine="python"), ignore)

    assert told is _FIRST
