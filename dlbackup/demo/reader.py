"""
Executes SQL on a DuckDB with the ducklake and postgres extensions, and shows it as DuckDB's shell does.

A program of its own, `python -m dlbackup.demo.reader STATEMENT ...`: when it ends, so does its connection.
The extensions come from their wheels, so no extension server is needed.
"""

import contextlib
import io
import sys
from importlib import resources
from importlib.resources.abc import Traversable

import duckdb

from dlbackup.errors import DlbackupError


class DemoError(DlbackupError):
    """The demo can't be shown on this machine."""


def find_extensions() -> list[Traversable]:
    """
    Return the files of the extensions, in the order in which to load them.

    Raises:
        DemoError: their wheels aren't installed, or not those of this DuckDB.
    """
    files = []
    for name in ("postgres_scanner", "ducklake"):
        with contextlib.suppress(ModuleNotFoundError):
            folder = resources.files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}"
            files.append(folder / f"{name}.duckdb_extension")
    if len(files) < 2 or not all(file.is_file() for file in files):
        raise DemoError(
            f"the demo needs the packages with DuckLake for DuckDB {duckdb.__version__}, which are not installed",
            hint="pip install 'dlbackup[demo]'",
        )
    return files


def _main(statements: list[str]) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every character set has the lines of DuckDB's tables
    with duckdb.connect() as connection:
        for file in find_extensions():
            connection.load_extension(str(file))
        gap = ""
        for statement in statements:
            print(f"{gap}D {statement};")
            result = connection.sql(statement)
            if result is not None:
                print(str(result).rstrip())
                gap = "\n"


if __name__ == "__main__":
    _main(sys.argv[1:])
