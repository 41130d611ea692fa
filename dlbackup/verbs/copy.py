"""
A catalog, exact, in another place of the same or another kind: a backup is made, proved and restored.

The backup is a temporary one, in a folder that only its owner can read. What is not proved is never seen by others.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dlbackup.addresses.address import Address, names_backup, parse_address
from dlbackup.backupfile.backup import Backup, where_of
from dlbackup.catalogs.contract import Access, Client
from dlbackup.catalogs.open import refuse_read_only, refuse_storage_version, refuse_to_freeze
from dlbackup.engine.keys import check_secrets
from dlbackup.errors import DlbackupError, NotCarried, Unsupported, UsageError
from dlbackup.runtime.progress import OnEvent, ignore
from dlbackup.runtime.scratch import scratch_folder
from dlbackup.runtime.workers import JOBS
from dlbackup.stores.keys import NO_KEYS, Keys
from dlbackup.transfer.dumping import dump_catalog
from dlbackup.transfer.freezing import At, frozen_at
from dlbackup.transfer.options import RestoreOptions
from dlbackup.transfer.way_back import WayBack
from dlbackup.transfer.witness import Origin, Witness
from dlbackup.verbs.restore import Restored, restore_seen

_LEVEL = 1
"""Of zstd: nobody keeps the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """
    What was copied, and where it is; as of a restore.

    Args:
        source, target: as they were named, without secrets.
        snapshot_id: the newest snapshot that the copy has; what was committed to the source since is not in it.
        fingerprint: what the lake means, the same in both.
        snapshots_read: at how many snapshots an engine has read, before anything was published, what was to be; None
            where none could, or without reading back.
        source_read: whether it has read the same of the source; not of a backup, unless that is of a catalog in another
            kind of file.
    """

    source: str
    target: str
    spec_version: str
    snapshot_id: int | None
    tables: int
    rows: int
    fingerprint: str
    seconds: float
    schema: str = ""
    frozen: bool = False
    replaced: str | None = None
    missing_data_files: int | None = None
    stale_clients: tuple[Client, ...] = ()
    barred: bool = False
    missing_grants: tuple[str, ...] = ()
    way_back: WayBack | None = None
    snapshots_read: int | None = None
    source_read: bool = False
    place: str = ""
    kept: str = ""


def copy(
    source: str | Path | Backup,
    target: str,
    options: RestoreOptions | None = None,
    *,
    metadata_schema: str | None = None,
    snapshot: int | None = None,
    snapshot_time: datetime | str | None = None,
    jobs: int = JOBS,
    keys: Keys = NO_KEYS,
    on_event: OnEvent = ignore,
) -> Copied:
    """
    Make the catalog at an address, or in a backup, one at another address as well; nothing is there unless all is.

    The data files stay where they are, and both catalogs name them.

    Args:
        options: as of a restore; its `metadata_schema` names the schema at the target.
        metadata_schema: names the catalog where the place of the source holds several.
        snapshot: a frozen lake is to show this one and no other.
        snapshot_time: it is to show the newest one at that time; UTC where it has no zone.
        jobs: how many processes read the source.
        keys: with the identities that open an encrypted backup.

    Raises:
        NotCarried: the target can't hold exactly what the source does, or the snapshot has expired.
        UsageError, CatalogError, Refused, BackupError: as of `dump` and `restore`.
    """
    begun = time.monotonic()
    options = options or RestoreOptions()
    where = parse_address(target)
    refuse_read_only(where)
    if options.frozen:
        refuse_to_freeze(where)
    if options.storage_version:
        refuse_storage_version(where)
    at = _wanted_snapshot(options, snapshot, snapshot_time)
    check_secrets(options.secrets, data_files=options.data_files or at is not None)
    if isinstance(source, Backup) or names_backup(source):
        if metadata_schema is not None:
            raise UsageError("a backup holds one catalog, whose schema needs no name", "--target-schema names another")
        name = source.path if isinstance(source, Backup) else str(source)
        with _frozen(source, at, options, keys, on_event) as (wanted, opened_by):
            witness = Witness(origin=None, options=options, on_event=on_event)
            done = _restored(wanted, target, options, opened_by, witness)
    else:
        address = parse_address(source)
        name = str(address)
        with scratch_folder("dlbackup-copy-") as folder:
            made = _dumped(address, folder / "source.sql.zst", metadata_schema, options, jobs, on_event)
            with _frozen(made, at, options, NO_KEYS, on_event) as (wanted, opened_by):
                origin = Origin(address, metadata_schema, made)
                witness = Witness(origin=origin, options=options, on_event=on_event)
                done = _restored(wanted, target, options, opened_by, witness)
    return _copied(done, name, str(where), options, witness, round(time.monotonic() - begun, 3))


def _wanted_snapshot(options: RestoreOptions, version: int | None, time: datetime | str | None) -> At | None:
    """
    Return which snapshot is wanted; None where all are.

    Raises:
        UsageError: that makes no sense.
    """
    if version is None and time is None:
        return None
    if version is not None and time is not None:
        raise UsageError("a snapshot is named by its number or by a time", "leave one of both out")
    if not options.frozen:
        raise UsageError(
            "one snapshot alone is only for a frozen lake: who wrote to it would go another way than the lake",
            "add --frozen, or leave the snapshot out",
        )
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            raise UsageError(f"{time!r} is no time", "write it as 2026-11-29T12:00:00Z") from None
    return At(version, time and time.replace(tzinfo=time.tzinfo or UTC))


@contextmanager
def _frozen(
    source: str | Path | Backup, at: At | None, options: RestoreOptions, keys: Keys, on_event: OnEvent
) -> Iterator[tuple[str | Path | Backup, Keys]]:
    """Yield the backup that is to be restored, and what opens it: with a snapshot, another one, of that alone."""
    if at is None:
        yield source, keys
        return
    with where_of(source, keys) as where, scratch_folder("dlbackup-freeze-") as folder:
        yield frozen_at(where, at, folder, options, on_event), NO_KEYS


def _dumped(
    address: Address, to: Path, schema: str | None, options: RestoreOptions, jobs: int, on_event: OnEvent
) -> Backup:
    try:
        return dump_catalog(
            address,
            to,
            schema,
            _LEVEL,
            jobs,
            on_event,
            max_rate=options.max_rate,
            access=Access.of(options.wait, options.engine),
            plaintext_keys=True,
        )
    except Unsupported as exc:
        raise NotCarried(exc.message, exc.hint) from exc


def _restored(
    backup: str | Path | Backup, target: str, options: RestoreOptions, keys: Keys, witness: Witness
) -> Restored:
    try:
        asked = witness if options.read_back else None
        return restore_seen(backup, target, options, keys=keys, on_event=witness.on_event, witness=asked)
    except DlbackupError as exc:
        exc.hint = exc.hint.replace("--metadata-schema", "--target-schema")
        raise


def _copied(
    done: Restored, source: str, target: str, options: RestoreOptions, witness: Witness, seconds: float
) -> Copied:
    return Copied(
        source=source,
        target=target,
        spec_version=done.spec_version,
        snapshot_id=done.snapshot_id,
        tables=done.tables,
        rows=done.rows,
        fingerprint=done.fingerprint,
        seconds=seconds,
        schema=done.schema,
        frozen=options.frozen,
        replaced=done.replaced,
        missing_data_files=done.missing_data_files,
        stale_clients=done.stale_clients,
        barred=done.barred,
        missing_grants=done.missing_grants,
        way_back=done.way_back,
        snapshots_read=witness.snapshots_read,
        source_read=witness.source_read,
        place=done.place,
        kept=done.kept,
    )
