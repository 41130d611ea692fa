"""Whole commands over the clouds that SeaweedFS doesn't stand for: from a dump to what is left after a prune."""

import secrets
from pathlib import Path

import pytest
from support.cli import Cli
from support.lakes.in_files import FileLakes
from support.longer import long
from support.servers.clouds import CONTAINER

SCHEMES = {"moto": "s3", "azurite": "az", "google": "gs"}


@pytest.mark.parametrize("cloud", [cloud if cloud == "google" else long(cloud) for cloud in SCHEMES])
def test_a_round_of_commands(
    cloud: str, request: pytest.FixtureRequest, file_lakes: FileLakes, cli: Cli, tmp_path: Path
) -> None:
    """Dumped, listed, verified, restored, read and pruned where it is."""
    env: dict[str, str] = request.getfixturevalue(cloud)
    place = f"{SCHEMES[cloud]}://{CONTAINER}/{secrets.token_hex(8)}"
    lake = file_lakes.copy("plain", "1.5.5", tmp_path)

    older, newer = (cli("dump", lake.path, "-o", f"{place}/", "--json", env=env).json()["path"] for _ in range(2))
    listed = cli("list", place, "--catalog", lake.path, "--json", env=env).json()["backups"]
    assert {(f"{place}/{one['name']}", one["state"], one["files"]) for one in listed} == {
        (older, "good", "whole"),
        (newer, "good", "whole"),
    }
    assert cli("verify", older, env=env).exit_code == 0
    restored = cli("restore", older, tmp_path / "restored.ducklake", env=env)
    assert restored.exit_code == 0, restored.stderr
    same = (
        cli("info", path, "--fingerprint", "--json").json()["fingerprint"] for path in (lake.path, "restored.ducklake")
    )
    assert len(set(same)) == 1

    pruned = cli("prune", place, "--keep-last", "1", "--yes", "--json", env=env)
    assert (pruned.exit_code, len(pruned.json()["remove"])) == (0, 1), pruned.stderr
    left = cli("list", place, "--json", env=env).json()["backups"]
    assert [f"{place}/{one['name']}" for one in left] == [newer]
    assert cli("verify", older, env=env).exit_code == 1
