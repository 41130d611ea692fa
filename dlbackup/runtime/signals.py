"""
Signals that come at a bad moment are held, what a second one cuts off, and interrupts that a library swallows.

Who holds something that a silent server can block says with `on_second` how that is cut. Libraries that catch every
exception (a parser that tries several ways, an import that has a second choice) take an interrupt for a failure of
their own, and what they say then means nothing; so what a signal raised is remembered until the end.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from dlbackup.errors import Interrupted, NeedsPerson, UsageError

ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""By which people and systems ask for an end; the last comes when a terminal is closed or can't be reached any more."""
_cuts: list[Callable[[], None]] = []
_raised: list[Interrupted] = []
_again: list[Callable[[], None]] = []
_SOON_S = 0.02
"""How long after something swallowed it a signal comes again."""


def interrupt(number: int, handler: Callable[[int, FrameType | None], NoReturn], error: Interrupted) -> NoReturn:
    """
    Raise what a signal asks for, from its handler, and remember it.

    Args:
        handler: what the signal meets that comes again because this was swallowed.
    """

    def again() -> None:
        signal.signal(number, handler)
        main = threading.main_thread().ident
        threading.Timer(_SOON_S, signal.pthread_kill, (main, number)).start()

    _raised[:], _again[:] = [error], [again]
    raise error


@contextmanager
def hearing_swallowed() -> Iterator[None]:
    """
    Let a signal come again whose exception was raised where nobody can catch it.

    That is in what the interpreter calls by itself when something is deleted: it would print the traceback, and go on.
    """
    before = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        if isinstance(unraisable.exc_value, Interrupted) and _again:
            _again.pop()()
        else:
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def interrupted() -> Interrupted | None:
    """Return what a signal has raised since the command began, also where it was swallowed."""
    return _raised[0] if _raised else None


def raise_swallowed() -> None:
    """
    Raise again what a signal has raised, before something is judged or written down for good.

    Raises:
        Interrupted: a signal came.
    """
    if _raised:
        raise _raised[0]


def nobody_asked() -> None:
    """Forget what signals have raised: a command begins."""
    _raised.clear()
    _again.clear()


def on_second(cut: Callable[[], None]) -> None:
    """Have `cut` called, in the main thread, when somebody asks a second time for an end."""
    _cuts.append(cut)


def cut_off() -> None:
    """Cut whatever a silent server may block: asked twice, nobody waits for it."""
    for cut in _cuts:
        cut()


_PATIENCE_S = 10.0
"""How long what is under way when time is up may take to be cleaned up, before a silent server is cut off."""


@contextmanager
def time_limit(seconds: float | None, passed: Callable[[], Interrupted]) -> Iterator[None]:
    """
    Raise what `passed` returns in the block when it takes longer; None: it may take as long as it does.

    However the block ends then, that is raised: what it found after its time was found by something cut off.

    Raises:
        UsageError: this isn't the main thread, which alone can be interrupted.
    """
    if seconds is None:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        raise UsageError("a deadline can be kept in the main thread only", "leave it out, or start a process")
    over = False

    def alarm(number: int, frame: FrameType | None) -> None:
        nonlocal over
        if over:
            cut_off()
            return
        over = True
        _again[:] = [again]
        raise passed()

    def again() -> None:
        nonlocal over
        over = False
        signal.setitimer(signal.ITIMER_REAL, _SOON_S, _PATIENCE_S)

    begun = time.monotonic()
    handler = signal.signal(signal.SIGALRM, alarm)
    others, _ = signal.setitimer(signal.ITIMER_REAL, seconds, _PATIENCE_S)
    try:
        yield
    except Interrupted:
        raise
    except Exception as exc:
        if over:
            raise passed() from exc
        raise
    else:
        if over:
            raise passed()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
        if others:  # somebody's own alarm goes off when it would have
            signal.setitimer(signal.ITIMER_REAL, max(0.001, others - (time.monotonic() - begun)))


@contextmanager
def signals_held(*, asked: bool = False, too_late: bool = False) -> Iterator[None]:
    """
    Let no signal come between what was done to the catalog and its commit; it is delivered afterwards.

    Args:
        asked: a signal is why we are here, so that the next one is the second.
        too_late: it isn't where the block ends well, or nobody knows how: what is done then can't be taken back, and
            has to be told.
    """
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to the main thread only
        yield
        return
    came: list[int] = []
    numbers = [number for number in ASKED if signal.getsignal(number) != signal.SIG_IGN]

    def hold(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) + asked > 1:
            cut_off()

    before = [signal.signal(number, hold) for number in numbers]
    is_done = False
    try:
        yield
        is_done = too_late
    except NeedsPerson:
        is_done = too_late
        raise
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if came and not is_done:
            signal.raise_signal(came[0])
