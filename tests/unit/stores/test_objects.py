"""What only an object storage can do wrong: large uploads, lost answers, wrong keys, an unreachable server."""

import os
import secrets
import subprocess
import sys

import pytest
from support.servers.proxy import Proxy
from support.servers.seaweed import BUCKET, Seaweed

from dlbackup.errors import StorageError
from dlbackup.stores.objects import PART_BYTES, Objects

_MIB = 1 << 20


def _set(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Objects:
    """Return an empty store that is reached by these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Objects("s3", BUCKET, secrets.token_hex(8))


def _large(store: Objects, name: str, piece: bytes = os.urandom(_MIB)) -> int:
    number = 2 * PART_BYTES // _MIB + 3
    with store.create(name) as sink:
        for _ in range(number):
            sink.write(piece)
    return number * _MIB


def test_a_large_object_is_there_when_its_upload_is_completed(weed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its parts are sent nothing is listed; an error leaves nothing, and nobody else's object is taken away."""
    store = _set(monkeypatch, weed.environment())
    with pytest.raises(ValueError, match="stop"), store.create("large") as sink:
        for _ in range(2 * PART_BYTES // _MIB + 3):
            sink.write(bytes(_MIB))
        assert list(store.list()) == []
        raise ValueError("stop")
    assert list(store.list()) == []

    size = _large(store, "large")
    assert [(blob.name, blob.size) for blob in store.list()] == [("large", size)]

    with pytest.raises(StorageError, match="exists already"), store.create("other") as sink:
        for _ in range(2 * PART_BYTES // _MIB):
            sink.write(bytes(_MIB))
        with store.create("other") as early:
            early.write(b"early")
    assert [(blob.name, blob.size) for blob in store.list()] == [("large", size), ("other", 5)]


@pytest.mark.parametrize("after", [1, 3 * _MIB, PART_BYTES + _MIB, 2 * PART_BYTES + _MIB])
def test_a_cut_connection_is_made_again(weed: Seaweed, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Whatever part of an upload a connection breaks in, the object is whole in the end."""
    with Proxy("127.0.0.1", weed.port) as proxy:
        store = _set(monkeypatch, weed.environment(proxy.port))
        proxy.strike("reset", "up", after)
        size = _large(store, "large")
        assert proxy.struck.is_set()
        assert [(blob.name, blob.size) for blob in store.list()] == [("large", size)]


def test_a_lost_answer_to_a_small_object_is_no_other_object(weed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the connection breaks at the answer, the request is made again and meets its own object: that is done."""
    with Proxy("127.0.0.1", weed.port) as proxy:
        store = _set(monkeypatch, weed.environment(proxy.port))
        with store.create("small") as sink:
            sink.write(b"ours")
            proxy.strike("reset", "down", 1)
        assert proxy.struck.is_set()
        with store.open("small") as file:
            assert file.read_at(0, 10) == b"ours"


def test_a_cut_connection_while_reading_is_made_again(weed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a read breaks, the bytes are the right ones."""
    data = os.urandom(5 * _MIB)
    with Proxy("127.0.0.1", weed.port) as proxy:
        store = _set(monkeypatch, weed.environment(proxy.port))
        with store.create("some") as sink:
            sink.write(data)
        proxy.strike("reset", "down", 2 * _MIB)
        with store.open("some") as file:
            read = b"".join(file.read_at(at, 100_000) for at in range(0, len(data), 100_000))
        assert proxy.struck.is_set()
    assert read == data


def test_one_part_is_read_without_the_rest(weed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes anywhere cost a few hundred kB, and reading on costs few requests."""
    with Proxy("127.0.0.1", weed.port) as proxy:
        store = _set(monkeypatch, weed.environment(proxy.port))
        size = _large(store, "large")
        before = proxy.passed["down"]
        with store.open("large") as file:
            file.read_at(size - 100, 100)
            file.read_at(size // 2, 1000)
        assert proxy.passed["down"] - before < _MIB


def test_wrong_keys_and_no_server_are_said(weed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which, and holds neither key nor signature."""
    store = _set(monkeypatch, weed.environment() | {"AWS_SECRET_ACCESS_KEY": "not-the-key"})
    with pytest.raises(StorageError, match=r"refuses the credentials|no right") as caught:
        list(store.list())
    assert "not-the-key" not in str(vars(caught.value))
    assert caught.value.hint

    monkeypatch.setenv("AWS_PROFILE", "nightly")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    store = Objects("s3", BUCKET, secrets.token_hex(8))
    with pytest.raises(StorageError, match="AWS_PROFILE"):
        list(store.list())


def test_a_missing_bucket_is_said(weed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the bucket that is missing, and not an object in it."""
    _set(monkeypatch, weed.environment())
    with pytest.raises(StorageError, match="no such bucket"):
        list(Objects("s3", "elsewhere").list())


def test_http_to_another_machine_must_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backups don't go over a network unencrypted unless the environment says so."""
    variables = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://192.0.2.1:9"}
    store = _set(monkeypatch, variables)
    with pytest.raises(StorageError, match="not encrypted") as caught:
        list(store.list())
    assert "AWS_ALLOW_HTTP" in caught.value.hint


_UPLOADS = """
import os, sys
from dlbackup.stores.objects import Objects
with Objects("s3", sys.argv[1], sys.argv[2]).create("large") as sink:
    for _ in range(60):
        sink.write(os.urandom(1 << 20))
"""


@pytest.mark.parametrize("sent", [1, *(part * PART_BYTES // 2 for part in range(1, 7))])
def test_a_killed_upload_leaves_nothing(weed: Seaweed, monkeypatch: pytest.MonkeyPatch, sent: int) -> None:
    """However much was sent when its process was killed, nothing is listed, and the name is free."""
    with Proxy("127.0.0.1", weed.port) as proxy:
        store = _set(monkeypatch, weed.environment(proxy.port))
        proxy.strike("stall", "up", sent)
        with subprocess.Popen([sys.executable, "-c", _UPLOADS, store.bucket, store.prefix]) as running:
            assert proxy.struck.wait(60)
            running.kill()
        proxy.heal()
        assert list(store.list()) == []
        with store.create("large") as sink:
            sink.write(b"free")
