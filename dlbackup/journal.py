"""
What a migration has done so far, on disk: one JSON file beside its backup, written anew and synced at each step.

The engine's migration and its mends are two transactions. Killed between them, a migration leaves a catalog
that looks finished; from the journal the next `migrate` knows what is still to be mended, or undone. A mark in
the database, an empty schema whose comment says where the journal is, keeps a run that looks elsewhere from
taking such a catalog for a finished one.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from psycopg.errors import InsufficientPrivilege

from dlbackup.catalogs.postgres import one
from dlbackup.catalogs.replacement import own_schema
from dlbackup.catalogs.sessions import Session, quoted_text
from dlbackup.errors import CutOff, StorageError
from dlbackup.records import decode, encode
from dlbackup.statements import quote_identifier
from dlbackup.stores import rewrite

ENDING = ".journal.json"

Progress = Literal[
    "attaching", "attached", "mended", "undoing", "needs-person", "migrated", "unchanged", "rolled-back", "replaced"
]
_DONE = ("migrated", "unchanged", "rolled-back", "replaced")


@dataclass(frozen=True, slots=True)
class Place:
    """Which catalog: the server's system identifier (empty where the role may not read it), database, schema."""

    server: str
    database: str
    schema: str


@dataclass(frozen=True, slots=True)
class Journal:
    """
    A migration from its attach on.

    Args:
        snapshot_id: the catalog's newest when it was backed up.
        losses: what is to be mended after the attach, as records of `aftercare.Loss`.
        accepted: parts of the fingerprint that may change.
        bars: whether stale clients are to be barred.
        progress: the last step that is known to be done or, with `attaching` and `undoing`, to have begun;
            `replaced` when a restore has put another state in the catalog's place.
        time: of that step, UTC.
    """

    place: Place
    snapshot_id: int | None
    from_version: str
    to_version: str
    duckdb_version: str
    losses: tuple[Any, ...]
    accepted: tuple[str, ...]
    bars: bool
    progress: Progress
    time: str
    format: int = 1

    @property
    def done(self) -> bool:
        """Whether the end is known and nothing is left to do."""
        return self.progress in _DONE


def journal_of(backup: Path) -> Path:
    """Return where the journal of the migration with this backup is."""
    return backup.with_name(backup.name + ENDING)


def backup_of(journal: Path) -> Path:
    """Return where the backup is whose migration a journal describes."""
    return journal.with_name(journal.name.removesuffix(ENDING))


def write(path: Path, journal: Journal) -> None:
    """
    Put the journal in the place of its earlier state, durably.

    Raises:
        StorageError: it can't be written.
    """
    rewrite(path, json.dumps(encode(journal, keep_defaults=True), indent=1).encode() + b"\n")


def read(path: Path) -> Journal:
    """
    Read a journal.

    Raises:
        StorageError: it can't be read, or is no journal that this dlbackup understands.
    """
    try:
        return decode(Journal, json.loads(path.read_text()))
    except OSError as exc:
        raise StorageError(f"can't read {path}: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise StorageError(
            f"{path} is no journal that this dlbackup understands: {exc}",
            "use a newer dlbackup, or move the file away if it is none",
        ) from exc


@dataclass(frozen=True, slots=True)
class Left:
    """
    A migration that didn't come to its end.

    Args:
        journal: None when it can't be read from here.
        from_version: of the catalog before that migration.
    """

    path: Path
    journal: Journal | None
    from_version: str


def left_behind(session: Session, schema: str, folder: Path) -> Left | None:
    """
    Look for a migration of a catalog that didn't come to its end: in the folder, and by the mark in the database.

    Raises:
        StorageError: a journal in the folder can't be read.
    """
    place = place_of(session, schema)
    for path in sorted(folder.glob(f"*{ENDING}"), reverse=True):
        found = read(path)
        if found.place == place and not found.done:
            return Left(path, found, found.from_version)
    mark = _marked(session, schema)
    if mark is None:
        return None
    path, from_version = mark
    try:
        found = read(path)
    except StorageError:
        return Left(path, None, from_version)
    if found.place != place or found.done:  # the mark outlived its journal's end, which took the session with it
        return None
    return Left(path, found, from_version)


def cut_off(schema: str, left: Left) -> CutOff:
    """Return the refusal of a catalog that a migration left half-finished and whose journal can't be read."""
    return CutOff(
        f"an earlier migration of the catalog was cut off after its engine was done; its journal is {left.path}",
        "run migrate again where that file is, and what is missing will be mended or undone; if the file is lost,"
        f" compare the catalog with a backup and drop the schema {mark_name(schema)}",
    )


def replaced(session: Session, schema: str, folder: Path) -> None:
    """Take mark and journals of unfinished migrations as settled: a restore has put another state there."""
    while (left := left_behind(session, schema, folder)) is not None and left.journal is not None:
        write(left.path, replace(left.journal, progress="replaced"))
    unmark(session, schema)


def place_of(session: Session, schema: str) -> Place:
    """Return which catalog a session and a schema mean."""
    (database,) = one(session, "select current_database()")
    try:
        (server,) = one(session, "select system_identifier::text from pg_control_system()")
    except InsufficientPrivilege:
        server = ""
    return Place(server, database, schema)


def mark(session: Session, schema: str, journal: Path, from_version: str) -> bool:
    """Leave the mark; False where the role may not make schemas, so that only the journal is there."""
    name = quote_identifier(mark_name(schema))
    text = quoted_text(session, json.dumps({"journal": str(journal.resolve()), "from_version": from_version}))
    try:
        with session.transaction():
            session.execute(f"CREATE SCHEMA IF NOT EXISTS {name}".encode())
            session.execute(f"COMMENT ON SCHEMA {name} IS {text}".encode())
    except InsufficientPrivilege:
        return False
    return True


def unmark(session: Session, schema: str) -> None:
    """Take the mark away, if there is one."""
    if _marked(session, schema) is not None:
        session.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(mark_name(schema))}".encode())


def _marked(session: Session, schema: str) -> tuple[Path, str] | None:
    row = session.execute(
        "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = %s", [mark_name(schema)]
    ).fetchone()
    if row is None:
        return None
    said = json.loads(row[0] or "{}")
    return Path(said.get("journal", "unknown")), str(said.get("from_version", ""))


def mark_name(schema: str) -> str:
    """Return the name of the schema that is the mark."""
    return own_schema("migrating", schema)
