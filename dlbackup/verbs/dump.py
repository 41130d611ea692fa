"""
One backup of the catalog at an address; one in a folder is proved, and its record put beside it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dlbackup.addresses.address import Address, parse_address
from dlbackup.backupfile.backup import Backup
from dlbackup.backupfile.frames import LEVEL
from dlbackup.backupfile.prover import prove
from dlbackup.backupfile.reader import BackupReader
from dlbackup.catalogs.contract import Access
from dlbackup.errors import BackupError, NotVerified, StorageError, UsageError, listed
from dlbackup.inventory.publishing import publish
from dlbackup.lake.conformance import errors
from dlbackup.runtime.progress import OnEvent, ignore
from dlbackup.runtime.workers import JOBS
from dlbackup.stores.encrypted import keyed, refuse_name
from dlbackup.stores.keys import NO_KEYS, Keyring, Keys
from dlbackup.stores.named import where_named
from dlbackup.transfer.base import refuse_nowhere
from dlbackup.transfer.destination import names_folder
from dlbackup.transfer.dumping import dump_catalog

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def dump(
    address: "str | Path | DuckDBPyConnection",
    to: str | Path = ".",
    *,
    catalog: str = "lake",
    metadata_schema: str | None = None,
    level: int = LEVEL,
    jobs: int = JOBS,
    max_rate: float | None = None,
    base: str | Path | None = None,
    wait: float = 0.0,
    engine: str | Path | None = None,
    verify: bool = True,
    keys: Keys = NO_KEYS,
    plaintext_keys: bool = False,
    on_event: OnEvent = ignore,
) -> Backup:
    """
    Write one backup of the catalog at `address`.

    Args:
        address: or a program's own DuckDB connection, on which a lake is attached whose catalog is in a DuckDB file:
            nobody else can read that as long as it is attached.
        catalog: the name under which it is attached there.
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
        verify: read a backup in a folder back and prove it, and put its record beside it, without which `prune` takes
            it for unfinished. One that goes to a file or to standard output is never read back; of one in a file it is
            said where its tables are not those of its spec version.
        keys: whom to encrypt the backup to, if to anybody; then a file's name ends in `.zst.age`. Its identities open a
            base that is encrypted.
        plaintext_keys: accept that keys to encrypted Parquet files stand in a backup that isn't encrypted itself.

    Raises:
        UsageError: `to` is none of these, or means no folder for `base` to be looked for in; a recipient is none.
        NotALake: no lake is attached under that name.
        Locked: somebody else has the file open for writing.
        CatalogError: nothing was read; StorageError: nothing was left under the final name, or, where `result` is a
            Backup, that is there and its store failed before it was proved and had its record.
        BackupError: the file doesn't verify, or its tables don't; it stays where it is, without a record, for
            somebody to look at.
    """
    if not 1 <= level <= 22:
        raise UsageError(f"zstd level {level} is not between 1 and 22")
    if jobs < 1:
        raise UsageError(f"{jobs} jobs can't do anything")
    refuse_nowhere(base, to)
    ring = keys.ring()
    in_folder = to != "-" and names_folder(to)  # what can't be meant is said before anything is read
    if to != "-" and not in_folder:
        refuse_name(str(to), ring)
    with _place(address, catalog) as place:
        made = dump_catalog(
            place,
            to,
            metadata_schema,
            level,
            jobs,
            on_event,
            max_rate=max_rate,
            base=base,
            access=Access.of(wait, engine),
            ring=ring,
            plaintext_keys=plaintext_keys,
        )
    if not verify or to == "-":
        return made
    if in_folder:
        return _published(made, ring, on_event)
    _refuse_strange(made, ring)
    return made


@contextmanager
def _place(address: "str | Path | DuckDBPyConnection", catalog: str) -> Iterator[Address]:
    """Yield where the catalog can be read."""
    if type(address).__name__ != "DuckDBPyConnection":
        yield parse_address(cast("str | Path", address))
        return
    from dlbackup.engine.own_copy import copied_out

    with copied_out(cast("DuckDBPyConnection", address), catalog) as file:
        yield parse_address(f"duckdb:{file}")


_AT_FAULT = (
    "it holds the catalog as it is, and that is at fault: dlbackup check ADDRESS says how to mend it, and --no-verify"
    " dumps it without a word"
)


def _refuse_strange(backup: Backup, ring: Keyring) -> None:
    """Say of a file, whose rows nobody reads back, what verify would say of its tables."""
    with BackupReader(keyed(where_named(backup.path), ring)) as reader:
        manifest = reader.manifest
    tables = tuple(entry.table for entry in manifest.tables)
    if found := [finding.message for finding in errors(backup.spec_version, tables)]:
        text = f"{backup.path} was written and does not verify: {listed(found, most=3)}"
        error = NotVerified(text, _AT_FAULT)
        error.result = backup
        raise error


_UNPROVED = (
    "it may well be good: dlbackup verify --record proves it, and puts its record beside it; or dump again, and prune"
    " takes it away after two days"
)


def _published(backup: Backup, ring: Keyring, on_event: OnEvent) -> Backup:
    where = where_named(backup.path)
    try:
        proof, report = prove(backup, ring=ring, on_event=on_event)
        record = publish(where, backup, proof, report.seconds, "dump", ring.recipients)
    except StorageError as exc:
        exc.message = f"{backup.path} was written, and is not proved and recorded: {exc.message}"
        exc.hint = f"{exc.hint}; {_UNPROVED}" if exc.hint else _UNPROVED
        exc.result = backup
        raise
    except BackupError as exc:
        exc.hint = exc.hint or "the disk or the memory is at fault: dump again, elsewhere"
        if isinstance(exc, NotVerified):
            exc.hint = _AT_FAULT
        exc.message = f"{backup.path} was written and does not verify: {exc.message}"
        exc.result = backup
        raise
    return replace(backup, record=str(record), verify_seconds=report.seconds)
