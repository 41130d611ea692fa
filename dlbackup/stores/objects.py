"""
A bucket of an object storage as a store: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

Credentials come from the environment (`object_clients`), and are never part of a name. An object is there when its
upload is completed and not before; a small one is made by one request that refuses a name that is taken. Large ones
can't be: there the name is looked up before the upload and again before it is completed.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from dlbackup.errors import StorageError
from dlbackup.stores.contract import Blob, Readable, Sink, goes_on
from dlbackup.stores.explained import CutOff, explained, is_cut_off, is_first_try
from dlbackup.stores.object_clients import FIRST_PAUSE, client, timeout_s

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

PART_BYTES = 16 << 20
"""Of an upload: ten thousand of them, the most that S3 takes, are 160 GB."""
SMALL_BYTES = PART_BYTES
"""What is smaller is put by one request, which never takes the place of another's object."""
_UPLOADS_AT_ONCE = 2
_OPENED_BYTES = 16 << 10
"""What comes along when an object is opened: a record has one or two KiB, and is read by one request then."""
_FIRST_READ_BYTES, _MOST_READ_BYTES = 256 << 10, 8 << 20
_TRIES = 3
_Answer = TypeVar("_Answer")


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
        with self.errors("use", ""):
            return client(self.scheme, self.bucket, self.prefix, os.getpid())

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

        until = time.monotonic() + timeout_s()
        for attempt in range(1, _TRIES + 1):
            try:
                obstore.put(self._store.client, self._name, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                if bytes(obstore.get(self._store.client, self._name).bytes()) != data:
                    raise
            except GenericError:
                if attempt == _TRIES or time.monotonic() > until:
                    raise
                time.sleep(FIRST_PAUSE.total_seconds())
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

    until = time.monotonic() + 2 * timeout_s()
    for _ in range(_TRIES - 1):
        try:
            return ask()
        except (BaseError, OSError) as exc:
            if not is_cut_off(exc) or time.monotonic() > until:
                raise
            time.sleep(FIRST_PAUSE.total_seconds())
    return ask()
