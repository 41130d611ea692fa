"""
A place is filled: tables are made and loaded, definitions proved, every row read back, and rights handed over.
"""

from collections.abc import Sequence

from dlbackup.backupfile.manifest import Entry
from dlbackup.catalogs.contract import Existing, Part, Place
from dlbackup.errors import CatalogError, OtherRows, RestoredOtherwise
from dlbackup.runtime.memory import collector_paused
from dlbackup.runtime.progress import Event, Meter
from dlbackup.runtime.throttle import paced
from dlbackup.tables.definition import Table, by_name
from dlbackup.tables.digest import summed
from dlbackup.transfer.access import grants_to_make, hidden_by_server, open_schema, opened_by_default, stricter
from dlbackup.transfer.job import Job, Stream, as_wanted


def fill(part: Part, job: Job) -> None:
    """Make the tables of a part and load them."""
    wanted = job.wanted
    tables = [wanted[entry.table.name] for entry in part.entries]
    with collector_paused():
        part.place.create(tables)
        for entry in part.entries:
            _load(part.place, job.stream, entry)
    if part.whole and tables:
        job.on_event(Event(stage="restore", message="making indexes, owners and grants"))
    # Who saw rows of a catalog sees those of the one in its place; of a new one the server's own rules decide.
    part.place.finish(tables, privileges=job.options.privileges, row_security=job.replaces)


def hand_over(place: Place, job: Job, existing: Existing) -> None:
    """Let those who work with the catalog use its schema where there was none, and say who can't."""
    options = job.options
    if existing.is_new:
        rights = job.manifest.header.source.rights
        opened = open_schema(place, rights, job.schema, owner=options.owner, privileges=options.privileges)
        job.missing_grants += opened
    if not existing.tables:
        job.missing_grants += grants_to_make(place, job.tables, job.schema)
    if job.missing_grants:
        text = f"not everybody who works with the catalog can use schema {job.schema}; to be done by somebody who may:"
        job.warn(f"{text} {' '.join(job.missing_grants)}")


def _load(place: Place, stream: Stream, entry: Entry) -> None:
    """Fill the table that comes next in the backup."""
    texts = stream.rows_of(entry)
    taken = place.load(entry.table, texts) if entry.rows else sum(1 for _ in texts)
    if taken != entry.rows:
        raise CatalogError(f"table {entry.table.name}: the server took {taken} rows of {entry.rows}")


def prove_definitions(place: Place, job: Job) -> None:
    """Compare the definitions that the server has now with the backup's."""
    found = by_name(place.definitions())
    if not (job.options.privileges or job.is_scratch):
        job.warn(*opened_by_default(found.values()))
    hidden: list[str] = []
    for wanted in job.tables:
        table, there = wanted, found.pop(wanted.name, None)
        if there is not None:
            owner, there = there.owner, as_wanted(there, job.options).kept_as(table)
            if owner and not job.options.owner:  # who restores has all rights, whatever the backup grants
                table, there = table.without_grants_to(owner), there.without_grants_to(owner)
        if there not in (table, None) and not job.replaces and there == stricter(table, there):
            hidden.append(table.name)
        elif there != table:
            raise RestoredOtherwise(
                f"the server made another table {table.name} than the backup has: {_difference(table, there)}",
                "restore to the PostgreSQL version that the backup is from; disable event triggers that change new"
                " tables meanwhile",
            )
    if found:
        raise RestoredOtherwise(f"schema {place.schema} holds more catalog tables than the backup: {', '.join(found)}")
    job.warn(*hidden_by_server(hidden))


def read_back(place: Place, job: Job, entries: Sequence[Entry]) -> None:
    """Compare the rows that the server has now with the backup's, before anything of them is committed."""
    if not job.options.read_back or not entries:
        return
    job.on_event(Event(stage="restore", message="reading every row back and comparing it with the backup"))
    work = {entry.table.name: job.proof[entry.table.name] for entry in entries}
    rows = sum(entry.rows for entry in entries)
    meter = Meter("read-back", job.on_event, sum(work.values()), rows, after=job.stream.after_read_back)
    with collector_paused():
        expected = {entry.table.name: entry for entry in entries if entry.rows}
        for table, blocks in place.read_back([(entry.table, entry.rows) for entry in expected.values()]):
            entry = expected[table.name]
            meter.part(work[table.name], entry.rows)
            if summed(meter.counted(paced(blocks, job.stream.limit))) != entry.content:
                raise OtherRows(f"table {table.name}: the server gives back other rows than it was given")


def _difference(wanted: Table, found: Table | None) -> str:
    if found is None:
        return "it is missing"
    for name in Table.__dataclass_fields__:
        if getattr(wanted, name) != getattr(found, name):
            return f"{name} is {getattr(found, name)!r}, not {getattr(wanted, name)!r}"[:400]
    return "nothing"
