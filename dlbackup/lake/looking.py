"""
A look for the data files that a catalog refers to: what is there of them.

A catalog is worth what its files are. Those of this machine are looked at here, those in object storage by who is given
for that; what nobody can look at is counted.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

from dlbackup.lake.answers import Answers
from dlbackup.lake.datafiles import COLUMNS, FILES_AND_PLACES, WINDOWS, Several
from dlbackup.lake.findings import Finding
from dlbackup.tables.quoting import quote_literal

_REMOTE = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+://")
# Both run on PostgreSQL and DuckDB; `{s}` is the quoted schema. The first counts the files that are in their tables'
# folders, the second gives those that aren't, one by one.
_FOLDERS = f"""{FILES_AND_PLACES}select l.table_id::text, l.path, f.files
from (
    select f.table_id, count(*) as files
    from files f
    where (f.path is not null and coalesce(f.path_is_relative, true))
    group by f.table_id
) f
join tables l on l.table_id = f.table_id
order by l.table_id
"""
_FILES = f"""{FILES_AND_PLACES}select case when f.path is null then l.path
            when coalesce(f.path_is_relative, true) then l.path || f.path
            else f.path end,
       f.file_size_bytes
from files f
join tables l on l.table_id = f.table_id
where not (f.path is not null and coalesce(f.path_is_relative, true))
"""


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
    seen = _Look(elsewhere)
    near = [
        table
        for table, folder, count in answers.stream(_FOLDERS.replace("{s}", answers.schema))
        if not seen.settles_folder(folder, count)
    ]
    files = _FILES.replace("{s}", answers.schema)
    if near:
        files += f" or f.table_id::text in ({', '.join(map(quote_literal, near))})"
    for path, size in answers.stream(files):
        seen.at_file(path, size)
    seen.compare_elsewhere()
    return seen.looked()


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
        elif WINDOWS.match(path):
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


def _is_missing(folder: str) -> bool:
    try:
        os.stat(folder.removeprefix("file://") or "/")  # noqa: PTH116 - as above
    except FileNotFoundError:
        return True
    except OSError:
        return False  # what is wrong is said of each file
    return False
