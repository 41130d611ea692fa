"""Where a backup is restored for practice, and what that is called."""

from collections.abc import Iterator
from contextlib import contextmanager

from dlbackup.addresses.address import Address, parse_address
from dlbackup.backupfile.backup import VerifiedBackup
from dlbackup.catalogs.open import is_in_file, is_of_server, place_to_try, scratch_file
from dlbackup.errors import UsageError
from dlbackup.runtime.scratch import scratch_folder

EMBEDDED = "embedded"
"""A PostgreSQL that is started for it."""
FOLDERS = "dlbackup-drill-"
"""How the names of temporary folders begin."""


@contextmanager
def practice_place(on: str, backup: VerifiedBackup) -> Iterator[tuple[Address, str]]:
    """Yield where a backup is restored, and what that is called."""
    dialect = backup.manifest.header.dialect
    if on != EMBEDDED:
        address = parse_address(on)
        if not (is_of_server(dialect) or is_in_file(address)):
            raise UsageError(
                f"this is a backup of a catalog in a file, which can't be restored into {address}",
                "leave --on out: it is restored into a file in the folder for temporary files, which TMPDIR names; or"
                " name a file, and it is restored beside that",
            )
        yield address, place_to_try(address)
        return
    if not is_of_server(dialect):
        with scratch_folder(FOLDERS) as folder:
            yield scratch_file(dialect, folder), "a scratch file"
        return
    from dlbackup.servers.embedded import embedded_server

    with scratch_folder(FOLDERS) as folder, embedded_server(folder, user="postgres", extra="demo") as server:
        yield parse_address(server.address), f"an embedded PostgreSQL {server.major}"


def shown(on: str) -> str:
    """Return what a place is called: an address may hold a password, and a drill is written down beside the backup."""
    return on if on == EMBEDDED else place_to_try(parse_address(on))
