"""Are these the same rows, and if not, what was lost? Pure."""

from collections.abc import Mapping

from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.lake import spec
from dlbackup.lake.canonical import RENAMED
from dlbackup.lake.fingerprint import Fingerprint
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Rows, total

# Tables whose rows a migration rewrites, or aftercare takes away; the fingerprint looks after them.
_REWRITTEN = frozenset(
    {
        "ducklake_inlined_data_tables",
        "ducklake_metadata",
        "ducklake_schema_versions",
        "ducklake_table_column_stats",
    }
)


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
    added: Mapping[str, Rows] | None = None,
) -> list[str]:
    """
    Compare what a migration must not change: row counts, and digests where the columns stay the same.

    Not of strangers: what others wrote into these after a migration was cut off is theirs.

    Args:
        repaired: tables of which somebody has seen that their rows are otherwise as they may be.
        added: what mends have added to the rows of tables.
    """
    problems = []
    others = frozenset(strangers(backup))
    after = {table.name: table for table in tables}
    for entry in backup.manifest.tables:
        name = RENAMED.get(entry.table.name, entry.table.name)
        if name not in after:
            problems.append(f"table {name} is gone")
            continue
        if name in _REWRITTEN or name in others or name in repaired:
            continue
        expected = total([entry.content, (added or {}).get(name, Rows(0, 0))])
        if contents[name].count != expected.count:
            problems.append(f"table {name} has {contents[name].count} rows, not {expected.count}")
        elif _columns(after[name]) == _columns(entry.table) and contents[name] != expected:
            problems.append(f"table {name} has other rows than before")
    return problems


def changed_meaning(
    backup: VerifiedBackup, after: Fingerprint, accepted: frozenset[str], added: Mapping[str, Rows] | None = None
) -> dict[str, str]:
    """
    Return the parts of the lake's meaning that a migration changed, and how in words, but for those accepted.

    Args:
        added: what mends have added to the rows of tables.
    """
    before = backup.manifest.fingerprint
    if before is None:
        return {}
    return {part: text for part, text in before.with_rows(added or {}).differences(after) if part not in accepted}


def _columns(table: Table) -> tuple[tuple[str, str], ...]:
    return tuple((column.name, column.type) for column in table.columns)
