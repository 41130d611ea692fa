"""Functions that somebody planted in a schema never run by a restore."""

from dataclasses import replace
from pathlib import Path

import psycopg
from support.backups import catalog, write_backup
from support.cli import Cli

from dlbackup.tables.definition import Constraint

PLANTED = """
create sequence public.ran;
create function public.lower(varchar) returns text language plpgsql immutable as
$$ begin perform nextval('public.ran'); return $1; end $$;
"""


def test_planted_function_does_not_run(database: str, cli: Cli, tmp_path: Path) -> None:
    """A check in a backup that names lower() means PostgreSQL's own, whatever the target schema holds."""
    with psycopg.connect(database, autocommit=True) as session:
        session.execute(PLANTED)
    check = Constraint("planted", "CHECK ((lower(key) <> 'x'::text))")
    tables = [
        (replace(table, constraints=(check,)) if table.name == "ducklake_metadata" else table, rows)
        for table, rows in catalog("1.0")
    ]
    backup = tmp_path / "backup.sql.zst"
    write_backup(backup, tables)

    cli("restore", backup, database, "--metadata-schema", "public", "--no-owner")

    with psycopg.connect(database) as session:
        assert session.execute("select is_called from public.ran").fetchone() == (False,)
