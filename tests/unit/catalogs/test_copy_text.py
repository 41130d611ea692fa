"""Checked rows as COPY's text form, against a reader that goes one character at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.backups import Value, row
from support.faults.slowly import HOSTILE, read_copy_slowly, shown, tables_with_rows

from dlbackup.catalogs.postgres.bulk.copy_text import copy_text
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.rows import END, SEPARATOR, find_body
from dlbackup.tables.shapes import ShapeCheck

ONE = Table(name="ducklake_x", columns=(Column(name="t", type="text"),))
TWO = Table(name="ducklake_x", columns=(Column(name="t", type="text"), Column(name="u", type="text")))


def written(table: Table, rows: list[tuple[Value, ...]]) -> bytes:
    text = SEPARATOR.join(row(*values) for values in rows) + END
    return copy_text(ShapeCheck(table).check(*find_body(text, 0)))


@given(tables_with_rows())
def test_copy_reads_what_the_values_list_says(case: tuple[Table, list[tuple[Value, ...]]]) -> None:
    """Whatever rows hold, COPY's rules give back exactly their values."""
    table, rows = case

    text = written(table, rows).decode()

    assert read_copy_slowly(text) == [[shown(value) for value in values] for values in rows]


@given(st.lists(st.tuples(*[st.none() | st.text("'\\N.ULx,()\n\r\t", max_size=6)] * 2), min_size=1, max_size=5))
def test_copy_reads_literals_of_its_own_signs(rows: list[tuple[Value, ...]]) -> None:
    """Literals of nothing but quotes, separators, escapes and parts of NULL come back as they were."""
    assert read_copy_slowly(written(TWO, rows).decode()) == [list(map(shown, values)) for values in rows]


@pytest.mark.parametrize("text", [*HOSTILE, "\\N", "\\NULL", "NULL'", "'NULL", "N'ULL", ")", "(", "\b\f\v\t"])
def test_each_hostile_text_survives_alone_and_among_others(text: str) -> None:
    """A hostile text is the same in a table of one column, beside itself, and between plain rows."""
    for table, rows in (
        (ONE, [(text,)]),
        (ONE, [(text,), (None,), (text,)]),
        (TWO, [("a", "b"), (text, text), (None, "c"), (")", "("), (text, None)]),
    ):
        assert read_copy_slowly(written(table, list(rows)).decode()) == [list(values) for values in rows]


def test_plain_rows_are_only_freed_of_quotes() -> None:
    """What holds no sign of COPY's is not escaped: empty texts, tabs and quotes within words included."""
    table = Table(
        name="ducklake_x",
        columns=(Column(name="n", type="bigint"), Column(name="t", type="text"), Column(name="b", type="boolean")),
    )

    assert written(table, [(1, "", None), (-2, "a\tb", True)]) == b"1,,NULL\n-2,a\tb,true\n"
    assert written(table, [(1, "it's", False)]) == b"1,it's,false\n"
    assert written(table, [(1, "NULLABLE", None), (1, "NULL", None)]) == b"1,NULLABLE,NULL\n1,\\NULL,NULL\n"
