"""A folder as a store: what a dump and a migration put there, and what is listed, kept and removed."""

from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli
from support.comparison import execute
from support.lakes.lakes import LakeFactory

import dlbackup
from dlbackup.backupfile import prover
from dlbackup.errors import Corrupt
from dlbackup.inventory import names
from dlbackup.inventory.fileids import FileIds
from dlbackup.inventory.listing import listing_of
from dlbackup.inventory.record import Record, read
from dlbackup.stores.folder import Folder, local
from dlbackup.verbs import dump as verb


def test_a_dump_into_a_folder_is_proved_and_recorded(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """Its record says what dump and verify found, and which lake it is of; a file gets none, nor does --no-verify."""
    made = lake("plain", "1.0")

    said = cli("dump", made.url, "-o", "backups/", "--json").json()
    proved = cli("verify", said["path"], "--json").json()
    for name in ("a.sql.zst", "other/"):
        assert cli("dump", made.url, "-o", name, "--no-verify", "--json").json()["record"] is None
    assert cli("dump", made.url, "-o", "b.sql.zst", "--json").json()["record"] is None

    record = read(local(tmp_path / said["record"]), Record)
    backup = Path(said["path"]).name
    assert (record.backup, said["record"]) == (backup, f"backups/{names.record_of(backup)}")
    for key in ("spec_version", "snapshot_id", "tables", "rows"):
        assert getattr(record, key) == said[key] == proved[key]
    assert (record.file_bytes, record.sha256, record.raw_bytes, record.fingerprint) == (
        (tmp_path / said["path"]).stat().st_size,
        said["sha256"],
        said["raw_bytes"],
        said["fingerprint"],
    )
    rows = cli("cat", said["path"], "ducklake_schema", "--format", "jsonl").stdout
    assert f'"schema_uuid":"{record.lake}"' in rows.replace(": ", ":")
    files = cli("cat", said["path"], "ducklake_data_file").stdout.splitlines()[1:]
    assert (record.data_files, record.made_by, record.encrypted) == (len(files), "dump", False)
    deletes = cli("cat", said["path"], "ducklake_delete_file").stdout.splitlines()[1:]
    assert FileIds.of_text(record.file_ids or "") == FileIds.of(int(line.split(",")[0]) for line in files + deletes)
    (entry,) = listing_of(Folder(tmp_path / "backups")).entries
    assert (entry.state, entry.record) == ("good", record)


def test_damage_that_the_reading_back_finds(
    lake: LakeFactory, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 3 names the file, which stays without a record; nothing takes it for a good one."""
    made = lake("plain", "1.0")

    def prove(backup: dlbackup.Backup, **options: Any) -> Any:
        path = Path(backup.path)
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 1
        path.write_bytes(data)
        return prover.prove(backup, **options)

    monkeypatch.setattr(verb, "prove", prove)

    with pytest.raises(Corrupt) as caught:
        dlbackup.dump(made.url, tmp_path)

    (path,) = tmp_path.iterdir()
    assert caught.value.message.startswith(f"{path} was written and does not verify: ")
    assert "dump again" in caught.value.hint
    assert isinstance(caught.value.result, dlbackup.Backup)
    (entry,) = listing_of(Folder(tmp_path)).entries
    assert entry.state == "unlisted"


def test_a_catalog_that_is_not_well_is_told_from_a_disk(lake: LakeFactory, cli: Cli, tmp_path: Path) -> None:
    """What is wrong in the catalog is exit 3 with the command that says what; the file is there, and in the JSON."""
    made = lake("plain", "1.0")
    execute(made.url, "insert into ducklake_metadata (key, value) values ('version', '0.3')")

    done = cli("dump", made.url, "--json")

    said = done.json()
    assert (done.exit_code, said["exit_code"], said["error"]["type"]) == (3, 3, "NotVerified")
    assert "dlbackup check ADDRESS" in said["error"]["hint"]
    assert [path.name for path in tmp_path.iterdir()] == [Path(said["path"]).name]
    assert (said["record"], "contents" in said) == (None, False)


def test_a_lake_that_cleans_up_before_its_backups_go_is_warned_of(lake: LakeFactory, cli: Cli) -> None:
    """`check --store` compares the lake's own clean-up with the oldest backup that is kept; a backup has none."""
    made = lake("plain", "1.0")
    path = cli("dump", made.url, "-o", "backups/", "--json").json()["path"]
    fine = cli("check", made.url, "--store", "backups/", "--json").json()
    execute(made.url, "insert into ducklake_metadata (key, value) values ('delete_older_than', '0 seconds')")

    warned = cli("check", made.url, "--store", "backups/", "--json")

    assert [finding["rule"] for finding in fine["findings"]] == []
    assert "clean-up against 1 backup in backups/" in fine["looked_at"]
    (finding,) = warned.json()["findings"]
    assert (warned.exit_code, finding["severity"], finding["rule"]) == (0, "warning", "clean-up-before-backups-go")
    assert "CALL lake.set_option('delete_older_than', '2 days')" in finding["message"]
    assert cli("check", path, "--store", "backups/").exit_code == 2


def test_a_backup_whose_files_are_gone_fills_no_slot(lake: LakeFactory, cli: Cli) -> None:
    """`prune --catalog` asks the live catalog, and keeps the last backup that can still be restored in full."""
    made = lake("plain", "1.0")
    whole = cli("dump", made.url, "-o", "backups/", "--json").json()["path"]
    execute(made.url, "update ducklake_data_file set data_file_id = 9999 where data_file_id = 0")
    broken = cli("dump", made.url, "-o", "backups/", "--json").json()["path"]
    execute(made.url, "update ducklake_data_file set data_file_id = 0 where data_file_id = 9999")

    for live, goes in (((), whole), (("--catalog", made.url), broken)):
        said = cli("prune", "backups/", "--keep-last", "1", *live, "--json").json()
        assert [one["name"] for one in said["remove"]] == [Path(goes).name]


def test_metrics_tell_of_data_files(lake: LakeFactory, cli: Cli) -> None:
    """`metrics --catalog` counts backups by what the live catalog says; one that can't be read leaves the file be."""
    made = lake("plain", "1.0")
    cli("dump", made.url, "-o", "backups/")
    asked = ("metrics", "backups/", "--catalog", made.url)
    schedule = "insert into ducklake_files_scheduled_for_deletion select data_file_id, path, path_is_relative, now()"
    go = "delete from ducklake_data_file where data_file_id = 0"

    for state, statements in {
        "whole": (),
        "at_risk": (f"{schedule} from ducklake_data_file where data_file_id = 0", go),
        "gone": ("delete from ducklake_files_scheduled_for_deletion",),
    }.items():
        execute(made.url, *statements)
        said = cli(*asked).stdout
        assert (said.count(f'state="{state}"}} 1'), "restorable_until" in said) == (1, state == "at_risk")

    assert "dlbackup_backup_files" not in cli("metrics", "backups/").stdout
    assert cli(*asked, "-o", "x.prom").exit_code == 0
    before = (cli.cwd / "x.prom").read_text()
    refused = cli("metrics", "backups/", "--catalog", f"{made.url}_gone", "-o", "x.prom")
    assert (refused.exit_code, (cli.cwd / "x.prom").read_text()) == (1, before)
