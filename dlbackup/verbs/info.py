"""
What is at an address or in a backup: version, head snapshot, tables, rows, sizes, the engine that opens it.

Looks with plain SQL or at a backup's manifest, and changes nothing.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlbackup.addresses.address import names_backup, parse_address
from dlbackup.backupfile import lineage
from dlbackup.backupfile.backup import Backup, where_of
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Access, Copy, Snapshot
from dlbackup.catalogs.open import open_catalog
from dlbackup.catalogs.reading import changes_since, contents, meaning
from dlbackup.errors import BackupError, UsageError
from dlbackup.lake import spec
from dlbackup.lake.extent import Extent, extent_of
from dlbackup.stores.contract import Where
from dlbackup.stores.keys import NO_KEYS, Keys
from dlbackup.tables.types import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChange:
    """
    A table that is not as in a backup.

    Args:
        change: `changed`, `new`: there is none in the backup, or `gone`: there is none any more.
        rows, rows_then: how many it has, and has in the backup.
        added, removed: at most so many rows came and went; one that was updated did both. None where that isn't known.
    """

    table: str
    change: Literal["changed", "new", "gone"]
    rows: int
    rows_then: int
    added: int | None = None
    removed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """
    What changed in a catalog since a backup.

    Args:
        created: when the backup was made; UTC, ISO 8601.
        rows_read: of tables that PostgreSQL could not prove unchanged, and whose changes it could not count.
    """

    backup: str
    created: str
    spec_version: str
    snapshot_id: int | None
    changed: tuple[TableChange, ...]
    unchanged_tables: int
    rows_read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """
    What was found.

    Args:
        schema: where the catalog is, or was when the backup was taken.
        created: of a backup.
        bytes: of the catalog's tables with their indexes, or of the backup file, decrypted if it is encrypted.
        encoding: of the database; empty for a backup that doesn't say.
        engine: which DuckDB opens it without migrating it.
        copies: other catalogs of the same lake in the same database: clean-up in one deletes files of the others.
        lake: how large it is, as opposed to its catalog; None where that doesn't say, or is damaged there.
        dialect: what holds the catalog, or held it.
        storage_version: of a DuckDB file, the oldest DuckDB that reads it.
        fingerprint: what the lake means; of a catalog only when asked for, since it reads all rows.
        since: what changed since a backup, where one was named.
    """

    kind: Literal["catalog", "backup"]
    spec_version: str
    snapshot_id: int | None
    snapshot_time: str | None
    tables: int
    rows: int
    database: str
    schema: str
    server_version: str
    bytes: int
    engine: str
    created: str | None = None
    left_out: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()
    fingerprint: str | None = None
    encoding: str = ""
    lake: Extent | None = None
    dialect: Dialect = "postgres"
    storage_version: str = ""
    since: Since | None = None


def info(
    target: str | Path | Backup,
    *,
    metadata_schema: str | None = None,
    fingerprint: bool = False,
    since: str | Path | Backup | None = None,
    wait: float = 0.0,
    engine: str | Path | None = None,
    keys: Keys = NO_KEYS,
) -> Info:
    """
    Say what is at an address, or in a backup if `target` is an existing file that isn't a catalog, or `-`.

    Args:
        fingerprint: read all rows of a catalog and compute it.
        since: a backup of the catalog; say which tables changed since, and by how many rows.
        wait: for how many seconds to wait for who has a catalog's file open for writing.
        engine: the Python of the environment whose DuckDB reads a catalog's file; by default this one.
        keys: with the identities that open an encrypted backup.

    Raises:
        CatalogError, BackupError, UsageError: as for reading either.
    """
    if isinstance(target, Backup) or names_backup(target):
        if metadata_schema is not None:
            raise UsageError("a backup holds one catalog, whose schema needs no name", "leave --metadata-schema out")
        if since is not None:
            raise UsageError("only a catalog changes", "name its address, and the earlier backup with --since")
        with where_of(target, keys) as where:
            return _of_backup(where)
    access = Access.of(wait, engine)
    if since is None:
        return _of_catalog(target, metadata_schema, fingerprint, access, None)
    with where_of(since, keys) as where, BackupReader(where) as reader:
        return _of_catalog(target, metadata_schema, fingerprint, access, reader)


def _engine(version: str) -> str:
    return spec.ENGINES.get(version, "unknown")


def _of_backup(where: Where) -> Info:
    with BackupReader(where) as reader:
        manifest, file_bytes = reader.unchecked, reader.file_bytes
    header, source = manifest.header, manifest.header.source
    lake = None
    with suppress(BackupError):  # what is damaged is for verify to say; which backup it is, is still known
        lake = lineage.extent_of(where)
    return Info(
        kind="backup",
        spec_version=header.spec_version,
        snapshot_id=header.snapshot_id,
        snapshot_time=header.snapshot_time,
        tables=len(manifest.tables),
        rows=manifest.rows,
        database=source.database,
        schema=source.schema,
        server_version=source.server_version,
        bytes=file_bytes,
        engine=_engine(header.spec_version),
        created=header.created,
        left_out=manifest.left_out,
        fingerprint=manifest.fingerprint.value if manifest.fingerprint else None,
        encoding=source.encoding,
        lake=lake,
        dialect=header.dialect,
        storage_version=source.storage_version,
    )


def _of_catalog(
    target: str | Path, schema: str | None, fingerprint: bool, access: Access, since: BackupReader | None
) -> Info:
    with open_catalog(parse_address(target), schema, access) as catalog:
        copies = catalog.copies()
        with catalog.snapshot() as snapshot:
            return _of_snapshot(snapshot, copies, fingerprint, since)


def _of_snapshot(snapshot: Snapshot, copies: tuple[Copy, ...], fingerprint: bool, since: BackupReader | None) -> Info:
    head, source = snapshot.head, snapshot.source
    if since is None:
        compared, rows = None, sum(snapshot.counts(snapshot.tables).values())
    else:
        compared, rows = _since(snapshot, since)
    with snapshot.answers() as answers:
        lake = extent_of(answers)
    return Info(
        kind="catalog",
        spec_version=head.spec_version,
        snapshot_id=head.snapshot_id,
        snapshot_time=head.snapshot_time,
        tables=len(snapshot.tables),
        rows=rows,
        database=source.database,
        schema=source.schema,
        server_version=source.server_version,
        bytes=snapshot.size_bytes(),
        engine=_engine(head.spec_version),
        created=None,
        left_out=snapshot.left_out,
        copies=copies,
        fingerprint=meaning(snapshot)[1].value if fingerprint else None,
        encoding=source.encoding,
        lake=lake,
        dialect=snapshot.dialect,
        storage_version=source.storage_version,
        since=compared,
    )


def _since(snapshot: Snapshot, backup: BackupReader) -> tuple[Since, int]:
    """Hold a catalog against a backup; return how many rows it has, too."""
    header = backup.manifest.header
    changes = changes_since(snapshot, backup.manifest, may_have_more_columns=False)
    untold = [table for table in snapshot.tables if changes.get(table.name, (None, ...))[1] is None]
    read = contents(snapshot, untold)
    counts = snapshot.counts([table for table in snapshot.tables if table.name not in changes])
    changed = [
        TableChange(table=name, change="new", rows=count, rows_then=0, added=count, removed=0)
        for name, count in counts.items()
    ]
    for name, (entry, change) in changes.items():
        # Where it is proved, the server has counted the rows to prove it.
        counts[name] = read[name].count if change is None else entry.rows + change.added - change.removed
        if read[name] != entry.content if change is None else change:
            changed.append(
                TableChange(
                    table=name,
                    change="changed",
                    rows=counts[name],
                    rows_then=entry.rows,
                    added=None if change is None else change.added,
                    removed=None if change is None else change.removed,
                )
            )
    held = {id(entry) for entry, _ in changes.values()}
    changed += [
        TableChange(table=entry.table.name, change="gone", rows=0, rows_then=entry.rows, added=0, removed=entry.rows)
        for entry in backup.manifest.tables
        if id(entry) not in held
    ]
    changed.sort(key=lambda it: it.table)
    compared = Since(
        backup=str(backup.where),
        created=header.created,
        spec_version=header.spec_version,
        snapshot_id=header.snapshot_id,
        changed=tuple(changed),
        unchanged_tables=len(counts) - sum(it.change != "gone" for it in changed),
        rows_read=sum(rows.count for rows in read.values()),
    )
    return compared, sum(counts.values())
