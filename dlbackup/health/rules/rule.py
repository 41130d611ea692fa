"""
What a rule of a healthy catalog is, and how its query is written for one spec version.

A query returns the rows that break the rule. It runs unchanged on PostgreSQL and on DuckDB, joins by
hashing (no correlated counts), and names tables as `{s}.ducklake_...`, where `{s}` is the schema. Other
placeholders: `{stats}` and `{partial}` are names that changed with the spec version; `{present}` is the
relation of the inlined tables that exist, `{suspects}` that of columns in them that may be of an old kind;
`{cut}` that of columns in them whose name may have been cut by the server; `{rows}` and `{deletes}` are the inlined
rows and deletes of many tables, or of all. In a mend, `{ids}` are the numbers of what breaks the rule.

What SQL can't tell of a row, such as whether a text parses, its rule's `breaks` does.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from inspect import cleandoc
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Literal, Protocol

from dlbackup.lake import spec

Severity = Literal["error", "warning"]
Scope = Literal["catalog", "rows", "deletes"]
"""What a query runs over: the fixed tables only, or also inlined rows or inlined deletes, many tables at a time."""
_TABLE = re.compile(r"\{s\}\.(ducklake_\w+)")
_INLINED = re.compile(r"\{(?:present|suspects|cut|rows|deletes)\}")
_RENAMED = {
    "{stats}": (("0.2", "ducklake_file_column_statistics"), ("0.3", "ducklake_file_column_stats")),
    "{partial}": (("0.2", "partial_file_info"), ("0.4", "partial_max")),
}


class Reading(Protocol):
    """What a DuckDB makes of a text; None where this one can't tell."""

    def is_expression(self, text: str, /) -> bool | None:
        """Tell whether it is one expression."""

    def is_query(self, text: str, /) -> bool | None:
        """Tell whether it is one SELECT statement."""

    def casts(self, text: str, type_: str, /) -> bool | None:
        """Tell whether it is a value of a type of DuckLake's."""


Values = Mapping[str, Any]
"""A row that a query returned, by the names of its columns."""
Breaks = Callable[[Values, str, Reading], bool | None]
"""Tells whether a row breaks its rule in a catalog of a spec version; None where nobody here can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    One thing that holds in every healthy catalog.

    Args:
        severity: an error is damage, or makes clients fail; a warning is wrong time travel or a left-over.
        what: what a row that the query returns shows; the beginning of a finding's message.
        why: what it does to the lake, or who leaves it behind.
        query: see the module.
        since, until: the first and the last spec version that it holds for; no `until` means all later ones.
        mend: exact SQL that puts it right, where that is known.
        advice: what to do where there is no such SQL.
        breaks: tells which of the rows that the query returns break the rule; by default all do.
        ids: the column whose numbers the mend's `{ids}` stands for.
        unreadable: with such a row, DuckDB loads nothing of the lake, whatever is asked.
        engines_own: it is the version's engines that are wrong, and no migration to it made the catalog so.
    """

    name: str
    severity: Severity
    what: str
    why: str
    query: str
    since: str = "0.2"
    until: str = ""
    mend: str = ""
    advice: str = ""
    scope: Scope = "catalog"
    breaks: Breaks | None = None
    ids: str = ""
    unreadable: bool = False
    engines_own: bool = False

    def __post_init__(self) -> None:
        """Take away the indentation that the statements have in the code."""
        object.__setattr__(self, "query", cleandoc(self.query))
        object.__setattr__(self, "mend", cleandoc(self.mend))

    def holds_for(self, version: str) -> bool:
        """Tell whether catalogs of that spec version must keep the rule."""
        return not spec.is_older(version, self.since) and not (self.until and spec.is_older(self.until, version))

    def sql(self, version: str) -> str:
        """Return the query in the words of a spec version."""
        return written_for(version, self.query)

    def answers_alike(self, before: str, after: str, kept: frozenset[str]) -> bool:
        """Tell whether catalogs of two spec versions answer alike if these tables hold the same in both."""
        return (
            self.scope == "catalog"
            and self.breaks is None
            and not _INLINED.search(self.query)
            and self.holds_for(before)
            and self.sql(before) == self.sql(after)
            and self.tables(after) <= kept
        )

    def tables(self, version: str) -> frozenset[str]:
        """Return the fixed tables that the query reads."""
        return frozenset(_TABLE.findall(self.sql(version)))


@cache
def written_for(version: str, text: str) -> str:
    """Fill in the names that changed with the spec version."""
    for placeholder, names in _RENAMED.items():
        (*_, name) = (name for since, name in names if not spec.is_older(version, since))
        text = text.replace(placeholder, name)
    return text


def union(*selects: str) -> str:
    """Return one query of several with the same columns."""
    return "\nunion all\n".join(map(cleandoc, selects))


def missing(kind: str, what: str, table: str, condition: str, target: str) -> str:
    """Rows `x` of a table for which there is no row `y` of another."""
    return f"""
        select '{kind}' as kind, x.{what} as id
        from {{s}}.ducklake_{table} x
        where not exists (select 1 from {{s}}.ducklake_{target} y where {condition})
    """


def folded(name: str) -> str:
    """Return what DuckDB compares of a name, whatever the database's locale: it knows A to Z, and not that Ä is ä."""
    return f"translate({name}, '{ascii_uppercase}', '{ascii_lowercase}') collate \"C\""


def in_order(*statements: str) -> str:
    """Return one mend of several statements."""
    return "\n".join(map(cleandoc, statements))


HEAD = "(select max(snapshot_id) from {s}.ducklake_snapshot)"
"""The newest snapshot."""
OLDEST = "(select min(snapshot_id) from {s}.ducklake_snapshot)"
"""The oldest snapshot; what ended until then shows in none."""
NEXT_CATALOG_ID = "(select max(next_catalog_id) from {s}.ducklake_snapshot)"
NEXT_FILE_ID = "(select max(next_file_id) from {s}.ducklake_snapshot)"
OF_TABLE = "y.table_id = x.table_id"
"""Of `missing`: both belong to one table."""
