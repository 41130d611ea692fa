"""
A backup that was made, and a backup that was proved: promise 1 in one file.

`dump` makes a `Backup`; only `prover.prove` makes a `VerifiedBackup`, and only that may be migrated upon. It is
what was verified and not where that was: whatever lies under its name later, it opens nothing else.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from dlbackup.addresses.address import BACKUP_ENDINGS, names_server
from dlbackup.backupfile.manifest import Manifest
from dlbackup.backupfile.reader import BackupReader
from dlbackup.errors import BackupError, Corrupt, StorageError, UsageError
from dlbackup.lake.extent import Extent
from dlbackup.stores.contract import Where
from dlbackup.stores.given import given
from dlbackup.stores.keys import NO_KEYS, Keys
from dlbackup.tables.digest import Rows

VERIFIER = object()
"""What `prover` shows to make a VerifiedBackup. Nothing else may use it; a test reads the sources."""


@final
class VerifiedBackup:
    """
    A backup that passed verification. Only `prover` makes one; attaching with migration asks for it.

    Args:
        seal: `BackupReader.seal` of what was verified.
    """

    def __init__(self, where: Where, seal: str, manifest: Manifest, *, proof: object) -> None:
        if proof is not VERIFIER:
            raise TypeError("only dlbackup.verify makes a VerifiedBackup")
        self._where, self.seal, self.manifest = where, seal, manifest

    @property
    def kept_at(self) -> str:
        """Where its file was, to find what is kept beside it; what it holds, `open` reads and nothing else does."""
        return str(self._where)

    def open(self) -> BackupReader:
        """
        Open what was verified; the caller closes it with `with`. What is read is proved again.

        Raises:
            StorageError: the file can't be opened.
            BackupError: it was damaged since; Corrupt also where another backup, however good, is in its place.
        """
        reader = BackupReader(self._where)
        if reader.seal != self.seal:
            reader.close()
            raise Corrupt(
                f"{self._where} is not the backup that was verified: its seal was {self.seal[:12]} and is now"
                f" {reader.seal[:12]}; put the verified one back before anything is restored from there"
            )
        return reader


def sealed(where: Where, seal: str) -> Where | None:
    """Return where the backup of that seal is: there, or in the same store under another name; None: in neither."""
    for candidate in _with_others(where):
        with suppress(BackupError, StorageError), BackupReader(candidate) as reader:
            if seal in ("", reader.seal):
                return candidate
    return None


def _with_others(where: Where) -> Iterator[Where]:
    yield where
    with suppress(StorageError):
        for blob in where.store.list():
            if blob.name.endswith(BACKUP_ENDINGS):
                yield Where(where.store, blob.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """
    A finished backup: what `dump` returns and what `verify` takes.

    Args:
        path: the file; `-` for standard output.
        sha256: of the file.
        left_out: what belongs to the tables but can't be carried, by name.
        fingerprint: what the lake means, whatever its spec version.
        base: the backup whose frames were taken over where PostgreSQL proved the rows unchanged; None where none was.
        reused_rows, reused_bytes: how much of the file that is.
        lake: how large it is, as opposed to its catalog; None where that doesn't say.
        record: the file beside it that says what was proved of it; None where it was not verified, or is in no folder.
        verify_seconds: how long that took.
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
    lake: Extent | None = None
    base: str | None = None
    reused_rows: int = 0
    reused_bytes: int = 0
    record: str | None = None
    verify_seconds: float | None = None
    contents: dict[str, Rows] = field(default_factory=dict, repr=False, compare=False)


def where_of(backup: str | Path | Backup, keys: Keys = NO_KEYS) -> AbstractContextManager[Where]:
    """
    Return a block for where the backup is that a user names; `-` is standard input, kept until its end.

    Args:
        keys: with the identities that open an encrypted one.

    Raises:
        UsageError: that is no file; an address is not repeated, since it may hold a password.
    """
    path = backup.path if isinstance(backup, Backup) else backup
    if isinstance(backup, Backup) and path == "-":
        raise UsageError("this backup went to standard output", "name the file in which it is now")
    if names_server(path):
        raise UsageError("a backup is a file, and this is the address of a catalog", "name the file of a backup first")
    return given(path, keys.ring())
