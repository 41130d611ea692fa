"""
How a backup becomes one of its store: what was written is read back and proved, and then its record is put beside it.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from dlbackup.backupfile.backup import Backup, VerifiedBackup
from dlbackup.backupfile.frames import locate
from dlbackup.backupfile.lineage import rows_in
from dlbackup.backupfile.manifest import Entry
from dlbackup.backupfile.reader import BackupReader
from dlbackup.errors import StorageError, UsageError
from dlbackup.inventory import names
from dlbackup.inventory.fileids import FileIds
from dlbackup.inventory.record import MadeBy, Pin, Record, as_text, put, read
from dlbackup.stores.contract import Readable, Where
from dlbackup.stores.encrypted import as_kept
from dlbackup.stores.keys import ENDING

MOST_FILES = 100_000
"""Of a lake with more files, their numbers are read from the backup when somebody asks for them: that takes seconds."""
_MOST_TEXT = 200_000
_AT_ONCE = 1 << 20
_NUMBERED = {"ducklake_data_file": "data_file_id", "ducklake_delete_file": "delete_file_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """
    The pins on a backup.

    Args:
        pins: those that are there now.
        changed: those that were put there, or taken away.
    """

    backup: str
    pins: tuple[str, ...]
    changed: tuple[str, ...]


def publish(
    where: Where,
    backup: Backup,
    proof: VerifiedBackup,
    verify_seconds: float,
    made_by: MadeBy,
    recipients: tuple[str, ...] = (),
) -> Where:
    """
    Put the record of a backup that was proved beside it, and return where that is.

    Args:
        where: the backup in its store, where it was read for the proof.
        recipients: whom it is encrypted to, if to anybody.

    Raises:
        StorageError: it can't be written.
    """
    begun = time.monotonic()
    lake = _lake_in(proof)
    header = proof.manifest.header
    record = Record(
        backup=where.name,
        created=header.created,
        tool=header.tool,
        made_by=made_by,
        database=header.source.database,
        schema=header.source.schema,
        dialect=header.dialect,
        server_version=header.source.server_version,
        spec_version=header.spec_version,
        snapshot_id=header.snapshot_id,
        snapshot_time=header.snapshot_time,
        tables=backup.tables,
        rows=backup.rows,
        raw_bytes=backup.raw_bytes,
        file_bytes=backup.file_bytes,
        sha256=backup.sha256,
        seal=proof.seal,
        fingerprint=backup.fingerprint,
        dump_seconds=backup.seconds,
        verify_seconds=round(verify_seconds + time.monotonic() - begun, 3),
        lake=lake.uuid,
        data_path=lake.data_path,
        data_files=lake.data_files,
        delete_files=lake.delete_files,
        file_ids=lake.file_ids,
        encrypted=where.name.endswith(ENDING),
        recipients=recipients,
    )
    beside = Where(where.store, names.record_of(where.name))
    put(beside, record)
    return beside


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lake:
    """What a record says of the lake itself; see `Record`."""

    uuid: str | None
    data_path: str | None
    data_files: int
    delete_files: int
    file_ids: str | None


def _lake_in(proof: VerifiedBackup) -> _Lake:
    """Read it from the backup."""
    rows = {entry.table.name: entry.rows for entry in proof.manifest.tables}
    files, deletes = (rows.get(name, 0) for name in _NUMBERED)
    with proof.open() as reader:
        uuids = (row["schema_uuid"] for row in rows_in(reader, "ducklake_schema") if row["schema_id"] == "0")
        metadata = rows_in(reader, "ducklake_metadata")
        paths = (row["value"] for row in metadata if row["key"] == "data_path" and row.get("scope") is None)
        uuid, data_path = next(uuids, None), next(paths, None)
        ids = str(file_ids_in(reader)) if files + deletes <= MOST_FILES else None
    return _Lake(
        uuid=uuid,
        data_path=data_path,
        data_files=files,
        delete_files=deletes,
        file_ids=ids if ids is not None and len(ids) <= _MOST_TEXT else None,
    )


def adopt(where: Where, proof: VerifiedBackup, verify_seconds: float) -> Where:
    """
    Give a backup its record that was made without one, and return where that is; one that is there stays.

    One that has a migration's journal beside it is pinned as `migrate` does it now.

    Raises:
        UsageError: it has no name that a store gave it; StorageError: it can't be read, or the record not be written;
            or there is one that says nothing of this backup.
    """
    pins = pins_of(where)
    beside = Where(where.store, names.record_of(where.name))
    there = _with_it(where)
    if beside.name in there:
        _refuse_useless(beside, where.name)
        return beside
    migrated = f"{where.name}.journal.json" in there
    if migrated and names.MIGRATION not in pins:
        pin(where, names.MIGRATION, unrecorded=True)
    manifest = proof.manifest
    with where.open() as file:
        raw_bytes = sum(frame.text_size for frame in locate(file))
    with as_kept(where).open() as file:
        sha256, file_bytes = _sha256(file), file.size
    made = Backup(
        path=str(where),
        format=manifest.header.format,
        spec_version=manifest.header.spec_version,
        snapshot_id=manifest.header.snapshot_id,
        tables=len(manifest.tables),
        rows=manifest.rows,
        raw_bytes=raw_bytes,
        file_bytes=file_bytes,
        sha256=sha256,
        seconds=0.0,
        fingerprint=manifest.fingerprint.value if manifest.fingerprint else "",
    )
    return publish(where, made, proof, verify_seconds, "migrate" if migrated else "dump")


def _refuse_useless(record: Where, backup: str) -> None:
    """Refuse to call a backup recorded by what says nothing of it."""
    try:
        why = "" if read(record, Record).backup == backup else "is that of another backup"
    except ValueError as exc:
        why = f"is damaged: {exc}"
    if why:
        raise StorageError(
            f"there is a record already, and it {why}: {record}",
            "the backup is good: take that file away, and verify it with --record again",
        )


def _sha256(file: Readable) -> str:
    digest = hashlib.sha256()
    for at in range(0, file.size, _AT_ONCE):
        digest.update(file.read_at(at, _AT_ONCE))
    return digest.hexdigest()


def is_recorded(where: Where) -> bool:
    """Tell whether a backup has a record, whatever that says; raises as `Store.list`."""
    return names.record_of(where.name) in _with_it(where)


def _with_it(where: Where) -> set[str]:
    """Return the names of a backup and of all that is beside it, those that are there."""
    return {blob.name for blob in where.store.list(names.stem_of(where.name))}


def pin(where: Where, name: str, *, unrecorded: bool = False) -> None:
    """
    Pin a backup: it is kept, whatever the policy says, until the pin is taken away.

    A prune takes the record away first and looks for pins then, so that one of both sees the other.

    Args:
        unrecorded: it has no record yet.

    Raises:
        StorageError: there is a pin of that name, or it can't be written; or the backup is being taken away.
    """
    made = Pin(backup=where.name, name=name, created=as_text(datetime.now(UTC)))
    beside = Where(where.store, names.pin_of(where.name, name))
    put(beside, made)
    needed = {where.name} if unrecorded else {where.name, names.record_of(where.name)}
    if needed <= _with_it(where):
        return
    with suppress(StorageError):
        where.store.delete(beside.name)
    raise StorageError(f"{where} can't be pinned: a prune is taking it away, or has done so", "make another one")


def pins_of(where: Where) -> tuple[str, ...]:
    """
    Return the names of the pins on a backup.

    Raises:
        StorageError: there is no such backup; UsageError: it has no name that a store gave it.
    """
    with as_kept(where).open():
        pass
    if not names.is_backup(where.name):
        raise UsageError(
            f"{where} has a name of its own, and prune looks only at what dump or migrate named in a folder",
            "nothing takes this file away, so it needs no pin",
        )
    stem = names.stem_of(where.name)
    beside = map(names.beside, _with_it(where))
    return tuple(sorted(found[2] for found in beside if found and found[:2] == (stem, "pin")))


def file_ids_in(reader: BackupReader) -> FileIds:
    """
    Return the numbers of all files that a backup refers to, also those of earlier snapshots only.

    Raises:
        BackupError: the part that holds them is damaged.
    """
    return FileIds.of(number for entry in reader.unchecked.tables for number in _numbers(reader, entry))


def _numbers(reader: BackupReader, entry: Entry) -> Iterator[int]:
    if entry.table.column_names[:1] != (_NUMBERED.get(entry.table.name),):  # the first in every version
        return
    for block in reader.scan_table(entry):
        for row in block.rows:
            yield int(row[: row.index(b",")])
