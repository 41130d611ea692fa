"""
A whole backup: header, tables, rows, manifest; the writer, and a reader that accepts nothing else.

The text of a backup is a function of its manifest and its rows. The reader makes every expected
statement again and compares it byte for byte, so nothing can be hidden between statements; rows are
proved to be constants only. Reading never needs more memory than a frame and the manifest.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from dlbackup.backupfile.frames import locate, read_frame
from dlbackup.backupfile.manifest import FORMATS, Entry, Header, Manifest, as_json
from dlbackup.backupfile.scanner import Elsewhere, RowBlock, TextCursor, scan_rows
from dlbackup.backupfile.script import MANIFEST_LINE, beginning, epilogue, prologue
from dlbackup.errors import Corrupt, UnknownFormat
from dlbackup.records import decode
from dlbackup.runtime.memory import collector_paused
from dlbackup.stores.contract import Where
from dlbackup.tables.allowlist import check_schema, check_table
from dlbackup.tables.shapes import ShapeCheck

_checked: set[str] = set()
"""The seals of manifests whose definitions were all checked by this process: the same seal, the same definitions."""


class BackupReader:
    """
    Reads one backup. Opening reads the manifest; `scan` reads and proves everything else.

    Args:
        checked: the seal of a backup whose definitions somebody else checks, who alone uses them.

    Raises:
        StorageError: the file can't be opened.
        BackupError: its end is not that of a finished, undamaged backup.
    """

    def __init__(self, where: Where, checked: str = "") -> None:
        self.where = where
        self.row_shapes = 0
        self.unchecked: Manifest
        """The manifest as it stands there: for names and counts; a test knows who takes it."""
        self.seal = ""
        """SHA-256 of the manifest's frame, and so of everything that the manifest has digests of."""
        with ExitStack() as opened:
            self._file = opened.enter_context(where.open())
            with collector_paused():
                self.unchecked = self._read_manifest()
            self._opened = opened.pop_all()
        self._checked_elsewhere = checked == self.seal

    def __enter__(self) -> "BackupReader":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    @property
    def header(self) -> Header:
        """The header: no definitions are in it."""
        return self.unchecked.header

    @property
    def manifest(self) -> Manifest:
        """
        The manifest, all definitions in it checked: what servers, engines and users are given has passed here.

        Raises:
            UnsafeStatement: dlbackup would not have written one of them.
        """
        if not (self._checked_elsewhere or self.seal in _checked):
            self.check(self.unchecked.tables)
            _checked.add(self.seal)
        return self.unchecked

    def check(self, entries: Sequence[Entry]) -> None:
        """Refuse definitions that dlbackup would not have written; see `manifest` for all of them."""
        for entry in entries:
            check_table(entry.table, self.header.dialect)

    @property
    def file_bytes(self) -> int:
        """The size of the file."""
        return self._file.size

    def _read_manifest(self) -> Manifest:
        frames = locate(self._file)
        self.seal = frames[-1].sha256
        text = read_frame(self._file, frames[-1])
        lines = text.split(b"\n")
        if len(lines) != 3 or lines[0] + b"\n" != MANIFEST_LINE or lines[2] or not lines[1].startswith(b"-- {"):
            raise UnknownFormat("not a dlbackup backup: its last frame is not a manifest")
        try:
            value = json.loads(lines[1][3:])
            found = value["header"]["format"]
            if found not in FORMATS.values():
                known = sorted(set(FORMATS.values()))
                raise UnknownFormat(
                    f"the backup has format {found!r}; this dlbackup reads {' and '.join(map(str, known))}",
                    "use a newer dlbackup",
                )
            self._header_json = as_json(value["header"])
            manifest = decode(Manifest, value)
            if found != FORMATS[manifest.header.dialect]:
                raise ValueError(f"format {found} is not that of dialect {manifest.header.dialect}")
            for entry in manifest.tables:
                if not re.fullmatch("[0-9a-f]{16}", entry.digest):
                    raise ValueError(f"{entry.digest!r} is not a digest")
            written = as_json(manifest)
            if written == as_json(value):  # what is left of it without the keys that a later dlbackup added
                written = as_json(json.loads(lines[1][3:]))
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
        check_schema(manifest.header.source.schema, manifest.header.source.rights)
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
        manifest = self.manifest
        yield from self._scan(range(len(manifest.frames)), manifest.tables, elsewhere)

    def scan_table(self, entry: Entry) -> Iterator[RowBlock]:
        """
        Read one table's rows and nothing but the frames that they are in, proving those as `scan` does.

        What other tables have in the same frames is proved too. That the table has all its rows is known when
        the iteration ends without an error.

        Raises:
            BackupError: at the first thing that isn't as dlbackup would have written it.
        """
        numbers = range(entry.first_frame, entry.last_frame + 1)
        there = [e for e in self.unchecked.tables if e.first_frame < numbers.stop and e.last_frame >= numbers.start]
        self.check(there)
        for item in self._scan(numbers, tuple(there)):
            if isinstance(item, RowBlock) and item.entry is entry:
                yield item

    def _scan(
        self, numbers: range, tables: tuple[Entry, ...], elsewhere: "Elsewhere | None" = None
    ) -> Iterator[Entry | RowBlock]:
        """Read frames by their numbers, in which `tables` have statements, all checked; the last may end anywhere."""
        text = TextCursor(self._file, self.unchecked.frames, numbers)
        if numbers.start == 0:
            for statement in prologue(self.header, self._header_json):
                text.expect(statement)
        for entry in tables:
            if entry.first_frame >= numbers.start:
                text.expect(beginning(entry.table, guarded=self.unchecked.guarded))
                text.expect_frame(entry, entry.first_frame)
            yield entry
            shape = ShapeCheck(entry.table)
            yield from scan_rows(text, entry, shape, numbers, elsewhere)
            self.row_shapes += len(shape.seen)
        if tables[-1:] == self.unchecked.tables[-1:]:
            written = [entry.table for entry in self.unchecked.tables]
            for statement in epilogue(written, guarded=self.unchecked.guarded):
                if text.is_over() and numbers.stop < len(self.unchecked.frames):
                    break
                text.expect(statement)
        text.expect_nothing()
