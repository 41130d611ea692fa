"""
What is alike in all catalogs that are in a file.

There is no server, so nobody else is connected to one. What a database would keep (who is at it, the mark of a
migration) is in files beside: `<name>.dlbackup-lock`, `<name>.dlbackup-migration`.
"""

import fcntl
import json
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from dlbackup.addresses.address import Address
from dlbackup.backupfile.origin import Moment, Origin
from dlbackup.catalogs.contract import Catalog, Change, Claim, Client, Copy, Encoding, Identity, Locks, Snapshot
from dlbackup.errors import DlbackupError, MigratorRuns, StorageError
from dlbackup.stores.files import rewrite
from dlbackup.tables.definition import Constraint, Table


class InFile:
    """The part of a `Catalog` that is alike."""

    def __init__(self, address: Address, schema: str) -> None:
        self.address, self.schema = address, schema

    @property
    def place(self) -> str:
        """What it is called in messages."""
        return f"the file {self.address.path}"

    @property
    def mark(self) -> "FileMark":
        """The mark of a migration that is under way, or was cut off."""
        return FileMark(Path(os.path.realpath(self.address.path)), self.schema)

    @property
    def engines(self) -> str:
        """How the names of its engines begin: nobody has to find them."""
        return "dlbackup-engine-"

    def end_engine(self, name: str) -> None:
        """Do nothing: an engine has the file open as long as its process lives."""

    def for_engines(self) -> AbstractContextManager[Address]:
        """Give the file itself: nobody else writes to one that is open here."""
        return nullcontext(Address(self.address.kind, path=str(Path(self.address.path).absolute())))

    def doing(self, what: str) -> AbstractContextManager[None]:
        """Do nothing: errors are ours already."""
        return nullcontext()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the lock file beside the catalog's in the block."""
        path = _lock_of(self.address)
        number = _locked(path, self.place)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(number)

    def where_kept(self, replaced: str) -> tuple[Address, str]:
        """Return the address of the file in which a replaced catalog is kept."""
        return Address(self.address.kind, path=replaced), self.schema

    def said_of_kept(self, replaced: str) -> str:
        """Say where it is kept, and how it is taken away by hand."""
        return f"as {replaced}; remove that file when it is not needed"

    def settle_clients(self, *, ignore: bool, terminate: bool) -> tuple[Client, ...]:
        """Return nothing: who has the file open keeps us from opening it."""
        return ()

    @contextmanager
    def making_way(self) -> Iterator[None]:
        """Do nothing: nobody holds locks that we could wait for."""
        yield

    def surroundings(self) -> tuple[list[str], list[str]]:
        """Return nothing: a file has nothing around it."""
        return [], []

    def refuse_pooler(self) -> None:
        """Do nothing: nobody is in between."""

    def copies(self) -> tuple[Copy, ...]:
        """Return nothing: what other files there are, nobody says."""
        return ()

    def clients(self) -> tuple[Client, ...]:
        """Return nothing, as `settle_clients`."""
        return ()

    def may_end(self, clients: Sequence[Client]) -> bool:
        """Tell that there is nobody to be ended."""
        return not clients

    def tables_at_once(self) -> int:
        """Return that all tables can be changed in one transaction."""
        return sys.maxsize

    def locks(self, tables: int) -> Locks:
        """Return that a file has one lock, whatever is in it."""
        return Locks(0, 0)


class FileView:
    """The part of a `Snapshot` that is alike: a file has no rights within it, and tells nothing of its past."""

    __slots__ = ()

    def missing_rights(self, *, rehearsal: bool) -> list[DlbackupError]:
        """Return nothing: whoever may write the file may do all."""
        return []

    def undo_refused(self) -> list[DlbackupError]:
        """Return nothing: the file that was is kept."""
        return []

    def updates_refused(self) -> list[DlbackupError]:
        """Return nothing: no rows are protected."""
        return []

    def moment(self) -> None:
        """Return nothing: nothing could be proved from it."""

    def origins(self) -> dict[str, Origin]:
        """Return nothing: nothing could be proved of them later."""
        return {}

    def since(self, then: Moment, claims: Sequence[Claim]) -> list[Change | None]:
        """Tell nothing of any table."""
        return [None for _ in claims]

    def shows_what(self, earlier: Snapshot) -> bool:
        """Prove nothing."""
        return False


class FileTerms:
    """The part of a `Replacement` that is alike: a file has no roles, and one way to keep a table."""

    def missing_roles(self, names: Iterable[str]) -> list[str]:
        """Return all of them."""
        return sorted(names)

    @property
    def encoding(self) -> Encoding:
        """What it gives and takes is UTF-8."""
        return Encoding("UTF8")

    def missing_storage(self, tables: Sequence[Table]) -> tuple[frozenset[str], frozenset[str]]:
        """Return nothing."""
        return frozenset(), frozenset()

    def unknown_privileges(self) -> frozenset[str]:
        """Return nothing: there are none."""
        return frozenset()

    def unknown_options(self, tables: Sequence[Table]) -> frozenset[tuple[str, str]]:
        """Return nothing: nothing of the kind is written there."""
        return frozenset()

    def unknown_keys(self, tables: Sequence[Table]) -> frozenset[Constraint]:
        """Return nothing, as for storage parameters."""
        return frozenset()

    def missing_collations(self, tables: Sequence[Table]) -> frozenset[str]:
        """Return nothing, as for storage parameters."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class FileTrial:
    """A scratch file; see `contract.Trial`."""

    catalog: Catalog

    def blamed(self, version: str) -> AbstractContextManager[None]:
        """Do nothing: a file makes the tables that it is told to."""
        return nullcontext()

    def filled(self, tables: Sequence[str]) -> None:
        """Do nothing: a file is as good at questions from the start."""


@contextmanager
def scratch_beside(address: Address) -> Iterator[Address]:
    """Name a file beside that of an address for the block, at whose end it is gone, with what DuckDB puts beside it."""
    path = Path(os.path.realpath(address.path))
    place = path.with_name(f".{path.name}.trial-{secrets.token_hex(4)}")
    try:
        yield Address(address.kind, path=str(place))
    finally:
        for ending in ("", ".wal"):
            Path(f"{place}{ending}").unlink(missing_ok=True)


def somebody_works_on(address: Address) -> bool:
    """Tell whether a dlbackup is migrating or restoring a catalog."""
    try:
        number = os.open(_lock_of(address), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return False


def _lock_of(address: Address) -> Path:
    return Path(f"{os.path.realpath(address.path)}.dlbackup-lock")


def _locked(path: Path, place: str) -> int:
    """Open a lock file and lock it; again where its last holder has just taken it away."""
    while True:
        try:
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StorageError(
                f"can't write beside {place}: {exc.strerror}", "name a folder that can be written to"
            ) from exc
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(number), path.stat()):
                    return number
        except BlockingIOError:
            os.close(number)
            raise MigratorRuns(
                f"another dlbackup is migrating or restoring {place}", "wait until it has ended, then try again"
            ) from None
        os.close(number)


@dataclass(frozen=True, slots=True)
class FileMark:
    """The mark of a migration: a file beside the catalog's."""

    path: Path
    schema: str

    @property
    def catalog(self) -> Identity:
        """Return which catalog it is a mark of."""
        return Identity(server="", database=str(self.path), schema=self.schema)

    @property
    def name(self) -> str:
        """What a person would have to take away by hand."""
        return f"{self.path}.dlbackup-migration"

    def read(self) -> tuple[Path, str] | None:
        """Return the journal and the version that the mark names; None where there is none."""
        try:
            said = json.loads(Path(self.name).read_text())
            return Path(said["journal"]), said["from_version"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError) as exc:
            raise StorageError(f"the mark of a migration can't be read: {self.name}: {exc}") from exc

    def leave(self, journal: Path, from_version: str) -> bool:
        """Leave the mark."""
        rewrite(Path(self.name), json.dumps({"journal": str(journal), "from_version": from_version}).encode())
        return True

    def take_away(self) -> None:
        """Take the mark away, if there is one."""
        Path(self.name).unlink(missing_ok=True)
