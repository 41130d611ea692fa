"""Migrations whose backup is encrypted to somebody who isn't there: proved, undone and finished all the same."""

import shlex
from pathlib import Path

from support.cli import Cli
from support.faults.faults import engine_that, failed, nothing_left, one, pause, started, state
from support.lakes.lakes import Lake
from support.waiting import wait_until

from dlbackup.stores.age.x25519 import SecretKey


def test_the_way_back_names_an_identity(plain: Lake, cli: Cli, secret: SecretKey, identity: Path) -> None:
    """Migrated, rehearsal and all, without an identity; the way back says where one belongs, and works with it."""
    before = state(plain.url)
    done = cli("migrate", plain.url, "--encrypt-to", str(secret.public), "--json")
    assert done.exit_code == 0, done.stderr
    answer = done.json()
    assert answer["backup"].endswith(".sql.zst.age")
    assert (cli.cwd / answer["backup"]).read_bytes().startswith(b"age-encryption.org/v1\n")
    assert "FILE is to be a file with the identity" in answer["way_back"]["needs"]

    words = shlex.split(answer["way_back"]["command"])
    assert words[-2:] == ["--identity", "FILE"]
    back = cli(words[1], words[2], plain.url, *words[4:-1], identity)

    assert back.exit_code == 0, back.stderr
    assert state(plain.url) == before


def test_the_undo_needs_no_identity(plain: Lake, cli: Cli, secret: SecretKey, tmp_path: Path) -> None:
    """What the run wrote it can read, so a migration that fails after its engine is rolled back."""
    before = state(plain.url)
    breaks = engine_that(tmp_path, after="os.abort()")
    words = ("--no-rehearsal", "--encrypt-to", str(secret.public))

    done = cli("migrate", plain.url, *words, "--json", "--engine", breaks)

    failed(done, 6, "RolledBack", "rolled-back")
    assert state(plain.url) == before


def test_a_killed_one_is_finished_with_an_identity(
    plain: Lake, cli: Cli, secret: SecretKey, identity: Path, tmp_path: Path
) -> None:
    """The run's own identity is gone with it: the next one asks for another before it does anything."""
    marker = tmp_path / "marker"
    words = ("--no-rehearsal", "--encrypt-to", str(secret.public))
    with started(cli, "migrate", plain.url, *words, "--engine", engine_that(tmp_path, after=pause(marker))) as running:
        wait_until(marker.exists)
        running.kill()
    nothing_left(plain)
    assert one(plain.url, "select value from ducklake_metadata where key = 'version'") == "1.0"

    asked = cli("migrate", plain.url, *words, "--json")
    assert (asked.exit_code, asked.json()["error"]["type"]) == (1, "NoIdentity")
    other = tmp_path / "other.txt"
    other.write_text(SecretKey.generate().text())
    wrong = cli("migrate", plain.url, *words, "--identity", other, "--json")
    assert (wrong.exit_code, wrong.json()["error"]["type"]) == (3, "WrongIdentity")
    nowhere = cli("migrate", plain.url, *words, "--identity", tmp_path / "nowhere", "--json")
    assert (nowhere.exit_code, nowhere.json()["error"]["type"]) == (1, "NoIdentity")
    done = cli("migrate", plain.url, *words, "--identity", identity, "--json")

    assert (done.exit_code, done.json()["outcome"]) == (0, "migrated"), done.stderr
    assert f"--identity {identity}" in done.json()["way_back"]["command"]
