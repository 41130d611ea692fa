"""What tests do with the files that catalogs are in."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

import dlbackup
from dlbackup.backupfile.reader import BackupReader
from dlbackup.health.rules import RULES
from dlbackup.stores.folder import local

__all__ = ["beside", "contents", "execute_in", "held", "is_healthy", "storage_of"]


def beside(path: Path) -> set[str]:
    """Return what stands in a file's folder and is named like it."""
    return {found.name for found in path.parent.iterdir() if path.name in found.name} - {path.name}


def contents(path: Path) -> dict[str, object]:
    """Return definitions and rows digests of a backup, or of a catalog's file of any kind."""
    if path.name.endswith(".zst"):
        with BackupReader(local(path)) as reader:
            return {entry.table.name: (entry.table, entry.content) for entry in reader.manifest.tables}
    made = path.with_name(f"contents-{time.monotonic_ns()}.sql.zst")
    dlbackup.dump(f"duckdb:{path}", made)
    found = contents(made)
    made.unlink()
    return found


def execute_in(path: Path, *statements: str) -> None:
    """Execute statements in a DuckDB file."""
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)


@contextmanager
def held(path: Path, statement: str = "select 1") -> Iterator[subprocess.Popen[str]]:
    """Have a process hold a DuckDB file for writing, after it has executed a statement."""
    program = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); c.execute({statement!r}); print(1, flush=True)"
    command = [sys.executable, "-c", program + "; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "1\n"
            yield process
        finally:
            process.kill()


def is_healthy(found: dlbackup.Check) -> bool:
    """Tell whether a check found no error but those that the lake's own engines make, as DuckDB 1.4.4 of the zoo."""
    own = {rule.name for rule in RULES if rule.engines_own}
    return {finding.rule for finding in found.findings if finding.severity == "error"} <= own


def storage_of(path: Path) -> str:
    """Return the storage version of a DuckDB file."""
    with duckdb.connect() as connection:
        connection.execute("attach '{}' as f (read_only)".format(str(path).replace("'", "''")))
        query = "select tags['storage_version'] from duckdb_databases() where database_name = 'f'"
        return str(connection.execute(query).fetchall()[0][0])
