"""How a failed attempt ends, looked up."""

from itertools import product

import pytest

from dlbackup.errors import NeedsPerson, RolledBack, Unchanged
from dlbackup.migration.under_fence import ENDS


@pytest.mark.parametrize(("as_before", "stands", "restored"), list(product((True, False), repeat=3)))
def test_every_end_is_known(as_before: bool, stands: bool, restored: bool) -> None:
    """Unchanged is said of what is proved to be as before, rolled back only where the fence stood, else a person is."""
    end = ENDS[as_before, stands, restored]

    assert (end is Unchanged) == as_before
    assert (end is RolledBack) == (not as_before and stands and restored)
    assert end in (Unchanged, RolledBack, NeedsPerson)


def test_there_are_no_more_ends() -> None:
    """The table has each combination of the three facts, once."""
    assert set(ENDS) == set(product((True, False), repeat=3))
