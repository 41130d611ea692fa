"""
What happened, as events; how far a job is, and how long it will take; the listener that does nothing.

Verbs report through a callable; only the command line decides whether and how events are shown.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import TypeVar

from dlbackup.errors import counted

MOST_ROWS = 1 << 53
"""More than any table has; larger numbers are not exact as fractions, and much larger ones are no fractions."""
REPORT_S = 0.2
"""Seconds between two events of a job that counts rows."""
_ENOUGH_WORK = 0.02
_ENOUGH_S = 1.0
"""Before that share of the work is done, and that many seconds have passed, nobody knows how long it will take."""
Rows = TypeVar("Rows", bound=Sized)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One step of a job.

    Args:
        stage: what is being done, e.g. `dump` or `fence`.
        message: the step in words; no secrets.
        done: rows so far, where the job counts rows.
        total: rows in all, where known; 0 otherwise.
        warning: True when the user should read it even with `-q`.
        share: how much of the work is done, from 0 to 1, where that is known.
        rate: rows a second so far.
        remaining_s: seconds until the job's end, once that can be told.
    """

    stage: str
    message: str
    done: int = 0
    total: int = 0
    warning: bool = False
    share: float | None = None
    rate: float = 0.0
    remaining_s: float | None = None

    @property
    def is_progress(self) -> bool:
        """Whether another event will say the same with higher numbers."""
        return self.share is not None or self.rate > 0 or self.total > 0


OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listen without doing anything."""


class Meter:
    """
    Counts the rows of a job that is divided into parts, such as tables, and reports a few times a second.

    The time that remains is that of the work that remains, at the speed of all work until now: parts whose
    rows are long count for more. A part's rows count only up to its work, so that a wrong guess of their
    number does no harm beyond that part.

    Args:
        stage: of the events.
        work: of all parts; 0 where it is not known.
        rows: of all parts; 0 where it is not known.
        guessed: that number of rows is not exact.
        after: how much work follows in another stage, as a share of this one's.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        stage: str,
        on_event: OnEvent,
        work: float = 0.0,
        rows: int = 0,
        *,
        guessed: bool = False,
        after: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.done = 0
        self._stage, self._on_event, self._clock = stage, on_event, clock
        self._work, self._rows, self._guessed, self._after = work, rows, guessed, after
        self._finished = self._part = self._row = self._in_part = self._ahead = 0.0
        self._begun = self._reported = clock()

    def part(self, work: float, rows: float = 0) -> None:
        """Begin a part, which ends the one before; without its rows, it counts only once it is over."""
        self._finished += self._part
        self._part, self._in_part = work, 0.0
        self._row = work / min(rows, MOST_ROWS) if rows > 0 else 0.0

    def add(self, rows: int, ahead: float = 0.0) -> None:
        """Count rows of the part that is under way; `ahead` is the work of parts to come that is done already."""
        self.done += rows
        self._ahead = ahead
        self._in_part = min(self._in_part + rows * self._row, self._part)
        now = self._clock()
        if now - self._reported >= REPORT_S:
            self._reported = now
            self._on_event(self._event(now - self._begun))

    def counted(self, blocks: Iterable[Rows]) -> Iterator[Rows]:
        """Give blocks of rows on, and count each once it has been used."""
        for block in blocks:
            yield block
            self.add(len(block))

    def _event(self, elapsed: float) -> Event:
        share = remaining = None
        done = self._finished + self._in_part + self._ahead
        if self._work > 0:
            share = min(done / self._work, 1.0)
            if share >= _ENOUGH_WORK and elapsed >= _ENOUGH_S:
                remaining = max(self._work * (1 + self._after) - done, 0.0) * elapsed / done
        rate = self.done / elapsed if elapsed > 0 else 0.0
        total = max(self._rows, self.done) if self._rows else 0
        text = counted(self.done, "row")
        if total:
            text = f"{self.done:,} of {'about ' * self._guessed}{counted(total, 'row')}"
        text += f", {rate:,.0f} rows/s"
        if remaining is not None:
            text += f", {in_words(remaining)} left"
        return Event(
            stage=self._stage, message=text, done=self.done, total=total, share=share, rate=rate, remaining_s=remaining
        )


def in_words(seconds: float) -> str:
    """Return a time that is only roughly known, as a person would say it."""
    if seconds < 90:
        return f"about {max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"about {minutes} min"
    return f"about {minutes // 60} h {minutes % 60} min"
