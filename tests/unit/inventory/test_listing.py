"""What is in a store: backups with their records, drills and pins; whatever is damaged is told and ends nothing."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.stores import CONTENT, add_backup, drilled, name_at, pinned, record_at, write

from dlbackup.errors import StorageError, UsageError
from dlbackup.inventory import names
from dlbackup.inventory.listing import Entry, listing_of
from dlbackup.inventory.record import NOT_OPENED, Drill, Record, as_text, put, read
from dlbackup.lake.findings import Finding
from dlbackup.records import encode
from dlbackup.stores.contract import Readable, Store, Where
from dlbackup.stores.folder import Folder
from dlbackup.stores.in_memory import InMemory

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STORES: dict[str, Callable[[Path], Store]] = {"folder": Folder, "memory": lambda folder: InMemory()}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    return STORES[request.param](tmp_path)


def only(store: Store) -> Entry:
    (entry,) = listing_of(store).entries
    return entry


def test_what_a_backup_is_known_by(store: Store) -> None:
    """Its record, its drills in order, its pins; the newest backup comes first."""
    old, new = (add_backup(store, NOON + days * 24 * HOUR) for days in (0, 1))
    for hours in (5, 3):
        drilled(store, old, NOON + hours * HOUR)
    pinned(store, old, NOON, "before-upgrade")

    listing = listing_of(store)

    assert [entry.name for entry in listing.entries] == [new, old]
    assert [entry.state for entry in listing.entries] == ["good", "proven"]
    entry = listing.entries[1]
    assert (entry.catalog, entry.created, entry.proven_at) == ("lake", NOON, NOON + 5 * HOUR)
    assert [drill.created for drill in entry.drills] == ["2026-11-20T15:00:00Z", "2026-11-20T17:00:00Z"]
    assert (entry.pins, listing.stray, listing.unreadable) == (("before-upgrade",), (), ())
    assert len(entry.beside) == 4


def test_a_record_comes_back_as_it_was_put(store: Store) -> None:
    """Every value of it; and it is put once, never over another."""
    name = name_at(NOON)
    record = record_at(name, NOON, snapshot_id=None, lake=None, recipients=("age1x",), encrypted=True, file_ids="0-3")
    where = Where(store, names.record_of(name))
    put(where, record)

    assert read(where, Record) == record
    with pytest.raises(StorageError):
        put(where, record_at(name, NOON))
    assert read(where, Record) == record


def test_a_backup_without_a_record_is_unlisted(store: Store) -> None:
    """Nothing is known of it but its name; what is beside no backup is named."""
    name = add_backup(store, NOON, listed=False)
    gone = name_at(NOON + HOUR)
    put(Where(store, names.record_of(gone)), record_at(gone, NOON + HOUR))
    pinned(store, gone, NOON)

    listing = listing_of(store)

    assert [(entry.name, entry.state, entry.created) for entry in listing.entries] == [(name, "unlisted", NOON)]
    assert listing.stray == (names.record_of(gone), names.pin_of(gone, "kept"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"backup": 1}',
        b'{"backup": "x", "created": "today"}',
        b" " * 5_000_000,
        json.dumps(encode(record_at(name_at(NOON + HOUR), NOON, created="0001-01-01T00:00:00+14:00"))).encode(),
        json.dumps(encode(record_at(name_at(NOON + HOUR), NOON, created="9999-12-31T23:59:59-14:00"))).encode(),
    ],
    ids=[
        "empty",
        "cut",
        "no object",
        "no text",
        "too deep",
        "another type",
        "too little",
        "too large",
        "first",
        "last",
    ],
)
def test_a_damaged_record_is_told(store: Store, data: bytes) -> None:
    """The backup is damaged as long as nobody knows what it is; the others are listed as ever."""
    good = add_backup(store, NOON)
    bad = add_backup(store, NOON + HOUR, listed=False)
    write(store, names.record_of(bad), data)

    listing = listing_of(store)

    assert [(entry.name, entry.state) for entry in listing.entries] == [(bad, "damaged"), (good, "good")]
    (text,) = listing.unreadable
    assert text.startswith(f"{store.shown(names.record_of(bad))} is damaged: ")


def test_a_record_of_a_later_version(store: Store) -> None:
    """Keys that this version doesn't know don't matter."""
    name = add_backup(store, NOON)
    where = Where(store, names.record_of(name))
    with where.open() as file:
        data = file.read_at(0, file.size)
    store.delete(where.name)
    write(store, where.name, data.replace(b"{", b'{"of_a_later_version": {"x": [1]},', 1))

    assert only(store).record == record_at(name, NOON)


def test_another_size_is_damage(store: Store) -> None:
    """A file that was cut isn't good, whatever its record says, and no drill of before makes it so."""
    name = add_backup(store, NOON, file_bytes=len(CONTENT) + 1)
    drilled(store, name, NOON + HOUR)

    entry = only(store)

    assert (entry.state, entry.proven_at, entry.is_good) == ("damaged", None, False)
    assert entry.damage == f"it has {len(CONTENT)} bytes, and its record says {len(CONTENT) + 1}"


def test_a_record_of_another_backup(store: Store) -> None:
    """A record that was copied or renamed is none of this backup."""
    name = add_backup(store, NOON, backup=name_at(NOON + HOUR))

    entry = only(store)

    assert (entry.state, entry.record) == ("damaged", None)
    assert entry.unreadable == (f"{store.shown(names.record_of(name))} is the record of {name_at(NOON + HOUR)}",)


def test_the_last_drill_counts(store: Store) -> None:
    """One that couldn't run says nothing; one that found the backup bad says it until another finds it good."""
    name = add_backup(store, NOON)
    drilled(store, name, NOON + HOUR)
    drilled(store, name, NOON + 2 * HOUR, ok=False, couldnt_run="no server")
    assert (only(store).state, only(store).proven_at) == ("proven", NOON + HOUR)

    drilled(store, name, NOON + 3 * HOUR, ok=False)
    assert (only(store).state, only(store).proven_at) == ("damaged", None)
    assert only(store).damage == "the drill of 2026-11-20T15:00:00Z found it bad"

    drilled(store, name, NOON + 4 * HOUR)
    assert (only(store).state, only(store).proven_at) == ("proven", NOON + 4 * HOUR)


@pytest.mark.parametrize(
    ("rules", "state"),
    [
        (("missing-data-files", "data-file-sizes"), "good"),
        (("unreadable-data-files",), "good"),
        ((NOT_OPENED,), "good"),
        (("missing-data-files", "corrupt"), "damaged"),
        (("restored-otherwise",), "damaged"),
    ],
)
def test_what_a_drill_misses_outside_of_a_backup(store: Store, rules: tuple[str, ...], state: str) -> None:
    """A mount that was not there, or another engine, is no reason to take a backup away; nor is it proven then."""
    name = add_backup(store, NOON)
    drilled(store, name, NOON + HOUR)
    at = NOON + 2 * HOUR
    found = tuple(Finding(severity="error", rule=rule, message="it isn't there") for rule in rules)
    report = Drill(backup=name, ok=False, created=as_text(at), seconds=1.0, findings=found)
    put(Where(store, names.drill_of(name, at)), report)

    entry = only(store)

    assert (entry.state, entry.proven_at, bool(entry.damage)) == (state, None, state == "damaged")
    said = f"the drill of {as_text(at)} says: {rules[0]}: it isn't there"
    assert entry.lacks.startswith(said) if state == "good" else not entry.lacks


def test_the_journal_of_a_migration(store: Store) -> None:
    """Its backup is needed until the journal says how the migration ended."""
    name = add_backup(store, NOON, made_by="migrate")
    write(store, f"{name}.journal.json", b'{"progress": "attached", "format": 1}')
    assert only(store).migrates

    store.delete(f"{name}.journal.json")
    write(store, f"{name}.journal.json", b'{"progress": "migrated"}')
    assert not only(store).migrates
    assert f"{name}.journal.json" in only(store).beside


FOREIGN = (
    "notes.txt",
    "before-upgrade.sql.zst",
    "ducklake-lake-20261120T120000Z-v1.0-a1b2c3.sql",
    "ducklake-lake-20261120T120000Z-v1.0-A1B2C3.sql.zst",
    "ducklake-lake-20261399T120000Z-v1.0-a1b2c3.sql.zst",
    "ducklake-20261120T120000Z-v1.0-a1b2c3.sql.zst",
    "ducklake-lake-20261120T120000Z-v1.0-a1b2c3.sql.zst.journal.json.bak",
)


def test_files_of_others_are_not_looked_at(store: Store) -> None:
    """Whatever dlbackup didn't name is no backup of the store, nor does it belong to one."""
    for name in FOREIGN:
        write(store, name, b"x")

    assert listing_of(store) == type(listing_of(store))(entries=())


@pytest.mark.parametrize(
    ("catalog", "spec", "ending"),
    [("lake", "1.0", ".sql.zst"), ("my-lake-sales_2", "1.1-dev1", ".sql.zst.age"), ("x-v1", "unknown", ".sql.zst")],
)
def test_names_of_backups(catalog: str, spec: str, ending: str) -> None:
    """What a name says is read from it, whatever is in the names of databases and versions."""
    stem = f"ducklake-{catalog}-20261120T120000Z-v{spec}-0123af"

    assert names.is_backup(stem + ending)
    assert (names.catalog_of(stem + ending), names.time_of(stem + ending)) == (catalog, NOON)
    assert names.record_of(stem + ending) == f"{stem}.backup.json"
    assert names.beside(names.record_of(stem + ending)) == (stem, "backup", "")
    assert names.beside(names.drill_of(stem + ending, NOON)) == (stem, "drill", "20261120T120000Z")
    assert names.beside(names.pin_of(stem + ending, "a-b_1")) == (stem, "pin", "a-b_1")
    assert names.beside(f"{stem}{ending}.journal.json") == (stem, "journal", "")


@pytest.mark.parametrize("name", ["", "a/b", "a.b", "a b", "ä", "x" * 41, "../x"])
def test_names_of_pins(name: str) -> None:
    """A pin's name can't lead elsewhere, or be taken for something else."""
    with pytest.raises(UsageError, match="can't be the name of a pin"):
        names.pin_of(name_at(NOON), name)


class Slow(InMemory):
    """A store whose every answer takes a millisecond and more, as a server's near by does."""

    @contextmanager
    def open(self, name: str) -> Iterator[Readable]:
        """Open a file, later."""
        time.sleep(0.002)
        with super().open(name) as file:
            yield file


def test_two_thousand_backups_are_listed_at_once() -> None:
    """Small files are read side by side, so that a list of years is there in a second or two."""
    store = Slow()
    for number in range(2000):
        add_backup(store, NOON - number * HOUR)
    begun = time.monotonic()

    assert len(listing_of(store).entries) == 2000
    assert time.monotonic() - begun < 3
