"""Mends in a SQLite file."""

import sqlite3
from contextlib import closing

import pytest

from dlbackup.catalogs.sqlite.mending import FileMending

_X = "with x (i) as (values (1), (2))"


@pytest.mark.parametrize(
    ("statement", "again"),
    [
        (f"{_X} delete from {{s}}.t as t where exists (select 1 from x where x.i = t.i)", 0),
        (f"{_X} update {{s}}.t as t set i = 3 from x where x.i = t.i", 0),
        (f"insert into {{s}}.t {_X} select i from x", 2),
    ],
    ids=["delete", "update", "insert"],
)
def test_rows_are_counted(statement: str, again: int) -> None:
    """Also of a statement that begins with WITH, of which Python says nothing."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("create table t (i integer)")
        connection.execute("insert into t values (1), (2), (5)")
        mending = FileMending(connection)

        assert (mending.execute(statement), mending.execute(statement)) == (2, again)
