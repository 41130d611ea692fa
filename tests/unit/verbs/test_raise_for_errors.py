"""`raise_for_errors()` raises what the command line says, and gives back what is good, to be chained."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.backups import HEADER, catalog, record, tables_with, write_backup
from support.cli import Cli
from support.plans import plain_plans

import dlbackup
from dlbackup.errors import DlbackupError

SNAPSHOT = record("snapshot", snapshot_id=1, snapshot_time="2026-03-23 17:51:00+00", next_catalog_id=0)
VERSION = record("metadata", key="version", value="1.0")
TABLES = {
    "good": catalog("1.0"),
    "unhealthy": tables_with("1.0", VERSION, SNAPSHOT, record("schema", schema_id=7, begin_snapshot=1)),
    "two-versions": tables_with("1.0", VERSION, VERSION, SNAPSHOT),
    "no-snapshot": tables_with("1.0", VERSION),
    "cut": catalog("1.0"),
    "foreign": catalog("1.0"),
}


@pytest.fixture
def backup(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The backup of that name, damaged where its name says so."""
    path = tmp_path / "backup.sql.zst"
    write_backup(path, TABLES[request.param], replace(HEADER, spec_version="1.0"))
    if request.param == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    if request.param == "foreign":
        path.write_bytes(b"not a backup\n")
    return path


def said(error: DlbackupError) -> tuple[dict[str, str], int]:
    """Return what the command line would print of an error in JSON."""
    return {"type": type(error).__name__, "message": error.message, "hint": error.hint}, error.exit_code


@pytest.mark.parametrize("backup", ["no-snapshot", "two-versions", "cut", "foreign"], indirect=True)
def test_a_bad_backup_raises_what_verify_says(backup: Path, cli: Cli) -> None:
    """Type, message, hint and exit code are those of `dlbackup verify`, and the record is at hand."""
    done = cli("verify", backup, "--json")
    report = dlbackup.verify(backup)
    with pytest.raises(dlbackup.NotVerified) as caught:
        report.raise_for_errors()

    answer = done.json()
    assert said(caught.value) == (answer["error"], answer["exit_code"])
    assert done.exit_code == 3
    assert caught.value.result is report


@pytest.mark.parametrize("backup", ["unhealthy"], indirect=True)
def test_an_unhealthy_catalog_raises_what_check_says(backup: Path, cli: Cli) -> None:
    """The same holds for `check`."""
    with plain_plans():
        done = cli("check", backup, "--json")
        report = dlbackup.check(str(backup))
    with pytest.raises(dlbackup.Unhealthy) as caught:
        report.raise_for_errors()

    answer = done.json()
    assert said(caught.value) == (answer["error"], answer["exit_code"])
    assert caught.value.result is report


@pytest.mark.parametrize("backup", ["good"], indirect=True)
def test_what_is_good_is_given_back(backup: Path) -> None:
    """A good backup and a healthy catalog raise nothing; the record comes back."""
    report, healthy = dlbackup.verify(backup), dlbackup.Check(ok=True, spec_version="1.0", findings=())

    assert report.raise_for_errors() is report
    assert healthy.raise_for_errors() is healthy
