"""What a role may not do that a migration needs."""

from collections.abc import Sequence
from typing import NamedTuple

from dlbackup.catalogs.postgres.sessions import Session, named
from dlbackup.errors import DlbackupError, NotOwner
from dlbackup.tables.definition import Table

_ROLE = """
select current_user::text as name,
       current_setting('default_transaction_read_only')::boolean or pg_is_in_recovery() as read_only,
       has_schema_privilege(%s::text, 'CREATE') as makes_tables,
       has_database_privilege(current_database(), 'TEMP') as makes_temporary_tables,
       has_database_privilege(current_database(), 'CREATE') as makes_schemas
"""


class _Role(NamedTuple):
    """The only row of `_ROLE`: the session's role and what it may do."""

    name: str
    read_only: bool
    makes_tables: bool
    makes_temporary_tables: bool
    makes_schemas: bool


class _Needed(NamedTuple):
    """A right that the job needs, whether the role has it, what needs it, and the way around it."""

    granted: bool
    name: str
    why: str
    otherwise: str = ""


def missing_rights(session: Session, schema: str, tables: Sequence[Table], *, rehearsal: bool) -> list[DlbackupError]:
    """Return what the role may not do, as errors to raise; a rehearsal needs more."""
    owners = sorted({table.owner for table in tables})
    rows = session.execute(
        "select r from unnest(%s::text[]) r where not pg_has_role(current_user, r::name, 'USAGE')", [owners]
    ).fetchall()
    foreign = [table.name for table in tables if (table.owner,) in rows]
    (role,) = named(session, _Role, _ROLE, schema)
    errors: list[DlbackupError] = []
    if role.read_only:
        errors.append(
            NotOwner(
                f"{role.name} can only read on this server: it is a standby, or default_transaction_read_only is on",
                "migrate on the primary server, as a role whose default_transaction_read_only is off",
            )
        )
    if foreign:
        errors.append(
            NotOwner(
                f"{role.name} does not own {', '.join(foreign[:3])}{' and others' if len(foreign) > 3 else ''}"
                f" (owner: {', '.join(row[0] for row in rows)}): the engine alters the catalog's tables",
                "migrate as the owner, or as a member of that role",
            )
        )
    needed = [
        _Needed(role.makes_tables, f"CREATE on schema {schema}", "the engine's migration needs"),
        _Needed(role.makes_temporary_tables, "TEMP on the database", "the engine's migration needs"),
    ]
    if rehearsal:
        otherwise = ", or go without a rehearsal with --no-rehearsal"
        why = "the rehearsal in a scratch schema needs"
        needed.append(_Needed(role.makes_schemas, "CREATE on the database", why, otherwise))
    errors += [
        NotOwner(
            f"{role.name} has no right of {right.name}, which {right.why}",
            f"grant {right.name} to {role.name}{right.otherwise}",
        )
        for right in needed
        if not right.granted
    ]
    return errors
