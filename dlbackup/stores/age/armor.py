"""
Files of age as text (`age --armor`), read as if they were not.

Every line but the last has 64 characters, so any part is found without what stands before it.
"""

import base64

from dlbackup.errors import Corrupt, Unfinished
from dlbackup.stores.contract import Readable

BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----"
_END = b"-----END AGE ENCRYPTED FILE-----"
_LINE, _LINE_BYTES = 64, 48
_SPACE_AT_MOST = 1024
"""Of white space before and behind; age reads no more either."""


def is_armored(file: Readable) -> bool:
    """Tell by its first line whether a file is one of age as text."""
    return file.read_at(0, _SPACE_AT_MOST + len(BEGIN)).lstrip().startswith(BEGIN)


class Dearmored:
    """
    The bytes that an armored file stands for; see `Readable`.

    Raises:
        BackupError: it is cut off, or not as age writes it.
    """

    def __init__(self, file: Readable) -> None:
        self._file = file
        head = file.read_at(0, _SPACE_AT_MOST + len(BEGIN) + 2)
        begin = head.find(BEGIN) + len(BEGIN)
        ending = b"\r\n" if head[begin : begin + 2] == b"\r\n" else b"\n"
        if head[begin : begin + len(ending)] != ending:
            raise Corrupt("the first line of the armored file is damaged")
        self._ending, self._begin = ending, begin + len(ending)
        self._width = _LINE + len(ending)
        self._end = self._end_of_lines()
        self._lines = -(-(self._end - self._begin) // self._width)
        last = self._decoded(self._lines - 1, self._lines) if self._lines > 0 else b""
        self.size = max(0, self._lines - 1) * _LINE_BYTES + len(last)
        """How many bytes it stands for."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Read and decode the lines in question; see `Readable`."""
        end = min(offset + size, self.size)
        if end <= offset:
            return b""
        first = offset // _LINE_BYTES
        data = self._decoded(first, -(-end // _LINE_BYTES))
        return data[offset - first * _LINE_BYTES : end - first * _LINE_BYTES]

    def _end_of_lines(self) -> int:
        """Return where the last line begins, which says that there are no more."""
        behind = max(self._begin, self._file.size - _SPACE_AT_MOST - len(_END))
        tail = self._file.read_at(behind, self._file.size - behind).rstrip()
        if not tail.endswith(_END):
            raise Unfinished("the armored file is cut off: its last line is missing")
        return behind + len(tail) - len(_END)

    def _decoded(self, first: int, end: int) -> bytes:
        begin = self._begin + first * self._width
        text = self._file.read_at(begin, min((end - first) * self._width, self._end - begin))
        lines = text.split(self._ending)
        if lines.pop() or any(len(line) != _LINE for line in lines[: None if end < self._lines else -1]):
            raise Corrupt("the armored file is damaged: its lines are not as age writes them")
        joined = b"".join(lines)
        try:
            data = base64.b64decode(joined, validate=True)
        except ValueError:
            data = b""
        if not data or len(lines[-1]) > _LINE or base64.b64encode(data) != joined:
            raise Corrupt("the armored file is damaged: not base64 as age writes it")
        return data
