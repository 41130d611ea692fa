"""A migration that was cut off after its engine was done, so that it can be finished or undone."""

from contextlib import ExitStack
from dataclasses import dataclass

from dlbackup.catalogs.contract import Served
from dlbackup.engine.engine import Engine, probe
from dlbackup.errors import CannotMigrate
from dlbackup.lake import spec
from dlbackup.lake.datafiles import data_paths
from dlbackup.migration import journal, leftovers
from dlbackup.migration.journal import Log
from dlbackup.migration.losses.loss import Loss
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.passage import Passage
from dlbackup.migration.run import Run
from dlbackup.migration.steps import Step
from dlbackup.runtime.progress import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOffMigration:
    """A migration whose engine was done: how the catalog went through it, and its journal."""

    passage: Passage
    log: Log


def cut_off_in(
    catalog: Served, engine: Engine, engines: ExitStack, options: MigrateOptions, run: Run
) -> CutOffMigration | None:
    """
    Return what a killed migration left to be finished or undone; None when the catalog is as it was before.

    Args:
        engines: keeps another engine, where that of the options can't finish it.

    Raises:
        CutOff: its journal can't be read.
        CannotMigrate: no engine here can finish it.
    """
    left = leftovers.left_behind(catalog.mark, journal.folder_of(options.backup_dir))
    with catalog.snapshot() as snapshot:
        version = snapshot.head.spec_version
    if left is None or (left.journal is None and version == left.from_version):
        return None
    if left.journal is None:
        raise leftovers.cut_off(catalog.mark, left)
    entry = left.journal
    run.on_event(
        Event(stage="look", message=f"an earlier migration was cut off; its journal {left.path} says: {entry.progress}")
    )
    log = Log(catalog, left.path, entry, run)
    if version == entry.from_version:
        log.note("unchanged")
        return None
    if entry.to_version not in spec.opened_by(engine.spec_version) and options.engine is not None:
        engine = engines.enter_context(probe())
    if entry.to_version not in spec.opened_by(engine.spec_version):
        raise CannotMigrate(
            f"an earlier migration to spec version {entry.to_version} was cut off, and DuckDB {engine.duckdb_version}"
            f" writes {engine.spec_version}: it can't finish that",
            "name an environment with the DuckDB of that migration with --engine",
        )
    with catalog.snapshot() as snapshot, snapshot.answers() as answers:
        engine.reach(data_paths(answers))
    passage = Passage(
        engine=engine,
        step=Step(entry.from_version, entry.to_version, engine.duckdb_version),
        mends=tuple(Loss(**loss) for loss in entry.losses),
        accepted=frozenset(entry.accepted),
        bars=entry.bars,
        schema=catalog.schema,
        engines=catalog.engines,
        lock_timeout_s=options.lock_timeout_s,
        attach_timeout_s=options.attach_timeout_s,
    )
    return CutOffMigration(passage=passage, log=log)
