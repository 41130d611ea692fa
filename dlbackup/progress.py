"""
What happened, as events, and the listener that does nothing.

Verbs report through a callable; only the command line decides whether and how events are shown.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """
    One step of a job.

    Args:
        stage: what is being done, e.g. `dump` or `fence`.
        message: the step in words; no secrets.
        done: rows so far, where the job counts rows.
        total: rows in all, where known; 0 otherwise.
        warning: True when the user should read it even with `-q`.
    """

    stage: str
    message: str
    done: int = 0
    total: int = 0
    warning: bool = False


PROGRESS_ROWS = 250_000
"""How many rows pass between two events."""

OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listen without doing anything."""
