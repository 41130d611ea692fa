"""Processes of dlbackup's engine that are kept for the next command that a test runs in its own process.

To start one takes 0.4 s of processor time, half of what many a command takes, and dlbackup leaves nothing of a job in
one. Whose job failed or was cut off is never kept, nor who loaded what not everybody asks for, nor what a test made up.
"""

import json
import os
from pathlib import Path

from dlbackup.runtime.child import Child

__all__ = ["KeptChild", "end_all"]

_MOST = 3
"""So many wait at once; each holds some 100 MB."""
_PROGRAM = Path(__file__).with_name("kept_program.py")
_EVERYBODY_S = frozenset({"ducklake", "postgres", "sqlite"})
_OF_A_TEST = "PYTEST_CURRENT_TEST"
_Start = tuple[Path, str, frozenset[tuple[str, str]]]
_idle: list[tuple[_Start, Child]] = []


def end_all() -> None:
    """End those that wait for a job."""
    while _idle:
        _idle.pop()[1].end()


class KeptChild:
    """
    A child as `dlbackup.runtime.child.Child` that is told its extensions and then jobs, maybe a kept one.

    It stands in for the function `start_file` that starts engines, and raises as it does.
    """

    def __init__(self, python: Path, program: str) -> None:
        variables = frozenset((name, value) for name, value in os.environ.items() if name != _OF_A_TEST)
        self._start = (python, program, variables)
        kept = _taken(self._start)
        self._is_new = kept is None
        self._child = kept or Child([str(python), str(_PROGRAM), program], quiet=True)
        self._unheard = b""
        self._due = 0
        self._is_good, self._is_over = True, False

    def say(self, words: bytes) -> None:
        """Tell it something."""
        job = json.loads(words)
        self._is_good = self._is_good and set(job["extensions"]) <= _EVERYBODY_S
        if "statements" in job:
            words = json.dumps({**job, "folder": str(Path.cwd())}).encode() + b"\n"
        else:
            # Others make secrets and leave them to the end, or are scripts in a test's folder.
            self._is_good = len(job["extensions"]) > 1 and self._start[0].parent.name == "bin"
            if not self._is_new:
                self._unheard = b'{"ready": true}\n'
                return
        self._due += 1
        self._child.say(words)

    def hear(self, until: float, most: int) -> bytes:
        """Return what it says next; raises as `Child.hear` does."""
        if self._unheard:
            said, self._unheard = self._unheard, b""
            return said
        said = self._child.hear(until, most)
        self._due -= said.count(b"\n")
        self._is_good = self._is_good and bool(said) and b'"error"' not in said
        return said

    def is_there(self) -> bool:
        """Tell whether it has not ended."""
        return not self._is_over and self._child.is_there()

    def ended(self) -> str:
        """Return how it ended, as `Child.ended` does."""
        self._is_good = False
        return self._child.ended()

    def end(self) -> None:
        """Keep it where all that it was told is answered, else end it; that may be said twice."""
        if self._is_over:
            return
        self._is_over = True
        if self._is_good and not self._due and self._child.is_there():
            _idle.append((self._start, self._child))
            if len(_idle) > _MOST:
                _idle.pop(0)[1].end()
        else:
            self._child.end()


def _taken(start: _Start) -> Child | None:
    for place, (of, kept) in enumerate(_idle):
        if of == start and kept.is_there():
            del _idle[place]
            return kept
    return None
