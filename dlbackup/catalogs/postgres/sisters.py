"""
Tables that an engine's migration has made anew are given what their sisters have: owner, grants, replica identity.

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
    new = [table for table in read_definitions(session, schema).tables if table.name not in old]
    fixed = [table for table in old.values() if table.kind == "fixed"]
    if not new or not fixed:
        return []
    owner, grants, identity = _shared(fixed, _owner), _shared(fixed, _grants), _shared(fixed, _identity)
    named = ", ".join(table.name for table in new)
    differing = [
        f"the catalog's tables differ in their {what}, so that the new ones keep what the engine gave them: {named}"
        for what, shared in (("owners", owner), ("grants", grants), ("replica identities", identity))
        if not shared
    ]
    wanted = [
        Table(
            name=table.name,
            columns=(),
            owner=owner[0] if owner else table.owner,
            grants=grants[0] if grants else table.grants,
            replica_identity=identity[0] if identity else table.replica_identity,
        )
        for table in new
    ]
    try:
        with session.transaction():
            session.execute(LOCAL_SETTINGS.encode())
            PostgresPlace(session, schema).finish(wanted, privileges=bool(grants))
    except CatalogError as exc:
        return [*differing, f"{named} could not be given the owner and grants of the other tables: {exc.message}"]
    return differing


def _owner(table: Table) -> str:
    return table.owner


def _grants(table: Table) -> tuple[Grant, ...] | None:
    return None if table.grants is None else tuple(sorted(table.grants, key=repr))


def _identity(table: Table) -> str:
    return "default" if table.replica_identity.startswith("index ") else table.replica_identity


def _shared(tables: Sequence[Table], attribute: Callable[[Table], Value]) -> tuple[Value, ...]:
    """Return the one value that all tables have; nothing where they differ."""
    first = attribute(tables[0])
    return (first,) if all(attribute(table) == first for table in tables) else ()
