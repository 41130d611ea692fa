"""What only an object storage can do wrong: large uploads, lost answers, wrong keys, an unreachable server."""

import os
import random
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import pytest
from support.longer import long
from support.servers.failing import Chosen, Failing, Half
from support.servers.proxy import Fault, Proxy
from support.servers.seaweed import BUCKET, Seaweed
from support.waiting import wait_until

from dlbackup.errors import StorageError, UsageError
from dlbackup.stores import objects
from dlbackup.stores.object_clients import client
from dlbackup.stores.objects import PART_BYTES, Objects

_MIB = 1 << 20
_REQUESTS = 5200
"""Bytes of an upload that are none of the object: heads, checksums, and the list of its parts."""


def _set(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Objects:
    """Return an empty store that is reached by these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Objects("s3", BUCKET, secrets.token_hex(8))


_SMALL_PART_BYTES = 5 * _MIB
"""The smallest that a part may have."""


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let uploads go in parts of a third of the size that users have."""
    for name in ("PART_BYTES", "SMALL_BYTES"):
        monkeypatch.setattr(objects, name, _SMALL_PART_BYTES)


def _large(store: Objects, name: str, piece: bytes = os.urandom(_MIB)) -> int:
    """Write what goes in three parts; return its size."""
    number = 2 * objects.PART_BYTES // _MIB + 3
    with store.create(name) as sink:
        for _ in range(number):
            sink.write(piece)
    return number * _MIB


def test_a_large_object_is_there_when_its_upload_is_completed(weed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its parts are sent nothing is listed; an error leaves nothing, and nobody else's object is taken away."""
    store, before = _set(monkeypatch, weed.environment()), weed.uploads()
    with pytest.raises(ValueError, match="stop"), store.create("large") as sink:
        for _ in range(2 * PART_BYTES // _MIB + 3):
            sink.write(bytes(_MIB))
        assert list(store.list()) == []
        raise ValueError("stop")
    assert (list(store.list()), weed.uploads() - before) == ([], frozenset())

    size = _large(store, "large")
    assert [(blob.name, blob.size) for blob in store.list()] == [("large", size)]

    with pytest.raises(StorageError, match="exists already"), store.create("other") as sink:
        for _ in range(2 * PART_BYTES // _MIB):
            sink.write(bytes(_MIB))
        with store.create("other") as early:
            early.write(b"early")
    assert [(blob.name, blob.size) for blob in store.list()] == [("large", size), ("other", 5)]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("after", [1, long(3 * _MIB), _SMALL_PART_BYTES + _MIB, long(2 * _SMALL_PART_BYTES + _MIB)])
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


def test_another_s_object_of_one_part_stays(weed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it came after the name was looked up: the request itself refuses to replace it."""
    store = _set(monkeypatch, weed.environment())
    with pytest.raises(StorageError, match="exists already"), store.create("some") as sink:
        sink.write(bytes(12 * _MIB))
        with store.create("some") as early:
            early.write(b"early")
        monkeypatch.setattr(Objects, "exists", lambda store, name: False)
    with store.open("some") as file:
        assert file.read_at(0, file.size) == b"early"


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


PART_2: Chosen = lambda method, path: "partNumber=2" in path  # noqa: E731
COMPLETION: Chosen = lambda method, path: method == "POST" and "uploadId" in path  # noqa: E731
UPLOAD: Chosen = lambda method, path: "uploadId" in path  # noqa: E731
PUT: Chosen = lambda method, path: method == "PUT"  # noqa: E731
GET: Chosen = lambda method, path: method == "GET"  # noqa: E731
ANY: Chosen = lambda method, path: True  # noqa: E731


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    ("chosen", "status", "after"),
    [(PART_2, 503, False), long(PART_2, 500, True), long(COMPLETION, 503, False), (COMPLETION, 500, True)],
    ids=["part", "part that was taken", "completion", "completion that was made"],
)
def test_a_large_upload_outlasts_errors_of_the_store(
    weed: Seaweed, monkeypatch: pytest.MonkeyPatch, chosen: Chosen, status: int, *, after: bool
) -> None:
    """Answered with an error twice, whether or not it was done, a request is made again, and the object is whole."""
    with Failing(weed.port, chosen, status, times=2, after=after) as failing:
        store = _set(monkeypatch, weed.environment(failing.port))
        size = _large(store, "large")
        assert len(failing.failed) == 2
        assert [(blob.name, blob.size) for blob in store.list()] == [("large", size)]


@pytest.mark.usefixtures("small_parts")
def test_an_upload_whose_completion_is_never_answered_is_there(weed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store made the object and only errors came back: what is there is what was sent, so that is no failure."""
    with Failing(weed.port, COMPLETION, after=True) as failing:
        store = _set(monkeypatch, weed.environment(failing.port) | {"DLBACKUP_STORE_TIMEOUT": "1"})
        size = _large(store, "large")
        assert [(blob.name, blob.size) for blob in store.list()] == [("large", size)]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("chosen", [PART_2, long(COMPLETION), UPLOAD], ids=["part", "completion", "taking back too"])
def test_an_upload_that_the_store_refuses_leaves_nothing(
    weed: Seaweed, monkeypatch: pytest.MonkeyPatch, chosen: Chosen
) -> None:
    """Errors without an end are said, with how long it was tried; that parts can't be taken back is no other error."""
    before = weed.uploads()
    with Failing(weed.port, chosen) as failing:
        store = _set(monkeypatch, weed.environment(failing.port) | {"DLBACKUP_STORE_TIMEOUT": "1"})
        with pytest.raises(
            StorageError, match=r"can't write .*/large: .*only with errors; given up after \d+ s"
        ) as caught:
            _large(store, "large")
        assert "uploadId" not in str(caught.value)
        assert list(store.list()) == []
    assert chosen is UPLOAD or weed.uploads() <= before


def test_a_small_object_that_the_store_refuses_is_not_there(weed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """One error is outlasted, for each of the requests of a small object; without an end they are said."""
    for chosen, times in ((PUT, 2), (GET, 2), (ANY, 1)):
        with Failing(weed.port, chosen, times=times) as failing:
            store = _set(monkeypatch, weed.environment(failing.port))
            with store.create("small") as sink:
                sink.write(b"ours")
            with store.open("small") as file:
                assert file.read_at(0, 10) == b"ours"
            assert len(failing.failed) == times
    for chosen in (PUT, ANY):
        with Failing(weed.port, chosen) as failing:
            store = _set(monkeypatch, weed.environment(failing.port) | {"DLBACKUP_STORE_TIMEOUT": "0.2"})
            with pytest.raises(StorageError, match="only with errors"), store.create("small") as sink:
                sink.write(b"ours")
        assert list(_set(monkeypatch, weed.environment()).list()) == []


@pytest.mark.parametrize("half", ["cut", long("short"), "silent"])
def test_a_removal_that_gets_no_answer_is_asked_for_again(
    weed: Seaweed, monkeypatch: pytest.MonkeyPatch, half: Half
) -> None:
    """By a POST, which the library doesn't make again; the object may be gone by then."""
    environment = {"DLBACKUP_STORE_TIMEOUT": "0.3"}
    with Failing(weed.port, lambda method, path: method == "POST", half, times=1) as failing:
        store = _set(monkeypatch, weed.environment(failing.port) | environment)
        with store.create("some") as sink:
            sink.write(b"ours")
        store.delete("some")
        assert len(failing.failed) == 1
        assert not store.exists("some")


@pytest.mark.parametrize("half", [long("cut"), "short", long("silent")])
def test_an_answer_that_breaks_off_is_asked_for_again(
    weed: Seaweed, monkeypatch: pytest.MonkeyPatch, half: Half
) -> None:
    """Once, nobody notices, for a list as for an object; without an end it is a store that fails."""
    store = _set(monkeypatch, weed.environment())
    data = os.urandom(_MIB)
    with store.create("some") as sink:
        sink.write(data)
    for times in (1, 1 << 30):
        for listing in (True, False):
            with Failing(weed.port, partial(_asks, listing), half, times=times) as failing:
                monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{failing.port}")
                monkeypatch.setenv("DLBACKUP_STORE_TIMEOUT", "0.5")
                client.cache_clear()
                if times > 1:
                    with pytest.raises(StorageError, match=r"cut off|doesn't answer") as caught:
                        _all_of(store, listing)
                    assert caught.value.transient
                    assert len(failing.failed) <= 3
                else:
                    assert _all_of(store, listing) == ([("some", _MIB)] if listing else data)
                    assert len(failing.failed) == times


@pytest.mark.parametrize("size", [0, 1, 16 << 10, (16 << 10) + 1])
def test_a_record_costs_one_request(weed: Seaweed, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """What is small comes along when it is opened: 16 KiB, of which records have one; an empty object takes two."""
    data = os.urandom(size)
    with Failing(weed.port, lambda *_: False) as counting:
        store = _set(monkeypatch, weed.environment(counting.port))
        with store.create("some") as sink:
            sink.write(data)
        before = counting.asked
        with store.open("some") as file:
            assert (file.size, file.read_at(0, size + 1)) == (size, data)
        assert counting.asked - before == (1 if 0 < size <= 16 << 10 else 2)


def _asks(listing: bool, method: str, path: str) -> bool:
    return method == "GET" and ("list-type" in path) == listing


def _all_of(store: Objects, listing: bool) -> object:
    if listing:
        return [(blob.name, blob.size) for blob in store.list()]
    with store.open("some") as file:
        return file.read_at(0, file.size)


@pytest.mark.usefixtures("small_parts")
def test_a_slow_store_is_waited_for(weed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as each answer comes in time, everything works, and no request is made twice."""
    with Failing(weed.port, ANY, "slow") as failing:
        store = _set(monkeypatch, weed.environment(failing.port) | {"DLBACKUP_STORE_TIMEOUT": "20"})
        size = _large(store, "large")
        assert [(blob.name, blob.size) for blob in store.list()] == [("large", size)]
        with store.open("large") as file:
            assert len(file.read_at(0, _MIB)) == _MIB
        # The name is looked up twice, and a part of the object is read after its beginning.
        assert len(failing.failed) - len(set(failing.failed)) == 2, failing.failed


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("chosen", [GET, PART_2], ids=["read", "part"])
def test_a_store_that_is_too_slow_is_given_up(weed: Seaweed, monkeypatch: pytest.MonkeyPatch, chosen: Chosen) -> None:
    """Where each answer takes longer than one may, that is said, and how to give it more time."""
    past = _set(monkeypatch, weed.environment())
    with past.create("some") as sink:
        sink.write(bytes(_MIB))
    with Failing(weed.port, chosen, "slow") as failing:
        for name, value in (weed.environment(failing.port) | {"DLBACKUP_STORE_TIMEOUT": "0.3"}).items():
            monkeypatch.setenv(name, value)
        client.cache_clear()
        begun = time.monotonic()
        with pytest.raises(StorageError, match="doesn't answer") as caught:
            if chosen is GET:
                _all_of(past, False)
            else:
                _large(past, "large")
        assert caught.value.transient
        assert "DLBACKUP_STORE_TIMEOUT" in caught.value.hint
        assert time.monotonic() - begun < 20
    monkeypatch.setenv("AWS_ENDPOINT_URL", weed.environment()["AWS_ENDPOINT_URL"])
    client.cache_clear()
    assert [blob.name for blob in past.list()] == ["some"]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("fault", ["stall", long("gone")])
def test_a_store_that_falls_silent_is_given_up(weed: Seaweed, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    """After a time that the message names, in each kind of request; nothing half is there."""
    with Proxy("127.0.0.1", weed.port) as proxy:
        store = _set(monkeypatch, weed.environment(proxy.port) | {"DLBACKUP_STORE_TIMEOUT": "0.6"})
        with store.create("some") as sink:
            sink.write(os.urandom(3 * _MIB))
        begun = time.monotonic()
        said = r"doesn't answer, or only with errors; given up after [1-4] s"
        with store.open("some") as file:
            proxy.strike(fault, "down", _MIB)
            with pytest.raises(StorageError, match=f"can't read .*{said}") as caught:
                for at in range(0, file.size, 100_000):
                    file.read_at(at, 100_000)
        assert "DLBACKUP_STORE_TIMEOUT" in caught.value.hint
        with pytest.raises(StorageError, match=said):
            list(store.list())
        proxy.heal()
        with pytest.raises(StorageError, match="doesn't answer"), store.create("small") as sink:
            sink.write(b"ours")
            proxy.strike(fault, "up", 1)
        proxy.heal()
        proxy.strike(fault, "up", _SMALL_PART_BYTES + _MIB)
        with pytest.raises(StorageError, match=said):
            _large(store, "large")
        assert time.monotonic() - begun < 40
        proxy.heal()
        assert [blob.name for blob in store.list()] == ["some"]


def test_a_timeout_that_is_none_is_refused(weed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of the variable."""
    for wrong in ("soon", "0", "-1", "nan", "1e9"):
        store = _set(monkeypatch, weed.environment() | {"DLBACKUP_STORE_TIMEOUT": wrong})
        with pytest.raises(UsageError, match="DLBACKUP_STORE_TIMEOUT"):
            list(store.list())


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


@pytest.mark.parametrize(
    ("status", "says"), [(400, "says BadRequest: made up$"), (405, "says MethodNotAllowed: made up$")]
)
def test_an_unknown_error_is_quoted(weed: Seaweed, monkeypatch: pytest.MonkeyPatch, status: int, says: str) -> None:
    """What is not known here is said in the store's own words, by which it can be looked up, and not tried again."""
    for chosen in (PUT, ANY):
        with Failing(weed.port, chosen, status) as failing:
            store = _set(monkeypatch, weed.environment(failing.port))
            with pytest.raises(StorageError) as caught, store.create("some") as sink:
                sink.write(b"ours")
        assert not caught.value.transient
        assert chosen is ANY or re.search(says, caught.value.message)


def test_a_store_that_has_too_much_to_do_is_waited_for(weed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """429 is no refusal: once it is outlasted, and without an end it is a store that doesn't answer."""
    with Failing(weed.port, PUT, 429, times=1) as failing:
        with _set(monkeypatch, weed.environment(failing.port)).create("some") as sink:
            sink.write(b"ours")
        assert len(failing.failed) == 1
    with Failing(weed.port, PUT, 429) as failing:
        store = _set(monkeypatch, weed.environment(failing.port) | {"DLBACKUP_STORE_TIMEOUT": "0.3"})
        with pytest.raises(StorageError, match="only with errors") as caught, store.create("some") as sink:
            sink.write(b"ours")
    assert caught.value.transient


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
import sys
from dlbackup.stores import objects
objects.PART_BYTES = objects.SMALL_BYTES = 5 << 20
with objects.Objects("s3", *sys.argv[1:]).create("large") as sink:
    for number in range(16):
        sink.write(bytes([number]) * (1 << 20))
"""
_UPLOADED = b"".join(bytes([number]) * _MIB for number in range(16))
_MOMENTS = (0.0, 0.5, 0.99999)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Spread the moments of kills over an upload: each at a random place of its share."""
    if "moment" in metafunc.fixturenames:
        options = metafunc.config.option
        count, place = options.kill_points, random.Random(options.seed)
        moments = [(number + place.random()) / count for number in range(count)] if count else _MOMENTS
        metafunc.parametrize("moment", moments, ids=[f"{moment:.5f}" for moment in moments])


@pytest.mark.parametrize("after", ["nothing", "the rest"])
def test_a_killed_upload_leaves_all_or_nothing(
    weed: Seaweed,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    moment: float,
    after: str,
) -> None:
    """
    However much was sent when its process was killed, nothing half is listed, and a new upload works.

    What was on its way still arrives, or doesn't. Parts that nobody lists may stay: no more than were sent.
    """
    before = weed.uploads()
    with Proxy("127.0.0.1", weed.port) as proxy:
        store = _set(monkeypatch, weed.environment(proxy.port))
        proxy.strike("stall", "up", 1 + int(moment * (len(_UPLOADED) + _REQUESTS)))
        with subprocess.Popen([sys.executable, "-c", _UPLOADS, store.bucket, store.prefix]) as running:
            wait_until(lambda: proxy.struck.is_set() or running.poll() is not None)
            running.kill()
        if after == "the rest":
            proxy.go_on()
        proxy.heal()

        listed = [(blob.name, blob.size) for blob in store.list()]
        assert listed in ([], [("large", len(_UPLOADED))])
        if listed:
            with store.open("large") as file:
                assert file.read_at(0, file.size) == _UPLOADED
        else:
            with store.create("large") as sink:
                sink.write(b"free")
        left = weed.stray_parts(before)
        assert sum(left) <= len(_UPLOADED)
        for name, value in (("whole", len(listed)), ("stray_parts", len(left)), ("stray_bytes", sum(left))):
            record_property(name, value)
