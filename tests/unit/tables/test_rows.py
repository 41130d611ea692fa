"""Rows as text: splitting, ending, shapes and values against a reader that goes one character at a time."""

import re
import time
import tracemalloc
from random import Random

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from support.backups import Value, row
from support.faults.slowly import read_slowly, shown, tables_with_rows, texts

from dlbackup.errors import BackupError, Corrupt, UnsafeStatement
from dlbackup.tables.definition import Column, Table
from dlbackup.tables.digest import add_digests, digest
from dlbackup.tables.quoting import quote_literal
from dlbackup.tables.rows import END, SEPARATOR, find_body, insert_header, parse, split, statements_of, without_bytes
from dlbackup.tables.shapes import Body, ShapeCheck


def body_of(rows: list[tuple[Value, ...]]) -> bytes:
    return SEPARATOR.join(row(*values) for values in rows)


def checked(table: Table, body: bytes) -> Body:
    return ShapeCheck(table).check(*find_body(body + END, 0))


@given(tables_with_rows(), texts)
def test_rows_are_split_and_parsed_as_a_slow_reader_does(
    case: tuple[Table, list[tuple[Value, ...]]], after: str
) -> None:
    """Whatever rows hold, their boundaries and values are those that reading one character at a time finds."""
    table, rows = case
    body = body_of(rows)

    slow = read_slowly((body + END).decode())
    assert [value for _, value in slow] == [[shown(value) for value in values] for values in rows]
    assert find_body(b"before'" + body + END + after.encode(), 7) == (body, body.split(b"'"))
    assert [text.decode() for text in split(body, len(rows))] == [text for text, _ in slow]
    assert [list(parse(text)) for text in split(body, len(rows))] == [values for _, values in slow]
    assert checked(table, body).rows == split(body, len(rows))


@given(st.text("';,)(\n0a", max_size=30).map(str.encode), st.text("';,)(\n0a", max_size=30).map(str.encode))
def test_end_is_the_first_that_is_not_in_a_literal(one: bytes, other: bytes) -> None:
    """In any text the end is the first line `);` before which the quotes are even, or there is none."""
    text = one + b"\n" + END + other
    ends = [hit.start() + 1 for hit in re.finditer(rb"\n(?=\);\n)", text)]
    even = [end for end in ends if text.count(b"'", 0, end) % 2 == 0]

    if even:
        assert find_body(text, 0) == (text[: even[0]], text[: even[0]].split(b"'"))
    else:
        with pytest.raises(Corrupt, match="no end"):
            find_body(text, 0)


@given(st.text("',)(\n0a", max_size=40).map(str.encode))
def test_split_loses_nothing(body: bytes) -> None:
    """Any text is either split into rows that make it up again, each with closed literals, or refused."""
    try:
        rows = split(body, 0)
    except Corrupt:
        assert body.count(b"'") % 2 == 1
        return

    assert SEPARATOR.join(rows) == body
    assert all(text.count(b"'") % 2 == 0 for text in rows)


def test_long_literals_take_little_memory() -> None:
    """A value of megabytes is one, not as many ways back as it has bytes."""
    text = "it's so" * 200_000
    row = b"1," + quote_literal(text).encode() + b",NULL,X'" + b"00" * 1_000_000 + b"'\n"
    tracemalloc.start()
    try:
        values = parse(row)
        csv = without_bytes([row])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert values == ("1", text, None, "\\x" + "00" * 1_000_000)
    assert len(csv[0]) == len(row) + 1
    assert peak < 10 * len(row)


def test_an_open_literal_is_refused() -> None:
    """A VALUES list with an odd number of quotes has no end and, when it looks like several rows, can't be split."""
    with pytest.raises(Corrupt, match="no end"):
        checked(TABLE, b"1,true,'a\n")
    with pytest.raises(Corrupt, match="not closed"):
        split(b"1,'a\n),(\n2,'b\n),(\n'\n", 2)


@given(st.lists(tables_with_rows().map(lambda case: body_of(case[1])), min_size=1, max_size=3), st.randoms())
def test_digest_is_free_of_order_and_adds_up(bodies: list[bytes], random: Random) -> None:
    """The digest of a table is that of its rows in any order, and of its parts added up."""
    parts = [[text.encode() for text, _ in read_slowly((body + END).decode())] for body in bodies]
    rows = [text for part in parts for text in part]
    total = 0
    for part in parts:
        total = add_digests(total, digest(part))
    mixed = list(rows)
    random.shuffle(mixed)

    assert digest(mixed) == digest(rows) == total == sum(xxhash.xxh3_64_intdigest(text) for text in rows) % 2**64
    assert digest(map(memoryview, rows)) == total


@given(tables_with_rows(), st.data())
def test_digest_sees_a_changed_or_missing_row(case: tuple[Table, list[tuple[Value, ...]]], data: st.DataObject) -> None:
    """A row that is missing, doubled or changed in one byte gives another digest."""
    rows = [row(*values) for values in case[1]]
    place = data.draw(st.integers(0, len(rows) - 1))
    changed = [*rows[:place], rows[place][:-1] + b"!\n", *rows[place + 1 :]]

    assert digest(rows[:place] + rows[place + 1 :]) != digest(rows)
    assert digest([*rows, rows[place]]) != digest(rows)
    assert digest(changed) != digest(rows)


def test_shape_holds_all_but_literals_and_numbers() -> None:
    """Rows that differ in literals and numbers only have one shape."""
    body = SEPARATOR.join([b"1,'a',NULL\n", b"23,'it''s\n),(\n',NULL\n", b"456,'''',NULL\n", b"-7,'',NULL\n"])

    check = ShapeCheck(
        Table(
            name="ducklake_x",
            columns=(Column(name="n", type="bigint"), Column(name="t", type="text"), Column(name="u", type="text")),
        )
    )

    assert len(check.check(*find_body(body + END, 0)).rows) == 4
    assert check.seen == {b"0,'',NULL\n", b"-0,'',NULL\n"}


@given(st.lists(st.lists(texts, min_size=1, max_size=4), min_size=1, max_size=6), st.integers(0, 3))
def test_a_quote_in_a_literal_is_told_whatever_is_remembered(bodies: list[list[str]], remembered: int) -> None:
    """Each VALUES list says whether a literal of its own holds a quote, however many were seen before it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlbackup.tables.shapes._REMEMBERED", remembered)
        check = ShapeCheck(
            Table(name="ducklake_x", columns=(Column(name="t", type="text"), Column(name="u", type="text")))
        )
        for values in bodies:
            body = check.check(*find_body(body_of([(value, None) for value in values]) + END, 0))
            assert body.doubled == any("'" in value for value in values)


TABLE = Table(
    name="ducklake_x",
    columns=(Column(name="n", type="bigint"), Column(name="flag", type="boolean"), Column(name="t", type="text")),
)

UNSAFE = (
    b"1,true,pg_read_file('x')\n",
    b"1,true,now()\n",
    b"nextval('s'),true,'a'\n",
    b"(select 1),true,'a'\n",
    b"1,true,(select passwd from pg_shadow)\n",
    b"1,true,'1'::text\n",
    b"1,true,cast('1' as text)\n",
    b"1,true,text 'a'\n",
    b"1,true,E'a'\n",
    b"1,true,e'a'\n",
    b"1,true,U&'a'\n",
    b"1,true,B'1'\n",
    b"1,true,X'1'\n",
    b"1,true,N'a'\n",
    b"1,true,$$a$$\n",
    b"1,true,'a'||'b'\n",
    b"1,true,'a' 'b'\n",
    b"1,true,'a'\n'b'\n",
    b"1,true,'a' -- x\n",
    b"1,true,'a'/* x */\n",
    b"1+1,true,'a'\n",
    b"--1,true,'a'\n",
    b"- 1,true,'a'\n",
    b"+1,true,'a'\n",
    b"1.5,true,'a'\n",
    b"1e5,true,'a'\n",
    b"0x1F,true,'a'\n",
    b"1_0,true,'a'\n",
    b"'1',true,'a'\n",
    b"true,true,'a'\n",
    b"1,1,'a'\n",
    b"1,'t','a'\n",
    b"1,TRUE,'a'\n",
    b"1,not true,'a'\n",
    b"1,true,5\n",
    b"1,true,true\n",
    b"1,true,null\n",
    b"1,true,Null\n",
    b"1,true,DEFAULT\n",
    b'1,true,"t"\n',
    b"1,true,t\n",
    b"1,true,current_user\n",
    b"1,true,:x\n",
    b"1,true,$1\n",
    b"1,true,\\! rm\n",
    b"1,true,'a')\n",
    b"1,true,('a')\n",
    b"1,true,ROW('a')\n",
    b"1,true,ARRAY['a']\n",
    b"1,true\n",
    b"1,true,'a','b'\n",
    b"1,true,'a',\n",
    b",1,true\n",
    b"1,,'a'\n",
    b" 1,true,'a'\n",
    b"1,true,'a' \n",
    b"1,true,'a'\r\n",
    b"1,true,'a'",
    b"1,true,'a'\n\n",
    b"\n",
    b"",
    b"1,true,\xc2\xa0'a'\n",
    "١,true,'a'\n".encode(),
    b"1,true,'a'\n),(2,true,'b'\n",
    b"1,true,'a'\n), (\n2,true,'b'\n",
    b"1,true,'a'\n);DROP TABLE x;(\n1,true,'a'\n",
)


@pytest.mark.parametrize("body", UNSAFE)
def test_what_is_not_a_list_of_constants_is_refused(body: bytes) -> None:
    """Calls, casts, subqueries, other literals, comments, wrong kinds and wrong counts are refused, alone or not."""
    good = b"1,true,'a'\n"
    for text in (body, good + SEPARATOR + body, body + SEPARATOR + good):
        with pytest.raises((UnsafeStatement, Corrupt)):
            checked(TABLE, text)


@pytest.mark.parametrize(
    "body",
    [b"1,true,'\0'\n", b"1,true,'\xff'\n", b"1,true,'\xc3'\n", b"1,true,'\xed\xa0\x80'\n", b"1,true,'\xc0\xaf'\n"],
)
def test_bytes_that_are_no_text_are_corrupt(body: bytes) -> None:
    """A NUL byte and anything that isn't UTF-8 are refused."""
    with pytest.raises(Corrupt):
        checked(TABLE, body)


@pytest.mark.parametrize("number", [b"1" * 20, b"-" + b"0" * 20, b"9" * 10_000])
def test_numbers_that_no_column_holds_are_corrupt(number: bytes) -> None:
    """A number of more digits than the largest integer has is refused, before anybody counts with it."""
    checked(TABLE, b"-9223372036854775808,true,'a'\n),(\n9223372036854775807,true,'" + b"1" * 50 + b"'\n")

    with pytest.raises(Corrupt, match="too large"):
        checked(TABLE, number + b",true,'a'\n")


def test_a_bad_row_is_found_after_good_ones() -> None:
    """Having seen a shape is no pass for other rows of the same statement."""
    check = ShapeCheck(TABLE)
    check.check(*find_body(b"1,true,'a'\n" + END, 0))

    with pytest.raises(UnsafeStatement):
        check.check(*find_body(b"1,true,'a'\n),(\n1,true,f()\n" + END, 0))
    assert check.seen == {b"0,true,''\n"}


@given(st.text("01,'tfrue NULL()\n-;\\E:x", max_size=24).map(str.encode))
def test_only_rows_that_the_slow_reader_takes_pass(body: bytes) -> None:
    """Whatever passes the check is a VALUES list of the right number and kinds to the slow reader too."""
    try:
        checked(TABLE, body)
    except BackupError:
        return

    for _, (number, flag, _) in read_slowly((body + END).decode()):
        assert number is None or re.fullmatch(r"-?\d+", number)
        assert flag in (None, "true", "false")


@given(st.lists(st.lists(st.integers(1, 60).map(lambda size: b"x" * size), max_size=12), max_size=8))
def test_where_a_statement_ends_does_not_depend_on_how_rows_arrive(batches: list[list[bytes]]) -> None:
    """A statement ends with the row that fills it, by number or by bytes, whatever came together."""
    expected: list[list[bytes]] = [[]]
    for row_text in (text for batch in batches for text in batch):
        expected[-1].append(row_text)
        if len(expected[-1]) == 5 or sum(map(len, expected[-1])) >= 100:
            expected.append([])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlbackup.tables.rows.STATEMENT_ROWS", 5)
        patch.setattr("dlbackup.tables.rows.STATEMENT_BYTES", 100)
        assert list(statements_of(batches)) == [block for block in expected if block]


def test_insert_header_quotes_names() -> None:
    """Names in the head of an INSERT are quoted, quotes in them doubled."""
    table = Table(name='ducklake_"x', columns=(Column(name='a"b', type="text"), Column(name="NULL", type="text")))

    assert insert_header(table) == b'INSERT INTO "ducklake_""x" ("a""b", "NULL") VALUES (\n'


def test_a_text_full_of_what_looks_like_ends_takes_no_longer() -> None:
    """A script of SQL may be a value: each of its lines looks like the end of a statement, or of a row."""
    script = b"'" + b"it''s\n);\nx\n),(\n" * 40_000 + b"'\n"
    begun = time.monotonic()

    body, pieces = find_body(script + END, 0)

    assert (body, len(pieces), split(body, 1)) == (script, 80_003, [script])
    assert time.monotonic() - begun < 2
