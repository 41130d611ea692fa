"""
A store whose backups are encrypted: each is a file of age, around what would be there otherwise.

What is written is encrypted where its name says so (`.age`), so that what isn't secret can stand beside it. What is
read is decrypted where the file is one of age, armored or not, whatever its name; everything else passes as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dlbackup.errors import UsageError
from dlbackup.stores.age.armor import Dearmored, is_armored
from dlbackup.stores.age.header import is_age
from dlbackup.stores.contract import Blob, Readable, Sink, Store, Where
from dlbackup.stores.keys import ENDING, Keyring

_PLAIN_ENDING = ".zst"


def keyed(where: Where, ring: Keyring | None) -> Where:
    """Return the same file, to be encrypted and decrypted by these keys."""
    return where if ring is None else Where(Encrypted(where.store, ring), where.name)


def as_kept(where: Where) -> Where:
    """Return the same file as its store keeps it, encrypted or not."""
    return Where(where.store.store, where.name) if isinstance(where.store, Encrypted) else where


def is_encrypted(where: Where) -> bool:
    """
    Tell whether a file is encrypted, whatever its name.

    Raises:
        StorageError: it can't be read.
    """
    with as_kept(where).open() as file:
        return is_armored(file) or is_age(file)


def refuse_name(name: str, ring: Keyring) -> None:
    """
    See that the name of a new backup says whether it is encrypted.

    Raises:
        UsageError: it doesn't.
    """
    if ring.encrypts and name.endswith(_PLAIN_ENDING):
        raise UsageError(f"{name} is no name for an encrypted backup", f"write {name}{ENDING}")
    if not ring.encrypts and name.endswith(ENDING):
        raise UsageError(
            f"{name} is the name of an encrypted backup, and nobody is named to encrypt it to",
            "name recipients with --encrypt-to or --recipients-file, or a passphrase with --encrypt-to-passphrase-file;"
            f" or leave {ENDING} away",
        )


@contextmanager
def encrypting(sink: Sink, ring: Keyring) -> Iterator[Sink]:
    """Encrypt what is written into a sink, if there is somebody to encrypt it to; it is whole when the block ends."""
    if not ring.encrypts:
        yield sink
        return
    writer = ring.writer(sink)
    yield writer
    writer.finish()


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A store seen through some keys."""

    store: Store
    ring: Keyring

    @contextmanager
    def create(self, name: str) -> Iterator[Sink]:
        """Open a new file; see `Store`. Raises UsageError as `refuse_name`."""
        refuse_name(name, self.ring)
        with self.store.create(name) as sink:
            if not name.endswith(ENDING):
                yield sink
                return
            with encrypting(sink, self.ring) as encrypted:
                yield encrypted

    @contextmanager
    def open(self, name: str) -> Iterator[Readable]:
        """Open a file; see `Store`. Raises also as `Keyring.reader`."""
        with self.store.open(name) as file:
            kept = Dearmored(file) if is_armored(file) else file
            yield self.ring.reader(kept, self.shown(name)) if is_age(kept) else file

    def list(self, beside: str = "") -> Iterator[Blob]:
        """Yield the files, with their sizes as they are kept; see `Store`."""
        return self.store.list(beside)

    def delete(self, name: str) -> None:
        """Take a file away; see `Store`."""
        self.store.delete(name)

    def shown(self, name: str) -> str:
        """Return how a user names it."""
        return self.store.shown(name)
