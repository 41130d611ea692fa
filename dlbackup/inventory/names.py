"""
How the files of a store are named: a backup, and what is kept beside it under the same stem.

    ducklake-<database>[-<schema>]-<UTC>-v<spec>-<6 hex>.sql.zst[.age]   a backup
    <stem>.backup.json                                                   its record
    <stem>.drill-<UTC>.json                                              a drill of it
    <stem>.pin-<name>.json                                               a pin; without it the backup is released

Files of other names are no backups of the store, and nobody's to delete.
"""

import re
from datetime import UTC, datetime

from dlbackup.errors import UsageError

ENDINGS = (".sql.zst", ".sql.zst.age")
MIGRATION = "migration"
"""The pin that `migrate` puts on its own backup."""

_BACKUP = re.compile(r"(ducklake-(?P<catalog>.+)-(?P<time>\d{8}T\d{6}Z)-v.+-[0-9a-f]{6})\.sql\.zst(\.age)?")
_BESIDE = re.compile(
    r"(?P<stem>ducklake-.+-\d{8}T\d{6}Z-v.+-[0-9a-f]{6})"
    r"(\.(?P<kind>backup|drill|pin)(-(?P<detail>[^.]+))?\.json|\.sql\.zst(\.age)?(?P<journal>\.journal\.json))"
)
_PIN = re.compile(r"[A-Za-z0-9_-]{1,40}")
_TIME = "%Y%m%dT%H%M%SZ"


def is_backup(name: str) -> bool:
    """Whether a file has the name of a backup that a store gave it."""
    return _parsed(name) is not None


def stem_of(name: str) -> str:
    """Return what the names of a backup and of all that belongs to it begin with."""
    for ending in reversed(ENDINGS):
        if name.endswith(ending):
            return name.removesuffix(ending)
    raise ValueError(f"{name} is no backup's name")


def catalog_of(name: str) -> str:
    """Return the catalog as the name of a backup says it: its database, and its schema where that is not the usual."""
    return _of_backup(name)["catalog"]


def time_of(name: str) -> datetime:
    """Return when a backup was begun, as its name says."""
    return datetime.strptime(_of_backup(name)["time"], _TIME).replace(tzinfo=UTC)


def record_of(backup: str) -> str:
    """Return the name of a backup's record."""
    return f"{stem_of(backup)}.backup.json"


def drill_of(backup: str, time: datetime) -> str:
    """Return the name of the report of a drill."""
    return f"{stem_of(backup)}.drill-{time.astimezone(UTC):{_TIME}}.json"


def pin_of(backup: str, name: str) -> str:
    """
    Return the name of a pin.

    Raises:
        UsageError: the pin's own name can't be part of it.
    """
    if not _PIN.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be the name of a pin", "use up to 40 letters, digits, - and _, such as before-upgrade"
        )
    return f"{stem_of(backup)}.pin-{name}.json"


def beside(name: str) -> tuple[str, str, str] | None:
    """
    Tell what a file belongs to that is no backup: the stem, the kind, and the name of a pin or the time of a drill.

    Returns:
        None for files of other names. The kind is `backup` (a record), `drill`, `pin` or `journal`.
    """
    found = _BESIDE.fullmatch(name)
    if found is None:
        return None
    return found["stem"], "journal" if found["journal"] else found["kind"], found["detail"] or ""


def _of_backup(name: str) -> re.Match[str]:
    found = _parsed(name)
    if found is None:
        raise ValueError(f"{name} is no backup's name")
    return found


def _parsed(name: str) -> re.Match[str] | None:
    found = _BACKUP.fullmatch(name)
    try:
        return found if found and datetime.strptime(found["time"], _TIME) else None
    except ValueError:
        return None
