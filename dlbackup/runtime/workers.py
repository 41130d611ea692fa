"""
Numbered tasks, worked off in order by this process and by helpers: Python processes of our own.

Reading rows holds Python's lock, so a thread gains nothing and a second process does. A helper is told by
pickles on its standard input what to do, so no secret stands in a process list, and it ends when that is
closed. A helper that can't begin, or dies, is done without: its task is taken back. (Helpers of
`multiprocessing` would import the program again that uses dlbackup as a library.)
"""

import os
import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, Generic, TypeVar

from dlbackup.runtime.child import Child, start

Task = TypeVar("Task")
Result = TypeVar("Result")
Opener = Callable[[Any], AbstractContextManager[Callable[[Any], Any]]]
"""A module's function: opens, with one argument, what works off tasks."""
JOBS = min(2, os.cpu_count() or 1)
"""How many processes work when nobody says: three and four were slower beside a server on two cores."""
WINDOW = 8
"""How far helpers may be ahead of the result that is wanted next; it bounds memory."""
_READY = "ready"


class Crew(Generic[Task, Result]):
    """
    Works off tasks; the order of results does not depend on who does what. Close it with `with`.

    Args:
        opener: opens, in a helper, what works off tasks; both it and `argument` are pickled.
        work: works off a task in this process.
        helpers: how many processes there are beside this one.
    """

    def __init__(self, opener: Opener, argument: object, work: Callable[[Task], Result], helpers: int) -> None:
        self._work = work
        self._tasks: list[Task] = []
        self._open: deque[int] = deque()
        self._done: dict[int, Result | BaseException] = {}
        self._wanted = self._given = 0
        self._ended = False
        self._change = threading.Condition()
        self._children: list[Child] = []
        hello = pickle.dumps((opener, argument))
        self._threads = [threading.Thread(target=self._manage, args=(hello,), daemon=True) for _ in range(helpers)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "Crew[Task, Result]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._change:
            self._ended = True
            self._change.notify_all()
            for child in self._children if kind else ():
                child.kill()
        for thread in self._threads:
            thread.join()

    def add(self, tasks: Iterable[Task]) -> range:
        """Give tasks, to be done after all earlier ones; return their numbers."""
        with self._change:
            first = len(self._tasks)
            self._tasks += tasks
            numbers = range(first, len(self._tasks))
            self._open += numbers
            self._change.notify_all()
        return numbers

    @property
    def ahead(self) -> float:
        """How many tasks are done whose results nobody has taken yet; one that is under way counts for a half."""
        begun = len(self._tasks) - len(self._open) - self._given
        return (begun + len(self._done)) / 2

    def result(self, number: int) -> Result:
        """
        Return the result of a task, once; do this and other tasks here in the meantime.

        Raises:
            Exception: what the task raised, here or in a helper.
        """
        while True:
            with self._change:
                self._wanted = number
                self._change.notify_all()
                if number in self._done:
                    found = self._done.pop(number)
                    break
                mine = self._take(prefer=number)
                if mine is None:
                    self._change.wait()
                    continue
            result = self._work(self._tasks[mine])
            with self._change:
                self._done[mine] = result
        self._given += 1
        if isinstance(found, BaseException):
            raise found
        return found

    def _take(self, prefer: int = -1) -> int | None:
        """Take the next task, or the one that is wanted if nobody has it; None where there is none to do yet."""
        if prefer in self._open:
            self._open.remove(prefer)
            return prefer
        if self._open and self._open[0] < self._wanted + WINDOW:
            return self._open.popleft()
        return None

    def _manage(self, hello: bytes) -> None:
        """Give tasks to one helper until all is done, or it is gone."""
        with suppress(OSError, EOFError, pickle.UnpicklingError), start(serve) as child:
            with self._change:
                self._children.append(child)
                if self._ended:
                    child.kill()
            child.say(hello)
            if pickle.load(child.says) == _READY:  # noqa: S301 - from our own helper
                self._feed(child)
            child.finish()

    def _feed(self, child: Child) -> None:
        while True:
            with self._change:
                while (number := None if self._ended else self._take()) is None:
                    if self._ended:
                        return
                    self._change.wait()
            try:
                child.say(pickle.dumps(self._tasks[number]))
                result = pickle.load(child.says)  # noqa: S301 - from our own helper
            except BaseException:
                with self._change:
                    self._open.appendleft(number)
                    self._change.notify_all()
                raise
            with self._change:
                self._done[number] = result
                self._change.notify_all()


def serve() -> None:
    """Be a helper: open what the first pickle on standard input says, work off tasks until there are no more."""
    tasks = sys.stdin.buffer
    with suppress(BrokenPipeError):
        try:
            opener, argument = pickle.load(tasks)  # noqa: S301 - from our own parent
            with opener(argument) as work:
                _answer(_READY)
                while True:
                    task = pickle.load(tasks)  # noqa: S301 - from our own parent
                    _answer(work(task))
        except EOFError:
            return
        except Exception as exc:  # noqa: BLE001 - it is raised again by the process that wants the result
            _answer(exc)


def _answer(value: object) -> None:
    pickle.dump(value, sys.stdout.buffer)
    sys.stdout.buffer.flush()
