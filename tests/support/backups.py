"""
Backups made without a server, and a forger that changes one and makes every digest right again.

The forger knows the format from its description alone (zstd frames, seal, seek table, manifest), so it is
a second writer of the format too.
"""

import copy
import hashlib
import json
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import xxhash
import zstandard

from dlbackup.backupfile.frames import LEVEL
from dlbackup.backupfile.manifest import Header, Manifest, Source
from dlbackup.backupfile.writer import BackupWriter
from dlbackup.lake import spec
from dlbackup.tables.definition import Column, ColumnSequence, Constraint, Table

__all__ = [
    "HEADER",
    "METADATA",
    "SEQUENCE",
    "SNAPSHOT",
    "Json",
    "Record",
    "Value",
    "assemble",
    "catalog",
    "finish",
    "forge",
    "record",
    "row",
    "small",
    "tables_with",
    "take_apart",
    "write_backup",
]

Value = int | bool | str | None
Json = dict[str, Any]
Record = tuple[str, Mapping[str, Value]]
"""A row: its table, and its values by column; what is not named is NULL."""

HEADER = Header(
    format=1,
    spec_version="9.9",
    snapshot_id=1,
    snapshot_time="2026-03-23T17:51:00.000000Z",
    created="2026-03-24T08:00:00Z",
    tool="dlbackup test",
    source=Source(database="lake", schema="public", server_version="16.4"),
)
"""Of a spec version that nobody knows, so that two tables are a whole catalog."""

METADATA = Table(
    name="ducklake_metadata",
    columns=(
        Column(name="key", type="character varying", not_null=True),
        Column(name="value", type="character varying", not_null=True),
        Column(name="scope", type="character varying"),
        Column(name="scope_id", type="bigint"),
    ),
)
SNAPSHOT = Table(
    name="ducklake_snapshot",
    columns=(
        Column(name="snapshot_id", type="bigint", not_null=True),
        Column(name="snapshot_time", type="timestamp with time zone"),
    ),
    constraints=(Constraint("ducklake_snapshot_pkey", "PRIMARY KEY (snapshot_id)"),),
)


SEQUENCE = ColumnSequence(
    name="s",
    column="key",
    identity="",
    type="bigint",
    start=1,
    increment=1,
    minimum=1,
    maximum=9,
    cache=1,
    cycle=False,
    last_value=1,
    is_called=False,
)
"""Of the column `key`."""


def row(*values: Value) -> bytes:
    """Return a row's text as the server would write it."""

    def text(value: Value) -> str:
        if value is None:
            return "NULL"
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"

    return (",".join(map(text, values)) + "\n").encode()


def write_backup(
    path: Path,
    tables: Iterable[tuple[Table, Sequence[bytes]]],
    header: Header = HEADER,
    *,
    block: int = 1000,
    left_out: Sequence[str] = (),
) -> Manifest:
    """Write a backup of the tables and their rows."""
    with path.open("wb") as file, BackupWriter(file, header) as writer:
        for table, rows in tables:
            writer.write_table(table, (rows[at : at + block] for at in range(0, len(rows), block)))
        return writer.finish(left_out)


def small(version: str = "9.9") -> list[tuple[Table, list[bytes]]]:
    """Return the least that passes for a catalog: a version and two snapshots, with an index and a comment."""
    snapshots = replace(SNAPSHOT, comment="it's the head")
    return [
        (METADATA, [row("version", version, None, None), row("data_path", "s3://lake/),(", None, None)]),
        (snapshots, [row(0, "2026-03-23 17:50:00+00"), row(1, "2026-03-23 17:51:00+00")]),
    ]


def catalog(version: str) -> list[tuple[Table, list[bytes]]]:
    """Return all tables of a spec version as an engine makes them, with a version and two snapshots."""
    contents: dict[str, list[tuple[Value, ...]]] = {
        "ducklake_metadata": [("version", version)],
        "ducklake_snapshot": [(0, "2026-03-23 17:50:00+00", 0, 1, 0), (1, "2026-03-23 17:51:00+00", 1, 2, 0)],
    }
    made = []
    for table in spec.load(version).values():
        width = len(table.columns)
        rows = [row(*values, *[None] * (width - len(values))) for values in contents.get(table.name, [])]
        made.append((table, rows))
    return made


def record(table: str, **values: Value) -> Record:
    """Return a row of the table `ducklake_<table>`."""
    return f"ducklake_{table}", values


def tables_with(version: str, *records: Record) -> list[tuple[Table, list[bytes]]]:
    """Return all fixed tables of a spec version with these rows."""
    tables = spec.load(version)
    contents: dict[str, list[bytes]] = {name: [] for name in tables}
    for name, values in records:
        assert values.keys() <= set(tables[name].column_names)
        contents[name].append(row(*(values.get(column) for column in tables[name].column_names)))
    return [(tables[name], contents[name]) for name in tables]


def assemble(texts: Sequence[bytes], manifest: Json, *, raw: Mapping[int, bytes] | None = None) -> bytes:
    """
    Return a file with these frames of text and this manifest, whose own `frames` are made to fit.

    Args:
        raw: bytes that stand in the place of a frame, by its number.
    """
    manifest = copy.deepcopy(manifest)
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
    rows = [frame["rows"] for frame in manifest["frames"]] + [0] * len(texts)
    file = b""
    sizes: list[tuple[int, int]] = []
    manifest["frames"] = []
    for number, text in enumerate(texts):
        data = (raw or {}).get(number) or compressor.compress(text)
        frame = {"offset": len(file), "size": len(data), "text_size": len(text), "rows": rows[number]}
        manifest["frames"].append({**frame, "sha256": hashlib.sha256(data).hexdigest()})
        sizes.append((len(data), len(text)))
        file += data
    line = json.dumps(manifest, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    last = b"-- dlbackup manifest\n-- " + line.encode("utf-8", "surrogatepass") + b"\n"
    return finish(file, sizes, last)


def finish(file: bytes, sizes: list[tuple[int, int]], last: bytes) -> bytes:
    """Add the manifest's frame, the seal and the seek table to a row of frames."""
    data = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True).compress(last)
    seal = struct.pack("<II", 0x184D2A5D, 40) + b"dlbackup" + hashlib.sha256(data).digest()
    entries = [*sizes, (len(data), len(last)), (len(seal), 0)]
    table = b"".join(struct.pack("<II", *entry) for entry in entries) + struct.pack("<IBI", len(entries), 0, 0x8F92EAB1)
    return file + data + seal + struct.pack("<II", 0x184D2A5E, len(table)) + table


def take_apart(path: Path) -> tuple[list[bytes], Json]:
    """Return the texts of a backup's frames, the last excepted, and its manifest."""
    file = path.read_bytes()
    (count,) = struct.unpack("<I", file[-9:-5])
    sizes = list(struct.iter_unpack("<II", file[-9 - 8 * count : -9]))
    texts, at = [], 0
    for size, _ in sizes[:-1]:
        texts.append(zstandard.ZstdDecompressor().decompress(file[at : at + size]))
        at += size
    *texts, last = texts
    manifest: Json = json.loads(last.split(b"\n")[1][3:])
    return texts, manifest


def forge(
    path: Path,
    *,
    text: Callable[[bytes], bytes] = lambda text: text,
    manifest: Callable[[Json], object] = lambda manifest: None,
) -> None:
    """
    Change a backup of one frame in place: its text, then its manifest; then make sizes and digests right.

    Rows digests are counted anew from the text, so literals may not hold a line that looks like a separator.
    """
    (before,), told = take_apart(path)
    after = text(before)
    if after != before:
        _count_again(after, told)
    manifest(told)
    path.write_bytes(assemble([after], told))


def _count_again(text: bytes, manifest: Json) -> None:
    total = 0
    for entry in manifest["tables"]:
        name = entry["table"]["name"].encode()
        digest = count = 0
        for statement in text.split(b'INSERT INTO "' + name + b'" ')[1:]:
            body = statement.split(b" VALUES (\n", 1)[1].split(b"\n);\n", 1)[0] + b"\n"
            rows = body.split(b"),(\n")
            count += len(rows)
            digest += sum(map(xxhash.xxh3_64_intdigest, rows))
        entry["rows"], entry["digest"] = count, f"{digest % 2**64:016x}"
        total += count
    manifest["frames"][0]["rows"] = total
