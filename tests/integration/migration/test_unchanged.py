"""What a migration doesn't read, since PostgreSQL proves it unchanged; and what is found all the same."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from support.comparison import execute, text_of
from support.engines.engines import engine_of
from support.faults.faults import state
from support.lakes.divided import ROWS, STATISTICS, many
from support.lakes.lakes import Lake
from support.servers.postgres import Server

import dlbackup
from dlbackup import Migration, NeedsPerson, RolledBack
from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.catalogs.contract import Change, Claim, Snapshot
from dlbackup.catalogs.open import open_catalog
from dlbackup.migration import pipeline
from dlbackup.migration.unchanged import is_proved
from dlbackup.runtime.progress import Event

_READ = ("same-state", "post-check")


@pytest.fixture
def large(plain: Lake) -> str:
    """Return the URL of a lake with many rows that no migration touches."""
    execute(plain.url, many())
    return plain.url


def _migrate(url: str, folder: Path, at: str = "", does: Callable[[], object] | None = None) -> Migration:
    """Migrate; as a stage begins, something happens."""

    once = [does] if does else []

    def listen(event: Event) -> None:
        if event.stage == at and once:
            once.pop()()

    return dlbackup.migrate(url, dlbackup.MigrateOptions(backup_dir=folder, rehearsal=False), on_event=listen)


def _rows_read(done: Migration) -> dict[str, int | None]:
    return {stage.stage: stage.rows_read for stage in done.stages}


def test_only_what_the_engine_touched_is_read(large: str, tmp_path: Path) -> None:
    """Under the fence nothing is read before the attach, and afterwards what the migration may have changed."""
    read = _rows_read(_migrate(large, tmp_path))

    assert read["same-state"] == 0
    assert 0 < (read["post-check"] or 0) < ROWS
    assert {stage for stage, rows in read.items() if rows is not None} == set(_READ)


def test_where_nothing_can_be_proved_all_is_read(large: str, tmp_path: Path) -> None:
    """A server that begins its statistics anew may have crashed: rows are compared as they always were."""
    done = _migrate(large, tmp_path, "verify", lambda: execute(large, "select pg_stat_reset_shared('bgwriter')"))

    assert done.outcome == "migrated"
    assert min(rows or 0 for stage, rows in _rows_read(done).items() if stage in _READ) > ROWS


def test_a_change_after_the_dump_is_dumped_again_from_what_is_there(large: str, tmp_path: Path) -> None:
    """Only the table that changed is read to see it; the backup that counts is the second one, and holds the change."""
    change = f"update {STATISTICS} set max_value = 'changed' where data_file_id = 1000001"
    done = _migrate(large, tmp_path, "verify", lambda: execute(large, change))

    assert [stage.stage for stage in done.stages].count("dump") == 2
    assert ROWS <= (_rows_read(done)["same-state"] or 0) < 2 * ROWS
    assert b"'changed'" in text_of(Path(str(done.backup)))


def test_data_files_are_not_read_for_a_column_that_held_nothing(database: str, tmp_path: Path) -> None:
    """A migration from 0.3 drops a column of data files and adds one: where both are NULL, nobody has to read them."""
    of_0_3 = engine_of("0.3")
    of_0_3.run(database, "public", ["create table lake.t as select 42 as i"], data_path=tmp_path / "lake")
    more = (
        "insert into ducklake_data_file select 1000 + n, table_id, begin_snapshot, null, null, n || '.parquet', true,"
        " 'parquet', 0, 0, 0, 1 + n from ducklake_data_file, generate_series(1, 5000) n"
    )
    execute(database, more)
    done = _migrate(database, tmp_path)

    assert (done.from_version, done.to_version) == ("0.3", "1.0")
    assert 0 < (_rows_read(done)["post-check"] or 0) < 1000


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        ("alter table {t} drop partial_file_info, add partial_max bigint", Change(0, 0)),
        ("alter table {t} drop partial_file_info, drop mapping_id, add mapping_id bigint", Change(0, 0)),
        ("alter table {t} drop partial_file_info; update {t} set path = 'x' where data_file_id = 0", Change(1, 1)),
        ("alter table {t} drop partial_file_info, add partial_max bigint default 7", None),
        ("alter table {t} drop partial_file_info, drop encryption_key, add encryption_key varchar", None),
        ("alter table {t} alter mapping_id type int", None),
        ("alter table {t} alter encryption_key type text", None),
    ],
)
def test_columns_that_count_have_to_stay(plain: Lake, happens: str, told: Change | None) -> None:
    """Of a table whose last columns held nothing, it is told what became of its rows as long as the others stay."""
    files = "ducklake_data_file"
    execute(plain.url, f"update {files} set partial_file_info = null, mapping_id = null")
    with open_catalog(parse_address(plain.url)) as catalog, catalog.snapshot() as before:
        moment, origin, rows = before.moment(), before.origins()[files], before.counts(before.tables)[files]
        columns = len(next(table for table in before.tables if table.name == files).columns) - 2
    assert moment is not None
    execute(plain.url, happens.format(t=files))

    with open_catalog(parse_address(plain.url)) as catalog, catalog.snapshot() as after:
        (table,) = (table for table in after.tables if table.name == files)
        claim = Claim(table=table, origin=origin, rows=rows, may_have_more_columns=True, columns=columns)
        assert after.since(moment, [claim]) == [told]


@pytest.fixture
def once_proved(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """Return a list of what happens between the proof before the fence and the fence."""
    happens: list[Callable[[], object]] = []

    def proved(snapshot: Snapshot, backup: VerifiedBackup) -> bool:
        is_so = is_proved(snapshot, backup)
        for each in happens:
            each()
        return is_so

    monkeypatch.setattr(pipeline, "is_proved", proved)
    return happens


def test_under_the_fence_no_row_is_counted_again(
    large: str,
    server: Server,
    tmp_path: Path,
    once_proved: list[Callable[[], object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was proved before the fence stands, where whatever ran on the server was rolled back or has not ended."""
    with psycopg.connect(server.url) as rolled_back, psycopg.connect(server.url) as still_open:
        for session in (rolled_back, still_open):
            session.execute("create temporary table of_my_own as select 1")
        once_proved.append(rolled_back.rollback)
        monkeypatch.setattr(pipeline, "is_as_in", lambda *_: pytest.fail("asked of the rows"))
        done = _migrate(large, tmp_path)

    assert (done.outcome, _rows_read(done)["same-state"]) == ("migrated", 0)


@pytest.mark.parametrize("change", [f"delete from {STATISTICS} where data_file_id = 1000001", "vacuum analyze"])
def test_a_commit_between_proof_and_fence_is_seen(
    large: str, tmp_path: Path, once_proved: list[Callable[[], object]], change: str
) -> None:
    """Rows are asked about then, and where they have changed the backup that counts is one without them."""
    once_proved.append(lambda: execute(large, change))
    done = _migrate(large, tmp_path)

    has_changed = change.startswith("delete")
    assert [stage.stage for stage in done.stages].count("dump") == 1 + has_changed
    assert (b"1000001" in text_of(Path(str(done.backup)))) is not has_changed


@pytest.mark.parametrize(
    "what", ["update", *(pytest.param(it, marks=pytest.mark.long) for it in ("delete", "insert")), "swap"]
)
def test_a_row_changed_beside_the_engine_is_found(large: str, tmp_path: Path, what: str) -> None:
    """Whoever changes a row of a table that the engine doesn't touch, with SQL and past the fence, is undone."""
    change = {
        "update": f"update {STATISTICS} set max_value = 'x' where data_file_id = 1000001",
        "delete": f"delete from {STATISTICS} where data_file_id = 1000001",
        "insert": f"insert into {STATISTICS} (data_file_id) values (1)",
        "swap": f"with gone as (delete from {STATISTICS} where data_file_id = 1000001 returning *)"
        f" insert into {STATISTICS} (data_file_id, max_value) select data_file_id, 'x' from gone",
    }[what]
    before = state(large)

    with pytest.raises(RolledBack):
        _migrate(large, tmp_path, "mend", lambda: execute(large, change))

    assert state(large) == before


def test_a_row_changed_by_a_trigger_is_found(large: str, tmp_path: Path) -> None:
    """A trigger that somebody makes as the engine begins, so that the engine changes a row, is named: it is theirs."""
    before = state(large)
    change = f"update public.{STATISTICS} set max_value = 'x' where data_file_id = 1000001"
    made = (
        f"create function meddle() returns trigger language plpgsql as $$ begin {change}; return null; end $$",
        "create trigger meddles after update on ducklake_metadata execute function meddle()",
    )

    with pytest.raises(NeedsPerson, match=f"{STATISTICS} has other rows than before.*trigger meddles") as raised:
        _migrate(large, tmp_path, "attach", lambda: execute(large, *made))

    assert isinstance(raised.value.result, Migration)
    execute(large, "drop trigger meddles on ducklake_metadata")
    dlbackup.restore(str(raised.value.result.backup), large, dlbackup.RestoreOptions(replace=True, drop_replaced=True))
    assert state(large) == before
