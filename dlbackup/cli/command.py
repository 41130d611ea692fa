"""
The command line: parse arguments, call the API, print the result.

Results go to standard output, everything else to standard error. With `--json` standard output is exactly
one JSON object, also on failure. Exit codes come from the error classes.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import dlbackup
from dlbackup.cli.calls import COMMANDS, JUDGES, LOOKS
from dlbackup.cli.options import command_line
from dlbackup.cli.terminal import Screen, say, say_as_json, written
from dlbackup.errors import DlbackupError, Interrupted, Refused, StorageError, masked
from dlbackup.records import encode
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
        record, text, error = COMMANDS[options.command](options, screen.show)
    if options.command in JUDGES:
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
        if options.command in LOOKS:
            raise
    except StorageError as exc:
        if not _is_output_taken(options):
            raise _untold(options.command, exc, record, text) from exc
    return (Refused.exit_code if getattr(record, "blocked", False) else 0), answer


def _untold(command: str, failure: StorageError, record: object, text: str) -> StorageError:
    """Return what to raise where a result can't be written: of what was done, it says that it is done, and what."""
    if command in LOOKS:
        return failure
    message = f"{command} did what it was to do, but can't say so: {failure.message}"
    error = StorageError(message, f"it would have said: {text}")
    error.result = record
    return error


def _public(record: object) -> Any:
    answer = encode(record, keep_defaults=True)
    answer.pop("contents", None)
    return answer
