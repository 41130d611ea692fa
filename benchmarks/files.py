"""
Make one lake in a DuckDB file, in a SQLite file and on PostgreSQL, with as many rows of statistics in each.

    python benchmarks/files.py DATABASE FOLDER [--rows 3000000]

DuckDB makes a small lake in each, and each backend's own SQL the rows. DATABASE is made anew; libpq's environment says
where the server is. The files are FOLDER/lake.ducklake and FOLDER/lake.sqlite; `side_by_side.py` runs the jobs
files-dump, files-verify, files-restore and files-copy on them. FOLDER takes about 3 GB.
"""

import argparse
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import duckdb

from dlbackup.engine.child import load

_ROW = (
    "insert into ducklake_file_column_stats select n, 1, n % 10, 1000 + n % 977, 100, 0, 'value ' || n,"
    " 'value ' || (n + 99), {no}, null from {numbers}"
)


def psql(database: str, sql: str) -> None:
    subprocess.run(["psql", "-qX", "-d", database, "-c", sql], check=True)


def main() -> None:
    """Make all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=3_000_000)
    options = parser.parse_args()
    database, folder, rows = options.database, options.folder, options.rows
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    psql("postgres", f"drop database if exists {database}")
    psql("postgres", f"create database {database}")
    in_duckdb, in_sqlite = folder / "lake.ducklake", folder / "lake.sqlite"
    with duckdb.connect() as connection:
        for name in ("ducklake", "postgres", "sqlite"):
            load(connection, name)
        for place in (str(in_duckdb), f"sqlite:{in_sqlite}", f"postgres:dbname={database}"):
            connection.execute(f"attach 'ducklake:{place}' as lake (data_path '{folder}/data/')")
            connection.execute("create table lake.t as select 42 as i; detach lake")
    with duckdb.connect(str(in_duckdb)) as connection:
        connection.execute(_ROW.format(no="false", numbers=f"range({rows}) r(n)"))
    with closing(sqlite3.connect(in_sqlite)) as file, file:
        more = f"select n + 1 from r where n < {rows - 1}"
        file.execute(
            _ROW.format(no="0", numbers=f"(with recursive r(n) as (select 0 union all {more}) select n from r)")
        )
    psql(database, _ROW.format(no="false", numbers=f"generate_series(0, {rows - 1}) r(n)"))
    psql(database, "vacuum analyze")


if __name__ == "__main__":
    main()
