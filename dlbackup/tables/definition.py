"""
The records that everyone shares: a catalog's tables as their definitions say, and what was read.

A `Table` holds all that a backup carries of a table but its rows. Texts that come from the server
(types, defaults, constraints, indexes) are as PostgreSQL prints them with an empty search path, so
that equal definitions are equal records.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

PREFIX = "ducklake_"
PRIVILEGES = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"})
"""What can be granted on a table by any supported server."""
Kind = Literal["fixed", "inlined-data", "inlined-delete"]
_INLINED_DATA = re.compile(r"ducklake_inlined_data_(\d+)_\d+")
_INLINED_DELETE = re.compile(r"ducklake_inlined_delete_(\d+)")


@dataclass(frozen=True, slots=True)
class Grant:
    """Privileges of one role (`""` is PUBLIC), sorted by name; `grantable` is WITH GRANT OPTION."""

    grantee: str
    privileges: tuple[str, ...]
    grantable: bool = False


@dataclass(frozen=True, slots=True)
class SchemaRights:
    """Whose a schema is, and what is granted on it: USAGE and CREATE, None where nothing ever was."""

    owner: str
    grants: tuple[Grant, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """
    One column; `type` as `format_type` prints it, `default` as `pg_get_expr` does.

    Args:
        encoded: some of its texts hold NUL, which no literal can, so all stand as DuckDB prints a BLOB, in a SQLite
            file only those, as x'00'; and a statement after the rows turns them into what they are.
        declared: its type in a SQLite file, which says less than `type`; empty elsewhere.
    """

    name: str
    type: str
    not_null: bool = False
    default: str | None = None
    collation: str | None = None
    comment: str | None = None
    grants: tuple[Grant, ...] = ()
    encoded: bool = False
    declared: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSequence:
    """
    The sequence that numbers a column, as an identity or by the column's default, and where it stands.

    Args:
        identity: of which kind; empty where the column's default calls `nextval`.
        type: of its values, as `format_type` prints it.
        last_value: the next value, where `is_called` is false.
        grants: as a table's.
    """

    name: str
    column: str
    identity: Literal["", "always", "by default"]
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    last_value: int
    is_called: bool
    comment: str | None = None
    grants: tuple[Grant, ...] | None = None


@dataclass(frozen=True, slots=True)
class Constraint:
    """A primary key, unique or check constraint; `definition` as `pg_get_constraintdef` prints it."""

    name: str
    definition: str
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index that no constraint owns; `definition` is what follows the table: `USING btree (x)`."""

    name: str
    definition: str
    unique: bool = False
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    The definition of one catalog table.

    Args:
        name: unqualified, as stored.
        grants: None where the owner never granted or revoked anything.
        options: storage parameters, as (name, value).
        replica_identity: `default`, `full`, `nothing`, or `index NAME`.
        row_security: whether row-level security is on; without policies, nobody but the owner sees rows.
        row_security_forced: whether it binds the owner too.
        sequences: those that belong to its columns, in their order.
        tablespace: empty where it is the database's own; no statement of a backup says how a table is kept.
        index_tablespaces: of keys and indexes by their names, where it is another.
        access_method: empty where it is `heap`.
    """

    name: str
    columns: tuple[Column, ...]
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()
    comment: str | None = None
    owner: str = ""
    grants: tuple[Grant, ...] | None = None
    options: tuple[tuple[str, str], ...] = ()
    replica_identity: str = "default"
    row_security: bool = False
    row_security_forced: bool = False
    sequences: tuple[ColumnSequence, ...] = ()
    tablespace: str = ""
    index_tablespaces: tuple[tuple[str, str], ...] = ()
    access_method: str = ""

    @property
    def kind(self) -> Kind:
        """What the table's name says it is for."""
        if _INLINED_DATA.fullmatch(self.name):
            return "inlined-data"
        if _INLINED_DELETE.fullmatch(self.name):
            return "inlined-delete"
        return "fixed"

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns' names in the order of the table."""
        return tuple(column.name for column in self.columns)

    @property
    def grantees(self) -> frozenset[str]:
        """To whom something of it is granted; the empty name is PUBLIC."""
        grants = [*(self.grants or ()), *(grant for column in self.columns for grant in column.grants)]
        grants += [grant for sequence in self.sequences for grant in sequence.grants or ()]
        return frozenset(grant.grantee for grant in grants)

    @property
    def tablespaces(self) -> frozenset[str]:
        """Where it and its indexes are kept, but for the database's own tablespace."""
        return frozenset({self.tablespace, *(tablespace for _, tablespace in self.index_tablespaces)} - {""})

    def without_storage(self, tablespaces: frozenset[str], access_methods: frozenset[str]) -> "Table":
        """Return the same table, kept as by default instead of in one of these ways."""
        return replace(
            self,
            tablespace="" if self.tablespace in tablespaces else self.tablespace,
            index_tablespaces=tuple(each for each in self.index_tablespaces if each[1] not in tablespaces),
            access_method="" if self.access_method in access_methods else self.access_method,
        )

    def without_options(self, options: frozenset[tuple[str, str]], collations: frozenset[str]) -> "Table":
        """Return the same table without these storage parameters, its columns without these collations."""
        columns = tuple(
            replace(column, collation=None) if column.collation in collations else column for column in self.columns
        )
        return replace(self, options=tuple(each for each in self.options if each not in options), columns=columns)

    def without_keys(self, keys: frozenset[Constraint]) -> "Table":
        """Return the same table without these constraints, and where it is replicated by one, as by default."""
        if keys.isdisjoint(self.constraints):
            return self
        names = {key.name for key in self.constraints if key in keys}
        by_another = self.replica_identity.removeprefix("index ") not in names
        return replace(
            self,
            constraints=tuple(constraint for constraint in self.constraints if constraint not in keys),
            index_tablespaces=tuple(each for each in self.index_tablespaces if each[0] not in names),
            replica_identity=self.replica_identity if by_another else "default",
        )

    def kept_as(self, other: "Table") -> "Table":
        """Return the same table, in the database's own tablespace where the other one and its indexes are."""
        elsewhere = {name for name, _ in other.index_tablespaces}
        return replace(
            self,
            tablespace=self.tablespace if other.tablespace else "",
            index_tablespaces=tuple(each for each in self.index_tablespaces if each[0] in elsewhere),
        )

    def without_owner(self) -> "Table":
        """Return the same table, owned by nobody in particular."""
        return replace(self, owner="")

    def without_privileges(self, names: frozenset[str]) -> "Table":
        """Return the same table without these privileges in what was granted on it or its columns."""

        def left(grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
            kept = (replace(it, privileges=tuple(name for name in it.privileges if name not in names)) for it in grants)
            return tuple(grant for grant in kept if grant.privileges)

        grants = None if self.grants is None else left(self.grants)
        if grants != self.grants and grants == (Grant(self.owner, tuple(sorted(PRIVILEGES - names))),):
            grants = None  # what an owner has of itself
        columns = tuple(replace(column, grants=left(column.grants)) for column in self.columns)
        return replace(self, grants=grants, columns=columns)

    def without_grants_to(self, *roles: str) -> "Table":
        """Return the same table without what was granted to roles on it or its sequences; nothing left is nothing."""

        def left(grants: tuple[Grant, ...] | None) -> tuple[Grant, ...] | None:
            return tuple(grant for grant in grants or () if grant.grantee not in roles) or None

        sequences = tuple(replace(sequence, grants=left(sequence.grants)) for sequence in self.sequences)
        return replace(self, grants=left(self.grants), sequences=sequences)

    def without_columns_granted_to(self, *roles: str) -> "Table":
        """Return the same table without what was granted to roles on its columns."""
        return replace(
            self,
            columns=tuple(
                replace(column, grants=tuple(grant for grant in column.grants if grant.grantee not in roles))
                for column in self.columns
            ),
        )

    def without_grants(self) -> "Table":
        """Return the same table without what was granted on it, its columns or its sequences."""
        return replace(
            self,
            grants=None,
            columns=tuple(replace(column, grants=()) for column in self.columns),
            sequences=tuple(replace(sequence, grants=None) for sequence in self.sequences),
        )


def is_inlined(name: str) -> bool:
    """Tell whether a table of that name holds inlined rows or deletes."""
    return bool(_INLINED_DATA.fullmatch(name) or _INLINED_DELETE.fullmatch(name))


def inlined_table_id(name: str) -> int | None:
    """Return the id of the lake table whose inlined rows the table `name` holds, or None."""
    match = _INLINED_DATA.fullmatch(name)
    return int(match[1]) if match else None


def by_name(tables: Iterable[Table]) -> dict[str, Table]:
    """Return the tables by their names."""
    return {table.name: table for table in tables}
