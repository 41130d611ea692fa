"""
One backup of the catalog at an address.
"""

from pathlib import Path

from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.backup import Backup
from dlbackup.backupfile.frames import LEVEL
from dlbackup.catalogs.contract import Access
from dlbackup.errors import UsageError
from dlbackup.runtime.progress import OnEvent, ignore
from dlbackup.runtime.workers import JOBS
from dlbackup.transfer.base import refuse_nowhere
from dlbackup.transfer.destination import names_folder
from dlbackup.transfer.dumping import dump_catalog


def dump(
    address: str,
    to: str | Path = ".",
    *,
    metadata_schema: str | None = None,
    level: int = LEVEL,
    jobs: int = JOBS,
    max_rate: float | None = None,
    base: str | Path | None = None,
    wait: float = 0.0,
    engine: str | Path | None = None,
    on_event: OnEvent = ignore,
) -> Backup:
    """
    Write one backup of the catalog at `address`.

    Args:
        to: a file that doesn't exist and whose name ends in `.zst`; a folder that exists, or a text that ends in `/`,
            for one to be made (the file is then named by database, schema, time and version); or `-` for
            standard output.
        level: of zstd, 1 to 22.
        jobs: how many processes read and compress, each on a connection of its own; the same bytes come out.
        max_rate: bytes of SQL text a second that are read at most, in one process whatever `jobs` is.
        base: an earlier backup of the same catalog, whose frames are taken over where PostgreSQL proves that the rows
            are the same; `auto` for the newest in the folder that `to` means. The same file comes out, sooner.
        wait: for how many seconds to wait for who has a catalog's file open for writing.
        engine: the Python of the environment whose DuckDB reads a catalog's file; by default this one.

    Raises:
        UsageError: `to` is none of these, or means no folder for `base` to be looked for in.
        Locked: somebody else has the file open for writing.
        CatalogError: nothing was read; StorageError: nothing was left under the final name.
    """
    if not 1 <= level <= 22:
        raise UsageError(f"zstd level {level} is not between 1 and 22")
    if jobs < 1:
        raise UsageError(f"{jobs} jobs can't do anything")
    refuse_nowhere(base, to)
    if to != "-":
        names_folder(to)  # what can't be meant is said before anything is read
    where, access = parse_address(address), Access.of(wait, engine)
    return dump_catalog(where, to, metadata_schema, level, jobs, on_event, max_rate=max_rate, base=base, access=access)
