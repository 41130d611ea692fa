"""A SQLite file that a process of its own writes: as if it were open here, and nothing is left when it isn't."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dlbackup.catalogs.sqlite.introspection import opened
from dlbackup.catalogs.sqlite.live import LiveFile, ProcessEnded
from dlbackup.catalogs.sqlite.rows import ROWS_AT_ONCE, Text

_VALUES = "select 1, -1.5, null, 'ä' || char(0), x'00ff', ''"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with more rows than come at once."""
    file = tmp_path / "f.sqlite"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("create table t (i int)")
        connection.executemany("insert into t values (?)", ((number,) for number in range(2 * ROWS_AT_ONCE + 1)))
    return file


@pytest.fixture
def live(path: Path) -> Iterator[LiveFile]:
    """That file, open for writing."""
    with closing(LiveFile(path, 0.1)) as open_:
        yield open_


def _numbers(path: Path) -> int:
    with closing(sqlite3.connect(path, timeout=0.1)) as other:
        (found,) = other.execute("select count(*) from t").fetchone()
    return int(found)


def test_it_answers_as_a_connection_of_this_process(live: LiveFile, path: Path) -> None:
    """Values of all kinds, texts told from bytes; rows all at once, some at a time, or one; how many were touched."""
    with closing(opened(str(path))) as here:
        for sql in (_VALUES, "select i from t", "select i from t where false", "pragma encoding"):
            rows = live.execute(sql).fetchmany(10 * ROWS_AT_ONCE)
            expected = here.execute(sql).fetchall()
            assert rows == expected == list(live.execute(sql))
            assert [[type(value) for value in row] for row in rows[:1]] == [
                list(map(type, row)) for row in expected[:1]
            ]
    assert Text in map(type, live.execute(_VALUES).fetchone() or ())
    some = live.execute("select i from t")
    assert [len(some.fetchmany(ROWS_AT_ONCE)) for _ in range(4)] == [ROWS_AT_ONCE, ROWS_AT_ONCE, 1, 0]
    assert (some.fetchone(), live.execute("delete from t where i < 3").rowcount) == (None, 3)


def test_two_answers_are_read_side_by_side(live: LiveFile) -> None:
    """What one cursor gives isn't taken for the other's."""
    up, down = live.execute("select i from t order by i"), live.execute("select i from t order by i desc")

    pairs = list(zip(up, down, strict=True))

    assert [first + last for (first,), (last,) in pairs] == [2 * ROWS_AT_ONCE] * len(pairs)


def test_what_fails_is_sqlites_error_and_can_be_gone_on_from(live: LiveFile, path: Path, tmp_path: Path) -> None:
    """In its own words; so is a file that can't be opened, and one that somebody else has locked."""
    with pytest.raises(sqlite3.OperationalError, match="no such table: none"):
        live.execute("select 1 from none")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            live.execute("begin immediate")
    assert not live.in_transaction
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        LiveFile(tmp_path / "none" / "f.sqlite", 0.1)


def test_what_is_not_committed_goes_with_it(path: Path) -> None:
    """Closed in a transaction, or in the middle of an answer: the file is as it was, and nothing stands beside it."""
    with closing(LiveFile(path, 0.1)) as live:
        live.execute("begin immediate")
        live.execute("delete from t")
        assert live.in_transaction
        live.execute("select 1 union all select i from t")
    assert (_numbers(path), [found.name for found in path.parent.iterdir()]) == (2 * ROWS_AT_ONCE + 1, [path.name])
    with pytest.raises(ProcessEnded, match="has ended"):
        live.execute("select 1")
    assert not live.in_transaction


def test_end_of_its_process_is_said(live: LiveFile, path: Path) -> None:
    """Whoever ends it: the statement fails, also the commit that it doesn't come to, and the file is as it was."""
    live.execute("begin immediate")
    live.execute("delete from t")
    live._child.kill()

    with pytest.raises(ProcessEnded, match="by SIGKILL"):
        live.commit()
    with pytest.raises(ProcessEnded, match="has ended"):
        live.execute("select 1")
    assert _numbers(path) == 2 * ROWS_AT_ONCE + 1


def test_commit_that_fails_is_told(live: LiveFile, path: Path) -> None:
    """While somebody reads nothing is committed, which is known."""
    live.execute("begin immediate")
    live.execute("delete from t")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select i from t").fetchone()
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            live.commit()
    live.commit()
    assert _numbers(path) == 0


def test_copy_is_what_others_read(live: LiveFile, path: Path, tmp_path: Path) -> None:
    """The whole file without what is not committed, also while it is being changed."""
    live.execute("begin immediate")
    live.execute("delete from t")
    live.copy_to(tmp_path / "copy.sqlite")
    live.execute("commit")

    assert (_numbers(tmp_path / "copy.sqlite"), _numbers(path)) == (2 * ROWS_AT_ONCE + 1, 0)
