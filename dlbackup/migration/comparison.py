"""Are these the same rows, and if not, what was lost? Pure."""

from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.lake import spec
from dlbackup.lake.canonical import RENAMED
from dlbackup.lake.fingerprint import Fingerprint
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Rows

# Tables whose rows a migration rewrites, or aftercare takes away; the fingerprint looks after them.
_REWRITTEN = frozenset({"ducklake_metadata", "ducklake_schema_versions", "ducklake_table_column_stats"})


def state_of(backup: VerifiedBackup) -> tuple[tuple[Table, ...], dict[str, Rows]]:
    """Return definitions and contents of a backup, comparable with those of a catalog."""
    return tuple(entry.table for entry in backup.manifest.tables), backup.manifest.contents


def strangers(backup: VerifiedBackup) -> list[str]:
    """Return the names of tables of a backup that no version of a catalog has, and no engine writes into."""
    return [
        entry.table.name
        for entry in backup.manifest.tables
        if entry.kind == "fixed" and entry.table.name not in spec.known_names()
    ]


def lost_rows(
    backup: VerifiedBackup,
    tables: tuple[Table, ...],
    contents: dict[str, Rows],
    repaired: frozenset[str] = frozenset(),
) -> list[str]:
    """
    Compare what a migration must not change: row counts, and digests where the columns stay the same.

    Not of strangers: what others wrote into these after a migration was cut off is theirs.

    Args:
        repaired: tables of which somebody has seen that their rows are otherwise as they may be.
    """
    problems = []
    others = frozenset(strangers(backup))
    after = {table.name: table for table in tables}
    for entry in backup.manifest.tables:
        name = RENAMED.get(entry.table.name, entry.table.name)
        if name not in after:
            problems.append(f"table {name} is gone")
        elif name in _REWRITTEN or name in others or name in repaired:
            continue
        elif contents[name].count != entry.rows:
            problems.append(f"table {name} has {contents[name].count} rows, not {entry.rows}")
        elif _columns(after[name]) == _columns(entry.table) and contents[name] != entry.content:
            problems.append(f"table {name} has other rows than before")
    return problems


def changed_meaning(backup: VerifiedBackup, after: Fingerprint, accepted: frozenset[str]) -> dict[str, str]:
    """Return the parts of the lake's meaning that a migration changed, and how in words, but for those accepted."""
    before = backup.manifest.fingerprint
    if before is None:
        return {}
    return {part: text for part, text in before.differences(after) if part not in accepted}


def _columns(table: Table) -> tuple[tuple[str, str], ...]:
    return tuple((column.name, column.type) for column in table.columns)
