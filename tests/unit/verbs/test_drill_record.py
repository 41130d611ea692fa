"""What a drill writes down beside a backup."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.backups import catalog, write_backup
from support.stores import name_at, write

import dlbackup
from dlbackup.inventory import names
from dlbackup.inventory import record as records
from dlbackup.lake.findings import Finding
from dlbackup.stores.age.armor import BEGIN
from dlbackup.stores.age.header import FIRST_LINE
from dlbackup.stores.contract import Where
from dlbackup.stores.folder import Folder
from dlbackup.verbs import drill as verb

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FOUND = Finding(
    severity="error", rule="orphan-rows", message="table payroll", count=3, evidence=("payroll",), mend="DELETE"
)


ADDRESS = "postgresql://somebody:pw-of-somebody@127.0.0.1:1/lake"


def test_no_password_is_written_down(tmp_path: Path) -> None:
    """Also where a drill ends before it has come to the server that it was given."""
    path = tmp_path / name_at(NOON)
    write_backup(path, catalog("1.0"))
    path.write_bytes(path.read_bytes()[:-9])

    done = dlbackup.drill(path, on=ADDRESS)

    assert (done.outcome, done.on) == (
        "bad",
        "a scratch schema of postgres:host=127.0.0.1 port=1 dbname=lake user=somebody",
    )
    (record,) = tmp_path.glob("*.drill*.json")
    assert "pw-of-somebody" not in record.read_text()


@pytest.mark.parametrize(
    ("content", "is_clear"), [(b"\x28\xb5\x2f\xfd", True), (FIRST_LINE, False), (BEGIN + b"\n", False)]
)
def test_nothing_of_an_encrypted_backup_is_written_down(tmp_path: Path, content: bytes, *, is_clear: bool) -> None:
    """Of what a drill found, rule and number are; the rest is of the catalog, which the store is not to know."""
    where = Where(Folder(tmp_path), name_at(NOON))
    write(where.store, where.name, content)
    drill = dlbackup.Drill(
        backup=where.name,
        ok=False,
        outcome="bad",
        proven_at=None,
        on="embedded",
        spec_version="1.0",
        snapshot_id=1,
        rows=2,
        stages=(),
        files=dlbackup.DrilledFiles(),
        rehearsed_to=None,
        findings=(FOUND,),
        started=records.as_text(NOON),
        seconds=1.0,
    )

    verb._write_down(where, drill, lambda _: None)

    beside = Where(where.store, names.drill_of(where.name, NOON))
    (found,) = records.read(beside, records.Drill).findings
    assert (found.severity, found.rule, found.count) == ("error", "orphan-rows", 3)
    assert (found == FOUND) is is_clear
    with beside.open() as file:
        assert (b"payroll" in file.read_at(0, file.size)) is is_clear
