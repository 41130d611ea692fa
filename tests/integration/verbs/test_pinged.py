"""`--ping` on each command that has it, with real backups: when it began, and how it ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Cli
from support.lakes.in_files import FileLakes
from support.servers.pinged import Service, pinged

import dlbackup


@pytest.fixture
def service() -> Iterator[Service]:
    """A service on a free port."""
    with pinged() as server:
        yield server


COMMANDS = {
    "dump": (["dump", "lake.ducklake", "-o", "backups/"], ["dump", "nowhere.ducklake", "-o", "backups/"]),
    "migrate": (
        ["migrate", "lake.ducklake", "--backup-dir", "backups/", "--no-rehearsal"],
        ["migrate", "nowhere.ducklake", "--backup-dir", "backups/"],
    ),
    "drill": (["drill", "backups", "--files", "none"], ["drill", "nowhere"]),
    "prune": (["prune", "backups", "--keep-last", "1", "--yes"], ["prune", "backups"]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_tells(command: str, service: Service, file_lakes: FileLakes, cli: Cli, tmp_path: Path) -> None:
    """The start, then the check's own URL where it went well, and the exit code where not, with the JSON of each."""
    lake = file_lakes.copy("plain", "1.4.4", tmp_path)
    if command in ("drill", "prune"):
        dlbackup.dump(str(lake.path), f"{tmp_path}/backups/")
    well, badly = (cli(*words, "--ping", service.url, "--json") for words in COMMANDS[command])

    assert well.exit_code == 0, well.stderr
    assert badly.exit_code > 0
    check = "/ping/a-secret"
    assert [path for path, _, _ in service.told] == [
        *(f"{check}/start", check),
        *(f"{check}/start", f"{check}/{badly.exit_code}"),
    ]
    assert [answer for _, _, answer in service.told] == [None, well.json(), None, badly.json()]
