"""
Schemas: which of them hold catalogs, and dlbackup's own, named, found and dropped.

A schema of ours carries a hash of the whole name of its catalog's, since tenants' names may be alike for longer than
the 63 bytes that a name has, and an advisory lock says whether its maker lives. Neither its name nor its age does.
"""

import hashlib
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
import xxhash

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
        """
        select n.nspname
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.relname = 'ducklake_metadata' and c.relkind in ('r', 'v', 'm', 'f', 'p') and n.nspname !~ '^pg_'
        order by n.nspname
        """
    )
    return [row[0] for row in rows]


def _others(found: list[str]) -> str:
    if found:
        return f"catalogs were found in: {', '.join(found)}"
    return "check dbname= and --metadata-schema"


_NAME_BYTES = 63
_POLL_S = 0.05
_LOCK_CLASS = 0x444C4B53  # "DLKS"
RESTORING, DROPPED, READY = "restoring", "dropped", "ready"
OWN_KINDS = (RESTORING, DROPPED, READY)
"""Of schemas that a restore makes and drops, and of one with tables that a mend takes."""


def aside_name(schema: str) -> str:
    """Return a new name of the schema that keeps a replaced catalog."""
    return _cut(f"dlbackup_replaced_{_now()}_{schema}")


def own_name(kind: str, schema: str) -> str:
    """Return a new name of a schema that dlbackup makes for itself beside that of a catalog."""
    return _cut(f"dlbackup_{kind}_{_now()}_{whole(schema)}_{schema}")


def whole(schema: str) -> str:
    """Return what stands for a schema's whole name in names of ours: of that itself little may fit into 63 bytes."""
    return hashlib.sha256(schema.encode()).hexdigest()[:12]


def _now() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"


def _cut(name: str) -> str:
    return name.encode()[:_NAME_BYTES].decode(errors="ignore")


@contextmanager
def claimed(session: Session, name: str) -> Iterator[None]:
    """
    Show that the maker of a schema lives, as long as the block, and the session, last: nobody else drops it then.

    A shared advisory lock of the name; two names that share one keep each other from being dropped, and no more.
    """
    session.execute("select pg_advisory_lock_shared(%s)", [_claim(name)])
    try:
        yield
    finally:
        with suppress(psycopg.Error):  # a session that is lost or busy takes its lock with it when it is closed
            session.execute("select pg_advisory_unlock_shared(%s)", [_claim(name)])


def _claim(name: str) -> int:
    return (_LOCK_CLASS << 32) | xxhash.xxh32_intdigest(name.encode())


def catalog_tables(session: Session, schema: str) -> int:
    """Return how many catalog tables there are in a schema."""
    query = r"""
        select count(*)
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = %s and c.relkind = 'r' and c.relname like 'ducklake\_%%'
    """
    return int(one(session, query, schema)[0])


def relations(session: Session, schema: str) -> list[tuple[int, str, int]]:
    """Return oid, name and file of each table and index of a schema: the same as before, if nobody has touched one."""
    return session.execute(
        "select c.oid, c.relname, c.relfilenode from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relkind in ('r', 'i') order by 1",
        [schema],
    ).fetchall()


def own_schemas_of(session: Session, schema: str, kind: str) -> list[str]:
    """Return dlbackup's own schemas of that kind which belong to a catalog, whenever they were made."""
    ours = re.compile(f"dlbackup_{kind}_[0-9TZ]+_{whole(schema)}_.*", re.DOTALL)
    rows = session.execute("select nspname from pg_namespace where nspname like 'dlbackup\\_%'").fetchall()
    return [name for (name,) in rows if ours.fullmatch(name)]


def drop_left(session: Session, schema: str, kinds: Iterable[str] = OWN_KINDS) -> None:
    """Drop what is left of a catalog's schemas of ours, whose makers are gone; those of the living stay."""
    for kind in kinds:
        for name in own_schemas_of(session, schema, kind):
            drop_unclaimed(session, name)


def drop_unclaimed(session: Session, name: str, patience_s: float = 0.0) -> None:
    """Drop a schema of ours whose maker is gone, or goes so soon; that of a living one stays."""
    until = time.monotonic() + patience_s
    while not one(session, "select pg_try_advisory_lock(%s)", _claim(name))[0]:
        if time.monotonic() >= until:
            return
        time.sleep(_POLL_S)
    try:
        drop_schema(session, name)
    finally:
        with suppress(psycopg.Error):
            session.execute("select pg_advisory_unlock(%s)", [_claim(name)])


def drop_schema(session: Session, name: str) -> None:
    """Drop a schema of dlbackup's own and its tables, in batches that need few locks."""
    size = batch_tables(session)
    while tables := session.execute(
        f"""
        select c.relname
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = %s and c.relkind = 'r'
        order by 1
        limit {size}
        """,
        [name],
    ).fetchall():
        listed = ", ".join(qualified(name, table) for (table,) in tables)
        session.execute(f"DROP TABLE {listed}".encode())
    session.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(name)}".encode())


def analyze(session: Session, schema: str, tables: Sequence[str]) -> None:
    """
    Have the server learn what new tables hold.

    It plans by what it knows: without, the rules over 1.1 million rows took 60 s instead of 3 s.
    """
    if tables:
        listed = ", ".join(qualified(schema, name) for name in tables)
        session.execute(f"ANALYZE {listed}".encode())
