"""
The data files that a catalog refers to: where they should be, and what is there.

A catalog is worth what its files are. Paths are stored relative to a table's, that to a schema's, that to the
lake's `data_path`. Only files of this machine are looked at; what is in object storage is counted.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from dlbackup.tables import Finding

_SHOWN = 3
_REMOTE = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+://")

COLUMNS = {
    "ducklake_metadata": ("key", "value", "scope"),
    "ducklake_schema": ("schema_id", "begin_snapshot", "path", "path_is_relative"),
    "ducklake_table": ("table_id", "schema_id", "begin_snapshot", "path", "path_is_relative"),
    "ducklake_data_file": ("table_id", "path", "path_is_relative", "file_size_bytes"),
    "ducklake_delete_file": ("table_id", "path", "path_is_relative", "file_size_bytes"),
}
"""The columns that `FILES` reads, by table; `scope` is not in catalogs of 0.1."""

# A schema or table that was renamed has several rows; its files stay where they are.
_JOINED = (
    "case when {c}.path is null then {p} when coalesce({c}.path_is_relative, true) then {p} || {c}.path"
    " else {c}.path end"
)
_NEWEST = "(select {id}, max(begin_snapshot) as begin_snapshot from {{s}}.{table} group by 1)"
FILES = (
    "with lake as (select value as path from {s}.ducklake_metadata where key = 'data_path' and scope is null),"
    f" schemas as (select c.schema_id, {_JOINED.format(c='c', p='l.path')} as path from {{s}}.ducklake_schema c"
    f" join {_NEWEST.format(id='schema_id', table='ducklake_schema')} n on n.schema_id = c.schema_id"
    " and n.begin_snapshot = c.begin_snapshot cross join lake l),"
    f" tables as (select c.table_id, {_JOINED.format(c='c', p='l.path')} as path from {{s}}.ducklake_table c"
    f" join {_NEWEST.format(id='table_id', table='ducklake_table')} n on n.table_id = c.table_id"
    " and n.begin_snapshot = c.begin_snapshot join schemas l on l.schema_id = c.schema_id),"
    " files as (select table_id, path, path_is_relative, file_size_bytes from {s}.ducklake_data_file union all"
    "          select table_id, path, path_is_relative, file_size_bytes from {s}.ducklake_delete_file)"
    f" select {_JOINED.format(c='f', p='l.path')}, f.file_size_bytes"
    " from files f join tables l on l.table_id = f.table_id"
)
"""Path and recorded size of every data and delete file, on PostgreSQL and DuckDB; `{s}` is the quoted schema."""


@dataclass(slots=True)
class _Several:
    """How many files, and the first few of them."""

    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(text)

    def __str__(self) -> str:
        more = f"; and {self.count - len(self.shown)} more" if self.count > len(self.shown) else ""
        return f"{'; '.join(self.shown)}{more}"


def _is_missing(folder: str) -> bool:
    try:
        os.stat(folder.removeprefix("file://") or "/")  # noqa: PTH116 - as below
    except FileNotFoundError:
        return True
    except OSError:
        return False  # what is wrong is said of each file
    return False


def look(files: Iterable[tuple[str | None, int | None]]) -> list[Finding]:
    """
    Compare files on this machine with what a catalog says of them.

    Args:
        files: path and size in bytes of each, as `FILES` gives them.

    Returns:
        Errors for files that are missing or have another size; a warning for those that can't be looked at.
    """
    missing, sizes, remote, total = _Several(), _Several(), _Several(), 0
    is_missing = cache(_is_missing)  # where a folder is missing, its files need no look
    for path, size in files:
        total += 1
        if path is None or _REMOTE.match(path):
            remote.add(path or "without a path")
            continue
        if is_missing(path.rpartition("/")[0]):
            missing.add(path)
            continue
        try:
            there = os.stat(path.removeprefix("file://")).st_size  # noqa: PTH116 - a Path for each costs twice the look
        except OSError as exc:
            missing.add(path if isinstance(exc, FileNotFoundError) else f"{path} ({exc.strerror})")
            continue
        if size is not None and there != size:
            sizes.add(f"{path} has {there} bytes, not {size}")
    findings = []
    if missing.count:
        text = f"{missing.count} of {total} data files are missing or can't be reached from here: {missing}"
        findings.append(Finding("error", "missing-data-files", text))
    if sizes.count:
        text = f"{sizes.count} of {total} data files have another size than the catalog says: {sizes}"
        findings.append(Finding("error", "data-file-sizes", text))
    if remote.count:
        text = f"{remote.count} of {total} data files are not on this machine and were not looked at: {remote}"
        findings.append(Finding("warning", "remote-data-files", text))
    return findings
