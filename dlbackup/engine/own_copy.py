"""
A catalog in a DuckDB file that a program itself has attached, copied out by the program's own DuckDB.

Nobody else can read such a file, and a second opening of it inside the program would drop the program's lock.
"""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dlbackup.engine.errors import translated
from dlbackup.engine.statements import new_file_statement
from dlbackup.errors import NotALake, UsageError
from dlbackup.runtime.scratch import scratch_folder
from dlbackup.tables.quoting import quote_identifier

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LATEST = "latest"
"""From 1.5 on DuckLake keeps its catalog's file in the newest storage version, and DuckDB does not list that file."""


@contextmanager
def copied_out(connection: "DuckDBPyConnection", lake: str) -> Iterator[Path]:
    """
    Copy what is committed of a lake's catalog into a file of the same name and storage version, gone with the block.

    Args:
        lake: the name under which it is attached.

    Raises:
        NotALake: no lake is attached under that name.
        UsageError: its catalog is not in a DuckDB file.
        EngineError: DuckDB can't copy it.
    """
    copy = f"dlbackup_copy_{secrets.token_hex(4)}"
    doing = translated(f"copying the catalog of {lake}")
    with scratch_folder("dlbackup-own-") as folder, closing(connection.cursor()) as cursor, doing:
        path, catalog, storage = _attached(cursor, lake)
        file = folder / (Path(path).name if path != ":memory:" else "memory.ducklake")
        cursor.execute(new_file_statement(file, copy, storage))
        try:
            cursor.execute(f"COPY FROM DATABASE {quote_identifier(catalog)} TO {copy}")
        finally:
            cursor.execute(f"DETACH {copy}")
        yield file


def _attached(cursor: "DuckDBPyConnection", lake: str) -> tuple[str, str, str]:
    """Return the file of a lake's catalog, under which name that is attached, and its storage version."""
    found = cursor.execute("SELECT * FROM duckdb_databases()")
    names = [column[0] for column in found.description or ()]
    databases = {row[names.index("database_name")]: dict(zip(names, row, strict=True)) for row in found.fetchall()}
    about = databases.get(lake)
    if about is None or about["type"] != "ducklake":
        lakes = ", ".join(name for name, other in databases.items() if other["type"] == "ducklake")
        raise NotALake(f"no lake is attached as {lake}", f"attached are: {lakes}" if lakes else "attach it first")
    path = str(about["path"]).removeprefix("duckdb:")
    if path.partition(":")[0] in ("postgres", "sqlite", "mysql", "quack", "md"):
        raise UsageError(f"the catalog of {lake} is not in a DuckDB file", "dump it by its address: others can read it")
    options = about.get("options") or {}
    catalog = str(options.get("metadata_catalog") or f"__ducklake_metadata_{lake}")
    tags = databases.get(catalog, {}).get("tags") or {}
    return path, catalog, str(tags.get("storage_version", _LATEST)).removesuffix("+")
