"""Rows as values, CSV, JSON lines and SQL, held against slow and obvious readers."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.backups import row

from dlbackup.tables.definition import Column, Table
from dlbackup.tables.formats import Format, Value, render, values
from dlbackup.tables.rows import END, insert_header
from dlbackup.tables.statements import definition

TABLE = Table(
    name="ducklake_t",
    columns=(
        Column(name="n", type="bigint"),
        Column(name="b", type="boolean"),
        Column(name="s", type="text"),
        Column(name="d", type="date"),
    ),
)
FORMATS: tuple[Format, ...] = ("csv", "jsonl", "sql")

hostile = st.sampled_from(
    [
        "",
        "'",
        "''",
        '"',
        '""',
        "'\"'",
        "NULL",
        "\"NULL'",
        ",",
        "\n",
        "\r\n",
        "\n),(\n",
        "'),(\n",
        ");\n",
        "\\N",
        "é",
        "😀",
    ]
)
texts = (
    st.none()
    | st.lists(hostile, max_size=4).map("".join)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
)
rows = st.lists(
    st.tuples(st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.booleans(), texts, texts), max_size=6
)


def read_csv(text: str) -> Iterator[list[str | None]]:
    """Read CSV by RFC 4180, one character after the other; a field without quotes and signs is None."""
    signs = iter([*text, None])
    sign = next(signs)
    while sign is not None:
        record: list[str | None] = []
        while True:
            field, quoted = "", False
            if sign == '"':
                quoted, sign = True, next(signs)
                while True:
                    assert sign is not None, "a quote is not closed"
                    if sign == '"':
                        sign = next(signs)
                        if sign != '"':
                            break
                    field, sign = field + sign, next(signs)
                assert sign in (",", "\n"), "something stands after a closing quote"
            while sign not in (",", "\n"):
                assert sign not in (None, '"'), "a quote within a bare field, or no line feed at the end"
                field, sign = field + str(sign), next(signs)
            record.append(field if quoted or field else None)
            ended, sign = sign == "\n", next(signs)
            if ended:
                break
        yield record


def as_text(value: Value) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


@given(rows, st.integers(1, 3))
def test_csv_gives_every_value_back(given: list[tuple[Value, ...]], block: int) -> None:
    """A plain reader of CSV gets the header and every value back; NULL is empty, an empty text is two quotes."""
    encoded = [row(*found) for found in given]
    blocks = [encoded[at : at + block] for at in range(0, len(encoded), block)]

    header, *read = read_csv(b"".join(render(TABLE, blocks, "csv")).decode())
    assert header == ["n", "b", "s", "d"]
    assert read == [[as_text(value) for value in found] for found in given]


@given(rows)
def test_json_lines_give_every_value_back(given: list[tuple[Value, ...]]) -> None:
    """Each line is one object, with numbers, booleans and null as such."""
    text = b"".join(render(TABLE, [[row(*found) for found in given]] if given else [], "jsonl")).decode()

    names = TABLE.column_names
    assert [json.loads(line) for line in text.split("\n")[:-1]] == [
        dict(zip(names, found, strict=True)) for found in given
    ]


@given(rows)
def test_values_come_back(given: list[tuple[Value, ...]]) -> None:
    """Integers and booleans come back as such, NULL as None, everything else as text."""
    found = list(values(TABLE, [row(*one) for one in given]))

    assert found == given
    assert [list(map(type, one)) for one in found] == [list(map(type, one)) for one in given]


def test_csv_as_it_stands() -> None:
    """NULL, an empty text, the word NULL, quotes of both kinds and line feeds, as they are to look."""
    some = [row(1, True, None, ""), row(None, False, "NULL", 'it\'s "x"'), row(-3, None, "''", "a\nb")]

    assert b"".join(render(TABLE, [some], "csv")).decode() == (
        'n,b,s,d\n1,true,,""\n,false,"NULL","it\'s ""x"""\n-3,,"\'\'","a\nb"\n'
    )


def test_names_that_need_quotes_have_them() -> None:
    """The header quotes a column's name only when it must, as the server's COPY does."""
    table = Table(
        name="ducklake_t",
        columns=tuple(Column(name=name, type="bigint") for name in ("plain_1", "a b", 'q"', "c,d", "é")),
    )

    assert b"".join(render(table, [], "csv")).decode() == 'plain_1,a b,"q""","c,d",é\n'


def test_sql_is_that_of_the_backup() -> None:
    """The table's own CREATE TABLE comes first, then an INSERT for each block."""
    some = [row(1, True, "x", None), row(2, None, "),(\n", "")]
    text = b"".join(render(TABLE, [some, some[:1]], "sql"))

    header = insert_header(TABLE)
    assert text == definition(TABLE).encode() + header + some[0] + b"),(\n" + some[1] + END + header + some[0] + END


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_comes_before_the_first_rows_are_proved(form: Format) -> None:
    """Not even the header or the CREATE TABLE is given when the first block can't be had."""

    def damaged() -> Iterator[list[bytes]]:
        raise ValueError("damaged")
        yield []

    with pytest.raises(ValueError, match="damaged"):
        next(render(TABLE, damaged(), form))
