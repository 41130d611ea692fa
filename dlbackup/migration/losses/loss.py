"""A loss that was found, and the record of a known one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from dlbackup.catalogs.contract import Mending
from dlbackup.lake.answers import Answers
from dlbackup.migration.steps import Step
from dlbackup.tables.types import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """
    What a migration would lose.

    Args:
        rows: how many rows or tables it is about.
        part: the part of the fingerprint that it changes; empty when it shows in none.
        mendable: whether `mend` puts it right.
        unreadable: DuckDB loads nothing of such a lake: that can't be accepted.
        before: what the mend needs from the catalog as it was before.
    """

    rule: str
    rows: int
    message: str
    part: str
    mendable: bool
    before: Any
    unreadable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLoss:
    """
    One known loss.

    Args:
        what: what it is about, in the singular; the message has the number of it as `{count}`.
        find: returns what is affected in a catalog before the migration: one item for each row or table.
        mend: puts it right in a migrated catalog, given what was found; returns how many rows or tables it touched.
            None where nothing can. Done twice, it changes nothing more.
        unreadable: unmended, DuckDB loads nothing of the lake afterwards.
        dialects: of the catalogs in which there is such a loss.
        adds: returns the rows, as a fingerprint has them, that the mend adds to tables, given what was found.
        takes: returns the rows that the mend takes away from those that the fingerprint expects, as for `adds`.
        by_table: what is found are tables, each of which the mend has to lock.
    """

    name: str
    applies: Callable[[Step], bool]
    find: Callable[[Answers], list[Any]]
    what: str
    message: str
    part: str = ""
    mend: Callable[[Mending, list[Any]], int] | None = None
    adds: Callable[[list[Any]], dict[str, list[bytes]]] | None = None
    takes: Callable[[list[Any]], dict[str, list[bytes]]] | None = None
    dialects: tuple[Dialect, ...] = get_args(Dialect)
    by_table: bool = False
    unreadable: bool = False
