"""A backup becomes a catalog; what was there stays until everything is proved."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dlbackup.backupfile.manifest import Manifest
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Catalog, Client, Existing, Terms
from dlbackup.catalogs.open import rewrite_for
from dlbackup.errors import counted
from dlbackup.lake.datafiles import is_same_folder
from dlbackup.lake.lineage import parting_of
from dlbackup.runtime.progress import OnEvent, ignore
from dlbackup.transfer.chunks import Feed
from dlbackup.transfer.data_files import settle
from dlbackup.transfer.feed import feeding
from dlbackup.transfer.file_keys import backup_holds_file_keys
from dlbackup.transfer.filling import fill, hand_over, prove_definitions, read_back
from dlbackup.transfer.in_the_way import check_place
from dlbackup.transfer.job import Job, Stream
from dlbackup.transfer.options import RestoreOptions

_A_COPY = (
    "this catalog shares its data files with the one that the backup is from: where that one is still in use, clean up"
    " in neither (CHECKPOINT, ducklake_cleanup_old_files, ducklake_delete_orphaned_files), since each deletes files of"
    " the other; or copy the files, and say where they are with --data-path"
)
_NOT_MOVED = (
    "{files} not below the data path, so that --data-path doesn't move {them}: this catalog shares {them} with the one"
    " that the backup is from ({shown}); where that one is still in use, clean up in neither (CHECKPOINT,"
    " ducklake_cleanup_old_files), since each deletes files of the other"
)
_WITH_KEYS = (
    "the keys to the lake's encrypted Parquet files stand in the frozen file in clear, and whoever reads it can read"
    " those: only its owner may (mode 0400) until chmod lets others"
)

_WITH_VARIANT = "v1.5.0"
"""The oldest storage version that has the type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """
    What there is to say of a catalog that was restored.

    Args:
        replaced: where the old catalog is kept; None where it is not.
        missing_data_files: how many are missing; None where that was not looked at.
        missing_grants: statements by which others could use the schema.
        came: who else was connected in the end.
    """

    replaced: str | None
    missing_data_files: int | None
    missing_grants: tuple[str, ...]
    came: tuple[Client, ...]


def restore_into(
    catalog: Catalog,
    reader: BackupReader,
    options: RestoreOptions,
    on_event: OnEvent = ignore,
    *,
    scratch: bool = False,
    exact: bool = False,
) -> str | None:
    """
    Restore into a catalog's place, inside its transaction if it has one open; return where the old one is.

    Args:
        scratch: nobody but us knows the place, so the catalog need not appear in one transaction.
        exact: tables are kept where they were, also where the user's own defaults say otherwise.
    """
    with feeding(reader, rewrite_for(catalog.address, reader.header.dialect)) as feed:
        return restore_fed(catalog, reader, feed, options, on_event, scratch=scratch, exact=exact).replaced


def restore_fed(
    catalog: Catalog,
    reader: BackupReader,
    feed: Feed,
    options: RestoreOptions,
    on_event: OnEvent,
    *,
    scratch: bool = False,
    exact: bool = False,
    witness: Callable[[], None] | None = None,
) -> Loaded:
    """
    Restore the rows of a feed; see `restore_into`.

    Each part is proved before it is committed: its rows by what the backend gives back, definitions once it has all.

    Args:
        witness: is asked before anything is made, once the place may have it; what it raises keeps that from being.
    """
    manifest = reader.manifest
    job = Job(catalog.schema, reader, options, Stream(feed, manifest, options, on_event), on_event)
    terms = _terms(job, reader, scratch=scratch, exact=exact)
    with catalog.replacement(len(manifest.tables), terms, on_event) as replacement:
        job.comes_to(replacement.encoding)
        job.begin(replacement, scratch=scratch)
        scheduled = replacement.existing.scheduled_for_deletion()
        is_copy = not replacement.existing.tables or _is_of_another_lake(replacement.existing, job)
        if witness is not None:
            check_place(replacement.existing, job)
            witness()
        for opened in replacement.parts(manifest.tables):
            with opened as part:
                fill(part, job)
                if part.whole:
                    prove_definitions(part.place, job)
                read_back(part.place, job, part.entries)
                if part.whole:
                    settle(part.place, job, replacement.existing, scheduled)
                    if not scratch:
                        hand_over(part.place, job, replacement.existing)
    if not scratch and is_copy:
        job.warn(*_shared_files(job))
    if terms.secret:
        job.warn(_WITH_KEYS)
    return Loaded(
        replaced=replacement.replaced,
        missing_data_files=job.missing_data_files,
        missing_grants=tuple(job.missing_grants),
        came=replacement.came,
    )


def _terms(job: Job, reader: BackupReader, *, scratch: bool, exact: bool) -> Terms:
    """Return on which terms a backup comes into a place."""
    options = job.options
    return Terms(
        accept=partial(check_place, job=job),
        replace=options.replace,
        drop_replaced=options.drop_replaced,
        scratch=scratch,
        bar=reader.header.spec_version if options.bar_stale_clients else "",
        ends_waiting=options.terminate_clients,
        exact=exact,
        storage_version=options.storage_version or _storage_version(job.manifest, options),
        frozen=options.frozen,
        secret=options.frozen and backup_holds_file_keys(reader),
    )


def _storage_version(manifest: Manifest, options: RestoreOptions) -> str:
    """Return that of the file that the backup is of; of a frozen one the oldest that can hold it. Empty: the oldest."""
    if not options.frozen:
        return manifest.header.source.storage_version
    types = (column.type for entry in manifest.tables for column in entry.table.columns)
    return _WITH_VARIANT if any(re.search(r"\bVARIANT\b", type_) for type_ in types) else ""


def _is_of_another_lake(existing: Existing, job: Job) -> bool:
    """Whether another lake's catalog is replaced, which is refused unless it was accepted by name."""
    return job.options.other_lake and parting_of(existing.lineage(), job.lineage, job.known).other_lake


def _shared_files(job: Job) -> list[str]:
    """Say whether the catalog has files of the one that the backup is from: its folder, or single ones elsewhere."""
    given = job.options.data_path
    before = None if given is None else job.lineage.data_path
    if given is None or (before is not None and is_same_folder(str(given), before)):
        return [_A_COPY]
    count = job.not_moved.count
    if not count:
        return []
    files, them = (f"{counted(count, 'data file')} are", "them") if count > 1 else ("1 data file is", "it")
    return [_NOT_MOVED.format(files=files, them=them, shown=job.not_moved)]
