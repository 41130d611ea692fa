"""What forks for each child of dlbackup's own, and for commands: a process that has imported all that these import.

    python -P -c ... SOCKET, by `support.engines.forked`

Messages come and go by a socket, and the descriptors that a child gets with them.
"""

import fcntl
import io
import json
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from importlib import import_module
from typing import Any

import duckdb  # noqa: F401 - so that no fork has to
import sqlglot.dialects.postgres  # noqa: F401

import dlbackup.__main__
import dlbackup.cli.command
import dlbackup.transfer.feed_child
import dlbackup.verbs.cat
import dlbackup.verbs.info
import dlbackup.verbs.pin
import dlbackup.verbs.verify  # noqa: F401
from dlbackup.runtime.memory import collector_of_a_program

MESSAGE_BYTES = 1 << 20
_DESCRIPTORS = 16
_ABOVE = 500
"""No child is handed a descriptor of such a number."""


def main() -> None:
    """Do what is asked until nobody is there any more."""
    asked = socket.socket(fileno=int(sys.argv[1]))
    while True:
        words, given, _, _ = socket.recv_fds(asked, MESSAGE_BYTES, _DESCRIPTORS)
        if not words:
            return
        job = json.loads(words)
        if "wait" in job:
            _, status = os.waitpid(job["wait"], 0)
            asked.send(json.dumps({"exit_code": os.waitstatus_to_exitcode(status)}).encode())
            continue
        pid = os.fork()
        if not pid:
            asked.close()
            _become(job, given)
        for number in given:
            os.close(number)
        asked.send(json.dumps({"pid": pid}).encode())


def _become(job: dict[str, Any], given: list[int]) -> None:
    """Be the child that was asked for, with the descriptors that it is given by their numbers, to its end."""
    status = 1
    try:
        aside = [fcntl.fcntl(number, fcntl.F_DUPFD, _ABOVE) for number in given]
        for number in given:
            os.close(number)
        for number in {0, 1, 2}.difference(job["numbers"]):
            os.close(number)
        for number, place in zip(job["numbers"], aside, strict=True):
            os.dup2(place, number)
            os.close(place)
        os.setsid()
        sys.path[:] = job["places"]
        os.environ.clear()
        os.environ.update(job["environment"])
        os.umask(job["umask"])
        os.chdir(job["folder"])
        time.tzset()
        tempfile.tempdir = None
        if "arguments" in job:
            sys.argv = job["arguments"]
            _make_streams()
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests may run under nohup, and then a command heeds that
        with collector_of_a_program():
            status = getattr(import_module(job["module"]), job["name"])() or 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - it must never go on as who forks
        traceback.print_exc()
    finally:
        os._exit(_flushed(status))


def _make_streams() -> None:
    """Make the standard streams of the descriptors that there are, as an interpreter does when it begins."""
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = None
        with suppress(OSError):
            os.fstat(number)
            usual = getattr(sys, f"__{name}__")
            raw = open(number, "wb" if number else "rb", 0 if unbuffered and number else -1, closefd=False)  # noqa: SIM115
            stream = io.TextIOWrapper(
                raw,
                encoding=encoding or usual.encoding,
                errors="backslashreplace" if number == 2 else errors or usual.errors,
                line_buffering=number == 2 or os.isatty(number),
                write_through=unbuffered,
            )
        setattr(sys, name, stream)


def _flushed(status: int) -> int:
    """Write what streams still hold, and return the exit code; what goes wrong is said as an interpreter does."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except (OSError, ValueError) as error:
            with suppress(OSError):
                os.write(2, f"Exception ignored: {error!r}\n".encode())
            return 120
    return status
