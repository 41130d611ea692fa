"""Frames, seal and seek table: what is written can be found again, and nothing else is taken for it."""

import hashlib
import io
import struct
from collections.abc import Iterator, Set

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from support.backups import finish

from dlbackup.backupfile.frames import FRAME_BYTES, Frame, FrameWriter, locate, read_frame
from dlbackup.errors import BackupError, Corrupt, Unfinished, UnknownFormat
from dlbackup.stores.in_memory import Bytes


def write(statements: list[bytes], *, cuts: Set[int] = frozenset()) -> tuple[bytes, FrameWriter]:
    sink = io.BytesIO()
    with FrameWriter(sink, 3) as writer:
        for number, statement in enumerate(statements):
            writer.write(statement, rows=number)
            if number in cuts:
                writer.settle()
        writer.settle()
        writer.write(b"last\n")
        writer.close()
    return sink.getvalue(), writer


def with_digests(frames: list[Frame], written: FrameWriter) -> Iterator[Frame]:
    for found, known in zip(frames, written.frames, strict=True):
        yield Frame(
            offset=found.offset, size=found.size, text_size=found.text_size, rows=found.rows, sha256=known.sha256
        )


@given(st.lists(st.binary(max_size=50), min_size=2, max_size=8), st.sets(st.integers(0, 7)))
def test_statements_come_back_from_the_frames_they_were_cut_into(statements: list[bytes], cuts: set[int]) -> None:
    """Frames that were written are found by the seek table and hold the statements in order."""
    file, writer = write(statements, cuts=cuts)

    found = locate(Bytes(file))
    texts = [read_frame(Bytes(file), frame) for frame in with_digests(found, writer)]
    assert b"".join(texts[:-1]) == b"".join(statements)
    assert texts[-1] == b"last\n"
    assert found[-1].sha256 == writer.frames[-1].sha256
    assert sum(frame.rows for frame in writer.frames) == sum(range(len(statements)))
    assert writer.written == len(file)
    assert writer.sha256.hexdigest() == hashlib.sha256(file).hexdigest()
    assert writer.text_bytes == sum(map(len, statements)) + 5


def test_any_zstd_reads_the_text() -> None:
    """A plain zstd stream reader gives the whole text and skips the rest."""
    file, _ = write([b"one\n", b"two\n", b"three\n"], cuts={0})

    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(file), read_across_frames=True)
    assert reader.read() == b"one\ntwo\nthree\nlast\n"


def test_a_statement_is_never_cut() -> None:
    """Frames end between statements, also when one is larger than a frame."""
    huge = b"x" * (FRAME_BYTES + 1)
    file, writer = write([b"a" * 10, huge, b"b" * (FRAME_BYTES - 1), b"c", b"d"])

    sizes = [frame.text_size for frame in locate(Bytes(file))]
    assert sizes == [10 + len(huge), FRAME_BYTES, 1, 5]
    assert [frame.rows for frame in writer.frames] == [1, 5, 4, 0]


@pytest.mark.parametrize("content", [b"", b"a", b"SELECT 1;\n", b"PK\3\4" * 10, b"\x28\xb5\x2f", b"\0" * 100])
def test_what_is_not_zstd_is_unknown(content: bytes) -> None:
    """A file that doesn't begin as zstd does is no backup."""
    with pytest.raises(UnknownFormat):
        locate(Bytes(content))


@pytest.mark.parametrize("content", [b"", b"hello" * 1000])
def test_zstd_without_a_seek_table_is_unfinished(content: bytes) -> None:
    """A zstd file that was never finished says so."""
    with pytest.raises(Unfinished):
        locate(Bytes(zstandard.compress(content)))


def test_every_cut_is_found() -> None:
    """No beginning of a file passes for a whole one."""
    file, _ = write([b"one\n", b"two\n"], cuts={0})

    for end in range(len(file)):
        with pytest.raises(BackupError):
            locate(Bytes(file[:end]))


def test_impossible_seek_tables_are_corrupt() -> None:
    """A seek table that claims more than there is, or has flags that we never set, is refused without being trusted."""
    file, _ = write([b"one\n", b"two\n"], cuts={0})
    for count in (0, 1, 2, 5, 2**31, 2**32 - 1):
        with pytest.raises(BackupError):
            locate(Bytes(file[:-9] + struct.pack("<I", count) + file[-5:]))
    for flags in (1, 0x80, 0xFF):
        with pytest.raises(Corrupt):
            locate(Bytes(file[:-5] + bytes([flags]) + file[-4:]))


def frame_of(data: bytes, text_size: int) -> tuple[Bytes, Frame]:
    return Bytes(data), Frame(
        offset=0, size=len(data), text_size=text_size, rows=0, sha256=hashlib.sha256(data).hexdigest()
    )


def repeated(claim: int, blocks: int) -> bytes:
    """Return a zstd frame that claims `claim` bytes and holds blocks of 128 kB each of one letter."""
    head = b"\x28\xb5\x2f\xfd" + bytes([0b10100000]) + struct.pack("<I", claim)
    size = min(claim, 1 << 17)
    body = b"".join(
        struct.pack("<I", size << 3 | 1 << 1 | (number == blocks - 1))[:3] + b"A" for number in range(blocks)
    )
    return head + body


def test_frame_that_holds_more_than_it_claims_is_corrupt() -> None:
    """A frame of 80 kB that would swell to 2.6 GB is refused before it does."""
    with pytest.raises(Corrupt):
        read_frame(*frame_of(repeated(1 << 17, 20_000), 1 << 17))


@pytest.mark.parametrize(
    ("data", "text_size"),
    [
        (struct.pack("<II", 0x184D2A50, 5) + b"hello", 0),
        (zstandard.compress(b"a") + zstandard.compress(b"b"), 1),
        (zstandard.compress(b"a") + struct.pack("<II", 0x184D2A50, 1) + b"x", 1),
        (zstandard.compress(b"abc"), 2),
        (zstandard.compress(b"abc"), 4),
        (zstandard.compress(b"abc")[:-1], 3),
        (zstandard.compress(b"abc") + b"\0", 3),
        (zstandard.ZstdCompressor(write_content_size=False).compress(b"abc"), 3),
        (zstandard.compress(b"abc"), (1 << 31) + 1),
        (b"", 0),
        (b"\x28\xb5\x2f\xfd", 0),
        (b"garbage", 3),
    ],
)
def test_what_is_not_exactly_one_frame_is_corrupt(data: bytes, text_size: int) -> None:
    """Skippable frames, two frames, wrong sizes, cuts and extra bytes are refused though the SHA-256 is right."""
    with pytest.raises(Corrupt):
        read_frame(*frame_of(data, text_size))


def test_frame_with_another_digest_is_corrupt() -> None:
    """A frame whose bytes are not those of its SHA-256 is refused."""
    file, frame = frame_of(zstandard.compress(b"abc"), 3)
    assert read_frame(file, frame) == b"abc"

    with pytest.raises(Corrupt, match="SHA-256"):
        read_frame(file, Frame(offset=0, size=frame.size, text_size=3, rows=0, sha256="0" * 64))


def test_our_seek_table_is_the_one_of_the_format() -> None:
    """An independent writer of the format makes the same bytes."""
    file, _ = write([b"one\n"])
    frame = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(b"one\n")

    assert finish(frame, [(len(frame), 4)], b"last\n") == file
