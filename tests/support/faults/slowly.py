"""
Rows of every hostile kind, and readers that go one character at a time: slow, and obviously right.

`read_slowly` reads a VALUES list, `read_copy_slowly` what PostgreSQL's documentation says of COPY's text form.
"""

from hypothesis import strategies as st

from dlbackup.tables.definition import Column, Table
from support.backups import Value

__all__ = ["HOSTILE", "TYPES", "read_copy_slowly", "read_slowly", "shown", "tables_with_rows", "texts", "values_of"]

TYPES = ("bigint", "integer", "boolean", "text", "bytea", "numeric(10,2)", "timestamp with time zone")
HOSTILE = (
    "",
    "'",
    "''",
    "'''",
    "\\",
    "\\'",
    "\\.",
    "\n\\.\n",
    "NULL",
    "null",
    "),(",
    "\n),(\n",
    "'\n),(\n'",
    "\n);\n",
    "'\n);\n'",
    "x'\n);\n",
    "0,'a',NULL",
    "\r\n",
    "\t",
    "-- no comment",
    "/* nor this",
    "$$",
    "E'\\n'",
    "😀 ü",
    "\x01\x7f",
)
texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from([*"'\\\n,();a0", "),(\n", ");\n", "NULL"]), max_size=12).map("".join),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
)


def values_of(column_type: str) -> st.SearchStrategy[Value]:
    if column_type in ("bigint", "integer"):
        return st.none() | st.integers(-(2**63), 2**63 - 1)
    return st.none() | (st.booleans() if column_type == "boolean" else texts)


@st.composite
def tables_with_rows(draw: st.DrawFn) -> tuple[Table, list[tuple[Value, ...]]]:
    types = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=5))
    table = Table(
        name="ducklake_x", columns=tuple(Column(name=f"c{number}", type=kind) for number, kind in enumerate(types))
    )
    return table, draw(st.lists(st.tuples(*map(values_of, types)), min_size=1, max_size=6))


def read_slowly(text: str) -> list[tuple[str, list[str | None]]]:
    """Read a VALUES list up to its `);`, one character at a time: each row's text and values."""
    rows: list[tuple[str, list[str | None]]] = []
    values: list[str | None] = []
    begin = at = 0
    while True:
        if text[at] == "'":
            at, value = at + 1, ""
            while text[at] != "'" or text[at + 1] == "'":
                value += text[at]
                at += 2 if text[at] == "'" else 1
            at += 1
            values.append(value)
        else:
            word = ""
            while text[at] not in ",\n":
                word += text[at]
                at += 1
            values.append(None if word == "NULL" else word)
        at += 1
        if text[at - 1] == ",":
            continue
        rows.append((text[begin:at], values))
        values = []
        if text[at : at + 3] == ");\n":
            return rows
        assert text[at : at + 4] == "),(\n"
        begin = at = at + 4


def shown(value: Value) -> str | None:
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)


def read_copy_slowly(text: str) -> list[list[str | None]]:
    """Read lines with a comma between values, one character at a time: each row's values."""
    rows: list[list[str | None]] = []
    values: list[str | None] = []
    value = raw = ""
    at = 0
    while at < len(text):
        sign = text[at]
        assert sign != "\r", "a carriage return would be taken for a line's end"
        if sign in ",\n":
            values.append(None if raw == "NULL" else value)
            assert raw != "\\.", "this would end the data"
            value = raw = ""
            if sign == "\n":
                rows.append(values)
                values = []
        elif sign == "\\":
            at += 1
            raw += sign + text[at]
            value += {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}.get(text[at], text[at])
            assert text[at] not in "01234567x", "this would be a number of a sign"
        else:
            value += sign
            raw += sign
        at += 1
    assert not (values or raw), "the last line has an end"
    return rows
