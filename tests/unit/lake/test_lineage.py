"""Which lake, and which branch of its history."""

import pytest

from dlbackup.lake.lineage import Known, Lineage, microseconds, missing


def lineage(uuid: str | None, *snapshots: tuple[int, int | None]) -> Lineage:
    return Lineage(uuid, "/data/", snapshots)


@pytest.mark.parametrize(("one", "two", "other"), [("a", "b", True), ("a", "a", False), (None, "b", False)])
def test_lakes_are_told_apart_by_their_uuid(one: str | None, two: str | None, other: bool) -> None:
    """What doesn't say which lake it is of is not taken for another."""
    assert lineage(one).is_other_than(lineage(two)) is other
    assert lineage(two).is_other_than(lineage(one)) is other


def test_what_only_the_place_has_is_missing() -> None:
    """A snapshot of the same number and another time is another snapshot; what the place has expired is no loss."""
    snapshots = ((0, 10), (1, 20), (2, 30), (3, None))
    ours = Known(snapshots)

    assert missing(lineage("a", (2, 30), (3, None)), ours) == []
    assert missing(lineage("a", (4, 50), (2, 31), (1, 20)), ours) == [2, 4]
    assert missing(lineage("a", *snapshots), Known([])) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01 00:00:00+00", 0),
        ("1970-01-01 00:00:01.5+00", 1_500_000),
        ("1969-12-31 23:59:59.999999+00", -1),
        ("2026-03-23 17:51:00.123+00", 1_774_288_260_123_000),
        ("infinity", None),
        ("0044-03-15 00:00:00+00 BC", None),
        (None, None),
    ],
)
def test_times_are_read_as_postgresql_prints_them(text: str | None, expected: int | None) -> None:
    """Microseconds since 1970, or nothing."""
    assert microseconds(text) == expected


def test_known_snapshots_are_found() -> None:
    """Each of many is known, and no other."""
    known = Known((number, number * 7) for number in range(1000))

    assert all((number, number * 7) in known for number in range(1000))
    assert not any((number, number * 7 + 1) in known for number in range(1000))
    assert (1, 7) not in Known([])
