"""Which lake, and which branch of its history."""

import pytest

from dlbackup.lake.lineage import Known, Lineage, Parting, microseconds, parting_of

SNAPSHOTS = ((0, 10), (1, 20), (2, 30), (3, None))


def lineage(uuid: str | None, *snapshots: tuple[int, int | None], path: str | None = "/data/") -> Lineage:
    return Lineage(uuid, path, snapshots)


def parting(there: Lineage, other: Lineage) -> Parting:
    return parting_of(there, other, Known(other.snapshots))


@pytest.mark.parametrize(("one", "two", "other"), [("a", "b", True), ("a", "a", False), (None, "b", False)])
def test_lakes_are_told_apart_by_their_uuid(one: str | None, two: str | None, other: bool) -> None:
    """What doesn't say which lake it is of is not taken for another."""
    assert parting(lineage(one), lineage(two)).other_lake is other
    assert parting(lineage(two), lineage(one)).other_lake is other


@pytest.mark.parametrize(
    ("there", "path", "other"),
    [
        ((0, 11), "/elsewhere/", True),
        ((0, 10), "/elsewhere/", False),  # the same lake, whose files have moved
        ((0, 11), "/data/", False),
        ((0, 11), None, False),
    ],
)
def test_without_a_uuid_by_their_data_path(there: tuple[int, int], path: str | None, other: bool) -> None:
    """Where schema 0 is gone, lakes are two when their files are apart and they have no snapshot in common."""
    one, two = lineage(None, there, path=path), lineage("a", *SNAPSHOTS)

    assert parting(one, two).other_lake is other
    assert parting(two, one).other_lake is other
    assert not parting(lineage("a", there, path=path), two).other_lake


@pytest.mark.parametrize(
    ("there", "shared", "newer", "expired"),
    [
        (((2, 30), (3, None)), 3, [], []),  # what the place has expired is no loss
        (((4, 50), (2, 31), (1, 20)), 1, [2, 4], []),
        (((0, 10), (1, 21), (3, None), (2, 31)), 3, [], [1, 2]),
        (((5, 60), (0, 9), (1, 20)), 1, [5], [0]),
        (((0, 9), (2, 29)), None, [0, 2], []),
        ((), None, [], []),
    ],
)
def test_what_the_place_would_lose(
    there: tuple[tuple[int, int | None], ...], shared: int | None, newer: list[int], expired: list[int]
) -> None:
    """
    A snapshot of the same number and another time is another snapshot.

    What only the place has is lost after the newest shared one, and only forgotten before it.
    """
    found = parting(lineage("a", *there), lineage("a", *SNAPSHOTS))

    assert (found.shared, found.newer, found.expired) == (shared, newer, expired)
    assert bool(found.forgets) == bool(expired)


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
