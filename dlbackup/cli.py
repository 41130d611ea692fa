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
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

from dlbackup import check, dump, info, migrate, plan, reports, restore, unbar, verify
from dlbackup.address import masked
from dlbackup.backupfile import LEVEL
from dlbackup.crew import JOBS
from dlbackup.errors import DlbackupError, Interrupted, Unhealthy, UsageError
from dlbackup.migration import MigrateOptions
from dlbackup.progress import Event, OnEvent
from dlbackup.records import encode
from dlbackup.restore import RestoreOptions

_ADDRESS = (
    "where the catalog is: postgres:dbname=..., postgresql://..., with or without ducklake: in front; "
    "libpq's environment (PGHOST, PGUSER, PGPASSWORD, PGSERVICE ...) counts"
)
_EXIT_CODES = """\
exit codes:
  0  done
  1  failed; nothing was changed
  2  wrong usage
  3  a backup is damaged or does not verify; check found errors
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
    signal.signal(number, _interrupt_again)
    raise Interrupted(f"interrupted by {signal.Signals(number).name}")


def _interrupt_again(number: int, frame: FrameType | None) -> NoReturn:
    """Asked twice: what is cleaned up doesn't wait for a server that is silent."""
    sessions = sys.modules.get("dlbackup.catalogs.sessions")
    if sessions is not None:
        sessions.cut_all()
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
    _add_plan(commands)
    _add_check(commands)
    _add_unbar(commands)
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
    parser.add_argument(
        "--jobs",
        type=int,
        default=JOBS,
        metavar="N",
        help="processes that read and compress, each on a connection of its own (default here: %(default)s);"
        " the file is the same",
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
        jobs=options.jobs,
        on_event=on_event,
    )
    return backup, reports.dumped(backup), None


def _add_verify(commands: _Commands) -> None:
    more = "Every byte, every statement and every row is checked; without --rehearse no server is needed."
    parser = _command(commands, "verify", "prove a backup good", more, _verify)
    parser.add_argument("backup", metavar="BACKUP", help="the file that dump wrote")
    parser.add_argument(
        "--data-files",
        action="store_true",
        help="also look whether every data file on this machine is there with its recorded size",
    )
    parser.add_argument(
        "--rehearse",
        metavar="ADDRESS",
        help="also restore it into a scratch schema of that PostgreSQL database, migrate that if need be, and open it",
    )
    parser.add_argument(
        "--engine",
        metavar="PATH",
        help="for --rehearse: the python of the environment whose DuckDB opens it (default: this one)",
    )


def _verify(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, DlbackupError | None]:
    from dlbackup.errors import NotVerified

    engine = Path(options.engine) if options.engine else None
    report = verify(
        options.backup,
        rehearse=options.rehearse,
        engine=engine,
        data_files=options.data_files,
        on_event=on_event,
    )
    if report.ok:
        return report, reports.verified(report), None
    return (
        report,
        reports.verified(report),
        NotVerified(reports.verdict(report), "do not rely on this backup; take another one"),
    )


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
    add(
        "--no-data-files",
        dest="data_files",
        action="store_false",
        help="do not look whether the data files on this machine are there",
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
    return restored, reports.restored(restored, read_back=options.read_back), None


def _add_migrate(commands: _Commands) -> None:
    more = "Always dump, verify, attach, in that order; a failed backup blocks the migration."
    parser = _command(commands, "migrate", "migrate a catalog to the engine's newest spec version", more, _migrate)
    _migrate_options(parser)


def _migrate_options(parser: argparse.ArgumentParser) -> None:
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
    add(
        "--bar-stale-clients",
        action="store_true",
        help="leave constraints behind that make harmful writes of older clients fail; dlbackup unbar removes them",
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise ValueError(text)
    return value


def _as_migrate_options(options: argparse.Namespace) -> MigrateOptions:
    return MigrateOptions(
        metadata_schema=options.metadata_schema,
        backup_dir=options.backup_dir,
        to=options.to,
        engine=Path(options.engine) if options.engine else None,
        rehearsal=options.rehearsal,
        mend=options.mend,
        accept_loss=tuple(options.accept_loss),
        terminate_clients=options.terminate_clients,
        ignore_clients=options.ignore_clients,
        bar_stale_clients=options.bar_stale_clients,
        lock_timeout_s=options.lock_timeout,
        attach_timeout_s=options.attach_timeout,
    )


def _migrate(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    result = migrate(options.address, _as_migrate_options(options), on_event=on_event)
    return result, reports.migrated(result), None


def _add_check(commands: _Commands) -> None:
    more = "Every rule is in docs/rules.md. Changes nothing; damage with a known mend is explained with the SQL."
    parser = _command(commands, "check", "check a catalog, or the one in a backup, for damage", more, _check)
    parser.add_argument("target", metavar="ADDRESS|BACKUP", help=f"a backup file, or {_ADDRESS}")
    _schema_option(parser)


def _check(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, DlbackupError | None]:
    report = check(options.target, metadata_schema=options.metadata_schema, on_event=on_event)
    if report.ok:
        return report, reports.checked(report), None
    hint = "dump it before anything else; docs/rules.md says what each rule means and what to do"
    return report, reports.checked(report), Unhealthy(reports.damage(report), hint)


def _add_plan(commands: _Commands) -> None:
    more = "Looks at catalog and engine, and changes nothing; takes the same options as migrate."
    parser = _command(commands, "plan", "say what migrate would do, and what stands in its way", more, _plan)
    _migrate_options(parser)


def _plan(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    found = plan(options.address, _as_migrate_options(options))
    return found, reports.planned(found), None


def _add_unbar(commands: _Commands) -> None:
    more = "Takes away what migrate --bar-stale-clients left, once no client from before the migration is left."
    parser = _command(commands, "unbar", "take the bars against stale clients away", more, _unbar)
    parser.add_argument("address", metavar="ADDRESS", help=_ADDRESS)
    _schema_option(parser)


def _unbar(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    result = unbar(options.address, metadata_schema=options.metadata_schema)
    return result, reports.unbarred(result), None


def _add_info(commands: _Commands) -> None:
    more = "Looks with plain SQL, or at a backup's manifest, and changes nothing."
    parser = _command(commands, "info", "say what is in a catalog or a backup", more, _info)
    parser.add_argument("target", metavar="ADDRESS|BACKUP", help=f"a backup file, or {_ADDRESS}")
    parser.add_argument("--fingerprint", action="store_true", help="compute what the lake means; reads all rows")
    _schema_option(parser)


def _info(options: argparse.Namespace, on_event: OnEvent) -> tuple[object, str, None]:
    found = info(options.target, metadata_schema=options.metadata_schema, fingerprint=options.fingerprint)
    return found, reports.found(found), None
