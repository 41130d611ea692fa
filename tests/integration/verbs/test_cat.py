"""One table of a real lake's backup, beside what the server itself says of it."""

from pathlib import Path

import psycopg
import pytest
from support.lakes.lakes import LakeFactory, LakeKind

from dlbackup import cat, dump
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.postgres.sessions import set_ours
from dlbackup.stores.folder import local
from dlbackup.tables.definition import Table
from dlbackup.tables.quoting import qualified, quote_identifier
from dlbackup.verbs.cat import write


def server_csv(connection: psycopg.Connection, schema: str, table: Table) -> bytes:
    """Return a table as the server's COPY prints it, with booleans as words."""
    bare = ("smallint", "integer", "bigint", "boolean")
    columns = [f"{quote_identifier(c.name)}{'::text' * (c.type == 'boolean')}" for c in table.columns]
    forced = [quote_identifier(c.name) for c in table.columns if c.type not in bare]
    force = f", FORCE_QUOTE ({', '.join(forced)})" if forced else ""
    query = (
        f"COPY (SELECT {', '.join(columns)} FROM {qualified(schema, table.name)}) TO STDOUT (FORMAT csv, HEADER{force})"
    )
    with connection.cursor() as cursor, cursor.copy(query.encode()) as copy:
        return b"".join(copy)


@pytest.mark.parametrize("kind", ["plain", "inlined", "zoo"])
def test_each_table_is_as_the_server_prints_it(lake: LakeFactory, tmp_path: Path, kind: LakeKind) -> None:
    """Every table of a lake comes out of its backup as the CSV that the server's COPY makes of it."""
    made = lake(kind, "0.3")
    backup = dump(made.url, tmp_path)
    with BackupReader(local(backup.path)) as reader:
        tables = [entry.table for entry in reader.manifest.tables]

    assert len(tables) > 20
    with psycopg.connect(made.url) as connection:
        set_ours(connection)
        for table in tables:
            with (tmp_path / "found").open("wb") as file:
                write(backup.path, table.name, "csv", file)
            wanted = server_csv(connection, made.schema, table)
            assert (tmp_path / "found").read_bytes() == wanted
            assert sum(1 for _ in cat(backup, table.name)) == backup.contents[table.name].count
