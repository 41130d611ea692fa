"""
The data files that a catalog refers to: where they should be, and what is there.

A catalog is worth what its files are. Paths are stored relative to a table's, that to a schema's, that to the
lake's `data_path`. Files of this machine are looked at here, those in object storage by who is given for that;
what nobody can look at is counted.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

from dlbackup.errors import listed
from dlbackup.lake.answers import Answers, rows_of
from dlbackup.lake.findings import Finding
from dlbackup.tables.quoting import quote_literal

SHOWN = 3
"""How many of each kind are named."""
FILE_RULES = ("missing-data-files", "data-file-sizes")
"""The errors that `look` finds: of files, not of the backup that names them."""
UNREADABLE = "unreadable-data-files"
"""The error that reading a sample finds."""
_REMOTE = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+://")
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
COLUMNS = {
    "ducklake_metadata": ("key", "value", "scope"),
    "ducklake_schema": ("schema_id", "begin_snapshot", "path", "path_is_relative"),
    "ducklake_table": ("table_id", "schema_id", "begin_snapshot", "path", "path_is_relative"),
    "ducklake_data_file": ("table_id", "path", "path_is_relative", "file_size_bytes"),
    "ducklake_delete_file": ("table_id", "path", "path_is_relative", "file_size_bytes"),
}
"""The columns that `look` reads, by table; `scope` is not in catalogs of 0.1."""
SAMPLE_COLUMNS = {**COLUMNS, "ducklake_data_file": (*COLUMNS["ducklake_data_file"], "record_count", "encryption_key")}
"""The columns that `sample` reads beside."""


def data_paths(answers: Answers) -> tuple[str, ...]:
    """Return the data path that the catalog names; several where it is at odds with itself."""
    found = rows_of(answers, "select distinct value from {s}.ducklake_metadata where key = 'data_path' order by 1")
    return tuple(path for (path,) in found if path)


def relative_paths(answers: Answers) -> list[str]:
    """Return paths of the catalog, a few, that lead elsewhere for a client that works in another folder."""
    roots = " union all ".join(
        f"select path from {answers.schema}.ducklake_{name} where not path_is_relative"
        for name in ("schema", "table", "data_file", "delete_file")
    )
    data = f"select value from {answers.schema}.ducklake_metadata where key = 'data_path'"
    near = "path not like '/%' and path not like '%://%' and path not like '_:%'"
    return [
        path for (path,) in rows_of(answers, f"select path from ({data} union all {roots}) as p(path) where {near}")
    ]


PLACES = """\
with lake as (
    select value as path
    from {s}.ducklake_metadata
    where key = 'data_path' and scope is null
),
schemas as (
    select c.schema_id,
           case when c.path is null then l.path
                when coalesce(c.path_is_relative, true) then l.path || c.path
                else c.path end as path
    from {s}.ducklake_schema c
    join (select schema_id, max(begin_snapshot) as begin_snapshot from {s}.ducklake_schema group by 1) n
      on n.schema_id = c.schema_id and n.begin_snapshot = c.begin_snapshot
    cross join lake l
),
tables as (
    select c.table_id,
           case when c.path is null then l.path
                when coalesce(c.path_is_relative, true) then l.path || c.path
                else c.path end as path
    from {s}.ducklake_table c
    join (select table_id, max(begin_snapshot) as begin_snapshot from {s}.ducklake_table group by 1) n
      on n.table_id = c.table_id and n.begin_snapshot = c.begin_snapshot
    join schemas l on l.schema_id = c.schema_id
)"""
"""
The folders of tables, as the beginning of a query: `tables`, and `lake`, which relative paths without a table begin at.

A schema or table that was renamed has several rows; its files stay where they are.
"""
_FILES_AND_PLACES = f"""{PLACES},
files as (
    select table_id, path, path_is_relative, file_size_bytes from {{s}}.ducklake_data_file
    union all
    select table_id, path, path_is_relative, file_size_bytes from {{s}}.ducklake_delete_file
)
"""


# Both run on PostgreSQL and DuckDB; `{s}` is the quoted schema. The first counts the files that are in their tables'
# folders, the second gives those that aren't, one by one.
_FOLDERS = f"""{_FILES_AND_PLACES}select l.table_id::text, l.path, f.files
from (
    select f.table_id, count(*) as files
    from files f
    where (f.path is not null and coalesce(f.path_is_relative, true))
    group by f.table_id
) f
join tables l on l.table_id = f.table_id
order by l.table_id
"""
_FILES = f"""{_FILES_AND_PLACES}select case when f.path is null then l.path
            when coalesce(f.path_is_relative, true) then l.path || f.path
            else f.path end,
       f.file_size_bytes
from files f
join tables l on l.table_id = f.table_id
where not (f.path is not null and coalesce(f.path_is_relative, true))
"""

_OUTSIDE = f"""{_FILES_AND_PLACES}select {{what}}
from (
    select case when f.path is null then l.path
                when coalesce(f.path_is_relative, true) then l.path || f.path
                else f.path end as path
    from files f
    join tables l on l.table_id = f.table_id
) p
cross join lake
where substr(p.path, 1, length(lake.path)) <> lake.path
"""


_SAMPLE = f"""{PLACES}
select case when f.path is null then l.path
            when coalesce(f.path_is_relative, true) then l.path || f.path
            else f.path end,
       f.record_count, f.encryption_key
from {{s}}.ducklake_data_file f
join tables l on l.table_id = f.table_id
where f.record_count is not null
order by random()
limit {{count}}
"""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file that can be read: where it is, how many rows the catalog says it has, and its key in Base64."""

    path: str
    rows: int
    key: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class Several:
    """How many files, and the first few of them, or of their folders."""

    count: int = 0
    more: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, text: str, count: int = 1) -> None:
        """Add a file, or a folder of so many."""
        self.count += count
        if len(self.shown) < SHOWN:
            self.shown.append(text)
        else:
            self.more += count

    def add_first(self, texts: list[str], count: int) -> None:
        """Add as many as `count`, of which these are the first."""
        for text in texts:
            self.add(text)
        self.count += count - len(texts)
        self.more += count - len(texts)

    def __str__(self) -> str:
        return listed(self.shown, SHOWN, more=self.more)


def sample(answers: Answers, count: int) -> list[DataFile]:
    """Return some data files, chosen by chance: as many as asked for, or all; see `SAMPLE_COLUMNS` for what is read."""
    query = _SAMPLE.format(s=answers.schema, count=count)
    return [DataFile(path, int(rows), key) for path, rows, key in answers.ask(query).rows]


def outside(answers: Answers) -> Several:
    """Return the files that are not below the lake's data path, and so don't move with it."""
    found = Several()
    counting = _OUTSIDE.format(s=answers.schema, what="count(*)")
    ((count,),) = rows_of(answers, counting)
    if int(count):
        first = rows_of(answers, _OUTSIDE.format(s=answers.schema, what="p.path") + f"order by p.path limit {SHOWN}")
        found.add_first([path for (path,) in first], int(count))
    return found


def stored(path: str) -> str:
    """
    Return a data path as engines store it in a catalog: it ends in one `/`, and has no other separator on Windows.

    A relative one stays as it is: it is relative to the folder that a client works in.
    """
    path = path.replace("\\", "/") if _WINDOWS.match(path) else path
    return path.rstrip("/") + "/"


def is_same_folder(one: str, two: str) -> bool:
    """Tell whether two data paths mean one folder, as far as it can be seen from here: by another name, or a link."""
    with suppress(OSError):
        return Path(one).samefile(two)
    return stored(one) == stored(two)


def _is_missing(folder: str) -> bool:
    try:
        os.stat(folder.removeprefix("file://") or "/")  # noqa: PTH116 - as below
    except FileNotFoundError:
        return True
    except OSError:
        return False  # what is wrong is said of each file
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a listing says of files: how many, and the first of them in words; `failed` says why there is none."""

    missing: int = 0
    missing_first: list[str] = field(default_factory=list)
    other_size: int = 0
    other_size_first: list[str] = field(default_factory=list)
    failed: str = ""


class Elsewhere(Protocol):
    """Who can look where this machine can't."""

    def lists(self, path: str) -> bool:
        """Tell whether files at such a path can be looked for."""

    def expect(self, path: str, size: int | None) -> bool:
        """Note a file that should be there; False where it can't be looked for."""

    def compare(self) -> Compared:
        """Look for all that was noted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """
    What a look for data files has found.

    Args:
        missing: how many are missing or can't be reached; None where none could be looked for.
        changed: how many have another size.
        total: how many the catalog names.
        remote: how many of them are out of reach, and were not looked at.
    """

    findings: list[Finding]
    missing: int | None
    changed: int
    total: int
    remote: int


def can_look(answers: Answers) -> bool:
    """Tell whether a catalog has what `look` reads."""
    there = {table.name: frozenset(table.column_names) for table in answers.tables}
    return all(there.get(table, frozenset()) >= set(columns) for table, columns in COLUMNS.items())


def look(answers: Answers, elsewhere: Elsewhere | None = None) -> Looked:
    """
    Compare files on this machine with what a catalog says of them.

    Files in a table's folder that is missing or not on this machine are counted by the catalog's database: that
    takes a seventh of the time of asking for each.

    Args:
        elsewhere: looks for files in object storage.

    Findings are errors for files that are missing or have another size; a warning for those that can't be looked at
    from here.
    """
    look = _Look(elsewhere)
    near = [
        table
        for table, folder, count in answers.stream(_FOLDERS.replace("{s}", answers.schema))
        if not look.settles_folder(folder, count)
    ]
    files = _FILES.replace("{s}", answers.schema)
    if near:
        files += f" or f.table_id::text in ({', '.join(map(quote_literal, near))})"
    for path, size in answers.stream(files):
        look.at_file(path, size)
    look.compare_elsewhere()
    return look.looked()


class _Look:
    """
    What was seen of a catalog's files, each of which is counted once.

    Args:
        elsewhere: looks for files in object storage.
    """

    def __init__(self, elsewhere: Elsewhere | None) -> None:
        self._elsewhere = elsewhere
        self._total = 0
        self._missing, self._sizes = Several(), Several()
        self._remote, self._closed = Several(), Several()
        self._listed = Several()
        """Those that are looked for elsewhere, all at once at the end."""
        self._not_listed = ""
        self._is_missing = cache(_is_missing)  # where a folder is missing, its files need no look

    def settles_folder(self, folder: str | None, count: int) -> bool:
        """Count the files of a folder where none of them can be there; False where each has to be looked at."""
        if self._is_elsewhere(folder):
            return False
        text = f"{count} in {folder or 'no known folder'}"
        if not self._is_out_of_reach(folder, text, count):
            return False
        self._total += count
        return True

    def at_file(self, path: str | None, size: int | None) -> None:
        """Look at a file, or note it for who looks elsewhere."""
        self._total += 1
        if path is None:
            self._remote.add("without a path")
            return
        if self._elsewhere is not None and self._is_elsewhere(path) and self._elsewhere.expect(path, size):
            self._listed.add(path)
            return
        if self._is_out_of_reach(path, path):
            return
        try:
            there = os.stat(path.removeprefix("file://")).st_size  # noqa: PTH116 - a Path for each costs twice the look
        except PermissionError as exc:
            self._closed.add(f"{path} ({exc.strerror})")
        except OSError as exc:
            self._missing.add(path if isinstance(exc, FileNotFoundError) else f"{path} ({exc.strerror})")
        else:
            if size is not None and there != size:
                self._sizes.add(f"{path} has {there} bytes, not {size}")

    def compare_elsewhere(self) -> None:
        """Look for the files that were noted for that."""
        if self._elsewhere is None or not self._listed.count:
            return
        compared = self._elsewhere.compare()
        self._missing.add_first(compared.missing_first, compared.missing)
        self._sizes.add_first(compared.other_size_first, compared.other_size)
        if compared.failed:
            self._remote.add_first(self._listed.shown, self._listed.count)
            self._not_listed = f" ({compared.failed})"

    def looked(self) -> Looked:
        """Say what was found."""
        unseen = self._remote.count + self._closed.count
        return Looked(
            findings=list(self._findings()),
            missing=None if 0 < unseen == self._total else self._missing.count,
            changed=self._sizes.count,
            total=self._total,
            remote=unseen,
        )

    def _is_elsewhere(self, path: str | None) -> bool:
        there = self._elsewhere
        return path is not None and there is not None and bool(_REMOTE.match(path)) and there.lists(path)

    def _is_out_of_reach(self, path: str | None, text: str, count: int = 1) -> bool:
        """Count what can't be looked at from here, or needs no look."""
        if path is None or _REMOTE.match(path):
            self._remote.add(text, count)
        elif _WINDOWS.match(path):
            self._closed.add(text, count)
        elif self._is_missing(path.rpartition("/")[0]):
            (self._missing if path.startswith(("/", "file:")) else self._closed).add(text, count)
        else:
            return False
        return True

    def _findings(self) -> Iterator[Finding]:
        of = f"of {self._total} data files"
        if (found := self._missing).count:
            text = f"{found.count} {of} are missing or can't be reached from here: {found}"
            yield Finding(severity="error", rule="missing-data-files", message=text)
        if (found := self._sizes).count:
            text = f"{found.count} {of} have another size than the catalog says: {found}"
            yield Finding(severity="error", rule="data-file-sizes", message=text)
        if (found := self._remote).count:
            text = f"{found.count} {of} are not on this machine and were not looked at: {found}{self._not_listed}"
            yield Finding(severity="warning", rule="remote-data-files", message=text)
        if (found := self._closed).count:
            text = (
                f"{found.count} {of} are out of reach, and nothing is known of them: their paths are of Windows, closed"
                " to this user, or relative to a folder that the catalog doesn't name; looked for from"
                f" {Path.cwd()}: {found}"
            )
            yield Finding(severity="warning", rule="data-files-out-of-reach", message=text)
