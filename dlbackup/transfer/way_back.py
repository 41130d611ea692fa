"""
The way back from a migration or a restore, as a command that can be pasted into a shell.

It has the options that it needs as things stand, and no more: what somebody commits later must still be named by them
before it is lost.
"""

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from dlbackup.addresses.address import Address
from dlbackup.backupfile.lineage import lineage_of
from dlbackup.catalogs.contract import Catalog, Existing
from dlbackup.catalogs.open import open_catalog
from dlbackup.engine.listing import LISTING_TIMEOUT_LOCKED_S, look_everywhere
from dlbackup.errors import DlbackupError, listed
from dlbackup.lake.lineage import Known, Lineage, parting_of
from dlbackup.lake.looking import look
from dlbackup.runtime.progress import Event, OnEvent
from dlbackup.stores.encrypted import keyed
from dlbackup.stores.keys import ENDING, Keyring
from dlbackup.stores.named import absolute, where_named

_ANY_IDENTITY = ["--identity", "FILE"]
_NAME_IDENTITY = "FILE is to be a file with the identity of somebody whom the backup is encrypted to"
_LEFT_OUT = "the address stands there without its password: PGPASSWORD or a password file has to give it"


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """
    How to get back what was there before.

    Args:
        command: for a POSIX shell.
        loses: what it takes away.
        needs: what the command can't say; empty where there is nothing.
    """

    command: str
    loses: str
    needs: str = ""


def restoring(backup: str, address: Address, schema: str, options: Iterable[str] = ()) -> str:
    """Return the command that puts a backup in the place of a catalog."""
    path = backup if backup == "-" else absolute(backup)
    words = ["dlbackup", "restore", path, address.without_secrets(), *in_schema(schema), "--replace"]
    return shlex.join([*words, *options])


def in_schema(schema: str) -> list[str]:
    """Return the words of a command that name a schema, also one whose name looks like an option."""
    return [f"--metadata-schema={schema}"] if schema.startswith("-") else ["--metadata-schema", schema]


def to_backup(catalog: Catalog, backup: str, *, barred: bool, ring: Keyring | None = None) -> WayBack:
    """
    Return how to put a backup in the place of the catalog that is there now.

    Args:
        barred: stale clients are kept out now, and are to be then.
        ring: reads the backup, where that is encrypted.

    Raises:
        DlbackupError: catalog or backup can't be read.
    """
    need = _needed(catalog, lineage_of(keyed(where_named(backup), ring)), catalog, barred=barred)
    identity = opening(backup, ring)
    way = _way(restoring(backup, catalog.address, catalog.schema, [*need.options, *identity]), need, catalog.address)
    if identity != _ANY_IDENTITY:
        return way
    return replace(way, needs="; ".join(filter(None, (way.needs, _NAME_IDENTITY))))


def opening(backup: str, ring: Keyring | None) -> list[str]:
    """Return the options that open a backup, if it is encrypted."""
    if ring is None or not backup.endswith(ENDING):
        return []
    return ring.keys.words() or _ANY_IDENTITY


def to_kept(catalog: Catalog, kept: str, *, barred: bool, secrets: str | Path | None = None) -> WayBack:
    """
    Return how to put a catalog back that was replaced and is kept.

    Args:
        secrets: the file with the keys that the restore was given; the way back looks with them too.

    Raises:
        DlbackupError: one of the catalogs can't be read.
    """
    address, schema = catalog.where_kept(kept)
    with open_catalog(address, schema) as before:
        with before.looked_at() as stands:
            lineage = stands.lineage()
        need = _needed(catalog, lineage, before, barred=barred, secrets=secrets)
    dumping = ["dlbackup", "dump", address.without_secrets(), *in_schema(schema), "-o", "-"]
    command = f"{shlex.join(dumping)} | {restoring('-', catalog.address, catalog.schema, need.options)}"
    return _way(command, need, catalog.address)


def found(find: Callable[[], WayBack], on_event: OnEvent) -> WayBack | None:
    """Find the way back from something that is done; that it can't be found, or that a signal comes, undoes nothing."""
    try:
        return find()
    except DlbackupError as exc:
        on_event(Event(stage="way-back", message=f"how to go back was not found out: {exc.message}", warning=True))
        return None


@dataclass(frozen=True, slots=True)
class _Need:
    """The options without which a restore would be refused, what it takes away, and what stands in its way."""

    options: list[str]
    loses: str
    in_the_way: tuple[str, ...]


def _way(command: str, need: _Need, address: Address) -> WayBack:
    needs = [f"drop first what it would break: {listed(need.in_the_way)}"] if need.in_the_way else []
    needs += [_LEFT_OUT] if address.secrets() else []
    return WayBack(command=command, loses=need.loses, needs="; ".join(needs))


def _needed(
    catalog: Catalog, lineage: Lineage, before: Catalog, *, barred: bool, secrets: str | Path | None = None
) -> _Need:
    """
    Return what a restore needs as things stand.

    Args:
        lineage: of what would be restored.
        before: a catalog with the data files that would be needed.
        secrets: a file with the keys to them.
    """
    with catalog.looked_at() as there:
        options, loses = _lost(there, lineage)
        in_the_way = there.left_out
    with catalog.doing("looking for other clients"):
        if clients := catalog.clients():
            options.append("--terminate-clients" if catalog.may_end(clients) else "--ignore-clients")
    if barred:
        options.append("--bar-stale-clients")
    with before.snapshot() as snapshot, snapshot.answers() as answers:
        looked = look_everywhere(answers, secrets, LISTING_TIMEOUT_LOCKED_S) if secrets else look(answers)
    if looked.missing or looked.changed:
        options.append("--missing-data-files")
    if secrets:
        options += ["--secrets", str(Path(secrets).absolute())]
    return _Need(options, loses, in_the_way)


def _lost(there: Existing, lineage: Lineage) -> tuple[list[str], str]:
    now = there.lineage()
    parting = parting_of(now, lineage, Known(lineage.snapshots))
    if parting.other_lake:
        return ["--other-lake"], f"it takes {now} away"
    if parting.newer:
        since = parting.shared
        return ["--discard-newer"], f"it loses the commits after snapshot {since}: {there.newer_snapshots(since)}"
    if parting.expired:
        return ["--discard-newer"], f"it loses no commit; {parting.forgets}"
    return [], (
        f"it loses the commits after snapshot {there.head.snapshot_id}: none so far; once there are some, it is refused"
        " without --discard-newer"
    )
