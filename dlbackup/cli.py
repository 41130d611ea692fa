"""
The command line: parse arguments, call the API, print the result.

Results go to standard output, everything else to standard error. With `--json` standard output is exactly
one JSON object, also on failure. Exit codes come from the error classes.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn, TextIO

from dlbackup import dump, info, migrate, restore, verify
from dlbackup.address import masked
from dlbackup.backupfile import LEVEL
from dlbackup.errors import DlbackupError, Interrupted, UsageError
from dlbackup.migration import MigrateOptions
from dlbackup.progress import Event, OnEvent
from dlbackup.records import encode
from dlbackup.restore import RestoreOptions
from dlbackup.verify import Verification

_ADDRESS = (
    "where the catalog is: postgres:dbname=..., postgresql://..., with or without ducklake: in front; "
    "libpq's environment (PGHOST, PGUSER, PGPASSWORD, PGSERVICE ...) counts"
)
_EXIT_CODES = """\
exit codes:
  0  done
  1  failed; nothing was changed
  2  wrong usage
  3  a backup is damaged or does not verify
  4  refused because it would be unsafe; the message names the option that accepts the risk
  5  migration failed; the catalog is as it was (proved)
  6  migration failed after the catalog had changed; the backup was restored (proved)
  7  migration failed and the state can't be proved: a person is needed
  130  interrupted; nothing was changed, or as 5 and 6 say
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, _interrupt)
    as_json = "--json" in words
    try:
        options = _parser().parse_args(words)
        return _run(options)
    except DlbackupError as exc:
        return _report(exc, as_json)
    except BrokenPipeError:
        return 1
    except Exception as exc:
        if "-v" in words or "--verbose" in words:
            raise
        reason = masked(str(exc).splitlines()[0]) if str(exc) else "no message"
        text = f"unexpected {type(exc).__name__}: {reason}"
        return _report(DlbackupError(text, "this is a bug in dlbackup: run again with -v and report it"), as_json)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(f"interrupted by {signal.Signals(number).name}")


def _report(error: DlbackupError, as_json: bool) -> int:
    _say(f"error: {error.message}", sys.stderr)
    if error.hint:
        _say(f"hint: {error.hint}", sys.stderr)
    if as_json:
        answer = encode(error.result, keep_defaults=True) if error.result else {}
        about = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
        print(json.dumps({**answer, "error": about, "exit_code": error.exit_code}, ensure_ascii=False))
    return error.exit_code


def _run(options: argparse.Namespace) -> int:
    command: Callable[[argparse.Namespace, OnEvent], tuple[object, str, DlbackupError | None]] = options.run
    record, text, error = command(options, _listener(options.quiet))
    if error is not None:
        if not options.json and text:
            _say(text)
        error.result = record
        return _report(error, options.json)
    if options.json:
        print(json.dumps(_public(record), ensure_ascii=False))
    elif text:
        _say(text, sys.stderr if getattr(options, "output", None) == "-" else sys.stdout)
    return 0


def _say(text: str, stream: TextIO | None = None) -> None:
    """Print text that may hold names from a catalog or a backup, without what would steer a terminal."""
    print("".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text), file=stream or sys.stdout)


def _public(record: object) -> Any:
    answer = encode(record, keep_defaults=True)
    answer.pop("contents", None)
    return answer


def _listener(quiet: bool) -> OnEvent:
    terminal = sys.stderr.isatty()

    def show(event: Event) -> None:
        if event.warning:
            _say(f"warning: {event.message}", sys.stderr)
        elif not quiet and terminal and event.total:
            print(f"\r{event.stage}: {event.done * 100 // event.total} %", end="", file=sys.stderr, flush=True)
            if event.done >= event.total:
                print(file=sys.stderr)
        elif not quiet:
            _say(f"{event.stage}: {event.message}", sys.stderr)

    return show


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dlbackup",
        description="Backups that prove themselves, restores and safe migrations for DuckLake catalogs.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    _add_dump(commands)
    _add_verify(commands)
    _add_restore(commands)
    _add_migrate(commands)
    _add_info(commands)
    return parser


def _version() -> str:
    from importlib.metadata import version

    return f"dlbackup {version('dlbackup')}"


_Commands = Any  # argparse's own type for a group of subcommands is private


def _command(commands: _Commands, name: str, summary: str, more: str, run: object) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}. {more}"
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("-q", "--quiet", action="store_true", help="print no progress")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="print a traceback when something unexpected fails"
    )
    return parser


def _schema_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--metadata-schema",
        metavar="NAME",
        help="the schema of the catalog, where the database holds several",
    )


def _client_options(parser: argparse.ArgumentParser) -> None:
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--terminate-clients", action="store_true", help="end the other sessions on the database first")
    choice.add_argument(
        "--ignore-clients",
        action="store_true",
        help="accept that other clients stay connected: attached DuckLake clients then crash or write by a stale view",
    )


def _add_dump(commands: _Commands) -> None:
    more = "One consistent snapshot of all catalog tables; writers are neither blocked nor waited for."
    parser = _command(commands, "dump", "write one backup of a catalog", more, _dump)
    parser.add_argument("address", metavar="ADDRESS", help=_ADDRESS)
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        default=".",
        help="a new file, a folder, or - for standard output (default: the current folder)",
    )
    parser.add_argument(
        "--level", type=int, default=LEVEL, metavar="N", help="zstd level, 1 to 22 (default: %(default)s)"
    )
    _schema_option(parser)


def _dump(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    if options.json and options.output == "-":
        raise UsageError("--json and -o - both want standard output", "write to a file")
    backup = dump(
        options.address,
        options.output,
        metadata_schema=options.metadata_schema,
        level=options.level,
        on_event=on_event,
    )
    text = (
        f"{backup.path}\n"
        f"  DuckLake {backup.spec_version or 'without a version'}, snapshot {backup.snapshot_id}, "
        f"{_count(backup.tables, 'table')}, {_count(backup.rows, 'row')}, "
        f"{_size(backup.file_bytes)} ({_size(backup.raw_bytes)} of SQL), {backup.seconds:.1f} s\n"
        f"  sha256 {backup.sha256}"
    )
    return backup, text, None


def _add_verify(commands: _Commands) -> None:
    more = "Every byte, every statement and every row is checked; no server is needed."
    parser = _command(commands, "verify", "prove a backup good", more, _verify)
    parser.add_argument("backup", metavar="BACKUP", help="the file that dump wrote")


def _verify(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, DlbackupError | None]:
    from dlbackup.errors import NotVerified

    report = verify(options.backup, on_event=on_event)
    lines = [f"{finding.severity}: {finding.rule}: {finding.message}" for finding in report.findings]
    if report.ok:
        lines.append(
            f"{report.path}: good: DuckLake {report.spec_version or 'without a version'}, "
            f"snapshot {report.snapshot_id}, {_count(report.tables, 'table')}, {_count(report.rows, 'row')} "
            f"in {_count(report.row_shapes, 'shape')}, {report.seconds:.1f} s"
        )
        return report, "\n".join(lines), None
    return (
        report,
        "\n".join(lines),
        NotVerified(_verdict(report), "do not rely on this backup; take another one"),
    )


def _verdict(report: Verification) -> str:
    errors = [finding for finding in report.findings if finding.severity == "error"]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{report.path} does not verify: {errors[0].message}{more}"


def _add_restore(commands: _Commands) -> None:
    more = "All in one transaction that ends with proof, or with nothing changed."
    parser = _command(commands, "restore", "restore a backup into a PostgreSQL database", more, _restore)
    parser.add_argument("backup", metavar="BACKUP", help="the file that dump wrote")
    parser.add_argument("address", metavar="ADDRESS", help=_ADDRESS)
    _schema_option(parser)
    add = parser.add_argument
    add(
        "--replace",
        action="store_true",
        help="put the backup in the place of the catalog that is there; that one is kept aside",
    )
    add("--drop-replaced", action="store_true", help="drop the replaced catalog instead of keeping it aside")
    add(
        "--discard-newer",
        action="store_true",
        help="accept losing snapshots that were committed after the backup",
    )
    add("--no-owner", dest="owner", action="store_false", help="leave the tables to the restoring role")
    add("--no-privileges", dest="privileges", action="store_false", help="do not grant what was granted")
    add("--data-path", metavar="NEW", help="where the data files are now, if they were moved")
    add(
        "--no-read-back",
        dest="read_back",
        action="store_false",
        help="trust the server's row counts instead of reading every row again",
    )
    _client_options(parser)


def _restore(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    if options.drop_replaced and not options.replace:
        raise UsageError("--drop-replaced needs --replace")
    names = RestoreOptions.__dataclass_fields__
    restored = restore(
        options.backup,
        options.address,
        RestoreOptions(**{name: getattr(options, name) for name in names}),
        on_event=on_event,
    )
    proof = "read back and equal" if options.read_back else "counted by the server, not read back"
    text = (
        f"restored DuckLake {restored.spec_version or 'without a version'}, snapshot {restored.snapshot_id}, "
        f"into schema {restored.schema}: {_count(restored.tables, 'table')}, {_count(restored.rows, 'row')}, "
        f"{proof}, {restored.seconds:.1f} s"
    )
    if restored.replaced:
        text += f"\nthe previous catalog is kept in schema {restored.replaced}; drop that schema when it is not needed"
    return restored, text, None


def _add_migrate(commands: _Commands) -> None:
    more = "Always dump, verify, attach, in that order; a failed backup blocks the migration."
    parser = _command(commands, "migrate", "migrate a catalog to the engine's newest spec version", more, _migrate)
    parser.add_argument("address", metavar="ADDRESS", help=_ADDRESS)
    _schema_option(parser)
    add = parser.add_argument
    add("--backup-dir", default=".", metavar="DIR", help="where the backup goes (default: the current folder)")
    add("--to", metavar="VERSION", help="refuse unless the engine migrates to exactly this version")
    add(
        "--engine",
        metavar="PATH",
        help="the python of the environment whose DuckDB migrates (default: this one)",
    )
    add(
        "--no-rehearsal", dest="rehearsal", action="store_false", help="do not migrate a copy in a scratch schema first"
    )
    add("--no-mend", dest="mend", action="store_false", help="refuse a lake that the engine's migration would damage")
    add(
        "--accept-loss",
        action="append",
        default=[],
        metavar="RULE",
        help="accept a loss that is known, by its name",
    )
    add(
        "--lock-timeout",
        type=_seconds,
        default=10.0,
        metavar="S",
        help="seconds to wait for one lock (default: %(default)g)",
    )
    add(
        "--attach-timeout",
        type=_seconds,
        default=600.0,
        metavar="S",
        help="seconds after which the engine is ended (default: %(default)g)",
    )
    _client_options(parser)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise ValueError(text)
    return value


def _migrate(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    from pathlib import Path

    result = migrate(
        options.address,
        MigrateOptions(
            metadata_schema=options.metadata_schema,
            backup_dir=options.backup_dir,
            to=options.to,
            engine=Path(options.engine) if options.engine else None,
            rehearsal=options.rehearsal,
            mend=options.mend,
            accept_loss=tuple(options.accept_loss),
            terminate_clients=options.terminate_clients,
            ignore_clients=options.ignore_clients,
            lock_timeout_s=options.lock_timeout,
            attach_timeout_s=options.attach_timeout,
        ),
        on_event=on_event,
    )
    if result.outcome == "current":
        return (
            result,
            f"current: the catalog has spec version {result.to_version} already; nothing was done",
            None,
        )
    text = (
        f"migrated from {result.from_version} to {result.to_version} at snapshot {result.snapshot_id}; "
        f"writers waited {result.writer_pause_seconds:.1f} s at most\n"
        f"the way back: dlbackup restore {result.backup} ADDRESS --replace"
    )
    for mend in result.mends:
        text += f"\nmended {mend.rule}: {_count(mend.rows, 'place')}"
    for client in result.stale_clients:
        text += f"\nstale client, must attach again: {client}"
    return result, text, None


def _add_info(commands: _Commands) -> None:
    more = "Looks with plain SQL, or at a backup's manifest, and changes nothing."
    parser = _command(commands, "info", "say what is in a catalog or a backup", more, _info)
    parser.add_argument("target", metavar="ADDRESS|BACKUP", help=f"a backup file, or {_ADDRESS}")
    parser.add_argument("--fingerprint", action="store_true", help="compute what the lake means; reads all rows")
    _schema_option(parser)


def _info(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    found = info(options.target, metadata_schema=options.metadata_schema, fingerprint=options.fingerprint)
    lines = [
        f"{found.kind} of DuckLake {found.spec_version or 'without a version'} (opened by {found.engine})",
        f"snapshot  {found.snapshot_id} of {found.snapshot_time}",
        f"content   {_count(found.tables, 'table')}, {_count(found.rows, 'row')}, {_size(found.bytes)}",
        f"source    database {found.database}, schema {found.schema}, PostgreSQL {found.server_version}",
    ]
    if found.fingerprint:
        lines.append(f"meaning   {found.fingerprint}")
    if found.created:
        lines.append(f"taken     {found.created}")
    lines += [f"left out  {what}" for what in found.left_out]
    return found, "\n".join(lines), None


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
