"""
A backup that was made, and a backup that was proved: promise 1 in one file.

`dump` makes a `Backup`; only `prover.prove` makes a `VerifiedBackup`, and only that may be migrated upon.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from dlbackup.backupfile.manifest import Manifest
from dlbackup.tables.digest import Rows

VERIFIER = object()
"""What `prover` shows to make a VerifiedBackup. Nothing else may use it; a test reads the sources."""


@final
class VerifiedBackup:
    """A backup that passed verification. Only `prover` makes one; attaching with migration asks for it."""

    def __init__(self, path: Path, manifest: Manifest, *, proof: object) -> None:
        if proof is not VERIFIER:
            raise TypeError("only dlbackup.verify makes a VerifiedBackup")
        self.path, self.manifest = path, manifest


@dataclass(frozen=True, slots=True)
class Backup:
    """
    A finished backup: what `dump` returns and what `verify` takes.

    Args:
        path: the file; `-` for standard output.
        sha256: of the file.
        left_out: what belongs to the tables but can't be carried, by name.
        fingerprint: what the lake means, whatever its spec version.
    """

    path: str
    format: int
    spec_version: str
    snapshot_id: int | None
    tables: int
    rows: int
    raw_bytes: int
    file_bytes: int
    sha256: str
    seconds: float
    left_out: tuple[str, ...] = ()
    fingerprint: str = ""
    contents: dict[str, Rows] = field(default_factory=dict, repr=False, compare=False)
