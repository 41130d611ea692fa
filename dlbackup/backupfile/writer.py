"""Tables written into a backup, one after the other; its bytes depend on nothing but rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

from dlbackup.backupfile.frames import LEVEL, FrameWriter, PackedFrame, Packer
from dlbackup.backupfile.manifest import Entry, Header, Manifest, as_json
from dlbackup.backupfile.origin import Origin, Stretch
from dlbackup.backupfile.script import MANIFEST_LINE, beginning, epilogue, prologue
from dlbackup.lake.canonical import Canonical
from dlbackup.lake.fingerprint import Fingerprint, TablePart
from dlbackup.stores.contract import Sink
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Block, Rows, digest, total
from dlbackup.tables.guarded import guarded
from dlbackup.tables.rows import END, SEPARATOR, insert_header


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a table, packed into frames of their own; `meaning` is their part of the fingerprint."""

    frames: tuple[PackedFrame, ...]
    rows: Rows
    meaning: Rows


def pack(table: Table, blocks: Iterable[Block], canonical: Canonical, level: int) -> Piece:
    """Pack rows of a table; each block becomes one INSERT. See `TablePart.canonical`."""
    frames: list[PackedFrame] = []
    rows, meanings = [], []
    header = insert_header(table)
    with Packer(level, frames.append) as packer:
        for block in blocks:
            packer.write(header + SEPARATOR.join(block) + END, len(block))
            rows.append(Rows(len(block), digest(block)))
            meanings.append(canonical.meaning(block, rows[-1].digest))
        packer.settle()
    return Piece(tuple(frames), total(rows), total(meanings))


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
        self,
        table: Table,
        parts: Iterable[Block | Piece],
        fingerprint: TablePart | None = None,
        origin: Origin | None = None,
    ) -> Rows:
        """
        Write a table and its rows, some of which may have been packed elsewhere. Returns what was written.

        Args:
            parts: each block becomes one INSERT.
            fingerprint: takes the rows' meaning.
            origin: what the table is beyond its definition; its stretches are the pieces.
        """
        stretches: list[Stretch] = []
        first = last = self._out.index
        self._out.write(beginning(table, guarded=True))
        header = insert_header(table)
        rows = Rows(0, 0)
        for part in parts:
            if isinstance(part, Piece):
                if part.frames:
                    self._out.settle()
                stretches.append(Stretch.of(part.rows, part.meaning, self._out.index, len(part.frames)))
                for frame in part.frames:
                    self._out.append(frame)
                    last = self._out.index - 1
                found = part.rows
                if fingerprint is not None:
                    fingerprint.take(part.meaning)
            else:
                last = self._out.index
                self._out.write(header + SEPARATOR.join(part) + END, len(part))
                found = Rows(len(part), digest(part))
                if fingerprint is not None:
                    fingerprint.add(part, found.digest)
            rows = total((rows, found))
        self._entries.append(
            Entry(
                table=table,
                kind=table.kind,
                rows=rows.count,
                digest=f"{rows.digest:016x}",
                first_frame=first,
                last_frame=last,
                origin=replace(origin, stretches=tuple(stretches)) if origin else None,
            )
        )
        return rows

    def finish(self, left_out: Sequence[str] = (), fingerprint: Fingerprint | None = None) -> Manifest:
        """Write what follows the rows, the manifest, the seal and the seek table."""
        tables = [entry.table for entry in self._entries]
        for statement in epilogue(tables, guarded=True):
            self._out.write(statement)
        self._out.settle()
        manifest = Manifest(
            header=self._header,
            tables=tuple(self._entries),
            frames=tuple(self._out.frames),
            left_out=tuple(left_out),
            fingerprint=fingerprint,
            guarded=any(map(guarded, tables)),
        )
        self._out.write(MANIFEST_LINE + b"-- " + as_json(manifest) + b"\n")
        self._out.close()
        return manifest
