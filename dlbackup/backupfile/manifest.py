"""The records of a backup: its header, its tables and frames, and where it was taken."""

import json
from dataclasses import dataclass
from typing import ClassVar

from dlbackup.backupfile.frames import Frame
from dlbackup.backupfile.origin import Moment, Origin
from dlbackup.lake.fingerprint import Fingerprint
from dlbackup.records import encode
from dlbackup.tables.definition import Kind, SchemaRights, Table
from dlbackup.tables.digest import Rows
from dlbackup.tables.types import Dialect

FORMATS: dict[Dialect, int] = {"postgres": 1, "duckdb": 2, "sqlite": 2}
"""The format of a backup, by its dialect: what reads only 1 says of 2 that it is a newer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """
    Where a backup was taken: no host, user or password.

    Args:
        rights: on the schema; None for the schema `public` as a new database has it.
        encoding: of the database, as the server names it; backups before 2026-11-28 don't say.
        converted: texts are as the server converted them to UTF-8, and not as they are stored.
        storage_version: of a DuckDB file, the oldest DuckDB that reads it.
    """

    database: str
    schema: str
    server_version: str
    rights: SchemaRights | None = None
    encoding: str = ""
    converted: bool = False
    storage_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """
    The first thing in a backup, repeated in its manifest.

    Args:
        spec_version: empty where the catalog names none, or several.
        snapshot_id: the newest snapshot, None where there is none.
        created: UTC, ISO 8601.
        moment: what later snapshots of the server can be held against; None where nothing could be proved from it.
        packed: by what, and how: the same text gives the same frames only by the same.
        dialect: whose SQL the statements are.
    """

    IGNORES_LATER_KEYS: ClassVar = True
    format: int
    spec_version: str
    snapshot_id: int | None
    snapshot_time: str | None
    created: str
    tool: str
    source: Source
    moment: Moment | None = None
    packed: str = ""
    dialect: Dialect = "postgres"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    One table in the manifest: its definition, what it holds, and the frames that its statements are in.

    Args:
        origin: None where nothing could be proved later of its rows.
    """

    IGNORES_LATER_KEYS: ClassVar = True
    table: Table
    kind: Kind
    rows: int
    digest: str
    first_frame: int
    last_frame: int
    origin: Origin | None = None

    @property
    def content(self) -> Rows:
        """The rows as a comparable record."""
        return Rows(self.rows, int(self.digest, 16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """
    What a backup holds and means.

    Args:
        left_out: what belongs to the tables but can't be carried, by name.
        guarded: what not every PostgreSQL knows stands at the end of the script, for those that do; in backups before
            2026-11-29 it is among the rest.
    """

    IGNORES_LATER_KEYS: ClassVar = True
    header: Header
    tables: tuple[Entry, ...]
    frames: tuple[Frame, ...]
    left_out: tuple[str, ...] = ()
    fingerprint: Fingerprint | None = None
    guarded: bool = False

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(entry.rows for entry in self.tables)

    @property
    def contents(self) -> dict[str, Rows]:
        """Row counts and digests by table name."""
        return {entry.table.name: entry.content for entry in self.tables}


def as_json(record: object) -> bytes:
    """Return a record as one line of JSON, the same bytes for the same record."""
    return json.dumps(encode(record), ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def inner_frames(entry: Entry) -> range:
    """Return the numbers of the frames that hold nothing but rows of this table."""
    return range(entry.first_frame + 1, entry.last_frame)
