"""Forged backups of catalogs in files: what DuckDB, SQLite or their command lines would do more than dlbackup wrote."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.backups import HEADER, METADATA, SNAPSHOT, assemble, small, take_apart, write_backup

from dlbackup import restore
from dlbackup.errors import BackupError
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.types import Dialect
from dlbackup.verbs.verify import verify

STATEMENTS = (
    "ATTACH '{0}' AS planted",
    "COPY ducklake_metadata TO '{0}'",
    "COPY (SELECT 1) TO '{0}'",
    "COPY ducklake_metadata FROM '{0}'",
    "EXPORT DATABASE '{0}'",
    "IMPORT DATABASE '{0}'",
    "VACUUM INTO '{0}'",
    "INSTALL httpfs",
    "FORCE INSTALL httpfs FROM '{0}'",
    "LOAD '{0}'",
    "PRAGMA writable_schema = on",
    "PRAGMA temp_directory = '{0}'",
    "PRAGMA journal_mode = off",
    "SET allow_unsigned_extensions = true",
    "CALL pragma_version()",
    "CREATE SECRET s (TYPE s3)",
    "CREATE MACRO count(x) AS 666",
    "CREATE TRIGGER t AFTER INSERT ON ducklake_metadata BEGIN SELECT 1; END",
    "CREATE TABLE planted AS FROM '{0}'",
    "SELECT load_extension('{0}')",
    "SELECT writefile('{0}', 'x')",
    "FROM read_text('{0}')",
    "DETACH x",
    "CHECKPOINT",
)
LINES = (".shell touch {0}", ".system touch {0}", ".read {0}", ".output {0}", ".load {0}", ".open {0}", ".import {0} t")
"""Of the command lines, which do them at the beginning of a line between statements."""
PLACES = (b"BEGIN;", b"CREATE TABLE", b"INSERT INTO", b"COMMIT;")
VALUES = (
    *("load_extension('{0}')", "readfile('{0}')", "writefile('{0}','x')", "getenv('HOME')", "abs(0)"),
    *("(select 1)", "nextval('x')", "current_setting('x')", "(FROM read_text('{0}'))", "x'00'", "$1", "?1", "1+1"),
)


PARTS = ("BIGINT); {0}; --", "BIGINT DEFAULT ({0})", "BIGINT\n.shell touch {0}", "{0}")
"""Of a definition: where a type or a default should stand."""


def of_sqlite(table: Table) -> Table:
    """Return a table as it is in a SQLite file."""
    columns = (replace(it, declared="BIGINT" if it.type == "bigint" else "VARCHAR") for it in table.columns)
    return replace(table, columns=tuple(columns), comment=None)


def written(path: Path, dialect: Dialect, first: Table = METADATA) -> Path:
    """Make a small backup in the words of a kind of file; its first table may be another."""
    contents = [(table, rows) for table, (_, rows) in zip((first, SNAPSHOT), small(), strict=True)]
    if dialect == "sqlite":
        contents = [
            (of_sqlite(table) if table is not first or first is METADATA else table, rows) for table, rows in contents
        ]
    write_backup(path, contents, replace(HEADER, format=2, dialect=dialect))
    return path


@pytest.fixture(params=["duckdb", "sqlite"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """Each kind of file in turn."""
    kind: Dialect = request.param
    return kind


@pytest.fixture
def backup(dialect: Dialect, tmp_path: Path) -> Path:
    """A good backup of it."""
    path = written(tmp_path / "backup", dialect)
    assert verify(path).ok
    return path


def refused(path: Path, what: str) -> None:
    """Prove that a backup is refused for what it would do, or for what can't be told of it any more."""
    (finding,) = verify(path).findings
    assert (finding.severity, finding.rule in ("unsafe-statement", "corrupt")) == ("error", True), what


def test_a_statement_more_is_refused(backup: Path, dialect: Dialect, tmp_path: Path) -> None:
    """Whatever it is, and wherever it stands between statements; also a line that is the command line's own."""
    (text,), manifest = take_apart(backup)
    planted = tmp_path / "planted"
    for number, smuggled in enumerate([*(f"{each};" for each in STATEMENTS), *LINES]):
        place = text.index(PLACES[number % len(PLACES)])
        forged = text[:place] + f"{smuggled.format(planted)}\n".encode() + text[place:]
        backup.write_bytes(assemble([forged], manifest))
        refused(backup, smuggled)
        if number < len(PLACES):
            with pytest.raises(BackupError):
                restore(backup, f"{dialect}:{tmp_path / 'new'}")
    assert [found.name for found in tmp_path.iterdir()] == [backup.name]


def test_a_value_that_would_do_something_is_refused(backup: Path) -> None:
    """Functions, queries, parameters and literals of other kinds than the column's are no values."""
    (text,), manifest = take_apart(backup)
    for value in VALUES:
        for before, after in ((b"0,'2026", b",'2026"), (b"NULL,NULL\n", b",NULL\n")):
            backup.write_bytes(assemble([text.replace(before, value.encode() + after, 1)], manifest))
            refused(backup, value)


def test_a_definition_that_would_do_something_is_refused(dialect: Dialect, tmp_path: Path) -> None:
    """In a type, declared or not, or a default."""
    for part in PARTS:
        for statement in STATEMENTS:
            words = part.format(statement)
            column = Column(name="key", type=words, declared=words if dialect == "sqlite" else "")
            default = replace(METADATA.columns[0], default=words)
            for forged in (column, default):
                table = replace(METADATA, columns=(forged, *METADATA.columns[1:]))
                refused(written(tmp_path / "backup", dialect, table), words)
