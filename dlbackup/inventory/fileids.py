"""
Numbers of a lake's files as ranges: they are given in turn, so that a few ranges say what a million files are.

Data files and delete files have numbers of one row, so one set holds both.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise


@dataclass(frozen=True, slots=True)
class FileIds:
    """A set of numbers; `ranges` are its stretches, each with its first and last, in order and apart."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, numbers: Iterable[int]) -> "FileIds":
        """Return the set of these numbers, in any order."""
        stretches = groupby(enumerate(sorted(set(numbers))), key=lambda at: at[1] - at[0])
        return cls(tuple(_ends([number for _, number in stretch]) for _, stretch in stretches))

    @classmethod
    def of_text(cls, text: str) -> "FileIds":
        """
        Return the set that `str` gave.

        Raises:
            ValueError: it is none.
        """
        ranges = tuple(_range(part) for part in text.split(",")) if text else ()
        if any(first > last for first, last in ranges) or any(
            before[1] + 1 >= after[0] for before, after in pairwise(ranges)
        ):
            raise ValueError(f"{text[:40]!r} are no ranges in order")
        return cls(ranges)

    def __str__(self) -> str:
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in self.ranges)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __and__(self, other: "FileIds") -> "FileIds":
        return FileIds(tuple(self._common(other)))

    def __sub__(self, other: "FileIds") -> "FileIds":
        return FileIds(tuple(self._without(other)))

    def _common(self, other: "FileIds") -> Iterator[tuple[int, int]]:
        ours, theirs = iter(self.ranges), iter(other.ranges)
        a, b = next(ours, None), next(theirs, None)
        while a and b:
            if (first := max(a[0], b[0])) <= (last := min(a[1], b[1])):
                yield first, last
            if a[1] < b[1]:
                a = next(ours, None)
            else:
                b = next(theirs, None)

    def _without(self, other: "FileIds") -> Iterator[tuple[int, int]]:
        taken = iter(other.ranges)
        gone = next(taken, None)
        for first, last in self.ranges:
            at = first  # what is below was dealt with
            while gone and gone[0] <= last:
                if at < gone[0]:
                    yield at, gone[0] - 1
                at = max(at, gone[1] + 1)
                if gone[1] > last:
                    break
                gone = next(taken, None)
            if at <= last:
                yield at, last


def _ends(numbers: list[int]) -> tuple[int, int]:
    return numbers[0], numbers[-1]


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)
