"""
An earlier backup of the same catalog, whose frames a new one takes over where the rows are proved the same.

The new backup is as whole as one without a base: the frames are copied. They are those that would have been written,
so that the bytes are the same; what the base can't give is read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dlbackup.addresses.address import BACKUP_ENDINGS
from dlbackup.backupfile.frames import Frame, PackedFrame, read_packed
from dlbackup.backupfile.manifest import Entry, Header, Manifest
from dlbackup.backupfile.origin import Moment, Origin, parted
from dlbackup.backupfile.reader import BackupReader
from dlbackup.backupfile.writer import Piece
from dlbackup.catalogs.contract import Claim, Pages
from dlbackup.errors import BackupError, NoIdentity, StorageError, UsageError, counted
from dlbackup.lake.canonical import Canonical
from dlbackup.runtime.progress import Event, OnEvent
from dlbackup.stores.contract import Readable, Where
from dlbackup.stores.encrypted import keyed
from dlbackup.stores.keys import Keyring
from dlbackup.stores.named import store_named, where_named
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import total
from dlbackup.transfer.destination import names_folder

AUTO = "auto"
"""Stands for the newest backup of the same catalog in the folder where the new one goes."""
_LOOKED_AT = 20
"""How many backups of a folder are looked at, from the newest on, before none is taken for a base."""


@dataclass(frozen=True, slots=True)
class _Divided:
    """A table of the base that has stretches."""

    entry: Entry
    origin: Origin


class Base:
    """
    A base that is open, and what was taken from it.

    Args:
        moment: when its rows were read.
        file: stays open as long as the base is used.
    """

    def __init__(self, where: Where, manifest: Manifest, moment: Moment, file: Readable, on_event: OnEvent) -> None:
        self.where, self.moment = where, moment
        self.reused_rows = self.reused_bytes = 0
        self._frames, self._file, self._on_event = manifest.frames, file, on_event
        self._said = False
        self._divided = {
            entry.table.name: _Divided(entry, entry.origin)
            for entry in manifest.tables
            if entry.origin is not None and entry.origin.stretches and _add_up(entry, entry.origin, manifest.frames)
        }

    def claims(self, table: Table, canonical: Canonical, pieces: Sequence[Pages], size: int) -> list[Claim | None]:
        """
        Return, for each piece of a table, what has to be proved before the base can give it; None where it can't.

        Args:
            canonical: what inlined rows mean depends on other tables too, unless it is what they are.
            size: how many pages a piece has.
        """
        known = self._divided.get(table.name)
        is_alike = (
            known is not None
            and known.entry.table.columns == table.columns
            and known.origin.stretch_pages == size
            and (table.kind == "fixed" or canonical.form is None)
        )
        if known is None or not is_alike:
            return [None] * len(pieces)
        claims: list[Claim | None] = [
            Claim(table=table, origin=known.origin, rows=stretch.rows, pages=pages)
            for pages, stretch in zip(pieces, known.origin.stretches, strict=False)
        ]
        return claims + [None] * (len(pieces) - len(claims))

    def piece(self, table: Table, number: int) -> Piece | None:
        """Return a piece that was proved the same; None where the base is not what it was, which is said once."""
        stretch = self._divided[table.name].origin.stretches[number]
        try:
            frames = tuple(map(self._taken, self._frames[stretch.first_frame : stretch.first_frame + stretch.frames]))
        except (BackupError, StorageError) as exc:
            if not self._said:
                what = f"{self.where}: {exc.message}"
                text = f"{what}; what the base can't give is read"
                text += "" if exc.transient else ", and that backup is not to be relied on"
                self._on_event(Event(stage="dump", message=text, warning=True))
            self._said = True
            return None
        self.reused_rows += stretch.rows
        self.reused_bytes += sum(len(frame.data) for frame in frames)
        return Piece(frames, stretch.content, stretch.meaning)

    def _taken(self, frame: Frame) -> PackedFrame:
        return PackedFrame(read_packed(self._file, frame), frame.text_size, frame.rows)


def _add_up(entry: Entry, origin: Origin, frames: Sequence[Frame]) -> bool:
    """Tell whether the stretches of a table are all of it, in frames one after the other, as dumps have them."""
    at = entry.first_frame + 1
    for stretch in origin.stretches:
        end = stretch.first_frame + stretch.frames
        if stretch.first_frame < at or sum(frame.rows for frame in frames[stretch.first_frame : end]) != stretch.rows:
            return False
        at = end if stretch.frames else at
    return at <= entry.last_frame + 1 and total(stretch.content for stretch in origin.stretches) == entry.content


@contextmanager
def opened(
    wanted: str | Path | None, to: str | Path, header: Header, on_event: OnEvent, ring: Keyring | None = None
) -> Iterator[Base | None]:
    """
    Open the base of a new backup, in the block.

    Args:
        wanted: a backup, or `AUTO`; None for no base.
        to: where the new backup goes.
        header: of the new backup.
        ring: opens it where it is encrypted.

    Returns:
        None where there is none; where the one that was named is of no use, that is said.

    Raises:
        StorageError: the one that was named can't be read.
    """
    if wanted is None:
        yield None
        return
    where = _newest(to, header, ring, on_event) if wanted == AUTO else keyed(where_named(wanted), ring)
    if where is None:
        yield None
        return
    with where.open() as file:
        base = None
        try:
            with BackupReader(where) as reader:
                manifest = reader.unchecked  # held against the live tables, and read no further
            moment, why = manifest.header.moment, useless(manifest.header, header)
            if moment is not None and not why:
                base = Base(where, manifest, moment, file, on_event)
        except BackupError as exc:
            why = exc.message
        if why:
            text = f"{where} can't be the base, so everything is read: {why}"
            on_event(Event(stage="dump", message=text, warning=wanted != AUTO))
        yield base


def useless(then: Header, now: Header) -> str:
    """Say why a backup can't be the base of another; empty where it can."""
    if then.moment is None:
        return "it doesn't say what it would take to prove that anything is as it was then"
    if now.moment is None:
        return "the server doesn't tell what it takes to prove that anything is as it was then"
    if why := parted(then.moment, now.moment):
        return why
    if (then.source.schema, then.source.encoding, then.source.converted) != (
        now.source.schema,
        now.source.encoding,
        now.source.converted,
    ):
        return "it is of another schema, or its texts were read in another encoding"
    if then.spec_version != now.spec_version:
        return f"it is of spec version {then.spec_version}"
    if then.packed != now.packed:
        return f"it was packed by {then.packed}, and the new one is by {now.packed}"
    return ""


def refuse_nowhere(base: str | Path | None, to: str | Path) -> None:
    """
    Refuse `AUTO` where there is no folder to look in.

    Raises:
        UsageError: the new backup goes to standard output.
    """
    if base == AUTO and to == "-":
        raise UsageError(
            "--base auto looks in the folder where the new backup goes, and that goes to standard output",
            "name the backup that is to be the base",
        )


def _newest(to: str | Path, header: Header, ring: Keyring | None, on_event: OnEvent) -> Where | None:
    """Return the newest backup of the same catalog in the folder where a new one goes: the newest of use, if one is."""
    folder = store_named(to) if names_folder(to) else where_named(to).store
    try:
        blobs = sorted(folder.list(), key=lambda blob: blob.modified, reverse=True)
    except StorageError:  # a folder that is still to be made
        return None
    newest, closed = None, list[str]()
    for name in [blob.name for blob in blobs if blob.name.endswith(BACKUP_ENDINGS)][:_LOOKED_AT]:
        where = keyed(Where(folder, name), ring)
        try:
            with suppress(BackupError), BackupReader(where) as reader:
                then = reader.header
                if (then.source.database, then.source.schema) == (header.source.database, header.source.schema):
                    if then.moment or header.moment:  # of files nothing can be proved, and nobody expects a base
                        newest = newest or where
                    if not useless(then, header):
                        return where
        except NoIdentity as exc:
            closed.append(exc.message)
        except StorageError:
            continue
    if closed and newest is None:
        count = counted(len(closed), "encrypted backup")
        text = f"{count} can't be the base without an identity, so everything is read: {closed[0]}"
        on_event(Event(stage="dump", message=text))
    return newest
