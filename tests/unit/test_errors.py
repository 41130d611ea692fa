"""What messages are made of."""

import pytest

from dlbackup.errors import listed


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, ""), (1, "1"), (5, "1; 2; 3; 4; 5"), (6, "1; 2; 3; 4; 5; and 1 more"), (9, "1; 2; 3; 4; 5; and 4 more")],
)
def test_the_first_five_are_named(count: int, text: str) -> None:
    """A list of up to five things names all of them, a longer one the first five and the number of the others."""
    assert listed(range(1, count + 1)) == text


def test_a_list_with_commas_has_none_before_and() -> None:
    """Names that commas separate end as in a sentence."""
    assert listed(["a", "b", "c"], most=2, separator=", ") == "a, b and 1 more"


@pytest.mark.parametrize(("most", "text"), [(1, "a; and 5 more"), (2, "a; b; and 4 more")])
def test_others_that_have_no_name_are_counted(most: int, text: str) -> None:
    """What is there beside the items is counted with those that are not named."""
    assert listed(["a", "b"], most, more=4) == text
