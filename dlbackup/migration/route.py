"""Which steps bring a catalog to where the user wants it: one, or two where only an engine of 0.3 can begin."""

from dataclasses import replace

from dlbackup.catalogs.contract import Snapshot
from dlbackup.engine.engine import Engine, probe
from dlbackup.engine.storage import extensions_for
from dlbackup.errors import EngineError
from dlbackup.lake.datafiles import data_paths
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.steps import Step, next_step


def route(snapshot: Snapshot, engine: Engine, options: MigrateOptions) -> tuple[Step, ...]:
    """
    Return the steps that `migrate` takes, in their order; none where there is nothing to do.

    Args:
        engine: the one that the options name, which takes the first step; the second is this environment's own.

    Raises:
        UnknownVersion, CannotMigrate: the engines can't bring this catalog there.
        EngineError: the second engine can't be asked.
    """
    first = next_step(
        snapshot.head.versions,
        engine.duckdb_version,
        engine.spec_version,
        options.to,
        directly=snapshot.adds_columns_with_defaults,
        may_stage=snapshot.may_go_over_a_file,
    )
    if first is None:
        return ()
    if options.staged and snapshot.may_go_over_a_file:
        return (replace(first, staged=True),)
    if not goes_on(first, options):
        return (first,)
    try:
        with probe() as own:
            second = next_step((first.to_version,), own.duckdb_version, own.spec_version, None)
    except EngineError as exc:
        only = f"--to {first.to_version} takes the first step alone"
        exc.hint = f"{exc.hint}; {only}" if exc.hint else only
        raise
    return (first, second) if second else (first,)


def reach(snapshot: Snapshot, engine: Engine, steps: tuple[Step, ...]) -> None:
    """
    Have the engines loaded with what the lake's data paths take, before anything is done; the second one too.

    Raises:
        EngineError: an extension can't be had.
    """
    with snapshot.answers() as answers:
        paths = data_paths(answers)
    engine.reach(paths)
    if len(steps) > 1 and extensions_for(paths):
        with probe() as own:
            own.reach(paths)


def goes_on(first: Step, options: MigrateOptions) -> bool:
    """Tell whether a step with the engine that the user named is followed by one with this environment's own."""
    return options.engine is not None and options.to is None and first.to_version == "0.3" and not first.staged
