"""
Signals that come at a bad moment are held, and what a second one cuts off.

Who holds something that a silent server can block says with `on_second` how that is cut.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_cuts: list[Callable[[], None]] = []


def on_second(cut: Callable[[], None]) -> None:
    """Have `cut` called, in the main thread, when somebody asks a second time for an end."""
    _cuts.append(cut)


def cut_off() -> None:
    """Cut whatever a silent server may block: asked twice, nobody waits for it."""
    for cut in _cuts:
        cut()


@contextmanager
def signals_held(*, asked: bool = False) -> Iterator[None]:
    """
    Let no signal come between what was done to the catalog and its commit; it is delivered afterwards.

    Args:
        asked: a signal is why we are here, so that the next one is the second.
    """
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to the main thread only
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)

    def hold(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) + asked > 1:
            cut_off()

    before = [signal.signal(number, hold) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(came[0])
