"""Tables of DuckDB files: which types and definitions a backup may hold."""

from dataclasses import replace

import pytest

from dlbackup.errors import UnsafeStatement
from dlbackup.tables.allowlist import check_table
from dlbackup.tables.definition import Column, Constraint, Grant, Index, Table
from dlbackup.tables.duckdbtypes import is_type
from dlbackup.tables.statements import definition, finishing

TABLE = Table(
    name="ducklake_inlined_data_1_1",
    columns=(
        Column(name="row_id", type="bigint", not_null=True),
        Column(name='a "name"', type='STRUCT(a INTEGER, "b ""c""" VARCHAR[])', comment="it's"),
        Column(name="s", type="VARCHAR", encoded=True),
    ),
    constraints=(Constraint("ducklake_inlined_data_1_1_pkey", "PRIMARY KEY (row_id)"),),
    comment="one\ntwo",
)


@pytest.mark.parametrize(
    "text",
    [
        *("BIGINT", "bigint", "character varying", "DECIMAL(18,3)", "TIMESTAMP WITH TIME ZONE", "TIME_NS", "UHUGEINT"),
        *("INTEGER[]", "INTEGER[3]", "VARCHAR[][]", "STRUCT(a INTEGER)", "MAP(VARCHAR, STRUCT(x TIME)[])", "VARIANT"),
        'STRUCT("a), (" MAP(INTEGER, DOUBLE), "select" STRUCT("x y" BLOB, b JSON)[])',
    ],
)
def test_types_of_duckdb_are_known(text: str) -> None:
    assert is_type(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "bytea", "ENUM('a')", "INTEGER DEFAULT now()", "INTEGER); DROP TABLE x; --", "INTEGER []", "mood"),
        *("STRUCT()", "STRUCT(a)", "STRUCT(a INTEGER", "STRUCT(a INTEGER,b INTEGER)", "MAP(INTEGER)", "DECIMAL(a,b)"),
        *("STRUCT(a INTEGER) ", "STRUCT(a INTEGER DEFAULT 1)", 'STRUCT("a INTEGER)', "INTEGER[1+1]", "NUMERIC", "[]"),
        "STRUCT(a " * 500 + "INTEGER" + ")" * 500,
        'STRUCT("\ud800" INTEGER)',
    ],
)
def test_other_texts_are_no_types(text: str) -> None:
    assert not is_type(text)


def test_a_table_of_a_duckdb_file_is_what_duckdb_can_have() -> None:
    """Its statements are those that DuckDB replays; the encoded column becomes text after the rows."""
    check_table(TABLE, "duckdb")

    assert '    "s" BLOB,\n' in definition(TABLE)
    assert finishing(TABLE)[0] == (
        'ALTER TABLE "ducklake_inlined_data_1_1" ALTER COLUMN "s" SET DATA TYPE VARCHAR'
        ' USING CAST(decode("s") AS VARCHAR);\n'
    )


@pytest.mark.parametrize(
    "table",
    [
        replace(TABLE, name="other"),
        replace(TABLE, columns=()),
        replace(TABLE, columns=(Column(name="x", type="bigint"), Column(name="y", type="TEXT; DROP TABLE z"))),
        replace(TABLE, columns=(Column(name="a\0b", type="bigint"),)),
        replace(TABLE, columns=(Column(name="x", type="bigint", default="nextval('s')"),)),
        replace(TABLE, columns=(Column(name="x", type="bigint", default="(SELECT 1)"),)),
        replace(TABLE, columns=(Column(name="x", type="bigint", collation="C"),)),
        replace(TABLE, columns=(Column(name="x", type="bigint", grants=(Grant("me", ("SELECT",)),)),)),
        replace(TABLE, constraints=(Constraint("k", "CHECK (row_id > 0)"),)),
        replace(TABLE, constraints=(Constraint("k", "PRIMARY KEY (row_id); DROP TABLE x"),)),
        replace(TABLE, indexes=(Index(name="i", definition="USING btree (row_id)"),)),
        replace(TABLE, owner="me"),
        replace(TABLE, grants=()),
        replace(TABLE, options=(("fillfactor", "10"),)),
        replace(TABLE, replica_identity="full"),
        replace(TABLE, row_security=True),
        replace(TABLE, tablespace="fast"),
        replace(TABLE, comment="\ud800"),
    ],
)
def test_what_duckdb_would_not_have_is_refused(table: Table) -> None:
    """What a DuckDB file's table can't be is a forged record, whatever PostgreSQL would take."""
    with pytest.raises(UnsafeStatement):
        check_table(table, "duckdb")


def test_postgresql_has_no_encoded_columns() -> None:
    """Nor DuckDB's types."""
    for column in (Column(name="s", type="character varying", encoded=True), Column(name="s", type="HUGEINT")):
        with pytest.raises(UnsafeStatement, match="can't carry"):
            check_table(Table(name="ducklake_tag", columns=(column,)))
