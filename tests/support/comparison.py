"""Catalogs as tests compare them: by the records in a backup, and by the server's own words."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import zstandard
from psycopg import sql

from dlbackup import dump
from dlbackup.backupfile.reader import BackupReader
from dlbackup.stores.folder import local
from dlbackup.tables.definition import Table
from dlbackup.tables.digest import Rows
from support.engines.quoting import quoted
from support.servers.postgres import Server

__all__ = [
    "Contents",
    "contents",
    "dumped",
    "execute",
    "psql_restore",
    "schema_lines",
    "schemas",
    "server_digests",
    "settle",
    "text_of",
]

# What a backup says of each table: its definition, and which rows it has.
Contents = Mapping[str, tuple[Table, Rows]]

_SETTLE_S = 20
_TABLES = r"select relname from pg_class where relnamespace = %s::regnamespace and relname like 'ducklake\_%%'"
_DIGEST = "select count(*) || ' ' || md5(coalesce(string_agg(t::text, '|' order by t::text collate \"C\"), '')) from"


def contents(path: str | Path) -> Contents:
    """Return what the manifest of a backup says of each table."""
    with BackupReader(local(path)) as reader:
        return {entry.table.name: (entry.table, entry.content) for entry in reader.manifest.tables}


def dumped(url: str, folder: Path, schema: str | None = None) -> Contents:
    """Dump the catalog into the folder and return what the backup says of each table."""
    return contents(dump(url, folder, metadata_schema=schema, verify=False).path)


def execute(url: str, *statements: str | sql.Composed) -> list[tuple[Any, ...]]:
    """Execute the statements in one session, each for itself; return the rows of the last one."""
    with psycopg.connect(url, autocommit=True) as session:
        cursor = session.cursor()
        for statement in statements:
            cursor.execute(statement.encode() if isinstance(statement, str) else statement)
        return cursor.fetchall() if cursor.description else []


def schemas(url: str) -> set[str]:
    """Return the names of the schemas of a database, but for the server's own."""
    rows = execute(url, "select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'")
    return {name for (name,) in rows}


def server_digests(url: str, schema: str = "public") -> dict[str, str]:
    """Return the server's own digest of the rows of each catalog table of a schema."""
    with psycopg.connect(url) as session:
        names = session.execute(f"{_TABLES} and relkind = 'r'".encode(), [quoted(schema)]).fetchall()
        found = {}
        for (name,) in names:
            row = session.execute(f"{_DIGEST} {quoted(schema)}.{quoted(name)} t".encode()).fetchone()
            assert row is not None
            found[name] = row[0]
        return found


def schema_lines(server: Server, url: str, schema: str = "public") -> list[str]:
    """Return what `pg_dump --schema-only` says of the catalog tables, in an order that grants don't change."""
    options = ("--schema-only", "-t", f"{quoted(schema)}.ducklake_*", "-d", url.rpartition("/")[2])
    text = server.run("pg_dump", *options).decode()
    return sorted(line for line in text.split("\n") if not line.startswith(("\\restrict", "\\unrestrict", "-- Dumped")))


def text_of(path: str | Path) -> bytes:
    """Return what `zstd -dc` makes of a backup."""
    with (
        Path(path).open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream,
    ):
        return stream.read()


def psql_restore(server: Server, url: str, path: str | Path, before: str = "") -> None:
    """Restore without dlbackup: `zstd -dc FILE | psql -v ON_ERROR_STOP=1 DB`."""
    options = ("-Xq", "-v", "ON_ERROR_STOP=1", "-d", url.rpartition("/")[2])
    server.run("psql", *options, stdin=before.encode() + text_of(path))


def settle(server: Server, url: str) -> None:
    """Wait until nobody is connected to the database: a backend outlives its client by a moment."""
    query = "select pid, application_name from pg_stat_activity where datname = %s and backend_type = 'client backend'"
    deadline = time.monotonic() + _SETTLE_S
    with psycopg.connect(server.url, autocommit=True) as admin:
        while left := admin.execute(query, [url.rpartition("/")[2]]).fetchall():
            if time.monotonic() > deadline:
                raise TimeoutError(f"still connected: {left}")
            time.sleep(0.01)
