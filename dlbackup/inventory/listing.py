"""
What is in a store: its backups, each with its record, drills and pins, from one listing and small reads.

What is damaged is told and never ends the listing: the other backups are as good as before.
"""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeVar

from dlbackup.errors import StorageError
from dlbackup.inventory import names
from dlbackup.inventory.record import NOT_OPENED, Drill, Journal, Record, read, when
from dlbackup.lake.datafiles import FILE_RULES, UNREADABLE
from dlbackup.lake.findings import first_error
from dlbackup.stores.contract import Blob, Store, Where

READERS = 32
"""
How many small files are read at once: what takes time is waiting for the store. 2,000 from one on the same machine take
3.0 s by 8, 2.6 by 16 and by 32, of which 1.1 s are Python's; one that is further away gains by more.
"""
DONE = ("migrated", "unchanged", "rolled-back", "replaced")
"""How a migration's journal ends; with any other word its backup may still be needed."""
State = Literal["good", "proven", "damaged", "unlisted"]
T = TypeVar("T", bound=Record | Drill | Journal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    A backup of a store.

    Args:
        record: None where there is none, or it can't be read.
        damage: why the backup itself can't be relied on; empty where that isn't known.
        unreadable: which files beside it can't be read, and why: nobody knows what they say.
        drills: the oldest first.
        pins: their names; `migration` is that of the backup of a migration.
        journal: how far the migration is whose backup this is; empty without one.
        beside: all files that belong to it, the record too.
    """

    blob: Blob
    record: Record | None = None
    damage: str = ""
    unreadable: tuple[str, ...] = ()
    drills: tuple[Drill, ...] = ()
    pins: tuple[str, ...] = ()
    journal: str = ""
    beside: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.blob.name

    @property
    def catalog(self) -> str:
        """Which catalog it is of, as its name says."""
        return names.catalog_of(self.name)

    @property
    def created(self) -> datetime:
        """When it was begun."""
        return when(self.record.created) if self.record else names.time_of(self.name)

    @property
    def lake(self) -> str | None:
        """Which lake it is of; None where nobody knows."""
        return self.record.lake if self.record else None

    @property
    def proven_at(self) -> datetime | None:
        """When a drill last found it good; None where none has, or a later one did not."""
        last = last_drill(self.drills)
        return when(last.created) if last and last.ok and not self.damage else None

    @property
    def lacks(self) -> str:
        """What the last drill missed that is no fault of the backup's; empty where it missed nothing."""
        last = last_drill(self.drills)
        if last is None or last.ok or not _is_of_others(last):
            return ""
        return f"the drill of {last.created} says: {first_error(last.findings)}"

    @property
    def state(self) -> State:
        """Whether it can be relied on."""
        if self.damage or (self.record is None and self.unreadable):
            return "damaged"
        if self.record is None:
            return "unlisted"
        return "proven" if self.proven_at else "good"

    @property
    def is_good(self) -> bool:
        """Whether it was proved, and nothing was found wrong with it since."""
        return self.state in ("good", "proven")

    @property
    def migrates(self) -> bool:
        """Whether a migration may still need it: its journal is open."""
        return self.journal not in ("", *DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """
    What is in a store.

    Args:
        entries: its backups, the newest first.
        stray: files that belong to backups that are not there.
    """

    entries: tuple[Entry, ...]
    stray: tuple[str, ...] = ()

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Which small files can't be read, each with the reason."""
        return tuple(text for entry in self.entries for text in entry.unreadable)

    def entry(self, name: str) -> Entry | None:
        """Return the backup of that name."""
        return next((entry for entry in self.entries if entry.name == name), None)


def listing_of(store: Store) -> Listing:
    """
    List a store.

    Raises:
        StorageError: it can't be listed, or doesn't answer.
    """
    backups: list[Blob] = []
    beside: dict[str, list[_Beside]] = defaultdict(list)
    for blob in store.list():
        if names.is_backup(blob.name):
            backups.append(blob)
        elif found := names.beside(blob.name):
            beside[found[0]].append(_Beside(blob.name, *found[1:]))
    stems = {names.stem_of(blob.name) for blob in backups}
    with ThreadPoolExecutor(READERS) as readers:
        entries = list(readers.map(lambda blob: _entry(store, blob, beside[names.stem_of(blob.name)]), backups))
    entries.sort(key=lambda entry: (entry.created, entry.name), reverse=True)
    stray = sorted(file.name for stem, files in beside.items() if stem not in stems for file in files)
    return Listing(entries=tuple(entries), stray=tuple(stray))


def leftovers(store: Store, listing: Listing) -> tuple[str, ...]:
    """
    Return the files that a prune left that was ended before it had taken away all that belonged to a backup.

    The record goes first: where one is without its backup, the backup was lost, and nothing of it is a leftover.
    """
    beside = [(name, names.beside(name)) for name in listing.stray]
    lost = {found[0] for _, found in beside if found and found[1] == "backup"}
    small = _Small(store)
    left = []
    for name, found in beside:
        if found is None or found[0] in lost:
            continue
        kind = found[1]
        journals = small.all([_Beside(name, *found[1:])], "journal", Journal)
        if kind == "drill" or any(journal.progress in DONE for journal in journals):
            left.append(name)
    return tuple(left)


def last_drill(drills: Sequence[Drill]) -> Drill | None:
    """Return the last drill that says something of its backup."""
    return next((drill for drill in reversed(drills) if drill.couldnt_run is None), None)


@dataclass(frozen=True, slots=True)
class _Beside:
    """A file beside a backup: its name, and what `names.beside` says of it."""

    name: str
    kind: str
    detail: str


@dataclass(slots=True)
class _Small:
    """Reads the small files of one backup, and keeps what it couldn't, unless the store may do it in a while."""

    store: Store
    unreadable: list[str] = field(default_factory=list)

    def all(self, files: Sequence[_Beside], what: str, kind: type[T]) -> list[T]:
        """Return those of a kind that can be read, in the order of their names."""
        found = []
        for file in files:
            if file.kind == what:
                try:
                    found.append(read(Where(self.store, file.name), kind))
                except StorageError as exc:
                    if exc.transient:  # of a store that doesn't answer nothing is known, and nothing is to be done
                        raise
                    self.unreadable.append(exc.message)
                except ValueError as exc:
                    self.unreadable.append(f"{self.store.shown(file.name)} is damaged: {exc}")
        return found


def _entry(store: Store, blob: Blob, files: Sequence[_Beside]) -> Entry:
    small = _Small(store)
    record = next(iter(small.all(files, "backup", Record)), None)
    if record is not None and record.backup != blob.name:
        small.unreadable.append(f"{store.shown(names.record_of(blob.name))} is the record of {record.backup}")
        record = None
    drills = sorted(small.all(files, "drill", Drill), key=lambda drill: when(drill.created))
    journals = small.all(files, "journal", Journal)
    return Entry(
        blob=blob,
        record=record,
        damage=_damage(blob, record, drills),
        unreadable=tuple(small.unreadable),
        drills=tuple(drills),
        pins=tuple(file.detail for file in files if file.kind == "pin"),
        journal=next((journal.progress for journal in journals), ""),
        beside=tuple(file.name for file in files),
    )


def _damage(blob: Blob, record: Record | None, drills: Sequence[Drill]) -> str:
    if record is not None and record.file_bytes != blob.size:
        return f"it has {blob.size:,} bytes, and its record says {record.file_bytes:,}"
    last = last_drill(drills)
    if last is None or last.ok or _is_of_others(last):
        return ""
    return f"the drill of {last.created} found it bad"


def _is_of_others(drill: Drill) -> bool:
    """
    Tell whether all that a drill found wrong is outside of the backup, which was restored exactly, or proved before.

    A place that was not mounted, or an engine of another version, is no reason to let a good backup go.
    """
    rules = {finding.rule for finding in drill.findings if finding.severity == "error"}
    return bool(rules) and rules <= {*FILE_RULES, UNREADABLE, NOT_OPENED}
