"""How far a job is and how long it will take, on a clock that only the test moves."""

import random
from collections.abc import Iterator, Sequence

import pytest
from support.clock import Clock

from dlbackup.runtime.progress import REPORT_S, Event, Meter, ignore, in_words

Part = tuple[float, int, float]
"""Its work, its rows, the seconds that a row takes."""


def run(
    parts: Sequence[Part], *, rows_known: bool = True, after: float = 0.0, after_s: float = 0.0
) -> list[tuple[Event, float]]:
    """Let a job pass, a block of up to 1,000 rows after the other; return its events and the time that remains."""
    clock = Clock()
    heard: list[tuple[Event, float]] = []
    rows = sum(rows for _, rows, _ in parts)
    meter = Meter(
        "dump",
        lambda event: heard.append((event, clock.now - 100)),
        sum(work for work, _, _ in parts),
        rows if rows_known else 0,
        after=after,
        clock=clock,
    )

    def blocks(rows: int, row_s: float) -> Iterator[list[int]]:
        for first in range(0, rows, 1000):
            block = [0] * min(1000, rows - first)
            clock.now += len(block) * row_s
            yield block

    for work, count, row_s in parts:
        meter.part(work, count if rows_known else 0)
        assert sum(map(len, meter.counted(blocks(count, row_s)))) == count
    whole = clock.now - 100 + after_s
    return [(event, whole - at) for event, at in heard]


def late(events: list[tuple[Event, float]]) -> list[tuple[float, float]]:
    """Return the told and the true remaining time after the first tenth of the time, but for the last second."""
    whole = events[0][1] + REPORT_S
    found = [(event.remaining_s, left) for event, left in events if 1 < left < whole * 0.9]
    assert all(told is not None for told, _ in found)
    assert len(found) > 10
    return [(told, left) for told, left in found if told is not None]


def test_a_constant_speed_is_told_exactly() -> None:
    """Where each row takes the same time, the remaining time is right from the tenth on."""
    for told, left in late(run([(3e6, 3_000_000, 1e-5)])):
        assert told == pytest.approx(left, rel=0.02)


def test_a_mix_of_tables_is_told_within_half() -> None:
    """Tables whose rows differ a hundred times in size, and by a third in the speed of their work, in any order."""
    for seed in range(20):
        dice = random.Random(seed)
        parts: list[Part] = []
        for _ in range(30):
            rows, row_work = dice.randrange(1, 300_000), dice.choice([30, 100, 300, 3000])
            parts.append((rows * row_work, rows, row_work * dice.uniform(0.8, 1.2) * 1e-7))
        for told, left in late(run(parts)):
            assert left / 1.5 < told < left * 1.5, f"seed {seed}"


def test_what_follows_is_counted() -> None:
    """Work of the next stage is part of the remaining time."""
    for told, left in late(run([(1e6, 1_000_000, 1e-5)], after=0.5, after_s=5.0)):
        assert told == pytest.approx(left, rel=0.02)


def test_tables_without_a_count_are_told_by_their_ends() -> None:
    """Without known numbers of rows, the parts that are over still tell the time, and no total is named."""
    events = run([(100, 1000, 1e-4)] * 500, rows_known=False)

    assert {event.total for event, _ in events} == {0}
    for told, left in late(events):
        assert left / 1.5 < told < left * 1.5


def test_a_wrong_guess_of_the_rows_is_mended_at_the_end_of_the_part() -> None:
    """A part with ten times the rows that were guessed counts for its work, and no more."""
    clock, heard = Clock(), list[Event]()
    meter = Meter("dump", heard.append, 200, 2000, guessed=True, clock=clock)
    meter.part(100, 100)
    for _ in range(100):
        clock.now += 1
        meter.add(100)
    meter.part(100, 1000)
    clock.now += 1
    meter.add(0)

    assert [event.share for event in heard][:2] == [0.5, 0.5]
    assert heard[-1].share == 0.5
    assert heard[-1].total == 10_000
    assert heard[-1].message.startswith("10,000 of about 10,000 rows, 99 rows/s, about 2 min left")


def test_work_that_is_done_ahead_counts() -> None:
    """Parts to come that helpers have done already are part of the share, until they are counted themselves."""
    clock, heard = Clock(), list[Event]()
    meter = Meter("dump", heard.append, 100, clock=clock)
    for part, ahead in ((10, 20.0), (10, 10.0), (10, 0.0)):
        meter.part(part, 1000)
        clock.now += 1
        meter.add(1000, ahead)

    assert [event.share for event in heard] == [0.3, 0.3, 0.3]


def test_nothing_is_told_too_early() -> None:
    """Neither in the first second nor before a fiftieth of the work is a remaining time named."""
    for event, left in run([(3e6, 3_000_000, 1e-5)]):
        elapsed = 30 - left
        assert (event.remaining_s is None) == (elapsed < 1 - 1e-9 or elapsed < 0.02 * 30 - 1e-9)


def test_without_any_work_only_rows_are_told() -> None:
    """Where no work is known there is neither a share nor a remaining time, at any time."""
    clock, heard = Clock(), list[Event]()
    meter = Meter("dump", heard.append, clock=clock)
    for _ in range(50):
        clock.now += 1
        meter.add(1234)

    assert {(event.share, event.remaining_s, event.total) for event in heard} == {(None, None, 0)}
    assert heard[0].message == "1,234 rows, 1,234 rows/s"


def test_events_come_a_few_times_a_second() -> None:
    """However small the blocks are, no more than five events come a second."""
    clock, heard = Clock(), list[Event]()
    meter = Meter("dump", heard.append, 1e6, 1_000_000, clock=clock)
    meter.part(1e6, 1_000_000)
    for _ in range(10_000):
        clock.now += 0.001
        meter.add(10)

    assert 45 <= len(heard) <= 50


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "about 1 s"),
        (0.4, "about 1 s"),
        (12.4, "about 12 s"),
        (89.9, "about 90 s"),
        (90, "about 2 min"),
        (600, "about 10 min"),
        (5430, "about 1 h 30 min"),
        (90_000, "about 25 h 0 min"),
    ],
)
def test_times_in_words(seconds: float, words: str) -> None:
    """A remaining time is named as roughly as it is known."""
    assert in_words(seconds) == words


def test_progress_is_told_from_steps() -> None:
    """An event is progress when it has a rate, a share or a total; a step has none."""
    assert not Event(stage="dump", message="22 tables, 903 rows read", done=903).is_progress
    assert Event(stage="check", message="a-rule", done=0, total=98).is_progress
    assert Event(stage="dump", message="5 rows", done=5, rate=1.0).is_progress
    assert ignore(Event(stage="dump", message="x")) is None  # type: ignore[func-returns-value]
