"""What forks for each child of dlbackup's own: a process that has imported all that these import.

    python -P -c ... SOCKET, by `support.engines.forked`

Messages come and go by a socket, and the descriptors that a child gets with them.
"""

import fcntl
import json
import os
import socket
import sys
import tempfile
import time
import traceback
from importlib import import_module
from typing import Any

import duckdb  # noqa: F401 - so that no fork has to

import dlbackup.cli.command
import dlbackup.transfer.feed_child  # noqa: F401
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
        for number, place in zip((0, 1, 2, *job["handed"]), aside, strict=True):
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
        with collector_of_a_program():
            getattr(import_module(job["module"]), job["name"])()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - it must never go on as who forks
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)
