"""
The call of the API that each command makes, and its result in words.

A call gives the record, the text for people, and the error that the record is a failure by.
"""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlbackup
from dlbackup.cli import inventories, reports
from dlbackup.cli.terminal import Output, is_one_place
from dlbackup.errors import DlbackupError, Interrupted, UsageError
from dlbackup.lake.findings import first_error
from dlbackup.runtime.progress import OnEvent


def _keys(options: argparse.Namespace) -> "dlbackup.Keys":
    """Return what a command line says of keys; commands that only read name no recipients."""
    return dlbackup.Keys(
        encrypt_to=tuple(getattr(options, "encrypt_to", ())),
        recipients_file=getattr(options, "recipients_file", None),
        encrypt_to_passphrase_file=getattr(options, "encrypt_to_passphrase_file", None),
        identity=tuple(options.identity),
        identity_command=options.identity_command,
        passphrase_file=options.passphrase_file,
    )


def _dump(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    backup = dlbackup.dump(
        options.address,
        options.output,
        metadata_schema=options.metadata_schema,
        level=options.level,
        jobs=options.jobs,
        max_rate=options.max_rate,
        base=options.base,
        wait=options.wait,
        engine=options.engine,
        verify=options.verify,
        keys=_keys(options),
        plaintext_keys=options.plaintext_keys,
        on_event=on_event,
    )
    return backup, reports.dumped(backup), None


def _verify(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, DlbackupError | None]:
    engine = Path(options.engine) if options.engine else None
    try:
        report = dlbackup.verify(
            options.backup,
            rehearse=options.rehearse,
            engine=engine,
            data_files=options.data_files,
            secrets=options.secrets,
            jobs=options.jobs,
            record=options.record,
            keys=_keys(options),
            on_event=on_event,
        )
    except DlbackupError as exc:
        if not isinstance(exc.result, dlbackup.Verification):
            raise
        report = exc.result
        failure = None if isinstance(exc, Interrupted) else _failure(report, options)
        if failure is None:
            return report, reports.verified(report), exc
        failure.hint += f"; {exc.message}"
        return report, reports.verified(report), failure
    return report, reports.verified(report), _failure(report, options)


def _restore(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    if options.drop_replaced and not options.replace:
        raise UsageError("--drop-replaced needs --replace")
    names = dlbackup.RestoreOptions.__dataclass_fields__
    restored = dlbackup.restore(
        options.backup,
        options.address,
        dlbackup.RestoreOptions(**{name: getattr(options, name) for name in names}),
        keys=_keys(options),
        on_event=on_event,
    )
    return restored, reports.restored(restored, read_back=options.read_back), None


def _copy(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    if options.drop_replaced and not options.replace:
        raise UsageError("--drop-replaced needs --replace")
    names = dlbackup.RestoreOptions.__dataclass_fields__.keys() - {"metadata_schema"}
    copied = dlbackup.copy(
        options.source,
        options.target,
        dlbackup.RestoreOptions(
            metadata_schema=options.target_schema, **{name: getattr(options, name) for name in names}
        ),
        metadata_schema=options.metadata_schema,
        snapshot=options.snapshot,
        snapshot_time=options.snapshot_time,
        jobs=options.jobs,
        keys=_keys(options),
        on_event=on_event,
    )
    return copied, reports.copied(copied, read_back=options.read_back), None


def _as_migrate_options(options: argparse.Namespace) -> "dlbackup.MigrateOptions":
    return dlbackup.MigrateOptions(
        metadata_schema=options.metadata_schema,
        backup_dir=options.backup_dir,
        to=options.to,
        engine=Path(options.engine) if options.engine else None,
        rehearsal=options.rehearsal,
        staged=options.staged,
        mend=options.mend,
        accept_loss=tuple(options.accept_loss),
        terminate_clients=options.terminate_clients,
        ignore_clients=options.ignore_clients,
        bar_stale_clients=options.bar_stale_clients,
        lock_timeout_s=options.lock_timeout,
        attach_timeout_s=options.attach_timeout,
        wait_s=options.wait,
        max_rate=options.max_rate,
        keys=_keys(options),
        plaintext_keys=options.plaintext_keys,
    )


def _migrate(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    result = dlbackup.migrate(options.address, _as_migrate_options(options), on_event=on_event)
    return result, reports.migrated(result), None


def _check(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, DlbackupError | None]:
    report = dlbackup.check(
        options.target,
        metadata_schema=options.metadata_schema,
        data_files=options.data_files,
        secrets=options.secrets,
        wait=options.wait,
        engine=options.engine,
        keys=_keys(options),
        store=options.store,
        on_event=on_event,
    )
    return report, reports.checked(report), _failure(report, options)


def _failure(
    report: "dlbackup.Verification | dlbackup.Check | dlbackup.Drill", options: argparse.Namespace
) -> DlbackupError | None:
    try:
        report.raise_for_errors()
    except DlbackupError as exc:
        if not options.json and is_one_place():  # who reads the line of an error has read the findings just before
            exc.message = exc.message.removesuffix(first_error(report.findings)) + reports.rules_of(report.findings)
        return exc
    return None


def _plan(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    found = dlbackup.plan(options.address, _as_migrate_options(options))
    return found, reports.planned(found), None


def _unbar(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    result = dlbackup.unbar(options.address, metadata_schema=options.metadata_schema)
    return result, reports.unbarred(result), None


def _info(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    found = dlbackup.info(
        options.target,
        metadata_schema=options.metadata_schema,
        fingerprint=options.fingerprint,
        since=options.since,
        wait=options.wait,
        engine=options.engine,
        keys=_keys(options),
    )
    return found, reports.found(found), None


def _cat(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    if options.json:
        raise UsageError("cat prints rows, and no JSON object of its own", "for rows as JSON: --format jsonl")
    from dlbackup.verbs.cat import write

    write(options.backup, options.table, options.format, Output(), _keys(options))
    return None, "", None


def _drill(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, DlbackupError | None]:
    found = dlbackup.drill(
        options.backup,
        pick=options.pick,
        on=options.on,
        files=options.files,
        rehearse=options.rehearse,
        deadline=options.deadline,
        engine=options.engine,
        secrets=options.secrets,
        jobs=options.jobs,
        record=options.record,
        keys=_keys(options),
        on_event=on_event,
    )
    return found, reports.drilled(found), _failure(found, options)


def _metrics(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    if options.json:
        raise UsageError("metrics prints Prometheus' text format, and no JSON object", "leave --json out")
    to = None if options.output == "-" else options.output
    text = dlbackup.metrics(options.store, to, **_live(options))
    return None, "" if to else text.removesuffix("\n"), None


def _live(options: argparse.Namespace) -> dict[str, Any]:
    if options.metadata_schema is not None and options.catalog is None:
        raise UsageError("--metadata-schema is of the live catalog, and none is named", "add --catalog ADDRESS")
    return {name: getattr(options, name) for name in ("catalog", "metadata_schema", "wait", "engine")}


def _list(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    found = dlbackup.backups(options.store, **_live(options))
    return found, inventories.listed(found, datetime.now(UTC)), None


def _prune(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    policy = dlbackup.Policy(
        last=options.keep_last,
        hourly=options.keep_hourly,
        daily=options.keep_daily,
        weekly=options.keep_weekly,
        monthly=options.keep_monthly,
        yearly=options.keep_yearly,
        within=options.keep_within,
    )
    accepted = {"yes": options.yes, "other_lakes": options.other_lakes}
    done = dlbackup.prune(options.store, policy, **accepted, **_live(options), on_event=on_event)
    return done, inventories.pruned(done), None


def _pin(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    done = dlbackup.pin(options.backup, name=options.name)
    return done, inventories.pinned(done), None


def _release(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    done = dlbackup.release(options.backup, name=options.name)
    return done, inventories.released(done), None


LOOKS = frozenset({"verify", "plan", "check", "info", "cat", "metrics", "list"})
"""Commands that change nothing."""
JUDGES = frozenset({"verify", "check", "plan", "drill"})
"""Commands whose answer means nothing once something of them was cut off."""
COMMANDS: dict[str, Callable[[argparse.Namespace, OnEvent], tuple[object, str, DlbackupError | None]]] = {
    "dump": _dump,
    "verify": _verify,
    "restore": _restore,
    "copy": _copy,
    "migrate": _migrate,
    "plan": _plan,
    "check": _check,
    "unbar": _unbar,
    "info": _info,
    "cat": _cat,
    "drill": _drill,
    "metrics": _metrics,
    "list": _list,
    "prune": _prune,
    "pin": _pin,
    "release": _release,
}
