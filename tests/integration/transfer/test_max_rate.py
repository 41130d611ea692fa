"""`--max-rate` on a real server: a job takes at least the time that its rate asks for, and does the same."""

import time

import pytest
from support.cli import Cli
from support.comparison import contents
from support.lakes.lakes import LakeFactory
from support.servers.servers import Server

from dlbackup.backupfile.reader import BackupReader
from dlbackup.stores.folder import local


def rows_bytes(path: str) -> int:
    """Return the bytes of all rows in a backup."""
    with BackupReader(local(path)) as reader:
        return sum(
            len(row) for entry in reader.manifest.tables for block in reader.scan_table(entry) for row in block.rows
        )


def test_dump_and_restore_keep_to_the_rate(lake: LakeFactory, server: Server, cli: Cli) -> None:
    """A dump reads, and a restore loads and reads back, no faster than allowed; the backup is that of a fast dump."""
    made = lake("plain", "0.3")
    fast = cli("dump", made.url, "-o", "fast.zst", "--json").json()
    seconds = 1.0
    rate = str(rows_bytes(str(cli.cwd / "fast.zst")) / seconds)

    slow = cli("dump", made.url, "-o", "slow.zst", "--max-rate", rate, "--json").json()
    assert slow["seconds"] > seconds - 0.3
    assert (slow["rows"], slow["fingerprint"]) == (fast["rows"], fast["fingerprint"])
    assert contents(cli.cwd / "slow.zst") == contents(cli.cwd / "fast.zst")
    with server.database() as url:
        begun = time.monotonic()
        restored = cli("restore", "slow.zst", url, "--max-rate", rate)

        assert restored.exit_code == 0
        assert time.monotonic() - begun > 2 * (seconds - 0.3)


def test_the_dump_of_a_migration_keeps_to_the_rate(lake: LakeFactory, cli: Cli) -> None:
    """`migrate --max-rate` slows the dump down, and not the pause of writers."""
    made = lake("plain", "0.3")
    cli("dump", made.url, "-o", "before.zst")
    rate = str(rows_bytes(str(cli.cwd / "before.zst")) / 2)

    done = cli("migrate", made.url, "--no-rehearsal", "--ignore-clients", "--max-rate", rate, "--json", timeout_s=200)
    assert done.exit_code == 0
    took = {stage["stage"]: stage["seconds"] for stage in done.json()["stages"]}
    assert took["dump"] > 1.7


@pytest.mark.parametrize("rate", ["0", "fast", "1MB", "-1"])
def test_an_impossible_rate_is_wrong_usage(cli: Cli, rate: str) -> None:
    """What is no rate ends in 2 before anything is connected to."""
    done = cli("dump", "postgres:host=/nonexistent dbname=x", f"--max-rate={rate}")

    assert done.exit_code == 2
    assert "--max-rate" in done.stderr
