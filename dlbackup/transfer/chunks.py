"""
A backup's rows as a backend takes them, and the words in which one process sends them to another.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from dlbackup.backupfile.manifest import Entry
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Rewrite

MESSAGE = struct.Struct("<cQQ")
"""Kind, a number, and how many bytes follow."""
BEGUN = b"B"
"""First: the seal of the file that the child reads follows."""
TABLE = b"T"
"""The table of that number in the manifest begins."""
ROWS = b"R"
"""So many of its rows follow."""
PROVED = b"P"
"""Last: everything was proved."""
FAILED = b"F"
"""Last: it was not; type, message and hint follow as JSON."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of one table, rewritten for the backend."""

    rows: int
    text: bytes


Feed = Iterator[Entry | Chunk]
"""Each table's entry, then its rows. That all was proved is known when the iteration ends without an error."""


def proved(reader: BackupReader, rewrite: Rewrite) -> Feed:
    """
    Read a whole backup in this process.

    Iterating raises:
        BackupError: at the first thing that isn't as dlbackup would have written it.
        StorageError: the file can't be read.
    """
    for item in reader.scan():
        yield item if isinstance(item, Entry) else Chunk(len(item.rows), rewrite(item.body))
