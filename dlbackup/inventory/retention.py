"""
Which backups are kept and which may go, each with its reasons: a pure function of what is in a store, policy and time.

Slots are filled as restic does it: the newest backup of each of the last N hours, days ... that have one, in UTC, and
the oldest of all as long as slots are free. Only good backups fill slots, each lake its own. What the last way back
could be is kept whatever the policy says.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from dlbackup.errors import ClockOff, NoPolicy, NothingGood, OtherLake, listed
from dlbackup.inventory.listing import Entry
from dlbackup.inventory.names import MIGRATION
from dlbackup.tables.types import TIMES_ARE_TEXTS

GRACE = timedelta(hours=48)
"""How long a backup without a record, or a damaged one, is left alone: it may be that of a dump that is under way."""
SKEW = timedelta(hours=1)
"""How far clocks may differ before they are off."""
_UNDONE = ("unchanged", "rolled-back", "replaced")
"""Ends of a migration after which its backup is no way back any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    How many backups of each lake are kept: the last ones, and the newest of so many hours, days ...

    Args:
        within: all that are at most so much older than the newest.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: timedelta = timedelta()

    @property
    def is_empty(self) -> bool:
        """Whether it keeps nothing."""
        return not any(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of one backup, and why."""

    name: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What becomes of each, the newest first."""

    keep: tuple[Decision, ...]
    remove: tuple[Decision, ...]


def decide(
    entries: Sequence[Entry],
    policy: Policy,
    now: datetime,
    *,
    other_lakes: bool = False,
    broken: Collection[str] = (),
) -> Decisions:
    """
    Decide on every backup of a store.

    Args:
        broken: names of backups whose data files are gone, as far as that is known: they fill no slot where others do.
        other_lakes: one name may stand for several lakes, each of which is kept by the policy.

    Raises:
        NoPolicy: it would keep nothing; ClockOff: times can't be relied on; OtherLake: the backups of one name are of
            several lakes; NothingGood: no good backup is there at all.
    """
    if policy.is_empty:
        raise NoPolicy("nothing says which backups to keep", "name at least one, such as --keep-daily 14 --keep-last 3")
    entries = sorted(entries, key=lambda entry: (entry.created, entry.name), reverse=True)
    if entries and not any(entry.is_good for entry in entries):
        raise NothingGood(
            f"none of the {len(entries)} backups is known to be good, so none may go",
            "make one (dlbackup dump), or give these their records (dlbackup verify --record BACKUP)",
        )
    _refuse_clocks(entries, now)
    named: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        named[entry.catalog].append(entry)
    reasons: dict[str, list[str]] = {entry.name: list(_own_reasons(entry, now)) for entry in entries}
    causes: dict[str, str] = {}
    for catalog, backups in named.items():
        for good in _lakes(catalog, [entry for entry in backups if _counts(entry, now)], other_lakes=other_lakes):
            whole = [entry for entry in good if entry.name not in broken] or good
            for name, why in (*_ways_back(whole), *_slots(whole, policy)):
                reasons[name].append(why)
        has_good = any(entry.is_good for entry in backups)
        for entry in _without_records(backups):
            reasons[entry.name].append("made before there were records: dlbackup verify --record proves it")
        for entry in backups:
            if not entry.is_good and not has_good:
                reasons[entry.name].append(f"nothing good is there of {catalog}")
            causes[entry.name] = "its data files are gone" if entry.name in broken else _cause(entry)
    keep = [Decision(name=entry.name, reasons=tuple(reasons[entry.name])) for entry in entries if reasons[entry.name]]
    gone = [Decision(name=entry.name, reasons=(causes[entry.name],)) for entry in entries if not reasons[entry.name]]
    return Decisions(keep=tuple(keep), remove=tuple(gone))


def protected(entries: Sequence[Entry], now: datetime) -> dict[str, tuple[str, ...]]:
    """Return why each backup is kept whatever a policy says, by name."""
    reasons = {entry.name: list(_own_reasons(entry, now)) for entry in entries}
    ordered = sorted(entries, key=lambda entry: (entry.created, entry.name), reverse=True)
    for catalog in {entry.catalog for entry in entries}:
        counted = [entry for entry in ordered if entry.catalog == catalog and _counts(entry, now)]
        for good in _lakes(catalog, counted, other_lakes=True):
            for name, why in _ways_back(good):
                reasons[name].append(why)
    return {name: tuple(why) for name, why in reasons.items()}


def cleanup_safe_before(kept: Sequence[Entry]) -> datetime | None:
    """
    Return before when files may have been scheduled for deletion to be deleted without harm to what is kept.

    What was scheduled before the oldest backup had left the catalog when that was made. None where none is good.
    """
    times = [entry.created for entry in kept if entry.is_good]
    return min(times) - SKEW if times else None


def cleanup_call(before: datetime, kept: Sequence[Entry]) -> str:
    """
    Return the call that deletes files that were scheduled for that before a time, and no others.

    In SQLite DuckDB compares the times as text, a space with a `T`, so that what was scheduled at any time of the named
    day goes too, in the time zone of whoever scheduled it. There it is the end of a day that is over everywhere.
    """
    if any(entry.record is not None and entry.record.dialect in TIMES_ARE_TEXTS for entry in kept):
        day = before.replace(hour=0, minute=0, second=0, microsecond=0)
        before = day - timedelta(days=1, seconds=1)
    return f"CALL ducklake_cleanup_old_files('lake', older_than => TIMESTAMPTZ '{before:%Y-%m-%d %H:%M:%S}+00')"


def _refuse_clocks(entries: Sequence[Entry], now: datetime) -> None:
    """Refuse where this clock is behind the store's, or that of who made a lake's newest backup is ahead."""
    latest = max((entry.blob.modified for entry in entries), default=now)
    if latest > now + SKEW:
        raise ClockOff(
            f"it is {_shown(now)} here, and the store has a backup of {_shown(latest)}", "set this clock right"
        )
    seen = set()
    for entry in entries:
        if entry.is_good and entry.catalog not in seen:
            seen.add(entry.catalog)
            if _misdated(entry, now):
                raise ClockOff(
                    f"{entry.name} says that it was begun at {_shown(entry.created)}, which was still to come when it"
                    f" was written at {_shown(entry.blob.modified)}",
                    "set the clock right of who made it, make another backup, and move this one and what is beside it"
                    " to another folder",
                )


def _misdated(entry: Entry, now: datetime) -> bool:
    return entry.created > min(entry.blob.modified, now) + SKEW


def _counts(entry: Entry, now: datetime) -> bool:
    return entry.is_good and not _misdated(entry, now)


def _lakes(catalog: str, good: Sequence[Entry], *, other_lakes: bool) -> Iterator[Sequence[Entry]]:
    """Yield the good backups of each lake; those that don't say of which they are belong to the only other one."""
    lakes = {entry.lake for entry in good if entry.lake is not None}
    if len(lakes) <= 1:
        yield good
        return
    if not other_lakes:
        raise OtherLake(
            f"the backups of {catalog} are of {len(lakes)} lakes: {listed(sorted(lakes))}",
            "see with dlbackup list which they are: --other-lake keeps those of each by the policy, or move one lake's"
            " to another folder",
        )
    for lake in sorted({entry.lake or "" for entry in good}):
        yield [entry for entry in good if (entry.lake or "") == lake]


def _without_records(backups: Sequence[Entry]) -> Sequence[Entry]:
    """
    Return the backups that an older dlbackup made: several without a record, older than all that have one.

    A single one is what a prune left that was ended between the record and the backup.
    """
    first = min((entry.created for entry in backups if entry.record is not None), default=None)
    older = [entry for entry in backups if entry.state == "unlisted" and first is not None and entry.created < first]
    return older if len(older) > 1 else ()


def _own_reasons(entry: Entry, now: datetime) -> Iterator[str]:
    """Yield why a backup is kept whatever others there are."""
    for pin in entry.pins:
        if pin != MIGRATION:
            yield f"pinned: {pin}"
        elif entry.journal not in _UNDONE:
            yield "made by a migration that was not released"
    if entry.migrates:
        yield f"a migration's journal is open: {entry.journal}"
    elif entry.record is None and entry.journal and entry.journal not in _UNDONE:
        yield "a migration's journal is beside it"
    if entry.unreadable:
        yield "files beside it can't be read"
    if _misdated(entry, now):
        yield "dated in the future"
    if not entry.is_good and now - max(entry.created, entry.blob.modified) < GRACE:
        yield "not yet 48 hours old"


def _ways_back(good: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """Yield the newest good backup, the newest proven one, and until these are one, the proven one before."""
    if good:
        yield good[0].name, "the newest good one"
    proven = [entry for entry in good if entry.proven_at]
    if proven:
        yield proven[0].name, "the newest proven one"
        if proven[0] is not good[0]:
            for entry in proven[1:2]:
                yield entry.name, "proven, and the newest good one is not yet"


_PERIODS: dict[str, Callable[[datetime], str]] = {
    "hourly": lambda time: f"{time:%Y-%m-%d %Hh}",
    "daily": lambda time: f"{time:%Y-%m-%d}",
    "weekly": lambda time: "{}-W{:02}".format(*time.isocalendar()),
    "monthly": lambda time: f"{time:%Y-%m}",
    "yearly": lambda time: f"{time:%Y}",
}


def _slots(good: Sequence[Entry], policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield each backup that the policy keeps, and the slot that it fills."""
    for entry in good[: policy.last]:
        yield entry.name, f"among the last {policy.last}"
    for kind, period_of in _PERIODS.items():
        free, before = getattr(policy, kind), ""
        for number, entry in enumerate(good, 1):
            period = period_of(entry.created)
            if free and (period != before or number == len(good)):
                yield entry.name, f"{kind}: {period}" if period != before else f"{kind}: the oldest"
                free, before = free - 1, period
    if policy.within:
        for entry in good:
            if good[0].created - entry.created < policy.within:
                yield entry.name, "within the time that is kept"


def _cause(entry: Entry) -> str:
    if entry.is_good:
        return "in no slot of the policy"
    return f"damaged: {entry.damage}" if entry.damage else "no record for more than 48 hours: it was never proved"


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
