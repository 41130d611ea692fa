"""Engines, played by a script: which process does which job, and what a dead one or the job before spoils."""

import os
import signal
import sys
from pathlib import Path

import pytest
from support.faults.faults import is_running
from support.waiting import wait_until

from dlbackup.addresses.address import parse_address
from dlbackup.engine.engine import Engine, check_opens
from dlbackup.engine.statements import Target
from dlbackup.errors import AttachFailed

_TARGET = Target(
    address=parse_address("postgres:dbname=x password=s3cr3t"),
    schema="public",
    name="dlbackup-engine-1",
    lock_timeout_ms=1000,
)
_READY = "echo '{\"ready\": true}'"
_DONE = "echo '{\"results\": []}'"
_FAILED = 'echo \'{"error": {"type": "IOException", "message": "no"}}\''


def _engine(folder: Path, *lines: str) -> Engine:
    """Return an engine that writes down its process, hears the extensions, and does what the lines say."""
    script = folder / "python"
    script.write_text("\n".join(["#!/bin/sh", f"echo $$ >> {folder}/started", "read extensions", *lines, ""]))
    script.chmod(0o755)
    return Engine(python=script, duckdb_version="1.5.5", spec_version="1.0")


def _started(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "started").read_text().split()]


def _jobs(folder: Path) -> str:
    return f"while read -r job; do echo $$ >> {folder}/worked; {_DONE}; done"


def _worked(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "worked").read_text().split()]


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_jobs_are_done_by_the_process_that_waits(tmp_path: Path) -> None:
    """One process is ready when it counts, and does one job after the other."""
    with _engine(tmp_path, _READY, _jobs(tmp_path)) as engine:
        engine.stand_by()
        first = _started(tmp_path)
        for _ in range(3):
            check_opens(engine, _TARGET, (1,), 10)
            engine.stand_by()

    assert _started(tmp_path) == first
    assert _worked(tmp_path) == first * 3
    assert all(map(_is_gone, first))


def test_process_that_died_waiting_is_replaced(tmp_path: Path) -> None:
    """A process that was killed while it waited is replaced, at its next job or when one is to stand by."""
    with _engine(tmp_path, _READY, _jobs(tmp_path)) as engine:
        for stands_by in (False, True):
            engine.stand_by()
            os.kill(_started(tmp_path)[-1], signal.SIGKILL)
            wait_until(lambda: not is_running(_started(tmp_path)[-1]))
            if stands_by:
                engine.stand_by()
            check_opens(engine, _TARGET, (1,), 10)

    assert len(_started(tmp_path)) == 3
    assert _worked(tmp_path) == _started(tmp_path)[1:]


def test_process_without_a_job_ends_with_the_block(tmp_path: Path) -> None:
    """Whatever happens in the block, no process is left behind it."""
    with pytest.raises(KeyError), _engine(tmp_path, _READY, _jobs(tmp_path)) as engine:
        engine.stand_by()
        raise KeyError

    assert len(_started(tmp_path)) == 1
    assert all(map(_is_gone, _started(tmp_path)))


def test_process_ends_with_its_job_that_is_late(tmp_path: Path) -> None:
    """An engine that misses its deadline is gone before its failure is told: what follows may undo what it did."""
    with _engine(tmp_path, _READY, "read -r job; exec sleep 60") as engine:
        engine.stand_by()
        with pytest.raises(AttachFailed, match=r"did not answer within 0\.2 s"):
            check_opens(engine, _TARGET, (1,), 0.2)
        assert all(map(_is_gone, _started(tmp_path)))


@pytest.mark.parametrize(
    "failure", [_FAILED, "kill -KILL $$", "exit 3", "echo nonsense; exit 0", "exec yes", "exec sleep 60"]
)
def test_process_whose_job_failed_does_no_other(tmp_path: Path, failure: str) -> None:
    """After a job failed, however it did, its process is gone, and the next job is done by a fresh one."""
    lines = f"if [ -e {tmp_path}/failed ]; then {_jobs(tmp_path)}; fi; read -r job; touch {tmp_path}/failed; {failure}"
    with _engine(tmp_path, _READY, lines, "read -r more") as engine:
        with pytest.raises(AttachFailed):
            check_opens(engine, _TARGET, (1,), 1)
        assert all(map(_is_gone, _started(tmp_path)))
        check_opens(engine, _TARGET, (1,), 10)

    assert len(_started(tmp_path)) == 2
    assert _worked(tmp_path) == _started(tmp_path)[1:]


def test_engine_that_can_not_get_ready_fails_with_its_reason_at_its_job(tmp_path: Path) -> None:
    """Standing by raises nothing; the job says why there is no engine, as it does without."""
    with _engine(tmp_path, 'echo \'{"error": {"type": "ImportError", "message": "no duckdb"}}\'') as engine:
        engine.stand_by()
        with pytest.raises(AttachFailed, match="ImportError: no duckdb"):
            check_opens(engine, _TARGET, (1,), 10)


def test_missing_python_is_told_at_the_job() -> None:
    """Nothing can stand by where there is no Python, and nothing is raised for it."""
    with Engine(python=Path("/nonexistent/python"), duckdb_version="1.5.5", spec_version="1.0") as engine:
        engine.stand_by()
        with pytest.raises(AttachFailed, match="can't start /nonexistent/python"):
            check_opens(engine, _TARGET, (1,), 10)


def test_password_reaches_no_waiting_process(tmp_path: Path) -> None:
    """A process that waits knows nothing of the catalog; the password comes with the job, on standard input."""
    told = f"printf '%s\\n' \"$extensions\" > {tmp_path}/first"
    with _engine(tmp_path, _READY, told, _jobs(tmp_path)) as engine:
        engine.stand_by()
        check_opens(engine, _TARGET, (1,), 10)

    assert (tmp_path / "first").read_text() == '{"extensions": ["ducklake", "postgres"]}\n'


_DUCKDB = """
import os
__version__ = "1.5.5"

class Connection:
    attached = []

    def execute(self, statement):
        self.rows = self.attached if "duckdb_databases" in statement else [(os.environ.get(statement),)]
        if statement.startswith("ATTACH"):
            self.attached.append(("lake",))
        return self

    def fetchall(self):
        return self.rows

def connect(**_):
    return Connection()
"""


def _engine_with_a_false_duckdb(folder: Path) -> Engine:
    """Return an engine whose process is the real one, and whose statements name what is wanted of its environment."""
    (folder / "duckdb.py").write_text(_DUCKDB)
    script = folder / "python"
    words = f"echo $$ >> {folder}/started; PYTHONPATH={folder} exec {sys.executable}"
    script.write_text(f'#!/bin/sh\n{words} "$@"\n')
    script.chmod(0o755)
    return Engine(python=script, duckdb_version="1.5.5", spec_version="1.0")


def test_password_is_known_for_one_job_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next job of the same process finds the environment as it was: a password gone, another one back."""
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", "theirs")
    statements = ["PGPASSWORD", "PGPASSFILE"]
    both = Target(
        address=parse_address("postgres:dbname=x password=s3cr3t passfile=ours"),
        schema="public",
        name="name",
        lock_timeout_ms=1000,
    )
    none = Target(address=parse_address("postgres:dbname=x"), schema="public", name="name", lock_timeout_ms=1000)

    with _engine_with_a_false_duckdb(tmp_path) as engine:
        seen = [engine.run(target, statements, 10)[1:] for target in (none, both, none)]

    assert seen == [[[[None]], [["theirs"]]], [[["s3cr3t"]], [["ours"]]], [[[None]], [["theirs"]]]]
    assert len(_started(tmp_path)) == 1


def test_job_that_leaves_something_attached_has_failed(tmp_path: Path) -> None:
    """A process that would stay connected after its job is ended."""
    with _engine_with_a_false_duckdb(tmp_path) as engine:
        with pytest.raises(AttachFailed, match="left lake attached"):
            engine.run(_TARGET, ["ATTACH"], 10)
        assert all(map(_is_gone, _started(tmp_path)))


def test_engine_that_says_its_password_is_not_repeated(tmp_path: Path) -> None:
    """What an engine says in its failure is told without the password that it was given."""
    engine = _engine(tmp_path, "read -r job", 'echo \'{"error": {"type": "IOError", "message": "with s3cr3t"}}\'')

    with engine, pytest.raises(AttachFailed) as caught:
        check_opens(engine, _TARGET, (1,), 10)
    assert "IOError: with" in caught.value.message
    assert "s3cr3t" not in str(caught.value)
