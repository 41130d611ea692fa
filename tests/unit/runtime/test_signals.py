"""Interrupts and deadlines that a library swallows are known all the same."""

import signal
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from types import FrameType
from typing import NoReturn

import pytest

from dlbackup.errors import Corrupt, DeadlinePassed, Interrupted, NeedsPerson
from dlbackup.runtime import signals


@pytest.fixture(autouse=True)
def nobody_asked() -> Iterator[None]:
    """Leave nothing to the next test."""
    yield
    signals.nobody_asked()


def _passed() -> DeadlinePassed:
    return DeadlinePassed("took too long")


def _nobody(number: int, frame: FrameType | None) -> NoReturn:
    raise AssertionError("no signal comes")


class _Thing:
    """Something that can be deleted."""


def _when_deleted(do: Callable[[], None]) -> None:
    """Do something where the interpreter catches whatever is raised, prints it and goes on."""
    thing = _Thing()
    kept = weakref.ref(thing, lambda _: do())
    del thing
    assert kept() is None


def _swallow() -> None:
    with suppress(Exception):  # as a parser does that tries several ways
        time.sleep(10)


def test_deadline_that_is_swallowed_is_kept() -> None:
    """The block goes on and ends well, or with a failure of what was cut off: its time was over all the same."""
    with pytest.raises(DeadlinePassed, match="took too long"), signals.time_limit(0.01, _passed):
        _swallow()
    with pytest.raises(DeadlinePassed) as raised, signals.time_limit(0.01, _passed):
        _swallow()
        raise Corrupt("not a statement of a backup")
    assert isinstance(raised.value.__cause__, Corrupt)


@pytest.fixture
def told() -> Iterator[None]:
    """Raise Interrupted at a SIGTERM, as commands do."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise Interrupted("asked to end")

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("too_late", [False, True])
def test_signal_that_was_held(too_late: bool) -> None:
    """It is delivered when the block is over; where that can't be taken back, only after a failure that is known."""
    seen = []
    with pytest.raises(Interrupted) if not too_late else nullcontext(), signals.signals_held(too_late=too_late):
        signal.raise_signal(signal.SIGTERM)
        seen.append("to its end")
    assert seen
    with pytest.raises(Interrupted), signals.signals_held(too_late=too_late):
        signal.raise_signal(signal.SIGTERM)
        raise Corrupt("a failure")
    with pytest.raises(NeedsPerson if too_late else Interrupted), signals.signals_held(too_late=too_late):
        signal.raise_signal(signal.SIGTERM)
        raise NeedsPerson("nobody knows")


def test_deadline_that_is_not_reached_changes_nothing() -> None:
    """What the block raises comes through, and so does another interrupt."""
    with pytest.raises(Corrupt, match="really"), signals.time_limit(60, _passed):
        raise Corrupt("really")
    with pytest.raises(Interrupted, match="by hand"), signals.time_limit(60, _passed):
        raise Interrupted("by hand")


def test_swallowed_interrupt_is_raised_before_something_is_judged() -> None:
    """What a signal raised is remembered, until a command begins."""
    signals.raise_swallowed()
    with suppress(Exception):
        signals.interrupt(signal.SIGINT, _nobody, Interrupted("by SIGINT"))

    with pytest.raises(Interrupted, match="by SIGINT"):
        signals.raise_swallowed()

    signals.nobody_asked()
    signals.raise_swallowed()


def test_deadline_comes_again_where_nobody_could_catch_it(capfd: pytest.CaptureFixture[str]) -> None:
    """Raised while something is deleted, it is raised a second time, without a traceback."""
    begun = time.monotonic()
    with signals.hearing_swallowed(), pytest.raises(DeadlinePassed), signals.time_limit(0.05, _passed):
        _when_deleted(lambda: time.sleep(10))
        time.sleep(30)

    assert time.monotonic() - begun < 20
    assert capfd.readouterr().err == ""
