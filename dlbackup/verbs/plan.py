"""
What a migration would do, and what stands in its way; looking changes nothing.

`obstacles` is what `migrate` refuses for and what `plan` lists, so that both say the same; `plan` also says what the
verification of its backup would refuse.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from dlbackup.addresses.address import parse_address
from dlbackup.catalogs.contract import Access, Catalog, Client, Locks, Snapshot, clients_connected
from dlbackup.catalogs.open import is_in_file, open_catalog, refuse_read_only
from dlbackup.errors import CannotMigrate, DlbackupError, EngineError, Pooled, StorageError, UnknownVersion
from dlbackup.lake import spec
from dlbackup.migration.losses.known import refuse_unknown
from dlbackup.migration.obstacles import already, obstacles, refuse_bars
from dlbackup.migration.options import MigrateOptions
from dlbackup.migration.steps import Step
from dlbackup.tables.likeness import differences, granted_by_column

if TYPE_CHECKING:
    from dlbackup.engine.engine import Engine
    from dlbackup.migration.leftovers import Left


_FIXED_SECONDS = 4.0
_SECONDS_PER_ROW = 12e-6
"""Dump, verify, rehearsal and three readings, as measured on 2 cores with 3.3 million rows."""


_NEVER_LOOKED_AT = (
    "the rows: the dump, the verification and the rehearsal read them",
    "data files: dlbackup verify --data-files looks for them",
    "who connects later, and programs that open the lake with an older DuckDB",
)


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something that `migrate` refuses for: the error's type, message and hint."""

    type: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class PlannedLoss:
    """Something that the engine's migration would lose, and whether it will be mended."""

    rule: str
    rows: int
    message: str
    mended: bool


def steps(step: Step, options: MigrateOptions, *, copied: bool) -> tuple[str, ...]:
    """
    Return the stages of a migration in words.

    Args:
        copied: what is migrated is a copy, which takes the catalog's place.
    """
    planned = [f"dump the catalog to {options.backup_dir}", "verify the backup: every byte, statement and row"]
    if options.rehearsal:
        planned.append("rehearse: migrate a copy in a scratch schema, and drop it")
    way = f"{step.from_version} to {step.to_version}"
    over_a_file = f"migrate a copy in a scratch DuckDB file with DuckDB {step.duckdb_version}, {way}; mend and prove it"
    if copied:
        hold = (
            "hold the file: nobody else writes to it until the end",
            "compare the catalog with the backup, row by row",
        )
        exchange = "let the copy take the catalog's place; the file as it was is kept beside"
        if step.staged:
            return (*planned[:2], over_a_file, *hold, "restore that beside the file, compare and open it", exchange)
        return (
            *planned[:2],
            *hold,
            f"attach a copy of it with DuckDB {step.duckdb_version}, which migrates {way}",
            "mend what the engine is known to lose, and compare what the lake means",
            exchange,
        )
    if step.staged:
        return (
            *planned[:2],
            over_a_file,
            "put up the fence: commits wait, reads go on",
            "compare the catalog with the backup, row by row",
            "put the migrated copy in the catalog's place, with what hangs on its tables; every row is read back",
            "compare what the lake means, and let the engine open it",
        )
    planned += [
        "put up the fence: commits wait, reads go on",
        "compare the catalog with the backup, row by row",
        f"attach with DuckDB {step.duckdb_version}, which migrates {way}",
        "mend what the engine is known to lose, and compare what the lake means",
    ]
    return tuple(planned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    What `migrate` would do.

    Args:
        needed: False when the catalog has the version already.
        opens_as_it_is: whether this engine opens the catalog, and writes to it, without the migration.
        engine_opens: the spec versions of which it does that.
        engine_makes: that of new lakes of it.
        blockers: what `migrate` refuses for; nothing of the rest happens while there are any.
        estimate_seconds: None where nothing would happen.
        clients: other sessions on the database.
        warnings: what `migrate` would do otherwise than one might think, or do to others.
        not_looked_at: what could matter and can't be seen from here, or by this role.
        locks_needed: what restoring the catalog in one transaction needs, roughly.
        locks_available: what the server's settings promise.
        opened_by: which DuckDB opens the lake afterwards; older ones don't.
    """

    from_version: str
    to_version: str
    needed: bool
    engine: str
    steps: tuple[str, ...]
    blockers: tuple[Blocker, ...]
    losses: tuple[PlannedLoss, ...]
    clients: tuple[Client, ...]
    tables: int
    rows: int
    locks_needed: int
    locks_available: int
    opened_by: str
    estimate_seconds: float | None
    opens_as_it_is: bool = False
    engine_opens: tuple[str, ...] = ()
    engine_makes: str = ""
    warnings: tuple[str, ...] = ()
    not_looked_at: tuple[str, ...] = ()

    @property
    def blocked(self) -> bool:
        """Whether `migrate` would refuse."""
        return bool(self.blockers)


def plan(address: str, options: MigrateOptions | None = None) -> Plan:
    """
    Say what `migrate` would do with the same options.

    Raises:
        CatalogError, EngineError: the catalog or the engine can't be looked at.
    """
    from dlbackup.engine.engine import probe
    from dlbackup.migration.journal import folder_of
    from dlbackup.migration.leftovers import left_behind

    options = options or MigrateOptions()
    refuse_unknown(options.accept_loss)
    options.keys.ring()  # whom migrate would encrypt to
    where = parse_address(address)
    refuse_read_only(where)
    if is_in_file(where):
        refuse_bars(options)
    with ExitStack() as held:
        engine = held.enter_context(probe(options.engine))
        access = Access(wait_s=options.wait_s, engine=options.reader(engine.duckdb_version))
        catalog = held.enter_context(open_catalog(where, options.metadata_schema, access))
        errors: list[DlbackupError] = []
        with _noted(errors, StorageError):
            options.refuse_backup_dir()
        with catalog.snapshot() as snapshot:
            seen = _look(snapshot, engine, options, errors)
        way, version = seen.way, seen.version
        left = left_behind(catalog.mark, folder_of(options.backup_dir))
        clients = _look_around(catalog, seen, left, options, errors)
        around, unseen = catalog.surroundings() if way else ([], [])
        locks = catalog.locks(len(snapshot.tables))
        stages = (
            *_finishing(left),
            *chain.from_iterable(steps(step, options, copied=is_in_file(where)) for step in way),
            *(_few_locks(catalog.locks(2 * len(snapshot.tables))) if way else ()),
        )
        to_version = way[-1].to_version if way else options.to or engine.spec_version
        return Plan(
            from_version=version,
            to_version=to_version,
            needed=bool(way) or left is not None or bool(errors),
            engine=", then ".join(f"DuckDB {step.duckdb_version}" for step in way) or f"DuckDB {engine.duckdb_version}",
            steps=() if errors else stages,
            blockers=tuple(Blocker(type(error).__name__, error.message, error.hint) for error in errors),
            losses=seen.losses,
            clients=clients,
            tables=len(snapshot.tables),
            rows=seen.rows,
            locks_needed=locks.needed,
            locks_available=locks.available,
            opened_by=spec.ENGINES.get(to_version, "unknown"),
            opens_as_it_is=version in spec.opened_by(engine.spec_version),
            engine_opens=spec.in_order(spec.opened_by(engine.spec_version)),
            engine_makes=engine.spec_version,
            estimate_seconds=None if errors else round(seen.seconds * len(way), 1),
            warnings=(*seen.warnings, *around),
            not_looked_at=(*_NEVER_LOOKED_AT, *unseen) if way else (),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """
    What one snapshot of the catalog says of a migration.

    Args:
        seconds: roughly what one step takes.
    """

    version: str
    way: tuple[Step, ...] = ()
    losses: tuple[PlannedLoss, ...] = ()
    warnings: tuple[str, ...] = ()
    rows: int
    seconds: float


def _look(snapshot: Snapshot, engine: "Engine", options: MigrateOptions, errors: list[DlbackupError]) -> _Seen:
    """Look for the way, and for what stands in it; `errors` gets what a migration is refused for."""
    from dlbackup.migration.route import reach, route

    version, rows = snapshot.head.spec_version, sum(snapshot.counts(snapshot.tables).values())
    seconds = _FIXED_SECONDS + rows * _SECONDS_PER_ROW + _throttled_s(snapshot, options)
    way: tuple[Step, ...] = ()
    with _noted(errors, CannotMigrate, UnknownVersion):
        way = route(snapshot, engine, options)
    if not way:
        return _Seen(version=version, rows=rows, seconds=seconds)
    found, losses = obstacles(snapshot, way, options)
    before = already(snapshot, way)
    errors += [*found, *([before.unverified] if before.unverified else [])]
    with _noted(errors, EngineError):
        reach(snapshot, engine, way)
    planned = tuple(
        PlannedLoss(loss.rule, loss.rows, loss.message, loss.mendable and options.mend)
        for loss in chain.from_iterable(losses)
    )
    warnings = (*before.stays, *_unlike(snapshot), *_left_out(snapshot, errors))
    return _Seen(version=version, way=way, losses=planned, warnings=warnings, rows=rows, seconds=seconds)


def _look_around(
    catalog: Catalog, seen: _Seen, left: "Left | None", options: MigrateOptions, errors: list[DlbackupError]
) -> tuple[Client, ...]:
    """Look at a migration that was cut off, and who is connected, who is returned; `errors` as for `_look`."""
    from dlbackup.migration.leftovers import cut_off

    if left is not None and left.journal is None and seen.version != left.from_version:
        errors.append(cut_off(catalog.mark, left))
    if seen.way or left is not None:  # what is current already, migrate leaves alone
        with _noted(errors, Pooled):
            catalog.refuse_pooler()
    clients = catalog.clients()
    if seen.way and clients and not (options.ignore_clients or options.terminate_clients):
        errors.append(clients_connected(clients))
    return clients


@contextmanager
def _noted(errors: list[DlbackupError], *kinds: type[DlbackupError]) -> Iterator[None]:
    """Note an error of these kinds, and go on."""
    try:
        yield
    except kinds as exc:
        errors.append(exc)


def _unlike(snapshot: Snapshot) -> tuple[str, ...]:
    """Say in what tables that the engine makes anew can't be like the others."""
    unlike = [
        f"the catalog's tables differ in their {what}, so new ones would keep what the engine gives them"
        for what in differences(snapshot.tables)
    ]
    return (*unlike, *granted_by_column(snapshot.tables))


def _left_out(snapshot: Snapshot, errors: Sequence[DlbackupError]) -> tuple[str, ...]:
    """Say what the backup will not have and no refusal names, as `dump` says it."""
    return tuple(
        f"not in the backup: {what}" for what in snapshot.left_out if not any(what in error.message for error in errors)
    )


def _throttled_s(snapshot: Snapshot, options: MigrateOptions) -> float:
    return sum(snapshot.pages().values()) * 8192 / options.max_rate if options.max_rate else 0.0


def _few_locks(locks: Locks) -> tuple[str, ...]:
    if locks.needed <= locks.available:
        return ()
    text = (
        f"an undo would be made in batches and one exchange of schemas: one transaction needs about {locks.needed}"
        f" locks of the server's {locks.available}; the engine migrates in one transaction of its own, and may need"
        " more than it has"
    )
    return (text,)


def _finishing(left: "Left | None") -> tuple[str, ...]:
    if left is None:
        return ()
    return (f"finish or undo the migration that was cut off; its journal is {left.path}",)
