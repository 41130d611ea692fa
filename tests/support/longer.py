"""Variants of a test that show what others show in every run, and so run with `--all` and `--long` only."""

from collections.abc import Iterable

import pytest
from hypothesis import settings

from support.servers.servers import majors

__all__ = ["USUAL_EXAMPLES", "all_together", "each_major", "fewer_examples", "long", "runs_all"]

USUAL_EXAMPLES = 100
"""Hypothesis' own number, which runs of all tests have."""


def long(*values: object, name: str | None = None) -> object:
    """Return parameters that a test has with `--all` and `--long` only."""
    return pytest.param(*values, id=name, marks=pytest.mark.long)


def all_together(names: Iterable[str], *apart: str) -> list[object]:
    """
    Return names for a test that takes several: all of them at once, and, with `--all` and `--long`, each alone.

    Args:
        apart: what can't be with the others, and is alone in every run.
    """
    each = list(names)
    together = tuple(name for name in each if name not in apart)
    alone = [pytest.param((name,), id=name, marks=[] if name in apart else [pytest.mark.long]) for name in each]
    return [pytest.param(together, id="all"), *alone]


def each_major() -> list[object]:
    """Return the PostgreSQL majors under test: in every run the oldest and the newest, between which all others are."""
    ends = (majors()[0], majors()[-1])
    return [
        pytest.param(major, id=f"pg{major}", marks=[] if major in ends else [pytest.mark.long]) for major in majors()
    ]


def runs_all(config: pytest.Config) -> bool:
    """Tell whether this is a run of all tests, with `--all` or `--long`."""
    return bool(config.option.all or config.option.long)


def fewer_examples(number: int, *, of: int = USUAL_EXAMPLES) -> settings:
    """Return how often a property is tried whose examples take long; `of` is for `--all` and `--long`."""
    return settings(max_examples=number if settings().max_examples < USUAL_EXAMPLES else of)
