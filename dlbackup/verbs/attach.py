"""
The verb `attach`: a program opens its lake, and an old catalog is refused or migrated first.

The version is read by plain SQL. ATTACH itself is never allowed to migrate; that is `migrate`'s, with all its
proofs. One thread of a process at a time looks at a catalog and migrates it, and once it was found fit it is not
looked at again, until an ATTACH fails. Between processes the migrator's advisory lock decides: others wait, look
again, and find the work done. Who waits holds no lock and is not attached, so it is in nobody's way.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from dlbackup.addresses.address import Address, parse_address
from dlbackup.catalogs.open import is_in_file, making_lake, refuse_read_only
from dlbackup.errors import (
    DlbackupError,
    EngineError,
    Interrupted,
    MigrationError,
    MigratorRuns,
    UsageError,
)
from dlbackup.lake.spec import in_order, opened_by
from dlbackup.migration.fitness import POLL_S, Found, Wish, look, needs_migration
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.outcome import Migration
from dlbackup.runtime.progress import OnEvent, ignore
from dlbackup.verbs.migrate import migrate as migrate_catalog

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from dlbackup.engine.engine import Engine
    from dlbackup.engine.options import AttachOption


Allowed = Literal["never", "backup-first"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """
    A lake that stands open.

    Args:
        schema: where its catalog is; empty for a catalog in a file.
        opens: the spec versions that the connection's DuckDB opens, and writes to, as they are.
        makes: that of new lakes of it, where DUCKLAKE_VERSION says nothing else.
        created: whether the lake was made by this call.
        migration: the migration that this call made, with its backup.
    """

    alias: str
    schema: str
    spec_version: str
    opens: tuple[str, ...] = ()
    makes: str = ""
    created: bool = False
    migration: Migration | None = None


def attach(
    connection: "DuckDBPyConnection",
    address: str | Path,
    *,
    alias: str = "lake",
    migrate: Allowed = "never",
    backup_dir: str | Path | None = None,
    migration: MigrateOptions | None = None,
    metadata_schema: str | None = None,
    create: bool = False,
    wait_s: float = 600.0,
    on_event: OnEvent = ignore,
    **options: "AttachOption",
) -> Attached:
    """
    Attach a lake to a program's own DuckDB connection; an older catalog is migrated first where that is allowed.

    Safe to call from many threads, each with a connection or cursor of its own, and processes. Where the alias is
    that lake already, nothing happens. A failed call leaves nothing behind and can be repeated.

    Args:
        migrate: what may happen when the engine is newer than the catalog.
        backup_dir: where the backup goes that a migration makes first; wins over the one in `migration`.
        migration: how to migrate, such as what to do about other clients.
        create: make a new lake where there is none; on PostgreSQL that needs DATA_PATH.
        wait_s: how long to wait for a migration that another thread or process makes.
        options: DuckLake's own, e.g. `READ_ONLY=True`, `DATA_PATH="s3://..."`, `META_ISOLATION_LEVEL="serializable"`.

    Raises:
        MigrationNeeded: the catalog is older than the engine, and `migrate` is "never".
        CannotMigrate: it is newer, or the engine can't bring it forward.
        NotALake: there is none, and `create` is not set.
        MigratorRuns: the other one's migration took longer than `wait_s`.
        AliasTaken, EngineError, CatalogError, UsageError: attaching failed.
        Refused, MigrationError: as `migrate` does.
    """
    from dlbackup.engine.options import checked_options

    if migrate not in get_args(Allowed):
        raise UsageError(f"migrate is {migrate!r}", "say 'never' or 'backup-first'")
    how = migration or MigrateOptions()
    where = _as_meant_here(parse_address(address))
    refuse_read_only(where)
    wish = Wish(
        address=where,
        alias=alias,
        schema=metadata_schema if metadata_schema is not None else how.metadata_schema,
        options=checked_options(options),
        create=create,
        migration=replace(how, backup_dir=backup_dir or how.backup_dir) if migrate == "backup-first" else None,
        until=time.monotonic() + wait_s,
        on_event=on_event,
        text=str(address),
    )
    return _attach(connection, wish)


class _Catalogs:
    """
    What this process knows of catalogs: which are fit to be opened, and who is looking at one.

    A file is known by the name that it is given, as engines know it: one that isn't absolute is of the folder in which
    the process was at first.
    """

    def __init__(self) -> None:
        self.folder = _folder()
        self._guard = threading.Lock()
        self._locks: dict[tuple[object, ...], threading.Lock] = {}
        self.fit: dict[tuple[object, ...], Found] = {}

    @contextmanager
    def alone(self, catalog: tuple[object, ...], until: float) -> Iterator[None]:
        """Keep other threads away from a catalog."""
        with self._guard:
            lock = self._locks.setdefault(catalog, threading.Lock())
        if not lock.acquire(timeout=max(0.0, until - time.monotonic())):
            raise MigratorRuns(
                "another thread of this process is still opening or migrating the catalog", "give wait_s more seconds"
            )
        try:
            yield
        finally:
            lock.release()


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it is gone
        return ""


_catalogs = _Catalogs()


def _as_meant_here(address: Address) -> Address:
    """Return an address that means the file of the folder in which the process is now, where it has gone to another."""
    if not is_in_file(address) or Path(address.path).is_absolute() or (here := _folder()) == _catalogs.folder:
        return address
    return replace(address, path=str(Path(here) / address.path))


def _forget() -> None:
    """Start anew in a forked process, where the threads that hold locks are gone."""
    global _catalogs
    _catalogs = _Catalogs()


os.register_at_fork(after_in_child=_forget)


def _attach(connection: "DuckDBPyConnection", wish: Wish) -> Attached:
    from dlbackup.engine.connection import engine_of

    engine = engine_of(connection, wish.address.kind)
    catalog, known = wish.catalog(engine), _catalogs
    with known.alone(catalog, wish.until):
        if remembered := known.fit.get(catalog):
            try:
                return _open(connection, wish, engine, remembered)
            except EngineError:
                del known.fit[catalog]  # it may be gone, or have been migrated or restored since
        attached, known.fit[catalog] = _arrive(connection, wish, engine)
        return attached


def _arrive(connection: "DuckDBPyConnection", wish: Wish, engine: "Engine") -> tuple[Attached, Found]:
    """Look, do what is needed, and look again, until the lake stands open or something is refused."""
    migration = None
    while True:
        found = look(wish)
        try:
            if found is None:
                if made := _created(connection, wish, engine):
                    return made
            elif not needs_migration(wish, engine, found, migration):
                return replace(_open(connection, wish, engine, found), migration=migration), found
            else:
                migration = _migrated(wish, engine, found)
        except MigratorRuns:
            if time.monotonic() > wish.until:
                raise
            time.sleep(POLL_S)


def _migrated(wish: Wish, engine: "Engine", found: Found) -> Migration | None:
    """
    Migrate through the whole pipeline; None when somebody else did it in the meantime.

    Raises:
        MigratorRuns: somebody else is at it.
        Refused, CatalogError, MigrationError: as `migrate` does.
    """
    if wish.migration is None:
        raise AssertionError("only a wish that allows it comes here")
    to = wish.migration.to or (engine.spec_version if wish.migration.engine is None else None)
    options = replace(wish.migration, metadata_schema=found.schema, to=to)
    try:
        migration = migrate_catalog(wish.text, options, on_event=wish.on_event)
    except (MigratorRuns, MigrationError, Interrupted):
        raise
    except DlbackupError:
        if look(wish) in (found, None):
            raise
        return None
    return migration if migration.outcome == "migrated" else None


def _open(
    connection: "DuckDBPyConnection", wish: Wish, engine: "Engine", found: Found, *, create: bool = False
) -> Attached:
    from dlbackup.engine.connection import open_lake
    from dlbackup.engine.statements import Opening

    given = wish.options.get("DATA_PATH")
    paths = found.data_paths if given is None else (*found.data_paths, str(given))
    opening = Opening(wish.address, found.schema)
    open_lake(connection, opening, wish.alias, wish.options, engine, data_paths=paths, create=create)
    return Attached(
        alias=wish.alias,
        schema=found.schema or "",
        spec_version=found.versions[0],
        opens=in_order(opened_by(engine.spec_version)),
        makes=engine.spec_version,
        created=create,
    )


def _created(connection: "DuckDBPyConnection", wish: Wish, engine: "Engine") -> tuple[Attached, Found] | None:
    """
    Make a lake and attach it; None when somebody else made it in the meantime.

    Raises:
        MigratorRuns: somebody else is at it.
    """
    if "DATA_PATH" not in wish.options and not is_in_file(wish.address):
        raise UsageError("a new lake needs DATA_PATH", "say where its data files are to be")
    with making_lake(wish.address, wish.schema) as site:
        if site.taken:
            return None
        made = Found(site.schema, (str(wish.options.get("DUCKLAKE_VERSION", engine.spec_version)),))
        return _open(connection, wish, engine, made, create=True), made
