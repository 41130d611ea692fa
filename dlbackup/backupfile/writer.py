"""Tables written into a backup, one after the other; its bytes depend on nothing but rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from dlbackup.backupfile.frames import LEVEL, FrameWriter, PackedFrame, Packer, Sink
from dlbackup.backupfile.manifest import Entry, Header, Manifest, as_json
from dlbackup.backupfile.script import MANIFEST_LINE, epilogue, prologue
from dlbackup.lake.canonical import Canonical, meaning_of
from dlbackup.lake.fingerprint import Fingerprint
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Block, Rows, summed, total
from dlbackup.tables.rows import END, SEPARATOR, insert_header
from dlbackup.tables.statements import definition


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
        for statement in prologue(header):
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
        for statement in epilogue([entry.table for entry in self._entries]):
            self._out.write(statement)
        self._out.settle()
        manifest = Manifest(self._header, tuple(self._entries), tuple(self._out.frames), tuple(left_out), fingerprint)
        self._out.write(MANIFEST_LINE + b"-- " + as_json(manifest) + b"\n")
        self._out.close()
        return manifest
