"""The data files that a backup refers to: which are missing, changed, or soon to be deleted."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli
from support.comparison import execute
from support.faults.failures import failure
from support.faults.faults import state
from support.lakes.lakes import Lake, LakeFactory, LakeKind
from support.lakes.private_lake import private_lake


def _rules(answer: dict[str, Any]) -> dict[str, str]:
    return {finding["rule"]: finding["message"] for finding in answer["findings"]}


def _parquet(made: Lake) -> list[Path]:
    """Return the lake's own files, without the one that was added from outside."""
    return sorted(path for path in made.data_path.rglob("*.parquet") if path.name != "added.parquet")


@pytest.fixture
def private(lake: LakeFactory, tmp_path: Path) -> Lake:
    """A plain lake of 1.0 with data files of its own."""
    return private_lake(lake("plain", "1.0"), tmp_path / "it's data")


@pytest.mark.parametrize(
    "kind, spec",
    [
        *(("plain", "1.0"), ("zoo", "0.3")),
        *(pytest.param("plain", spec, marks=pytest.mark.long) for spec in ("0.2", "0.3")),
    ],
)
def test_files_of_a_healthy_lake_are_all_there(lake: LakeFactory, cli: Cli, kind: LakeKind, spec: str) -> None:
    """Every path of every version leads to a file of the recorded size, through schemas, renames and added files."""
    backup = cli("dump", lake(kind, spec).url, "--json").json()["path"]

    done = cli("verify", backup, "--json", "--data-files")

    assert (done.exit_code, done.json()["findings"]) == (0, [])


def test_missing_and_changed_files_are_found(private: Lake, cli: Cli) -> None:
    """A deleted file and one that is a byte longer are errors with their paths; the backup itself stays good."""
    backup = cli("dump", private.url, "--json").json()["path"]
    gone, longer = _parquet(private)[:2]
    gone.unlink()
    longer.write_bytes(longer.read_bytes() + b"x")

    done = cli("verify", backup, "--json", "--data-files")

    assert done.exit_code == 3
    found = _rules(done.json())
    assert found.keys() == {"missing-data-files", "data-file-sizes"}
    assert found["missing-data-files"].startswith("1 of ")
    assert str(gone) in found["missing-data-files"]
    assert str(longer) in found["data-file-sizes"]
    assert "do not rely" not in done.stderr
    assert cli("verify", backup).exit_code == 0


@pytest.mark.parametrize("of_backup", [pytest.param(False, marks=pytest.mark.long), True])
def test_check_looks_at_files_when_asked(private: Lake, cli: Cli, of_backup: bool) -> None:
    """`check --data-files` finds them too, of a catalog and of a backup; without it, it says that it didn't look."""
    target = cli("dump", private.url, "--json").json()["path"] if of_backup else private.url
    whole = cli("check", target, "--data-files", "--json").json()
    _parquet(private)[0].unlink()

    unasked = cli("check", target, "--json").json()
    broken = cli("check", target, "--data-files", "--json")

    assert whole["ok"]
    assert any(text.startswith("data files: not asked for") for text in unasked["not_looked_at"])
    assert (unasked["ok"], broken.exit_code, broken.json()["ok"]) == (True, 3, False)
    assert _rules(broken.json()).keys() == {"missing-data-files"}
    assert any(" data files: whether they are there" in text for text in broken.json()["looked_at"])
    assert "what is in data files" in whole["not_looked_at"]


def test_check_says_which_files_it_did_not_look_at(lake: LakeFactory, cli: Cli) -> None:
    """Files in object storage are a warning, and named in the text beside the verdict."""
    made = lake("plain", "1.0")
    execute(made.url, "update ducklake_metadata set value = 's3://bucket/lake/' where key = 'data_path'")

    done = cli("check", made.url, "--data-files")

    assert done.exit_code == 0
    assert "healthy: DuckLake 1.0, 1 warning" in done.stdout
    assert f"not looked at: {len(_parquet(made))} data files that are out of reach" in done.stdout


def test_files_in_object_storage_are_not_looked_at(lake: LakeFactory, cli: Cli) -> None:
    """Files at a URL are a warning: nothing is said of them, good or bad."""
    made = lake("plain", "1.0")
    execute(made.url, "update ducklake_metadata set value = 's3://bucket/lake/' where key = 'data_path'")
    backup = cli("dump", made.url, "--json").json()["path"]

    done = cli("verify", backup, "--json", "--data-files")

    assert done.exit_code == 0
    found = _rules(done.json())
    assert found.keys() == {"remote-data-files"}
    assert found["remote-data-files"].startswith(f"{len(_parquet(made))} of {len(_parquet(made)) + 1} ")


def test_files_of_a_missing_folder_are_counted(private: Lake, cli: Cli) -> None:
    """Where a table's whole folder is gone, all its files are missing, and the message says how many and where."""
    backup = cli("dump", private.url, "--json").json()["path"]
    folder = _parquet(private)[0].parent
    gone = len(list(folder.rglob("*.parquet")))
    shutil.rmtree(folder)
    other = _parquet(private)[-1]
    other.unlink()

    done = cli("verify", backup, "--json", "--data-files")

    message = _rules(done.json())["missing-data-files"]
    assert message.startswith(f"{gone + 1} of ")
    assert f"{gone} in {folder}/" in message
    assert str(other) in message


def test_restore_warns_of_files_that_are_gone(private: Lake, database: str, cli: Cli) -> None:
    """A catalog is restored whether its files are there or not, and standard error says which are missing."""
    backup = cli("dump", private.url, "--json").json()["path"]
    gone = _parquet(private)[0]
    gone.unlink()

    done = cli("restore", backup, database, "--json")
    assert done.exit_code == 0, done.stderr
    assert f"warning: 1 of {len(_parquet(private)) + 2} data files are missing" in done.stderr
    assert str(gone) in done.stderr
    assert done.json()["missing_data_files"] == 1
    unasked = cli("restore", backup, database, "--replace", "--drop-replaced", "--no-data-files", "--json")
    assert (unasked.exit_code, "warning" in unasked.stderr) == (0, False)
    assert unasked.json()["missing_data_files"] is None


def test_catalog_is_not_replaced_by_one_without_files(private: Lake, cli: Cli) -> None:
    """Over a catalog, a backup whose data files are gone is restored only when the user accepts that by name."""
    backup = cli("dump", private.url, "--json").json()["path"]
    before = state(private.url)
    words = ("restore", backup, private.url, "--replace", "--drop-replaced", "--data-path", "/no/such/folder")

    refused = cli(*words)
    assert "/no/such/folder/" in refused.stderr
    failure(refused, 4, "data files that the backup needs are missing", hint="--missing-data-files")
    assert state(private.url) == before
    accepted = cli(*words, "--missing-data-files", "--json")
    assert accepted.exit_code == 0, accepted.stderr
    assert accepted.json()["missing_data_files"] > 0


def test_catalog_is_not_replaced_by_one_whose_files_changed(private: Lake, cli: Cli) -> None:
    """A file that was cut off while it was copied back is as good as gone, and the way back has the option for it."""
    backup = cli("dump", private.url, "--json").json()["path"]
    before = state(private.url)
    _parquet(private)[0].write_bytes(b"PAR1")
    words = ("restore", backup, private.url, "--replace")

    failure(
        cli(*words), 4, "1 data file that the backup needs is of another size than it says", hint="--missing-data-files"
    )
    assert state(private.url) == before
    accepted = cli(*words, "--missing-data-files", "--json")
    assert accepted.exit_code == 0, accepted.stderr
    assert "--missing-data-files" in accepted.json()["way_back"]["command"]


def test_restore_names_what_it_would_lose(private: Lake, cli: Cli) -> None:
    """Snapshots that the backup doesn't have are refused with their number, their time and their authors."""
    backup = cli("dump", private.url, "--json").json()["path"]
    author = "call lake.set_commit_message('Ada L.', 'more')"
    for number in range(2):
        statements = ["begin", author, f"insert into lake.visits values ('2025-01-0{number + 1}', '/x')", "commit"]
        private.engine.run(private.url, None, statements)

    done = cli("restore", backup, private.url, "--replace", "--json")

    assert (done.exit_code, done.json()["error"]["type"]) == (4, "NewerSnapshots")
    assert "would be lost: 2, committed from 20" in done.json()["error"]["message"]
    assert done.json()["error"]["message"].endswith(" by Ada L.")


def test_restore_names_files_that_are_scheduled_for_deletion(private: Lake, cli: Cli) -> None:
    """Files that the backup needs and the replaced catalog has scheduled for deletion are named, with since when."""
    backup = cli("dump", private.url, "--json").json()["path"]
    private.engine.run(
        private.url,
        None,
        [
            "drop table lake.sales.orders",
            "select count(*) from ducklake_expire_snapshots('lake', older_than => now() + interval 1 day)",
        ],
    )

    done = cli("restore", backup, private.url, "--replace", "--discard-newer")

    assert done.exit_code == 0, done.stderr
    assert "data files that the backup needs were scheduled for deletion by the replaced catalog" in done.stderr
    assert "missing" not in done.stderr


def test_a_restore_beside_the_original_says_that_it_is_a_copy(private: Lake, database: str, cli: Cli) -> None:
    """Clean-up in a copy deletes files of the original: said where a catalog is restored into an empty place."""
    backup = cli("dump", private.url, "--json").json()["path"]
    words = "shares its data files with the one that the backup is from"

    assert words in cli("restore", backup, database).stderr
    assert words not in cli("restore", backup, database, "--replace").stderr
    assert words not in cli("restore", backup, database, "--metadata-schema", "b", "--data-path", "/elsewhere/").stderr
    (data,) = execute(private.url, "select value from ducklake_metadata where key = 'data_path'")[0]
    (cli.cwd / "link").symlink_to(data)
    for schema, path in (("c", data), ("d", str(cli.cwd / "link"))):
        assert words in cli("restore", backup, database, "--metadata-schema", schema, "--data-path", path).stderr


def test_files_that_a_data_path_does_not_move_stay_shared(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """A file that was added under a path of its own is one file for both catalogs, wherever the others were copied."""
    backup = cli("dump", plain.url, "--json").json()["path"]
    moved = ("--metadata-schema", "moved")

    done = cli("restore", backup, plain.url, *moved, "--data-path", tmp_path / "copied")

    assert (done.exit_code, done.stderr.count("1 data file is not below the data path")) == (0, 1), done
    assert f"({plain.data_path}/added.parquet)" in done.stderr
    assert [it["schema"] for it in cli("info", plain.url, *moved, "--json").json()["copies"]] == ["public"]
    (finding,) = cli("check", plain.url, *moved, "--json").json()["findings"]
    assert finding["rule"] == "shared-data-files"
    again = cli(
        "restore", backup, plain.url, *moved, "--data-path", tmp_path / "copied", "--replace", "--missing-data-files"
    )
    assert (again.exit_code, "not below" in again.stderr) == (0, False)
    execute(plain.url, "delete from moved.ducklake_data_file where not path_is_relative")
    assert cli("info", plain.url, *moved, "--json").json()["copies"] == []
    execute(
        plain.url,
        *(
            f"update {it}.ducklake_schema set path = '/s/', path_is_relative = false where schema_name = 'sales'"
            for it in ("public", "moved")
        ),
    )
    assert [it["schema"] for it in cli("info", plain.url, *moved, "--json").json()["copies"]] == ["public"]


def test_copies_in_one_database_are_known(plain: Lake, cli: Cli, tmp_path: Path) -> None:
    """`info` and `check` say of each that the other is there, and has gone on; not of one that has files of its own."""
    backup = cli("dump", plain.url, "--json").json()["path"]
    assert cli("info", plain.url, "--json").json()["copies"] == []
    for schema, words in (("a copy", ()), ("moved", ("--data-path", str(tmp_path)))):
        restored = cli("restore", backup, plain.url, "--metadata-schema", schema, *words)
        assert restored.exit_code == 0, restored.stderr
    execute(plain.url, "delete from moved.ducklake_data_file where not path_is_relative")
    head = cli("info", backup, "--json").json()["snapshot_id"]
    plain.engine.run(plain.url, None, ["create table lake.later (i integer)"])

    own, copy = ("--metadata-schema", plain.schema), ("--metadata-schema", "a copy")
    assert cli("info", plain.url, "--json", *own).json()["copies"] == [{"schema": "a copy", "snapshot_id": head}]
    assert cli("info", plain.url, "--json", *copy).json()["copies"] == [{"schema": "public", "snapshot_id": head + 1}]
    assert "clean up in none of them" in cli("info", plain.url, *copy).stdout
    assert cli("info", plain.url, "--json", "--metadata-schema", "moved").json()["copies"] == []
    (data,) = execute(plain.url, "select value from public.ducklake_metadata where key = 'data_path'")[0]
    (tmp_path / "link").symlink_to(data)
    linked = f"update moved.ducklake_metadata set value = '{tmp_path}/link/' where key = 'data_path'"
    execute(plain.url, linked)
    assert len(cli("info", plain.url, "--json", "--metadata-schema", "moved").json()["copies"]) == 2
    execute(plain.url, linked.replace("/link/", "/"))
    checked = cli("check", plain.url, "--json", *copy)
    assert (checked.exit_code, checked.json()["ok"]) == (0, True)
    (finding,) = checked.json()["findings"]
    assert (finding["severity"], finding["rule"]) == ("warning", "shared-data-files")
    assert f"schema public, at snapshot {head + 1}, which this one, at {head}, has not" in finding["message"]
