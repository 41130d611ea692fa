"""
Tables that an engine's migration has made anew are given what their sisters have: owner, grants, replica identity, and
whether row-level security is on.

The engine makes six tables, owned by whoever migrates and granted to nobody: readers are locked out of the lake, other
members of the owning role can't attach or walk the way back, and under a publication every DELETE fails for ever after.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from dlbackup.catalogs.postgres.introspection import read_definitions
from dlbackup.catalogs.postgres.place import PostgresPlace
from dlbackup.catalogs.postgres.sessions import LOCAL_SETTINGS, Session
from dlbackup.errors import CatalogError
from dlbackup.tables.definition import Grant, Table

Value = TypeVar("Value")


def give_alike(session: Session, schema: str, sisters: Iterable[Table]) -> list[str]:
    """
    Give the tables that are not among `sisters` what these share; all of it, or nothing where the role may not.

    Returns:
        What differs among the sisters, or could not be given, in words: a person decides on it.
    """
    old = {table.name: table for table in sisters}
    fixed = [table for table in old.values() if table.kind == "fixed"]
    said: list[str] = []
    new: list[Table] = []
    try:
        with session.transaction():
            session.execute(LOCAL_SETTINGS.encode())
            new += [table for table in read_definitions(session, schema).tables if table.name not in old]
            if new and fixed:
                said += _give(PostgresPlace(session, schema), new, fixed)
    except CatalogError as exc:
        said.append(f"{_names(new)} could not be given the owner and grants of the other tables: {exc.message}")
    return said


def _give(place: PostgresPlace, new: Sequence[Table], sisters: Sequence[Table]) -> list[str]:
    """Give new tables what all sisters have; return what these don't agree on, in words."""
    owner, grants, identity = _shared(sisters, _owner), _shared(sisters, _grants), _shared(sisters, _identity)
    security = _shared(sisters, _row_security)
    wanted = [
        Table(
            name=table.name,
            columns=(),
            comment=table.comment,
            options=table.options,
            owner=owner[0] if owner else table.owner,
            grants=grants[0] if grants else table.grants,
            replica_identity=identity[0] if identity else table.replica_identity,
            row_security=(security[0] if security else _row_security(table))[0],
            row_security_forced=(security[0] if security else _row_security(table))[1],
        )
        for table in new
    ]
    place.finish(wanted, privileges=bool(grants), row_security=bool(security))
    return [
        f"the catalog's tables differ in their {what}, so the new ones keep what the engine gave them: {_names(new)}"
        for what, shared in (
            ("owners", owner),
            ("grants", grants),
            ("replica identities", identity),
            ("row-level security", security),
        )
        if not shared
    ]


def _names(tables: Iterable[Table]) -> str:
    return ", ".join(table.name for table in tables)


def _owner(table: Table) -> str:
    return table.owner


def _grants(table: Table) -> tuple[Grant, ...] | None:
    return None if table.grants is None else tuple(sorted(table.grants, key=repr))


def _identity(table: Table) -> str:
    return "default" if table.replica_identity.startswith("index ") else table.replica_identity


def _row_security(table: Table) -> tuple[bool, bool]:
    return table.row_security, table.row_security_forced


def _shared(tables: Sequence[Table], attribute: Callable[[Table], Value]) -> tuple[Value, ...]:
    """Return the one value that all tables have; nothing where they differ."""
    first = attribute(tables[0])
    return (first,) if all(attribute(table) == first for table in tables) else ()
