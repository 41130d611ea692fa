"""
Say whether a backup is good; on request rehearse it, and look for its data files.
"""

import re
import time
from dataclasses import replace
from pathlib import Path

from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.backup import Backup, VerifiedBackup, where_of
from dlbackup.backupfile.prover import Verification, examine
from dlbackup.engine.keys import check_secrets
from dlbackup.errors import BackupError, CatalogError, EngineError, Unreachable, UsageError
from dlbackup.lake import datafiles
from dlbackup.lake.findings import Finding
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.runtime.workers import JOBS
from dlbackup.stores.contract import Where


def verify(
    backup: str | Path | Backup,
    *,
    rehearse: str | None = None,
    engine: str | Path | None = None,
    data_files: bool = False,
    secrets: str | Path | None = None,
    jobs: int = JOBS,
    on_event: OnEvent = ignore,
) -> Verification:
    """
    Read a whole backup and say whether it is good; damage is a finding too.

    Args:
        backup: a path, `-` for standard input, or what `dump` returned.
        rehearse: the address of a server on which a good backup is also restored into a scratch schema,
            migrated if need be, and opened.
        engine: the Python of the environment whose DuckDB opens it; by default this one.
        data_files: also look whether the data files are there with their recorded sizes: those on this machine, and
            with keys those in object storage.
        secrets: a file with the keys, as CREATE SECRET statements; else those of the cloud's own variables count.
        jobs: how many processes decompress and prove.

    Raises:
        StorageError: the file, or the one with the keys, can't be read.
        UsageError, Unreachable, EngineError: the rehearsal has no server or no engine.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} jobs can't do anything")
    if data_files:
        check_secrets(secrets)
    begun = time.monotonic()
    with where_of(backup) as where:
        return _verified(where, begun, rehearse, engine, jobs, on_event, data_files=data_files, secrets=secrets)


def _verified(
    where: Where,
    begun: float,
    rehearse: str | None,
    engine: str | Path | None,
    jobs: int,
    on_event: OnEvent,
    *,
    data_files: bool,
    secrets: str | Path | None,
) -> Verification:
    try:
        proof, report = examine(where, begun, jobs, on_event)
        found: list[Finding] = []
        if data_files and proof is not None:
            found += _data_files(proof, secrets, on_event)
        if rehearse is not None and proof is not None:
            found += _rehearsed(proof, rehearse, engine, on_event)
    except BackupError as exc:
        rule = re.sub("(?<!^)(?=[A-Z])", "-", type(exc).__name__).lower()
        message = exc.message + (f" ({exc.hint})" if exc.hint else "")
        damage = (Finding(severity="error", rule=rule, message=message),)
        return Verification(
            path=str(where),
            ok=False,
            spec_version=None,
            snapshot_id=None,
            tables=0,
            rows=0,
            row_shapes=0,
            findings=damage,
            seconds=round(time.monotonic() - begun, 3),
        )
    findings = sorted((*report.findings, *found), key=lambda finding: finding.severity)
    ok = all(finding.severity != "error" for finding in findings)
    return replace(report, ok=ok, findings=tuple(findings), seconds=round(time.monotonic() - begun, 3))


def _data_files(backup: VerifiedBackup, secrets: str | Path | None, on_event: OnEvent) -> list[Finding]:
    from dlbackup.catalogs.loaded_backup import load
    from dlbackup.engine.listing import LISTING_TIMEOUT_S, look_everywhere

    on_event(Event(stage="data-files", message="looking for the data files"))
    with backup.open() as reader, load(reader, lambda table: datafiles.COLUMNS.get(table.name, ())) as content:
        return look_everywhere(content, secrets, LISTING_TIMEOUT_S).findings


def _rehearsed(backup: VerifiedBackup, server: str, engine: str | Path | None, on_event: OnEvent) -> list[Finding]:
    from dlbackup.engine.engine import probe
    from dlbackup.migration.rehearsal import rehearse_backup

    address = parse_address(server)
    if address.kind != "postgres":
        raise UsageError(f"a rehearsal needs a PostgreSQL database, not {address}")
    with probe(engine) as opener:
        how = f"restoring into a scratch schema of {address}, to be opened by DuckDB {opener.duckdb_version}"
        on_event(Event(stage="rehearsal", message=how))
        try:
            return rehearse_backup(address, backup, opener)
        except Unreachable:
            raise
        except (CatalogError, EngineError) as exc:
            return [Finding(severity="error", rule="rehearsal", message=exc.message)]
