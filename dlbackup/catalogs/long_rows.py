"""
What long rows take of DuckDB's memory.

A lake inlines few rows however long they are, such as one with a file's bytes, and its statistics name them again. Such
a value goes through DuckDB as a whole, several times: as a piece of CSV, as the text, as the value, as the text again.
"""

from collections.abc import Iterable

_LONG_BYTES = 1 << 14
"""Of shorter ones there is room for the 2,048 that DuckDB has ready at once."""
_TIMES_LONGEST, _TIMES_ALL = 12, 3
"""Rows of 20 and 80 MB took a little less."""


class LongRows:
    """The long rows that went into a DuckDB until now."""

    def __init__(self) -> None:
        self.longest = self.all = 0

    def count(self, texts: Iterable[bytes | memoryview]) -> None:
        """Take more rows."""
        if long := [size for size in map(len, texts) if size > _LONG_BYTES]:
            self.longest = max(self.longest, *long)
            self.all += sum(long)

    @property
    def memory_kib(self) -> int:
        """What they take beside the memory that is enough for others."""
        return (_TIMES_LONGEST * self.longest + _TIMES_ALL * self.all) >> 10
