"""
What a user names as a place for backups or as a backup: a folder, a file, or a URL of an object storage.

Nothing else turns such a name into a path: `Path("s3://bucket")` is `s3:/bucket`.
"""

import os
import re
from pathlib import Path

from dlbackup.addresses.address import BACKUP_ENDINGS
from dlbackup.errors import UsageError
from dlbackup.stores.contract import Store, Where
from dlbackup.stores.folder import Folder, folder, local
from dlbackup.stores.objects import Objects

_SCHEMES = ("s3", "gs", "az")
_ALSO_CALLED = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "azure": "az"}
"""How lakes name the same stores, by the scheme that a store has here."""


def is_url(name: str | Path) -> bool:
    """Tell whether a name is meant as a URL."""
    return isinstance(name, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name) is not None


def store_named(name: str | Path) -> Store:
    """
    Return the store that a folder or a URL names; whether it is there, nobody looks.

    Raises:
        UsageError: it is a URL of another kind, or one that names more than bucket and prefix.
    """
    return _objects(str(name)) if is_url(name) else Folder(Path(name))


def store_of_backups(name: str | Path) -> Store:
    """
    Return the store whose backups somebody asks for.

    Raises:
        UsageError: as for `store_named`, or it names a backup; StorageError: there is no such folder.
    """
    if not is_url(name):
        return folder(name)
    if names_object(str(name)):
        raise UsageError(f"{name} is a backup and no place for them", f"name the place: {str(name).rpartition('/')[0]}")
    return store_named(name)


def where_named(name: str | Path) -> Where:
    """
    Return where a file is, or is to be, that a path or a URL names.

    Raises:
        UsageError: as for `store_named`, or it names no object.
    """
    if not is_url(name):
        return local(name)
    store = _objects(str(name))
    above, _, last = store.prefix.rpartition("/")
    if not last or str(name).endswith("/"):
        raise UsageError(
            f"{name} is a place for backups and no backup", f"name one in it: {str(name).rstrip('/')}/NAME"
        )
    return Where(Objects(store.scheme, store.bucket, above), last)


def names_object(url: str) -> bool:
    """Tell whether a URL for a new backup is that of the backup itself, and not of the place for it."""
    return url.endswith(BACKUP_ENDINGS)


def absolute(name: str | Path) -> str:
    """Return a name that means the same in every folder."""
    return str(name) if is_url(name) else str(Path(name).absolute())


def is_within(name: str | Path, place: str) -> bool:
    """Tell whether a folder or a URL is a place or below it; places are named as lakes name their data paths."""
    place = place.removeprefix("file://")
    if is_url(name) != is_url(place):
        return False
    if not is_url(name):
        return Path(name).resolve().is_relative_to(Path(place).resolve())
    inner, outer = _parts(str(name)), _parts(place)
    return inner[: len(outer)] == outer


def _parts(url: str) -> list[str]:
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    return [_ALSO_CALLED.get(scheme, scheme), *(part for part in rest.split("/") if part)]


def _objects(url: str) -> Objects:
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket:
        raise UsageError(
            f"a {scheme}:// URL holds a user or a password",
            "credentials are taken from the environment: leave them out",
        )
    if scheme not in _SCHEMES:
        hint = (
            "for a folder write its path" if scheme == "file" else "backups are in a folder, or in s3://, gs://, az://"
        )
        raise UsageError(f"{scheme}:// is no place for backups that dlbackup knows", hint)
    if not bucket or any(c in rest for c in "?#") or os.sep * 2 in rest:
        raise UsageError(
            f"a {scheme}:// URL names a bucket and a prefix, and nothing else",
            f"write {scheme}://BUCKET/PREFIX; credentials and endpoint are taken from the environment",
        )
    return Objects(scheme, bucket, prefix.strip("/"))
