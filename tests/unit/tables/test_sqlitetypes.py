"""Tables of SQLite files: which definitions and rows a backup may hold, and what they mean."""

from dataclasses import replace

import pytest

from dlbackup.errors import BackupError, UnsafeStatement
from dlbackup.lake.canonical import canonical_of
from dlbackup.tables.allowlist import check_table
from dlbackup.tables.definition import Column, Constraint, Index, Table
from dlbackup.tables.formats import render, values
from dlbackup.tables.rows import END, SEPARATOR, find_body, parse
from dlbackup.tables.shapes import ShapeCheck
from dlbackup.tables.statements import definition, finishing

TABLE = Table(
    name="ducklake_inlined_data_1_1",
    columns=(
        Column(name="row_id", type="bigint", declared="BIGINT", not_null=True, default="-1"),
        Column(name="b", type="BOOLEAN", declared="BIGINT"),
        Column(name="r", type="REAL", declared="DOUBLE"),
        Column(name="x", type="BYTES", declared="BLOB"),
        Column(name="a", type="ANY", declared="VARCHAR"),
        Column(name="s", type="VARCHAR", declared="VARCHAR", encoded=True),
    ),
    constraints=(Constraint("ducklake_inlined_data_1_1_pkey", "PRIMARY KEY (row_id)"),),
)
ROWS = [
    b"1,true,-1.5,X'00FF27','it''s',x'6100'\n",
    b"-2,false,9e999,X'',X'AB',NULL\n",
    b"NULL,NULL,1e-300,NULL,1.5e+20,'x'\n",
]


def _check(*rows: bytes) -> None:
    ShapeCheck(TABLE).check(*find_body(SEPARATOR.join(rows) + END, 0))


def test_table_is_what_sqlite_replays() -> None:
    """Columns are made with their declared types; texts that hold NUL become texts after the rows."""
    check_table(TABLE, "sqlite")

    assert definition(TABLE) == (
        'CREATE TABLE "ducklake_inlined_data_1_1" (\n'
        '    "row_id" BIGINT DEFAULT -1 NOT NULL,\n    "b" BIGINT,\n    "r" DOUBLE,\n    "x" BLOB,\n'
        '    "a" VARCHAR,\n    "s" VARCHAR,\n'
        '    CONSTRAINT "ducklake_inlined_data_1_1_pkey" PRIMARY KEY (row_id)\n);\n'
    )
    assert finishing(TABLE) == [
        'UPDATE "ducklake_inlined_data_1_1" SET "s" = CAST("s" AS TEXT) WHERE typeof("s") = \'blob\';\n'
    ]


@pytest.mark.parametrize(
    "table",
    [
        *(
            replace(TABLE, columns=(column,), constraints=())
            for column in (
                Column(name="x", type="bigint"),
                Column(name="x", type="bigint", declared="VARCHAR"),
                Column(name="x", type="bigint", declared="BIGINT; ATTACH 'y' AS z"),
                Column(name="x", type="INTEGER", declared="INTEGER"),
                Column(name="x", type="BYTES", declared="BLOB", encoded=True),
                Column(name="x", type="VARCHAR", declared="VARCHAR", default="load_extension('x')"),
                Column(name="x", type="VARCHAR", declared="VARCHAR", default="'a'::text"),
                Column(name="x", type="VARCHAR", declared="VARCHAR", collation="NOCASE"),
                Column(name="x", type="VARCHAR", declared="VARCHAR", comment="c"),
                Column(name="x\0", type="VARCHAR", declared="VARCHAR"),
            )
        ),
        replace(TABLE, name="sqlite_master"),
        replace(TABLE, comment="c"),
        replace(TABLE, owner="me"),
        replace(TABLE, constraints=(Constraint("k", "CHECK (row_id > 0)"),)),
        replace(TABLE, indexes=(Index(name="i", definition="USING btree (row_id)"),)),
    ],
)
def test_what_sqlite_would_not_have_is_refused(table: Table) -> None:
    """A record that says more than a SQLite file can hold is forged."""
    with pytest.raises(UnsafeStatement):
        check_table(table, "sqlite")


def test_other_dialects_declare_nothing() -> None:
    """A declared type is SQLite's alone: it would stand in a statement of another as it is."""
    table = Table(name="ducklake_tag", columns=(Column(name="s", type="bigint", declared="BIGINT"),))
    for dialect in ("postgres", "duckdb"):
        with pytest.raises(UnsafeStatement):
            check_table(table, dialect)


def test_rows_are_constants_of_every_class() -> None:
    """Integers, reals, texts and bytes pass where their column may hold them."""
    _check(*ROWS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"X'00FF27'", b"X'00FF2'"),
        (b"X'00FF27'", b"X'zz'"),
        (b"X'00FF27'", b"X'00''27'"),
        (b"X'00FF27'", b"'text'"),
        (b"X'00FF27'", b"randomblob(5)"),
        (b"x'6100'", b"x'FF'"),
        (b"-1.5", b"'1.5'"),
        (b"-1.5", b"--1.5"),
        (b"-1.5", b"1.5 "),
        (b"true", b"X''"),
        (b"1,true", b"'1',true"),
        (b"'it''s'", b"load_extension('x')"),
        (b"'it''s'", b"''); ATTACH 'x' AS y; --'"),
    ],
)
def test_row_that_is_anything_else_is_refused(old: bytes, new: bytes) -> None:
    """No call, no cut bytes and no value of another class."""
    assert old in ROWS[0]
    with pytest.raises(BackupError):
        _check(ROWS[0].replace(old, new, 1))


def test_values_are_texts_as_on_other_backends() -> None:
    """Bytes read as PostgreSQL prints them, in values, CSV and JSON."""
    assert parse(ROWS[0]) == ("1", "true", "-1.5", "\\x00ff27", "it's", "a\0")
    assert next(values(TABLE, ROWS)) == (1, True, "-1.5", "\\x00ff27", "it's", "a\0")
    text = b"".join(render(TABLE, [ROWS], "csv")).decode().splitlines()
    assert text[1:] == [
        '1,true,-1.5,"\\x00ff27","it\'s","\\x6100"',
        '-2,false,9e999,"\\x","\\xab",',
        ',,1e-300,,1.5e+20,"x"',
    ]
    assert b"X'00FF27'" in b"".join(render(TABLE, [ROWS], "sql"))


def test_values_mean_what_they_mean_in_a_duckdb_file() -> None:
    """A boolean, a real, bytes and an encoded text give the same canonical row in both dialects."""

    def meaning(types: list[tuple[str, str, bool]], row: bytes) -> bytes | None:
        columns = tuple(
            Column(name=f"c{number}", type=type_, declared=declared, encoded=encoded)
            for number, (type_, declared, encoded) in enumerate([("bigint", "", False)] * 3 + types)
        )
        table = Table(name="ducklake_inlined_data_1_1", columns=columns)
        return canonical_of(table.name, table, set()).text(row)

    sqlite = [
        ("BOOLEAN", "BIGINT", False),
        ("REAL", "DOUBLE", False),
        ("DOUBLE", "VARCHAR", False),
        ("BYTES", "BLOB", False),
        ("VARCHAR", "VARCHAR", True),
    ]
    duckdb = [(name, "", False) for name in ("BOOLEAN", "DOUBLE", "DOUBLE", "BLOB")] + [("VARCHAR", "", True)]
    one = meaning(sqlite, b"1,2,NULL,true,9e999,'-inf',X'61FF',x'6100'\n")
    assert one == meaning(duckdb, b"1,2,NULL,true,'inf','-inf','a\\xFF','a\\x00'\n")
