"""A Path is taken wherever a file is meant, refused in words where it isn't, and a backup is no address."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.backups import HEADER, catalog, write_backup
from support.cli import Cli

import dlbackup
from dlbackup.backupfile.backup import Backup
from dlbackup.errors import NotALake, Unreachable, UsageError
from dlbackup.health.rules import rules_for

SECRET = "pw-never-shown-97"
NOWHERE = "postgres:host=/nonexistent dbname=lake"
URI = f"postgresql://user:{SECRET}@host/lake"
KEYWORDS = f"postgres:dbname=lake password={SECRET}"


@pytest.fixture
def backup(tmp_path: Path) -> Backup:
    """A backup as `dump` returns it."""
    path = tmp_path / "backup.sql.zst"
    manifest = write_backup(path, catalog("1.0"), replace(HEADER, spec_version="1.0"))
    return Backup(
        path=str(path),
        format=1,
        spec_version="1.0",
        snapshot_id=1,
        tables=len(manifest.tables),
        rows=manifest.rows,
        raw_bytes=0,
        file_bytes=0,
        sha256="",
        seconds=0.0,
    )


BACKUP_TAKEN: dict[str, Callable[[Any], object]] = {
    "verify": dlbackup.verify,
    "check": dlbackup.check,
    "info": dlbackup.info,
    "cat": lambda given: dlbackup.cat(given, "ducklake_snapshot"),
}


@pytest.mark.parametrize("verb", BACKUP_TAKEN)
def test_a_backup_is_a_text_a_path_or_what_dump_returned(
    verb: str, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three name the same file, of which only rules about inlined tables are asked here."""
    few = [rule for rule in rules_for("1.0") if "ducklake_inlined_data_tables" in rule.query]
    monkeypatch.setattr("dlbackup.health.checkup.rules_for", lambda _: few)
    ask = BACKUP_TAKEN[verb]
    answers = [ask(backup.path), ask(Path(backup.path)), ask(backup)]
    if verb == "verify":
        answers = [replace(answer, seconds=0.0) for answer in answers if isinstance(answer, dlbackup.Verification)]

    assert answers == [answers[0]] * 3


def test_restore_takes_each_of_them_too(backup: Backup) -> None:
    """The backup is opened before it is found that there is no server."""
    for given in (backup.path, Path(backup.path), backup):
        with pytest.raises(Unreachable):
            dlbackup.restore(given, NOWHERE)


def test_a_backup_that_went_to_standard_output_is_nowhere(backup: Backup) -> None:
    """It can't be read again by what `dump` returned."""
    for verb in BACKUP_TAKEN:
        with pytest.raises(UsageError, match="went to standard output"):
            BACKUP_TAKEN[verb](replace(backup, path="-"))


ADDRESS_TAKEN: dict[str, Callable[[Any], object]] = {
    "attach": lambda given: dlbackup.attach(duckdb.connect(), given),
    "check": dlbackup.check,
    "dump": dlbackup.dump,
    "info": dlbackup.info,
    "migrate": dlbackup.migrate,
    "plan": dlbackup.plan,
    "unbar": dlbackup.unbar,
}


@pytest.mark.parametrize("verb", ADDRESS_TAKEN)
@pytest.mark.parametrize("path", [Path(URI), Path(KEYWORDS), Path("lake"), Path(f"{KEYWORDS}.db")])
def test_a_path_is_no_address_of_postgresql(verb: str, path: Path) -> None:
    """It is refused in words, which don't repeat what may hold a password."""
    with pytest.raises(UsageError, match="a Path names no catalog") as caught:
        ADDRESS_TAKEN[verb](path)

    assert "as a text" in caught.value.hint
    assert SECRET not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("verb", sorted(ADDRESS_TAKEN.keys() - {"attach", "unbar"}))
def test_a_path_of_a_duckdb_file_is_understood(verb: str, tmp_path: Path) -> None:
    """It is what the same text is: a file that isn't there."""
    with pytest.raises(NotALake, match="no file"):
        ADDRESS_TAKEN[verb](tmp_path / "lake.ducklake")


@pytest.mark.parametrize("verb", sorted(ADDRESS_TAKEN.keys() - {"check", "info"}))
def test_an_address_is_nothing_but_a_text(verb: str, backup: Backup) -> None:
    """What has another type is refused by its name, not by an AttributeError somewhere inside."""
    for given in (None, b"postgres:", backup):
        with pytest.raises(UsageError, match=f"not of type {type(given).__name__}"):
            ADDRESS_TAKEN[verb](given)


def test_restore_and_rehearsal_take_addresses_as_texts_too(backup: Backup) -> None:
    """The other places for an address say the same."""
    with pytest.raises(UsageError, match="a Path names no catalog"):
        dlbackup.restore(backup, Path(URI))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a Path names no catalog"):
        dlbackup.verify(backup, rehearse=Path(URI))  # type: ignore[arg-type]


@pytest.mark.parametrize("address", [URI, KEYWORDS, f"ducklake:{KEYWORDS}", f"{URI}.zst"])
@pytest.mark.parametrize("command", ["verify {}", "cat {} ducklake_snapshot", "restore {} backup.sql.zst"])
def test_an_address_in_the_place_of_a_backup_shows_no_password(command: str, address: str, cli: Cli) -> None:
    """Who mixes up the two is told so; the address, which is no file name, is not repeated."""
    done = cli(*(word.format(address) for word in command.split(" ")))

    assert done.exit_code == 2
    assert "a backup is a file" in done.stderr
    assert SECRET not in done.stdout + done.stderr
