"""
Say whether a backup is good; on request rehearse it, and look for its data files.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlbackup.addresses.address import Address, parse_address
from dlbackup.backupfile.backup import Backup, VerifiedBackup, where_of
from dlbackup.backupfile.prover import Rehearsed, Verification, damage, examine
from dlbackup.catalogs.open import place_to_try, rewrite_for
from dlbackup.engine.keys import check_secrets
from dlbackup.errors import (
    BackupError,
    DlbackupError,
    Interrupted,
    OtherEncoding,
    RehearsalFailed,
    RestoredOtherwise,
    Unreachable,
    UsageError,
)
from dlbackup.inventory.publishing import adopt, pins_of
from dlbackup.lake.datafiles import COLUMNS
from dlbackup.lake.findings import Finding
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.runtime.workers import JOBS
from dlbackup.stores.contract import Where
from dlbackup.stores.keys import NO_KEYS, Keys

if TYPE_CHECKING:
    from dlbackup.migration.rehearsed import Rehearsal


def verify(
    backup: str | Path | Backup,
    *,
    rehearse: str | None = None,
    engine: str | Path | None = None,
    data_files: bool = False,
    secrets: str | Path | None = None,
    jobs: int = JOBS,
    record: bool = False,
    keys: Keys = NO_KEYS,
    on_event: OnEvent = ignore,
) -> Verification:
    """
    Read a whole backup and say whether it is good; damage is a finding too.

    Args:
        backup: a path, `-` for standard input, or what `dump` returned.
        rehearse: the address of a server on which a good backup is also restored into a scratch schema,
            migrated if need be, and opened; of a backup of a DuckDB file that of a file, beside which a scratch file is
            made, with which the same is done.
        engine: the Python of the environment whose DuckDB opens it; by default this one.
        data_files: also look whether the data files are there with their recorded sizes: those on this machine, and
            with keys those in object storage.
        secrets: a file with the keys, as CREATE SECRET statements; else those of the cloud's own variables count.
        jobs: how many processes decompress and prove.
        record: give a good backup in a folder the record that it lacks: one made by an older dlbackup, or unproved.
        keys: with the identities that open an encrypted backup.

    Raises:
        StorageError: the file, or one with keys, can't be read, or the record not be written; NoIdentity: it is
            encrypted, and nothing opens it.
        UsageError: the rehearsal can't be made there at all; nothing was read.
        RehearsalFailed, Unreachable, OtherEncoding: the rehearsal could not be made, which is no fault of the
            backup's; `result` is what verification found.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} jobs can't do anything")
    if engine is not None and rehearse is None:
        raise UsageError("the engine is for the rehearsal, which is not asked for", "add --rehearse ADDRESS")
    server = None if rehearse is None else parse_address(rehearse)
    check_secrets(secrets, data_files=data_files)
    begun = time.monotonic()
    with where_of(backup, keys) as where:
        if record:
            pins_of(where)  # what has no place in a store is refused before it is read
        return _verified(
            where, begun, server, engine, jobs, on_event, data_files=data_files, secrets=secrets, record=record
        )


def _verified(
    where: Where,
    begun: float,
    server: Address | None,
    engine: str | Path | None,
    jobs: int,
    on_event: OnEvent,
    *,
    data_files: bool,
    secrets: str | Path | None,
    record: bool,
) -> Verification:
    try:
        proof, report = examine(where, begun, jobs, on_event)
        if record and proof is not None:
            report = replace(report, record=str(adopt(where, proof, report.seconds)))
        found: list[Finding] = []
        if data_files and proof is not None:
            found += _data_files(proof, secrets, on_event)
        if server is not None and proof is not None:
            try:
                rehearsal = _rehearsed(proof, server, engine, on_event)
            except DlbackupError as exc:
                exc.result = _with(report, found, begun, "not-made")
                raise
            return _with(report, [*found, *rehearsal.findings], begun, rehearsal.outcome)
    except BackupError as exc:
        return Verification(
            path=str(where),
            ok=False,
            spec_version=None,
            snapshot_id=None,
            tables=0,
            rows=0,
            row_shapes=0,
            findings=(damage(exc),),
            seconds=round(time.monotonic() - begun, 3),
        )
    return _with(report, found, begun)


def _with(
    report: Verification, found: Iterable[Finding], begun: float, rehearsal: Rehearsed | None = None
) -> Verification:
    """Return what was found with more findings."""
    findings = sorted((*report.findings, *found), key=lambda finding: finding.severity)
    ok = all(finding.severity != "error" for finding in findings)
    seconds = round(time.monotonic() - begun, 3)
    return replace(report, ok=ok, findings=tuple(findings), seconds=seconds, rehearsal=rehearsal)


def _data_files(backup: VerifiedBackup, secrets: str | Path | None, on_event: OnEvent) -> list[Finding]:
    from dlbackup.catalogs.loaded_backup import load
    from dlbackup.engine.listing import LISTING_TIMEOUT_S, look_everywhere

    on_event(Event(stage="data-files", message="looking for the data files"))
    with backup.open() as reader, load(reader, lambda table: COLUMNS.get(table.name, ())) as content:
        return look_everywhere(content, secrets, LISTING_TIMEOUT_S).findings


def _rehearsed(backup: VerifiedBackup, address: Address, engine: str | Path | None, on_event: OnEvent) -> "Rehearsal":
    """
    Rehearse a good backup.

    Raises:
        BackupError: it isn't the one that was verified any more.
        RehearsalFailed, Unreachable, OtherEncoding: it could not be done, with whose fault that is.
    """
    from dlbackup.engine.engine import probe
    from dlbackup.migration.rehearsal import blamed
    from dlbackup.migration.rehearsed import Rehearsal, rehearse_backup

    rewrite_for(address, backup.manifest.header.dialect)
    try:
        with probe(engine) as opener:
            how = f"restoring into {place_to_try(address)}, to be opened by DuckDB {opener.duckdb_version}"
            on_event(Event(stage="rehearsal", message=how))
            return rehearse_backup(address, backup, opener)
    except RestoredOtherwise as exc:
        return Rehearsal("failed", (Finding(severity="error", rule="rehearsal", message=exc.message),))
    except (BackupError, Interrupted):
        raise
    except DlbackupError as exc:
        message = f"no rehearsal was made, since {blamed(exc)}: {exc.message}; the backup is good as far as it was read"
        kind = type(exc) if isinstance(exc, Unreachable | OtherEncoding) else RehearsalFailed
        error = kind(message, exc.hint)
        error.transient = exc.transient
        raise error from exc
