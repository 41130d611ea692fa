"""Data files in object storage: looked for through an engine where there are keys, and keys that nobody gets to see."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli, Finished
from support.faults.failures import failure
from support.faults.faults import state
from support.lakes.lakes import Lake
from support.servers.object_store import BUCKET, ObjectStore
from support.servers.servers import Servers, middle_major

_ODD = "a b/c%d+e='é"


@pytest.fixture(scope="module")
def remote(store: ObjectStore, servers: Servers) -> Iterator[Lake]:
    """A lake of 1.0 in the store, with a partition of an odd name, deletes, and a file added from elsewhere."""
    engine, server = store.engine("1.0"), servers[middle_major()]
    with server.database() as url:
        name = url.rpartition("/")[2]
        path, added = f"s3://{BUCKET}/{name}", f"s3://{BUCKET}/{name}-added/x.parquet"
        odd = _ODD.replace("'", "''")
        steps = [
            "create table lake.visits (day date, path varchar)",
            "alter table lake.visits set partitioned by (path)",
            f"insert into lake.visits select date '2024-01-05', '{odd}' from range(100)",
            "insert into lake.visits select date '2024-01-06', 'plain' from range(100)",
            "delete from lake.visits where rowid % 10 = 3",
            f"copy (select date '2024-01-07' as day, 'added' as path) to '{added}'",
            "create table lake.more (day date, path varchar)",
            f"call ducklake_add_data_files('lake', 'more', '{added}')",
        ]
        engine.run(url, "public", steps, data_path=path)
        yield Lake(url, "public", Path(path), "1.0", engine, server)


@pytest.fixture
def files(remote: Lake, store: ObjectStore) -> Iterator[list[Path]]:
    """The files of the lake in the store, the added one last; what a test does to them is taken back."""
    base = store.folder / BUCKET
    found = [*sorted((base / remote.dbname).rglob("*.parquet")), base / f"{remote.dbname}-added" / "x.parquet"]
    contents = {file: file.read_bytes() for file in found}
    yield found
    for file, content in contents.items():
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)


def _rules(done: Finished) -> dict[str, str]:
    return {finding["rule"]: finding["message"] for finding in done.json()["findings"]}


def _backup(lake: Lake, cli: Cli) -> str:
    return str(cli("dump", lake.url, "--json").json()["path"])


def _keys(store: ObjectStore, folder: Path, **more: Any) -> Path:
    file = folder / "keys.sql"
    file.write_text(f"-- our store\n{store.secret(**more)};\n")
    return file


def test_files_are_found_by_the_clouds_variables(remote: Lake, store: ObjectStore, cli: Cli) -> None:
    """All are there, whatever their names hold, and where they were added from."""
    backup = _backup(remote, cli)

    for target in (remote.url, backup):
        done = cli("check", target, "--data-files", "--json", env=store.environment())
        assert (done.exit_code, _rules(done)) == (0, {})
    done = cli("verify", backup, "--data-files", "--json", env=store.environment())
    assert (done.exit_code, _rules(done)) == (0, {})


def test_missing_and_changed_files_are_found_by_a_secret(
    remote: Lake, files: list[Path], store: ObjectStore, cli: Cli
) -> None:
    """A deleted object and one that is longer are errors with their paths, as on this machine; elsewhere too."""
    backup, keys = _backup(remote, cli), _keys(store, cli.cwd)
    gone, longer, *_, added = files
    longer.write_bytes(longer.read_bytes() + b"x")
    gone.unlink()
    added.unlink()

    done = cli("verify", backup, "--data-files", "--secrets", keys, "--json")

    assert done.exit_code == 3
    found = _rules(done)
    assert found.keys() == {"missing-data-files", "data-file-sizes"}
    assert found["missing-data-files"].startswith(f"2 of {len(files)} ")
    for file in (gone, added):
        assert f"s3://{file.relative_to(store.folder)}" in found["missing-data-files"]
    assert f"s3://{longer.relative_to(store.folder)} has " in found["data-file-sizes"]
    by_variable = cli("check", remote.url, "--data-files", "--json", env={"DLBACKUP_SECRETS": str(keys)})
    assert (by_variable.exit_code, set(_rules(by_variable))) == (3, set(found))


def test_without_keys_nobody_looks(remote: Lake, cli: Cli) -> None:
    """Files in object storage are counted and said not to have been looked at."""
    done = cli("check", remote.url, "--data-files", "--json")

    assert (done.exit_code, set(_rules(done))) == (0, {"remote-data-files"})
    assert "were not looked at" in _rules(done)["remote-data-files"]


def test_restore_looks_where_there_are_keys(
    remote: Lake, files: list[Path], store: ObjectStore, database: str, cli: Cli
) -> None:
    """Beside a catalog they are counted, over one refused until that is accepted; without keys it is said."""
    backup, keys = _backup(remote, cli), _keys(store, cli.cwd)
    keyless = cli("restore", backup, database, "--json")
    assert keyless.json()["missing_data_files"] is None
    assert "were not looked at" in keyless.stderr
    files[0].unlink()
    words = ("restore", backup, database, "--replace", "--drop-replaced", "--secrets", keys, "--json")

    failure(cli(*words), 4, "1 data file that the backup needs ", hint="--missing-data-files")
    accepted = cli(*words, "--missing-data-files")

    assert accepted.json()["missing_data_files"] == 1


@pytest.mark.parametrize("break_it", ["key", pytest.param("port", marks=pytest.mark.long), "bucket"])
def test_what_could_not_be_looked_at_is_no_damage(
    remote: Lake, database: str, store: ObjectStore, cli: Cli, break_it: str
) -> None:
    """A wrong key, a server that is gone, a bucket that isn't there: a warning with the reason, and no key in it."""
    keys = _keys(store, cli.cwd, key="wr0ngWr0ngWr0ng" if break_it == "key" else None)
    if break_it == "port":
        keys.write_text(keys.read_text().replace(store.endpoint, "127.0.0.1:9"))
    target = _backup(remote, cli)
    if break_it == "bucket":
        cli("restore", target, database, "--data-path", "s3://nobodys/lake/")
        target = database

    done = cli.apart("check", target, "--data-files", "--secrets", keys, "--json")

    reason = {"key": "403", "port": "127.0.0.1:9", "bucket": "NoSuchBucket"}[break_it]
    assert (done.exit_code, set(_rules(done))) == (0, {"remote-data-files"})
    assert reason in _rules(done)["remote-data-files"]
    for secret in (store.key, "wr0ngWr0ngWr0ng", store.key_id):
        assert secret not in done.stdout + done.stderr


def test_secret_that_duckdb_refuses_is_told_without_its_key(remote: Lake, cli: Cli) -> None:
    """The warning says what DuckDB doesn't like about it, and not what it holds."""
    keys = cli.cwd / "keys.sql"
    keys.write_text("CREATE SECRET (TYPE s3, KEY_ID 'k3yk3yk3y', SECRET 's3cr3tS3cr3t', NOPE 'x')")

    done = cli.apart("check", remote.url, "--data-files", "--secrets", keys, "--json")

    assert done.exit_code == 0
    assert f"the secrets of {keys} can't be made" in _rules(done)["remote-data-files"]
    assert "nope" in _rules(done)["remote-data-files"]
    for secret in ("s3cr3tS3cr3t", "k3yk3yk3y"):
        assert secret not in done.stdout + done.stderr


def test_file_of_something_else_is_wrong_usage(remote: Lake, cli: Cli) -> None:
    """What is no secret isn't executed, and not repeated."""
    keys = cli.cwd / "keys.sql"
    keys.write_text("ATTACH 's3cr3tS3cr3t' AS x")

    done = cli("verify", _backup(remote, cli), "--data-files", "--secrets", keys)

    assert "s3cr3tS3cr3t" not in failure(done, 2, f"{keys} holds something else than secrets", hint="CREATE SECRET")


def test_missing_file_of_secrets_is_said_at_once(remote: Lake, database: str, cli: Cli) -> None:
    """One that was named stops the command before it begins; one that a variable names is a reason not to look."""
    backup, missing = _backup(remote, cli), "/nonexistent/keys.sql"

    for words in (["check", remote.url], ["verify", backup], ["restore", backup, database]):
        looking = [] if words[0] == "restore" else ["--data-files"]
        failure(cli(*words, *looking, "--secrets", missing), 1, f"{missing}: No such file")
    done = cli("restore", backup, database, env={"DLBACKUP_SECRETS": missing})

    assert done.exit_code == 0, done.stderr
    assert f"can't read the secrets in {missing}" in done.stderr
    assert state(database)[1:] == state(remote.url)[1:]
