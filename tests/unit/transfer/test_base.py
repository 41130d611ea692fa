"""Which backups can be the base of another."""

from dataclasses import replace

import pytest

from dlbackup.backupfile.manifest import Header, Source
from dlbackup.backupfile.origin import Moment
from dlbackup.transfer.base import useless

MOMENT = Moment(
    server="7", started="2026-01-01", counts_from="2026-01-02", timeline=1, database=5, oldest=100, position=1000
)
HEADER = Header(
    format=1,
    spec_version="0.3",
    snapshot_id=4,
    snapshot_time=None,
    created="2026-01-03T00:00:00Z",
    tool="dlbackup",
    source=Source(database="lake", schema="public", server_version="16.1", encoding="UTF8"),
    moment=MOMENT,
    packed="zstd 1 level 1",
)
NOW = replace(HEADER, moment=replace(MOMENT, oldest=120, position=1200))


def test_an_earlier_moment_of_the_same_server() -> None:
    """Nothing is against it, also where nothing has happened since; and another snapshot is what bases are for."""
    assert useless(HEADER, NOW) == ""
    assert useless(HEADER, HEADER) == ""
    assert useless(HEADER, replace(NOW, snapshot_id=9, created="2026-01-04T00:00:00Z")) == ""


MOMENTS = {
    "another server": ({"server": "8"}, "another server"),
    "another database": ({"database": 6}, "another server or database"),
    "another timeline": ({"timeline": 2}, "timeline"),
    "started again": ({"started": "2026-01-02"}, "started again"),
    "crashed": ({"counts_from": "2026-01-03"}, "crashed"),
    "earlier in the log": ({"position": 999}, "earlier point"),
    "earlier transactions": ({"oldest": 99}, "earlier point"),
}


@pytest.mark.parametrize(("changed", "word"), MOMENTS.values(), ids=MOMENTS)
def test_moments_that_tell_nothing(changed: dict[str, object], word: str) -> None:
    """Each condition of the proof counts by itself."""
    assert word in useless(HEADER, replace(NOW, moment=replace(NOW.moment or MOMENT, **changed)))  # type: ignore[arg-type]


HEADERS = {
    "no moment then": (replace(HEADER, moment=None), NOW, "doesn't say"),
    "no moment now": (HEADER, replace(NOW, moment=None), "doesn't tell"),
    "another schema": (HEADER, replace(NOW, source=replace(HEADER.source, schema="other")), "another schema"),
    "converted": (HEADER, replace(NOW, source=replace(HEADER.source, converted=True)), "encoding"),
    "another version": (HEADER, replace(NOW, spec_version="1.0"), "spec version 0.3"),
    "another zstd": (HEADER, replace(NOW, packed="zstd 2 level 1"), "zstd 1 level 1"),
}


@pytest.mark.parametrize(("then", "now", "word"), HEADERS.values(), ids=HEADERS)
def test_backups_that_are_no_base(then: Header, now: Header, word: str) -> None:
    """The same rows would not give the same bytes, or nothing can be proved."""
    assert word in useless(then, now)
