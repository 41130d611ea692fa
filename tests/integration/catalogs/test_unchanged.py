"""What would be said to be unchanged by the numbers of rows and transactions alone, and isn't."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.comparison import execute
from support.lakes.lakes import Lake
from support.servers.servers import Server

from dlbackup.addresses.address import parse_address
from dlbackup.backupfile.origin import Moment, Origin
from dlbackup.catalogs.contract import Change, Claim, Snapshot
from dlbackup.catalogs.open import open_catalog
from dlbackup.catalogs.reading import contents

_TABLE = "ducklake_schema"


@contextmanager
def _snapshot(url: str) -> Iterator[Snapshot]:
    with open_catalog(parse_address(url)) as catalog, catalog.snapshot() as snapshot:
        yield snapshot


def _then(url: str) -> tuple[Moment, Origin | None, int]:
    with _snapshot(url) as snapshot:
        moment = snapshot.moment()
        assert moment is not None
        return moment, snapshot.origins().get(_TABLE), snapshot.counts()[_TABLE]


def _told(url: str, then: tuple[Moment, Origin | None, int]) -> Change | None:
    moment, origin, rows = then
    assert origin is not None
    with _snapshot(url) as snapshot:
        (table,) = (table for table in snapshot.tables if table.name == _TABLE)
        claim = Claim(table=table, origin=origin, rows=rows, may_have_more_columns=True)
        return snapshot.since(moment, [claim])[0]


@pytest.mark.parametrize("later", ["bigint", "bigint default 7"])
def test_a_column_that_came_and_was_written_into_older_rows(plain: Lake, later: str) -> None:
    """Older rows have the default of a column that came later; once they are written anew, only they say so."""
    then = _then(plain.url)
    execute(plain.url, f"alter table {_TABLE} add later {later}")
    assert _told(plain.url, then) == (None if "default" in later else Change(0, 0))

    execute(plain.url, f"vacuum full {_TABLE}")

    assert _told(plain.url, then) is None


def test_a_table_written_anew_with_the_columns_it_had(plain: Lake) -> None:
    """Its rows are the same."""
    then = _then(plain.url)
    execute(plain.url, f"vacuum full {_TABLE}")
    assert _told(plain.url, then) == Change(0, 0)


def test_rows_of_other_tables(plain: Lake) -> None:
    """A table whose rows are also those of one that inherits from it: old ones come and go with that."""
    execute(plain.url, f"create table passing (like {_TABLE})", f"insert into passing select * from {_TABLE} limit 1")
    then = _then(plain.url)
    execute(plain.url, f"delete from {_TABLE} where schema_id = 0", f"alter table passing inherit {_TABLE}")
    _, origin, rows = _then(plain.url)

    assert _told(plain.url, then) is None
    assert (origin, rows) == (None, then[2])


@pytest.mark.every_major
def test_a_database_that_has_the_number_of_another(plain: Lake, server: Server) -> None:
    """A clone that is given the number of what it was made of, once that is gone, is that as it was then."""
    if server.major < 15:
        pytest.skip("numbers are not given")
    name = plain.url.rpartition("/")[2]
    with server.database(template=name) as clone:
        execute(plain.url, f"update {_TABLE} set schema_name = 'later'")
        then = _then(plain.url)
        with _snapshot(plain.url) as snapshot:
            rows = contents(snapshot)[_TABLE]
        ((number,),) = execute(plain.url, "select oid from pg_database where datname = current_database()")
        assert _told(plain.url, then) == Change(0, 0)

        execute(
            server.url,
            f"drop database {name}",
            f"create database {name} template {clone.rpartition('/')[2]} oid = {number}",
        )

        with _snapshot(plain.url) as snapshot:
            assert contents(snapshot)[_TABLE] != rows
        assert _told(plain.url, then) is None
