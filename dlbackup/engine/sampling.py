"""
Data files are really read: every value of every column, by an engine, and the rows counted.

That a file is there with its size says nothing of what is in it. A file is read as Parquet and not through the lake, so
that it can be read whatever the catalog's version, and no statistic of the catalog answers in its place.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from dlbackup.engine.engine import job
from dlbackup.engine.keys import Keys, keys_at_hand
from dlbackup.engine.listing import load_extension, make_secrets
from dlbackup.engine.process import EngineProcess
from dlbackup.engine.statements import literal
from dlbackup.engine.storage import extensions_for
from dlbackup.errors import AttachFailed, counted, listed
from dlbackup.lake.datafiles import SHOWN, UNREADABLE, DataFile
from dlbackup.lake.findings import Finding

_TIMEOUT_S = 600.0
"""For one file."""
_WRITTEN_AT = "_ducklake_internal_snapshot_id"
"""The column of the snapshots that rows were written in."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """How many files were read to their end, and what was found: errors for those that are not as they should be."""

    read: int
    findings: list[Finding]


def read_sample(files: Sequence[DataFile], secrets: str | Path | None) -> Sampled:
    """
    Read data files and compare their rows with what the catalog says.

    Args:
        secrets: a file with CREATE SECRET statements; without it, the cloud's own variables are looked at.

    Raises:
        AttachFailed: no engine can be had for that.
        UsageError, StorageError: the file of secrets can't be used.
    """
    keys = _keys(files, secrets)
    read, wrong, closed = 0, [], []
    with _Reader(files, [found for found in keys.values() if found is not None]) as reader:
        for file in files:
            if not file.path.startswith(("/", "file:", "http:", "https:")) and not keys.get(_scheme(file.path)):
                closed.append(f"{file.path} (no keys, or relative to a folder that nobody knows)")
                continue
            try:
                rows = reader.rows(file)
            except AttachFailed as exc:
                wrong.append(f"{file.path}: {exc.message}")
                continue
            read += 1
            if rows != file.rows:
                wrong.append(f"{file.path} has {counted(rows, 'row')}, not {file.rows:,}")
    return Sampled(
        read,
        [
            *_finding("error", UNREADABLE, "can't be read, or have other rows than the catalog has", wrong),
            *_finding("warning", "data-files-not-read", "could not be looked into", closed),
        ],
    )


def rows_until(files: Sequence[DataFile], snapshot: int, secrets: str | Path | None) -> list[int]:
    """
    Return of each file how many of its rows are of that snapshot or of an earlier one, as their own column says.

    Args:
        files: those in which DuckLake may have put rows of several snapshots together.

    Raises:
        AttachFailed: one can't be read.
        UsageError, StorageError: the file of secrets can't be used.
    """
    keys = _keys(files, secrets)
    with _Reader(files, [found for found in keys.values() if found is not None]) as reader:
        return [reader.rows_until(file, snapshot) for file in files]


def _keys(files: Sequence[DataFile], secrets: str | Path | None) -> dict[str, Keys | None]:
    """Return the keys to each kind of object storage that the files are in."""
    return {scheme: keys_at_hand(secrets, scheme) for scheme in {_scheme(file.path) for file in files} if scheme}


def _scheme(path: str) -> str:
    """Return the scheme of a path in object storage."""
    return path.partition("://")[0].lower() if extensions_for([path]) else ""


def _finding(severity: Literal["error", "warning"], rule: str, what: str, files: list[str]) -> list[Finding]:
    if not files:
        return []
    message = f"{counted(len(files), 'data file')} {what}: {listed(files, SHOWN)}"
    return [Finding(severity=severity, rule=rule, message=message)]


class _Reader:
    """An engine that reads files; another one after each that it could not. Close it with `with`."""

    def __init__(self, files: Sequence[DataFile], keys: Sequence[Keys]) -> None:
        paths = [file.path for file in files]
        self._extensions = dict.fromkeys([*extensions_for(paths), *(name for k in keys for name in k.extensions)])
        self._keys = keys
        self._process = self._started()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.end()

    def _started(self) -> EngineProcess:
        process = EngineProcess(Path(sys.executable), ())
        try:
            for name in self._extensions:
                load_extension(process, name)
            for found in self._keys:
                make_secrets(process, found)
        except BaseException:
            process.end()
            raise
        return process

    def rows(self, file: DataFile) -> int:
        """Read a file; the hash of each row takes every value of it."""
        return self._counted(file, "count(*), bit_xor(hash(r))", "")

    def rows_until(self, file: DataFile, snapshot: int) -> int:
        """Count the rows of a file that were written until a snapshot; all where it doesn't say when they were."""
        says = self._counted(file, f"count_if(column_name = '{_WRITTEN_AT}')", "", "(DESCRIBE FROM {source})")
        return self._counted(file, "count(*)", f" WHERE {_WRITTEN_AT} <= {snapshot}" if says else "")

    def _counted(self, file: DataFile, what: str, where: str, of: str = "{source}") -> int:
        """Return the first number that a query of a file says."""
        if not self._process.is_there():
            self._process.end()
            self._process = self._started()
        key = f", encryption_config = {{footer_key_value: from_base64({literal(file.key)})}}" if file.key else ""
        source = of.replace("{source}", f"read_parquet({literal(file.path.removeprefix('file://'))}{key})")
        try:
            *_, answer = self._process.run(job({}, [f"SELECT {what} FROM {source} r{where}"]), _TIMEOUT_S)
        except AttachFailed as exc:
            message = exc.message.partition(" LINE 1:")[0]
            for found in self._keys:
                message = found.scrub(message)
            raise AttachFailed(message) from None
        return int(answer[0][0])
