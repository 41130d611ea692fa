"""
What a migration would do, and what stands in its way; looking changes nothing.

`obstacles` is what `migrate` refuses for and what `plan` lists, so that both say the same.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlbackup import spec
from dlbackup.address import parse_address
from dlbackup.aftercare import Loss, known_losses
from dlbackup.catalogs import open_catalog
from dlbackup.errors import (
    CannotMigrate,
    DlbackupError,
    HasDependents,
    NotOwner,
    Pooled,
    UnknownVersion,
    WouldLose,
)
from dlbackup.migration import Client, MigrateOptions, Step, clients_connected, next_step

if TYPE_CHECKING:
    from dlbackup.catalogs.postgres import PostgresSnapshot
    from dlbackup.journal import Left

_FIXED_SECONDS = 4.0
_SECONDS_PER_ROW = 12e-6
"""Dump, verify, rehearsal and three readings, as measured on 2 cores with 3.3 million rows."""


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


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What `migrate` would do.

    Args:
        needed: False when the catalog has the version already.
        clients: other sessions on the database.
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
    estimate_seconds: float


def plan(address: str, options: MigrateOptions | None = None) -> Plan:
    """
    Say what `migrate` would do with the same options.

    Raises:
        CatalogError, EngineError: the catalog or the engine can't be looked at.
    """
    from dlbackup.catalogs.staging import LOCKS_PER_TABLE, locks_available
    from dlbackup.engine import probe
    from dlbackup.fence import other_clients, refuse_pooler
    from dlbackup.journal import cut_off, left_behind

    options = options or MigrateOptions()
    with open_catalog(parse_address(address), options.metadata_schema) as catalog:
        engine = probe(options.engine)
        with catalog.snapshot() as snapshot:
            errors: list[DlbackupError] = []
            try:
                refuse_pooler(catalog.session)
            except Pooled as exc:
                errors.append(exc)
            losses: tuple[Loss, ...] = ()
            step = None
            try:
                step = next_step(snapshot.head.versions, engine.duckdb_version, engine.spec_version, options.to)
            except (CannotMigrate, UnknownVersion) as exc:
                errors.append(exc)
            if step is not None:
                found, losses = obstacles(snapshot, step, options)
                errors += found
            rows = sum(snapshot.counts().values())
            seconds = _FIXED_SECONDS + rows * _SECONDS_PER_ROW + _throttled_s(snapshot, options)
        left = left_behind(catalog.session, catalog.schema, Path(options.backup_dir))
        if left is not None and left.journal is None and snapshot.head.spec_version != left.from_version:
            errors.append(cut_off(catalog.schema, left))
        needed = step is not None or left is not None or bool(errors)
        clients = other_clients(catalog.session, catalog.schema, frozenset())
        if step is not None and clients and not (options.ignore_clients or options.terminate_clients):
            errors.append(clients_connected(clients))
        few = _few_locks(2 * LOCKS_PER_TABLE * len(snapshot.tables), locks_available(catalog.session)) if step else ()
        return Plan(
            snapshot.head.spec_version,
            engine.spec_version,
            needed,
            f"DuckDB {engine.duckdb_version}",
            () if errors else (*_finishing(left), *(steps(step, options) if step else ()), *few),
            tuple(Blocker(type(error).__name__, error.message, error.hint) for error in errors),
            tuple(PlannedLoss(loss.rule, loss.rows, loss.message, loss.mendable and options.mend) for loss in losses),
            clients,
            len(snapshot.tables),
            rows,
            LOCKS_PER_TABLE * len(snapshot.tables),
            locks_available(catalog.session),
            spec.ENGINES.get(engine.spec_version, "unknown"),
            round(seconds, 1) if step else 0.0,
        )


def _throttled_s(snapshot: "PostgresSnapshot", options: MigrateOptions) -> float:
    return sum(snapshot.pages().values()) * 8192 / options.max_rate if options.max_rate else 0.0


def _few_locks(needed: int, available: int) -> tuple[str, ...]:
    if needed <= available:
        return ()
    text = (
        f"an undo would be made in batches and one exchange of schemas: one transaction needs about {needed} locks of"
        f" the server's {available}; the engine migrates in one transaction of its own, and may need more than it has"
    )
    return (text,)


def _finishing(left: "Left | None") -> tuple[str, ...]:
    if left is None:
        return ()
    return (f"finish or undo the migration that was cut off; its journal is {left.path}",)


def steps(step: Step, options: MigrateOptions) -> tuple[str, ...]:
    """Return the stages of a migration in words."""
    planned = [f"dump the catalog to {options.backup_dir}", "verify the backup: every byte, statement and row"]
    if options.rehearsal:
        planned.append("rehearse: migrate a copy in a scratch schema, and drop it")
    planned += [
        "put up the fence: commits wait, reads go on",
        "compare the catalog with the backup, row by row",
        f"attach with DuckDB {step.duckdb_version}, which migrates {step.from_version} to {step.to_version}",
        "mend what the engine is known to lose, and compare what the lake means",
    ]
    return tuple(planned)


def obstacles(
    snapshot: "PostgresSnapshot", step: Step, options: MigrateOptions
) -> tuple[list[DlbackupError], tuple[Loss, ...]]:
    """Return what a migration has to be refused for, and the losses that it would bring."""
    errors = _missing_rights(snapshot, rehearsal=options.rehearsal)
    if snapshot.left_out:
        errors.append(
            HasDependents(
                f"an undo would lose or break: {'; '.join(snapshot.left_out[:5])}",
                "drop what is named, and make it again after the migration",
            )
        )
    if any(finding.severity == "error" for finding in spec.differences(step.from_version, snapshot.tables)):
        return errors, ()  # no lake that could be looked into: verify refuses it, and says why
    losses = known_losses(snapshot, step)
    blocking = [
        loss for loss in losses if not (loss.mendable and options.mend) and loss.rule not in options.accept_loss
    ]
    if blocking:
        errors.append(
            WouldLose(
                "the engine's migration would lose something: "
                + "; ".join(f"{loss.rule}: {loss.message}" for loss in blocking),
                "accept it by name with " + " ".join(f"--accept-loss {loss.rule}" for loss in blocking),
            )
        )
    return errors, losses


def _missing_rights(snapshot: "PostgresSnapshot", *, rehearsal: bool) -> list[DlbackupError]:
    from dlbackup.catalogs.postgres import one

    owners = sorted({table.owner for table in snapshot.tables})
    session = snapshot.session
    rows = session.execute(
        "select r from unnest(%s::text[]) r where not pg_has_role(current_user, r::name, 'USAGE')", [owners]
    ).fetchall()
    foreign = [table.name for table in snapshot.tables if (table.owner,) in rows]
    me, read_only, schema, temporary, scratch = one(
        session,
        "select current_user::text, current_setting('default_transaction_read_only')::boolean or pg_is_in_recovery(),"
        " has_schema_privilege(%s::text, 'CREATE'),"
        " has_database_privilege(current_database(), 'TEMP'), has_database_privilege(current_database(), 'CREATE')",
        snapshot.schema,
    )
    errors: list[DlbackupError] = []
    if read_only:
        errors.append(
            NotOwner(
                f"{me} can only read on this server: it is a standby, or default_transaction_read_only is on",
                "migrate on the primary server, as a role whose default_transaction_read_only is off",
            )
        )
    if foreign:
        errors.append(
            NotOwner(
                f"{me} does not own {', '.join(foreign[:3])}{' and others' if len(foreign) > 3 else ''}"
                f" (owner: {', '.join(row[0] for row in rows)}): the engine alters the catalog's tables",
                "migrate as the owner, or as a member of that role",
            )
        )
    wanted = [
        (schema, f"CREATE on schema {snapshot.schema}", "the engine's migration needs", ""),
        (temporary, "TEMP on the database", "the engine's migration needs", ""),
        (
            scratch or not rehearsal,
            "CREATE on the database",
            "the rehearsal in a scratch schema needs",
            ", or go without a rehearsal with --no-rehearsal",
        ),
    ]
    errors += [
        NotOwner(f"{me} has no right of {what}, which {why}", f"grant {what} to {me}{otherwise}")
        for granted, what, why, otherwise in wanted
        if not granted
    ]
    return errors
