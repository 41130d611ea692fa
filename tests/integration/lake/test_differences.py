"""A migration that changes what the lake means is refused, and the message shows the rows that it changed."""

from pathlib import Path

import pytest
from support.cli import Cli
from support.faults.faults import engine_that, nothing_left, sql_commits, state
from support.lakes.lakes import LakeFactory

# In the scratch schema where there is one, else in the catalog.
_CHANGE = """
do $do$ declare s text := coalesce((select max(nspname) from pg_namespace where nspname like 'dlbackup_rehearsal%'),
  'public'); begin
execute format('update %I.ducklake_column set column_type = ''int64'' where ctid = (select min(ctid)
  from %I.ducklake_column where column_type = ''int32'')', s, s);
execute format('update %I.ducklake_snapshot_changes set author = ''somebody'' where snapshot_id = 2', s);
end $do$
"""


@pytest.mark.parametrize(
    ("words", "exit_code", "error"), [((), 1, "RehearsalFailed"), (("--no-rehearsal",), 6, "RolledBack")]
)
def test_changed_rows_are_shown(
    lake: LakeFactory, cli: Cli, tmp_path: Path, words: tuple[str, ...], exit_code: int, error: str
) -> None:
    """An engine that changes values without a word is found in rehearsal and catalog: which rows, before and after."""
    made = lake("plain", "0.3")
    before = state(made.url)
    engine = engine_that(tmp_path, after=sql_commits(made.url, _CHANGE))

    done = cli("migrate", made.url, "--json", "--engine", engine, *words)

    message = done.json()["error"]["message"]
    assert (done.exit_code, done.json()["error"]["type"]) == (exit_code, error)
    assert "column_type int32 before, int64 after" in message
    assert "(snapshot_id 2: author NULL before, somebody after)" in message
    assert state(made.url) == before
    nothing_left(made)
