"""
Would we have written this? An allow-list for what a backup's records may say of a table.

Names, types, expressions, constraints and indexes pass a lexical check and sqlglot's nodes, each of an allowed kind.
What is not known is refused: a tampered file is never executed.
"""

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from dlbackup.errors import UnsafeStatement
from dlbackup.tables.bars import BAR_OF_NEWER, BAR_OF_OLDER
from dlbackup.tables.definition import PREFIX, PRIVILEGES, Column, Constraint, SchemaRights, Table
from dlbackup.tables.duckdbtypes import is_type
from dlbackup.tables.guarded import guarded
from dlbackup.tables.sqlitetypes import can_be
from dlbackup.tables.statements import definition, finishing, ownership
from dlbackup.tables.types import Dialect, written_as

# Possessive, so that no text, however hostile, takes more than linear time to be refused.
_NAME = r'"(?:[^"\0]|"")++"'
_TEXT = r"'(?:[^'\0]|'')*+'"


_NUMBER = r"-?[0-9]{1,19}"
_NUMBERED = (
    rf"START WITH {_NUMBER} INCREMENT BY {_NUMBER} MINVALUE {_NUMBER} MAXVALUE {_NUMBER} CACHE {_NUMBER} (?:NO )?CYCLE"
)


# sqlglot has no grammar for these; they hold nothing but quoted names, numbers and literals.
_TEMPLATES = re.compile(
    rf"ALTER TABLE {_NAME} OWNER TO {_NAME}"
    rf"|ALTER TABLE {_NAME} REPLICA IDENTITY (?:FULL|NOTHING|USING INDEX {_NAME})"
    rf"|ALTER TABLE {_NAME} (?:ENABLE|FORCE) ROW LEVEL SECURITY"
    rf"|COMMENT ON CONSTRAINT {_NAME} ON {_NAME} IS {_TEXT}"
    rf"|ALTER TABLE {_NAME} ALTER COLUMN {_NAME} ADD GENERATED (?:ALWAYS|BY DEFAULT) AS IDENTITY"
    rf" \(SEQUENCE NAME {_NAME} {_NUMBERED}\)"
    rf"|CREATE SEQUENCE {_NAME} AS (?:smallint|integer|bigint) {_NUMBERED}"
    rf"|ALTER SEQUENCE {_NAME} OWNED BY {_NAME}\.{_NAME}"
    rf"|ALTER TABLE {_NAME} ALTER COLUMN {_NAME} SET DEFAULT pg_catalog\.nextval\({_TEXT}::pg_catalog\.regclass\)"
    rf"|SELECT pg_catalog\.setval\({_TEXT}, {_NUMBER}, (?:true|false)\)"
    rf"|COMMENT ON SEQUENCE {_NAME} IS {_TEXT}"
    rf"|REVOKE ALL ON SEQUENCE {_NAME} FROM (?:PUBLIC|{_NAME})"
    rf"|GRANT (?:USAGE|SELECT|UPDATE)(?:, (?:USAGE|SELECT|UPDATE))* ON SEQUENCE {_NAME} TO (?:PUBLIC|{_NAME})"
    rf"(?: WITH GRANT OPTION)?"
    # What is executed is made of parts of the statements that are checked without the guard.
    r"|DO 'BEGIN IF pg_catalog\.current_setting\(''server_version_num''\)::pg_catalog\.int4"
    r" OPERATOR\(pg_catalog\.>=\) [0-9]{6} THEN EXECUTE ''(?:[^'\0]|'''')*+''; END IF; END'"
)


# Types of pg_catalog only, as format_type prints them: sqlglot knows names that another schema could define.
_TYPE = (
    r"(?:smallint|integer|bigint|boolean|real|double precision|money|text|name|bytea|uuid|jsonb?|xml|date|inet|point"
    r"|interval(?:\([0-9]\))?|(?:numeric|character varying|character|bpchar|bit)(?:\([0-9]+(?:,-?[0-9]+)?\))?"
    r"|time(?:stamp)?(?:\([0-9]\))? with(?:out)? time zone)(?:\[\])?"
)


# What may stand before a parenthesis. Another name there would be a function, and it might not be PostgreSQL's own.
_CALLED = (
    "CHECK|KEY|UNIQUE|DISTINCT|INCLUDE|WITH|WHERE|AND|OR|NOT|ANY|IN|COALESCE|lower|upper|length|char_length|mod"
    "|btree|hash|gist|gin|brin|spgist"
)


# Quoted names, plain literals (no E'', U&'', B'', X'' and no dollar quotes), words, numbers, casts and operators;
# no dots between names, no type names before literals.
_EXPRESSION = re.compile(
    rf"""(?:(?<![A-Za-z0-9_&$])(?:{_NAME}(?! *\()|{_TEXT})|(?:{_CALLED})(?= *\()|[A-Za-z_][A-Za-z0-9_]*+(?! *[('])"""
    rf"""|[0-9]++(?:\.[0-9]++)?|::{_TYPE}(?![A-Za-z0-9_])|[()\[\], ]|(?:[-+*/%=<>]|<=|>=|<>|!?~~)(?![-+*/%=<>!~|]))*+"""
)
_BARS = (BAR_OF_NEWER, BAR_OF_OLDER)
_CONSTRAINT = r"(?:PRIMARY KEY|UNIQUE(?: NULLS NOT DISTINCT)?|CHECK) \("
_INDEX = r"USING [a-z]+ \("
_WORD = rf"(?:[a-z_][a-z0-9_]*|{_NAME})"
_KEY = re.compile(rf"PRIMARY KEY \({_WORD}(?:, {_WORD})*\)")
_VALUE = re.compile(rf"(?:-?[0-9]+|true|false|NULL|{_TEXT})(?:::{_TYPE})?")
_VALUE_IN_SQLITE = re.compile(rf"-?[0-9]+|NULL|{_TEXT}")
_NUMBERS = re.compile("[0-9]+")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def split_unsafe(table: Table) -> tuple[Table, list[str]]:
    """
    Part a live table's definition into what a backup can carry and the names of what it can't.

    Left out are defaults, constraints and indexes that call functions outside a small set: replaying
    them would run code that the backup only names. Keys and plain values, all that the engines make, are
    kept without loading sqlglot, which takes longer than reading a small catalog; a dump asks `check_table`
    about the whole.

    Raises:
        UnsafeStatement: a column's type is not a built-in one, so its rows could not be restored.
    """
    if not (table.constraints or table.indexes or any(c.default is not None for c in table.columns)):
        _ask(_check_parts, table)
        return table, []
    bare = replace(table, constraints=(), indexes=(), sequences=(), columns=tuple(_bare(c) for c in table.columns))
    _ask(_check_parts, bare)
    left_out: list[str] = []

    def keep(alone: Table, what: str) -> bool:
        try:
            check_table(alone)
        except UnsafeStatement:
            left_out.append(f"{what} of table {table.name}")
            return False
        return True

    columns = tuple(
        c
        if c.default is None
        or _VALUE.fullmatch(c.default)
        or keep(replace(bare, columns=(c,)), f"default of column {c.name}")
        else _bare(c)
        for c in table.columns
    )
    constraints = tuple(
        c
        for c in table.constraints
        if _KEY.fullmatch(c.definition) or keep(replace(bare, constraints=(c,)), f"constraint {c.name}")
    )
    indexes = tuple(i for i in table.indexes if keep(replace(bare, indexes=(i,)), f"index {i.name}"))
    return replace(table, columns=columns, constraints=constraints, indexes=indexes), left_out


def _bare(column: Column) -> Column:
    return replace(column, default=None)


def check_table(table: Table, dialect: Dialect = "postgres") -> None:
    """
    Refuse a definition that dlbackup would not have written.

    Raises:
        UnsafeStatement: names the statement's beginning.
    """
    _ask({"postgres": _check_table, "duckdb": _check_of_duckdb, "sqlite": _check_of_sqlite}[dialect], table)


def check_schema(name: str, rights: SchemaRights | None) -> None:
    """
    Refuse what dlbackup would not have written of a schema.

    Raises:
        UnsafeStatement: names what that is.
    """
    grants = (rights.grants or ()) if rights else ()
    names = (name, *(grant.grantee or "PUBLIC" for grant in grants), rights.owner if rights else name)
    if not all(names) or any(_UNSTORABLE.search(each) for each in names):
        raise UnsafeStatement("the backup's schema, or who has rights on it, has an impossible name")
    for grant in grants:
        if not grant.privileges or not {"CREATE", "USAGE"}.issuperset(grant.privileges):
            raise UnsafeStatement(f"the backup grants something unknown on its schema: {str(grant.privileges)[:80]}")


def _ask(check: Callable[[Table], None], table: Table) -> None:
    # Ten thousand inlined tables differ in their numbers only, and a number can't make a statement unsafe.
    if not _passes(check, replace(table, name=_NUMBERS.sub("0", table.name))):
        check(table)


@cache
def _passes(check: Callable[[Table], None], table: Table) -> bool:
    try:
        check(table)
    except UnsafeStatement:
        return False
    return True


def _check_table(table: Table) -> None:
    table = replace(table, constraints=tuple(c for c in table.constraints if c not in _BARS))
    _check_parts(table)
    for statement in (definition(table), *finishing(table), *ownership(table), *guarded(table)):
        _check_statement(statement.removesuffix(";\n"), table)


def _check_of_duckdb(table: Table) -> None:
    """Check the definition of a table in a DuckDB file; types are in a grammar of their own."""
    for column in table.columns:
        if not is_type(column.type) or column.declared:
            raise _strange_type(table, column)
    _check_in_file(table, _VALUE)


def _check_of_sqlite(table: Table) -> None:
    """Check the definition of a table in a SQLite file: its types are declared, and others are what its values are."""
    for column in table.columns:
        if not can_be(column.declared, column.type):
            raise _strange_type(table, column)
        if column.encoded and written_as(column.type) != "text":
            raise UnsafeStatement(f"column {column.name} of table {table.name} is no text, and can't be encoded")
        if column.comment is not None:
            raise UnsafeStatement(f"column {column.name} of table {table.name} has a comment, which SQLite hasn't")
    if table.comment is not None:
        raise UnsafeStatement(f"table {table.name} has a comment, which SQLite hasn't")
    _check_in_file(table, _VALUE_IN_SQLITE)


def _check_in_file(table: Table, default: re.Pattern[str]) -> None:
    """Check all but the types of a table in a file, which has less than one on a server."""
    _check_names(table)
    plain = []
    for column in table.columns:
        if column.default is not None and not default.fullmatch(column.default):
            raise UnsafeStatement(f"table {table.name} holds a default outside the allow-list: {column.default[:80]}")
        kept = Column(name=column.name, type="bigint", not_null=column.not_null, default=column.default)
        plain.append(replace(kept, comment=column.comment))
    keys = tuple(Constraint(key.name, key.definition) for key in table.constraints)
    if not all(_KEY.fullmatch(key.definition) for key in keys):
        raise UnsafeStatement(f"table {table.name} has a constraint that is no key: {keys[0].definition[:80]}")
    only = Table(name=table.name, columns=tuple(plain), constraints=keys, comment=table.comment)
    columns = tuple(
        replace(column, type=was.type, encoded=was.encoded, declared=was.declared)
        for column, was in zip(plain, table.columns, strict=True)
    )
    if replace(only, columns=columns) != table:
        raise UnsafeStatement(f"table {table.name} has more than a table in a file can have")
    for statement in (definition(only), *finishing(only)):
        _check_statement(statement.removesuffix(";\n"), only)


def _strange_type(table: Table, column: Column) -> UnsafeStatement:
    return UnsafeStatement(
        f"column {column.name} of table {table.name} has a type that a backup can't carry:"
        f" {column.declared or column.type}"
    )


def _check_names(table: Table) -> None:
    if not table.name.startswith(PREFIX):
        raise UnsafeStatement(f"table {table.name!r} is not a catalog table")
    if not table.columns:
        raise UnsafeStatement(f"table {table.name} has no columns")
    for text in _names(table):
        if not text or "\0" in text:
            raise UnsafeStatement(f"table {table.name} holds an impossible name: {text!r}")


def _check_parts(table: Table) -> None:
    """Check what needs no parser: that every part is quoted, or of a form that calls nothing."""
    _check_names(table)
    for column in table.columns:
        if not re.fullmatch(_TYPE, column.type) or column.encoded or column.declared:
            raise _strange_type(table, column)
    for text, beginning in _expressions(table):
        if not (re.match(beginning, text) and _EXPRESSION.fullmatch(text) and _stays_in_place(text)):
            raise UnsafeStatement(f"table {table.name} holds an expression outside the allow-list: {text[:80]}")
    for key, _ in table.options:
        if not re.fullmatch(r"[a-z_][a-z0-9_.]*", key):
            raise UnsafeStatement(f"table {table.name} has a strange storage parameter: {key[:80]}")
    for grant in (*(table.grants or ()), *(g for c in table.columns for g in c.grants)):
        if not grant.privileges or not PRIVILEGES.issuperset(grant.privileges):
            raise UnsafeStatement(f"table {table.name} grants something unknown: {grant.privileges}")
    for sequence in table.sequences:
        if sequence.column not in table.column_names or sequence.type not in ("smallint", "integer", "bigint"):
            raise UnsafeStatement(f"sequence {sequence.name!r} of table {table.name} numbers no column of it")


def _names(table: Table) -> Iterator[str]:
    yield table.name
    yield from (column.name for column in table.columns)
    yield from (constraint.name for constraint in table.constraints)
    yield from (index.name for index in table.indexes)
    yield from (column.collation for column in table.columns if column.collation is not None)
    yield from (sequence.name for sequence in table.sequences)
    yield from table.tablespaces
    yield from (name for name, _ in table.index_tablespaces)
    yield from {table.access_method} - {""}


def _expressions(table: Table) -> Iterator[tuple[str, str]]:
    yield from ((column.default, "") for column in table.columns if column.default is not None)
    yield from ((constraint.definition, _CONSTRAINT) for constraint in table.constraints)
    yield from ((index.definition, _INDEX) for index in table.indexes)


def _stays_in_place(text: str) -> bool:
    """Tell whether no parenthesis of `text` closes one before it, and no comma begins another definition."""
    depth = 0
    for sign in re.sub(rf"{_NAME}|{_TEXT}|[^()\[\],]", "", text):
        depth += (sign in "([") - (sign in ")]")
        if depth < 0 or (sign == "," and not depth):
            return False
    return not depth


def _check_statement(statement: str, table: Table) -> None:
    if _UNSTORABLE.search(statement):
        raise UnsafeStatement(f"table {table.name!r} holds a character that no database can store")
    if _TEMPLATES.fullmatch(statement):
        return
    columns = tuple(
        (_NUMBERS.sub("0", c.name), sum((c.not_null, c.default is not None, c.collation is not None)))
        for c in table.columns
    )
    problem = _problem(_NUMBERS.sub("0", statement), _NUMBERS.sub("0", table.name), columns)
    if problem:
        raise UnsafeStatement(f"table {table.name}: {problem}: {statement[:120]}")


@cache
def _problem(statement: str, table: str, columns: tuple[tuple[str, int], ...]) -> str:
    import sqlglot
    from sqlglot import exp

    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        trees = sqlglot.parse(statement, read="postgres")
    except RecursionError:
        return "too deep"
    except sqlglot.errors.SqlglotError as exc:
        return f"not understood ({str(exc).splitlines()[0][:120]})"
    if len(trees) != 1 or trees[0] is None:
        return "not exactly one statement"
    tree = trees[0]
    allowed = _allowed_nodes()
    if type(tree) not in allowed:
        return f"a {type(tree).__name__} statement is not allowed"
    for node in tree.walk():
        if type(node) not in allowed[type(tree)]:
            return f"{type(node).__name__} is not allowed"
        if node.comments:
            return "comments are not allowed"
        if isinstance(node, exp.DataType) and node.this == exp.DataType.Type.USERDEFINED:
            return "only built-in types are allowed"
    named = {node.name for node in tree.find_all(exp.Table) if not _is_pattern_class(node)}
    if isinstance(tree, exp.Comment):
        return ""  # names a table, a column or an index of it; rendered from the record
    if named != {table}:
        return f"names other tables than its own: {sorted(named)}"
    if isinstance(tree, exp.Create) and tree.kind == "TABLE":
        defined = tuple((node.name, len(node.args["constraints"])) for node in tree.find_all(exp.ColumnDef))
        return "" if defined == columns else "defines other columns than its own"
    if isinstance(tree, exp.Create) and tree.kind != "INDEX":
        return f"CREATE {tree.kind} is not allowed"
    return ""


def _is_pattern_class(node: Any) -> bool:
    """Tell whether sqlglot took one of PostgreSQL's own operator classes in an index for a table."""
    from sqlglot import exp

    classes = ("text_pattern_ops", "varchar_pattern_ops", "bpchar_pattern_ops")
    return isinstance(node.parent, exp.Opclass) and node.sql() in classes


@cache
def _allowed_nodes() -> dict[type[Any], frozenset[type[Any]]]:
    from sqlglot import exp

    names = {exp.Table, exp.Identifier, exp.Column, exp.Literal}
    expression = names | {
        exp.Add, exp.And, exp.Any, exp.Array, exp.Between, exp.Boolean, exp.Cast, exp.Coalesce, exp.DataType,
        exp.DataTypeParam, exp.Div, exp.EQ, exp.GT, exp.GTE, exp.In, exp.Is, exp.LT, exp.LTE, exp.Length, exp.Like,
        exp.Lower, exp.Mod, exp.Mul, exp.NEQ, exp.Neg, exp.Not, exp.Null, exp.Or, exp.Paren, exp.Sub, exp.Upper,
    }  # fmt: skip
    create = expression | {
        exp.CheckColumnConstraint, exp.CollateColumnConstraint, exp.ColumnConstraint, exp.ColumnDef, exp.Constraint,
        exp.Create, exp.DefaultColumnConstraint, exp.Index, exp.IndexParameters, exp.NotNullColumnConstraint,
        exp.Opclass, exp.Ordered, exp.PrimaryKey, exp.Property, exp.Schema, exp.UniqueColumnConstraint, exp.Var,
        exp.Where,
    }  # fmt: skip
    grant = names | {exp.GrantPrincipal, exp.GrantPrivilege, exp.Var}
    return {
        exp.Create: frozenset(create),
        exp.Comment: frozenset(names | {exp.Comment}),
        exp.Grant: frozenset(grant | {exp.Grant}),
        exp.Revoke: frozenset(grant | {exp.Revoke}),
        exp.Alter: frozenset(names | {exp.Alter, exp.AlterSet, exp.EQ}),
    }
