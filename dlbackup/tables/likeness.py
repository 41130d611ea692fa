"""In what tables are alike: what those have that all others of a catalog have, and what these don't agree on. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from dlbackup.errors import listed
from dlbackup.tables.definition import Grant, Table

Value = TypeVar("Value")


def owner(table: Table) -> str:
    """Return whose a table is."""
    return table.owner


def grants(table: Table) -> tuple[Grant, ...] | None:
    """Return what is granted on a table, in an order that says nothing."""
    return None if table.grants is None else tuple(sorted(table.grants, key=repr))


def common_grants(tables: Sequence[Table]) -> list[Grant]:
    """Return what is granted on every one of the tables, however much more is on some."""
    granted = [
        {(grant.grantee, grant.grantable, privilege) for grant in table.grants or () for privilege in grant.privileges}
        for table in tables
    ]
    common: dict[tuple[str, bool], list[str]] = {}
    for grantee, grantable, privilege in sorted(set.intersection(*granted)):
        common.setdefault((grantee, grantable), []).append(privilege)
    return [Grant(grantee, tuple(names), grantable) for (grantee, grantable), names in common.items()]


def granted_by_column(tables: Iterable[Table]) -> list[str]:
    """Say to whom privileges are granted on columns of fixed tables, and not on these as a whole."""
    found = {
        grant.grantee or "PUBLIC"
        for table in tables
        if table.kind == "fixed"
        for column in table.columns
        for grant in column.grants
        if not {(grant.grantee, name) for name in grant.privileges} <= _granted_whole(table)
    }
    text = (
        "privileges on columns of the catalog's tables are granted to"
        f" {listed(sorted(found), separator=', ')}: tables and columns that a migration makes have none of them, so who"
        " can read columns only can't open the lake any more, until GRANT SELECT ON ALL TABLES IN SCHEMA lets them"
    )
    return [text] if found else []


def _granted_whole(table: Table) -> set[tuple[str, str]]:
    return {(grant.grantee, privilege) for grant in table.grants or () for privilege in grant.privileges}


def replica_identity(table: Table) -> str:
    """Return by what a table is replicated; an index of its own is as good as the default."""
    return "default" if table.replica_identity.startswith("index ") else table.replica_identity


def row_security(table: Table) -> tuple[bool, bool]:
    """Return whether row-level security is on, and whether it is forced."""
    return table.row_security, table.row_security_forced


def shared(tables: Sequence[Table], attribute: Callable[[Table], Value]) -> tuple[Value, ...]:
    """Return the one value that all tables have; nothing where they differ."""
    first = attribute(tables[0])
    return (first,) if all(attribute(table) == first for table in tables) else ()


_COMPARED: dict[str, Callable[[Table], object]] = {
    "owners": owner,
    "grants": grants,
    "replica identities": replica_identity,
    "row-level security": row_security,
}


def differences(tables: Sequence[Table]) -> list[str]:
    """Say what the fixed tables among these don't agree on."""
    fixed = [table for table in tables if table.kind == "fixed"]
    return [what for what, attribute in _COMPARED.items() if fixed and not shared(fixed, attribute)]
