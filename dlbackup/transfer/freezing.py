"""
A backup of one snapshot of a lake, made from one of all its snapshots, for a catalog that nobody writes to.

The backup becomes a scratch DuckDB file, from which all goes that isn't live at that snapshot; what is left is dumped.
So what is gone is in no page of a file that is made of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dlbackup.backupfile.backup import Backup
from dlbackup.backupfile.lineage import lineage_of
from dlbackup.backupfile.manifest import Manifest
from dlbackup.backupfile.prover import prove
from dlbackup.catalogs.contract import Access, Catalog
from dlbackup.catalogs.open import dialect_at, open_for_restore, scratch_for_engines
from dlbackup.engine.sampling import rows_until
from dlbackup.errors import AttachFailed, NotCarried, UsageError, listed
from dlbackup.lake import spec
from dlbackup.lake.canonical import is_regular
from dlbackup.lake.datafiles import DataFile, stored
from dlbackup.lake.lineage import EPOCH, Snapshot, since_1970
from dlbackup.lake.live import Live, PartialFile, live_at, partial_files, set_rows, thinned
from dlbackup.runtime.progress import Event, OnEvent
from dlbackup.stores.contract import Where
from dlbackup.tables.quoting import quote_literal
from dlbackup.transfer.converting import read_as
from dlbackup.transfer.dumping import dump_catalog
from dlbackup.transfer.loading import restore_into
from dlbackup.transfer.options import RestoreOptions

_LEVEL = 1
"""Of zstd: nobody keeps the file."""


@dataclass(frozen=True, slots=True)
class At:
    """Which snapshot is wanted: by its number, or the newest at a time. One of both is given."""

    version: int | None = None
    time: datetime | None = None

    def chosen(self, snapshots: Iterable[Snapshot]) -> int:
        """
        Return its number.

        Raises:
            UsageError: the lake never had it. NotCarried: it has expired.
        """
        there = sorted(snapshots)
        if not there:
            raise NotCarried("the lake has no snapshots", "name another source")
        if self.time is not None:
            return self._at_time(there, self.time)
        numbers = [number for number, _ in there]
        if self.version in numbers:
            return int(self.version)
        if self.version is None or not 0 <= self.version <= numbers[-1]:
            raise UsageError(
                f"the lake has no snapshot {self.version}: its newest is {numbers[-1]}",
                "FROM ducklake_snapshots('lake') lists them",
            )
        below = [number for number in numbers if number < self.version]
        above = min(number for number in numbers if number > self.version)
        near = f"{below[-1]} before it and {above} after it" if below else f"{above} after it, and none before"
        raise NotCarried(
            f"snapshot {self.version} has expired: the lake doesn't say any more what was live at it, and has"
            f" snapshot {near}",
            "take one of those, or name as SOURCE a backup from before it expired: dlbackup list says which there are",
        )

    def _at_time(self, there: Sequence[Snapshot], time: datetime) -> int:
        since = since_1970(time)
        timed = [(micros, number) for number, micros in there if micros is not None]
        until = [it for it in timed if it[0] <= since]
        if until:
            return max(until)[1]
        micros, number = min(timed, default=(None, there[0][0]))
        first = f", is of {(EPOCH + micros * EPOCH.resolution).isoformat()}" if micros is not None else ""
        raise NotCarried(
            f"the lake has no snapshot of {time.isoformat()} or before: its first, {number}{first}",
            "take that one, or name as SOURCE a backup from before the others expired",
        )


def frozen_at(where: Where, at: At, folder: Path, options: RestoreOptions, on_event: OnEvent) -> Backup:
    """
    Write a backup of one snapshot into a folder; it is proved.

    Args:
        options: where the data files are now, the keys to them, and the DuckDB that writes files.

    Raises:
        UsageError, NotCarried: there is no such snapshot, or it can't be told exactly what it shows.
    """
    snapshot = at.chosen(lineage_of(where).snapshots)
    on_event(Event(stage="freeze", message=f"leaving what is live at snapshot {snapshot}"))
    place = scratch_for_engines(folder)
    with read_as(where, dialect_at(place), on_event) as reader:
        schema = reader.manifest.header.source.schema
        _refuse_strange(reader.manifest)
        access = Access.of(0.0, options.engine)
        with open_for_restore(place, None, schema, access, replace=False) as catalog:
            restore_into(catalog, reader, RestoreOptions(data_files=False), on_event, scratch=True)
            _thin(catalog, snapshot, options)
    made = dump_catalog(place, folder / "frozen.sql.zst", schema, _LEVEL, access=access, plaintext_keys=True)
    prove(made)
    return made


def _refuse_strange(manifest: Manifest) -> None:
    """Refuse a catalog of which it isn't known what its tables say."""
    version = manifest.header.spec_version
    fixed = [entry.table for entry in manifest.tables if entry.kind == "fixed"]
    strange = [table.name for table in fixed if not is_regular(table, version)] if spec.load(version) else ["all"]
    if strange:
        raise NotCarried(
            f"what of these tables is live at one snapshot isn't known, since DuckLake {version or 'unknown'} doesn't"
            f" have them, or not so: {listed(strange, separator=', ')}",
            "leave the snapshot out: then the frozen lake has all, and ATTACH ... (SNAPSHOT_VERSION N) shows one",
        )


def _thin(catalog: Catalog, snapshot: int, options: RestoreOptions) -> None:
    """Take away all that isn't live."""
    with catalog.snapshot() as view, view.answers() as answers:
        tables, live = view.tables, live_at(answers, snapshot)
    counts = _counts(catalog, live, options)
    with catalog.mending() as mending:
        for kind, of_kind in counts.items():
            if of_kind:
                mending.execute(set_rows(kind, of_kind))
        for statement in thinned(tables, live):
            mending.execute(statement)


def _counts(catalog: Catalog, live: Live, options: RestoreOptions) -> dict[str, dict[int, int]]:
    """Return of data and delete files that hold later rows too how many rows they show: engines believe the catalog."""
    found: dict[str, dict[int, int]] = {"data": dict(live.listed), "delete": {}}
    if not live.partial:
        return found
    try:
        rows = _read(live.partial, live.snapshot, options)
    except AttachFailed as exc:
        if options.data_path is None:
            raise _unread(live, exc) from exc
        try:
            rows = _read(_moved(catalog, live.snapshot, str(options.data_path)), live.snapshot, options)
        except AttachFailed:
            raise _unread(live, exc) from exc
    for file, count in zip(live.partial, rows, strict=True):
        found[file.kind][file.number] = count
    return found


def _read(files: Sequence[PartialFile], snapshot: int, options: RestoreOptions) -> list[int]:
    return rows_until([DataFile(file.path, 0, file.key) for file in files], snapshot, options.secrets)


def _moved(catalog: Catalog, snapshot: int, path: str) -> list[PartialFile]:
    """Return where the files are when the lake's data path is another; that of the scratch file is changed for it."""
    with catalog.mending() as mending:
        mending.execute(
            f"update {{s}}.ducklake_metadata set value = {quote_literal(stored(path))} where key = 'data_path'"
            " and scope is null"
        )
    with catalog.snapshot() as view, view.answers() as answers:
        return partial_files(answers, snapshot)


def _unread(live: Live, why: AttachFailed) -> NotCarried:
    latest = f"files that DuckLake has put together hold rows of later snapshots than {live.snapshot}"
    return NotCarried(
        f"{latest}, and those must be counted, since engines answer count(*) from the catalog; they can't be read:"
        f" {why.message}",
        "make them readable from here (--secrets FILE, --data-path), or leave the snapshot out: then the frozen lake"
        " has all, and ATTACH ... (SNAPSHOT_VERSION N) shows one",
    )
