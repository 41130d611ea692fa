"""
One drill, stage by stage, and what it has found so far.

What it finds is said of the backup; what keeps it from being made is said of whatever that was, and proves nothing
either way.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.backupfile.prover import damage, examine
from dlbackup.catalogs.open import rewrite_for
from dlbackup.drills.outcome import Drill, DrilledFiles, Outcome
from dlbackup.drills.place import EMBEDDED, practice_place, shown
from dlbackup.errors import AttachFailed, BackupError, EngineError, RestoredOtherwise
from dlbackup.inventory import record as records
from dlbackup.lake.datafiles import SAMPLE_COLUMNS, sample
from dlbackup.lake.findings import Finding
from dlbackup.lake.looking import can_look
from dlbackup.migration.outcome import Stage
from dlbackup.runtime.progress import Event, OnEvent
from dlbackup.stores.contract import Where

if TYPE_CHECKING:
    from dlbackup.engine.engine import Engine
    from dlbackup.migration.rehearsed import Rehearsal


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for; see `drill`."""

    on: str
    sample: int
    looks: bool
    rehearse: bool
    engine: str | Path | None
    secrets: str | Path | None
    jobs: int


@dataclass(slots=True, kw_only=True)
class Attempt:
    """A drill that is under way, and what it has found so far."""

    where: Where
    name: str
    wanted: Wanted
    on_event: OnEvent
    stages: list[Stage] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    proof: VerifiedBackup | None = None
    files: DrilledFiles = field(default_factory=DrilledFiles)
    rehearsal: "Rehearsal | None" = None
    on: str = ""
    begun: float = field(default_factory=time.monotonic)
    started: str = field(default_factory=lambda: _now())

    def run(self) -> None:
        """Do one thing after the other; what shows that the backup is bad ends it."""
        try:
            self._verify()
            for step in (self._check, self._look, self._restore):
                if self.proof is None or self._is_bad():
                    return
                step(self.proof)
        except BackupError as exc:
            self.findings.append(damage(exc))

    def _is_bad(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)

    @contextmanager
    def _stage(self, name: str, message: str) -> Iterator[None]:
        self.on_event(Event(stage=name, message=message))
        begun = time.monotonic()
        try:
            yield
        finally:
            self.stages.append(Stage(name, round(time.monotonic() - begun, 3)))

    def _verify(self) -> None:
        with self._stage("verify", "reading and proving the whole backup"):
            self.proof, report = examine(self.where, time.monotonic(), self.wanted.jobs, self.on_event)
        self.findings += report.findings

    def _check(self, proof: VerifiedBackup) -> None:
        from dlbackup.health.checkup import check_backup

        with self._stage("check", "asking the rules of the catalog"), proof.open() as reader:
            self.findings += check_backup(reader).findings

    def _look(self, proof: VerifiedBackup) -> None:
        if not self.wanted.looks:
            return
        from dlbackup.catalogs.loaded_backup import load
        from dlbackup.engine.listing import LISTING_TIMEOUT_S, look_everywhere
        from dlbackup.engine.sampling import read_sample

        with (
            self._stage("data-files", "looking for the data files"),
            proof.open() as reader,
            load(reader, lambda table: SAMPLE_COLUMNS.get(table.name, ())) as content,
        ):
            if not can_look(content):
                return
            looked = look_everywhere(content, self.wanted.secrets, LISTING_TIMEOUT_S)
            self.findings += looked.findings
            self.files = DrilledFiles(looked.total - looked.remote, looked.missing or 0)
            chosen = sample(content, self.wanted.sample) if self.wanted.sample else []
        if chosen:
            with self._stage("sample", f"reading {len(chosen)} data files"):
                sampled = read_sample(chosen, self.wanted.secrets)
            self.findings += sampled.findings
            self.files = DrilledFiles(self.files.looked_at, self.files.missing, sampled.read)

    def _restore(self, proof: VerifiedBackup) -> None:
        from dlbackup.migration.rehearsed import rehearse_backup

        with ExitStack() as stack:
            with self._stage("start", "making ready what it is restored into, and an engine"):
                address, self.on = stack.enter_context(practice_place(self.wanted.on, proof))
                engine = self._engine(stack)
            rewrite_for(address, proof.manifest.header.dialect)
            opener = f", to be opened by DuckDB {engine.duckdb_version}" if engine else ""
            try:
                with self._stage("restore", f"restoring into {self.on}{opener}"):
                    found = rehearse_backup(
                        address,
                        proof,
                        engine,
                        migrates=self.wanted.rehearse,
                        throwaway=self.wanted.on == EMBEDDED,
                        checked=True,
                    )
            except RestoredOtherwise as exc:
                self.findings.append(Finding(severity="error", rule="restored-otherwise", message=exc.message))
                return
            except AttachFailed as exc:
                text = f"restored and read back, but not opened: {exc.message}"
                self.findings.append(Finding(severity="error", rule=records.NOT_OPENED, message=text))
                return
        self.rehearsal = found
        self.findings += found.findings
        self._divide(found.restored_seconds)

    def _engine(self, stack: ExitStack) -> "Engine | None":
        """Return the engine that opens the copy; that there is none is a warning, unless it was asked for."""
        from dlbackup.engine.engine import probe

        try:
            return stack.enter_context(probe(self.wanted.engine))
        except EngineError as exc:
            if self.wanted.engine or self.wanted.rehearse:
                raise
            text = f"no engine opens what is restored: {exc.message}"
            self.findings.append(Finding(severity="warning", rule="not-opened", message=text))
            return None

    def _divide(self, restored_seconds: float) -> None:
        """Tell the restore from what came after it."""
        whole = self.stages.pop()
        rest = "rehearse" if self.wanted.rehearse else "open"
        self.stages += [
            Stage("restore", restored_seconds),
            Stage(rest, round(max(0.0, whole.seconds - restored_seconds), 3)),
        ]

    def result(self, outcome: Outcome | None = None) -> Drill:
        """Return how it ended, by what was found unless it was not ended."""
        found = outcome or ("bad" if self._is_bad() else "proven")
        header = self.proof.manifest.header if self.proof else None
        blocked = self.wanted.rehearse and self.rehearsal is not None and self.rehearsal.outcome == "blocked"
        return Drill(
            backup=self.name,
            ok=found == "proven",
            outcome=found,
            proven_at=_now() if found == "proven" else None,
            on=self.on or shown(self.wanted.on),
            spec_version=header.spec_version if header else None,
            snapshot_id=header.snapshot_id if header else None,
            rows=self.proof.manifest.rows if self.proof else 0,
            stages=tuple(self.stages),
            files=self.files,
            rehearsed_to=self.rehearsal.to_version if self.rehearsal else None,
            findings=tuple(sorted(self.findings, key=lambda finding: finding.severity)),
            started=self.started,
            seconds=round(time.monotonic() - self.begun, 3),
            blocked=blocked,
        )


def _now() -> str:
    return records.as_text(datetime.now(UTC))
