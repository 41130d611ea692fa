"""
`list`, `prune`, `pin` and `release` on folders with records; a prune that is ended anywhere is finished by the next.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.backups import HEADER, small, write_backup
from support.cli import Cli
from support.stores import add_backup, drilled, name_at, pinned, record_at, write

import dlbackup
from dlbackup.errors import StorageError, UsageError
from dlbackup.inventory import names, publishing
from dlbackup.inventory.listing import listing_of
from dlbackup.inventory.record import as_text
from dlbackup.records import encode
from dlbackup.stores.contract import Where
from dlbackup.stores.folder import Folder
from dlbackup.verbs import prune as verb

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
TWO = dlbackup.Policy(daily=2)


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    """Ten days of backups, as old as their names say."""
    return _days(tmp_path / "backups", 10)


def _days(folder: Path, days: int) -> Folder:
    folder.mkdir()
    store = Folder(folder)
    for day in range(days):
        backup = add_backup(store, NOW - day * DAY)
        drilled(store, backup, NOW - day * DAY + timedelta(hours=1), ok=day != 0)
        write(store, f"{backup}.journal.json", b'{"progress": "unchanged"}')
    _age(folder)
    return store


def _age(folder: Path) -> None:
    for path in folder.iterdir():
        if names.is_backup(path.name):
            made = names.time_of(path.name).timestamp()
            os.utime(path, (made, made))


def _files(store: Folder) -> list[str]:
    return sorted(path.name for path in store.path.iterdir())


def _backups(store: Folder) -> list[str]:
    return [entry.name for entry in listing_of(store).entries]


def test_a_prune_says_what_it_would_do_first(store: Folder, cli: Cli) -> None:
    """Without --yes nothing is changed; with it exactly what was said, with all that belongs to it."""
    before = _backups(store)
    files = _files(store)

    said = cli("prune", store.path, "--keep-daily", "2", "--json").json()
    shown = cli("prune", store.path, "--keep-daily", "2").stdout

    assert _files(store) == files
    assert said["executed"] is False
    assert [one["name"] for one in said["keep"]] == before[:3]  # the first was found bad, and is new
    assert [one["name"] for one in said["remove"]] == before[3:]
    assert said["cleanup_safe_before"] == as_text(NOW - 2 * DAY - timedelta(hours=1))
    assert f"remove  {before[5]}: in no slot of the policy" in shown.splitlines()
    assert "3 backups kept, 7 may go; nothing was changed: --yes takes them away" in shown.splitlines()
    assert f"older_than => TIMESTAMPTZ '{NOW - 2 * DAY - timedelta(hours=1):%Y-%m-%d %H:%M:%S}+00')" in shown

    done = cli("prune", store.path, "--keep-daily", "2", "--yes", "--json").json()

    assert done == {**said, "executed": True}
    assert _backups(store) == before[:3]
    assert len(_files(store)) == 3 * 4
    assert listing_of(store).stray == ()


class Ended(BaseException):
    """What ends a process in the middle of its work."""


class Breaking(Folder):
    """A folder whose user is ended before or after one of the files goes."""

    left: int
    after: bool

    def delete(self, name: str) -> None:
        """Take a file away, unless the end comes before."""
        if type(self).left == 0 and not type(self).after:
            raise Ended
        super().delete(name)
        if type(self).left == 0:
            raise Ended
        type(self).left -= 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_prune_that_was_ended_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    """
    Ended at each file, what stays is a backup that is whole or unlisted: never a record without its backup.

    The next prune leaves the same as one that was never ended.
    """
    whole = _days(tmp_path / "whole", 5)
    dlbackup.prune(whole.path, TWO, yes=True)
    wanted = _files(whole)
    removed = 5 * 4 - len(wanted)
    assert removed == 2 * 4
    for step in range(removed):
        store = _days(tmp_path / f"{step}", 5)
        with monkeypatch.context() as patched:
            patched.setattr(verb, "store_of_backups", lambda path: Breaking(Path(path)))
            Breaking.left, Breaking.after = step, after
            with pytest.raises(Ended):
                dlbackup.prune(store.path, TWO, yes=True)

        listing = listing_of(store)
        assert not [name for name in listing.stray if name.endswith(".backup.json")]
        assert all(entry.state in ("good", "proven", "damaged", "unlisted") for entry in listing.entries)
        again = dlbackup.prune(store.path, TWO, yes=True)

        assert _files(store) == wanted
        assert again.stray == ()
        assert dlbackup.prune(store.path, TWO).remove == ()


def test_what_can_not_be_taken_away_keeps_nothing_else(store: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the store doesn't let go is named; the others are gone all the same."""
    locked = _backups(store)[5]

    class Locking(Folder):
        def delete(self, name: str) -> None:
            if name == locked:
                raise StorageError(f"{name} is locked")
            super().delete(name)

    monkeypatch.setattr(verb, "store_of_backups", lambda path: Locking(Path(path)))

    with pytest.raises(StorageError) as caught:
        dlbackup.prune(store.path, TWO, yes=True)

    assert caught.value.message == f"1 of 7 backups could not be taken away: {locked} is locked"
    assert isinstance(caught.value.result, dlbackup.Pruned)
    assert len(_backups(store)) == 4
    assert listing_of(store).entries[-1].state == "unlisted"


def test_a_store_that_does_not_answer_is_asked_once(store: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it takes to give one request up is not spent on each backup; the error says that it may be tried again."""
    asked: list[str] = []

    class Silent(Folder):
        def delete(self, name: str) -> None:
            asked.append(name)
            error = StorageError("the store doesn't answer")
            error.transient = True
            raise error

    monkeypatch.setattr(verb, "store_of_backups", lambda path: Silent(Path(path)))

    with pytest.raises(StorageError, match="not all was taken away: the store doesn't answer") as caught:
        dlbackup.prune(store.path, TWO, yes=True)

    assert caught.value.transient
    assert len(asked) == 1


def test_two_prunes_at_once(store: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another has taken away meanwhile is no error."""

    class Raced(Folder):
        def delete(self, name: str) -> None:
            (self.path / name).unlink()
            super().delete(name)

    monkeypatch.setattr(verb, "store_of_backups", lambda path: Raced(Path(path)))

    dlbackup.prune(store.path, TWO, yes=True)

    assert len(_backups(store)) == 3


class Meanwhile(Folder):
    """A folder in which something happens when a file was taken away."""

    when: str
    what: Callable[[], object]

    def delete(self, name: str) -> None:
        """Take a file away, and let it happen."""
        super().delete(name)
        if name == type(self).when:
            type(self).what()


@pytest.mark.parametrize("how", ["pin", "journal"])
def test_a_backup_that_is_pinned_meanwhile_is_kept(store: Folder, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """A prune that has listed the store before sees the pin once the record is gone, and puts that back."""
    wanted, before = _backups(store)[-2], _backups(store)[-1]
    monkeypatch.setattr(verb, "store_of_backups", lambda path: Meanwhile(Path(path)))
    Meanwhile.when = before
    (store.path / f"{wanted}.journal.json").unlink()
    beside: dict[str, Callable[[], object]] = {
        "pin": lambda: dlbackup.pin(store.path / wanted, name="audit"),
        "journal": lambda: write(store, f"{wanted}.journal.json", b'{"progress": "attached"}'),
    }
    Meanwhile.what = staticmethod(beside[how])
    record = (store.path / names.record_of(wanted)).read_bytes()

    done = dlbackup.prune(store.path, TWO, yes=True)

    assert done.keep[-1] == dlbackup.Decision(name=wanted, reasons=("pinned meanwhile",))
    assert wanted not in [one.name for one in done.remove]
    assert done.cleanup_safe_before == as_text(names.time_of(wanted) - timedelta(hours=1))
    assert (store.path / names.record_of(wanted)).read_bytes() == record
    assert listing_of(store).entries[-1].state == "proven"
    assert len(_backups(store)) == 4


def test_a_pin_that_comes_too_late_says_so(store: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a prune is taking away can't be pinned, and nobody is told that it is; no pin is left."""
    wanted = _backups(store)[-1]
    place = Where(store, wanted)
    monkeypatch.setattr(verb, "store_of_backups", lambda path: Meanwhile(Path(path)))
    said: list[str] = []

    def pin() -> None:
        with pytest.raises(StorageError, match="can't be pinned: a prune is taking it away") as caught:
            publishing.pin(place, "migration")
        said.append(caught.value.hint)

    Meanwhile.when, Meanwhile.what = wanted, staticmethod(pin)

    dlbackup.prune(store.path, TWO, yes=True)

    assert said
    assert wanted not in _backups(store)
    assert listing_of(store).stray == ()


def test_a_record_whose_backup_was_lost_stays(store: Folder) -> None:
    """It is named, and is the only thing that says what there was."""
    lost = _backups(store)[4]
    (store.path / lost).unlink()

    done = dlbackup.prune(store.path, TWO, yes=True)

    assert names.record_of(lost) in done.stray
    assert (store.path / names.record_of(lost)).exists()


def test_pins_keep_a_backup_until_it_is_released(store: Folder, cli: Cli) -> None:
    """Pinned twice is pinned once; released, it goes like others; a migration's pin is one like others."""
    oldest = store.path / _backups(store)[-1]
    pinned(store, oldest.name, NOW, "migration")
    (store.path / f"{oldest.name}.journal.json").unlink()

    for _ in range(2):
        assert cli("pin", oldest, "--name", "audit", "--json").json()["pins"] == ["audit", "migration"]
    assert cli("pin", oldest).stdout == f"{oldest} is kept: pinned by audit, manual, migration\n"
    assert cli("prune", store.path, "--keep-last", "1", "--yes").exit_code == 0
    listed = cli("list", store.path, "--json").json()["backups"][-1]
    assert (listed["name"], listed["pins"]) == (oldest.name, ["audit", "manual", "migration"])
    assert listed["kept_because"][:2] == ["pinned: audit", "pinned: manual"]

    assert cli("release", oldest, "--name", "audit").stdout == "released: audit; still pinned by manual, migration\n"
    wrong = cli("release", oldest, "--name", "audit")
    assert (wrong.exit_code, "hint: its pins are manual, migration" in wrong.stderr) == (2, True)
    assert cli("release", oldest, "--json").json()["changed"] == ["manual", "migration"]
    assert cli("release", oldest).stdout == "nothing to do: there are no pins\n"
    assert cli("prune", store.path, "--keep-last", "1", "--yes").exit_code == 0
    assert not oldest.exists()


def test_the_pin_of_a_migration_is_not_put_by_hand(store: Folder, cli: Cli) -> None:
    """It would keep nothing of a migration that was undone."""
    done = cli("pin", store.path / _backups(store)[0], "--name", "migration")

    assert (done.exit_code, "choose another name" in done.stderr) == (2, True)


@pytest.mark.parametrize("verb_name", ["pin", "release"])
def test_only_what_is_in_a_store_can_be_pinned(tmp_path: Path, verb_name: str) -> None:
    """A file of another name is never pruned, and one that isn't there is told."""
    (tmp_path / "mine.sql.zst").write_bytes(b"x")
    ask = getattr(dlbackup, verb_name)

    with pytest.raises(UsageError, match="has a name of its own"):
        ask(tmp_path / "mine.sql.zst")
    with pytest.raises(StorageError, match="can't read"):
        ask(tmp_path / "ducklake-lake-20261120T120000Z-v1.0-a1b2c3.sql.zst")


def test_a_list_says_what_is_known(store: Folder, cli: Cli) -> None:
    """A line for each backup, then what needs somebody's attention; in the JSON the keys that are promised."""
    unlisted = add_backup(store, NOW + timedelta(minutes=1), listed=False)
    said = cli("list", store.path, "--json").json()
    lines = cli("list", store.path).stdout.splitlines()

    assert set(said) >= {"store", "backups", "cleanup_safe_before"}
    first, second, third = said["backups"][:3]
    keys = "name catalog created spec_version snapshot_id rows file_bytes encrypted state proven_at files"
    assert set(first) >= {*keys.split(), "at_risk_until", "pins", "kept_because"}
    assert [one["state"] for one in (first, second, third)] == ["unlisted", "damaged", "proven"]
    assert third["kept_because"] == ["the newest good one", "the newest proven one"]
    assert " ".join(lines[0].split()) == "backup age snapshot rows size took state proven files kept because"
    assert lines[1].startswith(unlisted)
    assert any(line.startswith(f"damaged: {second['name']}: the drill of ") for line in lines)
    assert "1 backup without a record: unfinished, or never proved" in lines
    assert json.loads(json.dumps(said)) == said


def test_a_folder_without_backups(tmp_path: Path, cli: Cli) -> None:
    """Nothing is there to list or to prune; a folder that isn't there is an error."""
    assert cli("list").stdout == "no backups in .\n"
    assert cli("prune", ".", "--keep-last", "1").stdout == "0 backups kept, none may go\n"
    for command in (("list", "none"), ("prune", "none", "--keep-last", "1")):
        done = cli(*command)
        assert (done.exit_code, "none is not a folder" in done.stderr) == (1, True)
    assert cli("prune", ".").exit_code == 4


@pytest.mark.parametrize("text", ["", "0d", "5", "d", "5m", "-1d", "1.5d", "123456d"])
def test_wrong_durations(text: str, cli: Cli) -> None:
    """What is no time is wrong usage, and the message says what would be one."""
    done = cli("prune", ".", f"--keep-within={text}")

    assert (done.exit_code, "36h, 14d or 8w" in done.stderr) == (2, True)


def _real(folder: Path, name: str) -> Path:
    """Write a real backup, without a record, and old enough to go."""
    path = folder / name
    header = replace(HEADER, created=as_text(names.time_of(name)))
    write_backup(path, small(), header)
    _age(folder)
    return path


def test_backups_of_before_get_their_records(tmp_path: Path, cli: Cli) -> None:
    """One that an older dlbackup made would go as unfinished; proved with --record it counts like others."""
    folder = tmp_path / "backups"
    folder.mkdir()
    old, migrated = (_real(folder, name_at(NOW - days * DAY)) for days in (4, 8))
    write(Folder(folder), f"{migrated.name}.journal.json", b'{"progress": "migrated"}')
    refused = cli("prune", folder, "--keep-last", "5", "--yes")
    assert (refused.exit_code, "dlbackup verify --record" in refused.stderr) == (4, True)

    for path in (old, migrated, old):
        said = cli("verify", path, "--record", "--json").json()
        assert said["record"] == str(folder / names.record_of(path.name))

    (first, second) = listing_of(Folder(folder)).entries
    assert (first.state, second.state, second.pins) == ("good", "good", ("migration",))
    record = first.record
    assert record is not None
    assert (record.made_by, second.record and second.record.made_by) == ("dump", "migrate")
    assert (record.rows, record.tables, record.spec_version) == (4, 2, "9.9")
    assert record.sha256 == hashlib.sha256(old.read_bytes()).hexdigest()
    assert record.file_bytes == old.stat().st_size
    assert len(record.seal) == 64
    kept = cli("prune", folder, "--keep-last", "1", "--json").json()["keep"]
    assert [one["reasons"] for one in kept] == [
        ["the newest good one", "among the last 1"],
        ["made by a migration that was not released"],
    ]


def test_a_record_that_says_nothing_is_told(tmp_path: Path, cli: Cli) -> None:
    """One that is damaged, or that of another backup, is not taken for this one's; it isn't written over either."""
    folder = tmp_path / "backups"
    folder.mkdir()
    path = _real(folder, name_at(NOW))
    record = folder / names.record_of(path.name)
    other = encode(record_at(name_at(NOW - DAY), NOW - DAY))
    for data, said in ((b"{", "is damaged: "), (json.dumps(other).encode(), "is that of another backup: ")):
        record.write_bytes(data)
        done = cli("verify", path, "--record")
        assert (done.exit_code, said in done.stderr, "take that file away" in done.stderr) == (1, True, True)
        assert record.read_bytes() == data

    record.unlink()
    assert cli("verify", path, "--record").exit_code == 0


def test_a_damaged_backup_gets_no_record(tmp_path: Path, cli: Cli) -> None:
    """Nor does one that has a name of its own, or is piped in."""
    folder = tmp_path / "backups"
    folder.mkdir()
    path = _real(folder, name_at(NOW))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)

    done = cli("verify", path, "--record", "--json")

    assert (done.exit_code, done.json()["record"]) == (3, None)
    assert _files(Folder(folder)) == [path.name]
    write_backup(folder / "mine.sql.zst", small())
    assert cli("verify", folder / "mine.sql.zst", "--record").exit_code == 2
    assert cli("verify", "-", "--record", stdin=path.read_bytes()).exit_code == 2
