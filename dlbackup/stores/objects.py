"""
A bucket of an object storage as a store: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

Credentials come from the environment, as the tools of each cloud take them, and are never part of a name. An object is
there when its upload is completed and not before; a small one is made by one request that refuses a name that is taken.
Large ones can't be: there the name is looked up before the upload and again before it is completed.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from dlbackup.errors import StorageError, UsageError
from dlbackup.stores.contract import Blob, Readable, Sink, goes_on
from dlbackup.stores.explained import TIMEOUT_VARIABLE, CutOff, explained, is_cut_off, is_first_try

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

PART_BYTES = 16 << 20
"""Of an upload: ten thousand of them, the most that S3 takes, are 160 GB."""
SMALL_BYTES = PART_BYTES
"""What is smaller is put by one request, which never takes the place of another's object."""
_UPLOADS_AT_ONCE = 2
_OPENED_BYTES = 16 << 10
"""What comes along when an object is opened: a record has one or two KiB, and is read by one request then."""
_FIRST_READ_BYTES, _MOST_READ_BYTES = 256 << 10, 8 << 20
_TIMEOUT_S = 60.0
_RETRIES = 10
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=0.5), timedelta(seconds=8)
_TRIES = 3
_Answer = TypeVar("_Answer")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Objects:
    """
    The objects below a prefix, those in folders below left out.

    Args:
        scheme: `s3`, `gs` or `az`.
        prefix: without slashes at its ends; empty for the whole bucket.
    """

    scheme: str
    bucket: str
    prefix: str = ""

    def __post_init__(self) -> None:
        if find_spec("obstore") is None:
            raise StorageError(
                f"{self.shown('')} needs a package that isn't here", "install it: pip install 'dlbackup[cloud]'"
            )

    @contextmanager
    def create(self, name: str) -> Iterator[Sink]:
        """Open a new object; see `Store`."""
        self._refuse_nameless(name)
        self._refuse_taken(name)
        sink = _Upload(self, name)
        try:
            yield sink
            sink.finish()
        except BaseException:
            sink.abort()
            raise

    @contextmanager
    def open(self, name: str) -> Iterator[Readable]:
        """Open an object; see `Store`. One that is replaced or deleted while it is open can't be read any more."""
        with self.errors("read", name):
            meta, data = _whole(lambda: self._beginning(name))
        yield _Object(store=self, name=name, size=meta["size"], tag=meta["e_tag"], _data=data)

    def _beginning(self, name: str) -> tuple["ObjectMeta", bytes]:
        """Ask by one request for what an object is and how it begins, which is all of a record."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            got = obstore.get(self.client, name, options={"range": (0, _OPENED_BYTES)})
        except BaseError as exc:
            if "416 Range Not Satisfiable" not in str(exc):
                raise
            return obstore.head(self.client, name), b""  # an empty one has no range at all
        data = bytes(got.bytes())
        if len(data) != min(got.meta["size"], _OPENED_BYTES):
            raise CutOff
        return got.meta, data

    def list(self, beside: str = "") -> Iterator[Blob]:
        """Yield the objects; see `Store`."""
        with self.errors("list", ""):
            found = _whole(partial(_beside, self.client, beside) if beside else partial(_all, self.client))
        for meta in sorted(found, key=lambda meta: meta["path"]):
            yield Blob(meta["path"].rpartition("/")[2], meta["size"], meta["last_modified"])

    def delete(self, name: str) -> None:
        """Take an object away; see `Store`."""
        import obstore
        from obstore.exceptions import BaseError

        self._refuse_nameless(name)
        with self.errors("delete", name):
            obstore.head(self.client, name)  # stores call it done when there was none
            try:
                obstore.delete(self.client, name)
            except (BaseError, OSError) as exc:
                if not is_first_try(exc):
                    raise
                obstore.delete(self.client, name)  # asked for by a POST, which the library doesn't make again

    def shown(self, name: str) -> str:
        """Return the URL as a user names it."""
        return "/".join(part for part in (f"{self.scheme}://{self.bucket}", self.prefix, name) if part)

    @property
    def client(self) -> "ObjectStore":
        """What makes the requests; one for each process."""
        return _client(self, os.getpid())

    @contextmanager
    def errors(self, doing: str, name: str) -> Iterator[None]:
        """Turn the store's errors into StorageError."""
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        began = time.monotonic()
        try:
            yield
        except AlreadyExistsError:
            raise self._taken(name) from None
        except PreconditionError:
            raise StorageError(f"{self.shown(name)} was replaced while it was read", "try again") from None
        except (BaseError, OSError, ValueError) as exc:
            took_s = time.monotonic() - began
            raise explained(f"can't {doing} {self.shown(name)}", exc, took_s) from None  # its text may hold signatures

    def exists(self, name: str) -> bool:
        """Tell whether there is an object of that name."""
        import obstore

        with self.errors("look for", name):
            try:
                obstore.head(self.client, name)
            except FileNotFoundError:
                return False
        return True

    def _refuse_taken(self, name: str) -> None:
        if self.exists(name):
            raise self._taken(name)

    def _refuse_nameless(self, name: str) -> None:
        if name in ("", ".", "..") or "/" in name:
            raise StorageError(f"{name!r} is no name for an object in {self.shown('')}")

    def _taken(self, name: str) -> StorageError:
        return StorageError(
            f"{self.shown(name)} exists already", "name another object, or a prefix, in which names are new"
        )


class _Upload:
    """What is written to a new object: kept while it is small, and sent in parts from then on."""

    def __init__(self, store: Objects, name: str) -> None:
        self._store, self._name = store, name
        self._kept = bytearray()
        self._size = 0
        self._writer: Any = None

    def write(self, data: bytes, /) -> int:
        """Write all of `data`; see `Sink`."""
        self._size += len(data)
        if self._writer is None:
            self._kept += data
            if len(self._kept) >= SMALL_BYTES:
                self._begin()
        else:
            with self._store.errors("write", self._name):
                self._writer.write(data)
        return len(data)

    def _begin(self) -> None:
        """Begin an upload in parts."""
        import obstore

        with self._store.errors("write", self._name):
            self._writer = obstore.open_writer(
                self._store.client, self._name, buffer_size=PART_BYTES, max_concurrency=_UPLOADS_AT_ONCE
            )
            self._writer.write(bytes(self._kept))
        self._kept.clear()

    def finish(self) -> None:
        """Make the object, unless one of its name has come meanwhile."""
        if self._writer is not None:
            if self._store.exists(self._name):
                raise StorageError(
                    f"{self._store.shown(self._name)} exists already", "another wrote it meanwhile: begin again"
                )
            with self._store.errors("write", self._name):
                self._complete()
            return
        with self._store.errors("write", self._name):
            self._put(bytes(self._kept))

    def _complete(self) -> None:
        """Make an object of the parts; that the answer is lost, is no failure: the object is there then, whole."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            self._writer.close()
        except (BaseError, OSError):
            with suppress(BaseError, OSError):
                if obstore.head(self._store.client, self._name)["size"] == self._size:
                    return
            raise

    def abort(self) -> None:
        """Take the parts back that were sent; where that fails too, they are left to the bucket's rules."""
        if self._writer is not None:
            with suppress(Exception):  # whatever it is, what led here is to be said, and not this
                self._writer.__exit__(InterruptedError, None, None)

    def _put(self, data: bytes) -> None:
        """
        Make a small object by one request, which the library doesn't repeat when its answer is lost.

        Made again it meets what the first one made, which is told from another's by its bytes.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, GenericError

        until = time.monotonic() + _timeout_s()
        for attempt in range(1, _TRIES + 1):
            try:
                obstore.put(self._store.client, self._name, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                if bytes(obstore.get(self._store.client, self._name).bytes()) != data:
                    raise
            except GenericError:
                if attempt == _TRIES or time.monotonic() > until:
                    raise
                time.sleep(_FIRST_PAUSE.total_seconds())
                continue
            return


@dataclass(slots=True, kw_only=True)
class _Object:
    """An open object. What follows a read is fetched with it, more of it the longer a file is read in sequence."""

    store: Objects
    name: str
    size: int
    tag: str | None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _begin: int = 0
    _data: bytes = b""
    _ahead: int = _FIRST_READ_BYTES

    def read_at(self, offset: int, size: int) -> bytes:
        """Read from memory or from the store; see `Readable`."""
        size = max(0, min(size, self.size - offset))
        if size == 0:
            return b""
        with self._lock:
            at = offset - self._begin
            if at < 0 or at + size > len(self._data):
                follows = 0 <= at <= len(self._data)
                self._ahead = min(self._ahead * 2, _MOST_READ_BYTES) if follows and self._data else _FIRST_READ_BYTES
                # A read near the end is followed by others before it: a backup is read from its end.
                begin = min(offset, max(0, self.size - self._ahead))
                end = min(self.size, max(offset + size, begin + self._ahead))
                self._data, self._begin = self._fetched(begin, end), begin
                at = offset - begin
            return self._data[at : at + size]

    def _fetched(self, begin: int, end: int) -> bytes:
        import obstore

        options: Any = {"range": (begin, end)} | ({"if_match": self.tag} if self.tag else {})

        def asked() -> bytes:
            data = bytes(obstore.get(self.store.client, self.name, options=options).bytes())
            if len(data) != end - begin:
                raise CutOff
            return data

        with self.store.errors("read", self.name):
            return _whole(asked)


def _all(client: "ObjectStore") -> "Sequence[ObjectMeta]":
    import obstore

    return obstore.list_with_delimiter(client)["objects"]


def _beside(client: "ObjectStore", beginning: str) -> "Sequence[ObjectMeta]":
    """Return what goes on so: stores give what comes after a name, in the order of names, or all in that order."""
    import obstore

    found: list[ObjectMeta] = []
    for page in obstore.list(client, offset=beginning):
        for meta in page:
            if goes_on(meta["path"], beginning):
                if "/" not in meta["path"]:
                    found.append(meta)
            elif meta["path"] > beginning:
                return found
    return found


def _whole(ask: Callable[[], _Answer]) -> _Answer:
    """Ask the store again for what was cut off, where the library doesn't: it does for the bodies of objects alone."""
    from obstore.exceptions import BaseError

    until = time.monotonic() + 2 * _timeout_s()
    for _ in range(_TRIES - 1):
        try:
            return ask()
        except (BaseError, OSError) as exc:
            if not is_cut_off(exc) or time.monotonic() > until:
                raise
            time.sleep(_FIRST_PAUSE.total_seconds())
    return ask()


@lru_cache(maxsize=16)
def _client(objects: Objects, pid: int) -> "ObjectStore":
    """Return a client for a process, made by what the environment says."""
    from obstore.store import AzureStore, GCSStore, S3Store

    prefix = objects.prefix or None
    seconds = _timeout_s()
    retries: RetryConfig = {
        "max_retries": _RETRIES,
        "backoff": {"init_backoff": _FIRST_PAUSE, "max_backoff": _LONGEST_PAUSE, "base": 2},
        "retry_timeout": timedelta(seconds=2 * seconds),
    }
    options: ClientConfig = {"timeout": timedelta(seconds=seconds), "allow_http": _may_use_http()}
    with objects.errors("use", ""):
        if objects.scheme == "gs":
            return GCSStore(objects.bucket, prefix=prefix, client_options=options, retry_config=retries)
        if objects.scheme == "az":
            return AzureStore(objects.bucket, prefix=prefix, client_options=options, retry_config=retries)
        credentials, region = _profile(objects)
        config: Any = {"checksum_algorithm": "SHA256"} | region
        return S3Store(
            objects.bucket,
            prefix=prefix,
            config=config,
            client_options=options,
            retry_config=retries,
            credential_provider=credentials,
        )


def _timeout_s() -> float:
    """Return how long one request may take; what is given up is given up after that, or after twice as long."""
    value = os.environ.get(TIMEOUT_VARIABLE, "").strip()
    if not value:
        return _TIMEOUT_S
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 86_400:  # a day, for links of a few bytes a second
        raise UsageError(
            f"{TIMEOUT_VARIABLE} is {value!r}, which is no number of seconds", f"leave it away: {_TIMEOUT_S:g}"
        )
    return seconds


def _may_use_http() -> bool:
    """Tell whether requests may go unencrypted: to this machine, or where the environment says so."""
    if os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes"):
        return True
    named = [os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")]
    endpoints = [urlsplit(url) for url in (*named, os.environ.get("AZURE_STORAGE_ENDPOINT", "")) if url]
    return bool(endpoints) and all(url.hostname in _LOOPBACK for url in endpoints)


def _profile(objects: Objects) -> tuple[Any, dict[str, str]]:
    """Return what gives the credentials of `AWS_PROFILE`, and its region; nothing where keys are set or none is."""
    if not os.environ.get("AWS_PROFILE") or os.environ.get("AWS_ACCESS_KEY_ID"):
        return None, {}
    if find_spec("boto3") is None:
        raise StorageError(
            f"{objects.shown('')}: AWS_PROFILE is set, and profiles are read by boto3, which isn't here",
            "pip install boto3, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead",
        )
    from importlib import import_module

    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        session = import_module("boto3").Session()
        region = session.region_name
        return Boto3CredentialProvider(session), ({"region": region} if region else {})
    except Exception as exc:  # noqa: BLE001 - botocore's: there is no such profile, or nothing in it
        raise StorageError(
            f"the credentials of AWS_PROFILE={os.environ['AWS_PROFILE']} can't be read: {type(exc).__name__}",
            "see ~/.aws/config; with single sign-on: aws sso login",
        ) from None
