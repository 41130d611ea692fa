"""
The spec versions of DuckLake: which there are, what tables each has, and how a catalog differs.

`schemas/ducklake-<version>.sql` is the only source of tables, columns, types and keys; the files have
exactly the form in which dlbackup writes definitions. Versions are ordered by a list, not as numbers:
`0.3-dev1` comes before `0.3`.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from dlbackup.tables.definition import Column, Constraint, Table, by_name

ORDER = ("0.1", "0.2", "0.3-dev1", "0.3", "0.4-dev1", "0.4", "1.0", "1.1-dev1", "1.1")
"""Every version string that DuckLake knows (src/common/ducklake_version.cpp, and of 1.1 its documentation)."""
ENGINES = {
    "0.1": "DuckDB 1.3.0",
    "0.2": "DuckDB 1.3.1 to 1.3.2",
    "0.3": "DuckDB 1.4",
    "0.4": "DuckDB 1.5.0 to 1.5.1",
    "1.0": "DuckDB 1.5.2 or later",
    "1.1": "DuckDB 2.0 or later",
}
"""Which engines open a catalog of that version without migrating it."""
_ALSO_OPENS = {"1.1-dev1": ("1.0",), "1.1": ("1.0",)}
_TABLE = re.compile(r'CREATE TABLE "(\w+)" \(\n(.*?)\n\);\n', re.DOTALL)
_COLUMN = re.compile(r'    "(\w+)" ([a-z ]+?)( NOT NULL)?')
_CONSTRAINT = re.compile(r'    CONSTRAINT "(\w+)" (.+)')


@cache
def load(version: str) -> dict[str, Table]:
    """
    Return the tables of a spec version by name; empty where dlbackup has no schema for it.

    Raises:
        ValueError: the schema file is not in the form that dlbackup writes.
    """
    if version not in described():
        return {}
    text = schemas().joinpath(f"ducklake-{version}.sql").read_text("utf-8")
    return by_name(_parse(match[1], match[2]) for match in _TABLE.finditer(text))


def holds_alike(expected: str, found: str) -> bool:
    """
    Tell whether a column of one type holds what one of the other would, so that engines take both.

    PostgreSQL's `text` is `character varying` without a limit: restores and tools by others make one of the other.
    """
    return found in (expected, {"character varying": "text"}.get(expected))


@cache
def described() -> tuple[str, ...]:
    """Return the versions that have a schema file, oldest first."""
    names = {item.name for item in schemas().iterdir()}
    return tuple(version for version in ORDER if f"ducklake-{version}.sql" in names)


@cache
def known_names() -> frozenset[str]:
    """Return the names of the tables of all described versions, but for inlined ones."""
    return frozenset(name for version in described() for name in load(version))


def schemas() -> Traversable:
    """Return the folder of the schema files: an install has it in the package, a bare checkout beside it."""
    try:
        return files("dlbackup.schemas")
    except ModuleNotFoundError:
        return Path(__file__).parents[2] / "schemas"


def is_older(version: str, other: str) -> bool:
    """
    Tell whether `version` came before `other`.

    Raises:
        ValueError: one of them is not a known version.
    """
    return ORDER.index(version) < ORDER.index(other)


def opened_by(version: str) -> frozenset[str]:
    """
    Return the versions that an engine opens as they are, and writes, which makes new lakes of this version.

    From 1.1 on an engine leaves catalogs of 1.0 what they are, until a migration is asked for, and can be told to stop
    there (DUCKLAKE_VERSION; ResolveTargetVersion in ducklake_initializer.cpp).
    """
    return frozenset({version, *_ALSO_OPENS.get(version, ())})


def in_order(versions: Iterable[str]) -> tuple[str, ...]:
    """Return versions, oldest first; those that nobody knows come last."""
    return tuple(sorted(versions, key=lambda it: (ORDER.index(it) if it in ORDER else len(ORDER), it)))


def _parse(name: str, body: str) -> Table:
    columns, constraints = [], []
    for line in body.split(",\n"):
        if match := _CONSTRAINT.fullmatch(line):
            constraints.append(Constraint(match[1], match[2]))
        elif match := _COLUMN.fullmatch(line):
            columns.append(Column(name=match[1], type=match[2], not_null=match[3] is not None))
        else:
            raise ValueError(f"schema of table {name}: {line!r} is not a column or a constraint")
    return Table(name=name, columns=tuple(columns), constraints=tuple(constraints))
