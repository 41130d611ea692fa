"""What a user accepts and wants of a restore."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """
    What the user accepts and wants; the defaults are the safe choices.

    Args:
        metadata_schema: where to restore; by default where the catalog is, else the schema of the backup.
        replace: a catalog that stands there may be replaced.
        drop_replaced: it is dropped instead of being kept aside.
        discard_newer: snapshots that the backup doesn't have may be lost.
        other_lake: the catalog that is replaced may be of another lake.
        owner: give the tables to the owners that they had.
        privileges: grant what was granted.
        data_path: where the data files are now; None leaves what the backup says.
        read_back: read every row again before the commit.
        max_rate: bytes of SQL text a second that are loaded, and then read back, at most.
        data_files: look whether the data files are there, and warn if not: those on this machine, and with keys those
            in object storage.
        secrets: a file with the keys, as CREATE SECRET statements; else those of the cloud's own variables count.
        missing_data_files: a catalog may be replaced by one whose data files are gone.
        bar_stale_clients: clients that attached to another catalog in this place are kept from writing to this one.
        storage_version: of a DuckDB file, such as `v1.0.0`; by default that of the file that the backup is of.
        wait: for how many seconds to wait for who has a DuckDB file open.
        engine: the Python of the environment whose DuckDB writes a DuckDB file; by default this one.
        frozen: make a DuckDB file for reading only, whose paths lead to the same files from everywhere.
    """

    metadata_schema: str | None = None
    replace: bool = False
    drop_replaced: bool = False
    discard_newer: bool = False
    other_lake: bool = False
    owner: bool = True
    privileges: bool = True
    data_path: str | Path | None = None
    read_back: bool = True
    data_files: bool = True
    secrets: str | Path | None = None
    missing_data_files: bool = False
    terminate_clients: bool = False
    ignore_clients: bool = False
    bar_stale_clients: bool = False
    max_rate: float | None = None
    storage_version: str | None = None
    wait: float = 0.0
    engine: str | Path | None = None
    frozen: bool = False
