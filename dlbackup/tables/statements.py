"""
Definitions as SQL text, and the answer to "is this a statement that dlbackup would have written?".

Only this module writes the SQL of a backup. A statement is safe when it is, byte for byte, what
`definition`, `finishing` or `ownership` makes of a table record, and when sqlglot finds nothing in it
but the allowed node types over that one table. Texts that PostgreSQL printed (types, defaults,
constraints, indexes) are the only part that isn't made of quoted names and literals, so they are
what the second check is for.
"""

from collections.abc import Iterable
from dataclasses import replace

from dlbackup.tables.definition import Column, ColumnSequence, Constraint, Grant, SchemaRights, Table
from dlbackup.tables.quoting import placed, quote_identifier, quote_literal

SETTINGS = (
    "SET standard_conforming_strings = on;\n"
    "SET datestyle = 'ISO, YMD';\n"
    "SET intervalstyle = 'postgres';\n"
    "SET timezone = 'GMT';\n"
    "SET extra_float_digits = 3;\n"
    "SET bytea_output = 'hex';\n"
    "SET statement_timeout = 0;\n"
    "SET lock_timeout = 0;\n"
)
"""
Set by us and never inherited, so that the same rows are the same bytes on every server.

GMT is built into PostgreSQL and prints as UTC does; a server without a time zone database knows no UTC.
"""


ENCODED_TYPE = "BLOB"
"""What an encoded column is until its texts are what they should be."""


def definition(table: Table, schema: str | None = None) -> str:
    """
    Return the CREATE TABLE statement, keys and checks inside, with its closing line feed.

    Args:
        schema: qualifies the table's name; names in a backup are not qualified.
    """
    parts = [_column(column) for column in table.columns]
    parts += [f"CONSTRAINT {quote_identifier(c.name)} {c.definition}" for c in table.constraints]
    return f"CREATE TABLE {placed(schema, table.name)} (\n    " + ",\n    ".join(parts) + "\n);\n"


def keyless(table: Table) -> tuple[Table, tuple[Constraint, ...]]:
    """Return a table without its primary and unique keys, and these: an index is made faster after the rows."""
    keys = tuple(c for c in table.constraints if c.definition.startswith(("PRIMARY KEY", "UNIQUE")))
    return replace(table, constraints=tuple(c for c in table.constraints if c not in keys)), keys


def adding(table: str, constraint: Constraint) -> str:
    """Return the statement that adds a constraint to the table of a quoted name."""
    return f"ALTER TABLE {table} ADD CONSTRAINT {quote_identifier(constraint.name)} {constraint.definition};\n"


def commenting(constraint: Constraint, table: str) -> list[str]:
    """Return the statement with the comment on a constraint of the table of a quoted name, where it has one."""
    if constraint.comment is None:
        return []
    what = f"CONSTRAINT {quote_identifier(constraint.name)} ON {table}"
    return [f"COMMENT ON {what} IS {quote_literal(constraint.comment)};\n"]


def setting(table: str, options: Iterable[tuple[str, str]]) -> str:
    """Return the statement that sets storage parameters of the table of a quoted name."""
    settings = ", ".join(f"{key} = {quote_literal(value)}" for key, value in options)
    return f"ALTER TABLE {table} SET ({settings});\n"


def finishing(table: Table, schema: str | None = None) -> list[str]:
    """Return what follows the rows: indexes, comments, sequences, storage parameters and the like."""
    name = placed(schema, table.name)
    done = [decoding(column, name) for column in table.columns if column.encoded]
    done += [
        f"CREATE {'UNIQUE ' if i.unique else ''}INDEX {quote_identifier(i.name)} ON {name} {i.definition};\n"
        for i in table.indexes
    ]
    if table.comment is not None:
        done.append(f"COMMENT ON TABLE {name} IS {quote_literal(table.comment)};\n")
    done += [
        f"COMMENT ON COLUMN {name}.{quote_identifier(c.name)} IS {quote_literal(c.comment)};\n"
        for c in table.columns
        if c.comment is not None
    ]
    done += [statement for constraint in table.constraints for statement in commenting(constraint, name)]
    done += [
        f"COMMENT ON INDEX {placed(schema, i.name)} IS {quote_literal(i.comment)};\n"
        for i in table.indexes
        if i.comment is not None
    ]
    for sequence in table.sequences:
        done += _numbering(sequence, name, schema)
    if table.options:
        done.append(setting(name, table.options))
    if table.replica_identity.startswith("index "):
        index = quote_identifier(table.replica_identity.removeprefix("index "))
        done.append(f"ALTER TABLE {name} REPLICA IDENTITY USING INDEX {index};\n")
    elif table.replica_identity != "default":
        done.append(f"ALTER TABLE {name} REPLICA IDENTITY {table.replica_identity.upper()};\n")
    if table.row_security:
        done.append(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;\n")
    if table.row_security_forced:
        done.append(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY;\n")
    return done


def decoding(column: Column, table: str) -> str:
    """Return the statement that turns the texts of an encoded column into what they are."""
    name = quote_identifier(column.name)
    if column.declared:
        return f"UPDATE {table} SET {name} = CAST({name} AS TEXT) WHERE typeof({name}) = 'blob';\n"
    how = f"CAST(decode({name}) AS {column.type})"
    return f"ALTER TABLE {table} ALTER COLUMN {name} SET DATA TYPE {column.type} USING {how};\n"


def _numbering(sequence: ColumnSequence, table: str, schema: str | None) -> list[str]:
    """Return what lets a sequence number a column from where it stood; rows are there, so an identity takes them."""
    name, column = placed(schema, sequence.name), quote_identifier(sequence.column)
    numbers = (
        f"START WITH {sequence.start} INCREMENT BY {sequence.increment} MINVALUE {sequence.minimum}"
        f" MAXVALUE {sequence.maximum} CACHE {sequence.cache} {'CYCLE' if sequence.cycle else 'NO CYCLE'}"
    )
    if sequence.identity:
        kind = sequence.identity.upper()
        own = f"(SEQUENCE NAME {quote_identifier(sequence.name)} {numbers})"
        done = [f"ALTER TABLE {table} ALTER COLUMN {column} ADD GENERATED {kind} AS IDENTITY {own};\n"]
    else:
        next_value = f"pg_catalog.nextval({quote_literal(name)}::pg_catalog.regclass)"
        done = [
            f"CREATE SEQUENCE {name} AS {sequence.type} {numbers};\n",
            f"ALTER SEQUENCE {name} OWNED BY {table}.{column};\n",
            f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {next_value};\n",
        ]
    is_called = str(sequence.is_called).lower()
    done.append(f"SELECT pg_catalog.setval({quote_literal(name)}, {sequence.last_value}, {is_called});\n")
    if sequence.comment is not None:
        done.append(f"COMMENT ON SEQUENCE {name} IS {quote_literal(sequence.comment)};\n")
    return done


def ownership(table: Table, schema: str | None = None) -> list[str]:
    """Return the statements that set owner and privileges."""
    name = placed(schema, table.name)
    done = [f"ALTER TABLE {name} OWNER TO {quote_identifier(table.owner)};\n"] if table.owner else []
    if table.grants is not None:
        done += [f"REVOKE ALL ON TABLE {name} FROM {whom};\n" for whom in _revoked(table.owner)]
        done += [granting(grant, name) for grant in table.grants]
    for column in table.columns:
        done += [granting(grant, name, f" ({quote_identifier(column.name)})") for grant in column.grants]
    for sequence in table.sequences:
        if sequence.grants is not None:
            name = placed(schema, sequence.name)
            done += [f"REVOKE ALL ON SEQUENCE {name} FROM {whom};\n" for whom in _revoked(table.owner)]
            done += [granting(grant, name, kind="SEQUENCE") for grant in sequence.grants]
    return done


def opening(rights: SchemaRights, schema: str, *, owner: bool, privileges: bool) -> list[str]:
    """Return the statements that give a new schema the grants and the owner of another; the owner needs no grants."""
    name = quote_identifier(schema)
    grants = [grant for grant in rights.grants or () if grant.grantee != rights.owner] if privileges else []
    done = [granting(grant, name, kind="SCHEMA") for grant in grants]
    return [*done, f"ALTER SCHEMA {name} OWNER TO {quote_identifier(rights.owner)};\n"] if owner else done


def _revoked(owner: str) -> list[str]:
    return ["PUBLIC", quote_identifier(owner)] if owner else ["PUBLIC"]


def _column(column: Column) -> str:
    text = f"{quote_identifier(column.name)} {column.declared or (ENCODED_TYPE if column.encoded else column.type)}"
    if column.collation is not None:
        text += f" COLLATE {quote_identifier(column.collation)}"
    if column.default is not None:
        text += f" DEFAULT {column.default}"
    return text + (" NOT NULL" if column.not_null else "")


def granting(grant: Grant, name: str, columns: str = "", kind: str = "TABLE") -> str:
    """Return the GRANT of privileges on what has the quoted name, or on columns of it, which are in parentheses."""
    what = ", ".join(privilege + columns for privilege in grant.privileges)
    whom = quote_identifier(grant.grantee) if grant.grantee else "PUBLIC"
    return f"GRANT {what} ON {kind} {name} TO {whom}{' WITH GRANT OPTION' if grant.grantable else ''};\n"
