"""The limit to how much text passes in a second, on a clock that only the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clock import Clock

from dlbackup.errors import Interrupted, UsageError
from dlbackup.runtime.throttle import Throttle, paced, parse_rate, throttle


@given(st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 5)), min_size=1, max_size=30), st.floats(10, 1e5))
def test_the_rate_holds_over_any_stretch(passed: list[tuple[int, float]], rate: float) -> None:
    """Between any two moments no more passes than the rate allows, a quarter of a second and one block more."""
    clock = Clock()
    limit = Throttle(rate, clock, clock.sleep)
    began: list[tuple[float, int]] = []
    for size, pause in passed:
        clock.now += pause
        began.append((clock.now, size))
        limit.take(size)

    for first in range(len(began)):
        sizes = 0
        for last in range(first, len(began)):
            assert sizes <= rate * (began[last][0] - began[first][0] + 0.25) + began[first][1] + 1e-3
            sizes += began[last][1]


def test_no_time_is_wasted() -> None:
    """Blocks that come without a pause pass in exactly the time that the rate asks for."""
    clock = Clock()
    limit = Throttle(1000, clock, clock.sleep)
    for _ in range(100):
        limit.take(250)

    assert clock.now - 100 == pytest.approx(25)


def test_what_is_slow_by_itself_is_not_slowed() -> None:
    """Nobody sleeps while less passes than may."""
    clock = Clock()
    limit = Throttle(1000, clock, clock.sleep)
    for _ in range(50):
        clock.now += 1
        limit.take(200)

    assert clock.naps == []


def test_a_long_sleep_is_many_naps() -> None:
    """A large block is waited for in naps of a tenth of a second, so that a request to end comes through."""
    clock = Clock()
    Throttle(1000, clock, clock.sleep).take(5000)

    assert len(clock.naps) >= 50
    assert max(clock.naps) <= 0.1


def test_an_interruption_comes_through() -> None:
    """What a signal raises in a nap ends the wait."""

    def sleep(seconds: float) -> None:
        raise Interrupted("interrupted by SIGINT")

    with pytest.raises(Interrupted):
        Throttle(1, lambda: 0.0, sleep).take(1000)


def test_blocks_pass_unchanged() -> None:
    """Rows come out as they went in, counted by the bytes of their texts."""
    clock = Clock()
    blocks = [[b"1,'a'\n"] * 10, [b"2,'b'\n"] * 20]

    assert list(paced(iter(blocks), Throttle(60, clock, clock.sleep))) == blocks
    assert clock.now - 100 == pytest.approx(3)
    assert list(paced(iter(blocks), throttle(None))) == blocks


@pytest.mark.parametrize(
    ("text", "rate"), [("1", 1), ("500k", 5e5), ("20M", 2e7), ("1.5G", 1.5e9), ("2K", 2e3), ("3m", 3e6), (" 7 ", 7)]
)
def test_rates_as_users_write_them(text: str, rate: float) -> None:
    """A number with k, M or G is thousands, millions and billions of bytes a second, in either case."""
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0", "0.0M", "-1", "k", "1T", "1 M", "1MB", "nan", "inf", "1e6", "١"])
def test_what_is_no_rate(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="not a rate"):
        parse_rate(text)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_an_impossible_rate_is_wrong_usage(rate: float) -> None:
    """A program that asks for an impossible rate is told so."""
    with pytest.raises(UsageError):
        throttle(rate)
