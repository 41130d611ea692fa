"""Numbers of files as ranges: the same sets as Python's own, and the same text for the same set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbackup.inventory.fileids import FileIds

NUMBERS = st.sets(st.integers(0, 40))


def members(ids: FileIds) -> set[int]:
    return {number for first, last in ids.ranges for number in range(first, last + 1)}


@given(NUMBERS, NUMBERS)
def test_they_are_sets(ours: set[int], theirs: set[int]) -> None:
    """What both have, what only one has, and how many there are, are as for sets of numbers."""
    a, b = FileIds.of(ours), FileIds.of(theirs)

    assert (members(a), len(a)) == (ours, len(ours))
    assert a & b == FileIds.of(ours & theirs)
    assert a - b == FileIds.of(ours - theirs)
    assert FileIds.of_text(str(a)) == a


def test_as_text() -> None:
    """A few signs for many numbers, whatever their order."""
    assert str(FileIds.of([7, 0, 1, 2, 3, 9, 8])) == "0-3,7-9"
    assert str(FileIds.of([5])) == "5"
    assert str(FileIds()) == ""
    assert len(str(FileIds.of(range(1_000_000)))) == 8


@pytest.mark.parametrize("text", ["x", "1,", "3-1", "1-3,2", "1,2", "5,1", "-", "1--2", " "])
def test_what_is_none(text: str) -> None:
    """Text that `str` would not have given is refused."""
    with pytest.raises(ValueError, match=r"."):
        FileIds.of_text(text)
