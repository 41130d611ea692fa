"""
What not every supported PostgreSQL knows, as statements of their own at the end of a backup.

psql stops at the first statement that a server refuses. So these come when all else is done, each in a DO that
executes it on servers of a version that knows it; on others it does nothing.
"""

from dataclasses import replace

from dlbackup.tables.definition import Constraint, Grant, Table
from dlbackup.tables.quoting import quote_identifier, quote_literal
from dlbackup.tables.statements import adding, commenting, granting, setting

PRIVILEGES_SINCE = {"MAINTAIN": 170000}
"""Privileges on tables that came after PostgreSQL 14, and the `server_version_num` from which on they are known."""
ROLES_SINCE = {
    "pg_checkpoint": 150000,
    "pg_create_subscription": 160000,
    "pg_use_reserved_connections": 160000,
    "pg_maintain": 170000,
    "pg_signal_autovacuum_worker": 180000,
}
"""Predefined roles, likewise: nobody can make a role of such a name."""
OPTIONS_SINCE = {"autovacuum_vacuum_max_threshold": 180000, "vacuum_max_eager_freeze_failure_rate": 180000}
"""Storage parameters of tables, likewise."""
LATER_KEY = "UNIQUE NULLS NOT DISTINCT"
"""How the definition of a constraint begins that came later."""
LATER_KEY_SINCE = 150000

_END = ";\n"
"""Of a statement."""


def later_keys(table: Table) -> frozenset[Constraint]:
    """Return the constraints of a table that PostgreSQL 14 doesn't know."""
    return frozenset(constraint for constraint in table.constraints if constraint.definition.startswith(LATER_KEY))


def everywhere(table: Table) -> Table:
    """Return what every supported server knows of a table."""
    if not _later(table):
        return table
    options = frozenset(option for option in table.options if option[0] in OPTIONS_SINCE)
    table = table.without_options(options, frozenset()).without_keys(later_keys(table))
    grants = None if table.grants is None else _known(table.grants)
    columns = tuple(replace(column, grants=_known(column.grants)) for column in table.columns)
    return replace(table, grants=grants, columns=columns)


def guarded(table: Table) -> list[str]:
    """Return the statements that add what only later servers know, each for those alone."""
    return [_only_since(since, statement) for since, statement in _later(table)]


def _known(grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
    kept = (replace(it, privileges=tuple(p for p in it.privileges if not _since(it, p))) for it in grants)
    return tuple(grant for grant in kept if grant.privileges)


def _since(grant: Grant, privilege: str) -> int:
    """Return from which `server_version_num` on it can be granted to whom it is; 0: everywhere."""
    return max(PRIVILEGES_SINCE.get(privilege, 0), ROLES_SINCE.get(grant.grantee, 0))


def _later(table: Table) -> list[tuple[int, str]]:
    """Return statements with the `server_version_num` from which on they are known."""
    name = quote_identifier(table.name)
    done: list[tuple[int, str]] = []
    for key in table.constraints:
        if key.definition.startswith(LATER_KEY):
            done.append((LATER_KEY_SINCE, adding(name, key)))
            done += [(LATER_KEY_SINCE, statement) for statement in commenting(key, name)]
            if table.replica_identity == f"index {key.name}":
                identity = f"ALTER TABLE {name} REPLICA IDENTITY USING INDEX {quote_identifier(key.name)};\n"
                done.append((LATER_KEY_SINCE, identity))
    done += [
        (OPTIONS_SINCE[option[0]], setting(name, [option])) for option in table.options if option[0] in OPTIONS_SINCE
    ]
    granted = [("", grant) for grant in table.grants or ()]
    granted += [(f" ({quote_identifier(column.name)})", grant) for column in table.columns for grant in column.grants]
    for columns, grant in granted:
        for privilege in grant.privileges:
            if since := _since(grant, privilege):
                done.append((since, granting(replace(grant, privileges=(privilege,)), name, columns)))
    return done


def _only_since(since: int, statement: str) -> str:
    version = f"pg_catalog.current_setting({quote_literal('server_version_num')})::pg_catalog.int4"
    executed = f"EXECUTE {quote_literal(statement.removesuffix(_END))}"
    body = f"BEGIN IF {version} OPERATOR(pg_catalog.>=) {since} THEN {executed}; END IF; END"
    return f"DO {quote_literal(body)}{_END}"
