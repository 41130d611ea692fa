"""How a drill ended."""

from dataclasses import dataclass
from typing import Literal, Self

from dlbackup.errors import NotVerified
from dlbackup.inventory import record as records
from dlbackup.lake.datafiles import FILE_RULES, UNREADABLE
from dlbackup.lake.findings import Finding, first_error
from dlbackup.migration.outcome import Stage

Outcome = Literal["proven", "bad", "not-made"]


@dataclass(frozen=True, slots=True)
class DrilledFiles:
    """Data files: how many were looked for, how many of them are missing, how many were read to their end."""

    looked_at: int = 0
    missing: int = 0
    read: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """
    How a drill ended.

    Args:
        outcome: `proven`: restored, read back and found good; `bad`: the backup or what it needs is not as it should
            be; `not-made`: something else kept it from being tried to the end.
        proven_at: when it was, in UTC; None where it wasn't.
        on: where it was restored.
        rehearsed_to: the version to which the copy was migrated; None where it was not asked for or not needed.
        blocked: whether a migration that was asked for would be refused.
    """

    backup: str
    ok: bool
    outcome: Outcome
    proven_at: str | None
    on: str
    spec_version: str | None
    snapshot_id: int | None
    rows: int
    stages: tuple[Stage, ...]
    files: DrilledFiles
    rehearsed_to: str | None
    findings: tuple[Finding, ...]
    started: str
    seconds: float
    blocked: bool = False

    def raise_for_errors(self) -> Self:
        """
        Return this record when the backup is proven.

        Raises:
            NotVerified: it isn't; `result` is this record.
        """
        if self.ok:
            return self
        rules = {finding.rule for finding in self.findings if finding.severity == "error"}
        hint = "do not rely on this backup; take another one, and drill that"
        if rules <= {*FILE_RULES, UNREADABLE}:
            hint = "the backup itself is good: bring the files back from a copy of the data path"
        elif rules == {records.NOT_OPENED}:
            hint = (
                "the backup gives back the catalog as it was: find out what the engine minds, or try another --engine"
            )
        error = NotVerified(f"{self.backup} failed its drill: {first_error(self.findings)}", hint)
        error.result = self
        raise error
