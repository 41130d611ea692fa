"""Processes of our own: what they are told, how they end, and that none is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from support.faults.faults import children, is_running
from support.waiting import wait_until

from dlbackup.runtime.child import Child, start
from dlbackup.transfer import feed_child


def answers() -> None:
    """Say where modules are looked for, and the first line that is heard."""
    sys.stdout.write(f"{sys.path}\n")
    sys.stdout.flush()
    sys.stdout.write(sys.stdin.readline())
    sys.stdout.flush()
    time.sleep(600)


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A child that was started where there is a `json.py`."""
    folder = tmp_path_factory.mktemp("where")
    (folder / "json.py").write_text("raise SystemExit('this is not json')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        child = start(answers)
    with child:
        yield child
    assert not is_running(child.pid)


def test_child_looks_for_modules_where_we_do(answering: Child) -> None:
    """
    The path of modules comes on standard input and stands in no process list; more can be told after it.

    A `json.py` where the command is run is not imported by a child while it begins.
    """
    said = answering.says.readline().decode()
    answering.say(b"words\n")
    heard = answering.says.readline()
    listed = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(answering.pid)], capture_output=True, text=True)

    assert said.strip() == str(sys.path)
    assert heard == b"words\n"
    assert listed.stdout.split()[-2:] == [answers.__module__, "answers"]
    assert sys.path[-1] not in listed.stdout


def test_terminal_reaches_no_child(answering: Child) -> None:
    """A child has a session of its own, so that an interrupt on the terminal is for us alone."""
    assert os.getsid(answering.pid) == answering.pid


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "ended with status 3 and no answer"),
        ("exit 0", "ended with status 0 and no answer"),
        ("kill -KILL $$", "was ended by SIGKILL"),
        (f"kill -{signal.SIGRTMIN + 1} $$", f"was ended by signal {signal.SIGRTMIN + 1}"),
    ],
)
def test_how_a_child_ended_is_told(script: str, words: str) -> None:
    """A status and a signal, even one without a name, are told in the same words to everybody."""
    with Child(["/bin/sh", "-c", script]) as child:
        assert child.hear(time.monotonic() + 10, 100) == b""
        assert child.ended() == words


def test_child_that_is_gone_can_be_told_and_ended_again() -> None:
    """Telling a dead child something raises nothing, and neither does ending it twice."""
    with Child(["/bin/sh", "-c", "echo last words"]) as child:
        wait_until(lambda: not child.is_there())
        child.say(b"x" * 1_000_000)
        assert child.says.read() == b"last words\n"
        child.end()


def test_hearing_has_an_end() -> None:
    """A child that says nothing is waited for until the time is up, and no longer."""
    with Child(["/bin/sh", "-c", "exec sleep 600"]) as child, pytest.raises(TimeoutError):
        child.hear(time.monotonic() + 0.1, 100)


def test_finished_child_ends_in_order() -> None:
    """Who is told that nothing follows does what it has to do at its end, and is not killed."""
    with Child(["/bin/sh", "-c", "cat; echo done"]) as child:
        child.say(b"words\n")
        child.finish()
        assert child.says.read() == b"words\ndone\n"


def test_child_that_reads_a_backup_has_no_driver() -> None:
    """It needs no connection, so it imports neither psycopg nor duckdb, which would take longer than all the rest."""
    code = f"import sys, {feed_child.__name__}; print([name for name in ('psycopg', 'duckdb') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


PARENT = """
import sys, time
from pathlib import Path
from dlbackup.engine.process import EngineProcess
from dlbackup.runtime.child import start
from dlbackup.runtime.workers import serve

with start(serve), EngineProcess(Path(sys.executable), ()) as engine:
    engine.wait_until_ready(time.monotonic() + 60)
    print("ready", flush=True)
    time.sleep(600)
"""


def test_children_that_wait_end_with_their_parent() -> None:
    """When the parent is killed, a helper and an engine that wait for work hear nothing more, and end."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"ready\n"
            waiting = children(parent.pid)
        finally:
            parent.kill()

    assert len(waiting) == 2
    wait_until(lambda: not any(map(is_running, waiting)))
