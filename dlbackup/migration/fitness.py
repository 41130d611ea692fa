"""
May this engine open this catalog as it is?

Asked before a program attaches: without an engine's ATTACH, which before DuckDB 1.5 would migrate at once.
"""

import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlbackup.addresses.address import Address
from dlbackup.addresses.libpq import SECRET
from dlbackup.errors import CutOff, Locked, MigrationNeeded, MigratorRuns, MovedOn, NotALake
from dlbackup.lake import spec
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.outcome import Migration
from dlbackup.migration.steps import next_step
from dlbackup.runtime.progress import Event, OnEvent

if TYPE_CHECKING:
    from dlbackup.catalogs.contract import Served
    from dlbackup.engine.engine import Engine
    from dlbackup.engine.statements import Option


POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """
    What a caller wants.

    Args:
        migration: how an older catalog may be migrated; None when it may not.
        until: when waiting for others ends, by the monotonic clock.
        text: the address as it was given.
    """

    address: Address
    alias: str
    schema: str | None
    options: "dict[str, Option]"
    create: bool
    migration: MigrateOptions | None
    until: float
    on_event: OnEvent
    text: str = field(repr=False)

    def catalog(self, engine: "Engine") -> tuple[object, ...]:
        """Return what tells one catalog from another as this process sees them, for one engine."""
        given = sorted((key, value) for key, value in self.address.parameters.items() if key not in SECRET)
        environment = sorted((key, value) for key, value in os.environ.items() if re.match("PG(?!PASS)", key))
        place = (self.address.kind, self.address.path, *given, *environment, self.schema)
        return (*place, engine.duckdb_version, engine.spec_version)


@dataclass(frozen=True, slots=True)
class Found:
    """
    A catalog as it was seen.

    Args:
        schema: None in a file.
        versions: what it names as its spec version.
        data_paths: what it names as its data path.
        cut_off: whether a migration to that version was killed before what the engine loses was mended.
    """

    schema: str | None
    versions: tuple[str, ...]
    data_paths: tuple[str, ...] = ()
    cut_off: bool = False


def look(wish: Wish) -> Found | None:
    """
    Read what a catalog says of itself, with plain SQL; None where there is none and one may be made.

    While somebody migrates the catalog, or a restore puts another in its place, that is waited for.
    """
    from dlbackup.catalogs.in_files import somebody_works_on
    from dlbackup.catalogs.open import is_in_file

    look_at = _look_at_file if is_in_file(wish.address) else _look_at_server
    while True:
        try:
            return look_at(wish)
        except NotALake as exc:
            if wish.create:
                return None
            exc.hint = f"{exc.hint}; attach makes a new lake only with create=True".removeprefix("; ")
            raise
        except (Locked, MovedOn):
            # A file that nobody is migrating is held by a program for as long as that likes.
            if time.monotonic() > wish.until or (look_at is _look_at_file and not somebody_works_on(wish.address)):
                raise
            time.sleep(POLL_S)


def _look_at_file(wish: Wish) -> Found:
    from dlbackup.catalogs.open import open_catalog
    from dlbackup.lake.datafiles import data_paths

    with (
        open_catalog(wish.address, wish.schema) as catalog,
        catalog.snapshot() as snapshot,
        snapshot.answers() as answers,
    ):
        return Found(wish.schema, snapshot.head.versions, data_paths(answers))


def _look_at_server(wish: Wish) -> Found:
    from dlbackup.catalogs.open import open_served
    from dlbackup.migration.journal import folder_of
    from dlbackup.migration.leftovers import left_behind

    with open_served(wish.address, wish.schema) as catalog, catalog.doing("reading the catalog's version"):
        _wait_for_migrator(wish, catalog)
        said = catalog.declared()
        folder = folder_of(wish.migration.backup_dir if wish.migration else os.devnull)
        left = left_behind(catalog.mark, folder)
        cut_off = left is not None and said.versions != (left.from_version,)
        return Found(catalog.schema, said.versions, said.data_paths, cut_off)


def _wait_for_migrator(wish: Wish, catalog: "Served") -> None:
    """
    Return when nobody migrates or restores the catalog.

    Who attached in between would be in the migration's way, or go on with a stale view after it.

    Raises:
        MigratorRuns: the time is up.
    """
    waited = 0.0
    while catalog.somebody_works():
        if not waited:
            wish.on_event(
                Event(stage="wait", message="somebody migrates or restores the catalog; waiting for the end of it")
            )
        waited += POLL_S
        if time.monotonic() > wish.until:
            raise MigratorRuns(
                f"another migration or restore of the catalog in schema {catalog.schema} is still running",
                "give wait_s more seconds, or try again later",
            )
        time.sleep(POLL_S)


def needs_migration(wish: Wish, engine: "Engine", found: Found, done: Migration | None) -> bool:
    """
    Tell whether the engine opens a catalog only after a migration.

    Raises:
        MigrationNeeded: it does, but may not migrate, or what was done leads to another engine's version.
        CutOff: a migration has to be finished, which is not allowed.
        CannotMigrate, UnknownVersion: it doesn't open it at all.
    """
    ours, version = engine.spec_version, found.versions[0] if len(found.versions) == 1 else ""
    if version and version in spec.opened_by(ours):
        if found.cut_off and wish.migration is None:
            raise CutOff(
                f"a migration of the catalog at {wish.address} was cut off before it was proved and mended",
                "run dlbackup migrate, or allow it with migrate='backup-first'; it finishes or undoes that migration",
            )
        return found.cut_off
    older = version in spec.ORDER and ours in spec.ORDER and spec.is_older(version, ours)
    if not older or not spec.load(version):  # which nobody migrates, whatever is allowed
        return next_step(found.versions, engine.duckdb_version, ours, None, directly=True) is not None
    if wish.migration is None or done is not None:
        refusal = MigrationNeeded(
            f"the catalog at {wish.address} has spec version {version}, and this DuckDB {engine.duckdb_version}"
            f" opens {' and '.join(spec.in_order(spec.opened_by(ours)))} only",
            "allow it with migrate='backup-first', or run dlbackup migrate first;"
            f" {spec.ENGINES.get(version, 'an older DuckDB')} opens it as it is",
        )
        refusal.result = done
        raise refusal
    return True
