"""
Runs one server for a parent process, and ends it when that parent is gone, however it went.

Started as a program of its own with a pipe as stdin. The kernel closes the other end of that pipe even
when the parent is killed by SIGKILL, so its end is the one and only sign to stop. Standard library only.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading

_PATIENCE_S = 10.0


def _end_when_alone(server: subprocess.Popen[bytes], alone: threading.Event) -> None:
    # Not sys.stdin.read(): the interpreter aborts when it ends while a thread is in there.
    while os.read(sys.stdin.fileno(), 1):
        pass
    alone.set()
    # For PostgreSQL: fast shutdown, immediate shutdown, and what nothing withstands.
    for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(sign)
        try:
            server.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            continue
        return


def _main(arguments: list[str]) -> None:
    """Keep `FOLDER UID GID PROGRAM ARGUMENT...`; an empty UID and GID mean this user's own."""
    folder, uid, gid, *command = arguments
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        user=int(uid) if uid else None,
        group=int(gid) if gid else None,
        extra_groups=[] if uid else None,
    )
    alone = threading.Event()
    threading.Thread(target=_end_when_alone, args=(server, alone), daemon=True).start()
    server.wait()
    if alone.is_set():
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
