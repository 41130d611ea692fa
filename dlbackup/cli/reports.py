"""
Results as text for a person; the same records that `--json` prints.

Each function takes a record and returns lines without a closing line feed.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dlbackup.errors import counted, listed
from dlbackup.lake.findings import Finding

if TYPE_CHECKING:
    from dlbackup.backupfile.backup import Backup
    from dlbackup.backupfile.prover import Verification
    from dlbackup.drills.outcome import Drill
    from dlbackup.health.checkup import Check
    from dlbackup.lake.extent import Extent
    from dlbackup.migration.outcome import Migration
    from dlbackup.transfer.way_back import WayBack
    from dlbackup.verbs.copy import Copied
    from dlbackup.verbs.info import Info, Since
    from dlbackup.verbs.plan import Plan
    from dlbackup.verbs.restore import Restored
    from dlbackup.verbs.unbar import Unbarred

_ABOUT = 60
"""So many signs of a finding stand in the line of the error."""


def dumped(backup: "Backup") -> str:
    """Say what `dump` wrote."""
    held = f"{counted(backup.tables, 'catalog table')}, {counted(backup.rows, 'row')}"
    sizes = f"{size(backup.file_bytes)} ({size(backup.raw_bytes)} of SQL)"
    lines = [
        backup.path,
        f"  {_lake(backup.spec_version, backup.snapshot_id)}, {held}, {sizes}, {backup.seconds:.1f} s",
        f"  sha256 {backup.sha256}",
    ]
    lines += [f"  read back and proved, {backup.verify_seconds:.1f} s"] if backup.verify_seconds is not None else []
    if backup.base is not None:
        taken = f"{counted(backup.reused_rows, 'row')} ({size(backup.reused_bytes)})"
        lines.append(f"  taken over from {backup.base}: {taken}")
    lines += [f"  not in it, the lake's own files: {_extent(backup.lake)}"] if backup.lake else []
    return "\n".join(lines)


def _extent(lake: "Extent") -> str:
    held = f"{counted(lake.data_files, 'data file')} of {counted(lake.tables, 'table')}, {size(lake.data_bytes)}"
    return f"{held}, in {lake.data_path or 'an unknown place'}"


def verified(report: "Verification") -> str:
    """Say what `verify` found."""
    lines = [f"{finding.severity}: {finding.rule}: {finding.message}" for finding in report.findings]
    if report.ok:
        lake = _lake(report.spec_version or "", report.snapshot_id)
        held = f"{counted(report.tables, 'table')}, {counted(report.rows, 'row')}"
        shapes = counted(report.row_shapes, "shape")
        lines.append(f"{report.path}: good: {lake}, {held} in {shapes}, {report.seconds:.1f} s")
        lines += [f"its record: {report.record}"] if report.record else []
        if report.blocked:
            lines.append("blocked: migrate would refuse what the rehearsal found")
    return "\n".join(lines)


def restored(result: "Restored | Copied", *, read_back: bool) -> str:
    """Say what `restore` did."""
    held = f"{counted(result.tables, 'table')}, {counted(result.rows, 'row')}"
    proof = "read back and equal" if read_back else "counted by the server, not read back"
    text = (
        f"restored {_lake(result.spec_version, result.snapshot_id)}, into {result.place}: {held}, {proof},"
        f" {result.seconds:.1f} s"
    )
    if result.replaced:
        text += f"\nthe previous catalog is kept {result.kept}"
    return "\n".join([text, *_witness(result), *_clients(result), *_way_back(result.way_back)])


def _witness(result: "Restored | Copied") -> list[str]:
    """Say what an engine has read before it was published."""
    if not result.snapshots_read:
        return []
    what = "source and copy alike" if result.source_read else "what was made of the backup"
    return [f"before it was published, an engine has read {what} at {counted(result.snapshots_read, 'snapshot')}"]


def copied(result: "Copied", *, read_back: bool) -> str:
    """Say what `copy` did."""
    lines = restored(result, read_back=read_back).splitlines()
    lines[0] = lines[0].replace("restored", "froze" if result.frozen else "copied", 1)
    lines.append(f"fingerprint {result.fingerprint}, as of {result.source}")
    return "\n".join(lines)


def drilled(found: "Drill") -> str:
    """Say how a drill ended."""
    lines = [f"{finding.severity}: {finding.rule}: {finding.message}" for finding in found.findings]
    if not found.ok:
        return "\n".join(lines)
    stages = ", ".join(f"{stage.stage} {stage.seconds:.1f} s" for stage in found.stages)
    lake = _lake(found.spec_version or "", found.snapshot_id)
    lines += [
        f"{found.backup}: proven at {found.proven_at}: {lake}, {counted(found.rows, 'row')} restored and read back",
        f"  on {found.on}: {stages}",
    ]
    if found.files.looked_at:
        read = f", {found.files.read} of them read" if found.files.read else ""
        lines.append(f"  {counted(found.files.looked_at, 'data file')} looked for, all there{read}")
    if found.rehearsed_to:
        lines.append(f"  and the copy migrated to {found.rehearsed_to}")
    if found.blocked:
        lines.append("blocked: migrate would refuse what the rehearsal found")
    return "\n".join(lines)


def migrated(result: "Migration") -> str:
    """Say what `migrate` did."""
    if result.outcome == "current":
        return f"current: the catalog has spec version {result.to_version} already; nothing was done"
    way = f"from {result.from_version} to {result.to_version} at snapshot {result.snapshot_id}"
    lines = [f"migrated {way}; writers waited {result.writer_pause_seconds:.1f} s at most"]
    lines += [f"mended {mend.rule}: {counted(mend.rows, 'place')}" for mend in result.mends]
    lines += [f"the file from before is kept as {result.replaced}"] if result.replaced else []
    lines += _clients(result)
    return "\n".join([*lines, *_way_back(result.way_back)])


def _way_back(way: "WayBack | None") -> list[str]:
    if way is None:
        return []
    return [f"the way back: {way.command}", *(f"  {text}" for text in (way.loses, way.needs) if text)]


def _clients(result: "Migration | Restored | Copied") -> list[str]:
    """Say who has to attach again, and what keeps them from doing harm until then."""
    barred = ["barred: commits of stale clients fail, until dlbackup unbar ADDRESS"] if result.barred else []
    return barred + [f"stale client, must attach again: {client}" for client in result.stale_clients]


def unbarred(result: "Unbarred") -> str:
    """Say what `unbar` did."""
    return f"removed: {', '.join(result.removed)}" if result.removed else "nothing to do: there are no bars"


def planned(plan: "Plan") -> str:
    """Say what `plan` found."""
    if not (plan.needed or plan.blocked):
        others = f"; new lakes of {plan.engine} are {plan.engine_makes}" if plan.engine_makes != plan.to_version else ""
        return f"nothing to do: the catalog has spec version {plan.to_version} already{others}"
    held = f"{counted(plan.tables, 'table')}, {counted(plan.rows, 'row')}"
    way = f"from {plan.from_version or 'no version'} to {plan.to_version} by {plan.engine}"
    locks = f"about {plan.locks_needed:,} locks; the server's settings promise {plan.locks_available:,}"
    if plan.blocked:
        lines = [f"blocked: as things are, migrate refuses to go {way}; {held}"]
    else:
        lines = [
            f"{way}; {held}, about {plan.estimate_seconds or 0:.0f} s",
            f"afterwards only {plan.opened_by} opens the lake; the way back is a restore",
        ]
        lines += [f"restoring it in one transaction takes {locks}"] if plan.locks_available else []
    if plan.needed and plan.opens_as_it_is:
        lines.append(
            f"not needed for {plan.engine}, which opens {plan.from_version} as it is, and writes to it; new lakes of it"
            f" are {plan.engine_makes}"
        )
    lines += [f"step {number}: {step}" for number, step in enumerate(plan.steps, 1)]
    lines += [f"{'mends' if loss.mended else 'loses'} {loss.rule}: {loss.message}" for loss in plan.losses]
    lines += [f"warning: {text}" for text in plan.warnings]
    lines += [f"not looked at: {text}" for text in plan.not_looked_at]
    lines += [f"client {client}" for client in plan.clients]
    for blocker in plan.blockers:
        lines.append(f"blocked: {blocker.message}")
        lines += [f"  do: {blocker.hint}"] if blocker.hint else []
    return "\n".join(lines)


def checked(report: "Check") -> str:
    """Say what `check` found."""
    lines = [line for finding in report.findings for line in _explained(finding)]
    if report.ok:
        warnings = f", {counted(len(report.findings), 'warning')}" if report.findings else ""
        lines.append(f"healthy: DuckLake {report.spec_version or 'without a version'}{warnings}")
    lines += [f"looked at: {what}" for what in report.looked_at]
    lines += [f"not looked at: {what}" for what in report.not_looked_at]
    return "\n".join(lines)


def found(result: "Info") -> str:
    """Say what `info` found."""
    lines = [
        f"{result.kind} of DuckLake {result.spec_version or 'without a version'} (opened by {result.engine})",
        f"snapshot  {result.snapshot_id} of {result.snapshot_time}",
        f"content   {counted(result.tables, 'catalog table')}, {counted(result.rows, 'row')}, {size(result.bytes)}",
        f"lake      {_extent(result.lake) if result.lake else 'unknown'}",
        f"source    {_source(result)}",
    ]
    lines += [f"meaning   {result.fingerprint}"] if result.fingerprint else []
    lines += [f"taken     {result.created}"] if result.created else []
    lines += [f"left out  {what}" for what in result.left_out]
    lines += [
        f"copy      schema {copy.schema}, at snapshot {copy.snapshot_id}: clean up in none of them"
        for copy in result.copies
    ]
    return "\n".join(lines + (_since(result.since) if result.since else []))


def _since(since: "Since") -> list[str]:
    """Say what changed since a backup."""
    rest = f"{counted(since.unchanged_tables, 'table')} unchanged"
    if not since.changed:
        return [f"since     {since.created}, {_lake(since.spec_version, since.snapshot_id)}: nothing changed, {rest}"]
    lines = [f"since     {since.created}, {_lake(since.spec_version, since.snapshot_id)}, {rest}, and:"]
    for it in since.changed:
        rows = f"{counted(it.rows_then, 'row')} then, {it.rows} now"
        at_most = "" if it.added is None else f", at most {it.added} added and {it.removed} removed"
        lines.append(f"  {it.table}: {it.change}: {rows}{at_most}")
    return lines


def _source(result: "Info") -> str:
    if result.dialect == "duckdb":
        versions = f"of DuckDB {result.server_version}, storage version {result.storage_version or 'unknown'}"
        return f"file {result.database}, schema {result.schema}, {versions}"
    if result.dialect == "sqlite":
        return f"file {result.database}, SQLite {result.server_version}"
    encoding = f", {result.encoding}" if result.encoding else ""
    return f"database {result.database}, schema {result.schema}, PostgreSQL {result.server_version}{encoding}"


def _explained(finding: Finding) -> list[str]:
    """Return a finding as lines: the rule, what breaks it, why that matters, what to do."""
    lines = [f"{finding.severity}: {finding.rule}: {finding.message}"]
    lines += [f"  also: {row}" for row in finding.evidence[1:]]
    lines += [f"  why: {finding.why}"] if finding.why else []
    lines += [f"  do: {finding.advice}"] if finding.advice else []
    lines += ["  mend:", *(f"    {line}" for line in finding.mend.split("\n"))] if finding.mend else []
    return lines


def rules_of(findings: Sequence[Finding]) -> str:
    """Name the rules of the errors, for a line after the findings themselves."""
    return listed([finding.rule for finding in findings if finding.severity == "error"], separator=", ")


def _lake(spec_version: str, snapshot_id: int | None) -> str:
    return f"DuckLake {spec_version or 'without a version'}, snapshot {snapshot_id}"


def size(number: float) -> str:
    """Return a number of bytes as people say it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return counted(round(number), "byte") if unit == "bytes" else f"{number:.1f} {unit}"
