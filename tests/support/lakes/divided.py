"""A lake with a table that is divided into many pieces, and how dumps of it are held against each other."""

from pathlib import Path

import zstandard

from dlbackup import Backup
from dlbackup.backupfile.reader import BackupReader
from dlbackup.stores.folder import local

__all__ = ["PIECE_PAGES", "ROWS", "STATISTICS", "many", "same_bytes"]

STATISTICS = "ducklake_file_column_stats"
PIECE_PAGES = 8
ROWS = 12000


def many(first: int = 1000001, last: int = 1000000 + ROWS) -> str:
    """Return what inserts statistics of so many data files; every kind of text is among them."""
    return f"""
        insert into {STATISTICS} (data_file_id, table_id, column_id, min_value, max_value)
        select n, 1, n % 10, case n % 4 when 0 then 'it''s' when 1 then E'),(\\n' end, n::text
        from generate_series({first}, {last}) n
    """


def same_bytes(one: Backup, other: Backup) -> bool:
    """Tell whether two backups are the same but for their headers: every frame, and every byte of the text."""
    return _frames(one) == _frames(other) and _statements(one) == _statements(other)


def _frames(backup: Backup) -> list[tuple[int, int, str]]:
    with BackupReader(local(backup.path)) as reader:
        frames = reader.manifest.frames[1:]  # the first one has the header
    return [(frame.text_size, frame.rows, frame.sha256) for frame in frames]


def _statements(backup: Backup) -> bytes:
    with Path(backup.path).open("rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    return text.split(b"\n", 2)[2].rpartition(b"-- dlbackup manifest\n")[0]
