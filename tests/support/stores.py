"""Backups of a store without their bytes: names, sizes and records are all that a list and retention look at."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from dlbackup.inventory import names
from dlbackup.inventory.record import Drill, Pin, Record, as_text, put
from dlbackup.stores.contract import Store, Where

__all__ = ["CONTENT", "add_backup", "drilled", "name_at", "pinned", "record_at", "write"]

CONTENT = b"not looked at"
_LAKE = "0198b1c2-0000-7000-8000-000000000001"


def name_at(time: datetime, *, catalog: str = "lake", digits: str = "a1b2c3") -> str:
    """Return the name that a backup has that was begun at a time."""
    return f"ducklake-{catalog}-{time:%Y%m%dT%H%M%SZ}-v1.0-{digits}.sql.zst"


def record_at(name: str, time: datetime, **values: Any) -> Record:
    """Return the record of a backup."""
    made = Record(
        backup=name,
        created=as_text(time),
        tool="dlbackup test",
        made_by="dump",
        database="lake",
        schema="public",
        dialect="postgres",
        server_version="16.4",
        spec_version="1.0",
        snapshot_id=4,
        snapshot_time="2026-03-23T17:51:00.000000Z",
        tables=30,
        rows=1000,
        raw_bytes=50_000,
        file_bytes=len(CONTENT),
        sha256="0" * 64,
        seal="1" * 64,
        fingerprint="2" * 16,
        dump_seconds=0.5,
        verify_seconds=0.25,
        lake=_LAKE,
    )
    return replace(made, **values)


def write(store: Store, name: str, data: bytes) -> None:
    """Put a file into a store."""
    with store.create(name) as sink:
        sink.write(data)


def add_backup(store: Store, time: datetime, *, listed: bool = True, catalog: str = "lake", **values: Any) -> str:
    """Put a backup of a time into a store, with its record if it is `listed`; return its name."""
    name = name_at(time, catalog=catalog)
    write(store, name, CONTENT)
    if listed:
        put(Where(store, names.record_of(name)), record_at(name, time, **values))
    return name


def drilled(store: Store, backup: str, time: datetime, *, ok: bool = True, couldnt_run: str | None = None) -> None:
    """Put the report of a drill beside a backup."""
    report = Drill(backup=backup, ok=ok, created=as_text(time), seconds=1.0, on="embedded", couldnt_run=couldnt_run)
    put(Where(store, names.drill_of(backup, time)), report)


def pinned(store: Store, backup: str, time: datetime, name: str = "kept") -> None:
    """Pin a backup."""
    put(Where(store, names.pin_of(backup, name)), Pin(backup=backup, name=name, created=as_text(time)))
