"""
The command line: parse arguments, call the API, print the result.

Results go to standard output, everything else to standard error. With `--json` standard output is exactly
one JSON object, also on failure. Exit codes come from the error classes.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import dlbackup
from dlbackup.cli import inventories, reports
from dlbackup.cli.options import command_line
from dlbackup.cli.terminal import Output, Screen, is_one_place, say, say_as_json, written
from dlbackup.errors import DlbackupError, Interrupted, Refused, StorageError, UsageError, masked
from dlbackup.lake.findings import first_error
from dlbackup.records import encode
from dlbackup.runtime.progress import OnEvent
from dlbackup.runtime.signals import (
    ASKED,
    cut_off,
    hearing_swallowed,
    interrupt,
    interrupted,
    nobody_asked,
    raise_swallowed,
)

if TYPE_CHECKING:
    from dlbackup.cli.told import Notices, Pings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for name in ASKED:
        if name is not signal.SIGHUP or signal.getsignal(name) != signal.SIG_IGN:  # nohup
            signal.signal(name, _interrupt)
    answers = _answers(words)
    nobody_asked()
    code, told = 0, []
    answer: dict[str, Any] = {}
    try:
        options = command_line().parse_args(words)
        answers = _answers_to(options)
        told = _who_is_told(options)
        with hearing_swallowed():
            code, answer = _run(options, answers)
    except SystemExit:  # what --help and --version end with
        _let_go_of_output()
        raise
    except DlbackupError as exc:
        code, answer = _report(_said_of(exc), answers)
    except BrokenPipeError:
        code = code or 1
    except Exception as exc:  # noqa: BLE001 - a bug ends like any other failure
        if "-v" in words or "--verbose" in words:
            import traceback

            with suppress(OSError):
                traceback.print_exc()
        reason = masked(str(exc).splitlines()[0]) if str(exc) else "no message"
        text = f"unexpected {type(exc).__name__}: {reason}"
        bug = DlbackupError(text, "this is a bug in dlbackup: run again with -v and report it")
        code, answer = _report(_said_of(bug), answers)
    with suppress(Interrupted):
        for one in told:
            one.ended(code, answer)
    _let_go_of_output()
    return code


def _who_is_told(options: argparse.Namespace) -> "list[Pings | Notices]":
    """Say that a command begins to who wants to know; return all who want to know how it ends."""
    ping, notify = getattr(options, "ping", None), getattr(options, "notify", None)
    if not (ping or notify):
        return []
    from dlbackup.cli.told import Notices, Pings

    show = Screen(quiet=options.quiet).show
    told: list[Pings | Notices] = []
    if ping:
        pings = Pings(ping, show)
        pings.begun()
        told.append(pings)
    if notify:
        about = ("address", "store", "backup", "metadata_schema", "output", "backup_dir")
        given = (str(value) for name in about if (value := getattr(options, name, None)))
        told.append(Notices(notify, [options.command, *given], show))
    return told


def _answers(words: Sequence[str]) -> TextIO | None:
    """Return where the one JSON object goes of a command line that can't be understood, as far as it says."""
    if not any(len(word) > len("--") and "--json".startswith(word) for word in words):
        return None
    pairs = set(pairwise(words))
    is_backup = pairs & {("-o", "-"), ("--output", "-")} or {"-o-", "--output=-"} & set(words)
    return sys.stderr if is_backup else sys.stdout


def _answers_to(options: argparse.Namespace) -> TextIO | None:
    """Return where the one JSON object goes that was asked for: to standard output, unless that is the backup."""
    return _said_on(options) if options.json else None


def _said_on(options: argparse.Namespace) -> TextIO:
    return sys.stderr if _is_output_taken(options) else sys.stdout


def _is_output_taken(options: argparse.Namespace) -> bool:
    """Tell whether standard output is the backup."""
    return bool(options.command == "dump" and options.output == "-")


def _let_go_of_output() -> None:
    """Flush what was said; if that can't be done, keep the interpreter from failing at it once more when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, _interrupt_again)
    interrupt(number, _interrupt, Interrupted(f"interrupted by {signal.Signals(number).name}"))


def _interrupt_again(number: int, frame: FrameType | None) -> NoReturn:
    """Asked twice: what is cleaned up doesn't wait for a server that is silent."""
    cut_off()
    interrupt(number, _interrupt_again, Interrupted(f"interrupted by {signal.Signals(number).name}"))


def _said_of(error: DlbackupError) -> DlbackupError:
    """Return what to say of a failure: the interrupt, where one was swallowed and taken for something else."""
    swallowed = interrupted()
    # What a migration that was interrupted came to is found out, and no failure of what was cut off.
    if swallowed is None or isinstance(error, Interrupted | dlbackup.MigrationError):
        return error
    swallowed.hint = swallowed.hint or f"what it ended with means nothing: {error.message}"
    return swallowed


def _report(error: DlbackupError, answers: TextIO | None) -> tuple[int, dict[str, Any]]:
    """Tell a user of an error, and those who read JSON, where there are any; return exit code and JSON."""
    _say_of_failure(error)
    answer = _public(error.result) if error.result else {}
    about = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
    again = {"transient": True} if error.transient else {}
    said = {**answer, "error": about, "exit_code": error.exit_code, **again}
    if answers is not None:
        with suppress(OSError):  # whoever reads only the exit code still gets it
            say_as_json(said, answers)
    return error.exit_code, said


def _say_of_failure(error: DlbackupError) -> None:
    with suppress(OSError):  # as above, and a log may be on the disk that is full
        say(f"error: {error.message}", sys.stderr)
        if error.hint:
            say(f"hint: {error.hint}", sys.stderr)


def _run(options: argparse.Namespace, answers: TextIO | None) -> tuple[int, dict[str, Any]]:
    with Screen(quiet=options.quiet) as screen:
        record, text, error = _COMMANDS[options.command](options, screen.show)
    if options.command in _JUDGES:
        raise_swallowed()
    if error is not None:
        if answers is None and text:
            with suppress(OSError):
                say(text)
                sys.stdout.flush()
        error.result = record
        return _report(error, answers)
    answer = _public(record) if record is not None else {}
    try:
        with written():
            if answers is not None:
                say_as_json(answer, answers)
            elif text:
                say(text, _said_on(options))
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads only the first line is told nothing more of what is done
        if options.command in _LOOKS:
            raise
    except StorageError as exc:
        if not _is_output_taken(options):
            raise _untold(options.command, exc, record, text) from exc
    return (Refused.exit_code if getattr(record, "blocked", False) else 0), answer


def _untold(command: str, failure: StorageError, record: object, text: str) -> StorageError:
    """Return what to raise where a result can't be written: of what was done, it says that it is done, and what."""
    if command in _LOOKS:
        return failure
    message = f"{command} did what it was to do, but can't say so: {failure.message}"
    error = StorageError(message, f"it would have said: {text}")
    error.result = record
    return error


def _public(record: object) -> Any:
    answer = encode(record, keep_defaults=True)
    answer.pop("contents", None)
    return answer


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


_LOOKS = frozenset({"verify", "plan", "check", "info", "cat", "metrics", "list"})
"""Commands that change nothing."""
_JUDGES = frozenset({"verify", "check", "plan", "drill"})
"""Commands whose answer means nothing once something of them was cut off."""
_COMMANDS: dict[str, Callable[[argparse.Namespace, OnEvent], tuple[object, str, DlbackupError | None]]] = {
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
