"""
Zstandard frames with lengths and digests, and the seek table that finds them.

A backup is a row of independent frames, then two skippable frames: the seal (SHA-256 of the last frame,
which holds the manifest) and the seek table of the zstd seekable format. Every byte of the file is either
covered by a SHA-256 or must be exactly what the other bytes say: zstd itself ignores some bits.
"""

import hashlib
import struct
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import zstandard

from dlbackup.errors import Corrupt, Unfinished, UnknownFormat
from dlbackup.stores.contract import Readable, Sink

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_SEAL_MAGIC = 0x184D2A5D
_SEEK_MAGIC = 0x184D2A5E
_SEEKABLE_MAGIC = 0x8F92EAB1
_SEAL_NAME = b"dlbackup"
_SEAL_BYTES = 8 + len(_SEAL_NAME) + 32
_FOOTER = struct.Struct("<IBI")
_ENTRY = struct.Struct("<II")
_SKIPPABLE = struct.Struct("<II")
FRAME_BYTES = 1 << 21
"""Text of one frame: 1, 2 and 4 MB made no difference in speed; smaller compresses worse."""
LEVEL = 1
"""Of zstd. Rows of a catalog come out no larger than by its own default, 3, in half the time (docs/performance.md)."""
MAX_FRAME_BYTES = 1 << 31
"""More text than any frame of ours can hold: one statement with one row of PostgreSQL's largest size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame: where it stands, its compressed and text size in bytes, its rows, its SHA-256."""

    offset: int
    size: int
    text_size: int
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PackedFrame:
    """A frame that has no place in a file yet: its bytes, its text's size in bytes, its rows."""

    data: bytes
    text_size: int
    rows: int


def packed_by(level: int) -> str:
    """Return what decides about the bytes of a frame beside its text: the same gives the same."""
    return f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))} level {level}"


class Packer:
    """
    Packs statements into frames of about `FRAME_BYTES`, cut between statements.

    Compression runs in a thread of its own, one frame ahead of the caller; memory holds two frames.
    """

    def __init__(self, level: int, take: Callable[[PackedFrame], None]) -> None:
        self.text_bytes = 0
        self._take = take
        self._compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)
        self._pool = ThreadPoolExecutor(1, "compress")
        self._pending: tuple[Future[bytes], int, int] | None = None
        self._text: list[bytes] = []
        self._text_size = 0
        self._rows = 0

    def __enter__(self) -> "Packer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def waiting(self) -> bool:
        """Whether a frame is being compressed that was not given away yet."""
        return self._pending is not None

    def write(self, statement: bytes, rows: int = 0) -> None:
        """Append one whole statement that holds `rows` rows."""
        self._text.append(statement)
        self._text_size += len(statement)
        self.text_bytes += len(statement)
        self._rows += rows
        if self._text_size >= FRAME_BYTES:
            self.cut()

    def cut(self) -> None:
        """End the frame here, so that the next statement begins a new one."""
        if not self._text:
            return
        text, size, rows = b"".join(self._text), self._text_size, self._rows
        self._text, self._text_size, self._rows = [], 0, 0
        self._give()
        self._pending = self._pool.submit(self._compressor.compress, text), size, rows

    def settle(self) -> None:
        """End the frame and give everything away."""
        self.cut()
        self._give()

    def _give(self) -> None:
        if self._pending is not None:
            future, text_size, rows = self._pending
            frame = PackedFrame(future.result(), text_size, rows)
            self._pending = None
            self._take(frame)


class FrameWriter:
    """Writes statements as frames, or frames that were packed elsewhere, and what ends the file."""

    def __init__(self, sink: Sink, level: int) -> None:
        self.frames: list[Frame] = []
        self.sha256 = hashlib.sha256()
        self.written = 0
        self._sink = sink
        self._packer = Packer(level, self._place)
        self._appended_bytes = 0

    def __enter__(self) -> "FrameWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._packer.__exit__(kind, exc, trace)

    @property
    def index(self) -> int:
        """The number of the frame that the next statement goes into."""
        return len(self.frames) + self._packer.waiting

    @property
    def text_bytes(self) -> int:
        """All text so far."""
        return self._packer.text_bytes + self._appended_bytes

    def write(self, statement: bytes, rows: int = 0) -> None:
        """Append one whole statement that holds `rows` rows."""
        self._packer.write(statement, rows)

    def append(self, frame: PackedFrame) -> None:
        """End the frame that is being written and write one that was packed elsewhere."""
        self._packer.settle()
        self._place(frame)
        self._appended_bytes += frame.text_size

    def settle(self) -> None:
        """End the frame and write everything, so that `frames` is complete."""
        self._packer.settle()

    def close(self) -> None:
        """Write what is pending, the seal and the seek table. The last statement must be the manifest."""
        self.settle()
        seal = _seal(self.frames[-1].sha256)
        self._put(seal)
        self._put(_seek_table([*((f.size, f.text_size) for f in self.frames), (len(seal), 0)]))

    def _place(self, frame: PackedFrame) -> None:
        sha256 = hashlib.sha256(frame.data).hexdigest()
        self.frames.append(
            Frame(offset=self.written, size=len(frame.data), text_size=frame.text_size, rows=frame.rows, sha256=sha256)
        )
        self._put(frame.data)

    def _put(self, data: bytes) -> None:
        self._sink.write(data)
        self.sha256.update(data)
        self.written += len(data)


def _seal(manifest_sha256: str) -> bytes:
    return _SKIPPABLE.pack(_SEAL_MAGIC, _SEAL_BYTES - 8) + _SEAL_NAME + bytes.fromhex(manifest_sha256)


def _seek_table(sizes: list[tuple[int, int]]) -> bytes:
    entries = b"".join(_ENTRY.pack(size, text_size) for size, text_size in sizes)
    body = entries + _FOOTER.pack(len(sizes), 0, _SEEKABLE_MAGIC)
    return _SKIPPABLE.pack(_SEEK_MAGIC, len(body)) + body


def locate(file: Readable) -> list[Frame]:
    """
    Find the frames of a backup by its seek table; SHA-256 is known for the last one only.

    Nothing but structure is checked here: sizes add up to the file's, seal and seek table are as written.

    Raises:
        UnknownFormat: not a zstd file.
        Unfinished: no seek table at the end.
        Corrupt: the end of the file contradicts itself.
    """
    total = file.size
    if file.read_at(0, len(ZSTD_MAGIC)) != ZSTD_MAGIC:
        raise UnknownFormat("not a dlbackup backup: the file is not zstd-compressed")
    tail = file.read_at(max(0, total - _FOOTER.size), _FOOTER.size)
    count, flags, magic = _FOOTER.unpack(tail) if len(tail) == _FOOTER.size else (0, 0, 0)
    if magic != _SEEKABLE_MAGIC:
        raise Unfinished("the backup is unfinished or cut off: it does not end with a seek table")
    table_bytes = 8 + count * _ENTRY.size + _FOOTER.size
    if flags or count < 3 or table_bytes + _SEAL_BYTES > total:
        raise Corrupt("the seek table is damaged")
    table = file.read_at(total - table_bytes, table_bytes)
    sizes = list(_ENTRY.iter_unpack(table[8 : -_FOOTER.size]))
    if table != _seek_table(sizes) or sum(size for size, _ in sizes) + table_bytes != total:
        raise Corrupt("the seek table is damaged")
    seal = file.read_at(total - table_bytes - _SEAL_BYTES, _SEAL_BYTES)
    manifest_sha256 = seal[-32:].hex()
    if sizes[-1] != (_SEAL_BYTES, 0) or seal != _seal(manifest_sha256):
        raise Corrupt("the seal of the manifest is damaged")
    frames, offset = [], 0
    for number, (size, text_size) in enumerate(sizes[:-1]):
        last = number == count - 2
        frames.append(
            Frame(offset=offset, size=size, text_size=text_size, rows=0, sha256=manifest_sha256 if last else "")
        )
        offset += size
    return frames


def read_packed(file: Readable, frame: Frame) -> bytes:
    """
    Return a frame's bytes as they stand in the file, checked against its SHA-256.

    Raises:
        Corrupt: names the frame's offset.
    """
    data = file.read_at(frame.offset, frame.size)
    if len(data) != frame.size or hashlib.sha256(data).hexdigest() != frame.sha256:
        raise Corrupt(f"the frame at byte {frame.offset} is damaged: its SHA-256 is not the one in the manifest")
    return data


def read_frame(file: Readable, frame: Frame) -> bytes:
    """
    Return a frame's text, checked against its SHA-256, its checksum and its sizes.

    Raises:
        Corrupt: names the frame's offset.
    """
    data = read_packed(file, frame)
    where = f"the frame at byte {frame.offset}"
    if not data.startswith(ZSTD_MAGIC):
        raise Corrupt(f"{where} is not a frame of text")
    if frame.text_size > MAX_FRAME_BYTES:
        raise Corrupt(f"{where} claims an impossible size: {frame.text_size} bytes")
    try:
        if zstandard.frame_content_size(data) != frame.text_size:
            raise Corrupt(f"{where} does not hold {frame.text_size} bytes of text")
        reader = zstandard.ZstdDecompressor().decompressobj()
        text = reader.decompress(data)
    except zstandard.ZstdError as exc:
        raise Corrupt(f"{where} can't be decompressed: {exc}") from exc
    if not reader.eof or reader.unused_data or len(text) != frame.text_size:
        raise Corrupt(f"{where} is not exactly one frame")
    return text
