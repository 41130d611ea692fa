"""
The invariants of a healthy catalog, asked of the catalog at an address or of a backup.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from dlbackup.addresses.address import names_backup, parse_address
from dlbackup.backupfile.backup import Backup, where_of
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Access, Snapshot
from dlbackup.catalogs.loaded_backup import load
from dlbackup.catalogs.open import open_catalog
from dlbackup.engine.keys import check_secrets
from dlbackup.errors import UsageError, counted
from dlbackup.health.checkup import Check, check_backup, check_snapshot
from dlbackup.health.copies import shared_data_files
from dlbackup.lake.answers import Answers
from dlbackup.lake.datafiles import COLUMNS
from dlbackup.lake.findings import Finding
from dlbackup.lake.looking import can_look
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.stores.keys import NO_KEYS, Keys

_NOT_ASKED = "data files: not asked for; --data-files looks whether they are there with their sizes"
_CONTENTS = "what is in data files"


def check(
    target: str | Path | Backup,
    *,
    metadata_schema: str | None = None,
    data_files: bool = False,
    secrets: str | Path | None = None,
    wait: float = 0.0,
    engine: str | Path | None = None,
    keys: Keys = NO_KEYS,
    store: str | Path | None = None,
    on_event: OnEvent = ignore,
) -> Check:
    """
    Check the catalog at an address, or in a backup if `target` is an existing file that isn't a catalog, or `-`.

    Args:
        data_files: also look whether the data files are there with their recorded sizes: those on this machine, and
            with keys those in object storage.
        secrets: a file with the keys, as CREATE SECRET statements; else those of the cloud's own variables count.
        wait: for how many seconds to wait for who has a catalog's file open for writing.
        engine: the Python of the environment whose DuckDB reads a catalog's file; by default this one.
        keys: with the identities that open an encrypted backup.
        store: where backups of the catalog are kept: then it is a warning where the lake deletes files sooner than
            these go.

    Raises:
        CatalogError, BackupError, UsageError: as for reading either.
        StorageError: the file with the keys can't be read.
    """
    check_secrets(secrets, data_files=data_files)
    if isinstance(target, Backup) or names_backup(target):
        if metadata_schema is not None:
            raise UsageError("a backup holds one catalog, whose schema needs no name", "leave --metadata-schema out")
        if store is not None:
            raise UsageError("a backup's lake deletes nothing", "--store goes with the address of the live catalog")
        with where_of(target, keys) as where, BackupReader(where) as reader:
            checked = check_backup(reader, on_event=on_event)
            if not data_files:
                return _without_files(checked)
            with load(reader, lambda table: COLUMNS.get(table.name, ())) as content:
                return _with_files(checked, content, secrets, on_event)
    with open_catalog(parse_address(target), metadata_schema, Access.of(wait, engine)) as catalog:
        copies = catalog.copies()
        with catalog.snapshot() as snapshot:
            checked = check_snapshot(snapshot, on_event=on_event)
            shared = shared_data_files(copies, snapshot.head.snapshot_id)
            checked = replace(
                checked,
                findings=checked.findings + shared,
                not_looked_at=(*checked.not_looked_at, *_texts_unseen(snapshot)),
            )
            if store is not None:
                checked = _with_store(checked, store, snapshot)
            if not data_files:
                return _without_files(checked)
            with snapshot.answers() as content:
                return _with_files(checked, content, secrets, on_event)


def _texts_unseen(snapshot: Snapshot) -> tuple[str, ...]:
    """Say where nobody has seen to it that texts are UTF-8, which no engine reads otherwise."""
    if snapshot.source.encoding in ("", "UTF8") or snapshot.source.converted:
        return ()
    what = f"whether all texts are UTF-8, which a database of the encoding {snapshot.source.encoding} doesn't see to"
    return (f"{what}: dump does, and refuses those that aren't",)


def _with_store(checked: Check, store: str | Path, snapshot: Snapshot) -> Check:
    """Add whether the lake's own clean-up is shorter than what is kept."""
    from dlbackup.inventory.horizon import live, too_short
    from dlbackup.inventory.listing import listing_of
    from dlbackup.stores.named import store_of_backups

    entries = listing_of(store_of_backups(store)).entries
    with snapshot.answers() as answers:
        text = too_short(entries, live(answers), datetime.now(UTC))
    found = (Finding(severity="warning", rule="clean-up-before-backups-go", message=text),) if text else ()
    seen = f"clean-up against {counted(len(entries), 'backup')} in {store}"
    return replace(checked, findings=checked.findings + found, looked_at=(*checked.looked_at, seen))


def _without_files(checked: Check) -> Check:
    return replace(checked, not_looked_at=(*checked.not_looked_at, _NOT_ASKED))


def _with_files(checked: Check, content: Answers, secrets: str | Path | None, on_event: OnEvent) -> Check:
    """Add what a look for the data files finds, and how many were looked at."""
    from dlbackup.engine.listing import LISTING_TIMEOUT_S, look_everywhere

    on_event(Event(stage="data-files", message="looking for the data files"))
    if not can_look(content):
        damaged = "data files: the tables that name them are damaged"
        return replace(checked, not_looked_at=(*checked.not_looked_at, damaged))
    looked = look_everywhere(content, secrets, LISTING_TIMEOUT_S)
    seen = f"{looked.total - looked.remote} of {looked.total} data files: whether they are there, and their sizes"
    remote = (f"{looked.remote} data files that are out of reach",) if looked.remote else ()
    findings = sorted((*checked.findings, *looked.findings), key=lambda finding: finding.severity)
    return replace(
        checked,
        ok=all(finding.severity != "error" for finding in findings),
        findings=tuple(findings),
        looked_at=(*checked.looked_at, seen),
        not_looked_at=(*checked.not_looked_at, *remote, _CONTENTS),
    )
