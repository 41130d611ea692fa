"""
The verb `prune`: which backups of a store may go by a policy, and taking them away.
"""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from dlbackup.errors import StorageError, counted, listed
from dlbackup.inventory.horizon import files_of, look_at, too_short
from dlbackup.inventory.listing import Entry, leftovers, listing_of
from dlbackup.inventory.pruning import remove, remove_files
from dlbackup.inventory.record import as_text
from dlbackup.inventory.retention import Decision, Policy, cleanup_call, cleanup_safe_before, decide
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.stores.contract import Store
from dlbackup.stores.named import store_of_backups

_AT_ONCE = 16
"""How many backups are taken away at once: each is a few requests, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """
    What may go, and whether it is gone.

    Args:
        executed: without it, nothing was changed.
        keep, remove: each backup with the reasons; the newest first.
        leftovers: files of backups that an earlier prune took away but for these; gone too if executed.
        stray: other files that belong to backups that are not there; they are left alone.
        cleanup_safe_before, cleanup_call, warnings: as for `Inventory`, of what is kept.
    """

    executed: bool
    keep: tuple[Decision, ...]
    remove: tuple[Decision, ...]
    leftovers: tuple[str, ...]
    stray: tuple[str, ...]
    cleanup_safe_before: str | None
    cleanup_call: str | None
    warnings: tuple[str, ...] = ()


def prune(
    store: str | Path,
    policy: Policy,
    *,
    yes: bool = False,
    other_lakes: bool = False,
    catalog: str | None = None,
    metadata_schema: str | None = None,
    wait: float = 0.0,
    engine: str | Path | None = None,
    on_event: OnEvent = ignore,
) -> Pruned:
    """
    Say which backups of a store are kept by a policy and which may go, and with `yes` take these away.

    Args:
        other_lakes: backups of one name may be of several lakes; those of each are kept by the policy.
        catalog: the address of the live catalog: backups of it whose data files are gone fill no slot then.
        metadata_schema, wait, engine: as for `info`, of that catalog.

    Raises:
        Refused: the policy is empty, a clock is off, one name stands for several lakes, or nothing is good.
        StorageError: the store can't be read, or some of what may go stays; `result` says what was to go.
        CatalogError: the live catalog can't be read; nothing was changed.
    """
    place, now = store_of_backups(store), datetime.now(UTC)
    listing = listing_of(place)
    there = look_at(catalog, metadata_schema, wait, engine) if catalog else None
    broken = [entry.name for entry in listing.entries if there and files_of(entry, place, there).state == "broken"]
    decided = decide(listing.entries, policy, now, other_lakes=other_lakes, broken=broken)
    left = leftovers(place, listing)

    def said(pinned: Collection[str] = ()) -> Pruned:
        """Return what became of each, where some were pinned meanwhile."""
        gone = tuple(one for one in decided.remove if one.name not in pinned)
        by_name = {one.name: one for one in decided.keep}
        by_name |= {name: Decision(name=name, reasons=("pinned meanwhile",)) for name in pinned}
        kept = [entry for entry in listing.entries if entry.name in by_name]
        safe, warning = cleanup_safe_before(kept), too_short(kept, there, now) if there else ""
        return Pruned(
            executed=yes,
            keep=tuple(by_name[entry.name] for entry in kept),
            remove=gone,
            leftovers=left,
            stray=tuple(name for name in listing.stray if name not in left),
            cleanup_safe_before=as_text(safe) if safe else None,
            cleanup_call=cleanup_call(safe, kept) if safe else None,
            warnings=(warning,) if warning else (),
        )

    if not yes:
        return said()
    going = {one.name for one in decided.remove}
    oldest_first = [entry for entry in reversed(listing.entries) if entry.name in going]
    return _executed(place, oldest_first, left, said, on_event)


def _executed(
    place: Store,
    going: Sequence[Entry],
    left: Sequence[str],
    said: Callable[[Collection[str]], Pruned],
    on_event: OnEvent,
) -> Pruned:
    """
    Take away what may go, the oldest first: one alone, then several at once, for what takes time is waiting.

    What can't be taken away keeps nothing else from going, but a store that doesn't answer is not asked for each.

    Args:
        said: returns what is told of it, given what was pinned meanwhile and so was not taken.
    """
    pinned: list[str] = []

    def one(entry: Entry) -> None:
        if not remove(place, entry):
            pinned.append(entry.name)

    def tried(job: Callable[[], None]) -> StorageError | None:
        try:
            job()
        except StorageError as exc:
            return exc
        return None

    jobs = [partial(remove_files, place, left), *(partial(one, entry) for entry in going)]
    runs = [jobs[:1], jobs[1:2], *(jobs[first : first + _AT_ONCE] for first in range(2, len(jobs), _AT_ONCE))]
    failed: list[StorageError] = []
    done = -1
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for run in filter(None, runs):
            failed += filter(None, threads.map(tried, run))
            done += len(run)
            on_event(Event(stage="prune", message=f"{done} of {counted(len(going), 'backup')} gone"))
            if any(error.transient for error in failed):
                break
    if failed:
        gave_up = any(error.transient for error in failed)
        some = f"{len(failed)} of {counted(len(going), 'backup')} could not be taken away"
        error = StorageError(
            f"{'not all was taken away' if gave_up else some}: {listed([exc.message for exc in failed])}",
            "what went well stays done; prune again once the store lets them go",
        )
        error.transient = gave_up
        error.result = said(pinned)
        raise error
    return said(pinned)
