"""Which snapshots an engine reads of a copy."""

from hypothesis import given
from hypothesis import strategies as st

from dlbackup.transfer.witness import spread


@given(st.lists(st.integers(), unique=True, max_size=50).map(sorted), st.integers(2, 60))
def test_all_or_the_ends_and_some_between(numbers: list[int], at_most: int) -> None:
    """Where there are more than wanted, as many are chosen, in order, each once, and the ends among them."""
    chosen = spread(numbers, at_most)

    assert len(chosen) == min(len(numbers), at_most)
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(numbers)
    assert (chosen[:1], chosen[-1:]) == (numbers[:1], numbers[-1:])
