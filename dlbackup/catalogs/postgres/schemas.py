"""Schemas: which of them hold catalogs, and dlbackup's own, named, found and dropped."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from dlbackup.catalogs.postgres.locks import batch_tables
from dlbackup.catalogs.postgres.sessions import Session, one
from dlbackup.errors import Ambiguous, NotALake
from dlbackup.tables.quoting import qualified, quote_identifier


def find_schema(session: Session, wanted: str | None) -> str:
    """
    Return the schema that holds the catalog.

    Schemas that dlbackup made itself (`dlbackup_...`) count only when they are named.

    Raises:
        NotALake: none does.
        Ambiguous: several do; lists them.
    """
    found = catalog_schemas(session)
    if wanted is not None:
        if wanted in found:
            return wanted
        raise NotALake(f"schema {wanted!r} holds no DuckLake catalog", _others(found))
    visible = [name for name in found if not name.startswith("dlbackup_")]
    if not visible:
        raise NotALake("the database holds no DuckLake catalog", _others(found))
    if len(visible) > 1:
        raise Ambiguous(
            f"the database holds {len(visible)} catalogs, in the schemas {', '.join(visible)}",
            "name one with --metadata-schema",
        )
    return visible[0]


def catalog_schemas(session: Session) -> list[str]:
    """Return all schemas with a relation named ducklake_metadata."""
    rows: Iterable[Any] = session.execute(
        "select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relname = 'ducklake_metadata' and c.relkind in ('r', 'v', 'm', 'f', 'p')"
        " and n.nspname !~ '^pg_' order by n.nspname"
    )
    return [row[0] for row in rows]


def _others(found: list[str]) -> str:
    if found:
        return f"catalogs were found in: {', '.join(found)}"
    return "check dbname= and --metadata-schema"


_NAME_BYTES = 63


def aside_name(schema: str, kind: str = "replaced") -> str:
    """Return a new name of a schema that dlbackup makes for itself."""
    return own_schema(f"{kind}_{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}", schema)


def own_schema(kind: str, schema: str) -> str:
    """Return the name of a schema of dlbackup's own beside that of a catalog, within PostgreSQL's 63 bytes."""
    return f"dlbackup_{kind}_{schema}".encode()[:_NAME_BYTES].decode(errors="ignore")


OWN_KINDS = ("restoring", "dropped")


def catalog_tables(session: Session, schema: str) -> int:
    """Return how many catalog tables there are in a schema."""
    query = (
        "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relkind = 'r' and c.relname like 'ducklake\\_%%'"
    )
    return int(one(session, query, schema)[0])


def staging_name(schema: str) -> str:
    """Return the name of a new schema to fill in the place of another."""
    return aside_name(schema, OWN_KINDS[0])


def own_schemas_of(session: Session, schema: str, kind: str) -> list[str]:
    """Return dlbackup's own schemas of that kind which belong to a catalog, whenever they were made."""
    tail = aside_name(schema, kind)
    tail = tail[tail.index("Z_") :]
    rows = session.execute("select nspname from pg_namespace where nspname like 'dlbackup\\_%'").fetchall()
    return [name for (name,) in rows if name.startswith(f"dlbackup_{kind}_") and name.endswith(tail)]


def drop_left(session: Session, schema: str) -> None:
    """Drop what a restore of the catalog left that was killed, or that had no time to drop what it replaced."""
    for kind in OWN_KINDS:
        for name in own_schemas_of(session, schema, kind):
            drop_schema(session, name)


def drop_schema(session: Session, name: str) -> None:
    """Drop a schema of dlbackup's own and its tables, in batches that need few locks."""
    size = batch_tables(session)
    while tables := session.execute(
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        f" where n.nspname = %s and c.relkind = 'r' order by 1 limit {size}",
        [name],
    ).fetchall():
        listed = ", ".join(qualified(name, table) for (table,) in tables)
        session.execute(f"DROP TABLE {listed}".encode())
    session.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(name)}".encode())
