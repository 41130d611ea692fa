"""
One snapshot of a catalog becomes one backup.

Rows pass from the server to the file without being parsed: the server formats them in the form that
stands between the parentheses of a VALUES list.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dlbackup.address import Address, parse_address
from dlbackup.backupfile import FORMAT, LEVEL, BackupWriter, Header, Manifest
from dlbackup.catalogs import Snapshot, open_catalog
from dlbackup.errors import MovedOn, StorageError, UsageError
from dlbackup.fingerprint import Fingerprinter
from dlbackup.frames import Sink
from dlbackup.progress import PROGRESS_ROWS, Event, OnEvent, ignore
from dlbackup.rows import Block, uncollected
from dlbackup.stores import create, storage_errors
from dlbackup.tables import Rows

ATTEMPTS = 3
"""How often a dump begins again when tables vanish or are rewritten under it."""


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


def dump(
    address: str,
    to: str | Path = ".",
    *,
    metadata_schema: str | None = None,
    level: int = LEVEL,
    on_event: OnEvent = ignore,
) -> Backup:
    """
    Write one backup of the catalog at `address`.

    Args:
        to: a file that doesn't exist, a folder (the file is then named after database, time and version),
            or `-` for standard output.
        level: of zstd, 1 to 22.

    Raises:
        CatalogError: nothing was read; StorageError: nothing was left under the final name.
    """
    if not 1 <= level <= 22:
        raise UsageError(f"zstd level {level} is not between 1 and 22")
    return dump_catalog(parse_address(address), to, metadata_schema, level, on_event)


def dump_catalog(
    address: Address, to: str | Path, schema: str | None, level: int = LEVEL, on_event: OnEvent = ignore
) -> Backup:
    """Write one backup; begin again when the tables change under it."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _dump_once(address, to, schema, level, on_event)
        except MovedOn as exc:
            if attempt == ATTEMPTS or to == "-":
                raise
            on_event(Event("dump", f"{exc.message}: beginning again"))
    raise AssertionError("the loop returns or raises")


def _dump_once(address: Address, to: str | Path, schema: str | None, level: int, on_event: OnEvent) -> Backup:
    begun = time.monotonic()
    with open_catalog(address, schema) as catalog, catalog.snapshot() as snapshot:
        for what in snapshot.left_out:
            on_event(Event("dump", f"not in the backup: {what}", warning=True))
        header = _header(snapshot)
        with _sink(to, header) as (path, sink), BackupWriter(sink, header, level) as writer, uncollected():
            manifest = _write(writer, snapshot, on_event)
        return Backup(
            path,
            FORMAT,
            header.spec_version,
            header.snapshot_id,
            len(manifest.tables),
            manifest.rows,
            writer.raw_bytes,
            writer.file_bytes,
            writer.sha256,
            round(time.monotonic() - begun, 3),
            manifest.left_out,
            manifest.fingerprint.value if manifest.fingerprint else "",
            manifest.contents,
        )


def _header(snapshot: Snapshot) -> Header:
    head = snapshot.head
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Header(FORMAT, head.spec_version, head.snapshot_id, head.snapshot_time, created, _tool(), snapshot.source)


def _tool() -> str:
    try:
        return f"dlbackup {version('dlbackup')}"
    except PackageNotFoundError:
        return "dlbackup"


@contextmanager
def _sink(to: str | Path, header: Header) -> Iterator[tuple[str, Sink]]:
    if to == "-":
        with storage_errors(Path("standard output")):
            yield "-", sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    path = Path(to)
    with storage_errors(path):
        is_folder = path.is_dir()
    if is_folder:
        path = _unused(path / file_name(header))
    elif str(to).endswith("/"):
        raise StorageError(f"{to} is not a folder", "create it first")
    with create(path) as file:
        yield str(path), file


def file_name(header: Header) -> str:
    """Return the default name of a backup; characters that are no good in file names become `_`."""
    database = "".join(c if c.isalnum() or c in "._-" else "_" for c in header.source.database)
    created = datetime.fromisoformat(header.created).strftime("%Y%m%dT%H%M%SZ")
    spec = "".join(c if c.isalnum() or c in ".-" else "_" for c in header.spec_version) or "unknown"
    return f"ducklake-{database}-{created}-v{spec}.sql.zst"


def _unused(path: Path) -> Path:
    """Return `path`, or with a number where a backup of the same second is there already."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(path.name.removesuffix(".sql.zst") + f"-{number}.sql.zst")
    return found


def _write(writer: BackupWriter, snapshot: Snapshot, on_event: OnEvent) -> Manifest:
    rows = 0
    fingerprint = Fingerprinter(snapshot.head.spec_version)
    for table in snapshot.tables:
        fingerprint.begin(table)
        blocks = _counted(snapshot.rows(table), rows, on_event)
        rows += writer.write_table(table, blocks, fingerprint.add).count
    on_event(Event("dump", f"{len(snapshot.tables)} tables, {rows} rows read", rows))
    return writer.finish(snapshot.left_out, fingerprint.result())


def _counted(blocks: Iterator[Block], before: int, on_event: OnEvent) -> Iterator[Block]:
    done = reported = before
    for block in blocks:
        yield block
        done += len(block)
        if done - reported >= PROGRESS_ROWS:
            reported = done
            on_event(Event("dump", f"{done} rows", done))
