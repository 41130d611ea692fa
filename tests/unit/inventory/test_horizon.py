"""Whether the files of a backup are there, by their numbers: whole, at risk until when, or gone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from support.stores import add_backup

from dlbackup.inventory.fileids import FileIds
from dlbackup.inventory.horizon import _GRACE, Files, Live, files_of, recorded, state_of, too_short
from dlbackup.inventory.listing import Entry, listing_of
from dlbackup.inventory.retention import cleanup_call, cleanup_safe_before
from dlbackup.stores.in_memory import InMemory

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECONDS = int(NOON.timestamp())
FIVE = FileIds.of(range(5))


@pytest.mark.parametrize(
    ("files", "scheduled", "wanted"),
    [
        ([0, 1, 2, 3, 4, 9], {}, Files(state="whole")),
        ([0, 1, 2, 3, 4], {SECONDS: [7]}, Files(state="whole")),
        ([0, 1, 2], {SECONDS: [3], SECONDS + 60: [4, 5]}, Files(state="at-risk", until=NOON + 2 * DAY, count=2)),
        ([0, 1, 2, 3, 4], {SECONDS: [4]}, Files(state="at-risk", until=NOON + 2 * DAY, count=1)),
        ([0, 1], {SECONDS: [3]}, Files(state="broken", count=2)),
        ([], {}, Files(state="broken", count=5)),
    ],
    ids=["more than it needs", "others scheduled", "some scheduled", "scheduled and named", "some gone", "all gone"],
)
def test_states(files: list[int], scheduled: dict[int, list[int]], wanted: Files) -> None:
    """The worst that is true of any file counts, and the first time at which one may go."""
    there = Live(
        lake="x", files=FileIds.of(files), scheduled={since: FileIds.of(ids) for since, ids in scheduled.items()}
    )

    assert state_of(FIVE, there) == wanted


def _entry(**values: Any) -> tuple[Entry, InMemory]:
    store = InMemory()
    time = "2026-11-20T11:00:00.000000Z"
    add_backup(store, NOON, **{"file_ids": "0-4", "snapshot_id": 7, "snapshot_time": time, "lake": "x", **values})
    return listing_of(store).entries[0], store


def _live(**values: Any) -> Live:
    hour_ago = (SECONDS - 3600) * 1_000_000
    return Live(**{"lake": "x", "files": FIVE, "snapshots": {7: hour_ago, 8: hour_ago + 1}, **values})


def test_numbers_count_in_the_history_that_they_are_of() -> None:
    """In another lake, or on another branch of the same, a number is that of another file: nothing is known."""
    assert files_of(*_entry(), _live()).state == "whole"
    assert files_of(*_entry(lake="y"), _live()).state == "unknown"
    assert files_of(*_entry(lake=None), _live()).state == "whole"
    assert files_of(*_entry(snapshot_id=9), _live()).state == "unknown"
    assert files_of(*_entry(snapshot_time="2026-11-20T11:00:00.000009Z"), _live()).state == "unknown"
    assert files_of(*_entry(snapshot_id=5), _live()).state == "whole"  # that snapshot has expired
    assert files_of(*_entry(listed=False), _live()).state == "unknown"
    assert files_of(*_entry(file_ids="nonsense"), _live()).state == "unknown"
    assert files_of(*_entry(file_ids=None), _live()).state == "unknown"  # and the backup can't be read


def test_as_recorded() -> None:
    """By the newest good backup of the same lake and branch; what can't be told by that is unknown."""
    store, times = InMemory(), [NOON + hours * timedelta(hours=1) for hours in range(10)]

    def add(hour: int, snapshot: int | None, ids: str | None, *, lake: str | None = "x", second: int = 0) -> str:
        time = f"2026-11-20T11:{snapshot or 0:02}:{second:02}.000000Z"
        values: dict[str, Any] = {"file_ids": ids, "snapshot_id": snapshot, "snapshot_time": time, "lake": lake}
        return add_backup(store, times[hour], **values)

    whole, left, other, early = add(0, 1, "2-4"), add(1, 2, "0-4"), add(2, 3, "0-4", lake="y"), add(3, 9, "3-5")
    branch, same = add(4, 5, "3-4", second=7), add(5, 5, "3-4")
    numberless, lakeless, none = add(6, 4, None), add(7, 4, "3-4", lake=None), add(8, None, "3-4")
    newest = add(9, 5, "2-5")
    unlisted = add_backup(store, NOON + DAY, listed=False)

    then = NOON + timedelta(hours=9)
    found = recorded(listing_of(store).entries)
    assert {name for name, files in found.items() if files.state == "whole"} == {whole, same, newest, other}
    assert found[whole] == Files(state="whole", as_of=then)
    assert found[left] == Files(state="at-risk", count=2, as_of=then)
    assert found[other].as_of == NOON + timedelta(hours=2)
    for name in (early, branch, numberless, lakeless, none, unlisted):
        assert found[name] == Files()


def test_a_clean_up_that_is_shorter_than_what_is_kept() -> None:
    """It is told with the option that helps, for the oldest good backup of that lake."""
    entry, _ = _entry()

    assert too_short([entry], _live(), NOON + 2 * DAY) == ""
    assert too_short([entry], _live(grace=40 * DAY), NOON + 30 * DAY) == ""
    assert too_short([entry], _live(lake="y"), NOON + 30 * DAY) == ""
    assert too_short([entry], _live(), NOON + 30 * DAY) == (
        "the lake deletes files after 2 days, and the oldest backup is 30 days old: CALL"
        " lake.set_option('delete_older_than', '31 days') keeps them as long"
    )


@pytest.mark.parametrize(("dialect", "time"), [("postgres", "2026-11-20 11:00:00"), ("sqlite", "2026-11-18 23:59:59")])
def test_the_call_that_is_safe(dialect: str, time: str) -> None:
    """An hour before the oldest backup; in SQLite the end of a day that was over everywhere by then."""
    entry, _ = _entry(dialect=dialect)
    safe = cleanup_safe_before([entry])
    assert safe is not None
    assert (
        cleanup_call(safe, [entry]) == f"CALL ducklake_cleanup_old_files('lake', older_than => TIMESTAMPTZ '{time}+00')"
    )


@pytest.mark.parametrize(
    ("said", "grace"),
    [
        *((None, timedelta(days=2)), ("0 seconds", timedelta()), ("1 week 12:30:00", timedelta(days=7, hours=12.5))),
        *(("1 month", timedelta(days=28)), ("2 months", timedelta(days=59)), ("1 year", timedelta(days=365))),
    ],
)
def test_months_are_as_short_as_they_can_be(said: str | None, grace: timedelta) -> None:
    """What is said to be kept must be: engines count back by the calendar."""
    with duckdb.connect() as connection:
        connection.execute("create table ducklake_metadata (key varchar, value varchar, scope varchar)")
        connection.execute("insert into ducklake_metadata values ('delete_older_than', ?, null)", [said])
        ((seconds,),) = connection.execute(_GRACE.format(s="main", scope="")).fetchall()
    assert timedelta(seconds=seconds) == grace
