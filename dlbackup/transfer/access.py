"""
Who may see a catalog that is restored: roles, privileges, row-level security.

A restore never makes readable what was not. Row-level security is kept where the backup has it, where the catalog that
is replaced has it, and where a server switches it on by itself for a new catalog; what policies would let through
stays hidden without them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dlbackup.backupfile.manifest import Manifest
from dlbackup.catalogs.contract import Place, Replacement
from dlbackup.errors import CatalogError, listed
from dlbackup.tables.definition import SchemaRights, Table, by_name
from dlbackup.tables.quoting import quote_identifier
from dlbackup.tables.statements import opening

ROLES = "roles"
"""The stage of what is said of roles and privileges that the server of a rehearsal doesn't know."""
_ON = "row-level security of table "
_POLICY = "row-level security: policy "
_PREDEFINED = "pg_"


def check_roles(replacement: Replacement, tables: Iterable[Table]) -> None:
    """Refuse when roles that the backup names are missing."""
    if missing := _missing_roles(replacement, tables):
        raise CatalogError(
            f"the server has no role {', '.join(missing)}, to which the backup's tables belong or are granted",
            "create the roles, or restore with --no-owner and --no-privileges",
        )


def without_predefined(replacement: Replacement, tables: Sequence[Table]) -> tuple[list[Table], list[str]]:
    """Return tables without grants to predefined roles of a later server, which nobody can make, and what to say."""
    roles = [name for name in _missing_roles(replacement, tables) if name.startswith(_PREDEFINED)]
    if not roles:
        return list(tables), []
    left = [table.without_grants_to(*roles).without_columns_granted_to(*roles) for table in tables]
    return left, [f"not granted, since this server has no such roles: to {', '.join(roles)}"]


def refused_elsewhere(replacement: Replacement, manifest: Manifest, privileges: frozenset[str]) -> list[str]:
    """Say what a restore here would refuse, or leave out of what is granted, which a rehearsal leaves out anyway."""
    tables = [entry.table for entry in manifest.tables]
    tables, predefined = without_predefined(replacement, tables)
    said = [*not_granted(tables, privileges), *predefined]
    if missing := _missing_roles(replacement, tables):
        said.append(
            f"restore refuses to go here without --no-owner and --no-privileges: the server has no role"
            f" {', '.join(missing)}, to which the backup's tables belong or are granted"
        )
    return said


def opened_by_default(tables: Iterable[Table]) -> list[str]:
    """Say whom default privileges gave rights on tables to which a restore grants nothing."""
    roles = {it.grantee or "PUBLIC" for table in tables for it in table.grants or () if it.grantee != table.owner}
    text = (
        "default privileges of the database give rights on the restored tables, since nothing is granted or revoked"
        f" without privileges: to {listed(sorted(roles), separator=', ')}"
    )
    return [text] if roles else []


def not_granted(tables: Iterable[Table], privileges: frozenset[str]) -> list[str]:
    """Say on which tables some of these privileges, which the server doesn't know, were granted."""
    without = [table.name for table in tables if table.without_privileges(privileges) != table]
    text = f"not granted, since this server doesn't know it: {', '.join(sorted(privileges))}"
    return [f"{text} on {listed(without, separator=', ')}"] if without else []


def _missing_roles(replacement: Replacement, tables: Iterable[Table]) -> list[str]:
    names = {name for table in tables for name in (table.owner, *table.grantees)}
    return replacement.missing_roles(names - {""})


def hidden_as_said(manifest: Manifest) -> list[Table]:
    """Return the tables, with row-level security where an older dlbackup only said that it was on."""
    said = {what.removeprefix(_ON) for what in manifest.left_out if what.startswith(_ON)}
    tables = [entry.table for entry in manifest.tables]
    return [replace(table, row_security=True) if table.name in said else table for table in tables]


def what_is_missing(manifest: Manifest) -> list[str]:
    """Say what belonged to the tables and is not in the backup."""
    return [f"not in the backup, and so not restored: {listed(manifest.left_out)}"] if manifest.left_out else []


def without_policies(manifest: Manifest, tables: Sequence[Table]) -> list[str]:
    """Say who sees no rows for want of a policy that the backup has not."""
    hidden = [table.name for table in tables if table.row_security]
    if not hidden or not any(what.startswith(_POLICY) for what in manifest.left_out):
        return []
    text = (
        "row-level security is on without its policies, so that only owners see rows of"
        f" {listed(hidden, separator=', ')}: make the policies again with CREATE POLICY"
    )
    return [text]


def hidden_as_now(tables: Sequence[Table], existing: Iterable[Table]) -> tuple[list[Table], list[str]]:
    """Return the tables with the row-level security of those that they replace, and what to say of that."""
    now = by_name(existing)
    found = [stricter(table, now.get(table.name, table)) for table in tables]
    more = [table.name for table, before in zip(found, tables, strict=True) if table != before]
    text = f"row-level security stays on, which the backup has not, for {listed(more, separator=', ')}"
    return found, [text] if more else []


def stricter(table: Table, other: Table) -> Table:
    """Return a table with row-level security where it or the other one has it."""
    return replace(
        table,
        row_security=table.row_security or other.row_security,
        row_security_forced=table.row_security_forced or other.row_security_forced,
    )


def hidden_by_server(names: Sequence[str]) -> list[str]:
    """Say that a server has switched on row-level security for new tables."""
    text = (
        "this server has switched on row-level security, which the backup has not, so that only owners see rows of"
        f" {listed(names, separator=', ')}: ALTER TABLE ... DISABLE ROW LEVEL SECURITY shows them to others"
    )
    return [text] if names else []


def open_schema(place: Place, rights: SchemaRights | None, schema: str, *, owner: bool, privileges: bool) -> list[str]:
    """
    Give a new schema the grants and the owner of the one that the backup is from.

    Args:
        schema: the name under which the place will be known.

    Returns:
        The statements that the place refused, to be executed by somebody who may.
    """
    if rights is None:
        return []
    refused = place.open_schema(opening(rights, place.schema, owner=owner, privileges=privileges))
    statements = opening(rights, schema, owner=owner, privileges=privileges)
    return [statements[number].strip() for number in refused]


def grants_to_make(place: Place, tables: Sequence[Table], schema: str) -> list[str]:
    """Return what has to be granted on a schema, so that those who own or may read its tables can use it."""
    return [
        f"GRANT {', '.join(privileges)} ON SCHEMA {quote_identifier(schema)}"
        f" TO {quote_identifier(name) if name else 'PUBLIC'};"
        for name, privileges in place.shut_out(tables)
    ]
