"""The state of a store as Prometheus reads it."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.stores import CONTENT, add_backup, drilled, pinned

import dlbackup
from dlbackup.cli.command import main
from dlbackup.errors import StorageError
from dlbackup.inventory import names
from dlbackup.inventory.horizon import Files
from dlbackup.inventory.listing import listing_of
from dlbackup.inventory.metrics import HELP, exposition
from dlbackup.inventory.record import Drill, Timed, as_text, put
from dlbackup.stores.contract import Where
from dlbackup.stores.folder import Folder
from dlbackup.stores.in_memory import InMemory

_NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def _at(day: int, hour: int) -> datetime:
    return datetime(2026, 11, day, hour, 2, 3, tzinfo=UTC)


def _parsed(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return all values by name and labels, as Prometheus' own client reads them."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert (family.type, bool(family.documentation)) == ("gauge", True)
        for sample in family.samples:
            key = (sample.name.removeprefix("dlbackup_"), tuple(sample.labels.values()))
            assert key not in found
            found[key] = sample.value
    return found


def test_all_that_a_listing_tells() -> None:
    """The newest good backup, the newest proven one, drills, and how many there are of each state."""
    store = InMemory()
    first, second = (add_backup(store, _at(day, 1), catalog="orders") for day in (26, 27))
    add_backup(store, _at(28, 1), catalog="orders", listed=False)
    add_backup(store, _at(28, 1), catalog='o"ne\\two', file_bytes=99)
    pinned(store, first, _at(26, 2))
    report = Drill(backup=first, ok=True, created=as_text(_at(27, 5)), seconds=3.0, stages=(Timed("restore", 2.0),))
    put(Where(store, names.drill_of(first, _at(27, 5))), report)
    drilled(store, second, _at(28, 5), ok=False, couldnt_run="no server")

    found = _parsed(exposition(listing_of(store), _NOW))

    orders = {name: value for (name, labels), value in found.items() if labels == ("orders",)}
    assert orders == {
        "backup_last_attempt_timestamp_seconds": _at(28, 1).timestamp(),
        "backup_last_success_timestamp_seconds": _at(27, 1).timestamp(),
        "backup_duration_seconds": 0.75,
        "backup_size_bytes": len(CONTENT),
        "backup_rows": 1000,
        "backup_tables": 30,
        "backup_snapshot_id": 4,
        "proven_backup_timestamp_seconds": _at(26, 1).timestamp(),
        "drill_last_success_timestamp_seconds": _at(27, 5).timestamp(),
        "drill_last_attempt_timestamp_seconds": _at(28, 5).timestamp(),
        "pinned_backups": 1,
    }
    assert {
        labels[1]: value for (name, labels), value in found.items() if (name, labels[:1]) == ("backups", ("orders",))
    } == {
        "good": 1,
        "proven": 1,
        "damaged": 0,
        "unlisted": 1,
    }
    assert found["drill_duration_seconds", ("orders", "restore")] == 2.0
    assert found["catalog_info", ("orders", "1.0", "16.4")] == 1
    assert found["backups", ('o"ne\\two', "damaged")] == 1
    assert ("backup_last_success_timestamp_seconds", ('o"ne\\two',)) not in found
    assert found["last_run_timestamp_seconds", ()] == _NOW.timestamp()


def test_data_files_of_good_backups() -> None:
    """How many are whole, at risk and gone, and the first time at which one may go; of others nothing is counted."""
    store = InMemory()
    known = [add_backup(store, _at(day, 1), catalog="orders") for day in (24, 25, 26, 27)]
    unlisted = add_backup(store, _at(28, 1), catalog="orders", listed=False)
    foreign = add_backup(store, _at(28, 1), catalog="stock")
    files = dict.fromkeys((unlisted, foreign), Files())
    told = [Files(state="at-risk", until=_at(day, 7), count=2) for day in (30, 29)] + [Files(state="whole")]
    files |= dict(zip(known, [Files(state="broken", count=1), *told], strict=True))

    found = _parsed(exposition(listing_of(store), _NOW, files))

    states = {labels: value for (name, labels), value in found.items() if name == "backup_files"}
    assert states == {
        ("orders", "whole"): 1,
        ("orders", "at_risk"): 2,
        ("orders", "gone"): 1,
        ("orders", "unknown"): 0,
    }
    ends = {labels: value for (name, labels), value in found.items() if name == "restorable_until_timestamp_seconds"}
    assert ends == {("orders",): _at(29, 7).timestamp()}


def test_alerts_ask_for_metrics_that_there_are() -> None:
    """Every metric in the alerts to be copied is one that is written."""
    rules = (Path(__file__).parents[3] / "examples/prometheus-alerts.yml").read_text()

    assert set(re.findall(r"dlbackup_[a-z_]+", rules)) <= set(HELP)
    assert rules.count("- alert:") == rules.count("expr:") == 8


def test_a_dashboard_asks_for_metrics_that_there_are() -> None:
    """Every query names metrics that are written, and labels that there are."""
    store = InMemory()
    backup = add_backup(store, _at(26, 1), catalog="orders")
    report = Drill(backup=backup, ok=True, created=as_text(_NOW), seconds=3.0, stages=(Timed("restore", 2.0),))
    put(Where(store, names.drill_of(backup, _NOW)), report)
    text = exposition(listing_of(store), _NOW, {backup: Files(state="at-risk", until=_NOW, count=1)})
    dashboard = json.loads((Path(__file__).parents[3] / "examples/grafana-dashboard.json").read_text())
    queries = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])

    told = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    assert told == set(HELP)
    assert set(re.findall(r"dlbackup_[a-z_]+", queries)) <= told
    labels = set(re.findall(r"(\w+)=", text))
    used = set(re.findall(r"(\w+)=", queries)) | {
        label for group in re.findall(r"(?:by|on) \(([^)]*)\)", queries) for label in group.split(", ")
    }
    assert used <= labels
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_of_a_folder_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, or in a file that its collector may read, never half of it."""
    add_backup(Folder(tmp_path), _at(26, 1), catalog="orders")

    assert main(["metrics", str(tmp_path)]) == 0
    printed = _parsed(capsys.readouterr().out)
    assert printed["backups", ("orders", "good")] == 1

    for _ in range(2):
        assert main(["metrics", str(tmp_path), "-o", str(tmp_path / "x.prom")]) == 0
        assert capsys.readouterr().out == ""
    written = tmp_path / "x.prom"
    assert _parsed(written.read_text()).keys() == printed.keys()
    assert written.stat().st_mode & 0o777 == 0o644
    assert _parsed(dlbackup.metrics(tmp_path)).keys() == printed.keys()


def test_a_store_that_can_t_be_listed_is_no_empty_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that isn't there is an error, and the last metrics stay: an alert on their age tells."""
    file = tmp_path / "x.prom"
    file.write_text("before")

    assert main(["metrics", str(tmp_path / "gone"), "-o", str(file)]) == 1
    assert "is not a folder" in capsys.readouterr().err
    assert file.read_text() == "before"
    assert main(["metrics", str(tmp_path), "--json"]) == 2


def test_only_a_file_is_written_anew(tmp_path: Path) -> None:
    """A device or a pipe is not replaced by a file, and neither is a link: what it leads to is written."""
    (tmp_path / "store").mkdir()
    pipe, link, file = (tmp_path / name for name in ("pipe", "link.prom", "file.prom"))
    os.mkfifo(pipe)
    link.symlink_to(file)

    for wrong in (pipe, tmp_path, ""):
        with pytest.raises(StorageError, match="is no file"):
            dlbackup.metrics(tmp_path / "store", wrong)
    with pytest.raises(StorageError, match="name of a backup"):
        dlbackup.metrics(tmp_path / "store", tmp_path / "one.sql.zst")
    dlbackup.metrics(tmp_path / "store", link)

    assert pipe.is_fifo()
    assert (link.is_symlink(), "dlbackup_last_run" in file.read_text()) == (True, True)
