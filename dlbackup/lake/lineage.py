"""
Which lake a catalog is of, and which way its history went.

Lakes are told apart by the uuid of schema 0, which is made once for each; where one of them has lost that, by where
their files are, unless they share a snapshot. Two catalogs of one lake may still have gone different ways: after an old
backup was restored, new commits take the numbers of those that it didn't have. So snapshots are compared by number and
time, not by the largest number. Up to the newest snapshot that two catalogs share, they have one history: what only one
of them has below that, the other has expired.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import xxhash

from dlbackup.errors import counted

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Snapshot = tuple[int, int | None]
"""Its number, and its time in microseconds since 1970; None where that is no time between the years 1 and 9999."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """
    Args:
        uuid: of schema 0; None where the catalog doesn't say.
        data_path: where the lake's files are.
        snapshots: all that the catalog has.
    """

    uuid: str | None
    data_path: str | None
    snapshots: Iterable[Snapshot]

    def __str__(self) -> str:
        return f"the lake {self.uuid or 'without uuid'} with data path {self.data_path or 'unknown'}"


class Known:
    """A set of snapshots in eight bytes for each."""

    def __init__(self, snapshots: Iterable[Snapshot]) -> None:
        self._digests = array("Q", sorted(map(_digest, snapshots)))

    def __contains__(self, snapshot: Snapshot) -> bool:
        digest = _digest(snapshot)
        at = bisect_left(self._digests, digest)
        return at < len(self._digests) and self._digests[at] == digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """
    What a catalog would lose if another took its place.

    Args:
        other_lake: these are two lakes, so that all of it would be lost, and the rest means nothing.
        shared: the newest snapshot that both have.
        newer: the snapshots after that one; the other has none of their changes.
        expired: the snapshots before that one which the other has expired; it has their changes.
    """

    other_lake: bool
    shared: int | None
    newer: list[int]
    expired: list[int]

    @property
    def forgets(self) -> str:
        """Say which snapshots would be forgotten, whose changes stay; empty where there are none."""
        if not self.expired:
            return ""
        which = f"{counted(len(self.expired), 'snapshot')} from {self.expired[0]} to {self.expired[-1]}"
        return f"{which} could no longer be read as of then: expired in the backup, which has their changes"


def parting_of(there: Lineage, other: Lineage, known: Known) -> Parting:
    """
    Compare the catalog that is there with another, of which all snapshots are known.

    What says nothing of its lake counts as the same.
    """
    unknown: list[int] = []
    shared: int | None = None
    for snapshot in there.snapshots:
        if snapshot not in known:
            unknown.append(snapshot[0])
        elif shared is None or shared < snapshot[0]:
            shared = snapshot[0]
    unknown.sort()
    at = 0 if shared is None else bisect_left(unknown, shared)
    return Parting(other_lake=_are_two(there, other, shared), shared=shared, newer=unknown[at:], expired=unknown[:at])


def _are_two(one: Lineage, two: Lineage, shared: int | None) -> bool:
    if one.uuid is not None and two.uuid is not None:
        return one.uuid != two.uuid
    return shared is None and None not in (one.data_path, two.data_path) and one.data_path != two.data_path


def microseconds(text: str | None) -> int | None:
    """Return a time as PostgreSQL prints it in UTC, as microseconds since 1970."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return since_1970(time.replace(tzinfo=time.tzinfo or UTC))


def since_1970(time: datetime) -> int:
    """Return a time, which has a zone, as microseconds since 1970."""
    return (time - EPOCH) // EPOCH.resolution


def _digest(snapshot: Snapshot) -> int:
    return xxhash.xxh3_64_intdigest(f"{snapshot[0]} {snapshot[1]}".encode())
