"""
Catalogs of DuckLake 1.1, made by hand from real ones of 1.0: no engine of that version could be had yet.

What its migration does is taken from MigrateV10 of duckdb/ducklake (ducklake_metadata_manager.cpp, August 2026) and
from the documentation of 1.1.
"""

import secrets
import sys
from pathlib import Path

import duckdb
import psycopg
from psycopg import sql

from support.lakes.lakes import Lake

__all__ = ["engine_of_1_1", "make_1_1", "make_1_1_in_file"]

_FIXED = """
alter table {s}.ducklake_schema add column parent_schema_id bigint;
alter table {s}.ducklake_data_file add column row_group_count bigint;
alter table {s}.ducklake_delete_file add column row_group_count bigint;
alter table {s}.ducklake_file_column_stats add column min_is_exact boolean;
alter table {s}.ducklake_file_column_stats add column max_is_exact boolean;
alter table {s}.ducklake_table_column_stats add column min_is_exact boolean;
alter table {s}.ducklake_table_column_stats add column max_is_exact boolean;
create table {s}.ducklake_view_column_tag(
    view_id bigint, column_name varchar, begin_snapshot bigint, end_snapshot bigint, key varchar, value varchar
);
"""
_RENAME = "alter table {s}.{t} rename column {c} to {n};\n"
_VERSION = "update {s}.ducklake_metadata set value = '1.1' where key = 'version';"


def _statements_to_1_1(made: Lake) -> str:
    """Return what the migration of a catalog does, as SQL."""
    schema = sql.Identifier(made.schema)
    with psycopg.connect(made.url) as session:
        names = session.execute(
            sql.SQL("select table_name from {}.ducklake_inlined_data_tables order by 1").format(schema)
        ).fetchall()
        renames = [
            sql.SQL(_RENAME).format(
                s=schema, t=sql.Identifier(name), c=sql.Identifier(column), n=sql.Identifier(f"_ducklake_{column}")
            )
            for (name,) in names
            for column in ("row_id", "begin_snapshot", "end_snapshot")
        ]
        return sql.Composed([*renames, sql.SQL(_FIXED).format(s=schema), sql.SQL(_VERSION).format(s=schema)]).as_string(
            session
        )


def make_1_1(made: Lake) -> None:
    """Migrate a catalog of 1.0 by hand."""
    statements = _statements_to_1_1(made)
    with psycopg.connect(made.url, autocommit=True) as session:
        session.execute(statements.encode())


def make_1_1_in_file(path: Path) -> None:
    """Migrate a catalog of 1.0 in a DuckDB file by hand."""
    with duckdb.connect(str(path)) as connection:
        for (name,) in connection.execute("select table_name from ducklake_inlined_data_tables").fetchall():
            for column in ("row_id", "begin_snapshot", "end_snapshot"):
                connection.execute(_RENAME.format(s="main", t=name, c=column, n=f"_ducklake_{column}"))
        connection.execute((_FIXED + _VERSION).format(s="main"))


_MODULE = """
import importlib, re, sys

sys.path.remove({here!r})
del sys.modules["duckdb"]
real = importlib.import_module("duckdb")
connect = real.connect
real.__version__ = "2.0.0"

class Connection:
    def __init__(self, connection):
        self.connection, self.stands_for = connection, False

    def execute(self, statement):
        if "key = 'version'" in statement:
            return self.connection.execute("SELECT '1.1'")
        if not statement.startswith("ATTACH 'ducklake:postgres:"):
            if self.stands_for and statement == 'DETACH "lake"':
                self.stands_for = False
                return self.connection.execute("SELECT 1")
            return self.connection.execute(statement)
        schema = re.search("METADATA_SCHEMA '(.*?)'", statement)[1]
        if "DUCKLAKE_VERSION '1.0'" in statement:
            return self.connection.execute(statement.replace(", DUCKLAKE_VERSION '1.0'", ""))
        import psycopg
        with psycopg.connect({url!r}, autocommit=True, application_name="fault") as other:
            version = f'select value from "{{schema}}".ducklake_metadata where key = $$version$$'
            if "AUTOMATIC_MIGRATION TRUE" in statement:
                other.execute({statements!r}.replace('"public".', f'"{{schema}}".'))
            (found,) = other.execute(version).fetchone()
        if found == "1.1":
            self.stands_for = True
            return self.connection.execute("SELECT 1")
        return self.connection.execute(statement)

real.connect = lambda *words, **named: Connection(connect(*words, **named))
"""


def engine_of_1_1(made: Lake, folder: Path, also: str = "") -> Path:
    """
    Return the python of an engine that does by hand what one of 1.1 would do to this lake of 1.0.

    It is one of 1.0 that calls itself DuckDB 2.0.0: what it can't open, catalogs of 1.1, it says to have opened.

    Args:
        also: statements that it executes as well, in which `{s}` stands for the schema.
    """
    here = folder / f"engine-{secrets.token_hex(4)}"
    here.mkdir()
    statements = _statements_to_1_1(made) + also.replace("{s}", f'"{made.schema}"')
    module = _MODULE.format(here=str(here), url=made.url, statements=statements)
    (here / "duckdb.py").write_text(module)
    wrapper = here / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={here}${{PYTHONPATH:+:$PYTHONPATH}} exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper
