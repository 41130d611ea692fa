"""
The data files that a catalog refers to: where they should be.

Paths are stored relative to a table's, that to a schema's, that to the lake's `data_path`.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dlbackup.errors import listed
from dlbackup.lake.answers import Answers, rows_of

SHOWN = 3
"""How many of each kind are named."""
FILE_RULES = ("missing-data-files", "data-file-sizes")
"""The errors that `look` finds: of files, not of the backup that names them."""
UNREADABLE = "unreadable-data-files"
"""The error that reading a sample finds."""
WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
"""Paths of that system begin so."""
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
FILES_AND_PLACES = f"""{PLACES},
files as (
    select table_id, path, path_is_relative, file_size_bytes from {{s}}.ducklake_data_file
    union all
    select table_id, path, path_is_relative, file_size_bytes from {{s}}.ducklake_delete_file
)
"""
"""The same, and all `files`."""
_OUTSIDE = f"""{FILES_AND_PLACES}select {{what}}
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
    path = path.replace("\\", "/") if WINDOWS.match(path) else path
    return path.rstrip("/") + "/"


def is_same_folder(one: str, two: str) -> bool:
    """Tell whether two data paths mean one folder, as far as it can be seen from here: by another name, or a link."""
    with suppress(OSError):
        return Path(one).samefile(two)
    return stored(one) == stored(two)
