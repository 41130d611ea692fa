"""A crew: results in the order of tasks whoever does them, and nothing left behind when one fails."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from support.waiting import wait_until

from dlbackup.errors import Corrupt, Unreachable
from dlbackup.runtime.workers import Crew, Opener


def work(task: int) -> tuple[int, int]:
    """Return the square of a task and the process that made it, after the time of a real one."""
    if task == -13:
        raise Corrupt("task 13 is damaged", "take another")
    time.sleep(0.003)
    return task * task, os.getpid()


@contextmanager
def squares(_: object) -> Iterator[Callable[[int], tuple[int, int]]]:
    """Open a helper that does the same as this process."""
    yield work


@contextmanager
def nobody(_: object) -> Iterator[Callable[[int], tuple[int, int]]]:
    """Fail to open, as a helper does whom the server gives no connection."""
    raise Unreachable("too many connections")
    yield work


@contextmanager
def mortals(_: object) -> Iterator[Callable[[int], tuple[int, int]]]:
    """Open a helper that is killed at its third task."""
    done = []

    def once_more(task: int) -> tuple[int, int]:
        done.append(task)
        if len(done) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(task)

    yield once_more


@pytest.mark.parametrize(
    ("opener", "helpers"),
    [
        *((squares, 0), (squares, 3), (nobody, 1), (mortals, 3)),
        *(
            pytest.param(*it, marks=pytest.mark.long)
            for it in ((squares, 1), (nobody, 0), (nobody, 3), (mortals, 0), (mortals, 1))
        ),
    ],
)
def test_results_come_in_order_whoever_does_the_work(opener: Opener, helpers: int) -> None:
    """Every task has its result, in order, with all helpers, with none, and when helpers can't begin or die."""
    with Crew(opener, None, work, helpers) as crew:
        first, more = crew.add(range(10)), crew.add(range(20, 40))
        results = [crew.result(number) for number in (*first, *more)]

    assert [square for square, _ in results] == [n * n for n in (*range(10), *range(20, 40))]


@pytest.mark.parametrize("helpers", [0, pytest.param(1, marks=pytest.mark.long), 3])
def test_what_is_done_ahead_is_told(helpers: int) -> None:
    """What is ahead is never more than what is left to be taken, and nothing where there are no helpers."""
    with Crew(squares, None, work, helpers) as crew:
        numbers = crew.add(range(50))
        seen = [(crew.result(number), crew.ahead)[1] for number in numbers]

    assert all(0 <= ahead <= left for ahead, left in zip(seen, reversed(range(50)), strict=True))
    assert seen[-1] == 0
    assert helpers or set(seen) == {0}


def test_helpers_take_part() -> None:
    """Tasks are done in more than one process."""

    def patient(number: int) -> tuple[int, int]:
        if number == 0:
            wait_until(lambda: crew.ahead > 0.5)  # more is under way than this task
        return work(number)

    with Crew(squares, None, patient, 2) as crew:
        processes = {crew.result(number)[1] for number in crew.add(range(20))}

    assert len(processes) > 1 and os.getpid() in processes


@pytest.mark.parametrize("helpers", [0, 2])
def test_an_error_is_raised_where_its_result_is_wanted(helpers: int) -> None:
    """What a task raises, here or in a helper, comes out whole, and the crew can be closed."""
    with Crew(squares, None, work, helpers) as crew:
        numbers = crew.add([10, 11, 12, -13])
        assert [crew.result(number)[0] for number in numbers[:3]] == [100, 121, 144]
        with pytest.raises(Corrupt) as raised:
            crew.result(numbers[3])

    assert (raised.value.message, raised.value.hint) == ("task 13 is damaged", "take another")


def test_no_helper_survives_an_error() -> None:
    """Helpers are ended, whatever they are doing, when the block ends by an exception."""
    with pytest.raises(KeyboardInterrupt), Crew(squares, None, work, 2) as crew:
        processes = {crew.result(number)[1] for number in crew.add(range(100))}
        raise KeyboardInterrupt

    for process in processes - {os.getpid()}:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
