"""
A limit to how much text passes in a second, for a server that has other work.

What passes is counted and then waited for, so that the rate holds over any longer time; a pause of the other
side is made up for a quarter of a second only. Nothing is dropped or cut, a large row is waited for longer.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from dlbackup.errors import UsageError

Texts = Sequence[bytes | memoryview]
"""Texts that pass together: what `tables.digest` calls a block."""

_BURST_S = 0.25
_NAP_S = 0.1
"""A thread that sleeps hears no signal and no request to end."""
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


def parse_rate(text: str) -> float:
    """
    Return the bytes a second that `500k`, `20M` or `1.5G` means; thousands, not 1024.

    Raises:
        ValueError: it is no rate.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([kmg]?)", text.strip(), re.IGNORECASE | re.ASCII)
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{text!r} is not a rate")
    return float(match[1]) * _UNITS[match[2].lower()]


class Throttle:
    """
    Lets bytes pass at a rate; threads may share one.

    Args:
        rate: bytes a second.
        clock, sleep: seconds that never go back, and how to let some pass.
    """

    def __init__(
        self, rate: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        if not 0 < rate < float("inf"):
            raise UsageError(f"a rate of {rate:g} bytes a second is impossible")
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._free_at = clock()
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Count bytes that pass, and return when the next may."""
        with self._lock:
            self._free_at = max(self._free_at, self._clock() - _BURST_S) + size / self._rate
            until = self._free_at
        while (left := until - self._clock()) > 0:
            self._sleep(min(left, _NAP_S))


def throttle(rate: float | None) -> Throttle | None:
    """Return a throttle for a rate, none where there is no limit."""
    return None if rate is None else Throttle(rate)


def paced(blocks: Iterator[Texts], limit: Throttle | None) -> Iterator[Texts]:
    """Give rows on no faster than their text may pass."""
    return blocks if limit is None else _paced(blocks, limit)


def _paced(blocks: Iterator[Texts], limit: Throttle) -> Iterator[Texts]:
    for block in blocks:
        limit.take(sum(map(len, block)))
        yield block
