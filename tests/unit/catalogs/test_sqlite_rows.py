"""What is in the columns of a SQLite file, and how rows are written, whether few or many columns have usual values."""

import sqlite3
from contextlib import closing

import pytest

from dlbackup.catalogs.sqlite.introspection import opened
from dlbackup.catalogs.sqlite.rows import Flags, flags, row_texts
from dlbackup.tables.definition import Column, Table

_NONE: Flags = (False,) * 7
_TYPES = {"n": "BIGINT", "s": "VARCHAR", "d": "DOUBLE"}
# Integers, other ones than 0 and 1, reals, texts, bytes, a NUL in a text, CR LF in one.
_INTEGERS = (True, True, False, False, False, False, False)
_TEXTS = (False, False, False, True, False, False, False)


@pytest.mark.parametrize(
    ("values", "number", "text"),
    [
        ([], _NONE, _NONE),
        (["null, null, null"], _NONE, _NONE),
        (["0, 'x', null", "1, '', null"], (True, *_NONE[1:]), _TEXTS),
        (["0, 'x', null", "-2, null, null"], _INTEGERS, _TEXTS),
        (["7, 'x', null", "'y', 'z', null"], (True, True, False, True, False, False, False), _TEXTS),
        (["7, 'x', null", "1.5, 'z', null"], (True, True, True, False, False, False, False), _TEXTS),
        # The smallest number that is no integer of SQLite's when it comes as a real.
        (["-9223372036854775808.0, 'x', null"], (False, False, True, False, False, False, False), _TEXTS),
        (["7, 'x', null", "x'00', 'z', null"], (True, True, False, False, True, False, False), _TEXTS),
        (["7, x'61', null"], _INTEGERS, (False, False, False, False, True, False, False)),
        (["7, 'a' || char(0) || 'b', null"], _INTEGERS, (False, False, False, True, False, True, False)),
        (["7, 'a' || char(13, 10) || 'b', null"], _INTEGERS, (False, False, False, True, False, False, True)),
        (["7, 'a' || char(13) || 'b' || char(10), null"], _INTEGERS, _TEXTS),
    ],
)
def test_columns_hold_what_they_hold(values: list[str], number: Flags, text: Flags) -> None:
    """What is unusual is found in the one row that has it, and of the other columns is said what they hold."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("create table t (n BIGINT, s VARCHAR, d DOUBLE)")
        for row in values:
            connection.execute(f"insert into t values ({row})")
        connection.execute("insert into t (d) values (2)")

        assert flags(connection, "t", _TYPES) == {
            "n": number,
            "s": text,
            "d": (False, False, True, False, False, False, False),
        }


@pytest.mark.parametrize("count", [1, 50, 51, 150, 250])
def test_rows_of_any_number_of_columns(count: int) -> None:
    """However many columns are joined by one call, by several or not by SQLite at all, the row is the same."""
    names = [f"c{number}" for number in range(count)]
    table = Table(name="t", columns=tuple(Column(name=name, type="VARCHAR", declared="VARCHAR") for name in names))
    with closing(opened(":memory:")) as connection:
        connection.execute(f"create table t ({', '.join(f'{name} VARCHAR' for name in names)})")
        values = ["it's %s", None, "", "ü%Q"] * count
        connection.execute(f"insert into t values ({', '.join('?' * count)})", values[:count])

        written = {None: "NULL", "it's %s": "'it''s %s'", "": "''", "ü%Q": "'ü%Q'"}
        assert b"".join(text for block in row_texts(connection, table) for text in block).decode() == (
            ",".join(written[value] for value in values[:count]) + "\n"
        )
