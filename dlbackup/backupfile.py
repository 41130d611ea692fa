"""
A whole backup: header, tables, rows, manifest; the writer, and a reader that accepts nothing else.

The text of a backup is a function of its manifest and its rows. The reader makes every expected
statement again and compares it byte for byte, so nothing can be hidden between statements; rows are
proved to be constants only. Reading never needs more memory than a frame and the manifest.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, final

from dlbackup.errors import Corrupt, StorageError, UnknownFormat, UnsafeStatement
from dlbackup.fingerprint import Canonical, Fingerprint, meaning_of
from dlbackup.frames import LEVEL, Frame, FrameWriter, PackedFrame, Packer, Sink, locate, read_frame
from dlbackup.records import decode, encode
from dlbackup.rows import (
    END,
    SEPARATOR,
    Block,
    Body,
    ShapeCheck,
    digest,
    find_body,
    insert_header,
    summed,
    total,
    uncollected,
)
from dlbackup.statements import SETTINGS, check_table, definition, finishing, ownership
from dlbackup.tables import Kind, Rows, Table

FORMAT = 1
_FIRST_LINE = b"-- dlbackup 1\n"
_MANIFEST_LINE = b"-- dlbackup manifest\n"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a backup was taken: no host, user or password."""

    database: str
    schema: str
    server_version: str


@dataclass(frozen=True, slots=True)
class Header:
    """
    The first thing in a backup, repeated in its manifest.

    Args:
        spec_version: empty where the catalog names none, or several.
        snapshot_id: the newest snapshot, None where there is none.
        created: UTC, ISO 8601.
    """

    format: int
    spec_version: str
    snapshot_id: int | None
    snapshot_time: str | None
    created: str
    tool: str
    source: Source


@dataclass(frozen=True, slots=True)
class Entry:
    """One table in the manifest: its definition, what it holds, and the frames that its statements are in."""

    table: Table
    kind: Kind
    rows: int
    digest: str
    first_frame: int
    last_frame: int

    @property
    def content(self) -> Rows:
        """The rows as a comparable record."""
        return Rows(self.rows, int(self.digest, 16))


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds and means. `left_out` names what belongs to the tables but can't be carried."""

    header: Header
    tables: tuple[Entry, ...]
    frames: tuple[Frame, ...]
    left_out: tuple[str, ...] = ()
    fingerprint: Fingerprint | None = None

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(entry.rows for entry in self.tables)

    @property
    def contents(self) -> dict[str, Rows]:
        """Row counts and digests by table name."""
        return {entry.table.name: entry.content for entry in self.tables}


VERIFIER = object()
"""What `dlbackup.verify` shows to make a VerifiedBackup. Nothing else may use it; a test reads the sources."""


@final
class VerifiedBackup:
    """A backup that passed verification. Only `dlbackup.verify` makes one; attaching with migration asks for it."""

    def __init__(self, path: Path, manifest: Manifest, *, proof: object) -> None:
        if proof is not VERIFIER:
            raise TypeError("only dlbackup.verify makes a VerifiedBackup")
        self.path, self.manifest = path, manifest


@dataclass(frozen=True, slots=True)
class RowBlock:
    """The checked rows of one INSERT."""

    entry: Entry
    body: Body
    digest: int

    @property
    def rows(self) -> list[bytes]:
        """Their texts."""
        return self.body.rows


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a table, packed into frames of their own; `meaning` is their part of the fingerprint."""

    frames: tuple[PackedFrame, ...]
    rows: Rows
    meaning: Rows


def pack(table: Table, blocks: Iterable[Block], canonical: Canonical | None, level: int) -> Piece:
    """Pack rows of a table; each block becomes one INSERT. See `Fingerprinter.canonical`."""
    frames: list[PackedFrame] = []
    meanings: list[Rows] = []

    def mean(block: Block, block_digest: int) -> None:
        meanings.append(meaning_of(canonical, block, block_digest))

    with Packer(level, frames.append) as packer:
        header = insert_header(table)

        def written(block: Block) -> Block:
            packer.write(header + SEPARATOR.join(block) + END, len(block))
            return block

        rows = summed(map(written, blocks), mean)
        packer.settle()
    return Piece(tuple(frames), rows, total(meanings))


class BackupWriter:
    """Writes one backup to a sink: `begin` a table, give its rows, and so on; `finish` at the end."""

    def __init__(self, sink: Sink, header: Header, level: int = LEVEL) -> None:
        self._header = header
        self._entries: list[Entry] = []
        self._out = FrameWriter(sink, level)
        for statement in _prologue(header):
            self._out.write(statement)

    def __enter__(self) -> "BackupWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._out.__exit__(kind, exc, trace)

    @property
    def sha256(self) -> str:
        """SHA-256 of the file so far."""
        return self._out.sha256.hexdigest()

    @property
    def file_bytes(self) -> int:
        """Bytes written so far."""
        return self._out.written

    @property
    def raw_bytes(self) -> int:
        """Bytes of text so far."""
        return self._out.text_bytes

    def write_table(
        self, table: Table, blocks: Iterator[Block], seen: Callable[[Block, int], None] | None = None
    ) -> Rows:
        """
        Write a table and its rows; each block becomes one INSERT. Returns what was written.

        Args:
            seen: is told each block and its digest.
        """
        first = last = self._out.index
        self._out.write(definition(table).encode())
        header = insert_header(table)

        def written() -> Iterator[Block]:
            nonlocal last
            for block in blocks:
                last = self._out.index
                self._out.write(header + SEPARATOR.join(block) + END, len(block))
                yield block

        rows = summed(written(), seen)
        self._enter(table, rows, first, last)
        return rows

    def write_packed(self, table: Table, pieces: Iterable[Piece]) -> Rows:
        """Write a table whose rows were packed elsewhere. Returns what was written."""
        first = last = self._out.index
        self._out.write(definition(table).encode())
        parts = []
        for piece in pieces:
            for frame in piece.frames:
                self._out.append(frame)
                last = self._out.index - 1
            parts.append(piece.rows)
        rows = total(parts)
        self._enter(table, rows, first, last)
        return rows

    def _enter(self, table: Table, rows: Rows, first: int, last: int) -> None:
        self._entries.append(Entry(table, table.kind, rows.count, f"{rows.digest:016x}", first, last))

    def finish(self, left_out: Sequence[str] = (), fingerprint: Fingerprint | None = None) -> Manifest:
        """Write what follows the rows, the manifest, the seal and the seek table."""
        for statement in _epilogue([entry.table for entry in self._entries]):
            self._out.write(statement)
        self._out.settle()
        manifest = Manifest(self._header, tuple(self._entries), tuple(self._out.frames), tuple(left_out), fingerprint)
        self._out.write(_MANIFEST_LINE + b"-- " + _json(manifest) + b"\n")
        self._out.close()
        return manifest


def _json(record: object) -> bytes:
    return json.dumps(encode(record), ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _prologue(header: Header) -> list[bytes]:
    return [_FIRST_LINE, b"-- " + _json(header) + b"\n", SETTINGS.encode(), b"BEGIN;\n"]


def _epilogue(tables: Sequence[Table]) -> Iterator[bytes]:
    for table in tables:
        for statement in finishing(table):
            yield statement.encode()
    yield b"COMMIT;\n"
    for table in tables:
        for statement in ownership(table):
            yield statement.encode()


class BackupReader:
    """
    Reads one backup. Opening reads the manifest; `scan` reads and proves everything else.

    Raises:
        StorageError: the file can't be opened.
        BackupError: its end is not that of a finished, undamaged backup.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.row_shapes = 0
        self.seal = ""
        """SHA-256 of the manifest's frame, and so of everything that the manifest has digests of."""
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as exc:
            raise StorageError(f"can't read {path}: {exc.strerror}") from exc
        try:
            with uncollected():
                self.manifest = self._read_manifest()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "BackupReader":
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def _read_manifest(self) -> Manifest:
        try:
            frames = locate(self._file)
        except OSError as exc:
            raise StorageError(f"can't read {self.path}: {exc.strerror}") from exc
        self.seal = frames[-1].sha256
        text = read_frame(self._file, frames[-1])
        lines = text.split(b"\n")
        if len(lines) != 3 or lines[0] + b"\n" != _MANIFEST_LINE or lines[2] or not lines[1].startswith(b"-- {"):
            raise UnknownFormat("not a dlbackup backup: its last frame is not a manifest")
        try:
            value = json.loads(lines[1][3:])
            found = value["header"]["format"]
            if found != FORMAT:
                raise UnknownFormat(
                    f"the backup has format {found!r}; this dlbackup reads format {FORMAT}",
                    "use a newer dlbackup",
                )
            manifest = decode(Manifest, value)
            for entry in manifest.tables:
                if not re.fullmatch("[0-9a-f]{16}", entry.digest):
                    raise ValueError(f"{entry.digest!r} is not a digest")
            written = _json(manifest)
        except (ValueError, KeyError, TypeError, RecursionError) as exc:
            raise Corrupt(f"the manifest is malformed: {exc}") from exc
        if lines[1] != b"-- " + written:
            raise Corrupt("the manifest is not as dlbackup writes it")
        located = [(frame.offset, frame.size, frame.text_size) for frame in frames[:-1]]
        if [(frame.offset, frame.size, frame.text_size) for frame in manifest.frames] != located:
            raise Corrupt("manifest and seek table disagree about the frames")
        names = [entry.table.name for entry in manifest.tables]
        if len(set(names)) != len(names) or any(entry.kind != entry.table.kind for entry in manifest.tables):
            raise Corrupt("the manifest names a table twice, or by the wrong kind")
        if not all(0 <= entry.first_frame <= entry.last_frame < len(located) for entry in manifest.tables):
            raise Corrupt("the manifest places a table in frames that are not there")
        return manifest

    def scan(self, elsewhere: "Elsewhere | None" = None) -> Iterator[Entry | RowBlock]:
        """
        Read the whole backup in order, proving it: yields each table's entry, then its rows in blocks.

        What was yielded is proved to be constants of the frame's digest; that a table has all its rows is
        known when the next entry comes or the iteration ends without an error.

        Args:
            elsewhere: proves `inner_frames` of a table with `prove_rows`; None for those that it leaves. Its
                rows are not yielded.

        Raises:
            BackupError: at the first thing that isn't as dlbackup would have written it.
        """
        yield from self._scan(range(len(self.manifest.frames)), self.manifest.tables, elsewhere)

    def scan_table(self, entry: Entry) -> Iterator[RowBlock]:
        """
        Read one table's rows and nothing but the frames that they are in, proving those as `scan` does.

        What other tables have in the same frames is proved too. That the table has all its rows is known when
        the iteration ends without an error.

        Raises:
            BackupError: at the first thing that isn't as dlbackup would have written it.
        """
        numbers = range(entry.first_frame, entry.last_frame + 1)
        there = [e for e in self.manifest.tables if e.first_frame < numbers.stop and e.last_frame >= numbers.start]
        for item in self._scan(numbers, tuple(there)):
            if isinstance(item, RowBlock) and item.entry is entry:
                yield item

    def _scan(
        self, numbers: range, tables: tuple[Entry, ...], elsewhere: "Elsewhere | None" = None
    ) -> Iterator[Entry | RowBlock]:
        """Read the frames with these numbers, in which `tables` have statements; the last may end anywhere."""
        for entry in tables:
            check_table(entry.table)
        text = _Text(self._file, self.manifest.frames, numbers)
        if numbers.start == 0:
            for statement in _prologue(self.manifest.header):
                text.expect(statement)
        for entry in tables:
            if entry.first_frame >= numbers.start:
                text.expect(definition(entry.table).encode())
                text.expect_frame(entry, entry.first_frame)
            yield entry
            shape = ShapeCheck(entry.table)
            yield from _scan_rows(text, entry, shape, numbers, elsewhere)
            self.row_shapes += len(shape.seen)
        if tables[-1:] == self.manifest.tables[-1:]:
            for statement in _epilogue([entry.table for entry in self.manifest.tables]):
                if text.is_over() and numbers.stop < len(self.manifest.frames):
                    break
                text.expect(statement)
        text.expect_nothing()


@dataclass(frozen=True, slots=True)
class ProvedRows:
    """The rows of some frames, proved: how many, their part of the fingerprint, their shapes."""

    rows: Rows
    meaning: Rows
    shapes: frozenset[bytes]


Elsewhere = Callable[[Entry], Iterable[ProvedRows] | None]


def inner_frames(entry: Entry) -> range:
    """Return the numbers of the frames that hold nothing but rows of this table."""
    return range(entry.first_frame + 1, entry.last_frame)


def prove_rows(path: Path, table: Table, frames: Sequence[Frame], canonical: Canonical | None) -> ProvedRows:
    """
    Prove frames that hold nothing but rows of a table. See `Fingerprinter.canonical`.

    Raises:
        BackupError: as `BackupReader.scan`.
    """
    shape = ShapeCheck(table)
    parts, meanings = [], []
    with path.open("rb") as file:
        text = _Text(file, frames, range(len(frames)))
        for body in _bodies(text, table, shape):
            part = digest(body.rows)
            parts.append(Rows(len(body.rows), part))
            meanings.append(meaning_of(canonical, body.rows, part))
        text.expect_nothing()
    return ProvedRows(total(parts), total(meanings), frozenset(shape.seen))


def _bodies(text: "_Text", table: Table, shape: ShapeCheck) -> Iterator[Body]:
    """Yield the checked rows of each INSERT that comes next."""
    header = insert_header(table)
    while text.at(header):
        body = shape.check(*text.take_body(header))
        text.count_rows(len(body.rows))
        yield body


def _scan_rows(
    text: "_Text", entry: Entry, shape: ShapeCheck, numbers: range, elsewhere: Elsewhere | None
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


class _Text:
    """The statements of some frames of a backup, one after the other."""

    def __init__(self, file: BinaryIO, frames: Sequence[Frame], numbers: range) -> None:
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
        if not self.at(statement):
            found = self._text[self._position : self._position + 80]
            raise UnsafeStatement(
                f"the backup holds something else than dlbackup writes in frame {max(self._number, 0)}: {found!r}"
            )
        self._position += len(statement)
        self._taken_from = self._number

    def expect_frame(self, entry: Entry, number: int) -> None:
        if self._taken_from != number:
            raise Corrupt(f"table {entry.table.name} is not in the frames that the manifest says")

    def is_over(self) -> bool:
        return self._position == len(self._text) and self._number + 1 == self._stop

    def expect_nothing(self) -> None:
        if not self.is_over():
            raise UnsafeStatement("the backup holds something after its last statement")
        self._end_frame()

    def at(self, statement: bytes) -> bool:
        while self._position == len(self._text) and self._number + 1 < self._stop:
            self._end_frame()
            self._number += 1
            self._text = read_frame(self._file, self._frames[self._number])
            self._position = self._rows = 0
        return self._text.startswith(statement, self._position)

    def take_body(self, header: bytes) -> tuple[bytes, list[bytes]]:
        start = self._position + len(header)
        body, pieces = find_body(self._text, start)
        self._position = start + len(body) + len(END)
        self._taken_from = self._number
        return body, pieces

    def count_rows(self, rows: int) -> None:
        self._rows += rows

    def _end_frame(self) -> None:
        if self._number >= self._start and self._rows != self._frames[self._number].rows:
            raise Corrupt(f"frame {self._number} does not hold the rows that the manifest says")
