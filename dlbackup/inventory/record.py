"""
What is written down beside a backup: its record, drills of it, and pins.

The record says all that a list, retention and reports need, so that nobody has to open a backup for them. It is put
last, after the backup was read back from its store and proved: a backup without one counts as unfinished.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal, TypeVar

from dlbackup.lake.findings import Finding
from dlbackup.records import decode, encode
from dlbackup.stores.contract import Where

MOST_BYTES = 4_000_000
"""What is larger is none of these files."""
NOT_OPENED = "engine-fails"
"""The error of a drill whose engine didn't open what had been restored as it was."""
MadeBy = Literal["dump", "migrate"]
T = TypeVar("T", bound="Record | Drill | Journal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    What is known of a backup that was proved; names no host, user or password.

    Args:
        backup: its file in the same store.
        created: when it was begun; UTC, ISO 8601.
        lake: the uuid of schema 0, by which lakes are told apart; None where the catalog doesn't say.
        raw_bytes, file_bytes, sha256: of the text, and of the file as the store holds it.
        seal: of the manifest, and so of everything in the backup.
        dump_seconds, verify_seconds: how long making and proving it took.
        data_files, delete_files: how many the catalog names, those of earlier snapshots too.
        file_ids: their numbers, as ranges such as `0-17,19`; None where there are too many to be kept here.
        encrypted, recipients: whether the file is, and the public keys of who can open it.
    """

    IGNORES_LATER_KEYS: ClassVar = True
    backup: str
    created: str
    tool: str
    made_by: MadeBy
    database: str
    schema: str
    dialect: str
    server_version: str
    spec_version: str
    snapshot_id: int | None
    snapshot_time: str | None
    tables: int
    rows: int
    raw_bytes: int
    file_bytes: int
    sha256: str
    seal: str
    fingerprint: str
    dump_seconds: float
    verify_seconds: float
    lake: str | None = None
    data_path: str | None = None
    data_files: int = 0
    delete_files: int = 0
    file_ids: str | None = None
    encrypted: bool = False
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timed:
    """A stage of a drill, and how long it took."""

    IGNORES_LATER_KEYS: ClassVar = True
    stage: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """
    A trial restore of a backup.

    Args:
        ok: whether the backup was restored, and found good.
        created: when it was begun; UTC, ISO 8601.
        on: where: a server, or `embedded`.
        stages: their names, and how long each took.
        couldnt_run: why it says nothing of the backup; None where it does.
    """

    IGNORES_LATER_KEYS: ClassVar = True
    backup: str
    ok: bool
    created: str
    seconds: float
    on: str = ""
    stages: tuple[Timed, ...] = ()
    findings: tuple[Finding, ...] = ()
    couldnt_run: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A reason to keep a backup, whatever the policy says; `created` in UTC, ISO 8601."""

    IGNORES_LATER_KEYS: ClassVar = True
    backup: str
    name: str
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What matters of a migration's journal to a list: how far it is; `migration.journal` knows the rest."""

    IGNORES_LATER_KEYS: ClassVar = True
    progress: str


def put(where: Where, record: Record | Drill | Pin) -> None:
    """
    Write a record of any kind; it is there whole, and never over another.

    Raises:
        StorageError: there is one of that name, or it can't be written.
    """
    data = json.dumps(encode(record, keep_defaults=True), indent=1, ensure_ascii=False).encode() + b"\n"
    with where.store.create(where.name) as sink:
        sink.write(data)


def read(where: Where, kind: type[T]) -> T:
    """
    Read one.

    Raises:
        ValueError: it is damaged, or none; StorageError: it can't be read.
    """
    with where.open() as file:
        if file.size > MOST_BYTES:
            raise ValueError(f"it has {file.size:,} bytes")
        data = file.read_at(0, file.size)
    try:
        found = decode(kind, json.loads(data))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, Journal):
        when(found.created)
    return found


def when(text: str) -> datetime:
    """
    Return a time of a record.

    Raises:
        ValueError: it is none, or none of any backup.
    """
    time = datetime.fromisoformat(text)
    if not 1900 <= time.year <= 9000:
        raise ValueError(f"{text} is not the time of any backup")  # the calendar's ends can't be reckoned with
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def as_text(time: datetime) -> str:
    """Return a time as records have it."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
