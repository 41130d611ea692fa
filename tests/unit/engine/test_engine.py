"""Engines that are started ahead, played by a script: which process does which job, and what a dead one spoils."""

import os
import signal
from pathlib import Path

import pytest
from support.waiting import wait_until

from dlbackup.addresses.address import parse_address
from dlbackup.engine.engine import Engine, check_opens, standing_by
from dlbackup.engine.statements import Target
from dlbackup.errors import AttachFailed

_TARGET = Target(parse_address("postgres:dbname=x password=s3cr3t"), "public", "dlbackup-engine-1", 1000)
_READY = "echo '{\"ready\": true}'"
_DONE = "echo '{\"results\": []}'"


def _engine(folder: Path, *lines: str) -> Engine:
    """Return an engine that writes down its process, hears the extensions, and does what the lines say."""
    script = folder / "python"
    script.write_text("\n".join(["#!/bin/sh", f"echo $$ >> {folder}/started", "read extensions", *lines, ""]))
    script.chmod(0o755)
    return Engine(script, "1.5.5", "1.0")


def _started(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "started").read_text().split()]


def _job(folder: Path) -> str:
    return f"read -r job; echo $$ >> {folder}/worked; {_DONE}"


def _worked(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "worked").read_text().split()]


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_jobs_are_done_by_the_processes_that_wait(tmp_path: Path) -> None:
    """Two processes are ready when the block begins, each does one job, and a third job has one of its own."""
    engine = _engine(tmp_path, _READY, _job(tmp_path))

    with standing_by(engine, 2) as ready:
        first = _started(tmp_path)
        for _ in range(3):
            check_opens(ready, _TARGET, (1,), 10)

    assert len(first) == 2
    assert _started(tmp_path)[:2] == first
    assert sorted(_worked(tmp_path)) == sorted(_started(tmp_path))
    assert engine.standby == []


def test_process_that_died_waiting_is_replaced(tmp_path: Path) -> None:
    """The job of a process that was killed while it waited is done by a new one."""
    engine = _engine(tmp_path, _READY, _job(tmp_path))

    with standing_by(engine, 1) as ready:
        (killed,) = _started(tmp_path)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: not ready.standby[0].is_there())
        check_opens(ready, _TARGET, (1,), 10)

    assert killed not in _worked(tmp_path)
    assert len(_worked(tmp_path)) == 1


def test_processes_without_a_job_end_with_the_block(tmp_path: Path) -> None:
    """Whatever happens in the block, no process is left behind it."""
    engine = _engine(tmp_path, _READY, _job(tmp_path))

    with pytest.raises(KeyError), standing_by(engine, 2):
        raise KeyError

    assert len(_started(tmp_path)) == 2
    assert all(map(_is_gone, _started(tmp_path)))


def test_process_ends_with_its_job_that_is_late(tmp_path: Path) -> None:
    """An engine that misses its deadline is gone before its failure is told: what follows may undo what it did."""
    engine = _engine(tmp_path, _READY, "read -r job; exec sleep 60")

    with standing_by(engine, 1) as ready:
        with pytest.raises(AttachFailed, match=r"did not answer within 0\.2 s"):
            check_opens(ready, _TARGET, (1,), 0.2)
        assert all(map(_is_gone, _started(tmp_path)))


def test_engine_that_can_not_get_ready_fails_with_its_reason_at_its_job(tmp_path: Path) -> None:
    """Starting ahead raises nothing; the job says why there is no engine, as it does without."""
    engine = _engine(tmp_path, 'echo \'{"error": {"type": "ImportError", "message": "no duckdb"}}\'')

    with standing_by(engine, 1) as ready, pytest.raises(AttachFailed, match="ImportError: no duckdb"):
        check_opens(ready, _TARGET, (1,), 10)


def test_missing_python_is_told_at_the_job() -> None:
    """Nothing can be started ahead where there is no Python, and nothing is raised for it."""
    engine = Engine(Path("/nonexistent/python"), "1.5.5", "1.0")

    with standing_by(engine, 1) as ready, pytest.raises(AttachFailed, match="can't start /nonexistent/python"):
        check_opens(ready, _TARGET, (1,), 10)


def test_password_reaches_no_waiting_process(tmp_path: Path) -> None:
    """A process that waits knows nothing of the catalog; the password comes with the job, on standard input."""
    engine = _engine(tmp_path, _READY, f"printf '%s\\n' \"$extensions\" > {tmp_path}/first", _job(tmp_path))

    with standing_by(engine, 1) as ready:
        check_opens(ready, _TARGET, (1,), 10)

    assert (tmp_path / "first").read_text() == '{"extensions": ["ducklake", "postgres"]}\n'


def test_engine_that_says_its_password_is_not_repeated(tmp_path: Path) -> None:
    """What an engine says in its failure is told without the password that it was given."""
    engine = _engine(tmp_path, "read -r job", 'echo \'{"error": {"type": "IOError", "message": "with s3cr3t"}}\'')

    with pytest.raises(AttachFailed) as caught:
        check_opens(engine, _TARGET, (1,), 10)
    assert "IOError: with" in caught.value.message
    assert "s3cr3t" not in str(caught.value)
