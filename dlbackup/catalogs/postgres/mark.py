"""
The mark in the database that a migration leaves while it is under way: it points to the journal.

Whoever finds it knows that a catalog may be half done, even where the journal's folder is out of reach.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from psycopg.errors import InsufficientPrivilege

from dlbackup.catalogs.postgres.schemas import whole
from dlbackup.catalogs.postgres.sessions import Session, one, quoted_text
from dlbackup.tables.quoting import quote_identifier


@dataclass(frozen=True, slots=True)
class Place:
    """Which catalog: the server's system identifier (empty where the role may not read it), database, schema."""

    server: str
    database: str
    schema: str


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
    if marked(session, schema) is not None:
        session.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(mark_name(schema))}".encode())


def marked(session: Session, schema: str) -> tuple[Path, str] | None:
    """Return the journal and the version that a catalog's mark names; None where it has none."""
    row = session.execute(
        "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = %s", [mark_name(schema)]
    ).fetchone()
    if row is None:
        return None
    said = json.loads(row[0] or "{}")
    return Path(said.get("journal", "unknown")), str(said.get("from_version", ""))


def mark_name(schema: str) -> str:
    """Return the name of the schema that is the mark."""
    return f"dlbackup_migrating_{whole(schema)}"
