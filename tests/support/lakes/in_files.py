"""Lakes whose catalogs are in files: built once on a machine by real engines, copied for each test."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.cache import made_once, private_cache
from support.engines.engines import Engine, engine, with_sqlite
from support.engines.quoting import text_literal
from support.lakes.lakes import LakeKind, build_lake, hash_lake, made_by

__all__ = ["FileLake", "FileLakes", "Hashes"]

Hashes = dict[tuple[int, str, str], str]
"""What an engine reads: by snapshot, schema and table."""


_MADE_AS = "made-as"
"""Says what path the data files of a kept lake had."""
_PATHS = (
    *(("ducklake_metadata", "value"), ("ducklake_data_file", "path"), ("ducklake_delete_file", "path")),
    ("ducklake_files_scheduled_for_deletion", "path"),
)
_MOVE_TIMEOUT_S = 60


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
    """The templates of a session, by kind and engine, with data files of the session's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[LakeKind, str, str], FileLake] = {}

    def copy(self, kind: LakeKind, version: str, folder: Path, ending: str = "ducklake") -> FileLake:
        """Return a copy of a lake that an engine made; its data files are the template's."""
        key = (kind, version, ending)
        if key not in self._made:
            by = with_sqlite(engine(version)) if ending == "sqlite" else engine(version)
            self._made[key] = self._placed(kind, by, ending)
        made = self._made[key]
        path = folder / f"lake.{ending}"
        shutil.copy(made.path, path)
        return FileLake(path, made.data_path, made.engine)

    def _placed(self, kind: LakeKind, by: Engine, ending: str) -> FileLake:
        """Copy a kept lake into the session's folder, and have its catalog say so."""
        name = f"{kind}-{by.version}-{ending}"
        kept = made_once(
            private_cache() / "lakes" / f"{name}-{made_by(by)}", lambda folder: _keep(kind, by, ending, folder)
        )
        lake = FileLake(self._folder / f"{kind}-{by.version}.{ending}", self._folder / name, by)
        shutil.copy(kept / f"lake.{ending}", lake.path)
        for folder in kept.glob("lake*/"):
            shutil.copytree(folder, self._folder / folder.name.replace("lake", name, 1))
        before, now = (text_literal(text) for text in ((kept / _MADE_AS).read_text(), str(lake.data_path)))
        updates = [
            f"update main.{table} set {column} = replace({column}, {before}, {now}) where contains({column}, {before})"
            for table, column in _PATHS
        ]
        kind_of = ", TYPE sqlite" if ending == "sqlite" else ""
        attach = f"ATTACH {text_literal(str(lake.path))} AS moved (READ_WRITE{kind_of})"
        by.job("run", {"attach": attach, "statements": ["USE moved", *updates]}, _MOVE_TIMEOUT_S)
        return lake


def _keep(kind: LakeKind, by: Engine, ending: str, folder: Path) -> None:
    """Build a lake in a folder, and say where that was."""
    data = folder / "lake"
    build_lake(kind, by, _url(folder / f"lake.{ending}"), "main", data)
    (folder / _MADE_AS).write_text(str(data))
