"""A lake that a test may write to: with a copy of the data files for itself."""

import shutil
from dataclasses import replace
from pathlib import Path

import psycopg

from support.lakes.lakes import Lake

__all__ = ["private_lake"]


def private_lake(made: Lake, folder: Path) -> Lake:
    """Return the lake with its data files in `folder`, a new one."""
    shutil.copytree(made.data_path, folder)
    with psycopg.connect(made.url) as session:
        changed = session.execute(
            "update ducklake_metadata set value = %s where key = 'data_path'", [f"{folder}/"]
        ).rowcount
    assert changed == 1
    return replace(made, data_path=folder)
