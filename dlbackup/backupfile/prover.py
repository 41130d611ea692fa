"""
Prove a backup good: its bytes, its statements, its conformance to the spec version, its head snapshot.

A backup that can't be read to its end raises; one that can, but holds a catalog that isn't as it should
be, gets findings. Only here is a `VerifiedBackup` made.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

from dlbackup.backupfile.backup import VERIFIER, Backup, VerifiedBackup
from dlbackup.backupfile.frames import FRAME_BYTES, Frame
from dlbackup.backupfile.manifest import Entry, Manifest, inner_frames
from dlbackup.backupfile.reader import BackupReader
from dlbackup.backupfile.scanner import ProvedRows, RowBlock, prove_rows
from dlbackup.backupfile.workload import PROOF_BYTES, of_backup
from dlbackup.errors import BackupError, Corrupt, NotVerified, listed
from dlbackup.lake import conformance
from dlbackup.lake.canonical import Canonical
from dlbackup.lake.datafiles import FILE_RULES
from dlbackup.lake.findings import Finding, first_error
from dlbackup.lake.fingerprint import Fingerprinter, TablePart
from dlbackup.runtime.memory import collector_paused
from dlbackup.runtime.progress import Meter, OnEvent, ignore
from dlbackup.runtime.workers import JOBS, Crew
from dlbackup.stores.contract import Where
from dlbackup.stores.encrypted import keyed
from dlbackup.stores.keys import Keyring
from dlbackup.stores.named import where_named
from dlbackup.tables.definition import Table
from dlbackup.tables.rows import parse
from dlbackup.tables.types import written_as

FRAMES_AT_ONCE = 6
"""Frames of 2 MiB of text that are proved at once."""
FRAMES_A_HELPER = 24
"""Frames that are worth the start of one more process."""
Rehearsed = Literal["passed", "blocked", "not-opened", "not-made", "failed"]
_LOOKED_AT = ("ducklake_metadata", "ducklake_snapshot")
_WRONG_IDENTITY = "wrong-identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """
    What verification found.

    Args:
        ok: no finding is an error.
        row_shapes: distinct shapes of rows that were parsed.
        rehearsal: how it ended; None where none was asked for or the backup isn't good. `passed`; `blocked`: a
            migration would be refused; `not-opened`: restored, but not one for this engine; `not-made`: no fault of
            the backup's; `failed`: what was restored is not what the backup holds.
        record: the record beside it, where one was asked for.
    """

    path: str
    ok: bool
    spec_version: str | None
    snapshot_id: int | None
    tables: int
    rows: int
    row_shapes: int
    findings: tuple[Finding, ...]
    seconds: float
    rehearsal: Rehearsed | None = None
    record: str | None = None

    @property
    def blocked(self) -> bool:
        """Whether a migration of what the backup holds would be refused."""
        return self.rehearsal == "blocked"

    def raise_for_errors(self) -> Self:
        """
        Return this record when the backup is good.

        Raises:
            NotVerified: it isn't; `result` is this record.
        """
        if self.ok:
            return self
        hint = "do not rely on this backup; take another one"
        if all(finding.severity != "error" or finding.rule in FILE_RULES for finding in self.findings):
            hint = "the backup itself is good: bring the files back, or restore with --data-path where they are"
        elif {finding.rule for finding in self.findings} == {_WRONG_IDENTITY}:
            hint = "verify it with what opens it; where that was given, do not rely on this backup; take another one"
        error = NotVerified(f"{self.path} does not verify: {first_error(self.findings)}", hint)
        error.result = self
        raise error


def prove(
    backup: Backup, *, ring: Keyring | None = None, on_event: OnEvent = ignore
) -> tuple[VerifiedBackup, Verification]:
    """
    Verify what `dump` has just written and return the proof that attaching with migration asks for.

    Args:
        ring: the keys that it was written with.

    Raises:
        BackupError: it is not good.
    """
    verified, report = prove_file(keyed(where_named(backup.path), ring), on_event=on_event)
    if verified.manifest.contents != backup.contents:
        raise Corrupt("the backup in the file is not the one that was written")
    return verified, report


def prove_file(where: Where, *, on_event: OnEvent = ignore) -> tuple[VerifiedBackup, Verification]:
    """
    Verify a backup, whoever wrote it, and return the proof.

    Raises:
        BackupError: it is not good; StorageError: it can't be read.
    """
    proof, report = examine(where, time.monotonic(), JOBS, on_event)
    if proof is None:
        errors = [finding.message for finding in report.findings if finding.severity == "error"]
        raise NotVerified(f"the backup does not verify: {listed(errors, most=3)}", "see dlbackup verify")
    return proof, report


def damage(found: BackupError) -> Finding:
    """Return what is wrong with a backup that can't be read to its end, as a finding."""
    rule = re.sub("(?<!^)(?=[A-Z])", "-", type(found).__name__).lower()
    message = found.message + (f" ({found.hint})" if found.hint else "")
    return Finding(severity="error", rule=rule, message=message)


@dataclass(frozen=True, slots=True)
class _Task:
    """Some frames that hold nothing but rows of one table."""

    table: Table
    frames: tuple[Frame, ...]
    canonical: Canonical


@contextmanager
def _proving(where: Where) -> Iterator[Callable[[_Task], ProvedRows]]:
    """Prove frames of a backup, here or in a helper."""
    with collector_paused():
        yield lambda task: prove_rows(where, task.table, task.frames, task.canonical)


class _Examination:
    """Reads a whole backup; the inner frames of large tables are proved side by side."""

    def __init__(self, reader: BackupReader, on_event: OnEvent) -> None:
        self.catalog = _Content()
        self.fingerprint = Fingerprinter(reader.manifest.header.spec_version)
        self._reader, self._manifest = reader, reader.manifest
        self._work = of_backup(self._manifest, PROOF_BYTES)
        self._meter = Meter("verify", on_event, sum(self._work.values()), self._manifest.rows)
        self._given: dict[str, range] = {}

    def run(self, jobs: int) -> None:
        """Prove everything; fill in catalog and fingerprint."""
        divided = [entry for entry in self._manifest.tables if self._is_divided(entry)]
        inner = sum(len(inner_frames(entry)) for entry in divided)
        helpers = min(jobs - 1, inner // FRAMES_A_HELPER)
        with _proving(self._reader.where) as work, Crew(_proving, self._reader.where, work, helpers) as crew:
            for entry in divided:
                if entry.kind == "fixed":
                    self._given[entry.table.name] = crew.add(self._tasks(entry))
            for item in self._reader.scan(partial(self._elsewhere, crew)):
                if isinstance(item, Entry):
                    self._meter.part(self._work[item.table.name], item.rows)
                else:
                    self.catalog.see(item)
                    self.fingerprint.of(item.entry.table).add(item.rows, item.digest)
                    self._meter.add(len(item.rows))

    def _is_divided(self, entry: Entry) -> bool:
        return entry.table.name not in _LOOKED_AT and self.fingerprint.of(entry.table).is_divisible

    def _tasks(self, entry: Entry) -> Iterator[_Task]:
        canonical = self.fingerprint.of(entry.table).canonical
        inner = inner_frames(entry)
        for first in inner[::FRAMES_AT_ONCE]:
            frames = self._manifest.frames[first : min(first + FRAMES_AT_ONCE, inner.stop)]
            yield _Task(entry.table, frames, canonical)

    def _elsewhere(self, crew: Crew[_Task, ProvedRows], entry: Entry) -> Iterator[ProvedRows] | None:
        if not self._is_divided(entry):
            return None
        numbers = self._given.get(entry.table.name) or crew.add(self._tasks(entry))
        return self._taken(crew, numbers, self.fingerprint.of(entry.table))

    def _taken(self, crew: Crew[_Task, ProvedRows], numbers: range, part: TablePart) -> Iterator[ProvedRows]:
        for proved in map(crew.result, numbers):
            part.take(proved.meaning)
            self._meter.add(proved.rows.count, crew.ahead * FRAMES_AT_ONCE * FRAME_BYTES)
            yield proved


def examine(where: Where, begun: float, jobs: int, on_event: OnEvent) -> tuple[VerifiedBackup | None, Verification]:
    """Read a whole backup that somebody waits for since `begun`; return what was found, and the proof if it is good."""
    with BackupReader(where) as reader, collector_paused():
        manifest = reader.manifest
        examination = _Examination(reader, on_event)
        examination.run(jobs)
        catalog, fingerprint = examination.catalog, examination.fingerprint
        shapes = reader.row_shapes
    if manifest.fingerprint is not None and fingerprint.result() != manifest.fingerprint:
        raise Corrupt("the fingerprint in the manifest is not that of the rows")
    header = manifest.header
    findings = conformance.differences(header.spec_version, tuple(entry.table for entry in manifest.tables))
    findings += catalog.findings(manifest)
    findings += [
        Finding(severity="warning", rule="left-out", message=f"not in the backup: {what}") for what in manifest.left_out
    ]
    findings.sort(key=lambda finding: finding.severity)
    ok = all(finding.severity != "error" for finding in findings)
    proof = VerifiedBackup(where, reader.seal, manifest, proof=VERIFIER) if ok else None
    return proof, Verification(
        path=str(where),
        ok=ok,
        spec_version=header.spec_version,
        snapshot_id=header.snapshot_id,
        tables=len(manifest.tables),
        rows=manifest.rows,
        row_shapes=shapes,
        findings=tuple(findings),
        seconds=round(time.monotonic() - begun, 3),
    )


class _Content:
    """The few values that say whether the catalog has one version and one head snapshot."""

    def __init__(self) -> None:
        self.versions: list[str | None] = []
        self.snapshots: dict[str | None, int] = {}

    def see(self, block: RowBlock) -> None:
        table = block.entry.table
        names = table.column_names
        if table.name == "ducklake_metadata":
            for row in block.rows:
                values = dict(zip(names, parse(row), strict=True))
                if values.get("key") == "version" and values.get("scope") is None:
                    self.versions.append(values.get("value"))
        elif table.name == "ducklake_snapshot" and _holds_integers(table, "snapshot_id"):
            place = names.index("snapshot_id")
            for row in block.rows:
                snapshot = parse(row)[place]
                self.snapshots[snapshot] = self.snapshots.get(snapshot, 0) + 1

    def findings(self, manifest: Manifest) -> list[Finding]:
        """Return what is wrong with version and snapshots."""
        header, found = manifest.header, []
        if self.versions != [header.spec_version]:
            text = f"ducklake_metadata names the versions {self.versions}, not one, or not {header.spec_version!r}"
            found.append(Finding(severity="error", rule="one-version", message=text))
        doubled = [snapshot for snapshot, count in self.snapshots.items() if count > 1 or snapshot is None]
        if doubled:
            text = f"ducklake_snapshot holds snapshot {doubled[0]} {self.snapshots[doubled[0]]} times"
            found.append(Finding(severity="error", rule="one-head-snapshot", message=text))
        ids = [int(snapshot) for snapshot in self.snapshots if snapshot is not None]
        if not ids or max(ids) != header.snapshot_id:
            text = f"the newest snapshot is {max(ids, default=None)}, the header says {header.snapshot_id}"
            found.append(Finding(severity="error", rule="one-head-snapshot", message=text))
        return found


def _holds_integers(table: Table, name: str) -> bool:
    return any(column.name == name and written_as(column.type) == "integer" for column in table.columns)
