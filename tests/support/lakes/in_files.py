"""Lakes whose catalogs are in files: built once by real engines, copied for each test."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.engines.engines import Engine, engine
from support.lakes.lakes import LakeKind, build_lake, hash_lake

__all__ = ["FileLake", "FileLakes", "Hashes"]

Hashes = dict[tuple[int, str, str], str]
"""What an engine reads: by snapshot, schema and table."""


@dataclass(frozen=True, slots=True)
class FileLake:
    """A lake whose catalog is a DuckDB file."""

    path: Path
    data_path: Path
    engine: Engine

    def read_by(
        self, at: Sequence[int | str] | None = None, path: Path | None = None, reader: Engine | None = None
    ) -> Hashes:
        """Read it, or a copy of its catalog, at some snapshots or at all."""
        return hash_lake(reader or self.engine, str(path or self.path), "main", at)


class FileLakes:
    """The templates of a session, by kind and engine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[LakeKind, str], FileLake] = {}

    def copy(self, kind: LakeKind, version: str, folder: Path) -> FileLake:
        """Return a copy of a lake that an engine made; its data files are the template's."""
        if (kind, version) not in self._made:
            path = self._folder / f"{kind}-{version}.ducklake"
            data = self._folder / f"{kind}-{version}-data"
            build_lake(kind, engine(version), str(path), "main", data)
            self._made[kind, version] = FileLake(path, data, engine(version))
        made = self._made[kind, version]
        path = folder / "lake.ducklake"
        for ending in ("", ".wal"):
            if Path(f"{made.path}{ending}").exists():
                shutil.copy(f"{made.path}{ending}", f"{path}{ending}")
        return FileLake(path, made.data_path, made.engine)
