"""What a user may say to a migration."""

import re
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path

from dlbackup.errors import StorageError, UsageError
from dlbackup.stores.files import storage_errors
from dlbackup.stores.keys import NO_KEYS, Keys
from dlbackup.stores.named import is_url, names_object, store_named


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateOptions:
    """
    What the user accepts and wants.

    Args:
        backup_dir: a folder that exists, or a text that ends in `/`, for one that is made when the backup is
            written; or the URL of a place in an object storage.
        to: the version to reach; by default the engine's newest.
        engine: the Python of the environment with the engine; by default this one.
        rehearsal: migrate a copy in a scratch schema first.
        staged: migrate over a file, as is done where the engine can't migrate the catalog where it is.
        mend: put right what the engine is known to lose; without it, such a lake is refused.
        accept_loss: names of known losses that may happen.
        bar_stale_clients: leave constraints behind that make harmful writes of older clients fail.
        lock_timeout_s: how long the fence and the engine wait for one lock.
        attach_timeout_s: after which the engine is ended that migrates.
        wait_s: for how long to wait for a program that has the catalog's file open.
        max_rate: bytes of SQL text a second that the dump reads at most, as long as no writer waits for it.
        keys: whom to encrypt the backup to, if to anybody. What this run wrote it can read; identities are needed for a
            base that is encrypted, and for a migration that was cut off.
        plaintext_keys: accept that keys to encrypted Parquet files stand in a backup that isn't encrypted itself.
    """

    metadata_schema: str | None = None
    backup_dir: str | Path = "."
    to: str | None = None
    engine: str | Path | None = None
    rehearsal: bool = True
    staged: bool = False
    mend: bool = True
    accept_loss: tuple[str, ...] = ()
    terminate_clients: bool = False
    ignore_clients: bool = False
    bar_stale_clients: bool = False
    lock_timeout_s: float = 10.0
    attach_timeout_s: float = 600.0
    wait_s: float = 0.0
    max_rate: float | None = None
    keys: Keys = NO_KEYS
    plaintext_keys: bool = False

    def reader(self, duckdb_version: str) -> Path | None:
        """
        Return the Python of the environment that reads a catalog in a file; None for this one.

        Args:
            duckdb_version: of the engine, whose files only it, and newer ones, can read.
        """
        if self.engine is None or _numbers(duckdb_version) <= _numbers(installed("duckdb")):
            return None
        return Path(self.engine)

    def refuse_backup_dir(self) -> None:
        """
        See that there is a folder for the backup, or may be one.

        Raises:
            StorageError: there is none, and none is to be made.
            UsageError: it is a URL that is no place for backups.
        """
        if is_url(self.backup_dir):
            store_named(self.backup_dir)
            if names_object(str(self.backup_dir)):
                raise UsageError(
                    f"{self.backup_dir} is the name of one backup", "name the place for backups with --backup-dir"
                )
            return
        folder = Path(self.backup_dir)
        with storage_errors(folder):
            is_none = not folder.is_dir() and (folder.exists() or not str(self.backup_dir).endswith("/"))
        if is_none:
            raise StorageError(
                f"{folder} is not a folder",
                f"name an existing folder with --backup-dir, or write '{folder}/', so that it is made",
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]+", version)[:3])
