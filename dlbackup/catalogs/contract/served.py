"""
What a catalog on a server promises beside others: it is migrated where it is, while others are connected to it.

A catalog in a file has none of this: whoever migrates it has it for himself, and works on a copy.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from dlbackup.catalogs.contract.catalog import Catalog, Retyped
from dlbackup.catalogs.contract.clients import Client
from dlbackup.errors import DlbackupError
from dlbackup.tables.definition import Table


class Guard(Protocol):
    """Who watches, while an engine migrates, which clients keep it, or us, from a lock."""

    ends_clients: bool
    """Whether those are ended; otherwise the engine is, once it waits for one in vain."""

    @property
    def gave_up(self) -> DlbackupError | None:
        """Why the engine was ended; None where it was not."""


class Fence(Protocol):
    """
    What keeps commits out of a catalog that is migrated, on a session of its own.

    It stands in the block of `raised`, where commits wait and reads go on. Before that, `settle_clients` alone may be
    asked.
    """

    @property
    def catalog(self) -> "Served":
        """The catalog as the fence's session has it, which nothing of the fence keeps out."""

    def settle_clients(self, *, ignore: bool, terminate: bool) -> tuple[Client, ...]:
        """
        Refuse, end or accept other clients, as the user chose; return those that were there.

        Raises:
            ClientsConnected: there are some, and the user chose nothing.
        """

    def raised(self, lock_timeout_s: float) -> AbstractContextManager[float]:
        """
        Let commits wait in the block; gives since when, by the monotonic clock.

        Errors of the backend in the block are translated.

        Raises:
            Locked: the lock for it can't be had in time.
        """

    def hold(self, tables: Iterable[str]) -> None:
        """
        Let writers of more tables wait too; for those that an undo would replace and no commit protects.

        Raises:
            Locked: the lock of one can't be had in time.
        """

    def stands(self) -> bool:
        """Tell whether the fence has stood all the time."""

    def at_once(self) -> AbstractContextManager[object]:
        """Do what is done to `catalog` in the block when the fence falls, or, where the block fails, not at all."""

    def guarded(self, engine: str, patience_s: float, *, ends_clients: bool) -> AbstractContextManager[Guard]:
        """
        Keep a guard while the block runs.

        Args:
            engine: the name of the engine's sessions.
            patience_s: how long a client may be in the way that is not ended.

        Raises:
            Unreachable: there is no session for it.
        """

    def end_waiting(self) -> tuple[Client, ...]:
        """
        End commits that wait, and those that will until the fence falls: they were made for the old catalog.

        Returns:
            Who else is connected.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """
    What a catalog says of itself, to who opens it.

    Args:
        versions: every spec version that it names; healthy catalogs name one.
        data_paths: where its data files are.
    """

    versions: tuple[str, ...]
    data_paths: tuple[str, ...]


class Served(Catalog, Protocol):
    """A catalog on a server, open; closed by the `with` of `open_served`."""

    @property
    def is_open(self) -> bool:
        """Whether its session has not been closed, so that something may be asked in it."""

    def revived(self) -> AbstractContextManager[None]:
        """
        Let the catalog have a session that answers, in the block: another one, where its own is lost.

        Raises:
            Unreachable: none can be had.
        """

    def fence(self) -> AbstractContextManager[Fence]:
        """Prepare a fence, which does not stand yet."""

    def give_alike(self, sisters: Iterable[Table]) -> list[str]:
        """
        Give tables that a migration made what these have in common: owner, grants and the like.

        Returns:
            What differs among them, or could not be given, in words: a person decides on it.
        """

    def readied(self, tables: Retyped) -> AbstractContextManager[None]:
        """
        Make inlined tables anew beside the catalog, which `Mending.retype` puts in its tables' place in the block.

        Those that can't be made alike are left to be rewritten.
        """

    def unready(self) -> None:
        """Forget what was readied, since the catalog is another by now."""

    def declared(self) -> Declared:
        """Read what the catalog says of itself, without its definitions: that is cheap."""

    def somebody_works(self) -> bool:
        """Tell whether somebody has his turn with the catalog (`Catalog.turn`), without waiting for it."""

    def is_barred(self) -> bool:
        """Tell whether stale clients are barred."""

    def remove_bars(self) -> tuple[str, ...]:
        """
        Take away what bars stale clients; return its names.

        Raises:
            Locked: somebody holds the tables.
        """
