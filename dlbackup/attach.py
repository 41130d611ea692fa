"""
The verb `attach`: a program opens its lake, and an old catalog is refused or migrated first.

The version is read by plain SQL. ATTACH itself is never allowed to migrate; that is `migrate`'s, with all its
proofs. One thread of a process at a time looks at a catalog and migrates it, and once it was found fit it is not
looked at again, until an ATTACH fails. Between processes the migrator's advisory lock decides: others wait, look
again, and find the work done. Who waits holds no lock and is not attached, so it is in nobody's way.
"""

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from dlbackup import spec
from dlbackup.address import SECRET, Address, parse_address
from dlbackup.errors import (
    CutOff,
    DlbackupError,
    EngineError,
    Interrupted,
    Locked,
    MigrationError,
    MigrationNeeded,
    MigratorRuns,
    MovedOn,
    NotALake,
    NotEmpty,
    Unsupported,
    UsageError,
)
from dlbackup.migrate import migrate as migrate_catalog
from dlbackup.migration import MigrateOptions, Migration, next_step
from dlbackup.progress import Event, OnEvent, ignore

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from dlbackup.catalogs.sessions import Session
    from dlbackup.engine import Engine, Option
    from dlbackup.opening import AttachOption

Allowed = Literal["never", "backup-first"]

_POLL_S = 0.2
_PUBLIC = "public"
"""Where DuckLake makes a catalog on PostgreSQL unless told otherwise."""
_ALSO_OPENS = {"1.1-dev1": frozenset({"1.0"})}
"""Engines that open another version than the one that they write, without migrating (ducklake_initializer.cpp)."""


@dataclass(frozen=True, slots=True)
class Attached:
    """
    A lake that stands open.

    Args:
        schema: where its catalog is; empty for a catalog in a file.
        created: whether the lake was made by this call.
        migration: the migration that this call made, with its backup.
    """

    alias: str
    schema: str
    spec_version: str
    created: bool = False
    migration: Migration | None = None


def attach(
    connection: "DuckDBPyConnection",
    address: str,
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
    from dlbackup.opening import checked_options

    if migrate not in get_args(Allowed):
        raise UsageError(f"migrate is {migrate!r}", "say 'never' or 'backup-first'")
    how = migration or MigrateOptions()
    wish = _Wish(
        parse_address(address),
        alias,
        metadata_schema if metadata_schema is not None else how.metadata_schema,
        checked_options(options),
        create,
        replace(how, backup_dir=backup_dir or how.backup_dir) if migrate == "backup-first" else None,
        time.monotonic() + wait_s,
        on_event,
        address,
    )
    return _attach(connection, wish)


@dataclass(frozen=True, slots=True)
class _Wish:
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
class _Found:
    """
    A catalog as it was seen.

    Args:
        schema: None in a file.
        versions: what it names as its spec version.
        cut_off: whether a migration to that version was killed before what the engine loses was mended.
    """

    schema: str | None
    versions: tuple[str, ...]
    cut_off: bool = False


class _Catalogs:
    """What this process knows of catalogs: which are fit to be opened, and who is looking at one."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[tuple[object, ...], threading.Lock] = {}
        self.fit: dict[tuple[object, ...], _Found] = {}

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


_catalogs = _Catalogs()


def _forget() -> None:
    """Start anew in a forked process, where the threads that hold locks are gone."""
    global _catalogs
    _catalogs = _Catalogs()


os.register_at_fork(after_in_child=_forget)


def _attach(connection: "DuckDBPyConnection", wish: _Wish) -> Attached:
    from dlbackup.opening import engine_of

    if wish.address.kind == "sqlite":
        raise Unsupported(f"{wish.address} is in a SQLite file, which this version of dlbackup can't look into")
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


def _arrive(connection: "DuckDBPyConnection", wish: _Wish, engine: "Engine") -> tuple[Attached, _Found]:
    """Look, do what is needed, and look again, until the lake stands open or something is refused."""
    migration = None
    while True:
        found = _look(wish)
        try:
            if found is None:
                if made := _created(connection, wish, engine):
                    return made
            elif not _needs_migration(wish, engine, found, migration):
                return replace(_open(connection, wish, engine, found), migration=migration), found
            else:
                migration = _migrated(wish, engine, found)
        except MigratorRuns:
            if time.monotonic() > wish.until:
                raise
            time.sleep(_POLL_S)


def _look(wish: _Wish) -> _Found | None:
    """
    Read what a catalog says of itself, with plain SQL; None where there is none and one may be made.

    While somebody migrates the catalog, or a restore puts another in its place, that is waited for.
    """
    from dlbackup.engine import file_versions

    while True:
        try:
            if wish.address.kind == "duckdb":
                return _Found(wish.schema, file_versions(wish.address))
            return _look_at_server(wish)
        except NotALake as exc:
            if wish.create:
                return None
            exc.hint = f"{exc.hint}; attach makes a new lake only with create=True".removeprefix("; ")
            raise
        except (Locked, MovedOn):
            if time.monotonic() > wish.until:
                raise
            time.sleep(_POLL_S)


def _look_at_server(wish: _Wish) -> _Found:
    from dlbackup.catalogs import open_catalog
    from dlbackup.catalogs.sessions import LOCAL_SETTINGS, translated
    from dlbackup.journal import left_behind
    from dlbackup.statements import qualified

    with open_catalog(wish.address, wish.schema) as catalog, translated(wish.address, "reading the catalog's version"):
        _wait_for_migrator(wish, catalog.session, catalog.schema)
        metadata = qualified(catalog.schema, "ducklake_metadata")
        query = f"select value from {metadata} m where key = 'version' and to_jsonb(m) ->> 'scope' is null order by 1"
        with catalog.session.transaction():
            catalog.session.execute(LOCAL_SETTINGS.encode())
            rows = catalog.session.execute(query.encode()).fetchall()
        versions = tuple(row[0] for row in rows)
        folder = Path(wish.migration.backup_dir if wish.migration else os.devnull)
        left = left_behind(catalog.session, catalog.schema, folder)
        return _Found(catalog.schema, versions, left is not None and versions != (left.from_version,))


def _wait_for_migrator(wish: _Wish, session: "Session", schema: str) -> None:
    """
    Return when nobody holds the advisory lock of those who migrate or restore the catalog; takes no lock itself.

    Who attached in between would be in the migration's way, or go on with a stale view after it.

    Raises:
        MigratorRuns: the time is up.
    """
    from dlbackup.catalogs.postgres import one
    from dlbackup.fence import lock_key

    key = lock_key(schema)
    held = (
        "select exists (select from pg_locks where locktype = 'advisory' and classid = %s and objid = %s"
        " and objsubid = 1 and database = (select oid from pg_database where datname = current_database()))"
    )
    waited = 0.0
    while one(session, held, key >> 32, key & 0xFFFFFFFF)[0]:
        if not waited:
            wish.on_event(Event("wait", "somebody migrates or restores the catalog; waiting for the end of it"))
        waited += _POLL_S
        if time.monotonic() > wish.until:
            raise MigratorRuns(
                f"another migration or restore of the catalog in schema {schema} is still running",
                "give wait_s more seconds, or try again later",
            )
        time.sleep(_POLL_S)


def _needs_migration(wish: _Wish, engine: "Engine", found: _Found, done: Migration | None) -> bool:
    """
    Tell whether the engine opens a catalog only after a migration.

    Raises:
        MigrationNeeded: it does, but may not migrate, or what was done leads to another engine's version.
        CutOff: a migration has to be finished, which is not allowed.
        CannotMigrate, UnknownVersion: it doesn't open it at all.
    """
    ours, version = engine.spec_version, found.versions[0] if len(found.versions) == 1 else ""
    if version and version in {ours, *_ALSO_OPENS.get(ours, ())}:
        if found.cut_off and wish.migration is None:
            raise CutOff(
                f"a migration of the catalog at {wish.address} was cut off before it was proved and mended",
                "run dlbackup migrate, or allow it with migrate='backup-first'; it finishes or undoes that migration",
            )
        return found.cut_off
    older = version in spec.ORDER and ours in spec.ORDER and spec.is_older(version, ours)
    if not older:
        return next_step(found.versions, engine.duckdb_version, ours, None) is not None
    if wish.migration is None or done is not None:
        refusal = MigrationNeeded(
            f"the catalog at {wish.address} has spec version {version}, and this DuckDB {engine.duckdb_version}"
            f" opens {ours} only",
            "allow it with migrate='backup-first', or run dlbackup migrate first;"
            f" {spec.ENGINES.get(version, 'an older DuckDB')} opens it as it is",
        )
        refusal.result = done
        raise refusal
    if wish.address.kind != "postgres":
        raise Unsupported(
            f"this version of dlbackup migrates no catalogs in files: {wish.address}",
            "copy the file while no client is attached, and let DuckDB migrate it",
        )
    return True


def _migrated(wish: _Wish, engine: "Engine", found: _Found) -> Migration | None:
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
        if _look(wish) in (found, None):
            raise
        return None
    return migration if migration.outcome == "migrated" else None


def _open(
    connection: "DuckDBPyConnection", wish: _Wish, engine: "Engine", found: _Found, *, create: bool = False
) -> Attached:
    from dlbackup.engine import Opening
    from dlbackup.opening import open_lake

    open_lake(connection, Opening(wish.address, found.schema), wish.alias, wish.options, engine, create=create)
    return Attached(wish.alias, found.schema or "", found.versions[0], create)


def _created(connection: "DuckDBPyConnection", wish: _Wish, engine: "Engine") -> tuple[Attached, _Found] | None:
    """
    Make a lake and attach it; None when somebody else made it in the meantime.

    Raises:
        MigratorRuns: somebody else is at it.
    """
    from dlbackup.catalogs.definitions import find_schema, read_definitions
    from dlbackup.catalogs.sessions import connect, translated
    from dlbackup.fence import only_migrator

    versions = (str(wish.options.get("DUCKLAKE_VERSION", engine.spec_version)),)
    if wish.address.kind == "duckdb":
        made = _Found(wish.schema, versions)
        return _open(connection, wish, engine, made, create=True), made
    if "DATA_PATH" not in wish.options:
        raise UsageError("a new lake needs DATA_PATH", "say where its data files are to be")
    made = _Found(wish.schema or _PUBLIC, versions)
    doing = translated(wish.address, "making a lake")
    with closing(connect(wish.address)) as session, doing, only_migrator(session, str(made.schema)):
        try:
            find_schema(session, wish.schema)
        except NotALake:
            if remains := read_definitions(session, str(made.schema)).tables:
                raise NotEmpty(
                    f"schema {made.schema} holds no catalog, but {len(remains)} tables of one: {remains[0].name}, ...",
                    "restore a backup, or make the lake in another schema",
                ) from None
            return _open(connection, wish, engine, made, create=True), made
    return None
