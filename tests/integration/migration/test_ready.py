"""Inlined tables whose columns get other types: made beside the catalog before commits wait, and moved into place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.changes import NEXT_SNAPSHOT
from support.comparison import execute, schemas
from support.faults.faults import new_role, role_of
from support.lakes.lakes import Lake, LakeFactory

import dlbackup
from dlbackup.migration import pipeline
from dlbackup.migration.outcome import Migration
from dlbackup.runtime.progress import Event

_TABLES = """
select c.relname, c.oid, (
    pg_get_userbyid(c.relowner), array(select unnest(c.relacl)::text order by 1), c.reloptions, c.relreplident,
    obj_description(c.oid, 'pg_class'),
    array(select (a.attname, a.attnotnull, col_description(c.oid, a.attnum), a.attacl)
          from pg_attribute a
          where a.attrelid = c.oid and a.attnum > 0 order by a.attnum),
    array(select pg_get_indexdef(indexrelid) from pg_index where indrelid = c.oid)
)::text
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname ~ '^ducklake_inlined_data_\\d'
"""
_OF_TEXT = """
select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relname ~ '^ducklake_inlined_data_\\d' and c.relkind = 'r' and a.atttypid = 'varchar'::regtype
order by c.relname limit 1
"""


@pytest.fixture
def made(lake: LakeFactory) -> Lake:
    """A lake of 0.3 with inlined rows of every type."""
    return lake("inlined", "0.3")


def _tables(made: Lake) -> dict[str, tuple[Any, ...]]:
    return {name: (oid, kept) for name, oid, kept in execute(made.url, _TABLES)}


def _with_text(made: Lake) -> str:
    """Return an inlined table with a column that gets another type."""
    ((name,),) = execute(made.url, _OF_TEXT)
    return str(name)


def _migrate(made: Lake, folder: Path, on_event: Callable[[Event], None] = lambda event: None) -> Migration:
    return dlbackup.migrate(made.url, dlbackup.MigrateOptions(backup_dir=folder, rehearsal=False), on_event=on_event)


def _rewritten(done: Migration) -> int:
    (mend,) = done.mends
    assert mend.rule == "inlined-types"
    return mend.rows


def test_a_table_that_was_made_before_has_all_that_the_other_had(made: Lake, tmp_path: Path) -> None:
    """Owner, grants, comments, options, keys: another table, and as the old one but for the types."""
    text = _with_text(made)
    execute(
        made.url,
        f"grant select, insert on {text} to pg_monitor with grant option",
        f"grant update (row_id) on {text} to public",
        f"comment on table {text} is 'rows that wait'",
        f"comment on column {text}.row_id is 'by number'",
        f"alter table {text} set (fillfactor = 70)",
        f"alter table {text} replica identity full",
        f"create unique index on {text} (row_id, begin_snapshot)",
    )
    before = _tables(made)

    done = _migrate(made, tmp_path)

    after = _tables(made)
    moved = {name for name, (oid, _) in before.items() if after[name][0] != oid}
    assert text in moved
    assert len(moved) == _rewritten(done)
    assert {name: kept for name, (_, kept) in after.items()} == {name: kept for name, (_, kept) in before.items()}
    assert "ready" in [stage.stage for stage in done.stages]
    assert schemas(made.url) == {"public"}


def test_role_that_may_make_no_schema_has_them_rewritten_where_they_are(made: Lake, tmp_path: Path) -> None:
    """What can't be made beside the catalog is altered under the fence, as it was before."""
    before = _tables(made)
    with new_role(made, "a-word", owner=True) as url:
        execute(made.url, f"revoke create on database {made.dbname} from {role_of(url)}")
        options = dlbackup.MigrateOptions(backup_dir=tmp_path, rehearsal=False)
        done = dlbackup.migrate(url, options)

    assert _rewritten(done) > 0
    assert {name: oid for name, (oid, _) in _tables(made).items()} == {name: oid for name, (oid, _) in before.items()}


@pytest.mark.parametrize("moment", ["before they are made", "after that"])
def test_what_is_committed_meanwhile_is_not_lost(
    made: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Tables made of an earlier state are left aside: those of the catalog are rewritten where they are."""
    text, before, events = _with_text(made), _tables(made), []
    commit = f"insert into {text} (row_id, begin_snapshot) values (99, 1)", NEXT_SNAPSHOT

    def listen(event: Event) -> None:
        events.append(event.stage)
        if moment == "before they are made" and events.count(event.stage) == 1 and event.stage == "ready":
            execute(made.url, *commit)

    def proved(*words: Any) -> Any:
        found = ask(*words)
        if moment == "after that":
            execute(made.url, *commit)
        return found

    ask = pipeline._Pipeline._proved
    monkeypatch.setattr(pipeline._Pipeline, "_proved", proved)

    done = _migrate(made, tmp_path, listen)

    after = _tables(made)
    assert [stage.stage for stage in done.stages].count("dump") == 2
    assert {name: oid for name, (oid, _) in after.items()} == {name: oid for name, (oid, _) in before.items()}
    assert _rewritten(done) > 0
    assert execute(made.url, f"select begin_snapshot from {text} where row_id = 99") == [(1,)]
    assert schemas(made.url) == {"public"}
