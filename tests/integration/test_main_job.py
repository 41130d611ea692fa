"""The main job from end to end, short enough for every machine: dump, verify, restore, migrate, and the way back."""

from pathlib import Path

import pytest
from support.cli import Cli, Finished
from support.comparison import contents, dumped, psql_restore, schema_lines, server_digests, settle
from support.engines.engines import engine_of
from support.lakes.lakes import LakeFactory, hash_lake
from support.servers.postgres import PASSWORD
from support.servers.servers import Server

pytestmark = pytest.mark.usefixtures("as_shipped")


def _well(done: Finished) -> Finished:
    assert done.exit_code == 0, done
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done


@pytest.mark.every_major
def test_backup_and_restore(lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path) -> None:
    """A 0.3 catalog is looked at, dumped, verified and restored, by dlbackup and by psql, as a user does it."""
    made = lake("plain", "0.3")

    looked = _well(cli("info", made.url, "--json")).json()
    backup = _well(cli("dump", made.url, "--json")).json()
    verified = _well(cli("verify", backup["path"], "--json")).json()
    path = tmp_path / backup["path"]

    assert looked["spec_version"] == backup["spec_version"] == verified["spec_version"] == "0.3"
    assert looked["snapshot_id"] == backup["snapshot_id"] == verified["snapshot_id"]
    assert (verified["ok"], verified["findings"]) == (True, [])
    assert (verified["tables"], verified["rows"]) == (backup["tables"], backup["rows"]) == (22, looked["rows"])
    assert set(tmp_path.iterdir()) == {path, tmp_path / backup["record"]}
    with server.database() as restored, server.database() as replayed:
        result = _well(cli("restore", path, restored, "--json")).json()
        psql_restore(server, replayed, path)

        assert (result["rows"], result["replaced"]) == (backup["rows"], None)
        for url in (restored, replayed):
            assert server_digests(url) == server_digests(made.url)
            assert schema_lines(server, url) == schema_lines(server, made.url)
            assert dumped(url, tmp_path) == contents(path)


def test_migration_and_the_way_back(lake: LakeFactory, server: Server, cli: Cli, tmp_path: Path) -> None:
    """A 0.3 catalog is migrated to 1.0 behind a backup, put back with it, read by 0.3's engine, migrated again."""
    made = lake("plain", "0.3")
    newest = engine_of("1.0")
    before = server_digests(made.url)
    read_before = hash_lake(made.engine, made.url, made.schema)
    settle(server, made.url)

    migrated = _well(cli("migrate", made.url, "--backup-dir", tmp_path, "--json")).json()

    assert (migrated["outcome"], migrated["from_version"], migrated["to_version"]) == ("migrated", "0.3", "1.0")
    assert _well(cli("info", made.url, "--json")).json()["spec_version"] == "1.0"
    assert hash_lake(newest, made.url, made.schema) == read_before
    assert server_digests(made.url) != before
    settle(server, made.url)
    assert _well(cli("migrate", made.url, "--json")).json()["outcome"] == "current"
    settle(server, made.url)

    restored = _well(cli("restore", migrated["backup"], made.url, "--replace", "--json")).json()

    assert restored["replaced"].startswith("dlbackup_replaced_")
    assert server_digests(made.url) == before
    assert hash_lake(made.engine, made.url, made.schema) == read_before
    settle(server, made.url)

    again = _well(cli("migrate", made.url, "--backup-dir", tmp_path, "--json")).json()

    assert again["outcome"] == "migrated"
    assert contents(again["backup"]) == contents(migrated["backup"])
    assert hash_lake(newest, made.url, made.schema) == read_before
