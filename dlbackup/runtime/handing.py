"""
Text for a reader that wants the path of a file, without one that has a name where others look, or that is left behind.

On Linux it is in memory alone, and its path is good in this process and in the children that are given its number.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Handed:
    """
    What is handed over, one text after the other.

    Args:
        path: where it is read.
        number: of its descriptor; None where it is a file.
    """

    def __init__(self, path: str, number: int | None) -> None:
        self.path = path
        self.numbers = () if number is None else (number,)
        """The descriptors that a child has to have."""
        self._target = path if number is None else number

    @contextmanager
    def holding(self, parts: Iterable[bytes | memoryview]) -> Iterator[None]:
        """Have it hold a text for the block; raises OSError where there is no room."""
        with open(self._target, "wb", closefd=not self.numbers) as file:
            file.seek(0)
            file.truncate()
            file.write(b"".join(parts))
        try:
            yield
        finally:
            os.truncate(self._target, 0)


@contextmanager
def handing(folder: Path) -> Iterator[Handed]:
    """Open one for the block; a file in that folder, where the system has none without a name."""
    number: int | None = None
    with suppress(AttributeError, OSError):
        number = os.memfd_create("dlbackup", os.MFD_CLOEXEC)
    if number is None:
        yield Handed(str(folder / "rows.csv"), None)
        return
    try:
        path = f"/proc/self/fd/{number}"
        yield Handed(path, number) if Path(path).exists() else Handed(str(folder / "rows.csv"), None)
    finally:
        os.close(number)
