"""
What `list`, `prune`, `pin` and `release` say in words: the same records that `--json` prints.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dlbackup.cli.reports import size
from dlbackup.errors import counted
from dlbackup.inventory.record import when

if TYPE_CHECKING:
    from dlbackup.inventory.publishing import Pinned
    from dlbackup.verbs.backups import Inventory, ListedBackup
    from dlbackup.verbs.prune import Pruned

_HEAD = ("backup", "age", "snapshot", "rows", "size", "took", "state", "proven", "files", "kept because")


def listed(inventory: "Inventory", now: datetime) -> str:
    """Say what `list` found."""
    if not inventory.backups:
        return f"no backups in {inventory.store}"
    lines = _table([_HEAD, *(_row(backup, now) for backup in inventory.backups)])
    lines += [f"damaged: {backup.name}: {text}" for backup in inventory.backups for text in backup.damage]
    lines += [f"unproven: {backup.name}: {backup.lacks}" for backup in inventory.backups if backup.lacks]
    unlisted = sum(backup.state == "unlisted" for backup in inventory.backups)
    if unlisted:
        lines.append(f"{counted(unlisted, 'backup')} without a record: unfinished, or never proved")
    lines += [f"without its backup: {name}" for name in inventory.stray]
    return "\n".join([*lines, *_cleanup(inventory)])


def _row(backup: "ListedBackup", now: datetime) -> tuple[str, ...]:
    files = (
        f"{backup.files} until {when(backup.at_risk_until):%Y-%m-%d %H:%M}" if backup.at_risk_until else backup.files
    )
    files += f": {backup.files_gone:,} gone" if backup.files_gone else ""
    files += f" as of {when(backup.files_as_of):%Y-%m-%d %H:%M}" if backup.files_as_of else ""
    return (
        backup.name,
        _age(now - when(backup.created)),
        "" if backup.snapshot_id is None else str(backup.snapshot_id),
        "" if backup.rows is None else f"{backup.rows:,}",
        size(backup.file_bytes),
        "" if backup.seconds is None else f"{backup.seconds:.1f} s",
        backup.state,
        f"{_age(now - when(backup.proven_at))} ago" if backup.proven_at else "never",
        files,
        ", ".join(backup.kept_because),
    )


def pruned(result: "Pruned") -> str:
    """Say what `prune` did, or would do."""
    going = "removed" if result.executed else "remove"
    lines = [f"keep    {one.name}: {', '.join(one.reasons)}" for one in result.keep]
    lines += [f"{going:7} {one.name}: {', '.join(one.reasons)}" for one in result.remove]
    lines += [f"{going:7} {name}: left by an earlier prune" for name in result.leftovers]
    lines += [f"without its backup: {name}" for name in result.stray]
    held = f"{counted(len(result.keep), 'backup')} kept"
    if result.executed:
        lines.append(f"{held}, {len(result.remove)} removed")
    elif result.remove or result.leftovers:
        lines.append(f"{held}, {len(result.remove)} may go; nothing was changed: --yes takes them away")
    else:
        lines.append(f"{held}, none may go")
    return "\n".join([*lines, *_cleanup(result)])


def pinned(result: "Pinned") -> str:
    """Say what `pin` did."""
    return f"{result.backup} is kept: pinned by {', '.join(result.pins)}"


def released(result: "Pinned") -> str:
    """Say what `release` did."""
    done = f"released: {', '.join(result.changed)}" if result.changed else "nothing to do: there are no pins"
    return f"{done}; still pinned by {', '.join(result.pins)}" if result.pins else done


def _cleanup(result: "Inventory | Pruned") -> list[str]:
    lines = [f"warning: {text}" for text in result.warnings]
    if result.cleanup_call is not None:
        lines.append(f"safe for all good backups that stay: {result.cleanup_call}")
    return lines


def _age(time: timedelta) -> str:
    hours = time / timedelta(hours=1)
    if hours < 1:
        return f"{max(0, round(hours * 60))} min"
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} d"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, each column as wide as its widest value."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
