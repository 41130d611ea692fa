"""What stands in a restore's way: catalogs, other lakes and newer snapshots that would be lost in its place."""

from dlbackup.catalogs.contract import Existing
from dlbackup.errors import HasDependents, NewerSnapshots, NotEmpty, OtherLake, counted, listed
from dlbackup.lake.lineage import Parting, parting_of
from dlbackup.transfer.job import Job


def check_place(existing: Existing, job: Job) -> None:
    """Refuse what would lose or break something in the place."""
    needed = {name for table in job.tables for name in (table.name, *(it.name for it in table.sequences))}
    taken = [f"{kind} {name}" for name, kind in existing.beside.items() if name in needed]
    if taken:
        raise NotEmpty(
            f"{existing.place} holds what is no table of a catalog under names that the backup needs: {listed(taken)}",
            f"{existing.another}, or rename what is there",
        )
    if not existing.tables:
        return
    if not job.options.replace:
        raise NotEmpty(
            f"{existing.place} already holds {counted(len(existing.tables), 'catalog table')}",
            f"{existing.another}, or put the backup in its place with --replace",
        )
    _check_lineage(existing, job)
    if existing.left_out:
        raise HasDependents(
            f"replacing the catalog would lose or break: {listed(existing.left_out)}",
            "drop what is named, and make it again after the restore",
        )


def _check_lineage(existing: Existing, job: Job) -> None:
    """Refuse another lake, and what is committed there and not in the backup, until the user says so by name."""
    options = job.options
    if options.other_lake and options.discard_newer:
        return
    there, ours = existing.lineage(), job.lineage
    parting = parting_of(there, ours, job.known)
    if parting.other_lake:
        if not options.other_lake:
            raise OtherLake(
                f"{existing.place} holds {there}, and the backup is of {ours}",
                f"{existing.another}; --other-lake accepts that the other lake's catalog is replaced",
            )
    elif (parting.newer or parting.expired) and not options.discard_newer:
        raise NewerSnapshots(
            f"the catalog has snapshots that the backup has not: {_parted(parting, existing, job)}",
            "dump it first; --discard-newer accepts that they are replaced",
        )


def _parted(parting: Parting, existing: Existing, job: Job) -> str:
    """Say what the catalog that is there would lose, and why the backup hasn't got it."""
    if not parting.newer:
        return parting.forgets
    newest, backed_up = existing.head.snapshot_id, job.manifest.header.snapshot_id
    if backed_up is None or parting.newer[0] > backed_up:
        why = f"its newest is {newest}, the backup's is {backed_up}"
    elif parting.shared is None:
        why = "they share none: its history went another way than the backup's, or has expired in one of them"
    else:
        why = f"from {parting.newer[0]} on its history went another way than the backup's"
    lost = f"{why}; those would be lost: {existing.newer_snapshots(parting.shared)}"
    return "; ".join(filter(None, (lost, parting.forgets)))
