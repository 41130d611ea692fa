"""Lakes whose catalogs are in files: built once by real engines, copied for each test."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.engines.engines import Engine, engine, with_sqlite
from support.lakes.lakes import LakeKind, build_lake, hash_lake

__all__ = ["FileLake", "FileLakes", "Hashes"]

Hashes = dict[tuple[int, str, str], str]
"""What an engine reads: by snapshot, schema and table."""


@dataclass(frozen=True, slots=True)
class FileLake:
    """A lake whose catalog is a file: DuckDB's, or SQLite's."""

    path: Path
    data_path: Path
    engine: Engine

    @property
    def url(self) -> str:
        """What the engine calls it."""
        return _url(self.path)

    def read_by(
        self, at: Sequence[int | str] | None = None, path: Path | None = None, reader: Engine | None = None
    ) -> Hashes:
        """Read it, or a copy of its catalog, at some snapshots or at all."""
        return hash_lake(reader or self.engine, _url(path or self.path), "main", at)


def _url(path: Path) -> str:
    return f"sqlite:{path}" if ".sqlite" in path.name else str(path)


class FileLakes:
    """The templates of a session, by kind and engine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[LakeKind, str, str], FileLake] = {}

    def copy(self, kind: LakeKind, version: str, folder: Path, ending: str = "ducklake") -> FileLake:
        """Return a copy of a lake that an engine made; its data files are the template's."""
        key = (kind, version, ending)
        if key not in self._made:
            path = self._folder / f"{kind}-{version}.{ending}"
            data = self._folder / f"{kind}-{version}-{ending}-data"
            by = with_sqlite(engine(version)) if ending == "sqlite" else engine(version)
            build_lake(kind, by, _url(path), "main", data)
            self._made[key] = FileLake(path, data, by)
        made = self._made[key]
        path = folder / f"lake.{ending}"
        for beside in ("", ".wal"):
            if Path(f"{made.path}{beside}").exists():
                shutil.copy(f"{made.path}{beside}", f"{path}{beside}")
        return FileLake(path, made.data_path, made.engine)
