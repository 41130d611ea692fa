"""Engines asked what they can do, and how dlbackup deals with those that can't answer."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from support.engines.engines import ENGINES, engine
from support.faults.faults import MIGRATES, children, engine_that, nothing_left
from support.lakes.in_files import FileLakes
from support.lakes.lakes import Lake, LakeFactory
from support.longer import long

from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.prover import prove
from dlbackup.engine.engine import Engine, attach_migrating, check_opens, probe
from dlbackup.engine.statements import Target, attach_statement
from dlbackup.errors import AttachFailed, EngineError
from dlbackup.verbs.dump import dump


@pytest.mark.usefixtures("as_shipped")
def test_engine_of_this_environment_writes_1_0() -> None:
    """Without a choice, the engine is the DuckDB of dlbackup's own environment."""
    with probe() as found:
        assert found == Engine(python=Path(sys.executable), duckdb_version="1.5.5", spec_version="1.0")


@pytest.mark.usefixtures("as_shipped")
@pytest.mark.parametrize(("version", "spec"), ENGINES.items())
def test_engine_of_another_environment_says_what_it_writes(version: str, spec: str) -> None:
    """The spec version comes from the engine itself, whichever environment it is in."""
    python = engine(version).python

    with probe(python) as found:
        assert found == Engine(python=python, duckdb_version=version, spec_version=spec)


def test_python_without_duckdb_is_no_engine(tmp_path: Path) -> None:
    """A Python without duckdb is named, with what is missing and what to install."""
    (tmp_path / "duckdb.py").write_text("raise ModuleNotFoundError(\"No module named 'duckdb'\")\n")
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)

    with pytest.raises(EngineError, match=f"{wrapper}.*No module named 'duckdb'") as caught:
        probe(wrapper)
    assert "pip install" in caught.value.hint


def test_missing_python_is_no_engine(tmp_path: Path) -> None:
    """A path with nothing there is named, with the system's reason."""
    with pytest.raises(EngineError, match=r"nowhere/python.*No such file"):
        probe(tmp_path / "nowhere" / "python")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("", "status 0 and no answer"),
        ("not JSON", "status 0 and no answer"),
        ("null", "no answer"),
        ("{}", "no answer"),
        ('{"error": "words"}', "no answer"),
        ('{"results": 7}', "no answer"),
    ],
)
def test_engine_that_answers_nonsense_is_no_engine(tmp_path: Path, answer: str, words: str) -> None:
    """Whatever a program answers that isn't an answer, the error is one that says so."""
    wrapper = tmp_path / "python"
    wrapper.write_text(f"#!/bin/sh\nread job\nprintf '%s' '{answer}'\n")
    wrapper.chmod(0o755)

    with pytest.raises(EngineError, match=words):
        probe(wrapper)


def test_engine_that_never_stops_talking_is_ended(tmp_path: Path) -> None:
    """An endless answer is cut off long before the deadline, so that it can't fill the memory."""
    wrapper = tmp_path / "python"
    wrapper.write_text("#!/bin/sh\nread job\nexec yes 'words and words and words and words'\n")
    wrapper.chmod(0o755)

    with pytest.raises(EngineError, match="more than"):
        probe(wrapper)


def test_older_engine_is_probed_without_touching_a_catalog(tmp_path: Path) -> None:
    """Probing makes a lake of its own: an engine that must not migrate is never asked to."""
    wrapper = engine_that(tmp_path, before="os.abort()", statement=MIGRATES)

    with probe(wrapper) as found:
        assert found.spec_version == "1.0"


def test_attach_without_a_proven_backup_does_not_run() -> None:
    """Attaching with migration takes a VerifiedBackup and nothing that looks like one."""
    target = Target(
        address=parse_address("postgresql://nobody@nowhere.invalid/none"),
        schema="public",
        name="name",
        lock_timeout_ms=1000,
    )

    engine = Engine(python=Path("python"), duckdb_version="1.5.5", spec_version="1.0")

    with pytest.raises(TypeError, match="VerifiedBackup"):
        attach_migrating(engine, object(), target, 1.0)  # type: ignore[arg-type]


def test_attach_statement_holds_no_password() -> None:
    """The statement names the role, never its password or password file, and never makes a lake."""
    address = parse_address(r"postgres:host=h dbname=d user=u password='se\'cret' passfile=/some/file")
    target = Target(address=address, schema="public", name="name", lock_timeout_ms=1000)

    statement = attach_statement(target, {"AUTOMATIC_MIGRATION": True})

    assert "user=u" in statement
    assert "CREATE_IF_NOT_EXISTS FALSE" in statement
    assert not [word for word in ("cret", "passfile", "/some/file") if word in statement]
    assert "cret" not in repr(target)


@pytest.mark.parametrize(("version", "spec"), [long("1.4.4", "0.3"), long("1.5.1", "0.4"), ("1.5.5", "1.0")])
def test_process_that_waits_is_not_connected(lake: LakeFactory, version: str, spec: str) -> None:
    """Once a job is done the server has no session of the engine any more, while its process waits for the next."""
    made = lake("plain", spec)
    target = Target(address=parse_address(made.url), schema=made.schema, name="dlbackup-engine-1", lock_timeout_ms=1000)
    numbers = tuple(range(1, 4))

    with probe(engine(version).python) as opener:
        waiting = children(os.getpid())
        for _ in range(2):
            check_opens(opener, target, numbers, 60)
            nothing_left(made)
            assert set(waiting) & set(children(os.getpid()))


@pytest.mark.parametrize(
    "version", [version if version == "1.5.5" else pytest.param(version, marks=pytest.mark.long) for version in ENGINES]
)
def test_opening_a_file_writes_nothing(version: str, file_lakes: FileLakes, tmp_path: Path) -> None:
    """Others can read it meanwhile, as only who doesn't write lets them, and it stays as it is."""
    made = file_lakes.copy("plain", version, tmp_path)
    target = Target(address=parse_address(made.path), schema="main", name="dlbackup-engine-1", lock_timeout_ms=1000)
    before = made.path.read_bytes(), made.path.stat().st_mtime_ns

    with probe(made.engine.python) as opener, duckdb.connect(str(made.path), read_only=True):
        check_opens(opener, target, (0, 3), 60)

    assert (made.path.read_bytes(), made.path.stat().st_mtime_ns) == before


def test_engine_that_migrated_has_let_go(lake: LakeFactory, tmp_path: Path) -> None:
    """After a migration too: the process that did it is not connected, and opens what it made like a new one."""
    made = lake("plain", "0.3")
    target = Target(address=parse_address(made.url), schema=made.schema, name="dlbackup-engine-1", lock_timeout_ms=1000)
    verified, _ = prove(dump(made.url, tmp_path / "backup.sql.zst"))

    with probe() as migrator:
        attach_migrating(migrator, verified, target, 60)
        nothing_left(made)
        check_opens(migrator, target, (1, 2), 60)
        nothing_left(made)


@pytest.mark.parametrize("version", [it if it in ("1.3.2", "1.5.5") else long(it) for it in ENGINES])
def test_reason_of_an_engine_s_error_comes_first(plain: Lake, version: str) -> None:
    """What the server said comes first, and neither the connection string nor a long query after it."""
    missing = replace(parse_address(plain.url), parameters=parse_address(plain.url).parameters | {"dbname": "nowhere"})
    targets = {
        'database "nowhere" does not exist': Target(address=missing, schema="public", name="n", lock_timeout_ms=1000),
        "does not exist": Target(address=parse_address(plain.url), schema="elsewhere", name="n", lock_timeout_ms=1000),
    }
    for said, target in targets.items():
        with probe(engine(version).python) as opener, pytest.raises(AttachFailed) as caught:
            check_opens(opener, target, (1,), 60)
        assert said.lower() in caught.value.message[:200].lower()
        assert "application_name" not in caught.value.message
        assert "lock_timeout" not in caught.value.message
