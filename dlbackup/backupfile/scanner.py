"""The rows of frames, read and proved: digests, shapes and counts, block by block."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dlbackup.backupfile.frames import Frame, read_frame
from dlbackup.backupfile.manifest import Entry, inner_frames
from dlbackup.errors import Corrupt, UnsafeStatement
from dlbackup.lake.canonical import Canonical
from dlbackup.stores.contract import Readable, Where
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Rows, digest, total
from dlbackup.tables.rows import END, find_body, insert_header
from dlbackup.tables.shapes import Body, ShapeCheck


@dataclass(frozen=True, slots=True)
class RowBlock:
    """The checked rows of one INSERT."""

    entry: Entry
    body: Body
    digest: int

    @property
    def rows(self) -> list[bytes]:
        """The texts of the rows, in the order of the file."""
        return self.body.rows


@dataclass(frozen=True, slots=True)
class ProvedRows:
    """The rows of some frames, proved: how many, their part of the fingerprint, their shapes."""

    rows: Rows
    meaning: Rows
    shapes: frozenset[bytes]


Elsewhere = Callable[[Entry], Iterable[ProvedRows] | None]


def prove_rows(where: Where, table: Table, frames: Sequence[Frame], canonical: Canonical) -> ProvedRows:
    """
    Prove frames that hold nothing but rows of a table. See `TablePart.canonical`.

    Raises:
        BackupError: as `BackupReader.scan`; StorageError: the file can't be read.
    """
    shape = ShapeCheck(table)
    parts, meanings = [], []
    with where.open() as file:
        text = TextCursor(file, frames, range(len(frames)))
        for body in _bodies(text, table, shape):
            part = digest(body.rows)
            parts.append(Rows(len(body.rows), part))
            meanings.append(canonical.meaning(body.rows, part))
        text.expect_nothing()
    return ProvedRows(total(parts), total(meanings), frozenset(shape.seen))


def _bodies(text: "TextCursor", table: Table, shape: ShapeCheck) -> Iterator[Body]:
    """Yield the checked rows of each INSERT that comes next."""
    header = insert_header(table)
    while text.at(header):
        body = shape.check(*text.take_body(header))
        text.count_rows(len(body.rows))
        yield body


def scan_rows(
    text: "TextCursor", entry: Entry, shape: ShapeCheck, numbers: range, elsewhere: Elsewhere | None
) -> Iterator[RowBlock]:
    """Read the rows that a table has in the frames with these numbers, and compare them if those are all."""
    parts: list[Rows] = []

    def blocks() -> Iterator[RowBlock]:
        for body in _bodies(text, entry.table, shape):
            parts.append(Rows(len(body.rows), digest(body.rows)))
            yield RowBlock(entry, body, parts[-1].digest)

    inner = inner_frames(entry)
    if elsewhere is not None and inner and (proved := elsewhere(entry)) is not None:
        with text.stopping_before(inner.start):
            yield from blocks()
        for part in proved:
            parts.append(part.rows)
            shape.seen |= part.shapes
        text.skip(inner)
    yield from blocks()
    if entry.last_frame >= numbers.stop:
        return
    name = entry.table.name
    text.expect_frame(entry, entry.last_frame)
    if entry.first_frame < numbers.start:
        return
    found = total(parts)
    if found.count != entry.rows:
        raise Corrupt(f"table {name}: {found.count} rows read, {entry.rows} in the manifest")
    if found != entry.content:
        raise Corrupt(f"table {name}: the rows are not the ones in the manifest (their digest differs)")


class TextCursor:
    """The statements of some frames of a backup, one after the other."""

    def __init__(self, file: Readable, frames: Sequence[Frame], numbers: range) -> None:
        self._file, self._frames = file, frames
        self._start, self._stop = numbers.start, numbers.stop
        self._number = self._start - 1  # of the frame that is being read
        self._taken_from = -1  # of the frame that the last statement was in
        self._text = b""
        self._position = 0
        self._rows = 0

    @contextmanager
    def stopping_before(self, number: int) -> Iterator[None]:
        """Read no further than to the frame before this one."""
        stop, self._stop = self._stop, number
        try:
            yield
        finally:
            self._stop = stop

    def skip(self, frames: range) -> None:
        """Go on behind these frames, which come next and were proved elsewhere."""
        if self._position < len(self._text) or self._number + 1 != frames.start:
            raise UnsafeStatement(f"the backup holds something else than rows in frame {max(self._number, 0)}")
        self._end_frame()
        self._number = self._taken_from = frames.stop - 1
        self._text, self._position, self._rows = b"", 0, self._frames[self._number].rows

    def expect(self, statement: bytes) -> None:
        """Take the statement that has to come next."""
        if not self.at(statement):
            found = self._text[self._position : self._position + 80]
            raise UnsafeStatement(
                f"the backup holds something else than dlbackup writes in frame {max(self._number, 0)}: {found!r}"
            )
        self._position += len(statement)
        self._taken_from = self._number

    def expect_frame(self, entry: Entry, number: int) -> None:
        """Refuse when the last statement was not in the frame that the manifest says."""
        if self._taken_from != number:
            raise Corrupt(f"table {entry.table.name} is not in the frames that the manifest says")

    def is_over(self) -> bool:
        """Tell whether everything was taken."""
        return self._position == len(self._text) and self._number + 1 == self._stop

    def expect_nothing(self) -> None:
        """Refuse anything more."""
        if not self.is_over():
            raise UnsafeStatement("the backup holds something after its last statement")
        self._end_frame()

    def at(self, statement: bytes) -> bool:
        """Tell whether this statement comes next; go on to the next frame where one is used up."""
        while self._position == len(self._text) and self._number + 1 < self._stop:
            self._end_frame()
            self._number += 1
            self._text = read_frame(self._file, self._frames[self._number])
            self._position = self._rows = 0
        return self._text.startswith(statement, self._position)

    def take_body(self, header: bytes) -> tuple[bytes, list[bytes]]:
        """Take the inside of the VALUES list after a header; return it whole, and cut at its quotes."""
        start = self._position + len(header)
        body, pieces = find_body(self._text, start)
        self._position = start + len(body) + len(END)
        self._taken_from = self._number
        return body, pieces

    def count_rows(self, rows: int) -> None:
        """Count rows of the frame that is being read."""
        self._rows += rows

    def _end_frame(self) -> None:
        if self._number >= self._start and self._rows != self._frames[self._number].rows:
            raise Corrupt(f"frame {self._number} does not hold the rows that the manifest says")
