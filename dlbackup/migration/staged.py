"""
A migration by way of a file, for steps that engines can't take where the catalog is.

The verified backup becomes a catalog in a scratch DuckDB file, which an engine migrates and `put_right` mends. What
that is then, in the words of the first, and with what hung on its tables, is what `Attempt` puts in the place of the
catalog under the fence. All of this is done before that, so writers don't wait for it; it is its own rehearsal.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dlbackup.addresses.address import Address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.backupfile.prover import prove
from dlbackup.catalogs.open import dialect_at, scratch_for_engines
from dlbackup.engine.engine import check_opens
from dlbackup.errors import DlbackupError, Interrupted
from dlbackup.lake.canonical import RENAMED
from dlbackup.migration.losses.known import known_losses
from dlbackup.migration.passage import Passage, snapshot_span
from dlbackup.migration.rehearsal import failed_before, walk
from dlbackup.migration.scratch import copied
from dlbackup.runtime.progress import OnEvent
from dlbackup.runtime.scratch import scratch_folder
from dlbackup.tables.definition import Table
from dlbackup.transfer.converting import converted
from dlbackup.transfer.dumping import dump_catalog


@contextmanager
def staged(passage: Passage, backup: VerifiedBackup, on_event: OnEvent) -> Iterator[VerifiedBackup]:
    """
    Yield a backup of the migrated catalog, proved, which is gone at the end of the block.

    Raises:
        RehearsalFailed: the copy can't be made, migrated or proved; the catalog was not touched.
    """
    with scratch_folder("dlbackup-staged-") as folder:
        with _failing():
            made = _made(passage, backup, folder, on_event)
        yield made


def opens_where_it_is_put(passage: Passage, address: Address, staged: VerifiedBackup) -> None:
    """
    Restore what is to be put in the catalog's place into a scratch place beside it, and let the engine open it.

    Raises:
        RehearsalFailed: it can't; the catalog was not touched.
    """
    with _failing(), copied(address, passage.schema, staged, read_back=False) as copy:
        with copy.snapshot() as snapshot:
            span = snapshot_span(snapshot)
        target = passage.target(copy.address, copy.schema)
        try:
            check_opens(passage.engine, target, span)
        finally:
            copy.end_engine(target.name)


@contextmanager
def _failing() -> Iterator[None]:
    """Say of what fails in the block that the catalog was not touched, and whose fault it is."""
    try:
        yield
    except Interrupted:
        raise
    except DlbackupError as exc:
        raise failed_before("the migration over a file", exc, "the backup is good and kept") from exc


def _made(passage: Passage, backup: VerifiedBackup, folder: Path, on_event: OnEvent) -> VerifiedBackup:
    before, after = folder / "before", folder / "after"
    for place in (before, after):
        place.mkdir()
    file = scratch_for_engines(folder)
    moved = converted(backup, dialect_at(file), before, on_event)
    schema = moved.manifest.header.source.schema
    with copied(file, schema, moved, read_back=True, on_event=on_event) as copy:
        with copy.snapshot() as snapshot:
            losses = known_losses(snapshot, passage.step)
        mends = tuple(loss for loss in losses if loss.mendable)
        accepted = passage.accepted | {loss.part for loss in losses if not loss.mendable}
        walk(replace(passage, mends=mends, accepted=accepted, schema=copy.schema), copy, moved)
        migrated, _ = prove(dump_catalog(copy.address, folder / "migrated.sql.zst", schema))
    sisters = {RENAMED.get(entry.table.name, entry.table.name): entry.table for entry in backup.manifest.tables}
    owner = next(iter(sisters.values())).owner

    def dressed(table: Table) -> Table:
        sister = sisters.get(table.name)
        return replace(table, owner=owner) if sister is None else _with_what_hangs_on(table, sister)

    return converted(migrated, backup.manifest.header.dialect, after, on_event, dressed=dressed)


def _with_what_hangs_on(table: Table, sister: Table) -> Table:
    """Return a table with all that is not DuckLake's of the one that it replaces."""
    of_sister = {column.name: column for column in sister.columns}
    columns = tuple(
        replace(column, comment=other.comment, grants=other.grants, collation=other.collation)
        if (other := of_sister.get(column.name)) is not None and other.type == column.type
        else column
        for column in table.columns
    )
    ours = {constraint.definition for constraint in table.constraints}
    return replace(
        table,
        columns=columns,
        constraints=(*table.constraints, *(it for it in sister.constraints if it.definition not in ours)),
        indexes=sister.indexes,
        comment=sister.comment,
        owner=sister.owner,
        grants=sister.grants,
        options=sister.options,
        replica_identity=sister.replica_identity,
        row_security=sister.row_security,
        row_security_forced=sister.row_security_forced,
        tablespace=sister.tablespace,
        index_tablespaces=sister.index_tablespaces,
        access_method=sister.access_method,
    )
