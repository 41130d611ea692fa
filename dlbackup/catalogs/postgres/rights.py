"""What a role may not do that a migration needs."""

from collections.abc import Sequence

from dlbackup.catalogs.postgres.sessions import Session, one
from dlbackup.errors import DlbackupError, NotOwner
from dlbackup.tables.definition import Table


def missing_rights(session: Session, schema: str, tables: Sequence[Table], *, rehearsal: bool) -> list[DlbackupError]:
    """Return what the role may not do, as errors to raise; a rehearsal needs more."""
    owners = sorted({table.owner for table in tables})
    rows = session.execute(
        "select r from unnest(%s::text[]) r where not pg_has_role(current_user, r::name, 'USAGE')", [owners]
    ).fetchall()
    foreign = [table.name for table in tables if (table.owner,) in rows]
    me, read_only, create, temporary, scratch = one(
        session,
        """
        select current_user::text,
               current_setting('default_transaction_read_only')::boolean or pg_is_in_recovery(),
               has_schema_privilege(%s::text, 'CREATE'),
               has_database_privilege(current_database(), 'TEMP'),
               has_database_privilege(current_database(), 'CREATE')
        """,
        schema,
    )
    errors: list[DlbackupError] = []
    if read_only:
        errors.append(
            NotOwner(
                f"{me} can only read on this server: it is a standby, or default_transaction_read_only is on",
                "migrate on the primary server, as a role whose default_transaction_read_only is off",
            )
        )
    if foreign:
        errors.append(
            NotOwner(
                f"{me} does not own {', '.join(foreign[:3])}{' and others' if len(foreign) > 3 else ''}"
                f" (owner: {', '.join(row[0] for row in rows)}): the engine alters the catalog's tables",
                "migrate as the owner, or as a member of that role",
            )
        )
    wanted = [
        (create, f"CREATE on schema {schema}", "the engine's migration needs", ""),
        (temporary, "TEMP on the database", "the engine's migration needs", ""),
        (
            scratch or not rehearsal,
            "CREATE on the database",
            "the rehearsal in a scratch schema needs",
            ", or go without a rehearsal with --no-rehearsal",
        ),
    ]
    errors += [
        NotOwner(f"{me} has no right of {what}, which {why}", f"grant {what} to {me}{otherwise}")
        for granted, what, why, otherwise in wanted
        if not granted
    ]
    return errors
