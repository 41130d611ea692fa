"""A lake that a test may write to: with a copy of the data files for itself."""

import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath

import psycopg

from support.lakes.lakes import Lake

__all__ = ["private_lake"]

_PATHS = "select path from ducklake_data_file union all select path from ducklake_delete_file"


def private_lake(made: Lake, folder: Path) -> Lake:
    """
    Return the lake with its data files in `folder`, a new one.

    Only files of its catalog are there: the shared folder may hold what other tests' engines wrote for their copies.
    """
    with psycopg.connect(made.url) as session:
        names = {PurePosixPath(path).name for (path,) in session.execute(_PATHS)}
        shutil.copytree(made.data_path, folder, ignore=lambda _, found: [n for n in found if _is_strange(n, names)])
        changed = session.execute(
            "update ducklake_metadata set value = %s where key = 'data_path'", [f"{folder}/"]
        ).rowcount
    assert changed == 1
    return replace(made, data_path=folder)


def _is_strange(name: str, names: set[str]) -> bool:
    return name.endswith(".parquet") and name not in names
