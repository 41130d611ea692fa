"""Restores over what isn't the backup's own past: another lake, another branch, and what only looks like one."""

from pathlib import Path

import pytest
from support.cli import Cli
from support.comparison import execute
from support.engines.engines import engine_of
from support.faults.failures import failure
from support.faults.faults import state
from support.lakes.lakes import LakeFactory
from support.longer import long


def _dump(cli: Cli, url: str) -> Path:
    return Path(cli("dump", url, "--json").json()["path"])


@pytest.mark.parametrize("words", [long(()), ("--discard-newer",), long(("--drop-replaced",))])
def test_another_lake_is_not_replaced(lake: LakeFactory, cli: Cli, words: tuple[str, ...]) -> None:
    """A catalog of another lake is refused with both named, and replaced only when the user says so by name."""
    ours, other = lake("plain", "0.3"), lake("inlined", "0.3")
    backup = _dump(cli, ours.url)
    before = state(other.url)

    done = cli("restore", backup, other.url, "--replace", *words)

    said = failure(done, 4, "holds the lake", hint="--other-lake")
    assert said.count("with data path") == 2
    assert state(other.url) == before
    done = cli("restore", backup, other.url, "--replace", "--other-lake", *words)
    assert done.exit_code == 0
    assert "this catalog shares its data files" in done.stderr
    assert state(other.url) == state(ours.url)
    again = cli("restore", backup, other.url, "--replace", "--other-lake", *words)
    assert "shares its data files" not in again.stderr


def test_another_branch_is_not_replaced(lake: LakeFactory, cli: Cli) -> None:
    """After an old backup was restored and committed to, a later backup of the first branch is not its future."""
    made = lake("plain", "1.0")
    old = _dump(cli, made.url)
    engine_of("1.0").run(made.url, "public", ["create table lake.one (i int)", "insert into lake.one values (1)"])
    later = _dump(cli, made.url)
    assert cli("restore", old, made.url, "--replace", "--discard-newer").exit_code == 0
    engine_of("1.0").run(made.url, "public", ["create table lake.two (i int)"])
    before = state(made.url)

    done = cli("restore", later, made.url, "--replace")

    failure(done, 4, "its history went another way than the backup's", hint="--discard-newer")
    assert state(made.url) == before
    assert cli("restore", later, made.url, "--replace", "--discard-newer").exit_code == 0


def test_expired_snapshots_are_no_other_branch(lake: LakeFactory, cli: Cli) -> None:
    """A catalog that has forgotten some of its snapshots since the backup has lost nothing that the backup hasn't."""
    made = lake("plain", "1.0")
    backup = _dump(cli, made.url)
    execute(made.url, "delete from ducklake_snapshot where snapshot_id = 1")

    assert cli("restore", backup, made.url, "--replace").exit_code == 0


def test_snapshots_that_the_backup_has_expired(lake: LakeFactory, cli: Cli) -> None:
    """No commit is called lost of what a later backup has expired, only the way to read as of then."""
    made = lake("plain", "1.0")
    old = _dump(cli, made.url)
    execute(made.url, "delete from ducklake_snapshot where snapshot_id in (1, 2)")
    later = _dump(cli, made.url)
    assert cli("restore", old, made.url, "--replace").exit_code == 0

    said = failure(cli("restore", later, made.url, "--replace"), 4, "2 snapshots from 1 to 2", hint="--discard-newer")

    assert "has their changes" in said
    assert "lost" not in said
    done = cli("restore", later, made.url, "--replace", "--discard-newer", "--json")
    assert done.exit_code == 0
    assert "1 to 2" not in done.json()["way_back"]["loses"]


def test_lakes_that_have_lost_their_uuid(lake: LakeFactory, cli: Cli) -> None:
    """They are told apart by where their files are, and called two lakes, not two ways of one."""
    ours, other = lake("plain", "0.3"), lake("inlined", "0.3")
    backup = _dump(cli, ours.url)
    for made in (ours, other):
        execute(made.url, "delete from ducklake_schema where schema_id = 0")

    failure(cli("restore", backup, other.url, "--replace"), 4, "the lake without uuid", hint="--other-lake")

    assert cli("restore", backup, ours.url, "--replace").exit_code == 0
