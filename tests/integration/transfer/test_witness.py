"""What an engine reads of a copy before it is published, held against what it reads of the source."""

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.cli import Cli
from support.comparison import execute, schemas
from support.lakes.in_files import FileLake, FileLakes
from support.lakes.lakes import LakeFactory
from support.longer import long

import dlbackup
from dlbackup import Keys, RestoreOptions, errors
from dlbackup.catalogs.contract import Catalog
from dlbackup.engine.engine import probe
from dlbackup.runtime.progress import Event, OnEvent
from dlbackup.stores.age.x25519 import SecretKey
from dlbackup.transfer.loading import restore_into

_DAMAGES = {
    "the rows of table main.every_type": "delete from ducklake_inlined_data_1_1 where row_id = 0",
    "does not read what was made": "delete from ducklake_table",
}


@pytest.fixture
def file(file_lakes: FileLakes, tmp_path: Path) -> FileLake:
    """A lake with inlined rows and data files, in a DuckDB file."""
    return file_lakes.copy("inlined", "1.5.5", tmp_path)


@pytest.fixture(autouse=True)
def _with_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have engines read, as they do for users, at the first snapshot and the last."""
    monkeypatch.setattr("dlbackup.transfer.witness.probe", probe)
    monkeypatch.setattr("dlbackup.transfer.witness.MOST_READINGS", 1)


@pytest.fixture(autouse=True)
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that only this test uses, so that it finds what the engine is shown."""
    with tempfile.TemporaryDirectory(prefix="dlb-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def _when_made(act: OnEvent) -> OnEvent:
    """Act when what is to be published has been made for the engine, and not been read."""
    return lambda event: act(event) if (event.stage, "for comparison" in event.message) == ("read", True) else None


def _damaged(scratch: Path, damage: str) -> OnEvent:
    """Damage the catalog in a file that the engine is shown."""

    def act(event: Event) -> None:
        (path,) = (made for made in scratch.glob("dlbackup-read-*/*") if made.read_bytes()[8:12] == b"DUCK")
        with duckdb.connect() as connection:
            connection.execute(f"attach '{path}' as made; use made; {damage}")

    return _when_made(act)


@pytest.mark.parametrize("words", _DAMAGES)
def test_difference_keeps_a_file_from_being_published(words: str, file: FileLake, scratch: Path) -> None:
    """Other rows, or nothing that can be read: nothing is there, and nothing is left."""
    target = file.path.with_name("target") / "copy.ducklake"
    target.parent.mkdir()

    with pytest.raises(errors.RestoredOtherwise, match=words) as refused:
        dlbackup.copy(str(file.path), str(target), on_event=_damaged(scratch, _DAMAGES[words]))

    assert (refused.value.exit_code, "nothing was published" in refused.value.hint) == (1, True)
    assert list(target.parent.iterdir()) == list(scratch.iterdir()) == []


def test_difference_keeps_a_server_from_it(file: FileLake, database: str) -> None:
    """On PostgreSQL the catalog that would be replaced stays, and nothing else is there."""
    dlbackup.restore(dlbackup.dump(str(file.path), file.path.with_name("b.sql.zst")), database)
    before = dlbackup.info(database, fingerprint=True).fingerprint

    def act(event: Event) -> None:
        (made,) = schemas(database) - {"public"}
        execute(database, f"update \"{made}\".ducklake_data_file set path = path || 'x'")

    options = dlbackup.RestoreOptions(replace=True)
    with pytest.raises(errors.RestoredOtherwise, match=r"the files of table main\.in_files"):
        dlbackup.copy(str(file.path), database, options, on_event=_when_made(act))

    assert schemas(database) == {"public"}
    assert dlbackup.info(database, fingerprint=True).fingerprint == before


def test_every_kind_is_read(file: FileLake, database: str, scratch: Path) -> None:
    """From a file to a SQLite file, and from there to PostgreSQL: each is read beside its source."""
    places = [str(file.path), f"sqlite:{file.path.parent}/copy.sqlite", database]
    for source, target in pairwise(places):
        copied = dlbackup.copy(source, target)
        assert (copied.snapshots_read, copied.source_read) == (2, True)
    assert (schemas(database), list(scratch.iterdir())) == ({"public"}, [])


def test_copy_of_a_backup_is_read_alone(file: FileLake, tmp_path: Path) -> None:
    """Where the source is a backup, an engine reads what is made of it."""
    backup = dlbackup.dump(str(file.path), tmp_path / "b.sql.zst")

    copied = dlbackup.copy(backup, str(tmp_path / "copy.ducklake"))

    assert (bool(copied.snapshots_read), copied.source_read) == (True, False)


def test_restore_to_another_kind_is_read(file: FileLake, database: str, tmp_path: Path, scratch: Path) -> None:
    """Beside what its backup is in a file of its own kind; alone where that is of a server; not in the same kind."""
    backup = dlbackup.dump(str(file.path), tmp_path / "file.sql.zst")
    served = dlbackup.restore(backup, database)
    beside = dlbackup.restore(backup, str(tmp_path / "new.sqlite"))
    same = dlbackup.restore(backup, str(tmp_path / "new.ducklake"))
    alone = dlbackup.restore(dlbackup.dump(database, tmp_path / "served.sql.zst"), str(tmp_path / "other.ducklake"))

    assert [(done.snapshots_read, done.source_read) for done in (served, beside, same, alone)] == [
        *((2, True), (2, True), (None, False), (2, False))
    ]
    assert list(scratch.iterdir()) == []


def test_backup_that_can_not_be_made_again_in_its_kind(
    file: FileLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of a file of a newer DuckDB: it is said, and what is to be published is read alone."""
    said: list[str] = []

    def first_fails(catalog: Catalog, *rest: Any, **more: Any) -> str | None:
        if catalog.address.kind == "duckdb":
            raise errors.Unsupported("the DuckDB here makes no files of that storage version")
        return restore_into(catalog, *rest, **more)

    monkeypatch.setattr("dlbackup.transfer.witness.restore_into", first_fails)
    backup = dlbackup.dump(str(file.path), tmp_path / "b.sql.zst")
    done = dlbackup.restore(backup, str(tmp_path / "new.sqlite"), on_event=lambda event: said.append(event.message))

    assert (done.snapshots_read, done.source_read) == (2, False)
    assert [text for text in said if "in its own kind of file: the DuckDB here makes" in text] != []


def test_encrypted_backup_stands_in_no_file_in_clear(
    file: FileLake, database: str, tmp_path: Path, scratch: Path, secret: SecretKey, identity: Path
) -> None:
    """An engine reads it on a server alone, where it is restored to."""
    keys = Keys(encrypt_to=(str(secret.public),), identity=(identity,))
    backup = dlbackup.dump(str(file.path), tmp_path / "file.sql.zst.age", keys=keys)
    said: list[str] = []
    beside = dlbackup.restore(
        backup, str(tmp_path / "new.sqlite"), keys=keys, on_event=lambda event: said.append(event.message)
    )
    served = dlbackup.restore(backup, database, keys=keys)

    assert [(done.snapshots_read, done.source_read) for done in (beside, served)] == [(None, False), (2, False)]
    assert any("encrypted backup" in text for text in said)
    assert list(scratch.iterdir()) == []


def test_difference_keeps_a_restore_from_it(file_lakes: FileLakes, tmp_path: Path, scratch: Path) -> None:
    """Where an engine reads something else of what a backup of another kind became, nothing is there."""
    backup = dlbackup.dump(str(file_lakes.copy("inlined", "1.5.5", tmp_path, "sqlite").path), tmp_path / "b.sql.zst")
    words, damage = next(iter(_DAMAGES.items()))

    with pytest.raises(errors.RestoredOtherwise, match=words):
        dlbackup.restore(backup, str(tmp_path / "new.ducklake"), on_event=_damaged(scratch, damage))

    assert not (tmp_path / "new.ducklake").exists()
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("frozen", [long(False), True])
def test_files_may_be_elsewhere(file: FileLake, tmp_path: Path, frozen: bool) -> None:
    """Where the data files have moved, it is the same ones by their names that an engine has to be told of."""
    options = RestoreOptions(data_path=tmp_path / "moved", data_files=False, frozen=frozen)

    copied = dlbackup.copy(str(file.path), str(tmp_path / "target.ducklake"), options)

    assert (bool(copied.snapshots_read), copied.source_read) == (True, True)


def test_without_reading_back_no_engine_is_asked(file: FileLake, tmp_path: Path) -> None:
    """Who trusts the numbers of rows doesn't wait for a second catalog."""
    said: list[Event] = []
    target = str(tmp_path / "target.ducklake")

    done = dlbackup.copy(str(file.path), target, RestoreOptions(read_back=False), on_event=said.append)

    assert (done.snapshots_read, done.source_read) == (None, False)
    assert not [event for event in said if event.stage == "read"]


def test_engine_that_can_not(file_lakes: FileLakes, tmp_path: Path, cli: Cli) -> None:
    """A catalog that this engine would have to migrate is copied, and it is said that nobody read it, also with -q."""
    old = file_lakes.copy("plain", "1.4.4", tmp_path)

    done = cli("copy", old.path, tmp_path / "copy.ducklake", "--json", "-q")

    said = done.json()
    assert (done.exit_code, said["snapshots_read"], said["source_read"]) == (0, None, False)
    assert "does not open spec version 0.3 as it is" in done.stderr


def test_source_that_has_changed(lake: LakeFactory, tmp_path: Path) -> None:
    """What was changed after the dump is no difference of the copy's: it is said, and the copy is made."""
    made, said = lake("plain", "1.0"), list[str]()

    def act(event: Event) -> None:
        execute(made.url, "update ducklake_data_file set path = path || 'x'")

    def hears(event: Event) -> None:
        said.append(event.message)
        _when_made(act)(event)

    options = dlbackup.RestoreOptions(data_files=False)
    copied = dlbackup.copy(made.url, str(tmp_path / "copy.ducklake"), options, on_event=hears)

    assert copied.snapshots_read in (None, 1)  # of both, the first has no table
    assert [text for text in said if "the source was changed after it was dumped" in text] != []
