"""What every store does, the same tests for each: a new one is added by a line in `STORES`."""

import pickle
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.servers.clouds import CONTAINER
from support.servers.seaweed import BUCKET, Seaweed

from dlbackup.errors import Interrupted, StorageError
from dlbackup.stores.contract import Store, Where
from dlbackup.stores.encrypted import Encrypted
from dlbackup.stores.folder import Folder
from dlbackup.stores.in_memory import InMemory
from dlbackup.stores.keys import Keyring
from dlbackup.stores.objects import Objects

STORES: dict[str, Callable[[Path], Store]] = {
    "folder": Folder,
    "memory": lambda folder: InMemory(),
    "keyed": lambda folder: Encrypted(Folder(folder), Keyring()),
    "s3": lambda folder: Objects("s3", BUCKET, secrets.token_hex(8)),
    "moto": lambda folder: Objects("s3", CONTAINER, secrets.token_hex(8)),
    "azure": lambda folder: Objects("az", CONTAINER, secrets.token_hex(8)),
    "google": lambda folder: Objects("gs", CONTAINER, secrets.token_hex(8)),
}
_SERVED_BY = {"s3": "weed", "moto": "moto", "azure": "azurite", "google": "google"}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store of each kind."""
    if request.param in _SERVED_BY:
        served: Seaweed | dict[str, str] = request.getfixturevalue(_SERVED_BY[request.param])
        for name, value in (served.environment() if isinstance(served, Seaweed) else served).items():
            monkeypatch.setenv(name, value)
    return STORES[request.param](tmp_path)


def put(store: Store, name: str, data: bytes = b"some bytes") -> Where:
    with store.create(name) as sink:
        sink.write(data)
    return Where(store, name)


def names(store: Store) -> list[str]:
    return [blob.name for blob in store.list()]


def content(where: Where) -> bytes:
    with where.open() as file:
        return file.read_at(0, file.size)


def test_a_file_is_there_when_its_block_ends(store: Store) -> None:
    """What is being written can be neither listed nor opened; then all of it is there."""
    with store.create("backup") as sink:
        sink.write(b"one")
        sink.write(b"two")
        assert names(store) == []
        with pytest.raises(StorageError), store.open("backup"):
            pytest.fail("opened half a file")

    assert names(store) == ["backup"]
    assert content(Where(store, "backup")) == b"onetwo"


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), Interrupted("x"), StorageError("x")])
def test_nothing_is_left_of_an_error(store: Store, error: BaseException) -> None:
    """When the block ends with an error it is passed on, nothing is there, and the name is free."""
    with pytest.raises(type(error)), store.create("backup") as sink:
        sink.write(b"half")
        raise error

    assert names(store) == []
    assert content(put(store, "backup", b"whole")) == b"whole"


def test_nothing_takes_the_place_of_another(store: Store) -> None:
    """A name that is taken, before or while the file is written, keeps what it has."""
    where = put(store, "backup", b"first")
    with pytest.raises(StorageError, match="exists already"), store.create("backup"):
        pytest.fail("opened what exists")
    with pytest.raises(StorageError, match="exists already"), store.create("other") as sink:
        sink.write(b"late")
        put(store, "other", b"early")

    assert content(where) == b"first"
    assert content(Where(store, "other")) == b"early"
    assert names(store) == ["backup", "other"]


def test_a_missing_file_is_said(store: Store) -> None:
    """To open or to delete what isn't there is a StorageError that names it as the user does."""
    with pytest.raises(StorageError) as opened, store.open("missing"):
        pytest.fail("opened what isn't there")
    with pytest.raises(StorageError) as deleted:
        store.delete("missing")

    for caught in (opened, deleted):
        assert str(Where(store, "missing")) in caught.value.message


def test_a_list_tells_what_is_there(store: Store) -> None:
    """Each file has its name, its size and the time of its writing, in the order of names; deleted ones are gone."""
    begun = datetime.now(UTC) - timedelta(seconds=2)
    for name, size in (("b", 3), ("c", 0), ("a", 100_000)):
        put(store, name, b"x" * size)
    put(store, "gone")
    store.delete("gone")

    found = list(store.list())
    assert [(blob.name, blob.size) for blob in found] == [("a", 100_000), ("b", 3), ("c", 0)]
    assert all(begun <= blob.modified <= datetime.now(UTC) + timedelta(seconds=2) for blob in found)


def test_what_goes_on_is_listed_alone(store: Store) -> None:
    """Of a beginning only the longer names come, in their order, whatever is before, after and between them."""
    for name in ("a", "b", "b-1", "b.json", "b.pin-x.json", "ba", "c"):
        put(store, name, name.encode())

    assert [blob.name for blob in store.list("b.")] == ["b.json", "b.pin-x.json"]
    assert [blob.name for blob in store.list("b")] == ["b-1", "b.json", "b.pin-x.json", "ba"]
    assert [list(store.list(name)) for name in ("a.", "c", "x")] == [[], [], []]


def test_any_part_can_be_read(store: Store) -> None:
    """As many bytes as were asked for come from any place in any order; fewer only at the end."""
    data = bytes(range(256)) * 1000
    with put(store, "backup", data).open() as file:
        assert file.size == len(data)
        for offset, size in ((255_990, 10), (0, 4), (100, 200_000), (7, 0), (0, len(data))):
            assert file.read_at(offset, size) == data[offset : offset + size]
        assert file.read_at(len(data) - 3, 10) == data[-3:]
        assert file.read_at(len(data), 10) == b""
        assert file.read_at(len(data) + 5, 10) == b""


def test_threads_read_side_by_side(store: Store) -> None:
    """Several threads read one open file, each its own part."""
    parts = [bytes([number]) * 4096 for number in range(8)]
    wrong: list[int] = []
    with put(store, "backup", b"".join(parts)).open() as file:

        def read(number: int) -> None:
            if any(file.read_at(number * 4096, 4096) != parts[number] for _ in range(200)):
                wrong.append(number)

        threads = [threading.Thread(target=read, args=(number,)) for number in range(len(parts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert wrong == []


def test_an_open_file_stays_what_was_opened(store: Store) -> None:
    """What is laid under the name of an open file is another file: the open one is read to its end, or not at all."""
    first = b"first" * 10_000
    with put(store, "backup", first).open() as file:
        store.delete("backup")
        put(store, "backup", b"other")
        if isinstance(store, Objects):
            with pytest.raises(StorageError, match="was replaced"):
                file.read_at(0, len(first))
        else:
            assert file.read_at(0, len(first)) == first

    assert content(Where(store, "backup")) == b"other"


READS = """
import pickle, sys
with pickle.load(sys.stdin.buffer).open() as file:
    sys.stdout.buffer.write(file.read_at(0, file.size))
"""


def test_another_process_opens_the_same_file(store: Store) -> None:
    """What says where a file is survives pickling, and a process of ours reads the same bytes by it."""
    where = put(store, "backup", b"the same")

    read = subprocess.run([sys.executable, "-c", READS], input=pickle.dumps(where), capture_output=True, check=True)
    assert read.stdout == b"the same"
