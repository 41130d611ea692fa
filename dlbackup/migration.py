"""
What a migration is: options, stages, outcome, and the decisions that need no server.

Decisions are values made from what was read, so they can be printed, tested and planned with.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlbackup import spec
from dlbackup.backupfile import VerifiedBackup
from dlbackup.errors import CannotMigrate, ClientsConnected, UnknownVersion
from dlbackup.fingerprint import RENAMED, Fingerprint
from dlbackup.tables import Rows, Table

Outcome = Literal["migrated", "current", "unchanged", "rolled-back", "needs-person"]

# Tables whose rows a migration rewrites, or aftercare takes away; the fingerprint looks after them.
_REWRITTEN = frozenset({"ducklake_metadata", "ducklake_schema_versions", "ducklake_table_column_stats"})


@dataclass(frozen=True, slots=True)
class Client:
    """Another session on the catalog's database; `uses_catalog` when it holds a lock on a catalog table."""

    pid: int
    user: str
    application: str
    address: str
    state: str
    connected_s: float
    uses_catalog: bool

    def __str__(self) -> str:
        where = f" from {self.address}" if self.address else ""
        what = f" ({self.application})" if self.application else ""
        return f"pid {self.pid}: {self.user}{where}{what}, {self.state or 'active'}, for {self.connected_s:.0f} s"


@dataclass(frozen=True, slots=True)
class MigrateOptions:
    """
    What the user accepts and wants.

    Args:
        to: the version to reach; by default the engine's newest.
        engine: the Python of the environment with the engine; by default this one.
        rehearsal: migrate a copy in a scratch schema first.
        mend: put right what the engine is known to lose; without it, such a lake is refused.
        accept_loss: names of known losses that may happen.
        bar_stale_clients: leave constraints behind that make harmful writes of older clients fail.
        lock_timeout_s: how long the fence and the engine wait for one lock.
        attach_timeout_s: after which the engine is ended.
        max_rate: bytes of SQL text a second that the dump reads at most, as long as no writer waits for it.
    """

    metadata_schema: str | None = None
    backup_dir: str | Path = "."
    to: str | None = None
    engine: Path | None = None
    rehearsal: bool = True
    mend: bool = True
    accept_loss: tuple[str, ...] = ()
    terminate_clients: bool = False
    ignore_clients: bool = False
    bar_stale_clients: bool = False
    lock_timeout_s: float = 10.0
    attach_timeout_s: float = 600.0
    max_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage and how long it took."""

    stage: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Mend:
    """A loss that was put right: the rule and how many rows it touched."""

    rule: str
    rows: int


@dataclass(frozen=True, slots=True)
class Migration:
    """
    How a migration ended.

    Args:
        backup: the file that undoes it; None where none was needed.
        writer_pause_seconds: from fence to release.
        stale_clients: sessions from before that were not ended, and those that came, or came back, meanwhile.
        barred: whether constraints keep stale clients from harmful writes.
    """

    outcome: Outcome
    from_version: str
    to_version: str
    snapshot_id: int | None
    backup: str | None
    stages: tuple[Stage, ...]
    mends: tuple[Mend, ...]
    writer_pause_seconds: float
    stale_clients: tuple[Client, ...]
    barred: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A migration that is about to happen."""

    from_version: str
    to_version: str
    duckdb_version: str

    def crosses(self, version: str) -> bool:
        """Tell whether the migration leads from before `version` to it or beyond."""
        return spec.is_older(self.from_version, version) and not spec.is_older(self.to_version, version)


def next_step(versions: tuple[str, ...], duckdb_version: str, newest: str, to: str | None) -> Step | None:
    """
    Decide what has to be done; None when nothing.

    Args:
        versions: what the catalog names as its spec version.
        newest: the spec version that the engine writes.
        to: what the user wants; None is the newest.

    Raises:
        UnknownVersion, CannotMigrate: this engine can't bring this catalog there.
    """
    version = versions[0] if len(versions) == 1 else ""
    if not version:
        raise UnknownVersion(
            f"the catalog names {len(versions)} spec versions instead of one",
            "a catalog without exactly one version can be dumped and restored, but not migrated",
        )
    if version not in spec.ORDER:
        raise UnknownVersion(
            f"the catalog has spec version {version}, which this dlbackup doesn't know",
            "use a newer dlbackup",
        )
    if newest not in spec.ORDER:
        raise UnknownVersion(
            f"DuckDB {duckdb_version} writes spec version {newest}, which this dlbackup doesn't know",
            "use a newer dlbackup, or an older engine with --engine",
        )
    if to is not None and to != newest:
        raise CannotMigrate(
            f"DuckDB {duckdb_version} migrates to spec version {newest} only, not to {to}",
            "name an environment with another DuckDB with --engine",
        )
    if version == newest:
        return None
    if spec.is_older(newest, version):
        raise CannotMigrate(
            f"the catalog has spec version {version}, newer than {newest}, the newest that DuckDB"
            f" {duckdb_version} knows; there is no way back but a restore",
            "use a newer engine, or restore a backup of the older version",
        )
    if spec.is_older(version, "0.3") and spec.is_older("0.3", newest):
        raise CannotMigrate(
            f"DuckDB {duckdb_version} can't migrate a catalog of spec version {version} on PostgreSQL",
            "name the python of an environment with DuckDB 1.4.x by --engine: migrate then goes over 0.3 in two steps",
        )
    if not spec.load(version):
        raise UnknownVersion(f"{version} is a development version whose layout is not fixed: not migrated")
    return Step(version, newest, duckdb_version)


def state_of(backup: VerifiedBackup) -> tuple[tuple[Table, ...], dict[str, Rows]]:
    """Return definitions and contents of a backup, comparable with those of a catalog."""
    return tuple(entry.table for entry in backup.manifest.tables), backup.manifest.contents


def lost_rows(backup: VerifiedBackup, tables: tuple[Table, ...], contents: dict[str, Rows]) -> list[str]:
    """Compare what a migration must not change: row counts, and digests where the columns stay the same."""
    problems = []
    after = {table.name: table for table in tables}
    for entry in backup.manifest.tables:
        name = RENAMED.get(entry.table.name, entry.table.name)
        if name not in after:
            problems.append(f"table {name} is gone")
        elif name in _REWRITTEN:
            continue
        elif contents[name].count != entry.rows:
            problems.append(f"table {name} has {contents[name].count} rows, not {entry.rows}")
        elif _columns(after[name]) == _columns(entry.table) and contents[name] != entry.content:
            problems.append(f"table {name} has other rows than before")
    return problems


def clients_connected(clients: tuple[Client, ...]) -> ClientsConnected:
    """Return the refusal because of other clients."""
    shown = "; ".join(str(client) for client in clients[:5])
    more = f"; and {len(clients) - 5} more" if len(clients) > 5 else ""
    count = "1 other client is" if len(clients) == 1 else f"{len(clients)} other clients are"
    return ClientsConnected(
        f"{count} connected to the database: {shown}{more}",
        "close them, or end them with --terminate-clients, or accept with --ignore-clients that attached"
        " DuckLake clients go on with a stale view of the catalog",
    )


def changed_meaning(backup: VerifiedBackup, after: Fingerprint, accepted: frozenset[str]) -> dict[str, str]:
    """Return the parts of the lake's meaning that a migration changed, and how in words, but for those accepted."""
    before = backup.manifest.fingerprint
    if before is None:
        return {}
    return {part: text for part, text in before.differences(after) if part not in accepted}


def _columns(table: Table) -> tuple[tuple[str, str], ...]:
    return tuple((column.name, column.type) for column in table.columns)
